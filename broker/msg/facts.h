/*
 * facts.h - what became true, told after the commit: ids and a time, nothing personal.
 *
 * Facts of one kind and one transaction travel together, as healthmed.v1.events.<domain>.<fact>.<id>;
 * the id is of what they are about, or of the batch.  Consumers are idempotent.
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
	F(T,   BODY, TIME,  at,         REQ, 0, TIME_MAX,  -)
#define FACTS(F, T)                                              \
	F(T,   BODY, LIST, items,       REQ, 1, 4096, fact)
/* An outbox row: letters for a stream.  `origin` and `reason` are of dead letters only. */
#define LETTER(F, T)                                             \
	F(T,   BODY, TEXT,  subject,    REQ, 1, 255,       -)    \
	F(T,   BODY, BYTES, body,       REQ, 0, 1 << 20,   -)    \
	F(T,   BODY, TEXT,  origin,     OPT, 1, 255,       -)    \
	F(T,   BODY, TEXT,  reason,     OPT, 1, 255,       -)    \
	F(T,   BODY, TEXT,  call,       OPT, 0, 255,       -)    \
	F(T,   BODY, TEXT,  request,    OPT, 0, 255,       -)
#define LETTERS(F, T)                                            \
	F(T,   BODY, LIST,  items,      REQ, 0, 4096, letter)

MSG_DECLARE(fact,    FACT)
MSG_DECLARE(facts,   FACTS)
MSG_DECLARE(letter,  LETTER)
MSG_DECLARE(letters, LETTERS)
#endif
