/* users.h - what the users domain needs before its first request. */
#ifndef ACTORS_USERS_USERS_H
#define ACTORS_USERS_USERS_H
#include <stdbool.h>

/* Reads the signing key; false, with one line in why (256 bytes). */
bool users_start(char *why);
#endif
