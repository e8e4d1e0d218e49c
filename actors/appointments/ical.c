/* ical.c - see ical.h.  Must not know who asks, or from where the appointment came. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "actors/appointments/ical.h"
#include "broker/base/clock.h"

enum { LINE_MAX_OCTETS = 75 };		/* without its CR LF */

struct line { struct buf *to; size_t n; };

/* ---- lines ---- */

/* What must stay together: a character, or one that is escaped. */
static void put(struct line *l, const char *p, size_t n)
{
	if (l->n + n > LINE_MAX_OCTETS) {
		buf_put(l->to, "\r\n ", 3);
		l->n = 1;
	}
	buf_put(l->to, p, n);
	l->n += n;
}

static struct line begin(struct buf *to, const char *name)
{
	struct line l = { .to = to };

	put(&l, name, strlen(name));
	put(&l, ":", 1);
	return l;
}

static void end(struct line *l)
{
	buf_put(l->to, "\r\n", 2);
}

/* The octets of the character that begins at p. */
static size_t width(const char *p, size_t left)
{
	const bool leads = (unsigned char) p[0] >= 0xC0;
	size_t n = 1;

	while (leads && n < left && n < 4 && ((unsigned char) p[n] & 0xC0) == 0x80)
		n++;
	return n;
}

void ical_value(struct buf *to, const char *name, struct str value)
{
	struct line l = begin(to, name);

	for (size_t i = 0, n; i < value.n; i += n) {
		n = width(value.p + i, value.n - i);
		put(&l, value.p + i, n);
	}
	end(&l);
}

static void put_escaped(struct line *l, const char *p, size_t n)
{
	switch (*p) {
	case '\\': put(l, "\\\\", 2); return;
	case ';':  put(l, "\\;", 2);  return;
	case ',':  put(l, "\\,", 2);  return;
	case '\n': put(l, "\\n", 2);  return;
	case '\t': put(l, "\t", 1);   return;
	default:
		if ((unsigned char) *p >= ' ' && *p != 0x7f)
			put(l, p, n);
	}
}

void ical_text(struct buf *to, const char *name, struct str text)
{
	struct line l = begin(to, name);

	for (size_t i = 0, n; i < text.n; i += n) {
		n = width(text.p + i, text.n - i);
		if (text.p[i] != '\r')
			put_escaped(&l, text.p + i, n);
		else if (i + 1 == text.n || text.p[i + 1] != '\n')	/* else the \n says it */
			put_escaped(&l, "\n", 1);
	}
	end(&l);
}

void ical_time(struct buf *to, const char *name, int64_t us)
{
	const time_t t = us / SECOND;
	char text[32];
	struct tm tm;

	(void) gmtime_r(&t, &tm);
	(void) strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &tm);
	ical_value(to, name, str_of(text));
}

/* ---- the appointment ---- */

static struct str status_of(const struct appointments_appointment *a)
{
	switch (a->status) {
	case APPOINTMENT_WAITING:
		return STR("TENTATIVE");
	case APPOINTMENT_CANCELLED:
		return STR("CANCELLED");
	case APPOINTMENT_CONFIRMED: case APPOINTMENT_IN_PROGRESS: case APPOINTMENT_CONCLUDED:
	case APPOINTMENT_NO_SHOW:	/* the time was kept for it */
		break;
	}
	return STR("CONFIRMED");
}

/* Grows with every change, as updated_at does: tenths of a second, for which an INTEGER lasts six
 * years; two changes within one are told apart by LAST-MODIFIED and DTSTAMP. */
static int64_t sequence_of(const struct appointments_appointment *a)
{
	const int64_t tenth = SECOND / 10, age = a->updated_at - a->created_at;
	const int64_t n = age > 0 ? (age + tenth - 1) / tenth : 0;

	return n < INT32_MAX ? n : INT32_MAX;
}

void ical_appointment(struct buf *to, const struct appointments_appointment *a, const char *house,
		      int64_t now)
{
	static const struct str head = STR("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"
		"PRODID:-//Health&Med//Health&Med//EN\r\nMETHOD:PUBLISH\r\nBEGIN:VEVENT\r\n");
	static const struct str tail = STR("SUMMARY:Health&Med: appointment\r\nCLASS:PRIVATE\r\n"
		"ORGANIZER;CN=Health&Med:mailto:no-reply@healthmed.invalid\r\n"
		"END:VEVENT\r\nEND:VCALENDAR\r\n");
	char number[24];
	struct buf uid = { .mem = to->mem };

	(void) snprintf(number, sizeof number, "%" PRId64, sequence_of(a));
	buf_fmt(&uid, "appointment-%" PRId64 "@", a->id);
	buf_put(&uid, house, strlen(house));

	buf_put(to, head.p, head.n);
	ical_text(to,  "UID", (struct str) { uid.p, uid.n });
	ical_time(to,  "DTSTAMP", now);
	ical_time(to,  "CREATED", a->created_at);
	ical_time(to,  "LAST-MODIFIED", a->updated_at);
	ical_value(to, "SEQUENCE", str_of(number));
	ical_time(to,  "DTSTART", a->date_time);
	ical_time(to,  "DTEND", a->date_time + a->duration_minutes * 60 * SECOND);
	ical_value(to, "STATUS", status_of(a));
	if (a->has.cancelled_reason)
		ical_text(to, "DESCRIPTION", a->cancelled_reason);
	buf_put(to, tail.p, tail.n);
	to->full |= uid.full;
}
