/* holidays.c - see holidays.h.  Must not know a zone or a clock. */
#include <stddef.h>
#include <time.h>
#include "actors/booking/holidays.h"

#define DAY 86400

static const struct { int month, day, since; } fixed[] = {
	{  1,  1, 0 },		/* Confraternização Universal */
	{  4, 21, 0 },		/* Tiradentes */
	{  5,  1, 0 },		/* Dia do Trabalho */
	{  9,  7, 0 },		/* Independência */
	{ 10, 12, 1980 },	/* Nossa Senhora Aparecida */
	{ 11,  2, 0 },		/* Finados */
	{ 11, 15, 0 },		/* Proclamação da República */
	{ 11, 20, 2024 },	/* Zumbi e Consciência Negra */
	{ 12, 25, 0 },		/* Natal */
};

/*
 * Easter is the Sunday after the first full moon of spring, both by the church's tables: the moon by
 * the golden number, corrected for the leap days that centuries leave out and for the moon's own drift.
 */
static int64_t easter(int year)
{
	const int golden = year % 19, century = year / 100;
	const int left_out = century - century / 4, drift = (8 * century + 13) / 25;
	int moon = (19 * golden + left_out - drift + 15) % 30;	/* days from 21 March */

	if (moon == 29 || (moon == 28 && golden > 10))
		moon--;		/* no moon later than 18 April, and none twice in 19 years */

	struct tm full = { .tm_year = year - 1900, .tm_mon = 2, .tm_mday = 21 + moon };
	const int64_t day = timegm(&full) / DAY;

	return day + 7 - full.tm_wday;
}

bool holiday_is(int64_t day)
{
	const time_t t = day * DAY;
	struct tm tm;

	(void) gmtime_r(&t, &tm);
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (tm.tm_mon + 1 == fixed[i].month && tm.tm_mday == fixed[i].day)
			return tm.tm_year + 1900 >= fixed[i].since;
	return day == easter(tm.tm_year + 1900) - 2;
}
