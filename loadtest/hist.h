/*
 * hist.h - a histogram of durations with buckets of 1/128 of their size: every value below an
 * hour is told to better than 1 %, in 3,328 counters, whatever was measured.
 *
 * One thread writes; who adds histograms up waits for that thread first.
 */
#ifndef LOADTEST_HIST_H
#define LOADTEST_HIST_H
#include <stdint.h>

enum { HIST_BITS = 7, HIST_SUB = 1 << HIST_BITS, HIST_BUCKETS = (33 - HIST_BITS) * HIST_SUB };

struct hist {
	uint64_t bucket[HIST_BUCKETS], n, sum;
	int64_t  max;
};

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

static inline void hist_add(struct hist *h, int64_t us)
{
	h->bucket[hist_index(us)]++;
	h->n++;
	h->sum += us > 0 ? (uint64_t) us : 0;
	if (us > h->max)
		h->max = us;
}

static inline void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->n += from->n;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
}

/* The least upper end of a bucket below which `share` of all values lie; 0 when there are none. */
static inline int64_t hist_at(const struct hist *h, double share)
{
	const double want = share * (double) h->n;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		const unsigned shift = i < 2 * HIST_SUB ? 0 : i / HIST_SUB - 1;
		const int64_t end = ((int64_t) (i - shift * HIST_SUB + 1) << shift) - 1;

		seen += h->bucket[i];
		if (seen > 0 && (double) seen >= want)
			return end < h->max ? end : h->max;
	}
	return h->max;
}
#endif
