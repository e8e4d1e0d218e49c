/* vault.c - see vault.h.  Must not store anything, nor leave a key where it was used. */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include "actors/files/vault.h"

enum { MASTERS = 16, ABOUT = 64 };

static struct master { char name[VAULT_NAME + 1]; struct secret key; } master[MASTERS];
static size_t nmasters;

/* What a seal is about: a word, and numbers of fixed length, so that no two are the same bytes. */
struct about { size_t n; unsigned char b[ABOUT]; };

static void add(struct about *a, const void *bytes, size_t n)
{
	memcpy(a->b + a->n, bytes, n);
	a->n += n;
}

static void add_int(struct about *a, int64_t value)
{
	const uint64_t le = htole64((uint64_t) value);

	add(a, &le, sizeof le);
}

static struct about of_chunk(int64_t file, int64_t index, bool last)
{
	struct about a = { .n = 0 };

	add(&a, "chunk", 5);
	add_int(&a, file);
	add_int(&a, index);
	add_int(&a, last);
	return a;
}

static struct about of_key(int64_t file, struct str name)
{
	struct about a = { .n = 0 };

	add(&a, "key", 3);
	add_int(&a, file);
	add(&a, name.p, name.n);
	return a;
}

static struct str text(const struct about *a)
{
	return (struct str) { (const char *) a->b, a->n };
}

/* ---- master keys ---- */

#define LIST "HEALTHMED_FILES_MASTER_KEYS"

static bool read_master(struct str s, struct master *out, char *why)
{
	const char *colon = memchr(s.p, ':', s.n);
	const size_t n = colon == NULL ? 0 : (size_t) (colon - s.p);

	if (n == 0 || n > VAULT_NAME) {
		(void) snprintf(why, 256, LIST ": each must be name:key, the name of 1 to %d characters", VAULT_NAME);
		return false;
	}
	memset(out, 0, sizeof *out);
	memcpy(out->name, s.p, n);
	for (size_t i = 0; i < nmasters; i++)
		if (strcmp(master[i].name, out->name) == 0) {
			(void) snprintf(why, 256, LIST ": a name is there twice");
			return false;
		}
	if (digest_bytes((struct str) { colon + 1, s.n - n - 1 }, out->key.b, sizeof out->key.b))
		return true;
	(void) snprintf(why, 256, LIST ": the key of %s must be 32 bytes in base64url, 43 characters", out->name);
	return false;
}

bool vault_masters(const char *list, char *why)
{
	nmasters = 0;
	for (const char *p = list; *p != '\0';) {
		const size_t n = strcspn(p, ", \t\r\n");

		if (n > 0 && nmasters == MASTERS) {
			(void) snprintf(why, 256, LIST ": more than %d keys", MASTERS);
			return false;
		}
		if (n > 0 && !read_master((struct str) { p, n }, &master[nmasters], why))
			return false;
		nmasters += n > 0;
		p += n + (p[n] != '\0');
	}
	if (nmasters == 0)
		(void) snprintf(why, 256, LIST " is not set; needed by files");
	return nmasters > 0;
}

/* ---- keys of files ---- */

err_t vault_draw(struct ctx *c, struct vault *v, int64_t file, struct str *name, struct str *wrapped)
{
	*name = str_of(master[0].name);
	v->file = file;
	digest_random(v->key.b, sizeof v->key.b);

	const struct about a = of_key(file, *name);

	return seal(c, &master[0].key, text(&a), (struct str) { (const char *) v->key.b, sizeof v->key.b }, wrapped);
}

err_t vault_unwrap(struct ctx *c, struct vault *v, int64_t file, struct str name, struct str wrapped)
{
	const struct master *m = master;
	struct str key;

	while (m < master + nmasters && !str_eq(name, str_of(m->name)))
		m++;
	if (m == master + nmasters || wrapped.n != VAULT_WRAPPED)
		return refuse(c, ERR_internal, "there is no key of file %lld", (long long) file);

	const struct about a = of_key(file, name);
	const size_t mark = c->mem->used;

	TRY(unseal(c, &m->key, text(&a), wrapped, &key));
	v->file = file;
	memcpy(v->key.b, key.p, sizeof v->key.b);
	explicit_bzero((char *) (uintptr_t) key.p, key.n);
	arena_back(c->mem, mark);
	return OK;
}

void vault_forget(struct vault *v)
{
	explicit_bzero(v->key.b, sizeof v->key.b);
}

/* ---- chunks ---- */

err_t vault_seal(struct ctx *c, const struct vault *v, int64_t index, bool last, struct str plain,
		 struct str *sealed)
{
	const struct about a = of_chunk(v->file, index, last);

	return seal(c, &v->key, text(&a), plain, sealed);
}

err_t vault_open(struct ctx *c, const struct vault *v, int64_t index, bool last, struct str sealed,
		 struct str *plain)
{
	const struct about a = of_chunk(v->file, index, last);

	return unseal(c, &v->key, text(&a), sealed, plain);
}

int64_t vault_chunks(int64_t size)
{
	return (size + VAULT_CHUNK - 1) / VAULT_CHUNK;
}

size_t vault_length(int64_t size, int64_t index)
{
	const int64_t left = size - index * VAULT_CHUNK;

	return left <= 0 ? 0 : left < VAULT_CHUNK ? (size_t) left : VAULT_CHUNK;
}
