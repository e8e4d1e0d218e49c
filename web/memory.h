/*
 * memory.h - what a gateway remembers, and may forget at any moment without harm: doctors that
 * exist, how far each partition is, and where its own undecided commands are in the stream.
 */
#ifndef WEB_MEMORY_H
#define WEB_MEMORY_H
#include <pthread.h>
#include <stdatomic.h>
#include "broker/bus.h"
#include "broker/partition.h"
#include "broker/request_id.h"

enum { KNOWN_ROWS = 1 << 13, KNOWN_WAYS = 8, SENT = 1 << 12 };

struct progress { _Atomic bool known; _Atomic int64_t last_seq, waiting; };
struct sent     { struct digest nonce; int64_t seq; };

struct memory {
	_Atomic int64_t known[KNOWN_ROWS][KNOWN_WAYS];
	struct progress progress[PARTITIONS];
	pthread_mutex_t sent_lock;
	struct sent     sent[SENT];
};

void    memory_know(struct memory *, int64_t doctor);
bool    memory_knows(const struct memory *, int64_t doctor);
void    memory_progress(void *memory, const struct bus_msg *);		/* a bus_fn */
/* Undecided commands before that sequence in the doctor's partition; -1: unknown. */
int64_t memory_ahead(const struct memory *, int64_t doctor, int64_t seq);
void    memory_sent(struct memory *, const struct request_id *, int64_t seq);
int64_t memory_seq(struct memory *, const struct request_id *);		/* 0: forgotten */
#endif
