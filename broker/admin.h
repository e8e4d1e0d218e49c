/*
 * admin.h - the admin address of every process: /metrics, /livez, /readyz (?verbose names each
 * check).  civetweb with two threads; it shares nothing with the API's address.
 */
#ifndef BROKER_ADMIN_H
#define BROKER_ADMIN_H
#include "broker/base/err.h"

/* One thing that must be well for the process to be useful; called from the admin's threads,
 * must answer within a second.  `detail` may be left empty. */
struct check {
	const char *name;
	bool      (*well)(void *of, char *detail, size_t size);
	void       *of;
};

struct admin;
/* NULL when the address cannot be had (errno says why).  Port 0 picks a free one.  Start and stop
 * are of the main thread: the library's own start-up is not thread-safe.  The checks are copied. */
struct admin *admin_start(const char *listen, const struct check *, size_t nchecks);
int           admin_port(const struct admin *);
void          admin_ready(struct admin *, bool);	/* started, and not draining */
bool          admin_is_ready(const struct admin *);
/* The readiness document, also for the gateway's own address: JSON, true when all is well.
 * Without verbose only `ready` counts; with it every check is asked. */
bool          admin_write(const struct admin *, bool verbose, char *out, size_t size);
void          admin_stop(struct admin *);
#endif
