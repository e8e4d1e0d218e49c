/*
 * outbox.h - what became true leaves the house after its commit: written in the act's own
 * transaction, relayed to the streams, deleted once acknowledged.
 *
 * Nats-Msg-Id is <domain>-<row>-<n>, so that a relay that dies between the two repeats itself
 * harmlessly.  No position is kept: a late commit is never skipped.
 *
 * The domain's queries, found by name:
 *	<domain>_outbox_read    in: outbox_batch (rows, after)   out: outbox_row   FOR UPDATE SKIP LOCKED
 *	<domain>_outbox_delete  in: outbox_batch (items)  out: -
 *	<domain>_outbox_aside   in: outbox_batch (items)  out: -   what cannot be read is not read again
 *	<domain>_key_purge      in: -  out: idempotency   (if there is one: old keys, a bounded number)
 */
#ifndef ACTORS_CORE_OUTBOX_H
#define ACTORS_CORE_OUTBOX_H
#include "actors/core/db.h"
#include "broker/bus.h"
#include "broker/msg/facts.h"

enum { OUTBOX_ROWS = 64 };

/*             from  kind   name        need min  max  of */
#define OUTBOX_ROW(F, T)                                         \
	F(T,   BODY, INT,   id,         OPT, 1, INT64_MAX, -)    \
	F(T,   BODY, BYTES, letters,    OPT, 0, 1 << 24,   -)    \
	F(T,   BODY, INT,   age,        OPT, INT64_MIN, INT64_MAX, -)	/* seconds */
#define OUTBOX_BATCH(F, T)                                       \
	F(T,   BODY, INT,   rows,       OPT, 1, OUTBOX_ROWS, -)  \
	F(T,   BODY, INT,   after,      OPT, 0, INT64_MAX, -)    \
	F(T,   BODY, LIST,  items,      OPT, 0, OUTBOX_ROWS, outbox_row)
MSG_DECLARE(outbox_row,   OUTBOX_ROW)
MSG_DECLARE(outbox_batch, OUTBOX_BATCH)

/* Adds letters to be written by outbox_pack; everything lies in the arena. */
struct outbox { struct letter *letter; size_t n, cap; };
/* One letter, whatever their number; none for no facts. */
err_t outbox_add_facts(struct ctx *, struct outbox *, const char *domain, const char *name,
		       int64_t id, const struct facts *) MUST_CHECK;
err_t outbox_add(struct ctx *, struct outbox *, const struct letter *) MUST_CHECK;
/* The letters as msgpack: one outbox row; empty when there is none. */
err_t outbox_pack(struct ctx *, const struct outbox *, struct str *) MUST_CHECK;

/* Facts of one kind as a row of their own, by the domain's query `write` (in: outbox_row, out: -). */
err_t outbox_tell(struct ctx *, enum query write, const char *domain, const char *name, int64_t id,
		  const struct facts *) MUST_CHECK;

struct relay;
/* A thread that relays the outbox of one domain's schema.  It is woken by relay_wake and looks for
 * itself once a second.  Several may run on the same table: rows are taken FOR UPDATE SKIP LOCKED. */
err_t relay_start(struct bus *, const char *url, const char *domain, struct relay **) MUST_CHECK;
void  relay_wake(struct relay *);	/* NULL: nobody */
void  relay_stop(struct relay *);
/* A check of admin.h, of all relays of the process: no row has waited for longer than a minute. */
bool  outbox_is_well(void *, char *detail, size_t size);
#endif
