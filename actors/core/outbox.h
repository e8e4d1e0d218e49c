/*
 * outbox.h - what became true leaves the house after its commit: written in the act's own
 * transaction, relayed to the streams, deleted once acknowledged.
 *
 * Nats-Msg-Id is <schema>-<row>-<n>, so that a relay that dies between the two repeats itself
 * harmlessly.  No position is kept: a late commit is never skipped.
 */
#ifndef ACTORS_CORE_OUTBOX_H
#define ACTORS_CORE_OUTBOX_H
#include "actors/core/db.h"
#include "broker/bus.h"
#include "broker/msg/facts.h"

/* Adds letters to be written by outbox_put; everything lies in the arena. */
struct outbox { struct letter *letter; size_t n, cap; };
err_t outbox_add_fact(struct ctx *, struct outbox *, const char *domain, const char *name,
		      const struct fact *) MUST_CHECK;
err_t outbox_add(struct ctx *, struct outbox *, const struct letter *) MUST_CHECK;
/* The letters as msgpack: one outbox row; empty when there is none. */
err_t outbox_pack(struct ctx *, const struct outbox *, struct str *) MUST_CHECK;

struct relay;
/* A thread that relays the outbox of one domain's schema: queries <domain>_outbox_read and
 * <domain>_outbox_delete.  It is woken by relay_wake and looks for itself once a second.  Several
 * may run on the same table: rows are taken FOR UPDATE SKIP LOCKED. */
err_t relay_start(struct bus *, const char *url, const char *domain, struct relay **) MUST_CHECK;
void  relay_wake(struct relay *);
void  relay_stop(struct relay *);
#endif
