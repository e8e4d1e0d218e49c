/*
 * mailbox.h - the doctors' mailboxes: the loop that owns partitions of the stream BOOKING, takes
 * what has arrived, has it decided in one transaction and answers.
 *
 * One thread, one session of the database, which holds the ownership and commits.  Whatever goes
 * wrong, nothing accepted is judged by an outage: the loop goes back to the cursor and tries again.
 */
#ifndef ACTORS_BOOKING_MAILBOX_H
#define ACTORS_BOOKING_MAILBOX_H
#include "broker/bus.h"

struct mailbox;
/* url: the agenda's database. */
err_t mailbox_start(struct bus *, const char *url, struct mailbox **) MUST_CHECK;
bool  mailbox_is_well(void *mailbox, char *detail, size_t size);	/* a check of admin.h */
void  mailbox_stop(struct mailbox *);	/* ends the batch under way, gives the partitions up, joins */
#endif
