/* digest.c - see digest.h.  Must not keep a key. */
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include "broker/base/digest.h"

__attribute__((constructor)) static void settle_in(void)
{
	/* A generator of the thread's own, seeded by the kernel: ids are drawn for each request. */
	assert(randombytes_set_implementation(&randombytes_internal_implementation) == 0);
	assert(sodium_init() >= 0);
	assert(pthread_atfork(NULL, NULL, randombytes_stir) == 0);
}

static void hash(struct str key, const struct str *parts, size_t nparts, unsigned char *out, size_t size)
{
	crypto_generichash_state s;

	(void) crypto_generichash_init(&s, key.n ? (const unsigned char *) key.p : NULL,
				       key.n < 64 ? key.n : 64, size);
	for (size_t i = 0; i < nparts; i++) {
		const uint64_t n = parts[i].n;

		(void) crypto_generichash_update(&s, (const unsigned char *) &n, sizeof n);
		if (n > 0)
			(void) crypto_generichash_update(&s, (const unsigned char *) parts[i].p, n);
	}
	(void) crypto_generichash_final(&s, out, size);
}

struct digest digest_of(struct str key, const struct str *parts, size_t nparts)
{
	struct digest d = { .b = { 0 } };

	hash(key, parts, nparts, d.b, sizeof d.b);
	return d;
}

struct secret digest_secret(struct str key, const struct str *parts, size_t nparts)
{
	struct secret s = { .b = { 0 } };

	hash(key, parts, nparts, s.b, sizeof s.b);
	return s;
}

bool digest_eq(struct digest a, struct digest b)
{
	return sodium_memcmp(a.b, b.b, sizeof a.b) == 0;
}

bool digest_secret_eq(const struct secret *a, const struct secret *b)
{
	return sodium_memcmp(a->b, b->b, sizeof a->b) == 0;
}

void digest_random(void *out, size_t n)
{
	randombytes_buf(out, n);
}

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256), "its state fits");

static crypto_hash_sha256_state *state_of(struct sha256 *s)
{
	return (crypto_hash_sha256_state *) (void *) s->state;
}

void sha256_begin(struct sha256 *s)
{
	(void) crypto_hash_sha256_init(state_of(s));
}

void sha256_add(struct sha256 *s, struct str bytes)
{
	(void) crypto_hash_sha256_update(state_of(s), (const unsigned char *) bytes.p, bytes.n);
}

void sha256_end(struct sha256 *s, unsigned char out[SHA256_BYTES])
{
	(void) crypto_hash_sha256_final(state_of(s), out);
}

void sha256_of(struct str bytes, unsigned char out[SHA256_BYTES])
{
	(void) crypto_hash_sha256(out, (const unsigned char *) bytes.p, bytes.n);
}

void sha256_hex(const unsigned char sha256[SHA256_BYTES], char out[SHA256_HEX])
{
	(void) sodium_bin2hex(out, SHA256_HEX, sha256, SHA256_BYTES);
}

size_t digest_text(const void *bytes, size_t n, char *out)
{
	const size_t size = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	(void) sodium_bin2base64(out, size, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return size - 1;
}

/* The library itself refuses bits beyond the end, but takes some bytes beyond ASCII for digits. */
bool digest_bytes(struct str text, void *out, size_t n)
{
	size_t got = 0;

	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char) text.p[i] > 0x7f)
			return false;
	return text.n == (4 * n + 2) / 3 &&
	       sodium_base642bin(out, n, text.p, text.n, NULL, &got, NULL,
				 sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 && got == n;
}
