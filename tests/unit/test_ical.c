/* test_ical.c - what a calendar reads: lines of RFC 5545, and the appointment in them. */
#include <stdio.h>
#include "actors/appointments/ical.h"
#include "broker/base/clock.h"
#include "tests/unit/test.h"

static struct str text_line(const char *name, struct str text)
{
	struct buf b = { .mem = fresh()->mem };

	ical_text(&b, name, text);
	assert_false(b.full);
	return (struct str) { b.p, b.n };
}

/* Lines as they were before they were folded. */
static struct str unfolded(struct ctx *c, struct str s)
{
	struct buf b = { .mem = c->mem };

	for (size_t i = 0; i < s.n; i++)
		if (i + 2 < s.n && memcmp(s.p + i, "\r\n ", 3) == 0)
			i += 2;
		else
			buf_put(&b, s.p + i, 1);
	return (struct str) { b.p, b.n };
}

static size_t longest(struct str s)
{
	size_t max = 0, n = 0;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n')
			n = 0;
		else if (s.p[i] != '\r' && ++n > max)
			max = n;
	return max;
}

TEST(marks_that_mean_something_are_escaped)
{
	assert_str(text_line("X", STR("a,b;c\\d:e\"f")), "X:a\\,b\\;c\\\\d:e\"f\r\n");
	assert_str(text_line("X", STR("")), "X:\r\n");
}

TEST(every_way_of_ending_a_line_is_one_escaped_newline)
{
	assert_str(text_line("X", STR("a\nb\r\nc\rd\n\re\r")), "X:a\\nb\\nc\\nd\\n\\ne\\n\r\n");
}

TEST(what_no_calendar_can_hold_is_left_out)
{
	assert_str(text_line("X", STR("a\x01\x1b[0m\tb\x7f" "c")), "X:a[0m\tbc\r\n");
}

TEST(a_line_of_75_octets_is_whole_and_one_more_is_folded)
{
	char a[200], fold[3];
	struct str s;

	memset(a, 'a', sizeof a);
	s = text_line("X", (struct str) { a, 73 });
	assert_int_equal(s.n, 77);
	s = text_line("X", (struct str) { a, 74 });
	memcpy(fold, s.p + 75, 3);
	assert_memory_equal(fold, "\r\n ", 3);
	assert_int_equal(s.n, 2 + 74 + 3 + 2);
	s = text_line("X", (struct str) { a, 200 });
	assert_int_equal(longest(s), 75);
}

TEST(no_character_is_torn_by_a_fold)
{
	static const char *const letters[] = { "é", "€", "😀", "\\", ";" };

	for (size_t k = 0; k < COUNT(letters); k++)
		for (size_t shift = 0; shift < 4; shift++) {
			const size_t n = strlen(letters[k]);
			char text[512] = "aaaa";
			size_t used = shift, line = 0;

			for (; used + n < 400; used += n)
				memcpy(text + used, letters[k], n);

			const struct str s = text_line("X", (struct str) { text, used });

			assert_true(longest(s) <= 75);
			for (size_t i = 0; i + 1 < s.n; i++)
				if (s.p[i] == '\r') {
					assert_true(str_points((struct str) { s.p + line, i - line }) > 0);
					line = i + 2;
				}
		}
}

TEST(a_time_is_told_in_utc)
{
	struct buf b = { .mem = fresh()->mem };
	int64_t t;

	assert_true(time_parse(STR("2027-01-04T10:00:59.9-03:00"), &t));
	ical_time(&b, "DTSTART", t);
	assert_str(((struct str) { b.p, b.n }), "DTSTART:20270104T130059Z\r\n");
}

/* ---- the appointment ---- */

static struct appointments_appointment visit(void)
{
	struct appointments_appointment a = { .set = { 0 } };

	SET(&a, id, 7);
	SET(&a, patient_id, 600001);
	SET(&a, doctor_id, 500001);
	SET(&a, status, APPOINTMENT_WAITING);
	SET(&a, duration_minutes, 45);
	assert_true(time_parse(STR("2026-11-20T08:00:00Z"), &a.created_at));
	assert_true(time_parse(STR("2027-01-04T13:00:00Z"), &a.date_time));
	a.updated_at = a.created_at;
	return a;
}

static const char *calendar(const struct appointments_appointment *a)
{
	struct ctx *c = fresh();
	struct buf b = { .mem = c->mem };
	struct str s;
	char *text;

	ical_appointment(&b, a, "clinic.example", a->updated_at + SECOND);
	assert_false(b.full);
	s = unfolded(c, (struct str) { b.p, b.n });
	assert_true(longest((struct str) { b.p, b.n }) <= 75);
	text = arena_alloc(c->mem, s.n + 1);
	assert_non_null(text);
	return memcpy(text, s.p, s.n);
}

TEST(an_appointment_is_one_event_and_says_no_more_than_it_must)
{
	const struct appointments_appointment a = visit();

	assert_string_equal(calendar(&a),
		"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Health&Med//Health&Med//EN\r\nMETHOD:PUBLISH\r\n"
		"BEGIN:VEVENT\r\nUID:appointment-7@clinic.example\r\nDTSTAMP:20261120T080001Z\r\n"
		"CREATED:20261120T080000Z\r\nLAST-MODIFIED:20261120T080000Z\r\nSEQUENCE:0\r\n"
		"DTSTART:20270104T130000Z\r\nDTEND:20270104T134500Z\r\nSTATUS:TENTATIVE\r\n"
		"SUMMARY:Health&Med: appointment\r\nCLASS:PRIVATE\r\n"
		"ORGANIZER;CN=Health&Med:mailto:no-reply@healthmed.invalid\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
}

TEST(each_state_has_its_status)
{
	static const char *const status[] = { "TENTATIVE", "CONFIRMED", "CONFIRMED", "CONFIRMED",
		"CANCELLED", "CONFIRMED" };
	struct appointments_appointment a = visit();

	for (size_t i = 0; i < COUNT(status); i++) {
		char line[64] = "\r\nSTATUS:";

		SET(&a, status, (enum appointment_status) i);
		memcpy(line + strlen(line), status[i], strlen(status[i]) + 1);
		assert_non_null(strstr(calendar(&a), line));
	}
}

TEST(the_reason_of_a_cancellation_is_told_as_text)
{
	struct appointments_appointment a = visit();

	SET(&a, status, APPOINTMENT_CANCELLED);
	SET(&a, cancelled_reason, STR("a cold;\nno visit\r\nEND:VEVENT"));
	assert_non_null(strstr(calendar(&a), "\r\nDESCRIPTION:a cold\\;\\nno visit\\nEND:VEVENT\r\n"));
}

static int sequence(struct appointments_appointment *a, int64_t age)
{
	int n;

	a->updated_at = a->created_at + age;
	assert_int_equal(sscanf(strstr(calendar(a), "SEQUENCE:"), "SEQUENCE:%d", &n), 1);
	return n;
}

TEST(the_sequence_grows_with_the_changes_and_never_leaves_its_range)
{
	struct appointments_appointment a = visit();

	assert_int_equal(sequence(&a, 0), 0);
	assert_int_equal(sequence(&a, 1), 1);
	assert_int_equal(sequence(&a, SECOND), 10);
	assert_int_equal(sequence(&a, 365 * 86400 * SECOND), 315360000);
	assert_int_equal(sequence(&a, INT64_C(9999) * 86400 * SECOND), INT32_MAX);
}
