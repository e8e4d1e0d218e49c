/*
 * auth.c - see auth.h.  The only file of this room that knows libjwt.
 *
 * Must not know a route, nor trust what the library does not check: it looks at no time and at no
 * claim, takes any algorithm the header names, and without a key any token at all.
 */
#include <dirent.h>
#include <errno.h>
#include <jwt.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "broker/base/time.h"
#include "broker/scan.h"
#include "web/auth.h"

enum {
	KEYS = 16, KID = 64, PEM = 2048, TOKEN = 4096, SIGNATURE = 86,	/* 64 bytes in base64url */
	COORDINATE = 32,		/* of P-256, bytes */
	ROWS = 1 << 14, WAYS = 4,	/* of the memory: 65536 tokens, 3 MiB */
	DER = 80,			/* room for such a signature in DER */
	AHEAD_S = 60,			/* how far the signer's clock may run before ours */
};
#define EXP_MAX (TIME_MAX / 1000000)

struct key { char kid[KID + 1]; EVP_PKEY *public; };

/* One remembered token.  Written under an odd `turn`; read as if torn, until `turn` says not. */
struct seen {
	_Atomic uint64_t turn, digest[2];
	_Atomic int64_t  user, session, exp_role;	/* exp * 8 + role */
};

struct bearer { int64_t user, session, exp_role; };

struct keyring {
	const char   *issuer, *audience;
	struct key    key[KEYS];
	size_t        nkeys;
	struct str    jwks;
	unsigned char secret[32];		/* of the digests; a new one a process */
	struct seen   seen[ROWS][WAYS];
};

static void free_jwt(jwt_t **j)   { jwt_free(*j); }
static void free_bio(BIO **b)     { (void) BIO_free(*b); }
static void free_digest(EVP_MD_CTX **d) { EVP_MD_CTX_free(*d); }
static void free_signature(ECDSA_SIG **s) { ECDSA_SIG_free(*s); }
static void free_file(FILE **f)   { if (*f != NULL) (void) fclose(*f); }
static void free_dir(DIR **d)     { if (*d != NULL) (void) closedir(*d); }

static bool is_base64url(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Reads one public key and appends its JWK. */
static bool key_read(struct keyring *a, const char *path, struct key *k, char *jwk, size_t size)
{
	CLEANUP(free_file) FILE *f = fopen(path, "re");
	CLEANUP(free_bio) BIO *b = NULL;
	char pem[PEM];
	unsigned char point[1 + 2 * COORDINATE];	/* uncompressed: 4, x, y */
	char group[32] = "", x[44], y[44];
	size_t n;

	if (f == NULL)
		return false;
	n = fread(pem, 1, sizeof pem - 1, f);
	pem[n] = '\0';
	if (!feof(f) || strstr(pem, "PRIVATE") != NULL)
		return false;
	b = BIO_new_mem_buf(pem, (int) n);
	k->public = b == NULL ? NULL : PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
	if (k->public == NULL || EVP_PKEY_get_base_id(k->public) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(k->public, group, sizeof group, &n) != 1 ||
	    strcmp(group, "prime256v1") != 0)
		return false;
	if (EVP_PKEY_get_octet_string_param(k->public, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
					    &n) != 1 ||
	    n != sizeof point || point[0] != 4)
		return false;
	(void) digest_text(point + 1, COORDINATE, x);
	(void) digest_text(point + 1 + COORDINATE, COORDINATE, y);
	(void) snprintf(jwk, size,
			"%s{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"use\":\"sig\","
			"\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
			a->nkeys ? "," : "", k->kid, x, y);
	return true;
}

/* Leaves the reason, and says no. */
static bool no(char *why, const char *fmt, ...) PRINTF(2, 3);
static bool no(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(why, 256, fmt, ap);
	va_end(ap);
	return false;
}

/* <kid>.pem: the kid, or false when that is none. */
static bool kid_of(const char *name, struct key *k)
{
	const size_t n = strlen(name) - 4;

	if (n > KID)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_base64url(k->kid[i] = name[i]) && name[i] != '.')
			return false;
	k->kid[n] = '\0';
	return true;
}

static bool keys_read(struct keyring *a, const char *folder, char *why)
{
	enum { JWK = 256, SET = KEYS * JWK + 16 };
	CLEANUP(free_dir) DIR *d = opendir(folder);
	char path[512], jwk[JWK], *set;
	size_t n;

	if (d == NULL)
		return no(why, "JWT_PUBLIC_KEYS: %.120s: %s", folder, strerror(errno));
	if ((set = malloc(SET)) == NULL)
		return no(why, "no memory");
	a->jwks.p = set;
	n = (size_t) snprintf(set, SET, "{\"keys\":[");
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		const size_t len = strlen(e->d_name);
		struct key *k = &a->key[a->nkeys];

		if (e->d_name[0] == '.' || len <= 4 || strcmp(e->d_name + len - 4, ".pem") != 0)
			continue;
		if (a->nkeys == KEYS)
			return no(why, "JWT_PUBLIC_KEYS: more than %d in %.120s", KEYS, folder);
		if (!kid_of(e->d_name, k))
			return no(why, "JWT_PUBLIC_KEYS: the name of %.120s is no kid", e->d_name);
		if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int) sizeof path ||
		    !key_read(a, path, k, jwk, sizeof jwk))
			return no(why, "JWT_PUBLIC_KEYS: %.120s is no public key of P-256",
				  e->d_name);
		n += (size_t) snprintf(set + n, SET - n, "%s", jwk);
		a->nkeys++;
	}
	n += (size_t) snprintf(set + n, SET - n, "]}");
	a->jwks.n = n;
	return a->nkeys > 0 || no(why, "JWT_PUBLIC_KEYS: no <kid>.pem in %.120s", folder);
}

struct keyring *auth_open(const char *folder, const char *issuer, const char *audience, char *why)
{
	struct keyring *a = calloc(1, sizeof *a);

	if (a == NULL)
		return (void) snprintf(why, 256, "no memory"), NULL;
	a->issuer = issuer;
	a->audience = audience;
	digest_random(a->secret, sizeof a->secret);
	if (keys_read(a, folder, why))
		return a;
	auth_close(a);
	return NULL;
}

void auth_close(struct keyring *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < KEYS; i++)
		EVP_PKEY_free(a->key[i].public);
	free((void *) (uintptr_t) a->jwks.p);
	free(a);
}

struct str auth_jwks(const struct keyring *a)
{
	return a->jwks;
}

/* Three parts in base64url and nothing else, the last as long as an ES256 signature. */
static bool is_token(struct str t)
{
	size_t dots = 0, part = 0;

	if (t.n > TOKEN)
		return false;
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] == '.') {
			if (part == 0 || ++dots > 2)
				return false;
			part = 0;
		} else if (is_base64url(t.p[i])) {
			part++;
		} else {
			return false;
		}
	}
	return dots == 2 && part == SIGNATURE;
}

/* The library parses both parts by recursion before it looks at a signature; stacks are small. */
static bool is_shallow(const char *token)
{
	char text[TOKEN];

	for (int i = 0; i < 2; i++) {
		const struct str part = { token, strcspn(token, ".") };
		const size_t n = part.n * 3 / 4;

		if (!digest_bytes(part, text, n) || !scan_is_shallow((struct str) { text, n }))
			return false;
		token += part.n + 1;
	}
	return true;
}

static const struct key *key_of(const struct keyring *a, const char *kid)
{
	for (size_t i = 0; kid != NULL && i < a->nkeys; i++)
		if (strcmp(a->key[i].kid, kid) == 0)
			return &a->key[i];
	return NULL;
}

static bool says(jwt_t *j, const char *claim, const char *what)
{
	const char *v = jwt_get_grant(j, claim);

	return v != NULL && strcmp(v, what) == 0;
}

/* A claim of that name in whatever type; jansson's text of it is ours to free. */
static bool has(jwt_t *j, const char *claim)
{
	char *text = jwt_get_grants_json(j, claim);

	free(text);
	return text != NULL;
}

/* An integer claim; absent or of another type it reads -1 or 0, which none of ours is. */
static bool when(jwt_t *j, const char *claim, int64_t *out)
{
	*out = jwt_get_grant_int(j, claim);
	return *out > 0 && *out <= EXP_MAX;
}

/* Absent in a token of no session; but never anything else than a number in a text. */
static bool session_of(jwt_t *j, int64_t *session)
{
	const char *sid = jwt_get_grant(j, "sid");

	*session = 0;
	if (sid == NULL)
		return !has(j, "sid");
	return sid[0] >= '1' && str_int(str_of(sid), session) && *session > 0;
}

static err_t claims(struct ctx *c, const struct keyring *a, jwt_t *j, int64_t now_s, int64_t *exp)
{
	const char *sub = jwt_get_grant(j, "sub"), *jti = jwt_get_grant(j, "jti");
	int64_t iat, nbf = now_s;

	if (!says(j, "iss", a->issuer) || !says(j, "aud", a->audience))
		return refuse(c, ERR_bad_token, "iss or aud is another");
	if (sub == NULL || sub[0] < '1' || !str_int(str_of(sub), &c->user) || c->user <= 0)
		return refuse(c, ERR_bad_token, "sub is no account");
	if (!session_of(j, &c->session))
		return refuse(c, ERR_bad_token, "sid is no session");
	if (jti == NULL || jti[0] == '\0')
		return refuse(c, ERR_bad_token, "no jti");
	if (!when(j, "iat", &iat) || !when(j, "exp", exp) || *exp <= iat || iat > now_s + AHEAD_S)
		return refuse(c, ERR_bad_token, "iat or exp makes no sense");
	if (has(j, "nbf") && (!when(j, "nbf", &nbf) || nbf > now_s))
		return refuse(c, ERR_bad_token, "not yet");
	c->role = says(j, "role", "patient") ? ROLE_PATIENT :
		  says(j, "role", "doctor") ? ROLE_DOCTOR : ROLE_NOBODY;
	return c->role == ROLE_NOBODY ? refuse(c, ERR_bad_token, "role is none") : OK;
}

/* RFC 7518 section 3.4: the two numbers of the signature, 32 bytes each, of all that stands before the last
 * point.  The library would read the key anew for every token, which takes five times as long as this. */
static bool is_signed(const struct key *k, const char *token)
{
	CLEANUP(free_signature) ECDSA_SIG *signature = ECDSA_SIG_new();
	CLEANUP(free_digest) EVP_MD_CTX *digest = EVP_MD_CTX_new();
	const char *last = strrchr(token, '.');
	unsigned char raw[2 * COORDINATE], der[DER], *end = der;

	if (signature == NULL || digest == NULL || !digest_bytes(str_of(last + 1), raw, sizeof raw))
		return false;
	BIGNUM *r = BN_bin2bn(raw, COORDINATE, NULL), *s = BN_bin2bn(raw + COORDINATE, COORDINATE, NULL);

	if (ECDSA_SIG_set0(signature, r, s) != 1) {	/* one of them is missing */
		BN_free(r);
		BN_free(s);
		return false;
	}
	const int n = i2d_ECDSA_SIG(signature, &end);

	return n > 0 && EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, k->public) == 1 &&
	       EVP_DigestVerify(digest, der, (size_t) n, (const unsigned char *) token,
				(size_t) (last - token)) == 1;
}

static err_t verify(struct ctx *c, const struct keyring *a, const char *token, int64_t now_s,
		    int64_t *exp)
{
	CLEANUP(free_jwt) jwt_t *j = NULL;
	const struct key *k;
	const char *alg;
	char *crit;

	/* Without a key nothing is believed but which key to try. */
	if (!is_shallow(token) || jwt_decode(&j, token, NULL, 0) != 0)
		return refuse(c, ERR_bad_token, "not a token");
	alg = jwt_get_header(j, "alg");
	crit = jwt_get_headers_json(j, "crit");
	free(crit);
	if (alg == NULL || strcmp(alg, "ES256") != 0 || crit != NULL)
		return refuse(c, ERR_bad_token, "not ES256, or with conditions");
	if ((k = key_of(a, jwt_get_header(j, "kid"))) == NULL)
		return refuse(c, ERR_bad_token, "kid is not known");
	if (RULE(token_signature) && !is_signed(k, token))
		return refuse(c, ERR_bad_token, "signature is not of key %s", k->kid);
	return claims(c, a, j, now_s, exp);
}

static bool recall(struct seen *row, const uint64_t digest[2], struct bearer *b)
{
	for (int i = 0; i < WAYS; i++) {
		struct seen *s = &row[i];
		const uint64_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);
		const uint64_t one = atomic_load_explicit(&s->digest[0], memory_order_acquire);
		const uint64_t two = atomic_load_explicit(&s->digest[1], memory_order_acquire);

		if (one != digest[0] || two != digest[1])
			continue;
		b->user = atomic_load_explicit(&s->user, memory_order_acquire);
		b->session = atomic_load_explicit(&s->session, memory_order_acquire);
		b->exp_role = atomic_load_explicit(&s->exp_role, memory_order_acquire);
		if (turn % 2 == 0 && atomic_load_explicit(&s->turn, memory_order_acquire) == turn)
			return b->user > 0;
	}
	return false;
}

/* In the place of the one that expires first, unless somebody is writing there just now. */
static void remember(struct seen *row, const uint64_t digest[2], const struct bearer *b)
{
	struct seen *s = &row[0];
	uint64_t turn;

	for (int i = 1; i < WAYS; i++)
		if (atomic_load_explicit(&row[i].exp_role, memory_order_relaxed) <
		    atomic_load_explicit(&s->exp_role, memory_order_relaxed))
			s = &row[i];
	turn = atomic_load(&s->turn);
	if (turn % 2 != 0 || !atomic_compare_exchange_strong(&s->turn, &turn, turn + 1))
		return;
	atomic_store(&s->digest[0], digest[0]);
	atomic_store(&s->digest[1], digest[1]);
	atomic_store(&s->user, b->user);
	atomic_store(&s->session, b->session);
	atomic_store(&s->exp_role, b->exp_role);
	atomic_store(&s->turn, turn + 2);
}

static err_t nobody(struct ctx *c, err_t e)
{
	c->user = c->session = 0;
	c->role = ROLE_NOBODY;
	return e;
}

err_t auth_check(struct ctx *c, struct keyring *a, struct str header, int64_t now_s, int64_t *exp_s)
{
	static const char scheme[] = "Bearer ";
	const size_t n = sizeof scheme - 1;
	uint64_t digest[2];
	struct bearer b;
	struct digest d;
	struct str token;

	*exp_s = 0;
	(void) nobody(c, OK);
	if (header.p == NULL)
		return refuse(c, ERR_no_token, "no Authorization");
	if (header.n <= n || strncasecmp(header.p, scheme, n) != 0)
		return refuse(c, ERR_no_token, "not a bearer token");
	token = (struct str) { header.p + n, header.n - n };
	for (; token.n > 0 && *token.p == ' '; token.p++)
		token.n--;
	if (!is_token(token))
		return refuse(c, ERR_bad_token, "not a token");
	d = digest_of((struct str) { (const char *) a->secret, sizeof a->secret }, &token, 1);
	memcpy(digest, d.b, sizeof digest);

	struct seen *row = a->seen[digest[0] % ROWS];

	if (recall(row, digest, &b)) {
		c->user = b.user;
		c->session = b.session;
		c->role = (enum role) (b.exp_role % 8);
		*exp_s = b.exp_role / 8;
	} else {
		char text[TOKEN + 1];

		memcpy(text, token.p, token.n);
		text[token.n] = '\0';
		const err_t e = verify(c, a, text, now_s, exp_s);

		if (e.code)
			return nobody(c, e);
		b = (struct bearer) { c->user, c->session, *exp_s * 8 + (int64_t) c->role };
		if (*exp_s > now_s)
			remember(row, digest, &b);
	}
	if (*exp_s <= now_s && RULE(token_expiry))
		return nobody(c, refuse(c, ERR_bad_token, "expired"));
	return OK;
}
