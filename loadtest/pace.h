/*
 * pace.h - when each request of an open loop is due: steps of a rate each, one after the other,
 * evenly spaced.  Pure: whoever asks for request i at any time, in any process, hears the same.
 */
#ifndef LOADTEST_PACE_H
#define LOADTEST_PACE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { STEPS_MAX = 64 };

struct step { double rate, seconds; };		/* rate 0: silence */
struct pace { struct step step[STEPS_MAX]; int n; };

static inline uint64_t pace_count(const struct step *s)
{
	return (uint64_t) floor(s->rate * s->seconds + 1e-6);
}

/* The rates and seconds of "2000:60,4000:60"; false when it is none. */
static inline bool pace_read(const char *text, struct pace *p)
{
	char *end;

	for (p->n = 0; p->n < STEPS_MAX; text = end + 1) {
		struct step *s = &p->step[p->n++];

		s->rate = strtod(text, &end);
		if (end == text || *end != ':' || !(s->rate >= 0 && s->rate <= 1e7))
			return false;
		text = end + 1;
		s->seconds = strtod(text, &end);
		if (end == text || !(s->seconds > 0 && s->seconds <= 86400))
			return false;
		if (*end != ',')
			return *end == '\0';
	}
	return false;
}

static inline double pace_seconds(const struct pace *p)
{
	double all = 0;

	for (int k = 0; k < p->n; k++)
		all += p->step[k].seconds;
	return all;
}

/* Microseconds from the start until request i is due, and in which step that is; INT64_MAX when
 * there is no request i. */
static inline int64_t pace_due(const struct pace *p, uint64_t i, int *step)
{
	double begin = 0;

	for (int k = 0; k < p->n; begin += p->step[k++].seconds) {
		const uint64_t count = pace_count(&p->step[k]);

		if (i < count) {
			*step = k;
			return (int64_t) ((begin + (double) i / p->step[k].rate) * 1e6);
		}
		i -= count;
	}
	return INT64_MAX;
}

/* The step that is under way so many microseconds from the start; the last one after its end. */
static inline int pace_step(const struct pace *p, int64_t us)
{
	double end = 0;

	for (int k = 0; k < p->n; k++)
		if ((double) us < (end += p->step[k].seconds) * 1e6)
			return k;
	return p->n - 1;
}
#endif
