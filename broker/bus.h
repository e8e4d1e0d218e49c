/*
 * bus.h - core NATS: requests with an own reply inbox, pools, plain publishing.
 *
 * One connection, reconnecting for ever.  All of a process's replies come through one
 * wildcard subscription and find their waiter by a token; waiters are woken by futex.
 * Only this file and stream.c know nats.c.  Every function may be called from any thread.
 */
#ifndef BROKER_BUS_H
#define BROKER_BUS_H
#include "broker/wire.h"

struct bus;
struct bus_msg;		/* one message that arrived; owned by whoever took it */
struct bus_sub;

/* `name` is seen by operators (nats server report).  Waits up to 5 s for a first connection;
 * unavailable after that, with the reason in `why` (256 bytes). */
err_t bus_open(const char *urls, const char *name, struct bus **, char *why) MUST_CHECK;
bool  bus_is_up(const struct bus *);
/* A server has refused our login for good: the process has got SIGTERM for it, and ends with EXIT_AWAY. */
bool  bus_was_refused(void);
int64_t bus_losses(const struct bus *);	/* when it grows, something that is listened to may have been missed */
void  bus_drain(struct bus *);	/* no new deliveries; what arrived is still handed out */
void  bus_close(struct bus *);	/* when no other thread uses it any more */

/* Request and reply; waits until c->deadline.  The reply's bytes are in the arena.
 * unavailable: no responders or not connected (at once); timeout; or the error of the headers. */
err_t bus_request(struct ctx *, struct bus *, const char *subject, const struct headers *,
		  struct str body, struct str *reply) MUST_CHECK;

/* A mailbox command: published to a stream, answered by an outcome.  Waits on the outcome
 * alone; the stream's acknowledgement is only noted. */
struct bus_outcome {
	enum { OUTCOME_UNKNOWN, OUTCOME_ACCEPTED, OUTCOME_DECIDED } state;
	int64_t    seq;			/* when accepted or decided after it: the stream's sequence, else 0 */
	struct str outcome;		/* when decided: msgpack of booking_outcome, in the arena */
};
/* Adds WIRE_INBOX to the headers.  With wait_us == 0 it waits for the acknowledgement only, until
 * c->deadline.  An outcome of more than `room` bytes is not taken: it counts as undecided, and can be
 * asked for.  unavailable: not connected, nobody keeps the stream, or it is full: surely not accepted. */
enum { OUTCOME_USUAL = 4096, OUTCOME_MOST = 256 << 10 };
err_t bus_command(struct ctx *, struct bus *, const char *subject, struct headers *,
		  struct str body, int64_t wait_us, size_t room, struct bus_outcome *) MUST_CHECK;

/* Fire and forget. */
err_t bus_publish(struct bus *, const char *subject, const struct headers *, struct str body) MUST_CHECK;

/* A pool's subscription: any number of threads may take from it.  queue NULL: every message. */
err_t bus_subscribe(struct bus *, const char *subject, const char *queue, struct bus_sub **) MUST_CHECK;
/* NULL after timeout_us, or when the subscription is drained and empty (*closed = true). */
struct bus_msg *bus_take(struct bus_sub *, int64_t timeout_us, bool *closed);
void  bus_unsubscribe(struct bus_sub *);	/* after the last thread has left it */

/* Delivered on a thread of the library's, one message of a subject at a time; must be quick. */
typedef void bus_fn(void *of, const struct bus_msg *);
err_t bus_listen(struct bus *, const char *subject, bus_fn *, void *of) MUST_CHECK;
/* Ends all listening for `of`; afterwards none of its functions runs.  Not from such a function. */
void  bus_unlisten(struct bus *, void *of);

struct str  bus_subject(const struct bus_msg *);
struct str  bus_body(const struct bus_msg *);
const char *bus_reply_to(const struct bus_msg *);		/* NULL: nobody waits */
const char *bus_header(const struct bus_msg *, const char *);	/* NULL: absent */
void        bus_free(struct bus_msg *);
void        bus_freep(struct bus_msg **);			/* for CLEANUP */
#endif
