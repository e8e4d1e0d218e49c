/*
 * tally.h - a counter that one process writes and others read meanwhile, without a lock: what is
 * read may be a moment old, never torn.
 */
#ifndef LOADTEST_TALLY_H
#define LOADTEST_TALLY_H
#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t count_t;

static inline uint64_t tally_of(const count_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* Of the one writer: a load and a store are cheaper than a locked addition. */
static inline void tally_add(count_t *c, uint64_t n)
{
	atomic_store_explicit(c, tally_of(c) + n, memory_order_relaxed);
}
#endif
