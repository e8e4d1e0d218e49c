/*
 * log.h - one JSON object a line on standard error.  Only main, worker and web/handle.c, and
 * loops that belong to no message (a bus, an owner, a relay), write here; never names, notes or
 * bodies.  A line is written by one write(2).
 *
 *	log_line(LOG_INFO, "request", c->trace, "\"status\":%d,\"us\":%" PRId64, status, us);
 */
#ifndef BROKER_BASE_LOG_H
#define BROKER_BASE_LOG_H
#include "broker/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

#pragma GCC diagnostic ignored "-Wformat-zero-length"	/* no members is a fair thing to say */

void log_level_set(const char *name);
/* `members` is a printf format that gives JSON members, or "" for none; text that is not ours
 * to trust goes through log_text first.  trace may be NULL or "". */
void log_line(enum log_level, const char *event, const char *trace, const char *members, ...)
	PRINTF(4, 5);
/* Makes text fit for a JSON string: escapes into `out`, cuts to its size, and returns it. */
const char *log_text(const char *text, char *out, size_t size);
#endif
