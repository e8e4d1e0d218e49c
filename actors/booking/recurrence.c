/* recurrence.c - see recurrence.h.  Must not know a doctor's agenda or what day it is. */
#include "actors/booking/recurrence.h"

static bool is_wanted(const struct booking_recur_req *q, int64_t day)
{
	const int64_t weekday = (day % 7 + 7 + 3) % 7 + 1;	/* 1970-01-01 was a Thursday */

	for (size_t i = 0; i < q->weekdays.n; i++)
		if (q->weekdays.items[i] == weekday)
			return true;
	return false;
}

bool recurrence_size(const struct booking_recur_req *q, size_t *n)
{
	const int64_t of_a_day = (q->to - q->from) / q->duration_minutes;

	*n = 0;
	if (q->from >= q->to || q->ends_on < q->starts_on || q->ends_on - q->starts_on >= RECUR_DAYS)
		return false;
	for (int64_t day = q->starts_on; day <= q->ends_on; day++)
		if (is_wanted(q, day))
			*n += (size_t) of_a_day;
	return *n > 0 && *n <= RECUR_MAX;
}

struct recurrence recurrence_begin(const struct booking_recur_req *q)
{
	return (struct recurrence) { .rule = q, .day = q->starts_on, .minute = q->from };
}

bool recurrence_next(struct recurrence *r, int64_t *day, int64_t *starts)
{
	const struct booking_recur_req *q = r->rule;

	while (r->day <= q->ends_on) {
		const int64_t minute = r->minute;

		*day = r->day;
		r->minute += q->duration_minutes;
		if (r->minute > q->to || !is_wanted(q, *day)) {
			r->day++;
			r->minute = q->from;
		} else if (time_local(*day, minute, starts)) {
			return true;
		}
	}
	return false;
}
