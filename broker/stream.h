/*
 * stream.h - JetStream: the log of commands (BOOKING), of facts (EVENTS), and DEAD_LETTERS.
 *
 * A stream is a log; where a reader stands is the reader's own business (agenda.cursor).
 */
#ifndef BROKER_STREAM_H
#define BROKER_STREAM_H
#include "broker/bus.h"

/*        id            name            subjects                            keeps                              full, a new message is */
#define STREAM_TABLE(X)                                                                                        \
	X(BOOKING,      "BOOKING",      "healthmed.v1.booking.*.*",         0 /* owners purge what is decided */, refused) \
	X(EVENTS,       "EVENTS",       "healthmed.v1.events.>",            7 * 86400 /* seconds */,              kept)    \
	X(DEAD_LETTERS, "DEAD_LETTERS", "healthmed.v1.dead_letters.>",      0 /* until dropped */,                refused)

enum stream {
#define X(id, name, subjects, keep, full) STREAM_##id,
	STREAM_TABLE(X)
#undef X
	STREAM_COUNT
};

struct stream_info { int64_t created, first_seq, last_seq, messages, bytes; };	/* created: µs since 1970 */

/* Creates what is missing (limits retention, file storage; replicas and the size of BOOKING from
 * the configuration).  Of what is there, the size of BOOKING follows the configuration, replicas
 * become more; a setting by which something accepted could be lost is invalid, named in
 * c->detail; all others stay as they are. */
err_t stream_ensure(struct ctx *, struct bus *) MUST_CHECK;
/* One alone, should it be missing. */
err_t stream_make(struct ctx *, struct bus *, enum stream) MUST_CHECK;
/* Which stream keeps what is published there; STREAM_COUNT: none, or no message could go there. */
enum stream stream_of(const char *subject);
err_t stream_info(struct ctx *, struct bus *, enum stream, struct stream_info *) MUST_CHECK;	/* not_found */
/* Publishes and waits for the acknowledgement, until c->deadline; `id` is the Nats-Msg-Id, or NULL. */
err_t stream_publish(struct ctx *, struct bus *, const char *subject, const char *id,
		     const struct headers *, struct str body) MUST_CHECK;
/* Deletes messages of one filter below `seq`, which itself stays. */
err_t stream_purge(struct ctx *, struct bus *, enum stream, const char *filter, int64_t seq) MUST_CHECK;
/* The first message of that filter at or after seq; not_found when there is none. */
struct stream_msg { int64_t seq, time; struct bus_msg *msg; };		/* msg: the caller's to bus_free */
err_t stream_get(struct ctx *, struct bus *, enum stream, int64_t seq, const char *filter,
		 struct stream_msg *) MUST_CHECK;
err_t stream_delete_msg(struct ctx *, struct bus *, enum stream, int64_t seq) MUST_CHECK;

/*
 * A reader of some parts of BOOKING: an ephemeral, ack-none push consumer a part, with heartbeat
 * and flow control, all through one inbox.  One thread.  Messages of a part come in the order of
 * the stream, without a gap: when one is missing, the heart stops or the connection was lost,
 * the part is broken, once, and silent until started again.
 */
struct reader;
struct read {
	enum { READ_NOTHING, READ_MESSAGE, READ_BROKEN } what;
	int             part;		/* the number it was started with */
	int64_t         seq, time;	/* of a message: its sequence and µs since 1970 */
	int64_t         waiting;	/* of a message: how many of its part are behind it */
	const char     *why;		/* of a broken part: static text, e.g. "gap", "heartbeat", "reconnect" */
	struct bus_msg *msg;		/* of a message: the caller's to bus_free */
};
err_t reader_open(struct bus *, enum stream, struct reader **) MUST_CHECK;
err_t reader_start(struct ctx *, struct reader *, int part, const char *filter, int64_t from_seq) MUST_CHECK;
void  reader_stop(struct reader *, int part);
void  reader_next(struct reader *, int64_t timeout_us, struct read *);	/* 0: only what is there */
void  reader_close(struct reader *);
#endif
