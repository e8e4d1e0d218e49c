/*
 * digest.h - keyed and plain hashes, random bytes and their text forms.  The room of libsodium
 * on this side of the house: BLAKE2b (RFC 7693), keyed it is a message authentication code.
 */
#ifndef BROKER_BASE_DIGEST_H
#define BROKER_BASE_DIGEST_H
#include "broker/base/str.h"

struct digest { unsigned char b[16]; };
struct secret { unsigned char b[32]; };		/* of twice the size: what is itself a key, or a token */

/* The hash of parts, each with its length, so that ("ab","c") and ("a","bc") differ.  The key
 * may be empty; of a longer one than 64 bytes, the first 64 count. */
struct digest digest_of(struct str key, const struct str *parts, size_t nparts);
struct secret digest_secret(struct str key, const struct str *parts, size_t nparts);
bool          digest_eq(struct digest, struct digest);	/* in constant time */
bool          digest_secret_eq(const struct secret *, const struct secret *);
void          digest_random(void *out, size_t n);

/* SHA-256, of bytes that come in pieces; for what others must be able to compute too. */
enum { SHA256_BYTES = 32, SHA256_HEX = 65 };
struct sha256 { uint64_t state[16]; };
void sha256_begin(struct sha256 *);
void sha256_add(struct sha256 *, struct str);
void sha256_end(struct sha256 *, unsigned char out[SHA256_BYTES]);
void sha256_of(struct str, unsigned char out[SHA256_BYTES]);
void sha256_hex(const unsigned char sha256[SHA256_BYTES], char out[SHA256_HEX]);

/* base64url without padding (RFC 4648 section 5). */
size_t digest_text(const void *bytes, size_t n, char *out);	/* out: (4n+2)/3 + 1; its length */
bool   digest_bytes(struct str text, void *out, size_t n);	/* exactly n bytes, one form only */
#endif
