/* booking.c - the descriptions that booking.h declares. */
#include "broker/msg/booking.h"

const char *const skip_reason_names[] = { "past", "holiday", "overlap", NULL };

MSG_DEFINE(booking_open_req,        BOOKING_OPEN_REQ)
MSG_DEFINE(booking_recur_req,       BOOKING_RECUR_REQ)
MSG_DEFINE(booking_edit_req,        BOOKING_EDIT_REQ)
MSG_DEFINE(booking_drop_req,        BOOKING_DROP_REQ)
MSG_DEFINE(booking_book_req,        BOOKING_BOOK_REQ)
MSG_DEFINE(booking_reschedule_req,  BOOKING_RESCHEDULE_REQ)
MSG_DEFINE(booking_confirm_req,     BOOKING_CONFIRM_REQ)
MSG_DEFINE(booking_cancel_req,      BOOKING_CANCEL_REQ)
MSG_DEFINE(booking_start_req,       BOOKING_STEP_REQ)
MSG_DEFINE(booking_conclude_req,    BOOKING_STEP_REQ)
MSG_DEFINE(booking_no_show_req,     BOOKING_STEP_REQ)
MSG_DEFINE(booking_attest_req,      BOOKING_HOUSE_REQ)
MSG_DEFINE(booking_expire_req,      BOOKING_HOUSE_REQ)
MSG_DEFINE(booking_revoke_req,      BOOKING_HOUSE_REQ)
MSG_DEFINE(booking_close_req,       BOOKING_CLOSE_REQ)
MSG_DEFINE(booking_fault,           BOOKING_FAULT)
MSG_DEFINE(booking_skipped,         BOOKING_SKIPPED)
MSG_DEFINE(booking_recurring,       BOOKING_RECURRING)
MSG_DEFINE(booking_outcome,         BOOKING_OUTCOME)
MSG_DEFINE(booking_answer,          BOOKING_ANSWER)
MSG_DEFINE(booking_answers,         BOOKING_ANSWERS)
MSG_DEFINE(booking_pending,         BOOKING_PENDING)
MSG_DEFINE(booking_progress,        BOOKING_PROGRESS)
