/* test_signer.c - a token has every claim and the right signature, or there is no token. */
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include "actors/users/signer.h"
#include "broker/base/config.h"
#include "tests/unit/test.h"

/* A new key of that curve, in PEM: private and public. */
static void make_key(const char *curve, char private[1024], char public[1024])
{
	EVP_PKEY *key = EVP_EC_gen(curve);
	BIO *out = BIO_new(BIO_s_mem()), *pub = BIO_new(BIO_s_mem());
	int n;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_bio_PUBKEY(pub, key), 1);
	assert_true((n = BIO_read(out, private, 1023)) > 0);
	private[n] = '\0';
	assert_true((n = BIO_read(pub, public, 1023)) > 0);
	public[n] = '\0';
	BIO_free(out);
	BIO_free(pub);
	EVP_PKEY_free(key);
}

static struct signer *open_with(const char *private, const char *kid, char why[256])
{
	assert_int_equal(setenv("HEALTHMED_JWT_SIGNING_KEY", private, 1), 0);
	assert_int_equal(setenv("HEALTHMED_JWT_KEY_ID", kid, 1), 0);
	assert_null(config_load(C_ADMIN));
	return signer_open(why);
}

TEST(a_token_carries_who_and_until_when)
{
	char private[1024], public[1024], why[256], text[1024] = "";
	struct ctx *c = fresh();
	struct signer *s;
	struct str token;
	jwt_t *j = NULL;

	make_key("P-256", private, public);
	s = open_with(private, "dev-1", why);
	assert_non_null(s);
	assert_err(signer_sign(c, s, INT64_MAX, ROLE_DOCTOR, 31, 1800000000, 60, &token), none);
	assert_true(token.n < sizeof text);
	memcpy(text, token.p, token.n);
	assert_int_equal(jwt_decode(&j, text, (const unsigned char *) public, (int) strlen(public)), 0);
	assert_int_equal(jwt_get_alg(j), JWT_ALG_ES256);
	assert_string_equal(jwt_get_header(j, "kid"), "dev-1");
	assert_string_equal(jwt_get_grant(j, "iss"), "healthmed");
	assert_string_equal(jwt_get_grant(j, "aud"), "healthmed");
	assert_string_equal(jwt_get_grant(j, "sub"), "9223372036854775807");
	assert_string_equal(jwt_get_grant(j, "role"), "doctor");
	assert_string_equal(jwt_get_grant(j, "sid"), "31");
	assert_int_equal(jwt_get_grant_int(j, "iat"), 1800000000);
	assert_int_equal(jwt_get_grant_int(j, "exp"), 1800000060);
	assert_int_equal(strlen(jwt_get_grant(j, "jti")), 22);
	jwt_free(j);
	signer_close(s);
}

TEST(two_tokens_are_never_the_same)
{
	char private[1024], public[1024], why[256];
	struct ctx *c = fresh();
	struct str a, b;
	struct signer *s;

	make_key("P-256", private, public);
	s = open_with(private, "dev-1", why);
	assert_non_null(s);
	assert_err(signer_sign(c, s, 7, ROLE_PATIENT, 0, 1800000000, 60, &a), none);
	assert_err(signer_sign(c, s, 7, ROLE_PATIENT, 0, 1800000000, 60, &b), none);
	assert_false(str_eq(a, b));
	signer_close(s);
}

TEST(a_key_that_cannot_sign_is_found_out_at_the_start_and_not_quoted)
{
	char private[1024], public[1024], why[256];

	make_key("P-384", private, public);
	assert_null(open_with(private, "dev-1", why));
	assert_non_null(strstr(why, "HEALTHMED_JWT_SIGNING_KEY is no private key of P-256"));
	assert_null(open_with("-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n", "dev-1", why));
	assert_null(strstr(why, "s3cret"));
	make_key("P-256", private, public);
	assert_null(open_with(private, "", why));
	assert_non_null(strstr(why, "HEALTHMED_JWT_KEY_ID must be set"));
	assert_null(open_with("", "dev-1", why));
	assert_non_null(strstr(why, "HEALTHMED_JWT_SIGNING_KEY must be set"));
}

TEST(a_full_arena_gives_no_token)
{
	char private[1024], public[1024], why[256];
	struct ctx *c = fresh();
	struct signer *s;
	struct str token;

	make_key("P-256", private, public);
	s = open_with(private, "dev-1", why);
	assert_non_null(s);
	assert_non_null(arena_alloc(c->mem, c->mem->cap - 64));
	assert_err(signer_sign(c, s, 7, ROLE_PATIENT, 0, 1800000000, 60, &token), internal);
	signer_close(s);
}
