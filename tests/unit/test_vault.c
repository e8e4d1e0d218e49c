/* test_vault.c - what was changed, moved, exchanged or cut off does not open, and nothing of it is told. */
#include <string.h>
#include "actors/files/vault.h"
#include "tests/unit/test.h"

#define OLD "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define NEW "new:_____________________________________w8AAAA"

static struct ctx *c;
static struct vault v;
static struct str name, wrapped, box[2], plain;
static char why[256];

/* A file of two chunks, "first" and "final". */
static void start(const char *masters)
{
	c = fresh();
	assert_true(vault_masters(masters, why));
	assert_err(vault_draw(c, &v, 7, &name, &wrapped), none);
	assert_err(vault_seal(c, &v, 0, false, STR("first"), &box[0]), none);
	assert_err(vault_seal(c, &v, 1, true, STR("final"), &box[1]), none);
}

/* Also between what was allocated, which AddressSanitizer keeps closed. */
__attribute__((no_sanitize("address")))
static bool arena_has(size_t from, const void *what, size_t n)
{
	const unsigned char *sought = what;

	for (size_t i = from, same; i + n <= c->mem->used; i++) {
		for (same = 0; same < n && c->mem->base[i + same] == sought[same]; )
			same++;
		if (same == n)
			return true;
	}
	return false;
}

/* What does not open leaves nothing of it in the arena. */
static bool opens(const struct vault *with, int64_t index, bool last, struct str b)
{
	const size_t mark = c->mem->used;
	const bool open = vault_open(c, with, index, last, b, &plain).code == ERR_none;

	if (!open)
		assert_false(arena_has(mark, "fi", 2));
	arena_back(c->mem, mark);
	return open;
}

TEST(what_is_sealed_opens_as_it_was)
{
	struct str out;

	start(OLD);
	assert_err(vault_open(c, &v, 0, false, box[0], &out), none);
	assert_str(out, "first");
	assert_err(vault_open(c, &v, 1, true, box[1], &out), none);
	assert_str(out, "final");
	assert_int_equal(box[0].n, 5 + SEAL_MORE);
	assert_null(memmem(box[0].p, box[0].n, "first", 5));
}

TEST(the_same_bytes_are_never_sealed_alike)
{
	struct str again;

	start(OLD);
	assert_err(vault_seal(c, &v, 0, false, STR("first"), &again), none);
	assert_memory_not_equal(again.p, box[0].p, again.n);
}

TEST(a_flipped_bit_anywhere_does_not_open)
{
	char changed[5 + SEAL_MORE];

	start(OLD);
	memcpy(changed, box[0].p, sizeof changed);
	for (size_t i = 0; i < sizeof changed * 8; i++) {
		changed[i / 8] ^= (char) (1 << i % 8);
		assert_false(opens(&v, 0, false, (struct str) { changed, sizeof changed }));
		changed[i / 8] ^= (char) (1 << i % 8);
	}
	assert_true(opens(&v, 0, false, (struct str) { changed, sizeof changed }));
}

TEST(chunks_that_changed_places_do_not_open)
{
	start(OLD);
	assert_false(opens(&v, 1, false, box[0]));
	assert_false(opens(&v, 1, true, box[0]));
	assert_false(opens(&v, 0, false, box[1]));
	assert_false(opens(&v, 0, true, box[1]));
}

TEST(a_file_whose_last_chunk_is_gone_does_not_open)
{
	start(OLD);
	assert_false(opens(&v, 0, true, box[0]));	/* the first as the last */
	assert_false(opens(&v, 1, false, box[1]));	/* the last as one before others */
}

TEST(a_chunk_cut_short_does_not_open)
{
	start(OLD);
	for (size_t n = 0; n < box[0].n; n++)
		assert_false(opens(&v, 0, false, (struct str) { box[0].p, n }));
}

TEST(a_chunk_of_another_file_does_not_open)
{
	struct vault other;
	struct str theirs;

	start(OLD);
	assert_err(vault_draw(c, &other, 8, &name, &theirs), none);
	assert_false(opens(&other, 0, false, box[0]));
	other.key = v.key;		/* not even under the same key */
	assert_false(opens(&other, 0, false, box[0]));
}

TEST(a_key_is_of_one_file_and_one_master)
{
	struct vault again;
	char changed[VAULT_WRAPPED];

	start(OLD);
	assert_err(vault_unwrap(c, &again, 7, name, wrapped), none);
	assert_memory_equal(again.key.b, v.key.b, sizeof v.key.b);
	assert_err(vault_unwrap(c, &again, 8, name, wrapped), internal);
	assert_err(vault_unwrap(c, &again, 7, STR("new"), wrapped), internal);
	assert_err(vault_unwrap(c, &again, 7, name, (struct str) { wrapped.p, wrapped.n - 1 }), internal);
	assert_err(vault_unwrap(c, &again, 7, name, STR("")), internal);
	memcpy(changed, wrapped.p, sizeof changed);
	for (size_t i = 0; i < sizeof changed; i++) {
		changed[i] ^= 1;
		assert_err(vault_unwrap(c, &again, 7, name, (struct str) { changed, sizeof changed }), internal);
		changed[i] ^= 1;
	}
}

TEST(a_key_that_was_used_is_not_left_behind)
{
	struct vault again;

	start(OLD);
	assert_err(vault_unwrap(c, &again, 7, name, wrapped), none);
	assert_false(arena_has(0, v.key.b, sizeof v.key.b));
	vault_forget(&again);
	assert_memory_not_equal(again.key.b, v.key.b, sizeof v.key.b);
}

TEST(master_keys_rotate_the_first_wraps_and_all_unwrap)
{
	char kept[VAULT_WRAPPED];
	struct secret old;

	start(OLD);
	memcpy(kept, wrapped.p, sizeof kept);
	old = v.key;
	start(NEW ", " OLD "\n");
	assert_str(name, "new");
	assert_err(vault_unwrap(c, &v, 7, STR("old"), (struct str) { kept, sizeof kept }), none);
	assert_memory_equal(v.key.b, old.b, sizeof old.b);
	start(NEW);
	assert_err(vault_unwrap(c, &v, 7, STR("old"), (struct str) { kept, sizeof kept }), internal);
}

TEST(a_list_of_master_keys_that_cannot_work_says_why_and_quotes_none)
{
	static const struct { const char *list, *why; } wrong[] = {
		{ "", "HEALTHMED_FILES_MASTER_KEYS is not set; needed by files" },
		{ "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		  "HEALTHMED_FILES_MASTER_KEYS: each must be name:key, the name of 1 to 32 characters" },
		{ OLD "," OLD, "HEALTHMED_FILES_MASTER_KEYS: a name is there twice" },
		{ OLD ",new:AAECAw",
		  "HEALTHMED_FILES_MASTER_KEYS: the key of new must be 32 bytes in base64url, 43 characters" },
	};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_false(vault_masters(wrong[i].list, why));
		assert_string_equal(why, wrong[i].why);
	}
}

TEST(a_file_has_as_many_chunks_as_its_size_says)
{
	assert_int_equal(vault_chunks(1), 1);
	assert_int_equal(vault_chunks(VAULT_CHUNK), 1);
	assert_int_equal(vault_chunks(VAULT_CHUNK + 1), 2);
	assert_int_equal(vault_length(VAULT_CHUNK + 1, 0), VAULT_CHUNK);
	assert_int_equal(vault_length(VAULT_CHUNK + 1, 1), 1);
	assert_int_equal(vault_length(VAULT_CHUNK, 1), 0);
}
