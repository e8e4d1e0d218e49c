/*
 * seal.h - bytes that only whoever has the key can read, and nobody can change unnoticed.
 *
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) with a random nonce, which stands before the text.  What
 * a text is `about` is not in it, but authenticated with it: it opens only where the same is said.
 */
#ifndef BROKER_BASE_SEAL_H
#define BROKER_BASE_SEAL_H
#include "broker/base/digest.h"

enum { SEAL_MORE = 24 + 16 };		/* how much longer it gets: nonce and tag */

/* What comes out lies in the arena. */
err_t seal(struct ctx *, const struct secret *key, struct str about, struct str plain,
	   struct str *sealed) MUST_CHECK;
/* internal: sealed under another key, about something else, or changed since. */
err_t unseal(struct ctx *, const struct secret *key, struct str about, struct str sealed,
	     struct str *plain) MUST_CHECK;
#endif
