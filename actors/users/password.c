/*
 * password.c - argon2id (RFC 9106), by libsodium.  Must not keep a password or tell a log of one.
 *
 * Two passes over 19 MiB, as OWASP's cheat sheet on password storage recommends for one lane:
 * some 20 ms a login.  libsodium's "interactive" of 64 MiB would let a burst of logins on every
 * worker take more memory than the rest of the process.
 */
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include "actors/users/password.h"

enum { PASSES = 2, MEMORY = 19 << 20 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char nobody[crypto_pwhash_STRBYTES];	/* the hash of a password that nobody has */

static bool hash_of(char out[crypto_pwhash_STRBYTES], const char *p, size_t n)
{
	return crypto_pwhash_str_alg(out, p, n, PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

static void make_nobody(void)
{
	char drawn[32];

	if (sodium_init() < 0)
		return;			/* no hash then ever is of that password, which is right */
	randombytes_buf(drawn, sizeof drawn);
	(void) hash_of(nobody, drawn, sizeof drawn);
	sodium_memzero(drawn, sizeof drawn);
}

err_t password_hash(struct ctx *c, struct str password, struct str *hash)
{
	char *text = arena_alloc(c->mem, crypto_pwhash_STRBYTES);

	(void) pthread_once(&once, make_nobody);
	if (text == NULL || !hash_of(text, password.p, password.n))
		return refuse(c, ERR_unavailable, "no memory for a password hash");
	*hash = str_of(text);
	return OK;
}

bool password_is(struct str password, struct str hash)
{
	char text[crypto_pwhash_STRBYTES] = "";

	(void) pthread_once(&once, make_nobody);
	if (hash.p == NULL || hash.n >= sizeof text)
		hash = str_of(nobody);
	memcpy(text, hash.p, hash.n);

	const bool is = crypto_pwhash_str_verify(text, password.p, password.n) == 0;

	return is && hash.p != nobody;
}
