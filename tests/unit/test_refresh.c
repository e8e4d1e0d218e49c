/* test_refresh.c - refresh tokens and seals: made again by whoever has both halves, and by nobody else. */
#include "actors/users/refresh.h"
#include "broker/base/seal.h"
#include "tests/unit/test.h"

static const struct str key = STR("0123456789012345678901234567890123456789");
static const struct str seed = STR("abcdefghijklmnopqrstuvwxyzabcdef");

TEST(a_refresh_token_is_made_again_and_known)
{
	char text[REFRESH_TEXT + 1], again[REFRESH_TEXT + 1];
	struct refresh r;

	refresh_write(key, seed, 31, 7, text);
	refresh_write(key, seed, 31, 7, again);
	assert_string_equal(text, again);
	assert_true(refresh_read(str_of(text), &r));
	assert_int_equal(r.session, 31);
	assert_int_equal(r.generation, 7);
	assert_true(refresh_is(&r, key, seed));
	refresh_write(key, seed, INT64_MAX, INT64_MAX, text);
	assert_true(refresh_read(str_of(text), &r) && refresh_is(&r, key, seed));
}

TEST(neither_half_of_its_key_makes_a_refresh_token)
{
	char text[REFRESH_TEXT + 1];
	struct refresh r;

	refresh_write(key, seed, 31, 7, text);
	assert_true(refresh_read(str_of(text), &r));
	assert_false(refresh_is(&r, STR("9123456789012345678901234567890123456789"), seed));
	assert_false(refresh_is(&r, key, STR("bbcdefghijklmnopqrstuvwxyzabcdef")));
	r.generation = 8;
	assert_false(refresh_is(&r, key, seed));
	r.generation = 7;
	r.session = 32;
	assert_false(refresh_is(&r, key, seed));
}

TEST(every_changed_character_of_a_refresh_token_is_noticed)
{
	char text[REFRESH_TEXT + 1];
	struct refresh r;

	refresh_write(key, seed, 31, 7, text);
	for (size_t i = 0; i < REFRESH_TEXT; i++) {
		const char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		assert_false(refresh_read(str_of(text), &r) && refresh_is(&r, key, seed));
		text[i] = was;
	}
}

TEST(what_has_not_the_form_of_a_refresh_token_is_none)
{
	static const char *const bad[] = { "", "x", "AAAA", "null",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	/* session 0 */
		"_____________________w_____________________________________________" };
	char text[REFRESH_TEXT + 2] = "";
	struct refresh r;

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(refresh_read(str_of(bad[i]), &r));
	refresh_write(key, seed, 31, 7, text);
	assert_false(refresh_read((struct str) { text, REFRESH_TEXT - 1 }, &r));
	text[REFRESH_TEXT] = 'A';
	assert_false(refresh_read((struct str) { text, REFRESH_TEXT + 1 }, &r));
}

TEST(what_is_sealed_is_read_with_its_key_alone_and_only_unchanged)
{
	struct ctx *c = fresh();
	const struct secret one = { { 1 } }, two = { { 2 } };
	const struct str plain = STR("a name, a number");
	struct str sealed, again, read;
	char copy[64];

	assert_err(seal(c, &one, STR(""), plain, &sealed), none);
	assert_int_equal(sealed.n, plain.n + SEAL_MORE);
	assert_null(memmem(sealed.p, sealed.n, "name", 4));
	assert_err(seal(c, &one, STR(""), plain, &again), none);
	assert_false(str_eq(sealed, again));
	assert_err(unseal(c, &one, STR(""), sealed, &read), none);
	assert_true(str_eq(read, plain));
	assert_err(unseal(c, &two, STR(""), sealed, &read), internal);
	for (size_t i = 0; i < sealed.n; i++) {
		memcpy(copy, sealed.p, sealed.n);
		copy[i] = (char) (copy[i] ^ 1);
		assert_err(unseal(c, &one, STR(""), (struct str) { copy, sealed.n }, &read), internal);
		assert_err(unseal(c, &one, STR(""), (struct str) { sealed.p, i }, &read), internal);
	}
	assert_err(seal(c, &one, STR(""), STR(""), &sealed), none);
	assert_err(unseal(c, &one, STR(""), sealed, &read), none);
	assert_int_equal(read.n, 0);
}
