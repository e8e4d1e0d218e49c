/*
 * memory.h - what a gateway remembers, and may forget at any moment without harm: doctors that
 * exist, how far each partition is and how long it takes, and where its own undecided commands are
 * in the stream.
 */
#ifndef WEB_MEMORY_H
#define WEB_MEMORY_H
#include <pthread.h>
#include <stdatomic.h>
#include "broker/bus.h"
#include "broker/partition.h"
#include "broker/request_id.h"

#define KNOWN_FOR   (60 * SECOND)
#define KNOWN_AGAIN (5 * SECOND)
enum { KNOWN_ROWS = 1 << 13, KNOWN_WAYS = 8, SENT = 1 << 12 };

struct progress {
	pthread_mutex_t lock;
	/* as its owner told last */
	bool    known;
	int64_t last_seq, waiting;
	/* as commands of this gateway found it, by the clock of this gateway */
	int     ours;			/* threads that wait for an outcome */
	int64_t heard;			/* when something was decided last, or the first of them began to wait */
	int64_t lag;			/* how long the last one took that is known to be decided */
	int64_t top;			/* of those accepted, the last */
	int64_t owed, owed_at;		/* one of them that is not known to be decided: its sequence and when; or 0 */
};
struct sent     { struct digest nonce; int64_t seq; };

struct memory {
	struct known { _Atomic int64_t doctor, asks_at; } known[KNOWN_ROWS][KNOWN_WAYS];	/* doctor 0: free */
	struct progress progress[PARTITIONS];
	pthread_mutex_t sent_lock;
	struct sent     sent[SENT];
};

void    memory_init(struct memory *);
void    memory_know(struct memory *, int64_t doctor, int64_t now);
void    memory_forget(struct memory *, int64_t doctor);
/* Whether the doctor exists, as far as is known here.  *old: that is to be asked anew; who hears so is the only
 * one for KNOWN_AGAIN, and may believe what is known if nobody answers. */
bool    memory_knows(struct memory *, int64_t doctor, int64_t now, bool *old);
void    memory_erased(void *memory, const struct bus_msg *);		/* a bus_fn: facts of who was erased */
void    memory_progress(void *memory, const struct bus_msg *);		/* a bus_fn */
/* Undecided commands before that sequence in the doctor's partition; -1: unknown. */
int64_t memory_ahead(const struct memory *, int64_t doctor, int64_t seq);
/* Whether commands for that doctor are decided more than a second late, as far as is known here. */
bool    memory_behind(const struct memory *, int64_t doctor, int64_t now);
/* A thread begins to wait for an outcome. */
void    memory_waits(struct memory *, int64_t doctor, int64_t now);
/* It has done so (`waited`), or asked only for the acknowledgement: what came of a command. */
void    memory_waited(struct memory *, int64_t doctor, bool waited, int64_t began, int64_t now,
		      const struct bus_outcome *);
/* The command at that sequence was found to be decided. */
void    memory_decided(struct memory *, int64_t doctor, int64_t seq, int64_t now);
void    memory_sent(struct memory *, const struct request_id *, int64_t seq);
int64_t memory_seq(struct memory *, const struct request_id *);		/* 0: forgotten */
#endif
