/* appointments.h - appointments and requests: what one can read.  Changes are in booking.h. */
#ifndef BROKER_MSG_APPOINTMENTS_H
#define BROKER_MSG_APPOINTMENTS_H
#include "broker/msg/document.h"

enum appointment_status {
	APPOINTMENT_WAITING, APPOINTMENT_CONFIRMED, APPOINTMENT_IN_PROGRESS,
	APPOINTMENT_CONCLUDED, APPOINTMENT_CANCELLED, APPOINTMENT_NO_SHOW,
};
enum cancelled_by   { CANCELLED_BY_PATIENT, CANCELLED_BY_DOCTOR, CANCELLED_BY_SYSTEM };
enum request_status { REQUEST_PENDING, REQUEST_BOOKED, REQUEST_DONE, REQUEST_REJECTED, REQUEST_FAILED };
enum { VISITS_MAX = 4096 };	/* of one patient to one doctor: the latest ones can be rated */
/* The two last words are of former clients: a request is not an appointment, nothing has them. */
enum appointment_filter { APPOINTMENT_FILTER_LAST = APPOINTMENT_NO_SHOW + 2 };
extern const char *const appointment_status_names[], *const cancelled_by_names[],
	*const request_status_names[], *const appointment_filter_names[];

/*             from   kind  name              need min  max  of */
#define APPOINTMENTS_APPOINTMENT(F, T)                                            \
	F(T,   BODY,  INT,  id,               REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  schedule_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  patient_id,       REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  TIME, date_time,        REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY,  INT,  duration_minutes, REQ, 1, 1440,      -)               \
	F(T,   BODY,  ENUM, status,           REQ, 0, 0, appointment_status)      \
	F(T,   BODY,  TIME, started_at,       OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, ended_at,         OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, confirmed_at,     OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  ENUM, cancelled_by,     OPT, 0, 0, cancelled_by)            \
	F(T,   BODY,  TIME, cancelled_at,     OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TEXT, cancelled_reason, OPT, 0, 255,       -)               \
	F(T,   BODY,  TIME, created_at,       REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, updated_at,       REQ, 0, TIME_MAX,  -)
#define APPOINTMENTS_PAGE(F, T)                                                   \
	F(T,   BODY,  LIST, items,            REQ, 0, 100, appointments_appointment) \
	F(T,   BODY,  TEXT, next,             OPT, 1, 64,        -)
#define APPOINTMENTS_GET_REQ(F, T)                                                \
	F(T,   PATH,  INT,  id,               REQ, 1, INT64_MAX, -)
#define APPOINTMENTS_LIST_REQ(F, T)                                               \
	F(T,   QUERY, ENUM, status,           OPT, 0, 0, appointment_filter)      \
	F(T,   QUERY, TIME, from,             OPT, 0, TIME_MAX,  -)               \
	F(T,   QUERY, TIME, to,               OPT, 0, TIME_MAX,  -)               \
	F(T,   QUERY, INT,  limit,            OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT, cursor,           OPT, 1, 64,        -)               \
	F(T,   OURS,  BOOL, steady,           OPT, 0, 0,         -)  /* by id, which stays */
/* Requests of one's own that were decided; for the export. */
#define APPOINTMENTS_DECIDED(F, T)                                                \
	F(T,   BODY,  ENUM, status,           REQ, 0, 0, request_status)          \
	F(T,   BODY,  TEXT, code,             OPT, 1, 64,        -)               \
	F(T,   BODY,  INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  schedule_id,      OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  appointment_id,   OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  position,         REQ, 0, INT64_MAX, -)  /* in the log */ \
	F(T,   BODY,  TIME, requested_at,     REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, decided_at,       REQ, 0, TIME_MAX,  -)
#define APPOINTMENTS_REQUESTS_REQ(F, T)                                           \
	F(T,   QUERY, INT,  limit,            OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT, cursor,           OPT, 1, 64,        -)
#define APPOINTMENTS_REQUESTS_REP(F, T)                                           \
	F(T,   BODY,  LIST, items,            REQ, 0, 100, appointments_decided)  \
	F(T,   BODY,  TEXT, next,             OPT, 1, 64,        -)
/* Slots that one's appointments left for others; for the export.  Positions are those of the requests. */
#define APPOINTMENTS_MOVE(F, T)                                                   \
	F(T,   BODY,  INT,  appointment_id,   REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  schedule_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  patient_id,       REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  TIME, date_time,        REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY,  INT,  duration_minutes, REQ, 1, 1440,      -)               \
	F(T,   BODY,  INT,  taken_position,   REQ, 0, INT64_MAX, -)               \
	F(T,   BODY,  INT,  left_position,    REQ, 0, INT64_MAX, -)               \
	F(T,   BODY,  INT,  left_batch,       REQ, 0, INT64_MAX, -)
#define APPOINTMENTS_MOVES_REQ(F, T)                                              \
	F(T,   QUERY, INT,  limit,            OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT, cursor,           OPT, 1, 64,        -)
#define APPOINTMENTS_MOVES_REP(F, T)                                              \
	F(T,   BODY,  LIST, items,            REQ, 0, 100, appointments_move)     \
	F(T,   BODY,  TEXT, next,             OPT, 1, 64,        -)
#define APPOINTMENTS_LOCATE_REQ(F, T)                                             \
	F(T,   OURS,  INT,  id,               REQ, 1, INT64_MAX, -)
/* Optional: an actor of the first release answers the doctor alone. */
#define APPOINTMENTS_LOCATE_REP(F, T)                                             \
	F(T,   BODY,  INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  patient_id,       OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  ENUM, status,           OPT, 0, 0, appointment_status)      \
	F(T,   BODY,  TIME, starts,           OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, ends,             OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, updated_at,       OPT, 0, TIME_MAX,  -)
#define APPOINTMENTS_CONCLUDED_REQ(F, T)                                          \
	F(T,   OURS,  INT,  doctor_id,        REQ, 1, INT64_MAX, -)
#define APPOINTMENTS_VISIT(F, T)                                                  \
	F(T,   BODY,  INT,  appointment_id,   REQ, 1, INT64_MAX, -)
#define APPOINTMENTS_CONCLUDED_REP(F, T)                                          \
	F(T,   BODY,  LIST, items,            REQ, 0, VISITS_MAX, appointments_visit)
#define APPOINTMENTS_CALENDAR_REQ(F, T)                                           \
	F(T,   PATH,  INT,  id,               REQ, 1, INT64_MAX, -)
#define APPOINTMENTS_REQUEST_REQ(F, T)                                            \
	F(T,   PATH,  TEXT, request_id,       REQ, 1, 4096,      -)
#define APPOINTMENTS_REQUEST_REP(F, T)                                            \
	F(T,   BODY,  TEXT, request_id,       REQ, 1, 64,        -)               \
	F(T,   BODY,  ENUM, status,           REQ, 0, 0, request_status)          \
	F(T,   BODY,  TEXT, code,             OPT, 1, 64,        -)               \
	F(T,   BODY,  INT,  appointment_id,   OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,  ahead,            OPT, 0, INT64_MAX, -)               \
	F(T,   BODY,  TIME, requested_at,     OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME, decided_at,       OPT, 0, TIME_MAX,  -)

MSG_DECLARE(appointments_appointment,   APPOINTMENTS_APPOINTMENT)
MSG_DECLARE(appointments_page,          APPOINTMENTS_PAGE)
MSG_DECLARE(appointments_get_req,       APPOINTMENTS_GET_REQ)
MSG_DECLARE(appointments_list_req,      APPOINTMENTS_LIST_REQ)
MSG_DECLARE(appointments_decided,      APPOINTMENTS_DECIDED)
MSG_DECLARE(appointments_requests_req, APPOINTMENTS_REQUESTS_REQ)
MSG_DECLARE(appointments_requests_rep, APPOINTMENTS_REQUESTS_REP)
MSG_DECLARE(appointments_move,         APPOINTMENTS_MOVE)
MSG_DECLARE(appointments_moves_req,    APPOINTMENTS_MOVES_REQ)
MSG_DECLARE(appointments_moves_rep,    APPOINTMENTS_MOVES_REP)
MSG_DECLARE(appointments_locate_req,    APPOINTMENTS_LOCATE_REQ)
MSG_DECLARE(appointments_locate_rep,    APPOINTMENTS_LOCATE_REP)
MSG_DECLARE(appointments_concluded_req, APPOINTMENTS_CONCLUDED_REQ)
MSG_DECLARE(appointments_visit,         APPOINTMENTS_VISIT)
MSG_DECLARE(appointments_concluded_rep, APPOINTMENTS_CONCLUDED_REP)
MSG_DECLARE(appointments_calendar_req,  APPOINTMENTS_CALENDAR_REQ)
MSG_DECLARE(appointments_request_req,   APPOINTMENTS_REQUEST_REQ)
MSG_DECLARE(appointments_request_rep,   APPOINTMENTS_REQUEST_REP)

/*        domain        verb       answer                      who may                     transaction via      key */
#define APPOINTMENTS_CALLS(X)                                                                                            \
	X(appointments, get,       appointments_appointment,   ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, list,      appointments_page,          ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, requests,  appointments_requests_rep,  ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, moves,     appointments_moves_rep,     ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, locate,    appointments_locate_rep,    ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, concluded, appointments_concluded_rep, ROLE_PATIENT,               TX_READ,    REQUEST, -)       \
	X(appointments, calendar,  document,                   ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)       \
	X(appointments, request,   appointments_request_rep,   ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)
#endif
