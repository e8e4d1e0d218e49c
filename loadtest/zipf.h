/*
 * zipf.h - chance that can be repeated, and choices by it: evenly, by weights, and by Zipf's law
 * (the k-th most wanted of n things is wanted 1/k^s as often as the first).  Pure.
 */
#ifndef LOADTEST_ZIPF_H
#define LOADTEST_ZIPF_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* The finalizer of splitmix64 (Sebastiano Vigna): number n of a series. */
static inline uint64_t draw(uint64_t series, uint64_t n)
{
	uint64_t z = (series + 1) * UINT64_C(0xd1342543de82ef95) + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The same in [0, 1). */
static inline double draw_share(uint64_t series, uint64_t n)
{
	return (double) (draw(series, n) >> 11) * 0x1p-53;
}

/* Weights become the share of all that lies before the end of each. */
static inline void shares_of(double *weight, size_t n)
{
	double all = 0, before = 0;

	for (size_t i = 0; i < n; i++)
		all += weight[i];
	for (size_t i = 0; i < n; i++)
		weight[i] = (before += weight[i]) / all;
}

static inline void zipf_shares(double *share, size_t n, double s)
{
	for (size_t i = 0; i < n; i++)
		share[i] = pow((double) (i + 1), -s);
	shares_of(share, n);
}

/* Whose part of all u, in [0, 1), falls into. */
static inline size_t share_pick(const double *share, size_t n, double u)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (u < share[mid])
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}
#endif
