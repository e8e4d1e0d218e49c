/* schedules.h - slots: what one can read of a doctor's schedule.  Changes are in booking.h. */
#ifndef BROKER_MSG_SCHEDULES_H
#define BROKER_MSG_SCHEDULES_H
#include "broker/msg.h"

/*             from   kind  name                 need min  max  of */
#define SCHEDULES_SLOT(F, T)                                                \
	F(T,   BODY,  INT,  id,                  REQ, 1, INT64_MAX, -)      \
	F(T,   BODY,  INT,  doctor_id,           REQ, 1, INT64_MAX, -)      \
	F(T,   BODY,  TIME, date_time_available, REQ, 0, TIME_MAX,  -)      \
	F(T,   BODY,  INT,  duration_minutes,    REQ, 1, 1440,      -)      \
	F(T,   BODY,  BOOL, active,              REQ, 0, 0,         -)      \
	F(T,   BODY,  BOOL, booked,              REQ, 0, 0,         -)      \
	F(T,   BODY,  TIME, created_at,          REQ, 0, TIME_MAX,  -)      \
	F(T,   BODY,  TIME, updated_at,          REQ, 0, TIME_MAX,  -)
#define SCHEDULES_PAGE(F, T)                                                \
	F(T,   BODY,  LIST, items,               REQ, 0, 100, schedules_slot) \
	F(T,   BODY,  TEXT, next,                OPT, 1, 64,        -)
#define SCHEDULES_LIST_REQ(F, T)                                            \
	F(T,   QUERY, TIME, from,                OPT, 0, TIME_MAX,  -)      \
	F(T,   QUERY, TIME, to,                  OPT, 0, TIME_MAX,  -)      \
	F(T,   QUERY, BOOL, active,              OPT, 0, 0,         -)      \
	F(T,   QUERY, BOOL, booked,              OPT, 0, 0,         -)      \
	F(T,   QUERY, INT,  limit,               OPT, 1, 100,       -)      \
	F(T,   QUERY, TEXT, cursor,              OPT, 1, 64,        -)      \
	F(T,   OURS,  BOOL, steady,              OPT, 0, 0,         -)  /* by id, which stays */
#define SCHEDULES_GET_REQ(F, T)                                             \
	F(T,   PATH,  INT,  id,                  REQ, 1, INT64_MAX, -)
#define SCHEDULES_FREE_REQ(F, T)                                            \
	F(T,   PATH,  INT,  doctor_id,           REQ, 1, INT64_MAX, -)      \
	F(T,   QUERY, TIME, from,                OPT, 0, TIME_MAX,  -)      \
	F(T,   QUERY, TIME, to,                  OPT, 0, TIME_MAX,  -)      \
	F(T,   QUERY, INT,  limit,               OPT, 1, 100,       -)      \
	F(T,   QUERY, TEXT, cursor,              OPT, 1, 64,        -)

MSG_DECLARE(schedules_slot,     SCHEDULES_SLOT)
MSG_DECLARE(schedules_page,     SCHEDULES_PAGE)
MSG_DECLARE(schedules_get_req,  SCHEDULES_GET_REQ)
MSG_DECLARE(schedules_list_req, SCHEDULES_LIST_REQ)
MSG_DECLARE(schedules_free_req, SCHEDULES_FREE_REQ)

/*        domain     verb  answer          who may                     transaction via      key */
#define SCHEDULES_CALLS(X)                                                                       \
	X(schedules, get,  schedules_slot, ROLE_DOCTOR,                TX_READ,    REQUEST, -)   \
	X(schedules, list, schedules_page, ROLE_DOCTOR,                TX_READ,    REQUEST, -)   \
	X(schedules, free, schedules_page, ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    KNOWN,   doctor_id)
#endif
