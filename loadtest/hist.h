/*
 * hist.h - a histogram of durations with buckets of 1/128 of their size: every value below an
 * hour is told to better than 1 %, in 3,328 counters, whatever was measured.
 *
 * One process writes; others may add it up meanwhile.
 */
#ifndef LOADTEST_HIST_H
#define LOADTEST_HIST_H
#include "loadtest/tally.h"

enum { HIST_BITS = 7, HIST_SUB = 1 << HIST_BITS, HIST_BUCKETS = (33 - HIST_BITS) * HIST_SUB };

struct hist { count_t bucket[HIST_BUCKETS], n, sum, max; };

/* Values below 256 have a bucket each; above, a power of two is cut into 128. */
static inline unsigned hist_index(int64_t us)
{
	const uint64_t v = us < 0 ? 0 : us >> 32 ? UINT32_MAX : (uint64_t) us;
	unsigned shift;

	if (v < 2 * HIST_SUB)
		return (unsigned) v;
	shift = 63 - HIST_BITS - (unsigned) __builtin_clzll(v);
	return shift * HIST_SUB + (unsigned) (v >> shift);
}

/* The largest value of a bucket. */
static inline int64_t hist_end(unsigned i)
{
	const unsigned shift = i < 2 * HIST_SUB ? 0 : i / HIST_SUB - 1;

	return ((int64_t) (i - shift * HIST_SUB + 1) << shift) - 1;
}

static inline void hist_add(struct hist *h, int64_t us)
{
	const uint64_t v = us > 0 ? (uint64_t) us : 0;

	tally_add(&h->bucket[hist_index(us)], 1);
	tally_add(&h->n, 1);
	tally_add(&h->sum, v);
	if (v > tally_of(&h->max))
		atomic_store_explicit(&h->max, v, memory_order_relaxed);
}

static inline void hist_merge(struct hist *to, const struct hist *from)
{
	if (tally_of(&from->n) == 0)
		return;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		tally_add(&to->bucket[i], tally_of(&from->bucket[i]));
	tally_add(&to->n, tally_of(&from->n));
	tally_add(&to->sum, tally_of(&from->sum));
	if (tally_of(&from->max) > tally_of(&to->max))
		atomic_store_explicit(&to->max, tally_of(&from->max), memory_order_relaxed);
}

/* The end of the first bucket up to which `share` of all values lie that came since an older copy
 * (NULL: of all); 0 when there are none. */
static inline int64_t hist_since(const struct hist *h, const struct hist *older, double share)
{
	uint64_t all = 0, seen = 0;
	const int64_t max = (int64_t) tally_of(&h->max);

#define NEW(i) (tally_of(&h->bucket[i]) - (older ? tally_of(&older->bucket[i]) : 0))
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		all += NEW(i);
	for (unsigned i = 0; i < HIST_BUCKETS && all > 0; i++) {
		seen += NEW(i);
		if (seen > 0 && (double) seen >= share * (double) all)
			return hist_end(i) < max ? hist_end(i) : max;
	}
#undef NEW
	return 0;
}

static inline int64_t hist_at(const struct hist *h, double share)
{
	return hist_since(h, NULL, share);
}
#endif
