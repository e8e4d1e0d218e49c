/*
 * metrics.h - the numbers of a process, one row a metric, in the text format of Prometheus.
 *
 * Counting is an atomic add, from any thread.  Histograms are of seconds, with fixed buckets.
 */
#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H
#include "broker/base/str.h"

/*        name                      kind       label    what it counts */
#define METRIC_TABLE(X)                                                                          \
	X(http_requests,            COUNTER,   "status", "answers of the gateway, by status")     \
	X(http_seconds,             HISTOGRAM, "",       "time from request to answer")           \
	X(http_waiting,             GAUGE,     "",       "requests that wait for an actor")       \
	X(http_crowded,             COUNTER,   "what",   "times too many waited already, by for what") \
	X(call_requests,            COUNTER,   "call",   "calls answered by actors")              \
	X(call_errors,              COUNTER,   "code",   "calls refused, by error code")          \
	X(call_seconds,             HISTOGRAM, "",       "time to answer a call")                 \
	X(booking_commands,         COUNTER,   "status", "commands decided, by status")           \
	X(booking_batches,          COUNTER,   "",       "batches committed")                     \
	X(booking_batch_seconds,    HISTOGRAM, "",       "time to decide and commit a batch")     \
	X(booking_lag_seconds,      HISTOGRAM, "",       "time from acceptance to decision")      \
	X(booking_partitions_owned, GAUGE,     "",       "partitions this worker owns")           \
	X(booking_rereads,          COUNTER,   "reason", "times a partition was read anew")       \
	X(booking_stream_alarms,    COUNTER,   "",       "streams that were not the remembered one") \
	X(booking_dead_letters,     COUNTER,   "",       "messages that could not be commands")   \
	X(booking_retries,          COUNTER,   "",       "batches rolled back and tried again")   \
	X(outbox_published,         COUNTER,   "",       "facts and dead letters published")      \
	X(outbox_failures,          COUNTER,   "",       "attempts to publish that failed")       \
	X(outbox_set_aside,         COUNTER,   "",       "rows of an outbox that nobody can read") \
	X(outbox_oldest_seconds,    GAUGE,     "domain", "how long the oldest row has waited")    \
	X(follower_messages,        COUNTER,   "",       "messages of facts that were applied")   \
	X(follower_failures,        COUNTER,   "",       "attempts to apply facts that failed")   \
	X(cache_hits,               COUNTER,   "",       "reads answered by the cache")           \
	X(cache_misses,             COUNTER,   "",       "reads the cache did not know")          \
	X(cache_errors,             COUNTER,   "",       "times the cache did not answer")        \
	X(bus_reconnects,           COUNTER,   "",       "connections to NATS made anew")

enum metric {
#define X(name, kind, label, text) METRIC_##name,
	METRIC_TABLE(X)
#undef X
	METRIC_COUNT
};

/* `label` is the value of the row's label: static text, at most 64 values a metric; NULL for none. */
void metric_add(enum metric, const char *label, int64_t n);
void metric_set(enum metric, int64_t value);
void metric_time(enum metric, int64_t microseconds);
void metrics_write(struct buf *);
#endif
