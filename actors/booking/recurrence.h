/*
 * recurrence.h - the times that a rule of weekdays and hours stands for, one after the other.
 *
 * Pure, but for the clinic's zone: hours are those of its clocks, and what these pass over is left out.
 */
#ifndef ACTORS_BOOKING_RECURRENCE_H
#define ACTORS_BOOKING_RECURRENCE_H
#include "broker/msg/booking.h"

/* Whether the rule makes sense, and how many times it stands for at the most: 1 to RECUR_MAX. */
bool recurrence_size(const struct booking_recur_req *, size_t *n);

struct recurrence {
	const struct booking_recur_req *rule;
	int64_t day, minute;		/* of the next one; recurrence_begin sets them */
};
struct recurrence recurrence_begin(const struct booking_recur_req *);
bool recurrence_next(struct recurrence *, int64_t *day, int64_t *starts);
#endif
