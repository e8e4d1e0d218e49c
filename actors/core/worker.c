/*
 * worker.c - see worker.h.  Must not know a domain, nor what a request is about.
 *
 * A worker takes a message, has it dispatched and replies.  It never waits for a database: a
 * thread of the pool opens the sessions and hands them over.  HASHED calls it hands to hashers, of
 * which there are few: however many passwords are to be checked, the others are served meanwhile.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "actors/core/dispatch.h"
#include "actors/core/worker.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/log.h"
#include "broker/discovery.h"
#include "broker/metrics.h"

enum {
	ARENA = 1 << 20, SUBJECT = 128,
	FACT_ROOM = 1 << 20,		/* for a message of as many facts as facts.h allows */
};
enum { QUEUE = 64 };		/* passwords that wait to be checked */
#define QUEUE_US (700 * MS)	/* and how long: whoever is not served by then is told so within a second */
#define IDLE_US  SECOND			/* after so long without a request the session is tried */
#define DRAIN_US (50 * MS)
#define BACKOFF_MAX (2 * SECOND)
#define FIRST_US (5 * SECOND)
#define COMPLAIN_US (10 * SECOND)	/* one line each, while a database is away */

struct worker {
	struct pool         *pool;
	bool                 hasher;
	pthread_t            thread;
	struct arena         mem;
	void                *storage;
	struct cache        *cache;
	struct db           *db;	/* the worker's own */
	_Atomic(struct db *) fresh;	/* handed over by the opener */
	atomic_bool          wants;
};

struct pool {
	struct plan_of_pool plan;
	struct bus         *bus;
	struct bus_sub     *sub;
	struct discovery   *discovery;
	struct endpoint    *endpoint;	/* one for each of the actor's calls */
	struct worker      *worker;
	int                 nworkers;	/* the plan's, then the hashers */
	struct cache       *stale;	/* where facts drop what is no longer so */
	struct arena        fact_mem;	/* of the one thread that brings facts */
	unsigned char       fact_room[FACT_ROOM];
	int                 started;
	atomic_int          sessions;
	atomic_bool         stopping;
	pthread_t           opener;
	bool                opening;
	pthread_mutex_t     lock;
	pthread_cond_t      wanted;	/* by the opener: a worker has none, or the pool ends */
	pthread_cond_t      opened;	/* by workers: a session was opened, or could not be */
	bool                tried;	/* there was an attempt that failed */
	char                why[256];	/* why there is no session */
	pthread_cond_t      handed;	/* to hashers: a message, or the end of those who hand over */
	struct waits { struct bus_msg *m; int64_t until; } queue[QUEUE];
	int                 queue_first, nqueue;
	int                 feeders;	/* workers that may still hand over */
};

/* ---- sessions ---- */

static void want(struct worker *w)
{
	struct pool *p = w->pool;

	(void) pthread_mutex_lock(&p->lock);
	atomic_store(&w->wants, true);
	(void) pthread_cond_signal(&p->wanted);
	(void) pthread_mutex_unlock(&p->lock);
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until)
{
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };

	(void) pthread_cond_timedwait(cond, lock, &t);
}

/* Takes a session that was opened; gives up one that was lost. */
static void look_after(struct worker *w)
{
	if (w->db != NULL && !db_is_up(w->db)) {
		db_close(w->db);
		w->db = NULL;
		atomic_fetch_sub(&w->pool->sessions, 1);
		want(w);
	}
	if (w->db == NULL)
		w->db = atomic_exchange(&w->fresh, NULL);
}

/* While others have sessions, who has none leaves the requests to them.  When nobody has one, all
 * say so to whoever asks. */
static bool is_fit(struct worker *w)
{
	struct pool *p = w->pool;

	look_after(w);
	if (w->db != NULL || atomic_load(&p->stopping))
		return true;
	(void) pthread_mutex_lock(&p->lock);
	const bool others = atomic_load(&p->sessions) > 0;

	if (others && atomic_load(&w->fresh) == NULL)
		wait_until(&p->opened, &p->lock, clock_mono() + IDLE_US / 10);
	(void) pthread_mutex_unlock(&p->lock);
	return !others;
}

static struct worker *who_wants(struct pool *p)
{
	for (int i = 0; i < p->nworkers; i++)
		if (atomic_load(&p->worker[i].wants))
			return &p->worker[i];
	return NULL;
}

static bool open_for(struct pool *p, struct worker *w, int64_t *complained)
{
	char why[sizeof p->why] = "", detail[2 * sizeof why];
	struct db *db = NULL;
	const err_t e = db_open(p->plan.url, p->plan.actor->name, &db, why);

	(void) pthread_mutex_lock(&p->lock);
	memcpy(p->why, why, sizeof why);
	if (e.code == ERR_none) {
		atomic_store(&w->wants, false);
		atomic_fetch_add(&p->sessions, 1);
		atomic_store(&w->fresh, db);
	}
	p->tried |= e.code != ERR_none;
	(void) pthread_cond_broadcast(&p->opened);
	(void) pthread_mutex_unlock(&p->lock);
	if (e.code == ERR_none) {
		if (*complained != 0)
			log_line(LOG_INFO, "database_back", NULL, "\"domain\":\"%s\"", p->plan.actor->name);
		return true;
	}
	if (*complained == 0 || clock_mono() - *complained >= COMPLAIN_US) {
		*complained = clock_mono();
		log_line(e.code == ERR_internal ? LOG_ERROR : LOG_WARNING, "database", NULL,
			 "\"domain\":\"%s\",\"detail\":\"%s\"", p->plan.actor->name,
			 log_text(why, detail, sizeof detail));
	}
	return false;
}

static void *opener(void *of)
{
	struct pool *p = of;
	int64_t backoff = 0, complained = 0;

	while (!atomic_load(&p->stopping)) {
		const int64_t until = clock_mono() + backoff;
		struct worker *w;

		(void) pthread_mutex_lock(&p->lock);
		while (!atomic_load(&p->stopping) && (backoff > 0 ? clock_mono() < until : who_wants(p) == NULL))
			wait_until(&p->wanted, &p->lock, backoff > 0 ? until : clock_mono() + IDLE_US);
		(void) pthread_mutex_unlock(&p->lock);
		w = who_wants(p);
		if (w == NULL || atomic_load(&p->stopping))
			continue;
		if (open_for(p, w, &complained)) {
			backoff = complained = 0;
		} else {
			backoff = backoff == 0 ? 100 * MS : backoff * 2;
			if (backoff > BACKOFF_MAX)
				backoff = BACKOFF_MAX;
		}
	}
	return NULL;
}

/* ---- requests ---- */

static const struct receive *receive_of(struct pool *p, struct str subject, struct endpoint **e)
{
	const struct actor *a = p->plan.actor;

	for (size_t i = 0; i < a->nreceive; i++)
		if (str_eq(subject, str_of(call[a->receive[i].on].subject))) {
			*e = &p->endpoint[i];
			return &a->receive[i];
		}
	return NULL;
}

static err_t answer(struct ctx *c, const struct receive *r, const struct bus_msg *m, struct str *reply)
{
	TRY(wire_get_ctx(c, bus_header(m, WIRE_USER), bus_header(m, WIRE_ROLE),
			 bus_header(m, WIRE_DEADLINE), bus_header(m, WIRE_TRACE)));
	TRY(wire_get_session(c, bus_header(m, WIRE_SESSION)));
	c->if_match = bus_header(m, WIRE_IF_MATCH);
	if (r == NULL)			/* of a newer release, while pools are being replaced */
		return refuse(c, ERR_unavailable, "a call that is not known here");
	if (clock_left(c->deadline) == 0)
		return refuse(c, ERR_timeout, "nobody waits any more");
	if (c->db == NULL && call[r->on].tx != TX_NONE)
		return refuse(c, ERR_unavailable, "the database is away");
	return dispatch(c, r, bus_body(m), bus_header(m, WIRE_REQUEST), reply);
}

static void reply_to(struct ctx *c, struct bus *bus, const struct bus_msg *m, err_t e, struct str reply)
{
	struct headers h = { .n = 0 };

	if (bus_reply_to(m) == NULL)
		return;
	if (e.code != ERR_none) {
		wire_put_error(c, e, &h);
		reply = (struct str) { NULL, 0 };
	}
	if (bus_publish(bus, bus_reply_to(m), &h, reply).code != ERR_none)
		log_line(LOG_WARNING, "reply_lost", c->trace, "\"bytes\":%zu", reply.n);
}

static void count(struct ctx *c, const struct receive *r, struct endpoint *e, err_t err, int64_t us)
{
	const char *name = r == NULL ? "unknown" : call[r->on].name;
	/* That the database is away is said once, not by every request. */
	const bool ours = err.code == ERR_internal || (err.code == ERR_unavailable && c->db != NULL);
	char detail[2 * sizeof c->detail];

	metric_add(METRIC_call_requests, name, 1);
	metric_time(METRIC_call_seconds, us);
	if (err.code != ERR_none)
		metric_add(METRIC_call_errors, err_info[err.code].code, 1);
	if (e != NULL) {
		atomic_fetch_add_explicit(&e->requests, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&e->busy_us, us, memory_order_relaxed);
		if (err.code != ERR_none) {
			atomic_fetch_add_explicit(&e->errors, 1, memory_order_relaxed);
			atomic_store_explicit(&e->last_error, (int) err.code, memory_order_relaxed);
		}
	}
	log_line(ours ? LOG_WARNING : LOG_DEBUG, "call", c->trace,
		 "\"call\":\"%s\",\"code\":\"%s\",\"us\":%" PRId64 ",\"detail\":\"%s\"", name,
		 err_info[err.code].code, us, log_text(c->detail, detail, sizeof detail));
}

/* `busy`: there is no time for it. */
static void serve(struct worker *w, const struct bus_msg *m, bool busy)
{
	struct pool *p = w->pool;
	const int64_t start = clock_mono();
	struct endpoint *e = NULL;
	const struct receive *r = receive_of(p, bus_subject(m), &e);
	struct str reply = { NULL, 0 };
	err_t err;

	arena_reset(&w->mem);

	struct ctx c = { .mem = &w->mem, .db = w->db, .cache = w->cache, .now = clock_wall(),
		.secret = config_text(CONFIG_REQUEST_KEY) };

	err = busy ? refuse(&c, ERR_too_many_requests, "too many passwords to be checked") : answer(&c, r, m, &reply);
	reply_to(&c, p->bus, m, err, reply);
	if ((err.code == ERR_none || c.stands) && call[r->on].tx == TX_WRITE)
		relay_wake(p->plan.relay);
	count(&c, r, e, err, clock_mono() - start);
}

/* ---- passwords ---- */

static bool is_hashed(struct pool *p, const struct bus_msg *m)
{
	struct endpoint *e;
	const struct receive *r = receive_of(p, bus_subject(m), &e);

	return r != NULL && call[r->on].via == HASHED;
}

/* Half of the processors may check passwords, in a storm half of the time: the others have more to do. */
static int hashers_of(const struct actor *a)
{
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t i = 0; i < a->nreceive; i++)
		if (call[a->receive[i].on].via == HASHED)
			return processors > 3 ? (int) (processors / 2) : 1;
	return 0;
}

/* Whether there was room for it: then it is the hashers'. */
static bool hand_over(struct pool *p, struct bus_msg *m)
{
	(void) pthread_mutex_lock(&p->lock);
	const bool room = p->nqueue < QUEUE;

	if (room) {
		p->queue[(p->queue_first + p->nqueue++) % QUEUE] = (struct waits) { m, clock_mono() + QUEUE_US };
		(void) pthread_cond_signal(&p->handed);
	}
	(void) pthread_mutex_unlock(&p->lock);
	return room;
}

/* What was handed over first; NULL after a while, or when nothing more can come (*closed = true). */
static struct bus_msg *take_over(struct pool *p, bool *busy, bool *closed)
{
	struct waits first = { NULL, 0 };

	(void) pthread_mutex_lock(&p->lock);
	if (p->nqueue == 0 && p->feeders > 0)
		wait_until(&p->handed, &p->lock, clock_mono() + IDLE_US);
	if (p->nqueue > 0) {
		first = p->queue[p->queue_first];
		p->queue_first = (p->queue_first + 1) % QUEUE;
		p->nqueue--;
	}
	*closed = first.m == NULL && p->feeders == 0;
	(void) pthread_mutex_unlock(&p->lock);
	*busy = first.m != NULL && clock_mono() > first.until;
	return first.m;
}

static bool others_wait(struct pool *p)
{
	(void) pthread_mutex_lock(&p->lock);
	const bool wait = p->nqueue > 0;
	(void) pthread_mutex_unlock(&p->lock);
	return wait;
}

static void feed_no_more(struct pool *p)
{
	(void) pthread_mutex_lock(&p->lock);
	p->feeders--;
	(void) pthread_cond_broadcast(&p->handed);
	(void) pthread_mutex_unlock(&p->lock);
}

/* Nobody asked anything: a good time to see that the session is dead. */
static void idle(struct worker *w)
{
	if (w->db == NULL)
		return;
	arena_reset(&w->mem);

	struct ctx c = { .mem = &w->mem, .db = w->db, .deadline = clock_mono() + SECOND };

	if (db_exec(&c, Q_core_ping, NULL).code != ERR_none)
		db_rollback(&c);
}

static void *work(void *of)
{
	struct worker *w = of;
	struct pool *p = w->pool;

	for (bool closed = false; !closed;) {
		if (!is_fit(w))
			continue;

		const bool stopping = atomic_load(&p->stopping);
		struct bus_msg *m CLEANUP(bus_freep) = bus_take(p->sub, stopping ? DRAIN_US : IDLE_US,
								&closed);

		look_after(w);
		if (m != NULL && is_hashed(p, m)) {
			if (hand_over(p, m))
				m = NULL;
			else
				serve(w, m, true);
		} else if (m != NULL)
			serve(w, m, false);
		else if (stopping)
			break;
		else if (!closed)
			idle(w);
		look_after(w);
	}
	db_close(w->db);
	feed_no_more(p);
	return NULL;
}

static void *hash(void *of)
{
	struct worker *w = of;

	for (bool closed = false; !closed;) {
		bool busy;

		if (!is_fit(w))
			continue;
		struct bus_msg *m CLEANUP(bus_freep) = take_over(w->pool, &busy, &closed);
		const int64_t began = clock_mono();

		look_after(w);
		if (m != NULL)
			serve(w, m, busy);
		else if (!closed)
			idle(w);
		look_after(w);
		if (m != NULL && others_wait(w->pool))
			clock_rest(clock_mono() - began);
	}
	db_close(w->db);
	return NULL;
}

/* ---- the pool ---- */

static void on_facts(void *of, const struct bus_msg *m)
{
	struct pool *p = of;
	struct ctx c = { .mem = &p->fact_mem };
	struct facts f;

	arena_reset(&p->fact_mem);
	if (msg_from_pack(&c, &facts_msg, bus_body(m), &f).code == ERR_none)
		p->plan.on_facts(p->stale, &c, &f);
	else
		log_line(LOG_WARNING, "facts_unreadable", NULL, "\"bytes\":%zu", bus_body(m).n);
}

/* Nobody is asked before all can answer, unless the database is away: then they say that. */
static void await_sessions(struct pool *p)
{
	const int64_t until = clock_mono() + FIRST_US;

	(void) pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->sessions) < p->nworkers && !p->tried && clock_mono() < until)
		wait_until(&p->opened, &p->lock, until);
	(void) pthread_mutex_unlock(&p->lock);
}

static err_t start(struct pool *p)
{
	const struct actor *a = p->plan.actor;
	char subject[SUBJECT];

	for (size_t i = 0; i < a->nreceive; i++)
		p->endpoint[i].call = a->receive[i].on;
	if (p->plan.facts != NULL)
		TRY(bus_listen(p->bus, p->plan.facts, on_facts, p));
	for (int i = 0; i < p->nworkers; i++) {
		p->worker[i].pool = p;
		p->worker[i].hasher = i >= p->plan.workers;
		atomic_store(&p->worker[i].wants, true);
	}
	p->opening = pthread_create(&p->opener, NULL, opener, p) == 0;
	if (!p->opening)
		return ERR(unavailable);
	await_sessions(p);
	(void) snprintf(subject, sizeof subject, "healthmed.v1.%s.*", a->name);
	TRY(bus_subscribe(p->bus, subject, a->name, &p->sub));
	for (int i = 0; i < p->nworkers; i++) {
		struct worker *w = &p->worker[i];

		w->cache = cache_open(p->plan.redis);
		w->storage = malloc(ARENA);
		if (w->storage == NULL)
			return ERR(unavailable);
		arena_init(&w->mem, w->storage, ARENA);
		(void) pthread_mutex_lock(&p->lock);
		const bool begun = pthread_create(&w->thread, NULL, w->hasher ? hash : work, w) == 0;

		p->started += begun;
		p->feeders += begun && !w->hasher;
		(void) pthread_mutex_unlock(&p->lock);
		if (!begun)
			return ERR(unavailable);
	}
	return discovery_start(p->bus, a->name, p->endpoint, a->nreceive, &p->discovery);
}

err_t pool_start(struct bus *bus, const struct plan_of_pool *plan, struct pool **out)
{
	struct pool *p = calloc(1, sizeof *p);
	pthread_condattr_t mono;
	err_t e;

	if (p == NULL)
		return ERR(unavailable);
	p->plan = *plan;
	p->bus = bus;
	p->endpoint = calloc(plan->actor->nreceive, sizeof *p->endpoint);
	p->nworkers = plan->workers + hashers_of(plan->actor);
	p->worker = calloc((size_t) p->nworkers, sizeof *p->worker);
	arena_init(&p->fact_mem, p->fact_room, sizeof p->fact_room);
	p->stale = plan->facts == NULL ? NULL : cache_open(plan->redis);
	(void) pthread_condattr_init(&mono);
	(void) pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void) pthread_mutex_init(&p->lock, NULL);
	(void) pthread_cond_init(&p->wanted, &mono);
	(void) pthread_cond_init(&p->opened, &mono);
	(void) pthread_cond_init(&p->handed, &mono);
	(void) pthread_condattr_destroy(&mono);
	e = p->endpoint == NULL || p->worker == NULL ? ERR(unavailable) : start(p);
	if (e.code != ERR_none)
		pool_stop(p);
	else
		*out = p;
	return e;
}

bool pool_is_well(void *of, char *detail, size_t size)
{
	struct pool *p = of;
	const int sessions = atomic_load(&p->sessions);

	(void) pthread_mutex_lock(&p->lock);
	(void) snprintf(detail, size, "%d of %d sessions%s%.*s", sessions, p->nworkers,
			p->why[0] == '\0' ? "" : ": ", (int) sizeof p->why, p->why);
	(void) pthread_mutex_unlock(&p->lock);
	return sessions > 0;
}

void pool_stop(struct pool *p)
{
	if (p == NULL)
		return;
	if (p->discovery != NULL)
		discovery_stop(p->discovery);
	(void) pthread_mutex_lock(&p->lock);
	atomic_store(&p->stopping, true);
	(void) pthread_cond_broadcast(&p->wanted);
	(void) pthread_cond_broadcast(&p->opened);
	(void) pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->started; i++)
		(void) pthread_join(p->worker[i].thread, NULL);
	if (p->opening)
		(void) pthread_join(p->opener, NULL);
	if (p->sub != NULL)
		bus_unsubscribe(p->sub);
	for (; p->nqueue > 0; p->nqueue--)	/* only when no hasher could be started */
		bus_free(p->queue[p->queue_first++ % QUEUE].m);
	for (int i = 0; p->worker != NULL && i < p->nworkers; i++) {
		db_close(atomic_exchange(&p->worker[i].fresh, NULL));
		cache_close(p->worker[i].cache);
		free(p->worker[i].storage);
	}
	bus_unlisten(p->bus, p);
	cache_close(p->stale);
	free(p->worker);
	free(p->endpoint);
	(void) pthread_cond_destroy(&p->handed);
	(void) pthread_cond_destroy(&p->opened);
	(void) pthread_cond_destroy(&p->wanted);
	(void) pthread_mutex_destroy(&p->lock);
	free(p);
}
