/*
 * mail.h - one message of a mailbox: from its bytes to a command, or the reason why it is none.
 */
#ifndef ACTORS_BOOKING_MAIL_H
#define ACTORS_BOOKING_MAIL_H
#include "actors/booking/decide.h"
#include "broker/bus.h"
#include "broker/request_id.h"

/* How far a message is from being a command. */
enum dead {
	DEAD_NOT,
	DEAD_ANSWERED,		/* it cannot be one, or writing it failed; its request id gets `failed` */
	DEAD_SILENT,		/* nor does it name a request */
};

struct mail {
	/* as it came; msg is the loop's to free */
	int             partition;
	int64_t         seq, time;		/* of the stream */
	struct bus_msg *msg;
	int             refused;		/* tries, of it alone, that the database would not store */

	/* as it was read; what it points to lies in the arena or in msg */
	enum dead       dead;
	const char     *why;			/* of a dead one: a short static word */
	struct command  command;		/* of a dead one only what could be read, or zero */
	const char     *inbox;			/* where the outcome goes; NULL: nobody waits */
	size_t          inbox_n;
	int64_t         token;			/* which of that inbox's waiters */

	/* as it is told; only what is committed ever stands here */
	struct str      outcome;		/* msgpack; empty: no answer */
};

/* Reads a message, and forgets whatever was read or told of it before; c->secret keys the body's hash.
 * too_large: the arena has no room for it, which is nobody's fault but that of what lies there. */
err_t mail_read(struct ctx *, struct mail *) MUST_CHECK;
#endif
