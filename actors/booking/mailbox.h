/*
 * mailbox.h - the doctors' mailboxes: the loop that owns partitions of the stream BOOKING, takes
 * what has arrived, has it decided in one transaction and answers.
 *
 * One thread, one session of the database, which holds the ownership and commits.  Whatever goes
 * wrong, nothing accepted is judged by an outage: the loop goes back to the cursor and tries again.
 * All that it knows of the world it knows by db.h, stream.h, bus.h and clock.h, which tests/sim binds to
 * a world of its own.
 */
#ifndef ACTORS_BOOKING_MAILBOX_H
#define ACTORS_BOOKING_MAILBOX_H
#include "broker/bus.h"

struct mailbox;
/* In a thread of its own, beside a relay of the outbox.  url: the agenda's database. */
err_t mailbox_start(struct bus *, const char *url, struct mailbox **) MUST_CHECK;
bool  mailbox_is_well(void *mailbox, char *detail, size_t size);	/* a check of admin.h */
void  mailbox_stop(struct mailbox *);	/* ends the batch under way, gives the partitions up, joins */

/* What that consists of: the loop alone, in the thread that calls it, until another says that it ends. */
err_t mailbox_open(struct bus *, const char *url, struct mailbox **) MUST_CHECK;
void  mailbox_run(struct mailbox *);
void  mailbox_end(struct mailbox *);
void  mailbox_close(struct mailbox *);
#endif
