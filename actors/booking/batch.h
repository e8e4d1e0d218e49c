/*
 * batch.h - whatever has arrived, decided in one transaction: lock, read, decide, write.
 *
 * Two round trips, whether it is 1 command or 256.
 */
#ifndef ACTORS_BOOKING_BATCH_H
#define ACTORS_BOOKING_BATCH_H
#include "actors/booking/mail.h"
#include "actors/core/db.h"

enum { BATCH_MAX = 256 };

/* Where a partition stands: its row of agenda.cursor, as the owner believes it to be. */
struct place {
	int64_t       stream_created, last_seq, last_time;
	struct digest last_request;
	int64_t       stream_now;	/* the creation of the stream that is being read */
};

/* Runs mails, sorted by their sequence, and fills in their outcomes.  `place` has one a partition;
 * those of the mails' partitions are moved on once all is committed.  `*moved` is set when a row
 * is no longer as believed (somebody else owns the partition, or an unknown commit was one):
 * nothing was done.  An error leaves nothing done, but for one at the commit, which leaves it
 * unknown; db_is_poison tells whose fault it is. */
err_t batch_run(struct ctx *, struct mail *, size_t n, struct place *, bool *moved) MUST_CHECK;

/* Fills in the outcomes that an earlier, unknown commit has left for these mails. */
err_t batch_recall(struct ctx *, struct mail *, size_t n) MUST_CHECK;

/* Whether a partition still is where it is believed to be, and a standby has that, too: what lies before
 * is decided for good.  After an error: db_rollback. */
err_t batch_stands(struct ctx *, int partition, const struct place *, bool *stands) MUST_CHECK;
#endif
