/*
 * bus.c - one connection to NATS and everything that waits on it.  Must not look into bodies,
 * but for the acknowledgements and outcomes that are addressed to its own waiters.
 *
 * A waiter is a slot of a fixed table and a generation; both make the token by which the answer
 * finds it, so that an answer that comes too late finds nobody.  All that happens to a waiter is
 * a step of the one word that it sleeps on:
 *
 *	FREE -> REPLY ----------------------> ANSWERED, REFUSED or LOST      (bus_request)
 *	FREE -> VERDICT -> VERDICT_ACKED ---> DECIDED or REFUSED             (bus_command)
 *	FREE -> ACK ------------------------> ACKED, DECIDED, REFUSED or LOST
 *
 * and back to FREE by its own thread.  Whoever brings something holds the word in FILLING while
 * it writes; the thread of a waiter never leaves it then.
 *
 * What is published can be sent at once, a system call each, or lie for a millisecond until the
 * library's flusher takes all there is.  Measured on two busy cores, requests and replies of 200
 * bytes: alone 0.15 ms at once, 1.1 ms with the flusher; from 256 threads 40-48 us of processor
 * time a request (ours, the pool's and the server's) against 38-41, and some 10 % more of them.
 * So there are two connections, and those who ask in a crowd take the second.  Whatever comes,
 * comes through the first, each subscription by a thread of its own; but for what a reader takes
 * from a stream, in many parts: that comes through the second, by one thread for all.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "broker/base/log.h"
#include "broker/bus_in.h"
#include "broker/metrics.h"
#include "broker/msg/booking.h"
#include "broker/scan.h"

enum {
	SLOT_BITS = 15, SLOTS = 1 << SLOT_BITS,		/* more than a gateway has threads */
	STATE_BITS = 4,
	ANSWERS = 256,					/* of one message: booking_answers' own limit */
	CROWD = 48,					/* waiters, above which a millisecond is well spent */
	INBOX = 48, SUBJECT = 96,
	POOL_MSGS = 8192, POOL_BYTES = 64 << 20,	/* what waits for a pool's threads */
	SERVERS = 16,
	PING_MS = 2000, PINGS = 2, CONNECT_MS = 1000, WRITE_MS = 500,
	RECONNECT_MS = 100, JITTER_MS = 150,
	BIN = 64,
};
#define OPEN_FOR   (5 * SECOND)
#define NO_LIMIT   (60 * SECOND)	/* of a wait whose ctx has no deadline */
#define SEND_FOR   (2 * SECOND)		/* of a message that nobody waits for */

enum state {
	FREE, REPLY, VERDICT, VERDICT_ACKED, ACK, FILLING,
	ANSWERED, DECIDED, ACKED, REFUSED, LOST, GONE	/* terminal; GONE: the thread gave up */
};

struct waiter {
	_Atomic uint64_t word;		/* generation << STATE_BITS | state */
	natsMsg         *msg;		/* ANSWERED: the waiter's to destroy */
	_Atomic(struct lane *) lane;	/* by which it sends */
	char            *room;		/* where an outcome goes, in the waiter's arena */
	size_t           size, n;	/* of room, and of the outcome in it */
	int64_t          seq;		/* from the acknowledgement */
} __attribute__((aligned(64)));

struct listener {
	struct bus       *bus;
	bus_fn           *fn;
	void             *of;
	natsSubscription *sub;
	_Atomic uint32_t  ended;	/* no callback runs, nor will */
	struct listener  *next;
};

/* The library frees messages in a thread of its own, and wakes it for each: they are given to it
 * many at once. */
struct bin { pthread_mutex_t mu; size_t n; natsMsg *msg[BIN]; };

/* A subscription that ended while the library could still be using it. */
struct grave { natsSubscription *sub; struct grave *next; };

/* Leader and followers: one thread waits in the library, whose signal wakes but one and only when
 * its list was empty; the others wait here until the leader has something. */
struct bus_sub {
	struct bus       *bus;
	natsSubscription *sub;
	pthread_mutex_t   mu;
	pthread_cond_t    lead;
	bool              led, closed;
	struct bus_sub   *next;
};

struct lane {
	struct bus       *bus;
	natsConnection   *nc;		/* may be NULL of the second */
	pthread_mutex_t   gate;		/* one thread at a time goes into the library to publish */
	atomic_bool       up;
	_Atomic uint32_t  closed;
	_Atomic int64_t   breaks;	/* how often it was lost */
	_Atomic int64_t   stuck;	/* until then nobody tries: the last write got nowhere */
};

struct bus {
	struct lane       swift, crowd;
	natsSubscription *replies;
	struct bin        bin;
	_Atomic uint32_t  replies_ended;
	atomic_bool       closing;
	char              inbox[INBOX];
	pthread_mutex_t   mu;		/* of the five below */
	struct bus_sub   *subs;
	struct listener  *listeners;
	struct grave     *graves;
	size_t            nfree;
	uint32_t          free[SLOTS];
	struct waiter     waiter[SLOTS];
	unsigned char     scratch[1 << 16];	/* of the one thread that brings answers */
};

/* futexes */

static void *half(const _Atomic uint64_t *word)
{
	return (char *) (uintptr_t) word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static void futex_sleep(void *at, uint32_t value, int64_t until)
{
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };

	(void) syscall(SYS_futex, at, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, &t, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake(void *at)
{
	(void) syscall(SYS_futex, at, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
}

static void flag_raise(_Atomic uint32_t *flag)
{
	atomic_store(flag, 1);
	futex_wake(flag);
}

static void flag_wait(_Atomic uint32_t *flag, int64_t until)
{
	while (atomic_load(flag) == 0 && clock_mono() < until)
		futex_sleep(flag, 0, until);
}

/* done with */

static void bin_put(struct bin *b, natsMsg *m)
{
	natsMsg *full[BIN];
	size_t n = 0;

	if (m == NULL)
		return;
	(void) pthread_mutex_lock(&b->mu);
	b->msg[b->n++] = m;
	if (b->n == BIN) {
		memcpy(full, b->msg, sizeof full);
		n = BIN;
		b->n = 0;
	}
	(void) pthread_mutex_unlock(&b->mu);
	while (n > 0)
		natsMsg_Destroy(full[--n]);
}

/* waiters */

static enum state state_of(uint64_t word) { return (enum state) (word & ((1 << STATE_BITS) - 1)); }
static uint64_t   word_of(uint64_t gen, enum state s) { return gen << STATE_BITS | s; }

static struct waiter *waiter_take(struct bus *b, enum state kind, char *room, size_t size)
{
	struct waiter *w = NULL;
	bool crowded;

	(void) pthread_mutex_lock(&b->mu);
	if (b->nfree > 0)
		w = &b->waiter[b->free[--b->nfree]];
	crowded = SLOTS - b->nfree > CROWD;
	(void) pthread_mutex_unlock(&b->mu);
	if (w == NULL)
		return NULL;
	crowded &= atomic_load(&b->swift.up) && atomic_load(&b->crowd.up);
	atomic_store(&w->lane, crowded ? &b->crowd : &b->swift);
	w->msg = NULL;
	w->room = room;
	w->size = size;
	w->n = 0;
	w->seq = 0;
	const uint64_t gen = (atomic_load(&w->word) >> STATE_BITS) + 1;

	atomic_store(&w->word, word_of(gen & (UINT64_MAX >> (SLOT_BITS + 1)), kind));
	return w;
}

/* Fits the msgpack field: never negative. */
static int64_t token_of(const struct bus *b, const struct waiter *w)
{
	const uint64_t gen = atomic_load(&w->word) >> STATE_BITS;

	return (int64_t) (gen << SLOT_BITS | (uint64_t) (w - b->waiter));
}

static void waiter_drop(struct bus *b, struct waiter *w)
{
	natsMsg_Destroy(w->msg);
	w->msg = NULL;
	atomic_store(&w->word, word_of(atomic_load(&w->word) >> STATE_BITS, FREE));
	(void) pthread_mutex_lock(&b->mu);
	b->free[b->nfree++] = (uint32_t) (w - b->waiter);
	(void) pthread_mutex_unlock(&b->mu);
}

/* Sleeps until something terminal, or until the time is up: then answers the state it was in. */
static enum state waiter_sleep(struct waiter *w, int64_t until, enum state then)
{
	for (;;) {
		uint64_t v = atomic_load(&w->word);
		const enum state s = state_of(v);

		if (s > FILLING)
			return s;
		if (clock_mono() < until)
			futex_sleep(half(&w->word), (uint32_t) v, until);
		else if (s == FILLING)
			(void) sched_yield();		/* a copy of some hundred bytes away */
		else if (atomic_compare_exchange_strong(&w->word, &v, word_of(v >> STATE_BITS, then)))
			return s;
	}
}

/* The waiter of that token when it waits for such a thing, held in FILLING; `was` is its state. */
static struct waiter *waiter_claim(struct bus *b, int64_t token, unsigned kinds, enum state *was)
{
	struct waiter *w = &b->waiter[token & (SLOTS - 1)];
	const uint64_t gen = (uint64_t) token >> SLOT_BITS;
	uint64_t v = atomic_load(&w->word);

	for (;;) {
		*was = state_of(v);
		if (token < 0 || v >> STATE_BITS != gen || (1u << *was & kinds) == 0)
			return NULL;
		if (atomic_compare_exchange_strong(&w->word, &v, word_of(gen, FILLING)))
			return w;
	}
}

static void waiter_set(struct waiter *w, enum state s)
{
	atomic_store(&w->word, word_of(atomic_load(&w->word) >> STATE_BITS, s));
}

static void waiter_wake(struct waiter *w)
{
	futex_wake(half(&w->word));
}

/* What comes to the inbox; one thread of the library's. */

static void bring_reply(struct bus *b, int64_t token, natsMsg **msg)
{
	enum state was;
	struct waiter *w = waiter_claim(b, token, 1u << REPLY, &was);

	if (w == NULL)
		return;
	w->msg = *msg;
	*msg = NULL;
	waiter_set(w, ANSWERED);
	waiter_wake(w);
}

/* {"stream":"BOOKING","seq":7} or {"error":{...},"seq":0,...}; nobody keeps it: status 503. */
static bool read_ack(natsMsg *msg, bool *refused, int64_t *seq)
{
	const struct str json = { natsMsg_GetData(msg), (size_t) natsMsg_GetDataLength(msg) };
	struct str error;

	*refused = natsMsg_IsNoResponders(msg) || scan_find(json, "error", &error);
	return *refused || (scan_int(json, "seq", seq) && *seq > 0);
}

static void bring_ack(struct bus *b, int64_t token, natsMsg *msg)
{
	enum state was;
	bool refused;
	int64_t seq = 0;

	if (!read_ack(msg, &refused, &seq))
		return;
	struct waiter *w = waiter_claim(b, token, 1u << VERDICT | 1u << ACK, &was);

	if (w == NULL)
		return;
	w->seq = refused ? 0 : seq;
	waiter_set(w, refused ? REFUSED : was == ACK ? ACKED : VERDICT_ACKED);
	if (refused || was == ACK)	/* who waits for an outcome sleeps on */
		waiter_wake(w);
}

static struct waiter *bring_outcome(struct bus *b, const struct booking_answer *a)
{
	const unsigned kinds = 1u << VERDICT | 1u << VERDICT_ACKED | 1u << ACK;
	enum state was;
	struct waiter *w = waiter_claim(b, a->token, kinds, &was);

	if (w == NULL)
		return NULL;
	if (a->outcome.n > w->size || a->outcome.n == 0) {
		waiter_set(w, was);
		return NULL;
	}
	memcpy(w->room, a->outcome.p, a->outcome.n);
	w->n = a->outcome.n;
	waiter_set(w, DECIDED);
	return w;
}

static void bring_outcomes(struct bus *b, natsMsg *msg)
{
	struct waiter *done[ANSWERS];
	size_t n = 0;
	struct arena mem;
	struct booking_answers all;

	arena_init(&mem, b->scratch, sizeof b->scratch);
	struct ctx c = { .mem = &mem };
	const struct str body = { natsMsg_GetData(msg), (size_t) natsMsg_GetDataLength(msg) };

	if (msg_from_pack(&c, &booking_answers_msg, body, &all).code) {
		log_line(LOG_WARNING, "bus_outcomes_unreadable", "", "\"bytes\":%zu", body.n);
		return;
	}
	for (size_t i = 0; i < all.items.n && n < ANSWERS; i++)
		if ((done[n] = bring_outcome(b, &all.items.items[i])) != NULL)
			n++;
	for (size_t i = 0; i < n; i++)
		waiter_wake(done[i]);
}

/* <inbox>.<token> a reply, <inbox>.a<token> an acknowledgement, <inbox>.o outcomes. */
static void on_inbox(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *of)
{
	struct bus *b = of;
	const char *last = natsMsg_GetSubject(msg) + strlen(b->inbox) + 1;
	int64_t token;

	(void) nc, (void) sub;
	if (strcmp(last, "o") == 0)
		bring_outcomes(b, msg);
	else if (*last == 'a' && str_int(str_of(last + 1), &token))
		bring_ack(b, token, msg);
	else if (str_int(str_of(last), &token))
		bring_reply(b, token, &msg);
	bin_put(&b->bin, msg);
}

/* The connection's own affairs; one thread of the library's. */

static void on_lost(natsConnection *nc, void *of)
{
	struct lane *l = of;

	(void) nc;
	(void) atomic_exchange(&l->up, false);
	atomic_fetch_add(&l->breaks, 1);

	struct bus *b = l->bus;

	if (l == &b->swift && !atomic_load(&b->closing))
		log_line(LOG_WARNING, "bus_lost", "", "%s", "");
	/* What left by it may be gone, and so is a reply or an acknowledgement that was under way to
	 * the first; an outcome may still come. */
	for (size_t i = 0; i < SLOTS; i++) {
		struct waiter *w = &b->waiter[i];
		uint64_t v = atomic_load(&w->word);

		if ((l == &b->swift || atomic_load(&w->lane) == l) &&
		    (state_of(v) == REPLY || state_of(v) == ACK) &&
		    atomic_compare_exchange_strong(&w->word, &v, word_of(v >> STATE_BITS, LOST)))
			waiter_wake(w);
	}
}

static void on_back(natsConnection *nc, void *of)
{
	struct lane *l = of;

	(void) nc;
	(void) atomic_exchange(&l->up, true);
	if (l != &l->bus->swift)
		return;
	metric_add(METRIC_bus_reconnects, NULL, 1);
	log_line(LOG_INFO, "bus_back", "", "%s", "");
}

static atomic_bool was_refused;

bool bus_was_refused(void) { return atomic_load(&was_refused); }

/* The server refused our login, twice, and the library never asks again: a process that cannot talk any
 * more ends in order, as it would be told to, and whoever starts it gives it another try. */
static void on_closed(natsConnection *nc, void *of)
{
	struct lane *l = of;

	(void) nc;
	(void) atomic_exchange(&l->up, false);
	const bool meant = atomic_load(&l->bus->closing);

	flag_raise(&l->closed);		/* from here on the bus may be gone */
	if (meant)
		return;
	log_line(LOG_ERROR, "bus_closed", "", "\"detail\":\"%s\"", "the login was refused; this process ends");
	atomic_store(&was_refused, true);
	(void) kill(getpid(), SIGTERM);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *of)
{
	const char *last = NULL;
	char text[256], subject[SUBJECT];
	struct lane *l = of;

	if (s == NATS_SLOW_CONSUMER)	/* a message was dropped */
		atomic_fetch_add(&l->breaks, 1);
	(void) natsConnection_GetLastError(nc, &last);
	log_line(LOG_WARNING, "bus_error", "", "\"error\":\"%s\",\"text\":\"%s\",\"subject\":\"%s\"",
		 natsStatus_GetText(s), log_text(last == NULL ? "" : last, text, sizeof text),
		 log_text(sub == NULL ? "" : natsSubscription_GetSubject(sub), subject, sizeof subject));
}

/* opening and closing */

static void free_options(natsOptions **o) { natsOptions_Destroy(*o); }
static void free_text(char **s)           { free(*s); }

static natsStatus set_servers(natsOptions *o, char *urls)
{
	const char *url[SERVERS];
	int n = 0;
	char *rest = NULL;

	for (char *u = strtok_r(urls, ", ", &rest); u != NULL; u = strtok_r(NULL, ", ", &rest))
		if (n < SERVERS)
			url[n++] = u;
	return n == 0 ? NATS_INVALID_ARG : natsOptions_SetServers(o, url, n);
}

static natsStatus set_options(struct lane *l, natsOptions *o, char *urls, const char *name)
{
	natsStatus s = set_servers(o, urls);

#define SET_(call) if (s == NATS_OK) s = (call)
	SET_(natsOptions_SetName(o, name));
	SET_(natsOptions_SetIgnoreDiscoveredServers(o, true));	/* the list is the whole list */
	SET_(natsOptions_SetTimeout(o, CONNECT_MS));
	SET_(natsOptions_SetSendAsap(o, l == &l->bus->swift));
	SET_(natsOptions_UseGlobalMessageDelivery(o, l == &l->bus->crowd));
	SET_(natsOptions_SetWriteDeadline(o, WRITE_MS));
	SET_(natsOptions_SetMaxReconnect(o, -1));
	SET_(natsOptions_SetReconnectWait(o, RECONNECT_MS));
	SET_(natsOptions_SetReconnectJitter(o, JITTER_MS, JITTER_MS));
	SET_(natsOptions_SetReconnectBufSize(o, 0));	/* while disconnected nothing is queued */
	SET_(natsOptions_SetPingInterval(o, PING_MS));
	SET_(natsOptions_SetMaxPingsOut(o, PINGS));
	SET_(natsOptions_SetFailRequestsOnDisconnect(o, true));
	SET_(natsOptions_SetDisconnectedCB(o, on_lost, l));
	SET_(natsOptions_SetReconnectedCB(o, on_back, l));
	SET_(natsOptions_SetClosedCB(o, on_closed, l));
	SET_(natsOptions_SetErrorHandler(o, on_error, l));
#undef SET_
	return s;
}

static natsStatus lane_open(struct lane *l, const char *urls, const char *name, int64_t until)
{
	CLEANUP(free_options) natsOptions *o = NULL;
	CLEANUP(free_text) char *copy = strdup(urls);
	natsStatus s = copy == NULL ? NATS_NO_MEMORY : natsOptions_Create(&o);

	if (s == NATS_OK)
		s = set_options(l, o, copy, name);
	if (s != NATS_OK)
		return s;
	while ((s = natsConnection_Connect(&l->nc, o)) != NATS_OK && clock_mono() < until)
		nats_Sleep(RECONNECT_MS);
	if (s == NATS_OK)
		atomic_store(&l->up, true);
	return s;
}

static void lane_close(struct lane *l)
{
	if (l->nc != NULL)
		natsConnection_Close(l->nc);
}

static void lane_free(struct lane *l)
{
	if (l->nc != NULL)
		flag_wait(&l->closed, INT64_MAX);
	natsConnection_Destroy(l->nc);
	(void) pthread_mutex_destroy(&l->gate);
}

static void on_replies_ended(void *of)  { flag_raise(&((struct bus *) of)->replies_ended); }
static void on_listener_ended(void *of) { flag_raise(&((struct listener *) of)->ended); }

/* `ended` is raised once no callback of the subscription runs, nor will. */
static natsStatus await_end(natsSubscription *sub, natsOnCompleteCB cb, void *of,
			    _Atomic uint32_t *ended)
{
	const natsStatus s = natsSubscription_SetOnCompleteCB(sub, cb, of);

	if (s != NATS_OK)	/* it has ended already */
		flag_raise(ended);
	return s;
}

static natsStatus open_inbox(struct bus *b)
{
	char wild[SUBJECT];
	natsStatus s;

	(void) snprintf(wild, sizeof wild, "%s.*", b->inbox);
	s = natsConnection_Subscribe(&b->replies, b->swift.nc, wild, on_inbox, b);
	if (s == NATS_OK)
		s = await_end(b->replies, on_replies_ended, b, &b->replies_ended);
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(b->replies, -1, -1);
	if (s == NATS_OK)
		s = natsConnection_FlushTimeout(b->swift.nc, CONNECT_MS);
	return s;
}

static struct bus *bus_new(void)
{
	struct bus *b = aligned_alloc(_Alignof(struct bus), sizeof *b);
	unsigned char unique[16];
	char text[24];

	if (b == NULL)
		return NULL;
	memset(b, 0, sizeof *b);
	digest_random(unique, sizeof unique);
	(void) digest_text(unique, sizeof unique, text);
	(void) snprintf(b->inbox, sizeof b->inbox, "_INBOX.%s", text);
	(void) pthread_mutex_init(&b->mu, NULL);
	(void) pthread_mutex_init(&b->bin.mu, NULL);
	b->swift.bus = b->crowd.bus = b;
	(void) pthread_mutex_init(&b->swift.gate, NULL);
	(void) pthread_mutex_init(&b->crowd.gate, NULL);
	for (uint32_t i = 0; i < SLOTS; i++)
		b->free[b->nfree++] = SLOTS - 1 - i;
	return b;
}

/* By default a lock of the library's is tried two thousand times before its thread sleeps: on few
 * processors that only keeps from running whoever holds it.  Not before it is needed: it starts
 * threads, which would hear the signals of main and stand in the way of a fork. */
static void open_library(void)
{
	(void) nats_Open(0);
}

err_t bus_open(const char *urls, const char *name, struct bus **out, char *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void) pthread_once(&once, open_library);

	struct bus *b = bus_new();
	natsStatus s = b == NULL ? NATS_NO_MEMORY :
		lane_open(&b->swift, urls, name, clock_mono() + OPEN_FOR);

	if (s == NATS_OK)
		s = open_inbox(b);
	if (s == NATS_OK) {
		(void) lane_open(&b->crowd, urls, name, 0);	/* without it, it is only slower */
		*out = b;
		return OK;
	}
	(void) snprintf(why, 256, "NATS: %s", natsStatus_GetText(s));
	if (b != NULL)
		bus_close(b);
	return ERR(unavailable);
}

bool    bus_is_up(const struct bus *b)  { return atomic_load(&b->swift.up); }
int64_t bus_losses(const struct bus *b) { return atomic_load(&b->swift.breaks); }

static struct lane *lane_of_readers(struct bus *b)
{
	return b->crowd.nc != NULL ? &b->crowd : &b->swift;
}

natsConnection *bus_connection(struct bus *b)     { return lane_of_readers(b)->nc; }
const char     *bus_inbox(const struct bus *b)    { return b->inbox; }
int64_t         bus_breaks(struct bus *b)         { return atomic_load(&lane_of_readers(b)->breaks); }

void bus_drain(struct bus *b)
{
	(void) pthread_mutex_lock(&b->mu);
	for (struct bus_sub *s = b->subs; s != NULL; s = s->next)
		(void) natsSubscription_Drain(s->sub);
	(void) pthread_mutex_unlock(&b->mu);
}

/* The library's reader finds the subscription of a message and keeps no reference to it: freed just
 * then, its memory would take the message for the next subscription.  Once an echo has come back
 * the reader is past all that was under way; without one, its memory waits for the end. */
static void bury(struct lane *l, natsSubscription *sub)
{
	struct bus *b = l->bus;
	struct grave *g;

	(void) natsSubscription_Unsubscribe(sub);
	if (atomic_load(&l->up) && natsConnection_FlushTimeout(l->nc, CONNECT_MS) == NATS_OK) {
		natsSubscription_Destroy(sub);
		return;
	}
	if ((g = malloc(sizeof *g)) == NULL)
		return;			/* better lost than shared */
	g->sub = sub;
	(void) pthread_mutex_lock(&b->mu);
	g->next = b->graves;
	b->graves = g;
	(void) pthread_mutex_unlock(&b->mu);
}

void bus_bury(struct bus *b, natsSubscription *sub) { bury(lane_of_readers(b), sub); }

static void sub_free(struct bus_sub *s)
{
	(void) pthread_cond_destroy(&s->lead);
	(void) pthread_mutex_destroy(&s->mu);
	free(s);
}

static void listener_free(struct listener *l)
{
	flag_wait(&l->ended, INT64_MAX);
	free(l);
}

void bus_close(struct bus *b)
{
	struct bus_sub *s, *next_sub;
	struct listener *l, *next_listener;
	struct grave *g;

	atomic_store(&b->closing, true);
	lane_close(&b->crowd);
	lane_close(&b->swift);
	for (s = b->subs; s != NULL; s = next_sub) {
		next_sub = s->next;
		natsSubscription_Destroy(s->sub);
		sub_free(s);
	}
	for (l = b->listeners; l != NULL; l = next_listener) {
		natsSubscription *sub = l->sub;

		next_listener = l->next;
		listener_free(l);
		natsSubscription_Destroy(sub);
	}
	while ((g = b->graves) != NULL) {
		b->graves = g->next;
		natsSubscription_Destroy(g->sub);
		free(g);
	}
	if (b->replies != NULL)
		flag_wait(&b->replies_ended, INT64_MAX);
	natsSubscription_Destroy(b->replies);
	lane_free(&b->crowd);
	lane_free(&b->swift);
	while (b->bin.n > 0)
		natsMsg_Destroy(b->bin.msg[--b->bin.n]);
	(void) pthread_mutex_destroy(&b->bin.mu);
	(void) pthread_mutex_destroy(&b->mu);
	free(b);
}

/* publishing */

/* What the library refuses before it writes a byte was surely not sent. */
static bool surely_unsent(natsStatus s)
{
	return s == NATS_INSUFFICIENT_BUFFER || s == NATS_CONNECTION_CLOSED || s == NATS_DRAINING ||
	       s == NATS_NO_SERVER_SUPPORT || s == NATS_INVALID_ARG || s == NATS_INVALID_SUBJECT ||
	       s == NATS_NO_MEMORY;
}

static natsStatus make_msg(natsMsg **m, const char *subject, const char *reply,
			   const struct headers *h, const char *inbox, struct str body)
{
	natsStatus s = body.n > INT32_MAX ? NATS_MAX_PAYLOAD :
		natsMsg_Create(m, subject, reply, body.p, (int) body.n);

	for (size_t i = 0; s == NATS_OK && h != NULL && i < h->n; i++)
		s = natsMsgHeader_Set(*m, h->v[i].name, h->v[i].value);
	if (s == NATS_OK && inbox != NULL)
		s = natsMsgHeader_Set(*m, WIRE_INBOX, inbox);
	return s;
}

/* The library holds its lock while it connects and while a server that has stopped reading lets it
 * wait.  So its lock is not queued for: whoever finds the gate shut gives up in time, and one
 * write that got nowhere spares the others theirs. */
static natsStatus pass(struct lane *l, int64_t until, natsMsg *m)
{
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };
	natsStatus s = NATS_INSUFFICIENT_BUFFER;

	if (!atomic_load(&l->up) || pthread_mutex_clocklock(&l->gate, CLOCK_MONOTONIC, &t) != 0)
		return s;
	const int64_t stuck = atomic_load(&l->stuck);

	if (atomic_load(&l->up) && (stuck == 0 || clock_mono() >= stuck)) {
		s = natsConnection_PublishMsg(l->nc, m);
		if (s == NATS_TIMEOUT || stuck != 0)
			atomic_store(&l->stuck, s == NATS_TIMEOUT ? clock_mono() + WRITE_MS * MS : 0);
	}
	(void) pthread_mutex_unlock(&l->gate);
	return s;
}

/* OK also when the bytes may or may not have left: whoever waits will see. */
static err_t post(struct bus *b, const struct waiter *w, int64_t until, const char *subject,
		  const char *reply, const struct headers *h, const char *inbox, struct str body)
{
	struct lane *l = w == NULL ? &b->swift : atomic_load(&w->lane);
	natsMsg *m = NULL;
	natsStatus s = make_msg(&m, subject, reply, h, inbox, body);

	if (s == NATS_OK)
		s = pass(l, until, m);
	bin_put(&b->bin, m);
	if (s == NATS_MAX_PAYLOAD)
		return ERR(too_large);
	return surely_unsent(s) ? ERR(unavailable) : OK;
}

err_t bus_publish(struct bus *b, const char *subject, const struct headers *h, struct str body)
{
	return post(b, NULL, clock_mono() + SEND_FOR, subject, NULL, h, NULL, body);
}

static int64_t until_of(const struct ctx *c)
{
	return c->deadline != 0 ? c->deadline : clock_mono() + NO_LIMIT;
}

static err_t read_reply(struct ctx *c, natsMsg *msg, struct str *reply)
{
	const struct bus_msg *m = bus_msg_of(msg);
	const char *code = bus_header(m, WIRE_ERROR_CODE);
	const struct str body = bus_body(m);
	char *copy;

	if (natsMsg_IsNoResponders(msg))
		return refuse(c, ERR_unavailable, "nobody answers");
	if (code != NULL)
		return wire_get_error(c, code, bus_header(m, WIRE_FAULTS));
	if ((copy = arena_alloc(c->mem, body.n)) == NULL)
		return refuse(c, ERR_internal, "no room for a reply of %zu bytes", body.n);
	if (body.n > 0)
		memcpy(copy, body.p, body.n);
	*reply = (struct str) { copy, body.n };
	return OK;
}

err_t bus_request(struct ctx *c, struct bus *b, const char *subject, const struct headers *h,
		  struct str body, struct str *reply)
{
	struct waiter *w = waiter_take(b, REPLY, NULL, 0);
	const int64_t until = until_of(c);
	char inbox[SUBJECT];
	err_t e;

	*reply = (struct str) { NULL, 0 };
	if (w == NULL)
		return refuse(c, ERR_unavailable, "too many waiters");
	(void) snprintf(inbox, sizeof inbox, "%s.%" PRId64, b->inbox, token_of(b, w));
	e = post(b, w, until, subject, inbox, h, NULL, body);
	if (e.code)
		e = refuse(c, e.code, "%s: not sent", subject);
	else if (waiter_sleep(w, until, GONE) == ANSWERED)
		e = read_reply(c, w->msg, reply);
	else
		e = refuse(c, ERR_timeout, "%s: no reply", subject);
	waiter_drop(b, w);
	return e;
}

/* Publishes to a stream: the acknowledgement comes to a subject of the waiter's own. */
static err_t store(struct bus *b, struct waiter *w, int64_t until, const char *subject,
		   const struct headers *h, bool outcome, struct str body)
{
	const int64_t token = token_of(b, w);
	char ack[SUBJECT], inbox[SUBJECT];

	(void) snprintf(ack, sizeof ack, "%s.a%" PRId64, b->inbox, token);
	(void) snprintf(inbox, sizeof inbox, "%s.o %" PRId64, b->inbox, token);
	return post(b, w, until, subject, ack, h, outcome ? inbox : NULL, body);
}

err_t bus_store(struct ctx *c, struct bus *b, const char *subject, const struct headers *h,
		struct str body, int64_t *seq)
{
	struct waiter *w = waiter_take(b, ACK, NULL, 0);
	const int64_t until = until_of(c);
	err_t e;

	if (w == NULL)
		return refuse(c, ERR_unavailable, "too many waiters");
	e = store(b, w, until, subject, h, false, body);
	if (e.code)
		e = refuse(c, e.code, "%s: not sent", subject);
	else
		switch ((int) waiter_sleep(w, until, GONE)) {
		case ACKED:   *seq = w->seq; break;
		case REFUSED: e = refuse(c, ERR_unavailable, "%s: not stored", subject); break;
		default:      e = refuse(c, ERR_timeout, "%s: no acknowledgement", subject);
		}
	waiter_drop(b, w);
	return e;
}

/* Waits for the outcome; when that takes too long and not even the acknowledgement has come,
 * for either of them until the deadline. */
static enum state await_outcome(struct waiter *w, int64_t patience, int64_t until)
{
	enum state s;

	if (patience < until) {
		s = waiter_sleep(w, patience, ACK);
		if (s == VERDICT_ACKED) {	/* known already: no second wait */
			s = waiter_sleep(w, 0, GONE);
			return s == DECIDED ? s : ACKED;
		}
		if (s > FILLING)
			return s;
	}
	s = waiter_sleep(w, until, GONE);
	return s == VERDICT_ACKED ? ACKED : s;
}

err_t bus_command(struct ctx *c, struct bus *b, const char *subject, struct headers *h,
		  struct str body, int64_t wait_us, size_t size, struct bus_outcome *out)
{
	char *room = arena_room(c->mem, size);
	struct waiter *w = room == NULL ? NULL :
		waiter_take(b, wait_us == 0 ? ACK : VERDICT, room, size);
	const int64_t until = until_of(c);
	const int64_t patience = wait_us == 0 ? until : clock_mono() + wait_us;
	err_t e;

	*out = (struct bus_outcome) { .state = OUTCOME_UNKNOWN };
	if (w == NULL)
		return refuse(c, ERR_unavailable, "too many waiters");
	e = store(b, w, until, subject, h, true, body);
	if (e.code)
		e = refuse(c, e.code, "%s: not sent", subject);
	else
		switch ((int) await_outcome(w, patience, until)) {
		case DECIDED:
			*out = (struct bus_outcome) { OUTCOME_DECIDED, w->seq, { room, w->n } };
			break;
		case ACKED:
			*out = (struct bus_outcome) { .state = OUTCOME_ACCEPTED, .seq = w->seq };
			break;
		case REFUSED:
			e = refuse(c, ERR_unavailable, "%s: not stored", subject);
			break;
		default:
			break;		/* unknown */
		}
	waiter_drop(b, w);
	return e;
}

/* taking */

err_t bus_subscribe(struct bus *b, const char *subject, const char *queue, struct bus_sub **out)
{
	struct bus_sub *s = calloc(1, sizeof *s);
	pthread_condattr_t monotonic;
	natsStatus st;

	if (s == NULL)
		return ERR(internal);
	s->bus = b;
	(void) pthread_condattr_init(&monotonic);
	(void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void) pthread_mutex_init(&s->mu, NULL);
	(void) pthread_cond_init(&s->lead, &monotonic);
	(void) pthread_condattr_destroy(&monotonic);
	st = queue == NULL ? natsConnection_SubscribeSync(&s->sub, b->swift.nc, subject) :
		natsConnection_QueueSubscribeSync(&s->sub, b->swift.nc, subject, queue);
	if (st == NATS_OK)
		st = natsSubscription_SetPendingLimits(s->sub, POOL_MSGS, POOL_BYTES);
	if (st != NATS_OK) {
		natsSubscription_Destroy(s->sub);
		sub_free(s);
		return ERR(unavailable);
	}
	(void) natsConnection_FlushTimeout(b->swift.nc, CONNECT_MS);	/* known to the server; or at reconnect */
	(void) pthread_mutex_lock(&b->mu);
	s->next = b->subs;
	b->subs = s;
	(void) pthread_mutex_unlock(&b->mu);
	*out = s;
	return OK;
}

/* Waits until this thread leads, or the time is up, or there is nothing to lead any more. */
static bool lead(struct bus_sub *s, int64_t until)
{
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };
	bool leads;

	(void) pthread_mutex_lock(&s->mu);
	while (s->led && !s->closed && pthread_cond_timedwait(&s->lead, &s->mu, &t) != ETIMEDOUT)
		;
	leads = !s->led && !s->closed;	/* also when late: a signal is never lost */
	s->led |= leads;
	(void) pthread_mutex_unlock(&s->mu);
	return leads;
}

static void unlead(struct bus_sub *s, bool closed)
{
	(void) pthread_mutex_lock(&s->mu);
	s->led = false;
	s->closed |= closed;
	(void) (closed ? pthread_cond_broadcast(&s->lead) : pthread_cond_signal(&s->lead));
	(void) pthread_mutex_unlock(&s->mu);
}

struct bus_msg *bus_take(struct bus_sub *s, int64_t timeout_us, bool *closed)
{
	const int64_t until = clock_mono() + timeout_us;
	natsMsg *m = NULL;
	natsStatus st;

	if (lead(s, until)) {
		do
			st = natsSubscription_NextMsg(&m, s->sub,
						      (clock_left(until) + MS - 1) / MS);
		while (st == NATS_SLOW_CONSUMER || st == NATS_NO_RESPONDERS);
		unlead(s, st == NATS_INVALID_SUBSCRIPTION || st == NATS_CONNECTION_CLOSED);
		if (st == NATS_OK)
			return bus_msg_of(m);
	}
	(void) pthread_mutex_lock(&s->mu);
	*closed = s->closed;
	(void) pthread_mutex_unlock(&s->mu);
	return NULL;
}

void bus_unsubscribe(struct bus_sub *s)
{
	struct bus *b = s->bus;

	(void) pthread_mutex_lock(&b->mu);
	for (struct bus_sub **p = &b->subs; *p != NULL; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	(void) pthread_mutex_unlock(&b->mu);
	bury(&b->swift, s->sub);
	sub_free(s);
}

/* listening */

static void on_heard(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *of)
{
	const struct listener *l = of;

	(void) nc, (void) sub;
	l->fn(l->of, bus_msg_of(msg));
	natsMsg_Destroy(msg);
}

err_t bus_listen(struct bus *b, const char *subject, bus_fn *fn, void *of)
{
	struct listener *l = calloc(1, sizeof *l);

	if (l == NULL)
		return ERR(internal);
	*l = (struct listener) { .bus = b, .fn = fn, .of = of };
	if (natsConnection_Subscribe(&l->sub, b->swift.nc, subject, on_heard, l) != NATS_OK) {
		free(l);
		return ERR(unavailable);
	}
	(void) await_end(l->sub, on_listener_ended, l, &l->ended);
	(void) natsConnection_FlushTimeout(b->swift.nc, CONNECT_MS);
	(void) pthread_mutex_lock(&b->mu);
	l->next = b->listeners;
	b->listeners = l;
	(void) pthread_mutex_unlock(&b->mu);
	return OK;
}

void bus_unlisten(struct bus *b, void *of)
{
	struct listener *ended = NULL, *l;

	(void) pthread_mutex_lock(&b->mu);
	for (struct listener **p = &b->listeners; (l = *p) != NULL; )
		if (l->of == of) {
			*p = l->next;
			l->next = ended;
			ended = l;
		} else {
			p = &l->next;
		}
	(void) pthread_mutex_unlock(&b->mu);
	while ((l = ended) != NULL) {
		ended = l->next;
		bury(&b->swift, l->sub);
		listener_free(l);
	}
}

/* messages */

struct str bus_subject(const struct bus_msg *m) { return str_of(natsMsg_GetSubject(msg_of(m))); }

struct str bus_body(const struct bus_msg *m)
{
	return (struct str) { natsMsg_GetData(msg_of(m)), (size_t) natsMsg_GetDataLength(msg_of(m)) };
}

const char *bus_reply_to(const struct bus_msg *m) { return natsMsg_GetReply(msg_of(m)); }

const char *bus_header(const struct bus_msg *m, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg_of(m), name, &value) == NATS_OK ? value : NULL;
}

void bus_free(struct bus_msg *m)   { natsMsg_Destroy(msg_of(m)); }
void bus_freep(struct bus_msg **m) { bus_free(*m); }
