/*
 * commands.h - the subcommands that are of the actors' side; argv[0] is the subcommand's name.
 * The configuration is loaded; each prints its own --help; the value is the exit code.
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
