/*
 * outbox.c - see outbox.h.  Must not know what a letter says.
 *
 * A row is locked, its letters are published and acknowledged, then it is deleted, all in one
 * transaction: whoever dies in between leaves the row to the next.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/named.h"
#include "actors/core/outbox.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"
#include "broker/stream.h"

enum {
	ROOM      = 64 << 20,		/* of addresses; only what a batch needs is ever touched */
	BODY_MAX  = (1 << 20) - 8192,	/* what the server takes, less the headers of a dead letter */
	PURGE_S   = 10,			/* old keys go in small portions */
};

MSG_DEFINE(outbox_row,   OUTBOX_ROW)
MSG_DEFINE(outbox_batch, OUTBOX_BATCH)

struct relay {
	struct bus     *bus;
	const char     *url, *domain;
	enum query      read, delete, purge;
	struct arena    mem;
	void           *storage;
	struct db      *db;
	bool            away;		/* said so already */
	int64_t         purge_at;
	pthread_t       thread;
	pthread_mutex_t lock;
	pthread_cond_t  bell;
	bool            woken, stopping;
};

err_t outbox_add(struct ctx *c, struct outbox *o, const struct letter *l)
{
	if (o->n == o->cap) {
		const size_t cap = o->cap * 2 + 1, size = sizeof *o->letter;
		struct letter *more = arena_grow(c->mem, o->letter, o->cap * size, cap * size);

		if (more == NULL)
			return refuse(c, ERR_too_large, "%zu letters fill the arena", o->n);
		o->letter = more;
		o->cap = cap;
	}
	o->letter[o->n++] = *l;
	return OK;
}

err_t outbox_add_facts(struct ctx *c, struct outbox *o, const char *domain, const char *name,
		       int64_t id, const struct facts *f)
{
	struct buf subject = { .mem = c->mem };
	struct letter l = { .set = { 0 } };
	struct str body;

	if (f->items.n == 0)
		return OK;
	buf_fmt(&subject, "healthmed.v1.events.%s.%s.%" PRId64, domain, name, id);
	if (subject.full)
		return refuse(c, ERR_too_large, "no room for a fact");
	TRY(msg_to_pack(c, &facts_msg, f, &body));
	SET(&l, subject, ((struct str) { subject.p, subject.n }));
	SET(&l, body, body);
	return outbox_add(c, o, &l);
}

err_t outbox_pack(struct ctx *c, const struct outbox *o, struct str *out)
{
	struct letters all = { .set = { 0 } };

	*out = (struct str) { NULL, 0 };
	if (o->n == 0)
		return OK;
	all.items.items = o->letter;
	all.items.n = o->n;
	all.has.items = 1;
	return msg_to_pack(c, &letters_msg, &all, out);
}

err_t outbox_tell(struct ctx *c, enum query write, const char *domain, const char *name, int64_t id,
		  const struct facts *f)
{
	struct outbox o = { .n = 0 };
	struct outbox_row row = { .set = { 0 } };

	TRY(outbox_add_facts(c, &o, domain, name, id, f));
	TRY(outbox_pack(c, &o, &row.letters));
	row.has.letters = 1;
	return o.n == 0 ? OK : db_exec(c, write, &row);
}

static const char *text_of(struct ctx *c, struct str s)
{
	char *text = arena_alloc(c->mem, s.n + 1);

	return text == NULL ? "" : memcpy(text, s.p, s.n);
}

static err_t publish(struct ctx *c, struct relay *r, const struct letter *l, int64_t row, size_t n)
{
	struct headers h = { .n = 0 };
	struct str body = l->body;
	char id[96], user[24];

	if (l->has.origin)
		wire_put(&h, WIRE_ORIGIN, text_of(c, l->origin));
	if (l->has.reason)
		wire_put(&h, WIRE_REASON, text_of(c, l->reason));
	if (l->has.call)
		wire_put(&h, WIRE_CALL, text_of(c, l->call));
	if (l->has.request)
		wire_put(&h, WIRE_REQUEST, text_of(c, l->request));
	if (l->has.user) {
		(void) snprintf(user, sizeof user, "%" PRId64, l->user);
		wire_put(&h, WIRE_USER, user);
	}
	if (l->has.role)
		wire_put(&h, WIRE_ROLE, text_of(c, l->role));
	if (l->has.if_match)
		wire_put(&h, WIRE_IF_MATCH, text_of(c, l->if_match));
	if (body.n > BODY_MAX)
		body.n = BODY_MAX;	/* a dead letter of the largest size: better cut than kept back */
	(void) snprintf(id, sizeof id, "%s-%" PRId64 "-%zu", r->domain, row, n);
	c->deadline = clock_mono() + 5 * SECOND;
	return stream_publish(c, r->bus, text_of(c, l->subject), id, &h, body);
}

static err_t publish_row(struct ctx *c, struct relay *r, const struct outbox_row *row)
{
	struct letters all;

	TRY(msg_from_pack(c, &letters_msg, row->letters, &all));
	for (size_t i = 0; i < all.items.n; i++) {
		TRY(publish(c, r, &all.items.items[i], row->id, i));
		metric_add(METRIC_outbox_published, NULL, 1);
	}
	return OK;
}

static void complain(struct ctx *c, struct relay *r, err_t e, int64_t row)
{
	char detail[2 * sizeof c->detail];

	metric_add(METRIC_outbox_failures, NULL, 1);
	log_line(LOG_WARNING, "outbox", NULL,
		 "\"domain\":\"%s\",\"row\":%" PRId64 ",\"code\":\"%s\",\"detail\":\"%s\"", r->domain,
		 row, err_info[e.code].code, log_text(c->detail, detail, sizeof detail));
}

/* One batch; *n says how many rows left the outbox. */
static err_t pass_on(struct ctx *c, struct relay *r, int64_t rows, size_t *n)
{
	struct outbox_batch gone = { .rows = rows, .has.rows = 1 };
	struct outbox_row *row = NULL;
	const int64_t enough = clock_mono() + SECOND;	/* the server ends a transaction that dawdles */
	size_t found = 0;

	*n = 0;
	c->deadline = clock_mono() + 30 * SECOND;
	TRY(db_begin(c, true));
	TRY(db_list(c, r->read, &gone, &row, &found));
	gone.items.items = row;
	for (size_t i = 0; i < found && (i == 0 || clock_mono() < enough); i++) {
		const err_t e = publish_row(c, r, &row[i]);

		if (e.code != ERR_none)
			complain(c, r, e, row[i].id);
		if (e.code == ERR_none || !RULE(outbox_ack))
			row[gone.items.n++] = row[i];
		else if (e.code == ERR_unavailable || e.code == ERR_timeout)
			break;			/* the others would fare no better */
		c->nfaults = 0;
		c->verdict = ERR_none;
	}
	c->deadline = clock_mono() + 30 * SECOND;
	if (gone.items.n > 0) {
		gone.has.items = 1;
		TRY(db_exec(c, r->delete, &gone));
	}
	TRY(db_commit(c));
	*n = gone.items.n;
	return OK;
}

static err_t purge(struct ctx *c, struct relay *r)
{
	void *rows;
	size_t n;

	c->deadline = clock_mono() + 10 * SECOND;
	TRY(db_begin(c, true));
	TRY(db_list(c, r->purge, NULL, &rows, &n));
	return db_commit(c);
}

/* Whatever goes wrong, the session is left without a transaction, or closed. */
static err_t settle(struct ctx *c, struct relay *r, err_t e)
{
	if (e.code == ERR_none)
		return e;
	if (db_is_up(r->db))
		db_rollback(c);
	complain(c, r, e, 0);
	if (!db_is_up(r->db)) {
		db_close(r->db);
		r->db = NULL;
	}
	return e;
}

static bool is_open(struct relay *r)
{
	char why[256] = "", detail[512];

	if (r->db != NULL)
		return true;

	const err_t e = db_open(r->url, r->domain, &r->db, why);

	if (e.code != ERR_none && !r->away)
		log_line(LOG_WARNING, "outbox_database", NULL, "\"domain\":\"%s\",\"detail\":\"%s\"",
			 r->domain, log_text(why, detail, sizeof detail));
	r->away = e.code != ERR_none;
	if (r->away)
		r->db = NULL;
	return !r->away;
}

/* What there is to do now; true when there may be more. */
static bool round_of(struct relay *r)
{
	struct ctx c = { .mem = &r->mem };
	size_t n = 0;
	err_t e;

	if (!bus_is_up(r->bus) || !is_open(r))
		return false;
	arena_reset(&r->mem);
	c.db = r->db;
	e = settle(&c, r, pass_on(&c, r, OUTBOX_ROWS, &n));
	if (e.code == ERR_too_large) {		/* rows of many letters: one by one */
		arena_reset(&r->mem);
		c.db = r->db;
		(void) settle(&c, r, pass_on(&c, r, 1, &n));
	}
	if (r->db != NULL && r->purge != Q_COUNT && clock_mono() >= r->purge_at) {
		r->purge_at = clock_mono() + PURGE_S * SECOND;
		arena_reset(&r->mem);
		c = (struct ctx) { .mem = &r->mem, .db = r->db };
		(void) settle(&c, r, purge(&c, r));
	}
	return n > 0;
}

static void *relay(void *of)
{
	struct relay *r = of;
	bool more = false;

	for (;;) {
		struct timespec until;

		(void) clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		(void) pthread_mutex_lock(&r->lock);
		while (!more && !r->woken && !r->stopping)
			if (pthread_cond_timedwait(&r->bell, &r->lock, &until) == ETIMEDOUT)
				break;
		const bool stopping = r->stopping;

		r->woken = false;
		(void) pthread_mutex_unlock(&r->lock);
		more = round_of(r);
		if (stopping)		/* after the last act of this process */
			break;
	}
	db_close(r->db);
	return NULL;
}

err_t relay_start(struct bus *bus, const char *url, const char *domain, struct relay **out)
{
	struct relay *r = calloc(1, sizeof *r);
	pthread_condattr_t mono;

	if (r == NULL)
		return ERR(unavailable);
	*r = (struct relay) { .bus = bus, .url = url, .domain = domain,
		.read = query_named(domain, "outbox_read"),
		.delete = query_named(domain, "outbox_delete"),
		.purge = query_named(domain, "key_purge"), .storage = malloc(ROOM) };
	(void) pthread_condattr_init(&mono);
	(void) pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void) pthread_mutex_init(&r->lock, NULL);
	(void) pthread_cond_init(&r->bell, &mono);
	(void) pthread_condattr_destroy(&mono);
	if (r->storage == NULL || r->read == Q_COUNT || r->delete == Q_COUNT)
		goto failed;
	arena_init(&r->mem, r->storage, ROOM);
	if (pthread_create(&r->thread, NULL, relay, r) != 0)
		goto failed;
	*out = r;
	return OK;
failed:
	free(r->storage);
	free(r);
	return ERR(internal);
}

void relay_wake(struct relay *r)
{
	if (r == NULL)
		return;
	(void) pthread_mutex_lock(&r->lock);
	r->woken = true;
	(void) pthread_cond_signal(&r->bell);
	(void) pthread_mutex_unlock(&r->lock);
}

void relay_stop(struct relay *r)
{
	if (r == NULL)
		return;
	(void) pthread_mutex_lock(&r->lock);
	r->stopping = true;
	(void) pthread_cond_signal(&r->bell);
	(void) pthread_mutex_unlock(&r->lock);
	(void) pthread_join(r->thread, NULL);
	(void) pthread_cond_destroy(&r->bell);
	(void) pthread_mutex_destroy(&r->lock);
	free(r->storage);
	free(r);
}
