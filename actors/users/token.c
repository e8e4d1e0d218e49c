/*
 * token.c - the subcommand `token`: tokens without a login, for development and tests.
 *
 * Must not serve production: a key whose id does not begin with dev- is refused.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
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

enum { SHARE = 256, PROCESSES = 16 };	/* tokens of a process in a round; at most so many of them */

struct wanted { enum role role; int64_t first, count, lifetime; };

static int wrong(const char *text)
{
	(void) fprintf(stderr, "healthmed token: %s; `healthmed token --help`\n", text);
	return EXIT_USAGE;
}

static int fail(const char *text)
{
	(void) fprintf(stderr, "healthmed token: %s\n", text);
	return 1;
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

/* One process's part of a round: its tokens, a line each; in memory that parent and child share. */
struct share {
	const struct signer *signer;
	const struct wanted *wanted;
	int64_t              first, count, now;
	size_t               n;			/* bytes of text */
	char                 text[SHARE * 1024];
	unsigned char        storage[4096];
	struct ctx           c;
};

static void sign_share(struct share *h)
{
	struct arena mem;
	struct str token;

	arena_init(&mem, h->storage, sizeof h->storage);
	h->c = (struct ctx) { .mem = &mem };
	h->n = 0;
	for (int64_t i = 0; i < h->count; i++) {
		arena_reset(&mem);
		if (signer_sign(&h->c, h->signer, h->first + i, h->wanted->role, 0, h->now,
				h->wanted->lifetime, &token).code != ERR_none)
			return;
		if (token.n >= sizeof h->text - h->n) {
			(void) snprintf(h->c.detail, sizeof h->c.detail, "the tokens are too long");
			return;
		}
		memcpy(h->text + h->n, token.p, token.n);
		h->n += token.n;
		h->text[h->n++] = '\n';
	}
}

/* Starts a process for each share until all are wanted; how many. */
static int begin_round(struct share *share, pid_t *pid, int processes, int64_t left, int64_t first)
{
	int n = 0;

	for (; n < processes && left > 0; n++) {
		share[n].first = first;
		share[n].count = left < SHARE ? left : SHARE;
		first += share[n].count;
		left -= share[n].count;
		pid[n] = fork();
		if (pid[n] < 0)
			break;
		if (pid[n] == 0) {
			sign_share(&share[n]);
			_exit(share[n].c.detail[0] != '\0');
		}
	}
	return n;
}

static const char *end_round(const struct share *share, const pid_t *pid, int n)
{
	const char *problem = NULL;

	for (int i = 0; i < n; i++) {
		int status = -1;

		(void) waitpid(pid[i], &status, 0);
		if (problem == NULL && status != 0)
			problem = share[i].c.detail[0] != '\0' ? share[i].c.detail : "a process died";
		if (problem == NULL && fwrite(share[i].text, 1, share[i].n, stdout) < share[i].n)
			problem = "cannot write";
	}
	/* Nothing stays in the buffer, of which the next round's processes would have a copy. */
	if (problem == NULL && fflush(stdout) != 0)
		problem = "cannot write";
	return problem;
}

/* The library reads the key anew for every token, which takes ten times longer than to sign, and
 * under one lock for all threads: so, rounds of as many processes as processors, in order. */
static int print(const struct signer *s, const struct wanted *w)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const int processes = cpus < 1 ? 1 : cpus > PROCESSES ? PROCESSES : (int) cpus;
	struct share *share = mmap(NULL, sizeof *share * PROCESSES, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *problem = NULL;
	pid_t pid[PROCESSES];

	if (share == MAP_FAILED)
		return fail("no memory");
	for (int i = 0; i < processes; i++) {
		share[i].signer = s;
		share[i].wanted = w;
		share[i].now = clock_wall() / SECOND;
	}
	for (int64_t done = 0; done < w->count && problem == NULL;) {
		const int n = begin_round(share, pid, processes, w->count - done, w->first + done);

		problem = n == 0 ? "no process can be started" : end_round(share, pid, n);
		for (int i = 0; i < n; i++)
			done += share[i].count;
	}
	return problem == NULL ? 0 : fail(problem);
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
