/*
 * ical.h - an appointment as an iCalendar object (RFC 5545), to be put into one's own calendar.
 *
 * It tells what both sides know already, and no names: those are of another domain.  Its METHOD
 * is PUBLISH (RFC 5546): nobody is asked to answer.  Everything is pure; the text lies in the
 * buffer's arena.
 */
#ifndef ACTORS_APPOINTMENTS_ICAL_H
#define ACTORS_APPOINTMENTS_ICAL_H
#include "broker/msg/appointments.h"

/* `house` makes the UID one of the world; `now` is when the object is made. */
void ical_appointment(struct buf *, const struct appointments_appointment *, const char *house,
		      int64_t now);

/* One content line, folded at 75 octets, never within a character.  A value stands as it is; a
 * text is escaped: what ends a line in it becomes \n, other control characters are left out,
 * since no calendar can hold them. */
void ical_value(struct buf *, const char *name, struct str value);
void ical_text(struct buf *, const char *name, struct str text);
void ical_time(struct buf *, const char *name, int64_t us);	/* in UTC, to the second */
#endif
