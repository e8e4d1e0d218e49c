/*
 * follower.h - a domain that goes on where the facts of others lead: a thread that reads the stream
 * EVENTS and applies each message of it once.
 *
 * Up to where it has read stands in the domain's own schema and moves in the transaction of the effects,
 * so that nothing is applied twice or left out, whatever dies when.  Two processes of a domain share the
 * position: what one has applied the other passes over.  A stream that is not the remembered one is
 * followed from its start, and facts of two transactions may change places on their way: effects are
 * idempotent all the same (see facts.h).
 *
 * Facts that a domain does not follow cost it no transaction: the position passes them now and then.
 * Where they come thick and fast, a transaction takes in what a quarter of a second brought, and facts of
 * one kind are applied as one list.
 *
 * What the database refuses as data is told in the log and passed over; everything else is tried again
 * for ever.
 *
 * The domain's queries, found by name:
 *	<domain>_follow_lock  in: -             out: follow_place   FOR UPDATE
 *	<domain>_follow_move  in: follow_place  out: -
 */
#ifndef ACTORS_CORE_FOLLOWER_H
#define ACTORS_CORE_FOLLOWER_H
#include "actors/core/cache.h"
#include "actors/core/outbox.h"

/*             from  kind   name            need min max  of */
#define FOLLOW_PLACE(F, T)                                        \
	F(T,   BODY, TIME,  stream_created, REQ, 0, TIME_MAX,  -) \
	F(T,   BODY, INT,   last_seq,       REQ, 0, INT64_MAX, -)
MSG_DECLARE(follow_place, FOLLOW_PLACE)

/* What facts of one kind, "booking.booked", mean for a domain's own data; a table of them ends with NULL.
 * They are applied in a transaction of the caller's, those of several messages at once, kind by kind. */
struct followed {
	const char *fact;
	err_t     (*apply)(struct ctx *, const struct facts *);
};
/* Something small and bounded that is due every now and then, in a transaction of its own. */
typedef err_t chore_fn(struct ctx *);

struct plan_of_follower {
	const char   *domain, *url;
	const char   *redis;		/* "" or NULL: no cache */
	const struct followed *follows;
	chore_fn     *chore;		/* NULL: none */
	int           chore_s;
	struct relay *relay;		/* woken after each transaction; NULL: there is none */
};

struct follower;
err_t follower_start(struct bus *, const struct plan_of_follower *, struct follower **) MUST_CHECK;
void  follower_stop(struct follower *);		/* ends the transaction under way, joins; NULL: nobody */
#endif
