/* test_recurrence.c - which days are holidays, and which times a rule of weekdays and hours stands for. */
#include "actors/booking/holidays.h"
#include "actors/booking/recurrence.h"
#include "broker/base/clock.h"
#include "tests/unit/test.h"

static int64_t day(const char *date)
{
	int64_t d;

	assert_true(date_parse(str_of(date), &d));
	return d;
}

static int64_t at(const char *time)
{
	int64_t t;

	assert_true(time_parse(str_of(time), &t));
	return t;
}

TEST(the_national_holidays_of_several_years_are_those_that_were_announced)
{
	static const char *const holidays[] = {
		/* 2023 had no 20 November yet */
		"2023-01-01", "2023-04-07", "2023-04-21", "2023-05-01", "2023-09-07", "2023-10-12", "2023-11-02",
		"2023-11-15", "2023-12-25",
		"2024-01-01", "2024-03-29", "2024-04-21", "2024-05-01", "2024-09-07", "2024-10-12", "2024-11-02",
		"2024-11-15", "2024-11-20", "2024-12-25",
		"2025-01-01", "2025-04-18", "2025-04-21", "2025-05-01", "2025-09-07", "2025-10-12", "2025-11-02",
		"2025-11-15", "2025-11-20", "2025-12-25",
		"2026-01-01", "2026-04-03", "2026-04-21", "2026-05-01", "2026-09-07", "2026-10-12", "2026-11-02",
		"2026-11-15", "2026-11-20", "2026-12-25",
		"2027-01-01", "2027-03-26", "2027-04-21", "2027-05-01", "2027-09-07", "2027-10-12", "2027-11-02",
		"2027-11-15", "2027-11-20", "2027-12-25",
	};
	size_t n = 0;

	(void) fresh();
	for (int64_t d = day("2023-01-01"); d <= day("2027-12-31"); d++)
		if (holiday_is(d)) {
			assert_true(n < COUNT(holidays));
			assert_int_equal(d, day(holidays[n]));
			n++;
		}
	assert_int_equal(n, COUNT(holidays));
}

TEST(good_friday_moves_with_the_moon)
{
	/* The earliest and the latest of Easters, and two for which the tables have an exception. */
	static const char *const fridays[] = { "1818-03-20", "2285-03-20", "1943-04-23", "2038-04-23",
		"1954-04-16", "1981-04-17", "2049-04-16", "2076-04-17", "2000-04-21", "2100-03-26" };

	(void) fresh();
	for (size_t i = 0; i < COUNT(fridays); i++)
		assert_true(holiday_is(day(fridays[i])));
	assert_false(holiday_is(day("2026-02-17")));	/* carnival */
	assert_false(holiday_is(day("2026-04-05")));	/* Easter itself is a Sunday, and no holiday by law */
	assert_false(holiday_is(day("2026-06-04")));	/* Corpus Christi */
	assert_false(holiday_is(day("1979-10-12")));
	assert_true(holiday_is(day("1980-10-12")));
}

static struct booking_recur_req rule(const char *weekdays, int64_t from, int64_t to, int64_t minutes,
				     const char *starts_on, const char *ends_on)
{
	static int64_t items[8];
	struct booking_recur_req q = { .weekdays = { items, strlen(weekdays) } };

	for (size_t i = 0; i < q.weekdays.n; i++)
		items[i] = weekdays[i] - '0';
	SET(&q, from, from);
	SET(&q, to, to);
	SET(&q, duration_minutes, minutes);
	SET(&q, starts_on, day(starts_on));
	SET(&q, ends_on, day(ends_on));
	return q;
}

static void expect(const struct booking_recur_req *q, const char *const *times)
{
	struct recurrence r = recurrence_begin(q);
	int64_t d, t, wanted;

	for (; *times != NULL; times++) {
		assert_true(recurrence_next(&r, &d, &t));
		assert_int_equal(t, at(*times));
		assert_true(date_parse((struct str) { *times, 10 }, &wanted));
		assert_int_equal(d, wanted);
	}
	assert_false(recurrence_next(&r, &d, &t));
	assert_false(recurrence_next(&r, &d, &t));
}

TEST(a_rule_stands_for_its_hours_on_its_days)
{
	size_t n;

	(void) fresh();
	struct booking_recur_req q = rule("13", 8 * 60, 10 * 60, 50, "2027-01-04", "2027-01-11");

	expect(&q, (const char *const[]) { "2027-01-04 08:00", "2027-01-04 08:50", "2027-01-06 08:00",
		"2027-01-06 08:50", "2027-01-11 08:00", "2027-01-11 08:50", NULL });
	assert_true(recurrence_size(&q, &n));
	assert_int_equal(n, 6);
	q = rule("7", 23 * 60, 24 * 60, 60, "2027-01-03", "2027-01-03");
	expect(&q, (const char *const[]) { "2027-01-03 23:00", NULL });
	q = rule("777", 0, 60, 60, "2027-01-03", "2027-01-03");		/* said thrice is said once */
	expect(&q, (const char *const[]) { "2027-01-03 00:00", NULL });
}

TEST(a_rule_that_makes_no_sense_or_stands_for_nothing_or_too_much_is_none)
{
	size_t n;

	(void) fresh();
#define REFUSED(...) do { const struct booking_recur_req q_ = rule(__VA_ARGS__); \
		assert_false(recurrence_size(&q_, &n)); } while (0)
	REFUSED("1", 600, 600, 30, "2027-01-04", "2027-01-04");
	REFUSED("1", 660, 600, 30, "2027-01-04", "2027-01-04");
	REFUSED("1", 600, 620, 30, "2027-01-04", "2027-01-04");		/* no room for one */
	REFUSED("2", 600, 660, 30, "2027-01-04", "2027-01-04");		/* a Monday */
	REFUSED("1", 600, 660, 30, "2027-01-11", "2027-01-04");
	REFUSED("1", 600, 660, 30, "2027-01-01", "2028-01-02");		/* 367 days */
	REFUSED("1234567", 0, 1440, 120, "2027-01-01", "2028-01-01");	/* 4,392 times */
	REFUSED("", 600, 660, 30, "2027-01-04", "2027-01-04");
#undef REFUSED
	struct booking_recur_req q = rule("1234567", 0, 1440, 130, "2027-01-01", "2028-01-01");

	assert_true(recurrence_size(&q, &n));
	assert_int_equal(n, 366 * 11);
}

TEST(hours_that_the_clocks_pass_over_are_left_out_and_those_of_the_day_stay)
{
	/* In the zone of these tests clocks went from 0:00 to 1:00 on the first Sunday of November. */
	(void) fresh();
	const struct booking_recur_req q = rule("7", 0, 180, 60, "2026-11-01", "2026-11-08");

	expect(&q, (const char *const[]) { "2026-11-01 01:00", "2026-11-01 02:00",
		"2026-11-08 00:00", "2026-11-08 01:00", "2026-11-08 02:00", NULL });
}
