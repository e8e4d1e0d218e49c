/* booking.c - the descriptions that booking.h declares. */
#include "broker/msg/booking.h"

MSG_DEFINE(booking_open_req,   BOOKING_OPEN_REQ)
MSG_DEFINE(booking_book_req,   BOOKING_BOOK_REQ)
MSG_DEFINE(booking_cancel_req, BOOKING_CANCEL_REQ)
MSG_DEFINE(booking_outcome,    BOOKING_OUTCOME)
MSG_DEFINE(booking_answer,     BOOKING_ANSWER)
MSG_DEFINE(booking_answers,    BOOKING_ANSWERS)
MSG_DEFINE(booking_pending,    BOOKING_PENDING)
MSG_DEFINE(booking_progress,   BOOKING_PROGRESS)
