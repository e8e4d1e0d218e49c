/*
 * outbox.c - see outbox.h.  Must not know what a letter says.
 *
 * A row is locked, its letters are published and acknowledged, then it is deleted, all in one
 * transaction: whoever dies in between leaves the row to the next.  A row that stays, as its stream
 * does not store, and one that nobody can read keep no other from going.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
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
	REST_S    = 1,			/* until a stream that did not store is asked again, and */
	MAKE_S    = 10,			/* until it is made again, should it be missing */
	LATE_S    = 60,			/* whoever waits for longer is in trouble */
};

MSG_DEFINE(outbox_row,   OUTBOX_ROW)
MSG_DEFINE(outbox_batch, OUTBOX_BATCH)

struct relay {
	struct bus     *bus;
	const char     *url, *domain;
	enum query      read, delete, aside, purge;
	struct arena    mem;
	void           *storage;
	struct db      *db;
	bool            away;		/* said so already */
	int64_t         purge_at;
	int64_t         after;		/* where the present look at the outbox has come to; 0: it begins */
	int64_t         rests[STREAM_COUNT];	/* until then: it did not store */
	int64_t         make_at;
	int64_t         told;		/* the age that the metric shows */
	_Atomic int64_t since;		/* when the oldest row that is left began to wait; 0: none is */
	struct relay   *next;
	pthread_t       thread;
	pthread_mutex_t lock;
	pthread_cond_t  bell;
	bool            woken, stopping;
};

static struct { pthread_mutex_t lock; struct relay *first; } relays = { PTHREAD_MUTEX_INITIALIZER, NULL };

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

static void complain(struct ctx *c, struct relay *r, err_t e, int64_t row)
{
	char detail[2 * sizeof c->detail];

	metric_add(METRIC_outbox_failures, NULL, 1);
	log_line(LOG_WARNING, "outbox", NULL,
		 "\"domain\":\"%s\",\"row\":%" PRId64 ",\"code\":\"%s\",\"detail\":\"%s\"", r->domain,
		 row, err_info[e.code].code, log_text(c->detail, detail, sizeof detail));
}

enum fate { SENT, STAYS, ASIDE };

/* A stream that does not store says nothing of the others. */
static enum fate publish_letter(struct ctx *c, struct relay *r, const struct letter *l, int64_t row,
				size_t n)
{
	const enum stream s = stream_of(text_of(c, l->subject));

	if (s == STREAM_COUNT) {
		complain(c, r, refuse(c, ERR_invalid, "no stream keeps such a subject"), row);
		return ASIDE;
	}
	if (clock_mono() < r->rests[s])
		return STAYS;

	const err_t e = publish(c, r, l, row, n);

	if (e.code == ERR_none) {
		metric_add(METRIC_outbox_published, NULL, 1);
		return SENT;
	}
	complain(c, r, e, row);
	if (e.code == ERR_unavailable || e.code == ERR_timeout)
		r->rests[s] = clock_mono() + REST_S * SECOND;
	return e.code == ERR_too_large ? ASIDE : STAYS;
}

/* All is sent that can be: of a row that stays, it comes again under the same ids. */
static enum fate publish_row(struct ctx *c, struct relay *r, const struct outbox_row *row)
{
	struct letters all;
	enum fate fate = SENT;
	const err_t e = msg_from_pack(c, &letters_msg, row->letters, &all);

	if (e.code != ERR_none) {
		complain(c, r, e, row->id);
		return ASIDE;
	}
	for (size_t i = 0; i < all.items.n; i++) {
		const enum fate one = publish_letter(c, r, &all.items.items[i], row->id, i);

		if (fate == SENT || one == STAYS)	/* what stays is tried again; then it is seen */
			fate = one;
	}
	return fate;
}

static err_t set_aside(struct ctx *c, struct relay *r, struct outbox_batch *rows)
{
	for (size_t i = 0; i < rows->items.n; i++)
		log_line(LOG_ERROR, "outbox_aside", NULL, "\"domain\":\"%s\",\"row\":%" PRId64, r->domain,
			 rows->items.items[i].id);
	metric_add(METRIC_outbox_set_aside, NULL, (int64_t) rows->items.n);
	rows->has.items = 1;
	return db_exec(c, r->aside, rows);
}

/* One batch; *more says whether the outbox goes on behind it. */
static err_t pass_on(struct ctx *c, struct relay *r, int64_t rows, bool *more)
{
	struct outbox_batch batch = { .set = { 0 } }, gone = batch, aside = batch;
	struct outbox_row *row = NULL, unread[OUTBOX_ROWS];
	const int64_t enough = clock_mono() + SECOND;	/* the server ends a transaction that dawdles */
	int64_t after = 0, age = -1;
	size_t found = 0, i;

	c->deadline = clock_mono() + 30 * SECOND;
	SET(&batch, rows, rows);
	SET(&batch, after, r->after);
	TRY(db_begin(c, true));
	TRY(db_list(c, r->read, &batch, &row, &found));
	gone.items.items = row;
	aside.items.items = unread;
	for (i = 0; i < found && bus_is_up(r->bus) && (i == 0 || clock_mono() < enough); i++) {
		const size_t mark = c->mem->used;
		const enum fate fate = publish_row(c, r, &row[i]);

		after = row[i].id;
		if (fate == ASIDE)
			unread[aside.items.n++] = row[i];
		else if (fate == STAYS && RULE(outbox_ack))
			age = age < 0 ? row[i].age : age;
		else
			row[gone.items.n++] = row[i];
		c->nfaults = 0;
		c->verdict = ERR_none;
		arena_back(c->mem, mark);
	}
	if (i < found && age < 0)
		age = row[i].age;
	c->deadline = clock_mono() + 30 * SECOND;
	if (gone.items.n > 0) {
		gone.has.items = 1;
		TRY(db_exec(c, r->delete, &gone));
	}
	if (aside.items.n > 0)
		TRY(set_aside(c, r, &aside));
	TRY(db_commit(c));
	if (r->after == 0 || r->since == 0)
		r->since = age < 0 ? 0 : clock_mono() - age * SECOND;
	r->after = i < found || found == (size_t) rows ? after : 0;
	*more = r->after != 0;
	return OK;
}

/* A stream that did not store may be there no more. */
static void make_streams(struct ctx *c, struct relay *r)
{
	if (clock_mono() < r->make_at)
		return;
	for (enum stream s = 0; s < STREAM_COUNT; s++) {
		if (clock_mono() >= r->rests[s])
			continue;
		c->deadline = clock_mono() + SECOND;
		r->make_at = clock_mono() + MAKE_S * SECOND;

		const err_t e = stream_make(c, r->bus, s);

		if (e.code != ERR_none)
			complain(c, r, e, 0);
	}
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
	bool more = false;
	err_t e;

	if (!bus_is_up(r->bus) || !is_open(r))
		return false;
	arena_reset(&r->mem);
	c.db = r->db;
	e = settle(&c, r, pass_on(&c, r, OUTBOX_ROWS, &more));
	if (e.code == ERR_too_large) {		/* rows of many letters: one by one */
		arena_reset(&r->mem);
		c.db = r->db;
		(void) settle(&c, r, pass_on(&c, r, 1, &more));
	}
	make_streams(&c, r);
	if (r->db != NULL && r->purge != Q_COUNT && clock_mono() >= r->purge_at) {
		r->purge_at = clock_mono() + PURGE_S * SECOND;
		arena_reset(&r->mem);
		c = (struct ctx) { .mem = &r->mem, .db = r->db };
		(void) settle(&c, r, purge(&c, r));
	}
	return more;
}

/* Seconds. */
static int64_t age_of(const struct relay *r)
{
	return r->since == 0 ? 0 : (clock_mono() - r->since) / SECOND;
}

static void tell_age(struct relay *r)
{
	const int64_t age = age_of(r);

	metric_add(METRIC_outbox_oldest_seconds, r->domain, age - r->told);
	r->told = age;
}

bool outbox_is_well(void *of, char *detail, size_t size)
{
	bool well = true;

	(void) of;
	(void) pthread_mutex_lock(&relays.lock);
	for (const struct relay *r = relays.first; r != NULL; r = r->next)
		if (age_of(r) > LATE_S && well) {
			(void) snprintf(detail, size, "%s: a row has waited for %" PRId64 " s", r->domain,
					age_of(r));
			well = false;
		}
	(void) pthread_mutex_unlock(&relays.lock);
	return well;
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
		tell_age(r);
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
		.aside = query_named(domain, "outbox_aside"),
		.purge = query_named(domain, "key_purge"), .storage = malloc(ROOM) };
	(void) pthread_condattr_init(&mono);
	(void) pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void) pthread_mutex_init(&r->lock, NULL);
	(void) pthread_cond_init(&r->bell, &mono);
	(void) pthread_condattr_destroy(&mono);
	if (r->storage == NULL || r->read == Q_COUNT || r->delete == Q_COUNT ||
	    r->aside == Q_COUNT)
		goto failed;
	arena_init(&r->mem, r->storage, ROOM);
	if (pthread_create(&r->thread, NULL, relay, r) != 0)
		goto failed;
	(void) pthread_mutex_lock(&relays.lock);
	r->next = relays.first;
	relays.first = r;
	(void) pthread_mutex_unlock(&relays.lock);
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
	(void) pthread_mutex_lock(&relays.lock);
	for (struct relay **p = &relays.first; *p != NULL; p = &(*p)->next)
		if (*p == r) {
			*p = r->next;
			break;
		}
	(void) pthread_mutex_unlock(&relays.lock);
	(void) pthread_mutex_lock(&r->lock);
	r->stopping = true;
	(void) pthread_cond_signal(&r->bell);
	(void) pthread_mutex_unlock(&r->lock);
	(void) pthread_join(r->thread, NULL);
	metric_add(METRIC_outbox_oldest_seconds, r->domain, -r->told);
	(void) pthread_cond_destroy(&r->bell);
	(void) pthread_mutex_destroy(&r->lock);
	free(r->storage);
	free(r);
}
