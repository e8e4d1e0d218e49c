/*
 * signer.c - see signer.h.  The only room on this side that knows libjwt.
 *
 * Must not let a private key out: neither the key nor what a library says about it is logged.
 */
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/users/signer.h"
#include "broker/base/config.h"
#include "broker/base/digest.h"

enum { SIGNATURE_TEXT = 86 };	/* base64url of the two numbers of P-256 */

struct signer { const char *kid, *issuer, *audience; struct str key; };

static void jwt_freep(jwt_t **j)
{
	jwt_free(*j);
}

static void text_freep(char **text)
{
	free(*text);
}

/* Whether that is a signature of ES256: a key of another curve signs as well, only longer. */
static bool is_es256(const char *token)
{
	const char *dot = strrchr(token, '.');

	return dot != NULL && strlen(dot + 1) == SIGNATURE_TEXT;
}

err_t signer_sign(struct ctx *c, const struct signer *s, int64_t user, enum role role,
		  int64_t session, int64_t now_s, int64_t lifetime_s, struct str *token)
{
	CLEANUP(jwt_freep) jwt_t *j = NULL;
	CLEANUP(text_freep) char *text = NULL;
	char sub[24], sid[24], jti[24];
	unsigned char random[16];
	char *out;

	digest_random(random, sizeof random);
	(void) digest_text(random, sizeof random, jti);
	(void) snprintf(sub, sizeof sub, "%lld", (long long) user);
	(void) snprintf(sid, sizeof sid, "%lld", (long long) session);
	if (jwt_new(&j) != 0 ||
	    jwt_set_alg(j, JWT_ALG_ES256, (const unsigned char *) s->key.p, (int) s->key.n) != 0 ||
	    jwt_add_header(j, "kid", s->kid) != 0 ||
	    jwt_add_grant(j, "iss", s->issuer) != 0 ||
	    jwt_add_grant(j, "aud", s->audience) != 0 ||
	    jwt_add_grant(j, "sub", sub) != 0 ||
	    jwt_add_grant(j, "role", role == ROLE_DOCTOR ? "doctor" : "patient") != 0 ||
	    (session != 0 && jwt_add_grant(j, "sid", sid) != 0) ||
	    jwt_add_grant_int(j, "iat", now_s) != 0 ||
	    jwt_add_grant_int(j, "exp", now_s + lifetime_s) != 0 ||
	    jwt_add_grant(j, "jti", jti) != 0)
		return refuse(c, ERR_internal, "a token cannot be made");
	text = jwt_encode_str(j);
	if (text == NULL || !is_es256(text))
		return refuse(c, ERR_internal, "a token cannot be signed by ES256 with key %s", s->kid);
	out = arena_alloc(c->mem, strlen(text) + 1);
	if (out == NULL)
		return refuse(c, ERR_internal, "a token fills the arena");
	memcpy(out, text, strlen(text));
	*token = (struct str) { out, strlen(text) };
	return OK;
}

/* A key that does not sign is found out now, not at the first login. */
static bool signs(const struct signer *s)
{
	static unsigned char storage[4096];	/* of the main thread; an arena poisons what it had */
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct str token;

	arena_init(&mem, storage, sizeof storage);
	return signer_sign(&c, s, 1, ROLE_PATIENT, 0, 0, 0, &token).code == ERR_none;
}

struct signer *signer_open(char *why)
{
	struct signer s = { config_text(CONFIG_JWT_KEY_ID), config_text(CONFIG_JWT_ISSUER),
		config_text(CONFIG_JWT_AUDIENCE), str_of(config_text(CONFIG_JWT_SIGNING_KEY)) };
	struct signer *opened = NULL;

	if (s.key.n == 0)
		(void) snprintf(why, 256, "HEALTHMED_JWT_SIGNING_KEY must be set to sign tokens");
	else if (*s.kid == '\0')
		(void) snprintf(why, 256, "HEALTHMED_JWT_KEY_ID must be set to sign tokens");
	else if (!signs(&s))
		(void) snprintf(why, 256, "HEALTHMED_JWT_SIGNING_KEY is no private key of P-256 in PEM");
	else if ((opened = malloc(sizeof *opened)) == NULL)
		(void) snprintf(why, 256, "no memory");
	else
		*opened = s;
	return opened;
}

void signer_close(struct signer *s)
{
	free(s);
}
