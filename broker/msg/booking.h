/*
 * booking.h - the commands of a doctor's mailbox and the outcome each of them gets.
 *
 * Who asks is no field: it comes from the token, in a header.
 */
#ifndef BROKER_MSG_BOOKING_H
#define BROKER_MSG_BOOKING_H
#include "broker/msg/appointments.h"
#include "broker/msg/schedules.h"

enum {
	SLOTS_AT_ONCE = 256,		/* named one by one */
	RECUR_MAX = 4096, RECUR_DAYS = 366,
	FAULTS_MAX = 4,
	OUTCOME_MAX = 256 << 10,	/* bytes; RECUR_MAX times skipped are 150 KiB */
};
enum skip_reason { SKIP_PAST, SKIP_HOLIDAY, SKIP_OVERLAP };
extern const char *const skip_reason_names[];

/*             from  kind   name                need min  max  of */
#define BOOKING_OPEN_REQ(F, T)                                                     \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIMES,  date_time_available, REQ, 0, TIME_MAX,  -)            \
	F(T,   BODY, BOOL,   active,              OPT, 0, 0,         -)            \
	F(T,   BODY, INT,    duration_minutes,    OPT, 1, 1440,      -)
/* Slots at the same hours of certain days of the week (1 is Monday). */
#define BOOKING_RECUR_REQ(F, T)                                                    \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, INTS,   weekdays,            REQ, 1, 7,         -)            \
	F(T,   BODY, CLOCK,  from,                REQ, 0, 1440,      -)            \
	F(T,   BODY, CLOCK,  to,                  REQ, 0, 1440,      -)            \
	F(T,   BODY, INT,    duration_minutes,    REQ, 1, 1440,      -)            \
	F(T,   BODY, DATE,   starts_on,           REQ, 0, DATE_MAX,  -)            \
	F(T,   BODY, DATE,   ends_on,             REQ, 0, DATE_MAX,  -)            \
	F(T,   BODY, BOOL,   skip_holidays,       OPT, 0, 0,         -)
#define BOOKING_EDIT_REQ(F, T)                                                     \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIME,   date_time_available, OPT, 0, TIME_MAX,  -)            \
	F(T,   BODY, BOOL,   active,              OPT, 0, 0,         -)            \
	F(T,   BODY, INT,    duration_minutes,    OPT, 1, 1440,      -)
#define BOOKING_DROP_REQ(F, T)                                                     \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)
#define BOOKING_BOOK_REQ(F, T)                                                     \
	F(T,   BODY, INT,    schedule_id,         REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIME,   date_time,           OPT, 0, TIME_MAX,  -)
/* Goes to the mailbox of the doctor that it names; the slot that is given up may be another's. */
#define BOOKING_RESCHEDULE_REQ(F, T)                                               \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, INT,    schedule_id,         REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TIME,   date_time,           OPT, 0, TIME_MAX,  -)            \
	F(T,   OURS, INT,    former_doctor_id,    REQ, 1, INT64_MAX, -)
#define BOOKING_CONFIRM_REQ(F, T)                                                  \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, BOOL,   confirmed,           REQ, 0, 0,         -)            \
	F(T,   BODY, TEXT,   reason,              OPT, 1, 255,       -)
#define BOOKING_CANCEL_REQ(F, T)                                                   \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)            \
	F(T,   BODY, TEXT,   reason,              REQ, 1, 255,       -)
#define BOOKING_STEP_REQ(F, T)                                                     \
	F(T,   PATH, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)
/* Of the house itself: no route leads there. */
#define BOOKING_HOUSE_REQ(F, T)                                                    \
	F(T,   OURS, INT,    id,                  REQ, 1, INT64_MAX, -)            \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)
#define BOOKING_CLOSE_REQ(F, T)                                                    \
	F(T,   OURS, INT,    doctor_id,           REQ, 1, INT64_MAX, -)
#define BOOKING_SKIPPED(F, T)                                                      \
	F(T,   BODY, TIME,   date_time,           REQ, 0, TIME_MAX,  -)            \
	F(T,   BODY, ENUM,   reason,              REQ, 0, 0, skip_reason)
#define BOOKING_RECURRING(F, T)                                                    \
	F(T,   BODY, INT,    created,             REQ, 0, RECUR_MAX, -)            \
	F(T,   BODY, LIST,   skipped,             REQ, 0, RECUR_MAX, booking_skipped)
/* Of a refusal that is `invalid`: what is wrong only in the light of other fields. */
#define BOOKING_FAULT(F, T)                                                        \
	F(T,   BODY, TEXT,   field,               REQ, 1, 64,        -)            \
	F(T,   BODY, TEXT,   message,             REQ, 1, 255,       -)
/* What was decided; the resource as it was right after, for the answer and all its copies. */
#define BOOKING_OUTCOME(F, T)                                                      \
	F(T,   BODY, TEXT,   request_id,          REQ, 1, 64,        -)            \
	F(T,   BODY, ENUM,   status,              REQ, 0, 0, request_status)       \
	F(T,   BODY, TEXT,   code,                OPT, 1, 64,        -)            \
	F(T,   BODY, LIST,   faults,              OPT, 0, FAULTS_MAX, booking_fault) \
	F(T,   BODY, TIME,   decided_at,          REQ, 0, TIME_MAX,  -)            \
	F(T,   BODY, OBJECT, appointment,         OPT, 0, 0, appointments_appointment) \
	F(T,   BODY, OBJECT, slot,                OPT, 0, 0, schedules_slot)       \
	F(T,   BODY, LIST,   slots,               OPT, 0, SLOTS_AT_ONCE, schedules_slot) /* several */ \
	F(T,   BODY, OBJECT, recurring,           OPT, 0, 0, booking_recurring)
/* Outcomes of one batch for one gateway; `token` says which of its waiters each is for. */
#define BOOKING_ANSWER(F, T)                                                       \
	F(T,   BODY, INT,    token,               REQ, 0, INT64_MAX, -)            \
	F(T,   BODY, BYTES,  outcome,             REQ, 0, OUTCOME_MAX, -)
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

MSG_DECLARE(booking_open_req,        BOOKING_OPEN_REQ)
MSG_DECLARE(booking_recur_req,       BOOKING_RECUR_REQ)
MSG_DECLARE(booking_edit_req,        BOOKING_EDIT_REQ)
MSG_DECLARE(booking_drop_req,        BOOKING_DROP_REQ)
MSG_DECLARE(booking_book_req,        BOOKING_BOOK_REQ)
MSG_DECLARE(booking_reschedule_req,  BOOKING_RESCHEDULE_REQ)
MSG_DECLARE(booking_confirm_req,     BOOKING_CONFIRM_REQ)
MSG_DECLARE(booking_cancel_req,      BOOKING_CANCEL_REQ)
MSG_DECLARE(booking_start_req,       BOOKING_STEP_REQ)
MSG_DECLARE(booking_conclude_req,    BOOKING_STEP_REQ)
MSG_DECLARE(booking_no_show_req,     BOOKING_STEP_REQ)
MSG_DECLARE(booking_attest_req,      BOOKING_HOUSE_REQ)
MSG_DECLARE(booking_expire_req,      BOOKING_HOUSE_REQ)
MSG_DECLARE(booking_revoke_req,      BOOKING_HOUSE_REQ)
MSG_DECLARE(booking_close_req,       BOOKING_CLOSE_REQ)
MSG_DECLARE(booking_fault,           BOOKING_FAULT)
MSG_DECLARE(booking_skipped,         BOOKING_SKIPPED)
MSG_DECLARE(booking_recurring,       BOOKING_RECURRING)
MSG_DECLARE(booking_outcome,         BOOKING_OUTCOME)
MSG_DECLARE(booking_answer,          BOOKING_ANSWER)
MSG_DECLARE(booking_answers,         BOOKING_ANSWERS)
MSG_DECLARE(booking_pending,         BOOKING_PENDING)
MSG_DECLARE(booking_progress,        BOOKING_PROGRESS)

/*        domain   verb        answer       who may                     transaction via              key */
#define BOOKING_CALLS(X)                                                                                        \
	X(booking, open,       slot,        ROLE_DOCTOR,                TX_WRITE,   MAILBOX_OWN,     doctor_id) \
	X(booking, recur,      recurring,   ROLE_DOCTOR,                TX_WRITE,   MAILBOX_OWN,     doctor_id) \
	X(booking, edit,       slot,        ROLE_DOCTOR,                TX_WRITE,   MAILBOX_OWN,     doctor_id) \
	X(booking, drop,       slot,        ROLE_DOCTOR,                TX_WRITE,   MAILBOX_OWN,     doctor_id) \
	X(booking, book,       appointment, ROLE_PATIENT,               TX_WRITE,   MAILBOX_NAMED,   doctor_id) \
	X(booking, reschedule, appointment, ROLE_PATIENT,               TX_WRITE,   MAILBOX_MOVES,   doctor_id) \
	X(booking, confirm,    appointment, ROLE_DOCTOR,                TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, cancel,     appointment, ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, start,      appointment, ROLE_DOCTOR,                TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, conclude,   appointment, ROLE_DOCTOR,                TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, no_show,    appointment, ROLE_DOCTOR,                TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, attest,     appointment, ROLE_DOCTOR,                TX_WRITE,   MAILBOX_LOCATED, doctor_id) \
	X(booking, expire,     appointment, ROLE_SYSTEM,                TX_WRITE,   MAILBOX_NAMED,   doctor_id) \
	X(booking, revoke,     appointment, ROLE_SYSTEM,                TX_WRITE,   MAILBOX_NAMED,   doctor_id) \
	X(booking, close,      slot,        ROLE_SYSTEM,                TX_WRITE,   MAILBOX_NAMED,   doctor_id)
#endif
