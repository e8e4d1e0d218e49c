/* test_config.c - what the environment may say, and what is refused by name. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/config.h"
#include "tests/unit/test.h"

#define KEY32 "HEALTHMED_REQUEST_KEY=0123456789abcdef0123456789abcdef"

/* Loads for a role with these variables alone. */
#define LOAD(role, ...) load((role), (const char *const[]) { __VA_ARGS__, NULL })

static const char *load(enum config_role role, const char *const *set)
{
	for (char **e = environ; *e != NULL;) {
		char name[128];

		(void) snprintf(name, sizeof name, "%.*s", (int) strcspn(*e, "="), *e);
		if (strncmp(name, "HEALTHMED_", 10) != 0) {
			e++;
			continue;
		}
		assert_int_equal(unsetenv(name), 0);
		e = environ;
	}
	for (; *set != NULL; set++) {
		char name[128];

		(void) snprintf(name, sizeof name, "%.*s", (int) strcspn(*set, "="), *set);
		assert_int_equal(setenv(name, strchr(*set, '=') + 1, 1), 0);
	}
	return config_load(role);
}

static void assert_says(const char *why, const char *part)
{
	assert_non_null(why);
	if (strstr(why, part) == NULL)
		fail_msg("'%s' does not say '%s'", why, part);
	assert_null(strchr(why, '\n'));
}

/* A file of the test's own, gone when the next one is made. */
static const char *file_of(const char *text, size_t n)
{
	static char setting[128];
	char path[] = "/tmp/test_config_XXXXXX";
	const int fd = mkstemp(path);

	if (setting[0] != '\0')
		(void) unlink(strchr(setting, '=') + 1);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	(void) close(fd);
	(void) snprintf(setting, sizeof setting, "HEALTHMED_REQUEST_KEY_FILE=%s", path);
	return setting;
}

/* A folder with one public key, as a gateway needs it. */
static const char *keys(void)
{
	static char setting[128];
	static char path[64];

	if (path[0] == '\0') {
		char pem[80];

		(void) snprintf(path, sizeof path, "/tmp/test_config_XXXXXX");
		assert_non_null(mkdtemp(path));
		(void) snprintf(setting, sizeof setting, "HEALTHMED_JWT_PUBLIC_KEYS=%s", path);
		assert_says(LOAD(C_GATEWAY, KEY32, setting), "holds no <kid>.pem");
		(void) snprintf(pem, sizeof pem, "%s/dev-1.pem", path);
		FILE *f = fopen(pem, "w");

		assert_non_null(f);
		(void) fclose(f);
	}
	return setting;
}

static void forget_keys(void)
{
	char pem[128];

	(void) snprintf(pem, sizeof pem, "%s/dev-1.pem", strchr(keys(), '=') + 1);
	(void) unlink(pem);
	(void) rmdir(strchr(keys(), '=') + 1);
}

TEST(every_default_is_a_value_that_would_be_accepted)
{
	static const char *const dflt[] = {
#define X(name, kind, who, d, min, max, text) "HEALTHMED_" #name "=" d,
		CONFIG_TABLE(X)
#undef X
	};
	const char *set[COUNT(dflt) + 1] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < COUNT(dflt); i++)
		if (dflt[i][strlen(dflt[i]) - 1] != '=')
			set[n++] = dflt[i];
	assert_null(load(C_ALL, set));
	assert_int_equal(config_int(CONFIG_WORKERS), 4);
}

TEST(without_any_variable_the_defaults_hold)
{
	assert_null(LOAD(C_ALL, NULL));
	assert_string_equal(config_text(CONFIG_HTTP_LISTEN), "127.0.0.1:8080");
	assert_int_equal(config_int(CONFIG_JWT_LIFETIME_S), 3600);
	assert_string_equal(getenv("TZ"), "America/Sao_Paulo");
}

TEST(an_unknown_name_is_refused_with_the_nearest_one)
{
	assert_says(LOAD(C_ALL, "HEALTHMED_NAT_URL=nats://a:1"), "is HEALTHMED_NATS_URL meant?");
	assert_says(LOAD(C_ALL, "HEALTHMED_REQUESTKEY_FILE=/x"), "is HEALTHMED_REQUEST_KEY_FILE meant?");
	assert_says(LOAD(C_ALL, "HEALTHMED_WORKER=4"), "HEALTHMED_WORKER is not a name");
	assert_says(LOAD(C_ALL, "HEALTHMED_COLOUR=blue"), "`healthmed config` lists them");
	assert_says(LOAD(C_ALL, "HEALTHMED_=1"), "HEALTHMED_ is not a name");
	assert_says(LOAD(C_ALL, "HEALTHMED_aVeryLongNameThatIsNoKeyOfThisProgramAndNeverWasOneAtAllOrSo=1"),
		    "is not a name");
}

TEST(numbers_are_whole_and_within_their_range)
{
	static const char *const bad[] = { "", "x", "1.5", "0", "257", "4 ", "+4", "99999999999999999999" };
	char set[64];

	for (size_t i = 0; i < COUNT(bad); i++) {
		(void) snprintf(set, sizeof set, "HEALTHMED_WORKERS=%s", bad[i]);
		assert_says(LOAD(C_ALL, set), "HEALTHMED_WORKERS is '");
		assert_says(LOAD(C_ALL, set), "a whole number from 1 to 256");
	}
	assert_null(LOAD(C_ALL, "HEALTHMED_WORKERS=256"));
	assert_int_equal(config_int(CONFIG_WORKERS), 256);
}

TEST(an_address_is_numbers_and_a_port)
{
	static const char *const bad[] = { "", "8080", ":8080", "localhost:80", "127.0.0.1", "1.2.3:80",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1:80", "[::1]", "127.0.0.1:+5",
		"[]:80", "127.0.0.1:080808" };
	static const char *const good[] = { "127.0.0.1:0", "0.0.0.0:65535", "[::1]:8080", "[::]:80" };
	char set[64];

	for (size_t i = 0; i < COUNT(bad); i++) {
		(void) snprintf(set, sizeof set, "HEALTHMED_HTTP_LISTEN=%s", bad[i]);
		assert_says(LOAD(C_ALL, set), "HEALTHMED_HTTP_LISTEN is '");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		(void) snprintf(set, sizeof set, "HEALTHMED_HTTP_LISTEN=%s", good[i]);
		assert_null(LOAD(C_ALL, set));
	}
}

TEST(texts_are_checked_by_their_meaning)
{
	assert_says(LOAD(C_ALL, "HEALTHMED_LOG_LEVEL=loud"), "debug, info, warning or error");
	assert_says(LOAD(C_ALL, "HEALTHMED_TIMEZONE=America/Sao_Paolo"), "no such time zone");
	assert_says(LOAD(C_ALL, "HEALTHMED_TIMEZONE=America"), "no such time zone");
	assert_says(LOAD(C_ALL, "HEALTHMED_TIMEZONE=../../../etc/passwd"), "name of a time zone");
	assert_says(LOAD(C_ALL, "HEALTHMED_TIMEZONE="), "name of a time zone");
	assert_says(LOAD(C_ALL, "HEALTHMED_JWT_KEY_ID=../x"), "HEALTHMED_JWT_KEY_ID is '../x'");
	assert_says(LOAD(C_ALL, "HEALTHMED_JWT_ISSUER="), "must not be empty");
	assert_says(LOAD(C_ALL, "HEALTHMED_JWT_PUBLIC_KEYS=/nowhere"), "No such file");
	assert_says(LOAD(C_ALL, "HEALTHMED_CORS_ORIGINS=*"), "must be origins");
	assert_says(LOAD(C_ALL, "HEALTHMED_CORS_ORIGINS=https://a.example/"), "must be origins");
	assert_says(LOAD(C_ALL, "HEALTHMED_CORS_ORIGINS=https://a.example,"), "must be origins");
	assert_says(LOAD(C_ALL, "HEALTHMED_TRUSTED_PROXIES=10.0.0.0/33"), "must be addresses or networks");
	assert_says(LOAD(C_ALL, "HEALTHMED_TRUSTED_PROXIES=localhost"), "must be addresses or networks");
	assert_null(LOAD(C_ALL, "HEALTHMED_TRUSTED_PROXIES=127.0.0.1, 10.0.0.0/8,fd00::/8"));
	assert_null(LOAD(C_ALL, "HEALTHMED_CORS_ORIGINS=https://a.example,http://localhost:3000"));
	assert_null(LOAD(C_ALL, "HEALTHMED_TIMEZONE=UTC"));
	assert_string_equal(getenv("TZ"), "UTC");
}

TEST(a_wrong_secret_is_named_but_never_quoted)
{
	static const char *const bad[] = { "HEALTHMED_NATS_URL=s3cret", "HEALTHMED_REDIS_URL=s3cret",
		"HEALTHMED_DATABASE_URL=s3cret", "HEALTHMED_JWT_SIGNING_KEY=s3cret",
		"HEALTHMED_REQUEST_KEY=s3cret", "HEALTHMED_NATS_URL=nats://a:1,s3cret" };
	char name[64];

	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *why = LOAD(C_ALL, bad[i]);

		(void) snprintf(name, sizeof name, "%.*s", (int) strcspn(bad[i], "="), bad[i]);
		assert_says(why, name);
		assert_null(strstr(why, "s3cret"));
	}
}

TEST(a_value_may_be_in_a_file_less_its_last_newline)
{
	const char *text = "0123456789abcdef 0123456789abcde\n\n";

	assert_null(LOAD(C_ACTOR, file_of(text, strlen(text))));
	assert_string_equal(config_text(CONFIG_REQUEST_KEY), "0123456789abcdef 0123456789abcde\n");
	assert_says(LOAD(C_ACTOR, file_of("a\0b", 3)), "HEALTHMED_REQUEST_KEY_FILE");
	assert_says(LOAD(C_ACTOR, file_of("short\n", 6)), "32 characters or more");
	assert_says(LOAD(C_ACTOR, KEY32, file_of(text, strlen(text))), "are both set");
	assert_says(LOAD(C_ACTOR, "HEALTHMED_REQUEST_KEY_FILE=/nowhere/key"), "No such file");
	assert_says(LOAD(C_ACTOR, "HEALTHMED_REQUEST_KEY_FILE=/tmp"), "Is a directory");
	assert_says(LOAD(C_ACTOR, "HEALTHMED_REQUEST_KEY_FILE=/dev/zero"), "not a text");
	(void) unlink(strchr(file_of("", 0), '=') + 1);
}

TEST(what_a_role_cannot_do_without_is_asked_for)
{
	assert_says(LOAD(C_ACTOR, NULL), "HEALTHMED_REQUEST_KEY must be set");
	assert_says(LOAD(C_ACTOR, "HEALTHMED_REQUEST_KEY="), "HEALTHMED_REQUEST_KEY must be set");
	assert_says(LOAD(C_GATEWAY, KEY32), "HEALTHMED_JWT_PUBLIC_KEYS must be set");
	assert_null(LOAD(C_ADMIN, NULL));
	assert_null(LOAD(C_ACTOR, KEY32));
	assert_null(LOAD(C_GATEWAY, KEY32, keys()));
	forget_keys();
}

TEST(a_gateway_that_could_reach_a_database_is_refused)
{
	assert_says(LOAD(C_GATEWAY, KEY32, keys(), "HEALTHMED_DATABASE_URL=postgresql://a/b"),
		    "a gateway has no database: take HEALTHMED_DATABASE_URL out");
	assert_says(LOAD(C_GATEWAY, KEY32, keys(), "HEALTHMED_AGENDA_DATABASE_URL="), "no database");
	assert_says(LOAD(C_GATEWAY, KEY32, keys(), "HEALTHMED_USERS_DATABASE_URL_FILE=/x"), "no database");
	forget_keys();
}

TEST(a_role_reads_its_own_keys_only)
{
	/* Another process's file need not even be readable. */
	assert_null(LOAD(C_ADMIN, "HEALTHMED_REDIS_URL_FILE=/nowhere", "HEALTHMED_WORKERS=x"));
}

TEST(the_table_shows_every_key_and_no_secret)
{
	static char text[1 << 16];
	FILE *f = tmpfile();
	const int out = dup(STDOUT_FILENO);
	char name[64];

	assert_non_null(f);
	assert_null(LOAD(C_ALL, KEY32, "HEALTHMED_WORKERS=7"));
	(void) fflush(stdout);
	(void) dup2(fileno(f), STDOUT_FILENO);
	config_print();
	(void) fflush(stdout);
	(void) dup2(out, STDOUT_FILENO);
	(void) close(out);
	rewind(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	(void) fclose(f);
#define X(key, kind, who, dflt, min, max, meaning)                     \
	(void) snprintf(name, sizeof name, "\nHEALTHMED_%s ", #key);   \
	assert_non_null(strstr(text, name));                           \
	assert_non_null(strstr(text, meaning));
	CONFIG_TABLE(X)
#undef X
	assert_null(strstr(text, "0123456789abcdef"));
	assert_non_null(strstr(text, "(set)"));
	assert_non_null(strstr(text, "(not set)"));
}
