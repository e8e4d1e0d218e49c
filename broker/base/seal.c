/* seal.c - see seal.h.  Must not keep a key. */
#include <sodium.h>
#include "broker/base/seal.h"

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES };
_Static_assert(SEAL_MORE == NONCE + TAG, "what a seal adds");
_Static_assert(sizeof(struct secret) == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "a secret is a key");

err_t seal(struct ctx *c, const struct secret *key, struct str about, struct str plain, struct str *sealed)
{
	unsigned char *out = arena_alloc(c->mem, plain.n + SEAL_MORE);

	if (out == NULL)
		return refuse(c, ERR_too_large, "no room to seal %zu bytes", plain.n);
	randombytes_buf(out, NONCE);
	(void) crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, (const unsigned char *) plain.p,
							  plain.n, (const unsigned char *) about.p,
							  about.n, NULL, out, key->b);
	*sealed = (struct str) { (const char *) out, plain.n + SEAL_MORE };
	return OK;
}

err_t unseal(struct ctx *c, const struct secret *key, struct str about, struct str sealed, struct str *plain)
{
	const unsigned char *in = (const unsigned char *) sealed.p;
	unsigned char *out = arena_alloc(c->mem, sealed.n + 1);

	if (out == NULL)
		return refuse(c, ERR_too_large, "no room to unseal %zu bytes", sealed.n);
	if (sealed.n < SEAL_MORE ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in + NONCE, sealed.n - NONCE,
						       (const unsigned char *) about.p, about.n, in, key->b) != 0)
		return refuse(c, ERR_internal, "a seal of another key");
	*plain = (struct str) { (const char *) out, sealed.n - SEAL_MORE };
	return OK;
}
