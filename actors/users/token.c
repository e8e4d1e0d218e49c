/*
 * token.c - the subcommand `token`: tokens without a login, for development and tests.
 *
 * Must not serve production: a key whose id does not begin with dev- is refused.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "actors/core/commands.h"
#include "actors/users/signer.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"

static const char usage[] =
	"Usage: healthmed token --role patient|doctor --first ID [--count N] [--lifetime SECONDS]\n"
	"\n"
	"Prints a token a line, for the users ID, ID+1, …  For development and tests: it refuses a\n"
	"signing key whose id (HEALTHMED_JWT_KEY_ID) does not begin with dev-.\n"
	"\n"
	"  --role ROLE         patient or doctor\n"
	"  --first ID          the first user\n"
	"  --count N           how many users (1)\n"
	"  --lifetime SECONDS  how long the tokens live (HEALTHMED_JWT_LIFETIME_S)\n";

struct wanted { enum role role; int64_t first, count, lifetime; };

static int wrong(const char *text)
{
	(void) fprintf(stderr, "healthmed token: %s; `healthmed token --help`\n", text);
	return EXIT_USAGE;
}

static bool number(const char *text, int64_t max, int64_t *n)
{
	return str_int(str_of(text), n) && *n >= 1 && *n <= max;
}

static int read_arguments(int argc, char **argv, struct wanted *w)
{
	static const struct option option[] = {
		{ "role",     required_argument, NULL, 'r' }, { "first",    required_argument, NULL, 'f' },
		{ "count",    required_argument, NULL, 'c' }, { "lifetime", required_argument, NULL, 'l' },
		{ 0 },
	};
	int o;

	optind = 1;
	opterr = 0;
	while ((o = getopt_long(argc, argv, "", option, NULL)) != -1) {
		switch (o) {
		case 'r':
			w->role = strcmp(optarg, "patient") == 0 ? ROLE_PATIENT :
				  strcmp(optarg, "doctor") == 0 ? ROLE_DOCTOR : ROLE_NOBODY;
			if (w->role == ROLE_NOBODY)
				return wrong("--role is patient or doctor");
			break;
		case 'f':
			if (!number(optarg, INT64_MAX / 2, &w->first))
				return wrong("--first is the number of a user, from 1");
			break;
		case 'c':
			if (!number(optarg, 10000000, &w->count))
				return wrong("--count is a number from 1 to 10000000");
			break;
		case 'l':
			if (!number(optarg, 86400 * 30, &w->lifetime))
				return wrong("--lifetime is a number of seconds from 1 to 2592000");
			break;
		default:
			return wrong("wrong argument");
		}
	}
	if (optind < argc)
		return wrong("wrong argument");
	if (w->role == ROLE_NOBODY || w->first == 0)
		return wrong("--role and --first are needed");
	return 0;
}

static int print(const struct signer *s, const struct wanted *w)
{
	static unsigned char storage[4096];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	const int64_t now = clock_wall() / SECOND;
	struct str token;

	arena_init(&mem, storage, sizeof storage);
	for (int64_t i = 0; i < w->count; i++) {
		arena_reset(&mem);
		if (signer_sign(&c, s, w->first + i, w->role, now, w->lifetime, &token).code != ERR_none) {
			(void) fprintf(stderr, "healthmed token: %s\n", c.detail);
			return 1;
		}
		if (printf("%.*s\n", (int) token.n, token.p) < 0)
			return 1;
	}
	return 0;
}

int token_main(int argc, char **argv)
{
	struct wanted w = { .count = 1 };
	struct signer *s;
	char why[256];
	int code;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(usage, stdout) < 0;
	w.lifetime = config_int(CONFIG_JWT_LIFETIME_S);
	code = read_arguments(argc, argv, &w);
	if (code != 0)
		return code;
	if (strncmp(config_text(CONFIG_JWT_KEY_ID), "dev-", 4) != 0) {
		(void) fprintf(stderr, "healthmed token: HEALTHMED_JWT_KEY_ID does not begin with dev-: "
			       "tokens without a login are for development only\n");
		return EXIT_CONFIG;
	}
	s = signer_open(why);
	if (s == NULL) {
		(void) fprintf(stderr, "healthmed token: %s\n", why);
		return EXIT_CONFIG;
	}
	code = print(s, &w);
	signer_close(s);
	return code;
}
