/*
 * booking.h - the commands of a doctor's mailbox and the outcome each of them gets.
 *
 * Who asks is no field: it comes from the token, in a header.
 */
#ifndef BROKER_MSG_BOOKING_H
#define BROKER_MSG_BOOKING_H
#include "broker/msg/appointments.h"
#include "broker/msg/schedules.h"

/*             from  kind   name                need min  max  of */
#define BOOKING_OPEN_REQ(F, T)                                                     \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIME,   date_time_available, REQ, 0, TIME_MAX,  -)            \
	F(T,   BODY, BOOL,   active,              OPT, 0, 0,         -)            \
	F(T,   BODY, INT,    duration_minutes,    OPT, 1, 1440,      -)
#define BOOKING_BOOK_REQ(F, T)                                                     \
	F(T,   BODY, INT,    schedule_id,         REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIME,   date_time,           OPT, 0, TIME_MAX,  -)
#define BOOKING_CANCEL_REQ(F, T)                                                   \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TEXT,   reason,              REQ, 1, 255,       -)
/* What was decided; the resource as it was right after, for the answer and all its copies. */
#define BOOKING_OUTCOME(F, T)                                                      \
	F(T,   BODY, TEXT,   request_id,          REQ, 1, 64,        -)            \
	F(T,   BODY, ENUM,   status,              REQ, 0, 0, request_status)       \
	F(T,   BODY, TEXT,   code,                OPT, 1, 64,        -)            \
	F(T,   BODY, TIME,   decided_at,          REQ, 0, TIME_MAX,  -)            \
	F(T,   BODY, OBJECT, appointment,         OPT, 0, 0, appointments_appointment) \
	F(T,   BODY, OBJECT, slot,                OPT, 0, 0, schedules_slot)
/* Outcomes of one batch for one gateway; `token` says which of its waiters each is for. */
#define BOOKING_ANSWER(F, T)                                                       \
	F(T,   BODY, INT,    token,               REQ, 0, INT64_MAX, -)            \
	F(T,   BODY, BYTES,  outcome,             REQ, 0, 65536,     -)
#define BOOKING_ANSWERS(F, T)                                                      \
	F(T,   BODY, LIST,   items,               REQ, 0, 256, booking_answer)
/* 202: accepted, and not decided yet. */
#define BOOKING_PENDING(F, T)                                                      \
	F(T,   BODY, TEXT,   request_id,          REQ, 1, 64,        -)            \
	F(T,   BODY, ENUM,   status,              REQ, 0, 0, request_status)       \
	F(T,   BODY, TEXT,   message,             REQ, 1, 255,       -)            \
	F(T,   BODY, INT,    ahead,               OPT, 0, INT64_MAX, -)
/* How far a partition is: after each batch, from its owner to all gateways. */
#define BOOKING_PROGRESS(F, T)                                                     \
	F(T,   BODY, INT,    partition,           REQ, 0, 15,        -)            \
	F(T,   BODY, INT,    last_seq,            REQ, 0, INT64_MAX, -)            \
	F(T,   BODY, INT,    waiting,             REQ, 0, INT64_MAX, -)

MSG_DECLARE(booking_open_req,   BOOKING_OPEN_REQ)
MSG_DECLARE(booking_book_req,   BOOKING_BOOK_REQ)
MSG_DECLARE(booking_cancel_req, BOOKING_CANCEL_REQ)
MSG_DECLARE(booking_outcome,    BOOKING_OUTCOME)
MSG_DECLARE(booking_answer,     BOOKING_ANSWER)
MSG_DECLARE(booking_answers,    BOOKING_ANSWERS)
MSG_DECLARE(booking_pending,    BOOKING_PENDING)
MSG_DECLARE(booking_progress,   BOOKING_PROGRESS)

/*        domain   verb    answer       who may                     transaction via              key */
#define BOOKING_CALLS(X)                                                                                  \
	X(booking, open,   slot,        ROLE_DOCTOR,                TX_WRITE,   MAILBOX_OWN,     doctor_id) \
	X(booking, book,   appointment, ROLE_PATIENT,               TX_WRITE,   MAILBOX_NAMED,   doctor_id) \
	X(booking, cancel, appointment, ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   MAILBOX_LOCATED, doctor_id)
#endif
