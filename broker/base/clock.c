/* clock.c - see clock.h. */
#include <time.h>
#include "broker/base/clock.h"

static int64_t now(clockid_t id)
{
	struct timespec t;

	(void) clock_gettime(id, &t);
	return t.tv_sec * SECOND + t.tv_nsec / 1000;
}

int64_t clock_wall(void) { return now(CLOCK_REALTIME); }
int64_t clock_mono(void) { return now(CLOCK_MONOTONIC); }

void clock_rest(int64_t us)
{
	const struct timespec t = { .tv_sec = us / SECOND, .tv_nsec = us % SECOND * 1000 };

	(void) clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

int64_t clock_left(int64_t deadline)
{
	if (deadline == 0)
		return INT64_MAX;

	const int64_t left = deadline - clock_mono();

	return left > 0 ? left : 0;
}
