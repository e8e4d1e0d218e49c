/*
 * clock.h - the two clocks, both in microseconds.
 *
 * Wall time is for people and rows; every deadline and every duration is of the monotonic
 * one, which no administrator sets.
 */
#ifndef BROKER_BASE_CLOCK_H
#define BROKER_BASE_CLOCK_H
#include <stdint.h>

#define MS     INT64_C(1000)
#define SECOND INT64_C(1000000)

int64_t clock_wall(void);		/* since 1970, UTC */
int64_t clock_mono(void);
void    clock_rest(int64_t us);		/* for loops that look again now and then */
int64_t clock_left(int64_t deadline);	/* 0 when it has passed; INT64_MAX for deadline 0 */
#endif
