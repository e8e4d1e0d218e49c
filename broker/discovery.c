/*
 * discovery.c - see discovery.h.  Must not answer anything but who is here and how it fares.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "broker/base/version.h"
#include "broker/discovery.h"
#include "broker/scan.h"

enum { ID = 22, ROOM = 1 << 15, SUBJECT = 96, DEPTH = 3 };

struct discovery {
	struct bus      *bus;
	const char      *name;
	char             id[ID + 1];
	char             started[32];
	struct endpoint *endpoint;
	size_t           n;
	pthread_mutex_t  mu;		/* of the room: nine subscriptions are nine threads */
	unsigned char    room[ROOM];
};

static void put_common(struct buf *b, const struct discovery *d, const char *type)
{
	buf_fmt(b, "{\"type\":\"io.nats.micro.v1.%s_response\",\"name\":\"%s\",\"id\":\"%s\","
		"\"version\":\"" VERSION "\",\"metadata\":{}", type, d->name, d->id);
}

static void put_ping(struct buf *b, const struct discovery *d)
{
	put_common(b, d, "ping");
	buf_put(b, "}", 1);
}

/* The name is one token: the verb alone; a mailbox is all of its doctors'. */
static void put_endpoint(struct buf *b, const struct endpoint *e, bool first)
{
	const struct call *k = &call[e->call];

	buf_fmt(b, "%s{\"name\":\"%s\",\"subject\":\"%s\",\"queue_group\":\"%s\"", first ? "" : ",",
		strchr(k->name, '.') + 1,
		CALL_IS_MAILBOX(k) ? "healthmed.v1.booking.*.*" : k->subject,
		CALL_IS_MAILBOX(k) ? "" : k->domain);
}

static void put_info(struct buf *b, const struct discovery *d)
{
	put_common(b, d, "info");
	buf_fmt(b, ",\"description\":\"Health&Med: %s\",\"endpoints\":[", d->name);
	for (size_t i = 0; i < d->n; i++) {
		put_endpoint(b, &d->endpoint[i], i == 0);
		buf_fmt(b, ",\"metadata\":{}}");
	}
	buf_fmt(b, "]}");
}

static void put_stats(struct buf *b, const struct discovery *d)
{
	put_common(b, d, "stats");
	buf_fmt(b, ",\"started\":\"%s\",\"endpoints\":[", d->started);
	for (size_t i = 0; i < d->n; i++) {
		struct endpoint *e = &d->endpoint[i];
		const int64_t n = atomic_load(&e->requests), busy = atomic_load(&e->busy_us) * 1000;
		const int error = atomic_load(&e->last_error);

		put_endpoint(b, e, i == 0);
		buf_fmt(b, ",\"num_requests\":%" PRId64 ",\"num_errors\":%" PRId64 ",\"last_error\":",
			n, atomic_load(&e->errors));
		scan_quote(b, error > 0 && error < ERR_COUNT ? str_of(err_info[error].code) : STR(""));
		buf_fmt(b, ",\"processing_time\":%" PRId64 ",\"average_processing_time\":%" PRId64 "}",
			busy, n > 0 ? busy / n : 0);
	}
	buf_fmt(b, "]}");
}

typedef void put_fn(struct buf *, const struct discovery *);
static void answer(struct discovery *d, const struct bus_msg *m, put_fn *put)
{
	const struct headers none = { .n = 0 };
	struct arena mem;
	struct buf b = { .mem = &mem };

	if (bus_reply_to(m) == NULL)
		return;
	(void) pthread_mutex_lock(&d->mu);
	arena_init(&mem, d->room, sizeof d->room);
	put(&b, d);
	if (!b.full)	/* nobody waits for us but the one who asked, and he asks again */
		(void) bus_publish(d->bus, bus_reply_to(m), &none, (struct str) { b.p, b.n }).code;
	(void) pthread_mutex_unlock(&d->mu);
}

static void on_ping(void *of, const struct bus_msg *m)  { answer(of, m, put_ping); }
static void on_info(void *of, const struct bus_msg *m)  { answer(of, m, put_info); }
static void on_stats(void *of, const struct bus_msg *m) { answer(of, m, put_stats); }

static const struct { const char *verb; bus_fn *fn; } verbs[] = {
	{ "PING", on_ping }, { "INFO", on_info }, { "STATS", on_stats },
};

static err_t listen_all(struct discovery *d)
{
	char subject[SUBJECT];

	for (size_t i = 0; i < COUNT(verbs); i++)
		for (int depth = 0; depth < DEPTH; depth++) {
			(void) snprintf(subject, sizeof subject, "$SRV.%s%s%s%s%s", verbs[i].verb,
					depth > 0 ? "." : "", depth > 0 ? d->name : "",
					depth > 1 ? "." : "", depth > 1 ? d->id : "");
			TRY(bus_listen(d->bus, subject, verbs[i].fn, d));
		}
	return OK;
}

err_t discovery_start(struct bus *b, const char *domain, struct endpoint *e, size_t n,
		      struct discovery **out)
{
	struct discovery *d = calloc(1, sizeof *d);
	const time_t now = (time_t) (clock_wall() / SECOND);
	unsigned char unique[16];
	struct tm utc;

	if (d == NULL)
		return ERR(internal);
	*d = (struct discovery) { .bus = b, .name = domain, .endpoint = e, .n = n };
	(void) pthread_mutex_init(&d->mu, NULL);
	digest_random(unique, sizeof unique);
	(void) digest_text(unique, sizeof unique, d->id);
	(void) gmtime_r(&now, &utc);
	(void) strftime(d->started, sizeof d->started, "%Y-%m-%dT%H:%M:%SZ", &utc);

	const err_t err = listen_all(d);

	if (err.code)
		discovery_stop(d);
	else
		*out = d;
	return err;
}

void discovery_stop(struct discovery *d)
{
	bus_unlisten(d->bus, d);
	(void) pthread_mutex_destroy(&d->mu);
	free(d);
}
