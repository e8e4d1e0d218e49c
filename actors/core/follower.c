/* follower.c - see follower.h.  Must not know what a fact means. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/follower.h"
#include "actors/core/named.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/log.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"
#include "broker/stream.h"

MSG_DEFINE(follow_place, FOLLOW_PLACE)

enum {
	ROOM     = 64 << 20,		/* of addresses; only what a batch needs is ever touched */
	BATCH    = 256,			/* messages, or */
	BYTES    = 1 << 20,		/* so much of them */
	AGAIN_MS = 500,
	GATHER_MS = 250,		/* between two transactions, while there is something to apply */
	PASSED   = 1024,		/* messages of others' business at a time */
	PASS_S   = 5,			/* and how soon the position follows them */
};
#define PATIENCE (30 * SECOND)
#define ALL      "healthmed.v1.events.>"
#define PREFIX   "healthmed.v1.events."

struct mail {
	struct read            read;
	const struct followed *row;
};

struct follower {
	struct plan_of_follower plan;
	enum query     lock, move;
	struct bus    *bus;
	struct reader *reader;
	struct db     *db;
	struct cache  *cache;		/* where effects drop what is no longer so */
	int64_t        created;		/* of the stream that is being read; 0: none is */
	struct arena   mem;
	void          *storage;
	struct ctx     ctx;
	int64_t        chore_at;
	int64_t        passed, pass_at;	/* the last message that was passed over; 0: none since */
	int64_t        gather_until;
	bool           away;		/* said so already */
	struct mail    mail[BATCH];
	size_t         n;
	pthread_t      thread;
	atomic_bool    stop;
};

static struct ctx *fresh_ctx(struct follower *f)
{
	arena_reset(&f->mem);
	f->ctx = (struct ctx) { .mem = &f->mem, .db = f->db, .cache = f->cache, .now = clock_wall(),
		.role = ROLE_SYSTEM, .deadline = clock_mono() + PATIENCE,
		.secret = config_text(CONFIG_REQUEST_KEY) };
	return &f->ctx;
}

static void complain(struct follower *f, const char *what, err_t e)
{
	char detail[2 * sizeof f->ctx.detail];

	metric_add(METRIC_follower_failures, NULL, 1);
	log_line(LOG_WARNING, "follower", NULL,
		 "\"domain\":\"%s\",\"what\":\"%s\",\"code\":\"%s\",\"detail\":\"%s\"", f->plan.domain,
		 what, err_info[e.code].code, log_text(f->ctx.detail, detail, sizeof detail));
}

static void free_mail(struct follower *f)
{
	for (size_t i = 0; i < f->n; i++)
		bus_free(f->mail[i].read.msg);
	f->n = 0;
}

/* "healthmed.v1.events.booking.booked.7": the fact is what stands before the last point. */
static struct str fact_of(struct str subject)
{
	size_t n = subject.n;

	while (n > 0 && subject.p[n - 1] != '.')
		n--;
	return n <= sizeof PREFIX ? STR("") :
	       (struct str) { subject.p + sizeof PREFIX - 1, n - sizeof PREFIX };
}

/* NULL: none of the domain's business. */
static const struct followed *row_of(const struct follower *f, const struct read *r)
{
	const struct str fact = fact_of(bus_subject(r->msg));
	const struct followed *row = f->plan.follows;

	while (row->fact != NULL && !str_eq(fact, str_of(row->fact)))
		row++;
	return row->fact == NULL ? NULL : row;
}

static bool read_facts(struct follower *f, struct ctx *c, const struct read *r, struct facts *out)
{
	struct ctx aside = { .mem = c->mem };

	if (msg_from_pack(&aside, &facts_msg, bus_body(r->msg), out).code == ERR_none)
		return true;
	log_line(LOG_ERROR, "facts_unreadable", NULL, "\"domain\":\"%s\",\"seq\":%" PRId64,
		 f->plan.domain, r->seq);
	return false;
}

/* The facts of one kind that stand in n messages after a position, as one list; maybe none. */
static err_t gather(struct follower *f, struct ctx *c, const struct followed *row, const struct mail *m,
		    size_t n, int64_t after, struct facts *all)
{
	struct facts *each = arena_alloc(c->mem, n * sizeof *each);
	size_t k = 0, total = 0;

	*all = (struct facts) { .has.items = 1 };
	if (each == NULL)
		return ERR(too_large);
	for (size_t i = 0; i < n; i++)
		if (m[i].row == row && (m[i].read.seq > after || !RULE(follow_once)) &&
		    read_facts(f, c, &m[i].read, &each[k]))
			total += each[k++].items.n;
	if (total == 0)
		return OK;
	all->items.items = arena_alloc(c->mem, total * sizeof *all->items.items);
	if (all->items.items == NULL)
		return ERR(too_large);
	for (size_t i = 0; i < k; all->items.n += each[i++].items.n)
		memcpy(all->items.items + all->items.n, each[i].items.items,
		       each[i].items.n * sizeof *all->items.items);
	return OK;
}

/* All in one transaction, the position with it; what another process has applied is passed over. */
static err_t apply_all(struct follower *f, struct ctx *c, const struct mail *m, size_t n)
{
	struct follow_place place;

	TRY(db_begin(c, true));
	TRY(db_one(c, f->lock, NULL, &place));
	if (place.stream_created != f->created)
		return refuse(c, ERR_unavailable, "by now another stream is followed");
	for (const struct followed *row = f->plan.follows; row->fact != NULL; row++) {
		struct facts all;

		TRY(gather(f, c, row, m, n, place.last_seq, &all));
		if (all.items.n > 0)
			TRY(row->apply(c, &all));
	}
	if (m[n - 1].read.seq > place.last_seq) {
		SET(&place, last_seq, m[n - 1].read.seq);
		TRY(db_exec(c, f->move, &place));
	}
	return db_commit(c);
}

static void drop_session(struct follower *f)
{
	db_close(f->db);
	f->db = NULL;
}

/* The message that the database refuses as data is told, and only its place is kept. */
static err_t pass_over(struct follower *f, const struct read *r)
{
	struct ctx *c = fresh_ctx(f);
	struct follow_place place = { .set = { 0 } };

	log_line(LOG_ERROR, "fact_refused", NULL, "\"domain\":\"%s\",\"seq\":%" PRId64, f->plan.domain,
		 r->seq);
	SET(&place, stream_created, f->created);
	SET(&place, last_seq, r->seq);
	TRY(db_begin(c, true));
	TRY(db_exec(c, f->move, &place));
	return db_commit(c);
}

/* A restart need not read again what was none of the domain's business. */
static err_t pass(struct follower *f)
{
	struct ctx *c = fresh_ctx(f);
	struct follow_place place;

	if (f->passed == 0 || clock_mono() < f->pass_at)
		return OK;
	f->pass_at = clock_mono() + PASS_S * SECOND;
	TRY(db_begin(c, true));
	TRY(db_one(c, f->lock, NULL, &place));
	if (place.stream_created == f->created && place.last_seq < f->passed) {
		SET(&place, last_seq, f->passed);
		TRY(db_exec(c, f->move, &place));
	}
	f->passed = 0;
	return db_commit(c);
}

/* Bisects around what cannot be applied.  An error: nothing further was, and the reading starts anew. */
static err_t settle(struct follower *f, const struct mail *m, size_t n)
{
	err_t e = apply_all(f, fresh_ctx(f), m, n);

	if (e.code == ERR_none)
		return OK;
	complain(f, "apply", e);

	const bool poison = e.code == ERR_too_large || db_is_poison(f->db);

	if (db_is_up(f->db))
		db_rollback(&f->ctx);
	if (!poison || !db_is_up(f->db))
		return e;
	if (n == 1)
		return pass_over(f, &m->read);
	TRY(settle(f, m, n / 2));
	return settle(f, m + n / 2, n - n / 2);
}

/* ---- where it goes on ---- */

static err_t start(struct follower *f)
{
	struct ctx *c = fresh_ctx(f);
	struct stream_info info;
	struct follow_place place;

	TRY(db_begin(c, true));
	TRY(db_one(c, f->lock, NULL, &place));
	TRY(db_commit(c));
	/* In this order: another process may move the position meanwhile, and the stream grows before it. */
	TRY(stream_info(c, f->bus, STREAM_EVENTS, &info));

	const bool known = place.stream_created == info.created && place.last_seq <= info.last_seq;

	if (!known && place.last_seq > 0)
		log_line(LOG_WARNING, "events_anew", NULL, "\"domain\":\"%s\",\"last_seq\":%" PRId64,
			 f->plan.domain, place.last_seq);
	if (known && place.last_seq > 0 && place.last_seq + 1 < info.first_seq)
		log_line(LOG_ERROR, "events_missed", NULL, "\"domain\":\"%s\",\"after\":%" PRId64
			 ",\"first\":%" PRId64, f->plan.domain, place.last_seq, info.first_seq);
	if (!known) {		/* the position of another stream must not hide this one's messages */
		SET(&place, stream_created, info.created);
		SET(&place, last_seq, 0);
		TRY(db_begin(c, true));
		TRY(db_exec(c, f->move, &place));
		TRY(db_commit(c));
	}
	f->created = info.created;
	f->passed = 0;
	f->pass_at = clock_mono() + PASS_S * SECOND;
	return reader_start(c, f->reader, 0, ALL, place.last_seq + 1);
}

static void stop_reading(struct follower *f)
{
	if (f->created != 0)
		reader_stop(f->reader, 0);
	f->created = 0;
}

static bool is_open(struct follower *f)
{
	char why[256] = "", detail[512];

	if (f->db != NULL && db_is_up(f->db))
		return true;
	stop_reading(f);
	drop_session(f);

	const err_t e = db_open(f->plan.url, f->plan.domain, &f->db, why);

	if (e.code != ERR_none && !f->away)
		log_line(LOG_WARNING, "follower_database", NULL, "\"domain\":\"%s\",\"detail\":\"%s\"",
			 f->plan.domain, log_text(why, detail, sizeof detail));
	f->away = e.code != ERR_none;
	if (f->away)
		f->db = NULL;
	return !f->away;
}

static int64_t patience(const struct follower *f)
{
	const int64_t left = f->gather_until - clock_mono();

	return f->n == 0 ? AGAIN_MS * MS : left > 0 ? left : 0;
}

/* Waits a little for a first message, and takes what else is there.  False: reading starts anew. */
static bool collect(struct follower *f)
{
	size_t bytes = 0;

	for (int passed = 0; f->n < BATCH && bytes < BYTES && passed < PASSED;) {
		struct mail *m = &f->mail[f->n];

		reader_next(f->reader, patience(f), &m->read);
		if (m->read.what == READ_BROKEN)
			return false;
		if (m->read.what != READ_MESSAGE)
			return true;
		m->row = row_of(f, &m->read);
		if (m->row == NULL) {
			f->passed = m->read.seq;
			bus_free(m->read.msg);
			passed++;
			continue;
		}
		bytes += bus_body(m->read.msg).n;
		f->n++;
	}
	return true;
}

static void do_chore(struct follower *f)
{
	struct ctx *c = fresh_ctx(f);
	err_t e;

	if (f->plan.chore == NULL || clock_mono() < f->chore_at)
		return;
	f->chore_at = clock_mono() + f->plan.chore_s * SECOND;
	e = db_begin(c, true);
	if (e.code == ERR_none)
		e = f->plan.chore(c);
	if (e.code == ERR_none)
		e = db_commit(c);
	if (e.code == ERR_none) {
		relay_wake(f->plan.relay);
		return;
	}
	complain(f, "chore", e);
	if (db_is_up(f->db))
		db_rollback(c);
}

static void rest(struct follower *f)
{
	for (int i = 0; i < 10 && !f->stop; i++)
		clock_rest(AGAIN_MS * MS / 10);
}

static void round_of(struct follower *f)
{
	err_t e;

	if (!bus_is_up(f->bus) || !is_open(f)) {
		rest(f);
		return;
	}
	do_chore(f);
	if (f->created == 0 && (e = start(f)).code != ERR_none) {
		if (e.code != ERR_not_found)	/* nobody has made the stream yet */
			complain(f, "start", e);
		if (db_is_up(f->db))
			db_rollback(&f->ctx);
		stop_reading(f);
		rest(f);
		return;
	}

	bool go_on = collect(f);

	if (f->n > 0) {
		f->gather_until = clock_mono() + GATHER_MS * MS;
		if (settle(f, f->mail, f->n).code == ERR_none) {
			metric_add(METRIC_follower_messages, NULL, (int64_t) f->n);
			relay_wake(f->plan.relay);
		} else {
			go_on = false;
			rest(f);
		}
		free_mail(f);
	}
	if (go_on && pass(f).code != ERR_none) {
		complain(f, "position", ERR(unavailable));
		go_on = false;
		if (db_is_up(f->db))
			db_rollback(&f->ctx);
	}
	if (!go_on)
		stop_reading(f);
}

static void *run(void *of)
{
	struct follower *f = of;

	while (!f->stop)
		round_of(f);
	stop_reading(f);
	drop_session(f);
	return NULL;
}

err_t follower_start(struct bus *bus, const struct plan_of_follower *plan, struct follower **out)
{
	struct follower *f = calloc(1, sizeof *f);

	if (f == NULL)
		return ERR(unavailable);
	f->plan = *plan;
	f->bus = bus;
	f->lock = query_named(plan->domain, "follow_lock");
	f->move = query_named(plan->domain, "follow_move");
	f->cache = cache_open(plan->redis);
	f->storage = malloc(ROOM);
	if (f->storage == NULL || f->lock == Q_COUNT || f->move == Q_COUNT)
		goto failed;
	arena_init(&f->mem, f->storage, ROOM);
	if (reader_open(bus, STREAM_EVENTS, &f->reader).code != ERR_none)
		goto failed;
	if (pthread_create(&f->thread, NULL, run, f) != 0) {
		reader_close(f->reader);
		goto failed;
	}
	*out = f;
	return OK;
failed:
	cache_close(f->cache);
	free(f->storage);
	free(f);
	return ERR(internal);
}

void follower_stop(struct follower *f)
{
	if (f == NULL)
		return;
	f->stop = true;
	(void) pthread_join(f->thread, NULL);
	reader_close(f->reader);
	cache_close(f->cache);
	free(f->storage);
	free(f);
}
