/*
 * rows.h - what a batch reads and writes, as the queries of sql/queries/booking.sql see it.
 *
 * A list is an array a column: one statement reads or writes all of a batch.
 */
#ifndef ACTORS_BOOKING_ROWS_H
#define ACTORS_BOOKING_ROWS_H
#include "broker/call.h"

/*             from  kind  name              need min  max  of */
#define BOOKING_SLOT(F, T)                                                       \
	F(T,   BODY, INT,  id,               REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, TIME, starts,           REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, ends,             REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, BOOL, active,           REQ, 0, 0,         -)               \
	F(T,   BODY, TIME, created_at,       REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, updated_at,       REQ, 0, TIME_MAX,  -)
#define BOOKING_APPOINTMENT(F, T)                                                \
	F(T,   BODY, INT,  id,               REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  slot_id,          REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  patient_id,       REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, TIME, starts,           REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, ends,             REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, ENUM, status,           REQ, 0, 0, appointment_status)      \
	F(T,   BODY, TIME, started_at,       OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, ended_at,         OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, confirmed_at,     OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY, ENUM, cancelled_by,     OPT, 0, 0, cancelled_by)            \
	F(T,   BODY, TIME, cancelled_at,     OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY, TEXT, cancelled_reason, OPT, 0, 255,       -)               \
	F(T,   BODY, TIME, reported_at,      OPT, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, created_at,       REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, updated_at,       REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  granted_seq,      REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  granted_batch,    REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  freed_seq,        OPT, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  freed_batch,      OPT, 0, INT64_MAX, -)
/* A slot that an appointment left for another: from when to when it held it. */
#define BOOKING_MOVE(F, T)                                                       \
	F(T,   BODY, INT,  appointment_id,   REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  slot_id,          REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  patient_id,       REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, TIME, starts,           REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, ends,             REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  granted_seq,      REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  granted_batch,    REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  freed_seq,        REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  freed_batch,      REQ, 0, INT64_MAX, -)
#define BOOKING_REQUEST(F, T)                                                    \
	F(T,   BODY, BYTES, id,              REQ, 16, 16,       -)               \
	F(T,   BODY, INT,  doctor_id,        REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  user_id,          REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  slot_id,          OPT, 1, INT64_MAX, -)               \
	F(T,   BODY, BYTES, body_hash,       REQ, 16, 16,       -)               \
	F(T,   BODY, ENUM, status,           REQ, 0, 0, request_status)          \
	F(T,   BODY, TEXT, code,             OPT, 0, 64,        -)               \
	F(T,   BODY, INT,  appointment_id,   OPT, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  blocked_by,       OPT, 1, INT64_MAX, -)               \
	F(T,   BODY, BOOL, moved,            OPT, 0, 0,         -)  /* an appointment to another slot */ \
	F(T,   BODY, BYTES, outcome,         REQ, 0, OUTCOME_MAX, -)             \
	F(T,   BODY, INT,  partition,        REQ, 0, 15,        -)               \
	F(T,   BODY, INT,  stream_seq,       REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, TIME, stream_time,      REQ, 0, TIME_MAX,  -)
#define BOOKING_CURSOR(F, T)                                                     \
	F(T,   BODY, INT,  partition,        REQ, 0, 15,        -)               \
	F(T,   BODY, TIME, stream_created,   REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  last_seq,         REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, TIME, last_time,        REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, BYTES, last_request,    REQ, 16, 16,       -)
/* To the beginning of a stream, from where it stood in a former one. */
#define BOOKING_ANEW(F, T)                                                       \
	F(T,   BODY, INT,  partition,        REQ, 0, 15,        -)               \
	F(T,   BODY, TIME, stream_created,   REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, former_created,   REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  former_seq,       REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, BYTES, former_request,  REQ, 16, 16,       -)
#define BOOKING_DEAD(F, T)                                                       \
	F(T,   BODY, TIME, stream_created,   REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  stream_seq,       REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  partition,        REQ, 0, 15,        -)               \
	F(T,   BODY, TEXT, code,             REQ, 1, 64,        -)
#define BOOKING_ID(F, T)                                                         \
	F(T,   BODY, INT,  id,               REQ, 1, INT64_MAX, -)
#define BOOKING_KEY(F, T)                                                        \
	F(T,   BODY, BYTES, id,              REQ, 16, 16,       -)
#define BOOKING_SPAN(F, T)                                                       \
	F(T,   BODY, INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, TIME, starts,           REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, TIME, ends,             REQ, 0, TIME_MAX,  -)
#define BOOKING_VISIT(F, T)                                                      \
	F(T,   BODY, INT,  patient_id,       REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  slot_id,          REQ, 1, INT64_MAX, -)
/* What a batch is about, gathered from its commands: what to lock and to read. */
#define BOOKING_KEYS(F, T)                                                       \
	F(T,   BODY, LIST, partitions,       REQ, 0, 16,  booking_id)            \
	F(T,   BODY, LIST, patients,         REQ, 0, 256, booking_id)            \
	F(T,   BODY, LIST, accounts,         REQ, 0, 512, booking_id)  /* of both sides */ \
	F(T,   BODY, LIST, named,            REQ, 0, 256, booking_id)  /* appointments */ \
	F(T,   BODY, LIST, visits,           REQ, 0, 256, booking_visit)         \
	F(T,   BODY, LIST, busy,             REQ, 0, 256, booking_id)  /* patients, at any time */ \
	F(T,   BODY, LIST, longer,           REQ, 0, 256, booking_id)  /* slots that last longer, or shorter */ \
	F(T,   BODY, LIST, spans,            REQ, 0, 1 << 16, booking_span) /* of slots to open or move */ \
	F(T,   BODY, LIST, requests,         REQ, 0, 256, booking_key)           \
	F(T,   BODY, INT,  appointment_ids,  REQ, 0, 256, -)           /* how many fresh ones */ \
	F(T,   BODY, INT,  slot_ids,         REQ, 0, 1 << 20, -)
#define BOOKING_MOMENT(F, T)                                                     \
	F(T,   BODY, TIME, now,              REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, INT,  batch_id,         REQ, 1, INT64_MAX, -)
#define BOOKING_WRITES(F, T)                                                     \
	F(T,   BODY, LIST, changed,          REQ, 0, 4096, booking_appointment)  \
	F(T,   BODY, LIST, granted,          REQ, 0, 256, booking_appointment)   \
	F(T,   BODY, LIST, moves,            REQ, 0, 256, booking_move)          \
	F(T,   BODY, LIST, dropped,          REQ, 0, 1 << 20, booking_id)  /* slots */ \
	F(T,   BODY, LIST, opened,           REQ, 0, 1 << 20, booking_slot)      \
	F(T,   BODY, LIST, requests,         REQ, 0, 256, booking_request)       \
	F(T,   BODY, LIST, dead,             REQ, 0, 256, booking_dead)          \
	F(T,   BODY, LIST, cursors,          REQ, 0, 16,  booking_cursor)        \
	F(T,   BODY, INT,  batch_id,         REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, TIME, now,              REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY, BYTES, letters,         REQ, 0, 1 << 24,   -)
#define BOOKING_FLAG(F, T)                                                       \
	F(T,   BODY, BOOL, yes,              REQ, 0, 0,         -)
#define BOOKING_WORKERS(F, T)                                                    \
	F(T,   BODY, INT,  n,                REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  least,            REQ, 0, INT64_MAX, -) /* partitions of the one that owns fewest */
#define BOOKING_COUNT(F, T)                                                      \
	F(T,   BODY, INT,  n,                REQ, 0, INT64_MAX, -)
/* For chores. */
#define BOOKING_ACCOUNT(F, T)                                                    \
	F(T,   BODY, INT,  id,               REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  after,            REQ, 0, INT64_MAX, -)  /* appointments */
#define BOOKING_DUE(F, T)                                                        \
	F(T,   BODY, INT,  id,               REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  doctor_id,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY, INT,  granted_batch,    REQ, 0, INT64_MAX, -)
#define BOOKING_LETTERS(F, T)                                                    \
	F(T,   BODY, BYTES, letters,         REQ, 0, 1 << 24,   -)
/* For `verify`. */
#define VERIFY_MESSAGE(F, T)                                                     \
	F(T,   BODY, INT,  partition,        REQ, 0, 15,        -)               \
	F(T,   BODY, INT,  seq,              REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, BYTES, id,              REQ, 16, 16,       -)
#define VERIFY_MESSAGES(F, T)                                                    \
	F(T,   BODY, TIME, created,          REQ, 0, TIME_MAX,  -)  /* of the stream */ \
	F(T,   BODY, LIST, items,            REQ, 0, 4096, verify_message)
#define VERIFY_FINDING(F, T)                                                     \
	F(T,   BODY, TEXT, text,             REQ, 0, 1024,      -)
#define VERIFY_COUNTS(F, T)                                                      \
	F(T,   BODY, INT,  requests,         REQ, 0, INT64_MAX, -)               \
	F(T,   BODY, INT,  appointments,     REQ, 0, INT64_MAX, -)

MSG_DECLARE(booking_slot,        BOOKING_SLOT)
MSG_DECLARE(booking_appointment, BOOKING_APPOINTMENT)
MSG_DECLARE(booking_move,        BOOKING_MOVE)
MSG_DECLARE(booking_request,     BOOKING_REQUEST)
MSG_DECLARE(booking_cursor,      BOOKING_CURSOR)
MSG_DECLARE(booking_anew,        BOOKING_ANEW)
MSG_DECLARE(booking_dead,        BOOKING_DEAD)
MSG_DECLARE(booking_id,          BOOKING_ID)
MSG_DECLARE(booking_key,         BOOKING_KEY)
MSG_DECLARE(booking_span,        BOOKING_SPAN)
MSG_DECLARE(booking_visit,       BOOKING_VISIT)
MSG_DECLARE(booking_keys,        BOOKING_KEYS)
MSG_DECLARE(booking_moment,      BOOKING_MOMENT)
MSG_DECLARE(booking_writes,      BOOKING_WRITES)
MSG_DECLARE(booking_flag,        BOOKING_FLAG)
MSG_DECLARE(booking_workers,     BOOKING_WORKERS)
MSG_DECLARE(booking_count,       BOOKING_COUNT)
MSG_DECLARE(booking_account,     BOOKING_ACCOUNT)
MSG_DECLARE(booking_due,         BOOKING_DUE)
MSG_DECLARE(booking_letters,     BOOKING_LETTERS)
MSG_DECLARE(verify_message,      VERIFY_MESSAGE)
MSG_DECLARE(verify_messages,     VERIFY_MESSAGES)
MSG_DECLARE(verify_finding,      VERIFY_FINDING)
MSG_DECLARE(verify_counts,       VERIFY_COUNTS)
#endif
