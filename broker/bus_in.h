/*
 * bus_in.h - what stream.c needs to see of bus.c.  Nobody else includes this, nor nats.h.
 */
#ifndef BROKER_BUS_IN_H
#define BROKER_BUS_IN_H
#include <nats/nats.h>
#include "broker/bus.h"

/* The connection of readers: one thread of the library's brings all that comes through it. */
natsConnection *bus_connection(struct bus *);
const char     *bus_inbox(const struct bus *);
void            bus_bury(struct bus *, natsSubscription *);	/* of it: unsubscribes, and frees when it may */
int64_t         bus_breaks(struct bus *);	/* how often it was lost */

/* Publishes to a stream and waits for its acknowledgement until c->deadline.  unavailable: surely
 * not stored; timeout: unknown. */
err_t bus_store(struct ctx *, struct bus *, const char *subject, const struct headers *,
		struct str body, int64_t *seq) MUST_CHECK;

/* A bus_msg is a natsMsg under another name. */
static inline natsMsg        *msg_of(const struct bus_msg *m) { return (natsMsg *) (uintptr_t) m; }
static inline struct bus_msg *bus_msg_of(natsMsg *m)          { return (struct bus_msg *) m; }
#endif
