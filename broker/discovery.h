/*
 * discovery.h - answers $SRV.PING, INFO and STATS (ADR-32) for one pool of this process, so that
 * `nats micro ls` sees it: nine subscriptions, since nats.c 3.4.1 has no service API.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
 */
#ifndef BROKER_DISCOVERY_H
#define BROKER_DISCOVERY_H
#include <stdatomic.h>
#include "broker/bus.h"
#include "broker/call.h"

struct endpoint {
	enum call_id     call;
	_Atomic int64_t  requests, errors, busy_us;	/* counted by the workers */
	_Atomic int      last_error;			/* an err_code */
};

struct discovery;
/* The name is the domain's; the endpoints belong to the caller and outlive it. */
err_t discovery_start(struct bus *, const char *domain, struct endpoint *, size_t n,
		      struct discovery **) MUST_CHECK;
void  discovery_stop(struct discovery *);
#endif
