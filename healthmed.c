/*
 * healthmed.c - the one program: finds the subcommand, loads the configuration for its role, calls
 * it.  Must not know what a subcommand does.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "actors/core/commands.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/base/log.h"
#include "broker/base/version.h"
#include "web/gateway.h"

typedef int command_fn(int argc, char **argv);

static command_fn config_main, version_main, help_main;

enum { NO_CONFIG = 0 };

static const struct command {
	const char *name, *help;
	unsigned    role;		/* whose configuration is loaded */
	bool        serves;		/* ends by a signal it waits for, not by being killed */
	command_fn *run;
} command[] = {
	{ "gateway",      "serves the HTTP API",                          C_GATEWAY, true,  gateway_main },
	{ "actor",        "answers for the domains named, or for all",    C_ACTOR,   true,  actor_main },
	{ "migrate",      "brings the databases to this release",         C_ADMIN,   false, migrate_main },
	{ "verify",       "checks the promises against what is stored",   C_ADMIN,   false, verify_main },
	{ "seed",         "fills the databases with made-up people",      C_ADMIN,   false, seed_main },
	{ "token",        "prints tokens for development and tests",      C_ADMIN,   false, token_main },
	{ "dead-letters", "what could not be processed: show, replay, drop", C_ADMIN,   false, dead_letters_main },
	{ "config",       "shows everything that can be set",             C_ALL,     false, config_main },
	{ "version",      "prints the release",                           NO_CONFIG, false, version_main },
	{ "help",         "prints this, or the help of a subcommand",     NO_CONFIG, false, help_main },
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COUNT(command); i++)
		if (strcmp(name, command[i].name) == 0)
			return &command[i];
	return NULL;
}

static int usage(void)
{
	(void) printf("Usage: healthmed <subcommand> [argument…]\n\n"
		      "Health&Med, medical appointments.  Subcommands:\n\n");
	for (size_t i = 0; i < COUNT(command); i++)
		(void) printf("  %-13s %s\n", command[i].name, command[i].help);
	(void) printf("\n`healthmed help <subcommand>` says more.  The configuration is in the environment,\n"
		      "HEALTHMED_*; `healthmed config` lists it.  Exit codes: 0 well, 1 not so, 2 wrong\n"
		      "usage, 69 something it depends on is away, 78 wrong configuration.\n");
	return 0;
}

static int unknown(const char *name)
{
	(void) fprintf(stderr, "healthmed: '%s' is no subcommand; `healthmed help` lists them\n", name);
	return EXIT_USAGE;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

static int config_main(int argc, char **argv)
{
	if (argc > 1 && !asks_help(argc, argv)) {
		(void) fprintf(stderr, "healthmed %s: takes no argument\n", argv[0]);
		return EXIT_USAGE;
	}
	if (argc > 1) {
		(void) printf("Usage: healthmed config\n\n"
			      "Checks the HEALTHMED_* variables of the environment and prints every one with its\n"
			      "value, default and meaning.  Each can also be given as HEALTHMED_<NAME>_FILE, the\n"
			      "name of a file that holds the value.  Secrets are not printed.\n");
		return 0;
	}
	config_print();
	return 0;
}

static int version_main(int argc, char **argv)
{
	if (asks_help(argc, argv))
		(void) printf("Usage: healthmed version\n\nPrints the release of this program.\n");
	else
		(void) printf("healthmed " VERSION "\n");
	return 0;
}

static int help_main(int argc, char **argv)
{
	static char flag[] = "--help";
	const struct command *k;

	if (argc < 2 || is_help(argv[1]))
		return usage();
	k = find(argv[1]);
	if (k == NULL)
		return unknown(argv[1]);
	if (k->run == help_main)
		return usage();
	return k->run(2, (char *[]) { argv[1], flag, NULL });
}

/* Before any thread exists, so that all of them inherit it: a lost reader is an error code, not
 * the end; and a server's last signals stay pending until it takes them by sigwait. */
static void settle_signals(bool serves)
{
	sigset_t last;

	(void) signal(SIGPIPE, SIG_IGN);
	if (!serves)
		return;
	(void) sigemptyset(&last);
	(void) sigaddset(&last, SIGTERM);
	(void) sigaddset(&last, SIGINT);
	(void) sigprocmask(SIG_BLOCK, &last, NULL);
}

static int run(const struct command *k, int argc, char **argv)
{
	if (k->role != NO_CONFIG && !asks_help(argc, argv)) {
		const char *why = config_load((enum config_role) k->role);

		if (why != NULL) {
			(void) fprintf(stderr, "healthmed %s: %s\n", k->name, why);
			return EXIT_CONFIG;
		}
		log_level_set(config_text(CONFIG_LOG_LEVEL));
		settle_signals(k->serves);
	}
	return k->run(argc, argv);
}

int main(int argc, char **argv)
{
	const struct command *k;
	int code;

	if (argc < 2 || is_help(argv[1]))
		code = usage();
	else if (strcmp(argv[1], "--version") == 0)
		code = version_main(1, argv + 1);
	else if ((k = find(argv[1])) == NULL)
		code = unknown(argv[1]);
	else
		code = run(k, argc - 1, argv + 1);
	if (fflush(stdout) != 0 && code == 0) {
		(void) fprintf(stderr, "healthmed: cannot write\n");
		code = 1;
	}
	return code;
}
