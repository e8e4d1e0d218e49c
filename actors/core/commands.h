/*
 * commands.h - the subcommands that are of the actors' side; argv[0] is the subcommand's name, the
 * value is the exit code.
 *
 * Each prints its own --help (or -h, anywhere among the arguments) on standard output and returns
 * 0; it is then called without a configuration.  Otherwise the configuration is loaded for its
 * role and SIGPIPE is ignored.  actor_main finds SIGTERM and SIGINT blocked since before any thread
 * existed: it takes them by sigwait, drains and returns.  The others end by these signals at once.
 */
#ifndef ACTORS_CORE_COMMANDS_H
#define ACTORS_CORE_COMMANDS_H

int actor_main(int argc, char **argv);		/* actor <domain…>|all */
int migrate_main(int argc, char **argv);
int seed_main(int argc, char **argv);
int token_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int dead_letters_main(int argc, char **argv);
#endif
