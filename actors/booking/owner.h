/*
 * owner.h - who owns which partitions: session advisory locks on the very session that commits,
 * evened out over the workers that hold one.
 *
 * The session ends after two idle seconds, so that a frozen owner loses it; owner_balance must be
 * called at least twice a second.  Ownership saves work; what makes the mailbox correct is the
 * locked cursor of batch.c.
 */
#ifndef ACTORS_BOOKING_OWNER_H
#define ACTORS_BOOKING_OWNER_H
#include "actors/core/db.h"
#include "broker/partition.h"

struct owner {
	struct db *db;			/* NULL: no session, nothing is owned */
	bool       owned[PARTITIONS];
};

/* Opens the session; why is 256 bytes. */
err_t owner_open(struct ctx *, struct owner *, const char *url, char *why) MUST_CHECK;
/* Pings, gives away what is too much for one of so many workers and takes what is free. */
err_t owner_balance(struct ctx *, struct owner *) MUST_CHECK;
void  owner_close(struct owner *);
#endif
