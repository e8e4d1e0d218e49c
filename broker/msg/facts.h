/*
 * facts.h - what became true, told after the commit: ids, times and numbers, nothing personal.
 *
 * Facts of one kind and one transaction travel together, as healthmed.v1.events.<domain>.<fact>.<id>;
 * the id is of what they are about, or of the batch.  Facts of two transactions may change places on
 * their way, and come again: consumers are idempotent, and of two that tell a state (`free`, a rating)
 * the one of the higher `version` counts.
 */
#ifndef BROKER_MSG_FACTS_H
#define BROKER_MSG_FACTS_H
#include "broker/msg.h"

/*             from  kind   name        need min  max  of */
#define FACT(F, T)                                               \
	F(T,   BODY, INT,   id,         REQ, 1, INT64_MAX, -)    \
	F(T,   BODY, INT,   doctor_id,  OPT, 1, INT64_MAX, -)    \
	F(T,   BODY, INT,   patient_id, OPT, 1, INT64_MAX, -)    \
	F(T,   BODY, INT,   slot_id,    OPT, 1, INT64_MAX, -)    \
	F(T,   BODY, INT,   appointment_id, OPT, 1, INT64_MAX, -) \
	F(T,   BODY, TIME,  at,         REQ, 0, TIME_MAX,  -)    \
	F(T,   BODY, TIME,  starts,     OPT, 0, TIME_MAX,  -)    \
	F(T,   BODY, TIME,  ends,       OPT, 0, TIME_MAX,  -)    \
	F(T,   BODY, BOOL,  free,       OPT, 0, 0,         -)    \
	F(T,   BODY, INT,   version,    OPT, 0, INT64_MAX, -)    \
	F(T,   BODY, INT,   rating_sum, OPT, 0, INT64_MAX, -)  /* tenths */ \
	F(T,   BODY, INT,   rating_count, OPT, 0, INT64_MAX, -) \
	F(T,   BODY, INT,   from_session, OPT, 0, INT64_MAX, -) \
	F(T,   BODY, INT,   to_session,   OPT, 0, INT64_MAX, -)
#define FACTS(F, T)                                              \
	F(T,   BODY, LIST, items,       REQ, 1, 4096, fact)
/* An outbox row: letters for a stream.  `origin` and `reason` are of dead letters only, `role` of
 * commands that nobody asked for. */
#define LETTER(F, T)                                             \
	F(T,   BODY, TEXT,  subject,    REQ, 1, 255,       -)    \
	F(T,   BODY, BYTES, body,       REQ, 0, 1 << 20,   -)    \
	F(T,   BODY, TEXT,  origin,     OPT, 1, 255,       -)    \
	F(T,   BODY, TEXT,  reason,     OPT, 1, 255,       -)    \
	F(T,   BODY, TEXT,  call,       OPT, 0, 255,       -)    \
	F(T,   BODY, TEXT,  request,    OPT, 0, 255,       -)    \
	F(T,   BODY, INT,   user,       OPT, 1, INT64_MAX, -)    \
	F(T,   BODY, TEXT,  role,       OPT, 1, 16,        -)    \
	F(T,   BODY, TEXT,  if_match,   OPT, 1, 512,       -)
#define LETTERS(F, T)                                            \
	F(T,   BODY, LIST,  items,      REQ, 0, 4096, letter)

MSG_DECLARE(fact,    FACT)
MSG_DECLARE(facts,   FACTS)
MSG_DECLARE(letter,  LETTER)
MSG_DECLARE(letters, LETTERS)
#endif
