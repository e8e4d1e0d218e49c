/*
 * microcache.h - answers that are the same for all who may ask, kept for a moment: however many look at
 * the free slots of one doctor, the actors are asked a few times a second.
 *
 * An entry holds its own key, the address as it was asked.  It lives no longer than `keep`, and not beyond
 * a change of its doctor's that went through this gateway: whoever made that reads what he wrote.  Changes
 * made elsewhere are seen when the moment is over.  Only what was answered 200 is kept, and nothing is served
 * before it is known that the caller may ask.  A table of fixed size, a lock a set.
 */
#ifndef WEB_MICROCACHE_H
#define WEB_MICROCACHE_H
#include <pthread.h>
#include <stdatomic.h>
#include "broker/base/str.h"

enum {
	MICROCACHE_SETS = 256, MICROCACHE_WAYS = 4, MICROCACHE_DOCTORS = 1 << 10,
	MICROCACHE_KEY = 256, MICROCACHE_HEAD = 512, MICROCACHE_BODY = 24 << 10,	/* larger is not kept */
};

struct microcache {
	int64_t          keep;			/* microseconds; 0: nothing is kept */
	_Atomic uint64_t changes[MICROCACHE_DOCTORS];	/* how many, of the doctors whose numbers meet here */
	struct microcache_set {
		pthread_mutex_t lock;
		struct kept {
			int64_t  until, doctor;		/* of nobody alone: 0 */
			uint64_t changes;
			size_t   nkey, nhead, nbody;
			char     key[MICROCACHE_KEY], head[MICROCACHE_HEAD], body[MICROCACHE_BODY];
		} way[MICROCACHE_WAYS];
	} set[MICROCACHE_SETS];
};

/* What is kept of an answer: its own headers, as lines, and its body. */
struct answer_kept { struct str head, body; };

/* Of memory that is all zeroes: it is not touched before it is of use. */
void     microcache_init(struct microcache *, int64_t keep);
/* In the arena. */
bool     microcache_get(struct microcache *, struct arena *, struct str path, struct str query, int64_t now,
			struct answer_kept *);
/* The state before the actors are asked goes with what they answer. */
uint64_t microcache_state(struct microcache *, int64_t doctor);
void     microcache_put(struct microcache *, struct str path, struct str query, int64_t doctor, uint64_t state,
			int64_t now, struct answer_kept);
void     microcache_changed(struct microcache *, int64_t doctor);
#endif
