/*
 * profile.h - what may be said of a person, of whoever registers as of whoever changes something.
 *
 * Pure.  What is wrong becomes a fault of the ctx under its path; what has more than one way of
 * being written comes out in the one that is stored, in the arena.
 */
#ifndef ACTORS_USERS_PROFILE_H
#define ACTORS_USERS_PROFILE_H
#include "broker/msg/users.h"

void profile_line(struct ctx *, const char *path, struct str);	/* something to read, in one line */
void profile_email(struct ctx *, struct str);
void profile_document(struct ctx *, struct str *);		/* without its mask */
void profile_address(struct ctx *, struct users_address *);
#endif
