/*
 * ended.h - sessions that have ended while tokens of theirs may live, in a table of fixed size.
 *
 * Nothing is forgotten before the last of those tokens has ended.  When a set of the table is full,
 * spans of one user are joined, which ends what lies between them too; when there are none, the one
 * that would go first is dropped for a bound: of all users of the set, tokens that end no later than
 * its own did are refused.  So a full table refuses more, never less, and whoever is hit by that
 * refreshes.  Any number of threads; no allocation.
 */
#ifndef WEB_ENDED_H
#define WEB_ENDED_H
#include <pthread.h>
#include "broker/msg/users.h"

enum { ENDED_SETS = 1 << 12, ENDED_WAYS = 16 };		/* 65536 spans, 2.3 MiB */

struct ended {
	struct ended_set {
		pthread_mutex_t lock;
		int64_t         bound;			/* µs: tokens that end until then are refused */
		struct ended_span { int64_t user, from, to, ends; } span[ENDED_WAYS];	/* user 0: free */
	} set[ENDED_SETS];
};

void ended_init(struct ended *);
void ended_add(struct ended *, const struct users_ended *, int64_t now_us);
/* Whether a token of that session, which ends at exp_us, is one of a session that has ended. */
bool ended_has(struct ended *, int64_t user, int64_t session, int64_t exp_us);
#endif
