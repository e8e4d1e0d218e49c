/*
 * auth.h - bearer tokens: JWT, ES256, keys by their kid.
 *
 * A token that was verified is remembered until it expires, under a keyed digest of the whole
 * text; a gateway holds public keys only.  Any number of threads.
 */
#ifndef WEB_AUTH_H
#define WEB_AUTH_H
#include "broker/base/str.h"

struct keyring;

/* Reads every <kid>.pem of the folder: P-256 public keys, at least one, nothing private.  NULL,
 * with one line in why (256 bytes), otherwise.  issuer and audience outlive it. */
struct keyring *auth_open(const char *folder, const char *issuer, const char *audience, char *why);
void         auth_close(struct keyring *);
/* The value of Authorization (p NULL when absent) gives user, role and session to the ctx, and says
 * when the token ends.  no_token, or bad_token for whatever is wrong with one.  Whether its session
 * has ended, ended.h knows. */
err_t        auth_check(struct ctx *, struct keyring *, struct str header, int64_t now_s,
			int64_t *exp_s) MUST_CHECK;
/* The public keys as a JWK Set (RFC 7517). */
struct str   auth_jwks(const struct keyring *);
#endif
