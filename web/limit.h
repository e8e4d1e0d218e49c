/*
 * limit.h - so many acts of one address in a minute; all of them at once, or evenly.
 *
 * A table of fixed size, without locks.  An address is an IPv4 one or the /64 of an IPv6 one.
 */
#ifndef WEB_LIMIT_H
#define WEB_LIMIT_H
#include <stdatomic.h>
#include "broker/base/str.h"

enum { LIMIT_SLOTS = 1 << 14 };

struct limit {
	int64_t cost;				/* nanoseconds of the minute that one act takes */
	struct limit_slot {
		_Atomic uint64_t who;		/* 0: free */
		_Atomic int64_t  until;		/* when all acts so far are paid for */
	} slot[LIMIT_SLOTS];
};

void     limit_init(struct limit *, int64_t per_minute);
/* What an address is counted as; addresses that cannot be read are one. */
uint64_t limit_who(const char *address);
/* 0: may.  Otherwise: after how many seconds it is worth asking again. */
int      limit_take(struct limit *, uint64_t who, int64_t now_us);
#endif
