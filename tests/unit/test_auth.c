/* test_auth.c - which tokens are taken; each refusal differs from a good one in one thing. */
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/unit/test.h"
#include "web/auth.h"

#define NOW INT64_C(1800000000)
#define NOBODY "{}"

static char folder[] = "/tmp/healthmed-keys-XXXXXX";
static char private[1024], other[1024], public[1024];

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void) snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_non_null(f = fopen(path, "we"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void remove_file(const char *name)
{
	char path[256];

	(void) snprintf(path, sizeof path, "%s/%s", folder, name);
	(void) unlink(path);
}

static void make_key(const char *curve, char *secret, char *open)
{
	EVP_PKEY *key = EVP_EC_gen(curve);
	BIO *one = BIO_new(BIO_s_mem()), *two = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(PEM_write_bio_PrivateKey(one, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_bio_PUBKEY(two, key), 1);
	assert_true((n = BIO_read(one, secret, 1023)) > 0);
	secret[n] = '\0';
	if (open != NULL) {
		assert_true((n = BIO_read(two, open, 1023)) > 0);
		open[n] = '\0';
	}
	BIO_free(one);
	BIO_free(two);
	EVP_PKEY_free(key);
}

static struct keyring *ring(void)
{
	static struct keyring *a;
	char why[256] = "";

	if (a == NULL) {
		assert_non_null(mkdtemp(folder));
		make_key("P-256", private, public);
		make_key("P-256", other, NULL);
		write_file("k1.pem", public);
		write_file("notes.txt", "not a key");
		a = auth_open(folder, "healthmed", "api", why);
		assert_string_equal(why, "");
	}
	assert_non_null(a);
	return a;
}

/* A good token, with `claims` (JSON) laid over it; "Bearer " before it. */
static const char *token(const char *claims, jwt_alg_t alg, const char *kid, const char *key)
{
	static char header[4096];
	jwt_t *j = NULL;
	char *text;

	(void) ring();
	assert_int_equal(jwt_new(&j), 0);
	assert_int_equal(
	    jwt_add_grants_json(
		j, "{\"iss\":\"healthmed\",\"aud\":\"api\",\"sub\":\"17\","
		   "\"role\":\"doctor\",\"iat\":1799999990,\"exp\":1800000060,\"jti\":\"x\"}"),
	    0);
	assert_int_equal(jwt_add_grants_json(j, claims), 0);
	if (kid != NULL)
		assert_int_equal(jwt_add_header(j, "kid", kid), 0);
	assert_int_equal(
	    jwt_set_alg(j, alg, (const unsigned char *) key, key ? (int) strlen(key) : 0), 0);
	assert_non_null(text = jwt_encode_str(j));
	(void) snprintf(header, sizeof header, "Bearer %s", text);
	free(text);
	jwt_free(j);
	return header;
}

static const char *good(const char *claims)
{
	(void) ring();
	return token(claims, JWT_ALG_ES256, "k1", private);
}

static int64_t ends;		/* of the token that was checked last */

static err_t check(struct ctx *c, const char *header, int64_t now)
{
	return auth_check(c, ring(), header == NULL ? (struct str){NULL, 0} : str_of(header), now, &ends);
}

TEST(a_good_token_tells_who_and_in_which_role)
{
	struct ctx *c = fresh();

	for (int i = 0; i < 3; i++) {	/* verified once, remembered twice */
		assert_err(check(c = fresh(), good(NOBODY), NOW), none);
		assert_int_equal(c->user, 17);
		assert_int_equal(c->role, ROLE_DOCTOR);
		assert_int_equal(c->session, 0);
		assert_int_equal(ends, NOW + 60);
	}
	assert_err(check(c, good("{\"role\":\"patient\",\"sub\":\"9223372036854775807\"}"), NOW),
		   none);
	assert_int_equal(c->user, INT64_MAX);
	assert_int_equal(c->role, ROLE_PATIENT);
}

TEST(a_token_tells_its_session_also_when_it_is_remembered)
{
	struct ctx *c;

	for (int i = 0; i < 2; i++) {
		assert_err(check(c = fresh(), good("{\"sid\":\"31\",\"jti\":\"of a session\"}"), NOW), none);
		assert_int_equal(c->session, 31);
		assert_int_equal(ends, NOW + 60);
	}
	assert_err(check(c, "Bearer x", NOW), bad_token);
	assert_int_equal(c->session, 0);
	assert_int_equal(ends, 0);
}

TEST(without_a_token_one_is_asked_for)
{
	assert_err(check(fresh(), NULL, NOW), no_token);
	assert_err(check(fresh(), "Basic YWJjOmRlZg==", NOW), no_token);
	assert_err(check(fresh(), "Bearer", NOW), no_token);
}

TEST(a_token_ends_with_its_second_remembered_or_not)
{
	const char *header = good("{\"jti\":\"ends\"}");
	struct ctx *c = fresh();

	assert_err(check(c, header, NOW + 60), bad_token);
	assert_err(check(c, header, NOW + 59), none);
	assert_err(check(c, header, NOW + 60), bad_token);
	assert_int_equal(c->user, 0);
	assert_int_equal(c->role, ROLE_NOBODY);
}

TEST(a_claim_that_is_missing_or_of_another_kind_is_refused)
{
	static const char *const bad[] = {
		"{\"iss\":\"other\"}", "{\"iss\":null}", "{\"iss\":7}", "{\"aud\":\"other\"}",
		"{\"aud\":[\"api\"]}", "{\"sub\":17}", "{\"sub\":\"0\"}", "{\"sub\":\"-1\"}",
		"{\"sub\":\"017\"}", "{\"sub\":\"\"}", "{\"sub\":\"17x\"}", "{\"sub\":null}",
		"{\"sub\":\"9223372036854775808\"}", "{\"role\":\"admin\"}", "{\"role\":null}",
		"{\"role\":[\"doctor\"]}", "{\"exp\":null}", "{\"exp\":\"1800000060\"}",
		"{\"exp\":1800000060.5}", "{\"exp\":-1}", "{\"exp\":0}", "{\"exp\":true}",
		"{\"exp\":9223372036854775807}", "{\"exp\":1800000000}", "{\"iat\":null}",
		"{\"iat\":\"1\"}", "{\"iat\":0}", "{\"iat\":1800000061,\"exp\":1800000070}",
		"{\"iat\":1800000060}", "{\"jti\":null}", "{\"jti\":\"\"}", "{\"jti\":7}",
		"{\"sid\":31}", "{\"sid\":\"0\"}", "{\"sid\":\"-1\"}", "{\"sid\":\"\"}", "{\"sid\":null}",
		"{\"sid\":\"31x\"}", "{\"sid\":\"9223372036854775808\"}",
		"{\"nbf\":1800000001}", "{\"nbf\":\"1\"}", "{\"nbf\":null}",
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct ctx *c = fresh();

		if (check(c, good(bad[i]), NOW).code != ERR_bad_token)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(c->user, 0);
	}
	assert_err(check(fresh(), good("{\"nbf\":1800000000}"), NOW), none);
}

TEST(another_key_another_kid_and_another_algorithm_are_refused)
{
	(void) ring();
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_ES256, "k1", other), NOW), bad_token);
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_ES256, "k2", private), NOW), bad_token);
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_ES256, NULL, private), NOW), bad_token);
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_ES256, "../k1", private), NOW), bad_token);
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_NONE, "k1", NULL), NOW), bad_token);
	/* The public key, which everybody has, as the secret of a symmetric algorithm. */
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_HS256, "k1", public), NOW), bad_token);
	assert_err(check(fresh(), token(NOBODY, JWT_ALG_HS512, "k1", public), NOW), bad_token);
}

TEST(every_changed_byte_of_a_token_is_noticed)
{
	char copy[4096];
	size_t n;

	(void) snprintf(copy, sizeof copy, "%s", good(NOBODY));
	n = strlen(copy);
	assert_err(check(fresh(), copy, NOW), none);
	for (size_t i = 7; i < n - 1; i++) {	/* the last one has bits that mean nothing */
		const char was = copy[i];

		copy[i] = was == 'A' ? 'B' : 'A';
		if (copy[i] != was && check(fresh(), copy, NOW).code != ERR_bad_token)
			fail_msg("byte %zu", i);
		copy[i] = was;
	}
}

/* Two numbers of nought satisfy the equation of who does not look at them; all ones are beyond the group. */
TEST(a_signature_of_numbers_that_none_has_is_refused)
{
	static const char digits[] = { 'A', '_' };
	char copy[4096];

	for (size_t i = 0; i < COUNT(digits); i++) {
		(void) snprintf(copy, sizeof copy, "%s", good(NOBODY));
		assert_err(check(fresh(), copy, NOW), none);
		memset(strrchr(copy, '.') + 1, digits[i], 86);
		if (digits[i] == '_')
			copy[strlen(copy) - 1] = 'w';	/* 64 bytes end within the last digit */
		assert_err(check(fresh(), copy, NOW), bad_token);
	}
}

TEST(what_is_no_token_is_refused_before_it_is_parsed)
{
	static const char *const bad[] = {
	    "Bearer a.b.c",
	    "Bearer ..",
	    "Bearer e30.e30.",
	    "Bearer "
	    "e30.e30."
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "Bearer  ",
	    "Bearer \xff"};
	static char longest[9000] = "Bearer ";

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_err(check(fresh(), bad[i], NOW), bad_token);
	memset(longest + 7, 'a', sizeof longest - 8);
	assert_err(check(fresh(), longest, NOW), bad_token);
}

TEST(a_gateway_without_keys_or_with_a_private_one_does_not_start)
{
	char why[256] = "", secret[1024], open[1024], both[2048];

	(void) ring();
	assert_null(auth_open("/nonexistent", "i", "a", why));
	assert_non_null(strstr(why, "JWT_PUBLIC_KEYS"));
	write_file("secret.pem", private);
	assert_null(auth_open(folder, "i", "a", why));
	assert_non_null(strstr(why, "secret.pem"));
	(void) snprintf(both, sizeof both, "%s%s", public, private);
	write_file("secret.pem", both);
	assert_null(auth_open(folder, "i", "a", why));
	remove_file("secret.pem");
	make_key("P-384", secret, open);
	write_file("wide.pem", open);
	assert_null(auth_open(folder, "i", "a", why));
	write_file("wide.pem", "");
	assert_null(auth_open(folder, "i", "a", why));
	remove_file("wide.pem");
}

TEST(the_public_keys_are_told_and_nothing_else)
{
	const struct str set = auth_jwks(ring());

	assert_non_null(memmem(set.p, set.n, "\"kid\":\"k1\"", 10));
	assert_non_null(memmem(set.p, set.n, "\"crv\":\"P-256\"", 13));
	assert_null(memmem(set.p, set.n, "\"d\":", 4));
	remove_file("k1.pem");
	remove_file("notes.txt");
	(void) rmdir(folder);
}
