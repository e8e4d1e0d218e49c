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
	BATCH    = 64,			/* messages, or */
	BYTES    = 256 << 10,		/* so much of them */
	AGAIN_MS = 500,
	PASSED   = 1024,		/* messages of others' business at a time */
	PASS_S   = 5,			/* and how soon the position follows them */
};
#define PATIENCE (30 * SECOND)
#define ALL      "healthmed.v1.events.>"
#define PREFIX   "healthmed.v1.events."

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
	bool           away;		/* said so already */
	struct read    mail[BATCH];
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
		bus_free(f->mail[i].msg);
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

static bool is_followed(const struct follower *f, const struct read *r)
{
	const struct str fact = fact_of(bus_subject(r->msg));
	const size_t n = f->plan.of == NULL ? 0 : strlen(f->plan.of);

	return fact.n >= n && (n == 0 || memcmp(fact.p, f->plan.of, n) == 0);
}

static err_t apply(struct follower *f, struct ctx *c, const struct read *r)
{
	struct ctx aside = { .mem = c->mem };
	struct facts facts;

	if (msg_from_pack(&aside, &facts_msg, bus_body(r->msg), &facts).code != ERR_none) {
		log_line(LOG_ERROR, "facts_unreadable", NULL, "\"domain\":\"%s\",\"seq\":%" PRId64,
			 f->plan.domain, r->seq);
		return OK;
	}
	return f->plan.follow(c, fact_of(bus_subject(r->msg)), &facts);
}

/* All in one transaction, the position with it; what another process has applied is passed over. */
static err_t apply_all(struct follower *f, struct ctx *c, const struct read *r, size_t n)
{
	struct follow_place place;

	TRY(db_begin(c, true));
	TRY(db_one(c, f->lock, NULL, &place));
	if (place.stream_created != f->created)
		return refuse(c, ERR_unavailable, "by now another stream is followed");
	for (size_t i = 0; i < n; i++)
		if (r[i].seq > place.last_seq || !RULE(follow_once))
			TRY(apply(f, c, &r[i]));
	if (r[n - 1].seq > place.last_seq) {
		SET(&place, last_seq, r[n - 1].seq);
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
static err_t settle(struct follower *f, const struct read *r, size_t n)
{
	err_t e = apply_all(f, fresh_ctx(f), r, n);

	if (e.code == ERR_none)
		return OK;
	complain(f, "apply", e);

	const bool poison = e.code == ERR_too_large || db_is_poison(f->db);

	if (db_is_up(f->db))
		db_rollback(&f->ctx);
	if (!poison || !db_is_up(f->db))
		return e;
	if (n == 1)
		return pass_over(f, r);
	TRY(settle(f, r, n / 2));
	return settle(f, r + n / 2, n - n / 2);
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

/* Waits a little for a first message, and takes what else is there.  False: reading starts anew. */
static bool collect(struct follower *f)
{
	size_t bytes = 0;

	for (int passed = 0; f->n < BATCH && bytes < BYTES && passed < PASSED;) {
		struct read *r = &f->mail[f->n];

		reader_next(f->reader, f->n == 0 ? AGAIN_MS * MS : 0, r);
		if (r->what == READ_BROKEN)
			return false;
		if (r->what != READ_MESSAGE)
			return true;
		if (!is_followed(f, r)) {
			f->passed = r->seq;
			bus_free(r->msg);
			passed++;
			continue;
		}
		bytes += bus_body(r->msg).n;
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
