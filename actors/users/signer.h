/* signer.h - signs the tokens (JWT, ES256); the one place that holds a private key. */
#ifndef ACTORS_USERS_SIGNER_H
#define ACTORS_USERS_SIGNER_H
#include "broker/base/str.h"

struct signer;
/* Reads JWT_SIGNING_KEY and JWT_KEY_ID of the configuration; NULL, with one line in why (256 bytes). */
struct signer *signer_open(char *why);
void           signer_close(struct signer *);
/* A token of claims iss, aud, sub, role, sid, iat, exp, jti and header kid; text in the arena.
 * session 0: it has none, and no sid. */
err_t signer_sign(struct ctx *, const struct signer *, int64_t user, enum role, int64_t session,
		  int64_t now_s, int64_t lifetime_s, struct str *token) MUST_CHECK;
#endif
