/*
 * profile.h - what is said of a person, in the one way of writing it that is stored; text in the arena.
 */
#ifndef ACTORS_USERS_PROFILE_H
#define ACTORS_USERS_PROFILE_H
#include "broker/msg/users.h"

void profile_document(struct ctx *, struct str *);		/* without its mask */
void profile_address(struct ctx *, struct users_address *);
#endif
