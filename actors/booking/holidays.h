/*
 * holidays.h - the national holidays of Brazil, computed.
 *
 * Those of Lei 662/1949 as it stands, of Lei 6.802/1980 (12 October) and of Lei 14.759/2023
 * (20 November, from 2024 on), and Good Friday.  Carnival and Corpus Christi are none: they are
 * days off by decree or by a town's law.
 */
#ifndef ACTORS_BOOKING_HOLIDAYS_H
#define ACTORS_BOOKING_HOLIDAYS_H
#include <stdbool.h>
#include <stdint.h>

bool holiday_is(int64_t day);		/* since 1970-01-01 */
#endif
