/* appointments.c - the descriptions that appointments.h declares. */
#include "broker/msg/appointments.h"

#define STATUS_NAMES "waiting_for_confirmation", "confirmed", "in_progress", "concluded", \
	"cancelled", "no_show"

const char *const appointment_status_names[] = { STATUS_NAMES, NULL };
const char *const appointment_filter_names[] = { STATUS_NAMES, "schedule_in_analysis",
	"re_schedule_in_analysis", NULL };
const char *const cancelled_by_names[] = { "patient", "doctor", "system", NULL };
const char *const request_status_names[] = { "pending", "booked", "done", "rejected", "failed", NULL };

MSG_DEFINE(appointments_appointment,   APPOINTMENTS_APPOINTMENT)
MSG_DEFINE(appointments_page,          APPOINTMENTS_PAGE)
MSG_DEFINE(appointments_get_req,       APPOINTMENTS_GET_REQ)
MSG_DEFINE(appointments_list_req,      APPOINTMENTS_LIST_REQ)
MSG_DEFINE(appointments_decided,      APPOINTMENTS_DECIDED)
MSG_DEFINE(appointments_requests_req, APPOINTMENTS_REQUESTS_REQ)
MSG_DEFINE(appointments_requests_rep, APPOINTMENTS_REQUESTS_REP)
MSG_DEFINE(appointments_move,          APPOINTMENTS_MOVE)
MSG_DEFINE(appointments_moves_req,     APPOINTMENTS_MOVES_REQ)
MSG_DEFINE(appointments_moves_rep,     APPOINTMENTS_MOVES_REP)
MSG_DEFINE(appointments_locate_req,    APPOINTMENTS_LOCATE_REQ)
MSG_DEFINE(appointments_locate_rep,    APPOINTMENTS_LOCATE_REP)
MSG_DEFINE(appointments_concluded_req, APPOINTMENTS_CONCLUDED_REQ)
MSG_DEFINE(appointments_visit,         APPOINTMENTS_VISIT)
MSG_DEFINE(appointments_concluded_rep, APPOINTMENTS_CONCLUDED_REP)
MSG_DEFINE(appointments_calendar_req,  APPOINTMENTS_CALENDAR_REQ)
MSG_DEFINE(appointments_request_req,   APPOINTMENTS_REQUEST_REQ)
MSG_DEFINE(appointments_request_rep,   APPOINTMENTS_REQUEST_REP)
