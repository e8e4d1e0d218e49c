/*
 * stream.c - JetStream through its JSON API.  Must not know what a message says, nor remember
 * where a reader stands.
 *
 * The library's own JetStream layer is not used: its pulls are unsound in the version at hand,
 * and it waits by clocks of its own where we have one deadline.
 *
 * What a process publishes here, for the permissions of its user ("<s>" a stream's name):
 *	$JS.API.STREAM.CREATE.<s>                  stream_ensure, stream_make
 *	$JS.API.STREAM.UPDATE.<s>                  stream_ensure
 *	$JS.API.STREAM.INFO.<s>                    stream_ensure, stream_info
 *	$JS.API.STREAM.PURGE.<s>                   stream_purge
 *	$JS.API.STREAM.MSG.GET.<s>                 stream_get
 *	$JS.API.STREAM.MSG.DELETE.<s>              stream_delete_msg
 *	$JS.API.CONSUMER.CREATE.<s>                reader_start
 *	$JS.API.CONSUMER.DELETE.<s>.*              reader_stop
 *	$JS.FC.<s>.>                               flow control of a reader
 *	the subjects of the streams themselves     stream_publish, bus_command
 * and what it subscribes to: _INBOX.>
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/time.h"
#include "broker/bus_in.h"
#include "broker/scan.h"
#include "broker/stream.h"

#define API "$JS.API."
enum {
	SUBJECT = 128, PARTS = 64, NAME = 64, QUEUE = 8192,
	HEARTBEAT_MS = 500, MISSED = 3, ECHO_MS = 1000,
	STEP_MS = 100,			/* until what is not answered is asked again; then twice as long */
	FORSAKEN_S = 5,			/* a consumer that nobody listens to goes by itself */
	MAKE_TRIES = 4,
	DEDUPE_S = 120,			/* longer than a relay takes to repeat itself; commands need none */
	ERR_STREAM_NAME_IN_USE = 10058, ERR_STREAM_NOT_FOUND = 10059, ERR_NO_MESSAGE = 10037,
};
#define MAKE_REST (100 * MS)
#define NS_PER_S INT64_C(1000000000)

enum full { refused, kept };
static const struct { const char *name, *subjects; int64_t keep; enum full full; } table[] = {
#define X(id, name_, subjects_, keep_, full_) [STREAM_##id] = { name_, subjects_, keep_, full_ },
	STREAM_TABLE(X)
#undef X
};

/*
 * The API: a request, and its error told apart from its answer.  In a cluster what finds no leader,
 * or is given to a node that has just died, is answered by nobody: it must be asked again.  A new
 * reader of three servers, one of them dead, is given to that one each third time.
 */

/* A step of the way to the deadline; the next one is twice as long. */
static int64_t step_to(int64_t until, int64_t *step)
{
	const int64_t at = clock_mono() + *step;

	if (*step < SECOND)
		*step *= 2;
	return until != 0 && until < at ? until : at;
}

static err_t ask_once(struct ctx *c, struct bus *b, const char *verb, const char *stream,
		      const struct buf *body, struct str *answer, int64_t *code)
{
	const struct str json = body == NULL ? STR("") : (struct str) { body->p, body->n };
	const struct headers none = { .n = 0 };
	char subject[SUBJECT];
	struct str error;

	*code = 0;
	if (body != NULL && body->full)
		return refuse(c, ERR_internal, "%s: no room", verb);
	(void) snprintf(subject, sizeof subject, API "%s.%s", verb, stream);
	TRY(bus_request(c, b, subject, &none, json, answer));
	if (!scan_find(*answer, "error", &error))
		return OK;
	if (!scan_int(error, "err_code", code))
		*code = -1;
	return refuse(c, ERR_unavailable, "%s %s: %" PRId64, verb, stream, *code);
}

/* Of what does no harm twice. */
static err_t ask(struct ctx *c, struct bus *b, const char *verb, const char *stream,
		 const struct buf *body, struct str *answer, int64_t *code)
{
	const int64_t until = c->deadline;
	int64_t step = STEP_MS * MS;
	err_t e;

	do {
		c->deadline = step_to(until, &step);
		e = ask_once(c, b, verb, stream, body, answer, code);
	} while (e.code == ERR_timeout && clock_left(until) > 0);
	c->deadline = until;
	return e;
}

/* One that is done by its answer alone. */
static err_t tell(struct ctx *c, struct bus *b, const char *verb, enum stream s,
		  const struct buf *body)
{
	struct str answer;
	int64_t code;

	return ask(c, b, verb, table[s].name, body, &answer, &code);
}

err_t stream_make(struct ctx *c, struct bus *b, enum stream s)
{
	const bool booking = s == STREAM_BOOKING;
	struct buf body = { .mem = c->mem };
	struct str answer;
	int64_t code;

	buf_fmt(&body, "{\"name\":\"%s\",\"subjects\":[\"%s\"],", table[s].name, table[s].subjects);
	buf_fmt(&body, "\"retention\":\"limits\",\"storage\":\"file\",\"max_msgs\":-1,"
		"\"max_consumers\":-1,\"max_msg_size\":-1,\"max_msgs_per_subject\":-1,");
	buf_fmt(&body, "\"max_age\":%" PRId64 ",\"discard\":\"%s\",\"num_replicas\":%" PRId64 ",",
		table[s].keep * NS_PER_S, table[s].full == refused ? "new" : "old",
		config_int(CONFIG_STREAM_REPLICAS));
	buf_fmt(&body, "\"max_bytes\":%" PRId64 ",\"duplicate_window\":%" PRId64 "}",
		booking ? config_int(CONFIG_BOOKING_MAX_BYTES) : -1, (booking ? 1 : DEDUPE_S) * NS_PER_S);

	const err_t e = ask(c, b, "STREAM.CREATE", table[s].name, &body, &answer, &code);

	/* Somebody was faster, perhaps with other settings. */
	return code == ERR_STREAM_NAME_IN_USE ? OK : e;
}

enum stream stream_of(const char *subject)
{
	enum stream s = STREAM_COUNT;

	for (const char *p = subject; *p != '\0'; p++)
		if (*p <= ' ' || *p == '*' || *p == '>')
			return s;
	for (s = 0; s < STREAM_COUNT; s++)
		if (strncmp(subject, table[s].subjects, strcspn(table[s].subjects, "*>")) == 0)
			break;
	return s;
}

static err_t ask_info(struct ctx *c, struct bus *b, enum stream s, struct str *answer)
{
	int64_t code;
	const err_t e = ask(c, b, "STREAM.INFO", table[s].name, NULL, answer, &code);

	return code == ERR_STREAM_NOT_FOUND ? refuse(c, ERR_not_found, "no stream %s", table[s].name) : e;
}

/* Settings without which what was accepted could go before anybody has read it.  Whoever made them
 * otherwise must mend them: to change them here could delete what is there. */
static err_t check_promises(struct ctx *c, enum stream s, struct str config)
{
	static const struct { const char *setting, *value; bool of_all; } promise[] = {
		{ "retention",            "\"limits\"", true  },
		{ "storage",              "\"file\"",   true  },
		{ "discard",              "\"new\"",    false },	/* of those that refuse when full */
		{ "max_age",              "0",          false },
		{ "max_msgs_per_subject", "-1",         false },
	};

	for (size_t i = 0; i < COUNT(promise); i++) {
		struct str has = STR("nothing");

		if (!promise[i].of_all && table[s].full != refused)
			continue;
		(void) scan_find(config, promise[i].setting, &has);
		if (!str_eq(has, str_of(promise[i].value)))
			return refuse(c, ERR_invalid, "stream %s breaks promises: its %s is %.*s, and must be %s",
				      table[s].name, promise[i].setting, (int) (has.n < 32 ? has.n : 32),
				      has.p, promise[i].value);
	}
	return OK;
}

/* The same settings but for this one. */
static void set_number(struct ctx *c, const char *setting, int64_t n, struct str *config)
{
	struct buf b = { .mem = c->mem };
	struct str old;

	if (!scan_find(*config, setting, &old))
		return;
	buf_put(&b, config->p, (size_t) (old.p - config->p));
	buf_int(&b, n);
	buf_put(&b, old.p + old.n, (size_t) (config->p + config->n - old.p) - old.n);
	if (!b.full)
		*config = (struct str) { b.p, b.n };
}

/* The size of BOOKING follows the configuration; replicas may become more, never fewer. */
static err_t follow_config(struct ctx *c, struct bus *b, enum stream s, struct str config)
{
	const int64_t size = config_int(CONFIG_BOOKING_MAX_BYTES), copies = config_int(CONFIG_STREAM_REPLICAS);
	struct str wanted = config;
	struct buf body = { .mem = c->mem };
	int64_t has;

	if (s == STREAM_BOOKING && scan_int(config, "max_bytes", &has) && has != size)
		set_number(c, "max_bytes", size, &wanted);
	if (scan_int(config, "num_replicas", &has) && has < copies)
		set_number(c, "num_replicas", copies, &wanted);
	if (wanted.p == config.p)
		return OK;
	buf_put(&body, wanted.p, wanted.n);
	return tell(c, b, "STREAM.UPDATE", s, &body);
}

static err_t ensure(struct ctx *c, struct bus *b, enum stream s)
{
	struct str answer, config;
	err_t e = ask_info(c, b, s, &answer), made = OK;

	/* Of several who make it at once not all are told that it was made: what is there counts, and somebody
	 * may have been faster with other settings. */
	for (int tries = 0; e.code == ERR_not_found && tries < MAKE_TRIES; tries++) {
		clock_rest(tries * MAKE_REST);
		made = stream_make(c, b, s);
		e = ask_info(c, b, s, &answer);
	}
	if (e.code == ERR_not_found)
		TRY(made);
	TRY(e);
	if (!scan_find(answer, "config", &config))
		return refuse(c, ERR_unavailable, "STREAM.INFO makes no sense");
	TRY(check_promises(c, s, config));
	return follow_config(c, b, s, config);
}

err_t stream_ensure(struct ctx *c, struct bus *b)
{
	for (enum stream s = 0; s < STREAM_COUNT; s++)
		TRY(ensure(c, b, s));
	return OK;
}

/* RFC 3339 with nanoseconds, as the server writes it, to microseconds by truncation. */
static bool read_time(struct arena *mem, struct str json, const char *path, int64_t *us)
{
	struct str text;

	return scan_text(mem, json, path, &text) && time_parse(text, us);
}

err_t stream_info(struct ctx *c, struct bus *b, enum stream s, struct stream_info *info)
{
	struct str answer;

	TRY(ask_info(c, b, s, &answer));
	if (!read_time(c->mem, answer, "created", &info->created) ||
	    !scan_int(answer, "state.first_seq", &info->first_seq) ||
	    !scan_int(answer, "state.last_seq", &info->last_seq) ||
	    !scan_int(answer, "state.messages", &info->messages) ||
	    !scan_int(answer, "state.bytes", &info->bytes))
		return refuse(c, ERR_unavailable, "STREAM.INFO makes no sense");
	return OK;
}

err_t stream_publish(struct ctx *c, struct bus *b, const char *subject, const char *id,
		     const struct headers *h, struct str body)
{
	struct headers all = { .n = 0 };
	int64_t seq;

	if (h != NULL)
		all = *h;
	if (id != NULL)
		wire_put(&all, "Nats-Msg-Id", id);
	return bus_store(c, b, subject, &all, body, &seq);
}

err_t stream_purge(struct ctx *c, struct bus *b, enum stream s, const char *filter, int64_t seq)
{
	struct buf body = { .mem = c->mem };

	if (seq <= 1)	/* the server takes a sequence of 0 for none: all would go */
		return OK;
	buf_fmt(&body, "{\"filter\":\"%s\",\"seq\":%" PRId64 "}", filter, seq);
	return tell(c, b, "STREAM.PURGE", s, &body);
}

err_t stream_delete_msg(struct ctx *c, struct bus *b, enum stream s, int64_t seq)
{
	struct buf body = { .mem = c->mem };

	buf_fmt(&body, "{\"seq\":%" PRId64 "}", seq);	/* its bytes are overwritten, too */
	return tell(c, b, "STREAM.MSG.DELETE", s, &body);
}

/* A stored message as it was published: headers and data come in base64. */

static bool decode(struct arena *mem, struct str json, const char *path, struct str *out)
{
	struct str text, raw;
	uint32_t bits = 0;
	int have = 0;
	char *to;

	*out = (struct str) { "", 0 };
	if (!scan_find(json, path, &raw))
		return true;		/* an empty one is left out */
	if (!scan_text(mem, json, path, &text) || (to = arena_alloc(mem, text.n + 1)) == NULL)
		return false;
	out->p = to;
	while (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		const char ch = text.p[i];
		const int v = ch >= 'A' && ch <= 'Z' ? ch - 'A' : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26 :
			      ch >= '0' && ch <= '9' ? ch - '0' + 52 : ch == '+' ? 62 : ch == '/' ? 63 : -1;

		if (v < 0)
			return false;
		bits = (bits << 6 | (uint32_t) v) & 0xffffff;
		if ((have += 6) >= 8) {
			have -= 8;
			to[out->n++] = (char) (bits >> have);
		}
	}
	return true;
}

/* "NATS/1.0\r\nName: value\r\n...\r\n"; cuts it into texts where it lies. */
static natsStatus set_headers(natsMsg *m, struct str text)
{
	char *rest = NULL;
	natsStatus s = NATS_OK;

	if (memchr(text.p, '\0', text.n) != NULL)
		return NATS_ERR;
	for (char *line = strtok_r((char *) (uintptr_t) text.p, "\r\n", &rest);
	     s == NATS_OK && (line = strtok_r(NULL, "\r\n", &rest)) != NULL; ) {
		char *value = strchr(line, ':');

		if (value == NULL || value == line)
			return NATS_ERR;
		*value++ = '\0';
		s = natsMsgHeader_Add(m, line, value + strspn(value, " "));
	}
	return s;
}

static err_t restore(struct ctx *c, struct str answer, struct stream_msg *out)
{
	struct str headers, data, subject;
	natsMsg *m = NULL;
	char *name;

	if (!scan_int(answer, "message.seq", &out->seq) ||
	    !read_time(c->mem, answer, "message.time", &out->time) ||
	    !scan_text(c->mem, answer, "message.subject", &subject) ||
	    !decode(c->mem, answer, "message.hdrs", &headers) ||
	    !decode(c->mem, answer, "message.data", &data) ||
	    (name = arena_alloc(c->mem, subject.n + 1)) == NULL)
		return refuse(c, ERR_unavailable, "STREAM.MSG.GET makes no sense");
	memcpy(name, subject.p, subject.n);

	natsStatus s = natsMsg_Create(&m, name, NULL, data.p, (int) data.n);

	if (s == NATS_OK && headers.n > 0)
		s = set_headers(m, headers);
	if (s != NATS_OK) {
		natsMsg_Destroy(m);
		return refuse(c, ERR_internal, "stored message %" PRId64 ": %s", out->seq,
			      natsStatus_GetText(s));
	}
	out->msg = bus_msg_of(m);
	return OK;
}

err_t stream_get(struct ctx *c, struct bus *b, enum stream s, int64_t seq, const char *filter,
		 struct stream_msg *out)
{
	struct buf body = { .mem = c->mem };
	struct str answer;
	int64_t code;

	*out = (struct stream_msg) { .msg = NULL };
	buf_fmt(&body, "{\"seq\":%" PRId64 ",\"next_by_subj\":\"%s\"}", seq > 0 ? seq : 1, filter);

	const err_t e = ask(c, b, "STREAM.MSG.GET", table[s].name, &body, &answer, &code);

	if (code == ERR_NO_MESSAGE || code == ERR_STREAM_NOT_FOUND)
		return refuse(c, ERR_not_found, "%s: no message of %s at or after %" PRId64,
			      table[s].name, filter, seq);
	TRY(e);
	return restore(c, answer, out);
}

/* The reader.  The server delivers to nobody but an exact subscription (a wildcard is no interest
 * in its eyes), and a message comes under its own subject; so each part has a subscription, each
 * start of it has another, and all of them feed one queue. */

struct feed {
	_Atomic(struct reader *) reader;	/* set last, read first */
	size_t            part;
	int64_t           generation;
	natsSubscription *sub;
	bool              over;		/* what comes now is dropped */
	bool              ended;	/* no callback runs, nor will */
};

struct part {
	enum { IDLE, READING, BROKEN, TOLD } state;
	int         number;
	int64_t     generation;		/* what comes of an older one is dropped */
	int64_t     delivered;		/* consumer sequence: counts up by one, without a gap */
	int64_t     breaks;		/* of the bus when it was started */
	int64_t     heard;		/* when the heart was last heard */
	const char *why;
	struct feed feed;
	char        consumer[NAME];
};

struct reader {
	struct bus       *bus;
	enum stream       stream;
	pthread_mutex_t   mu;			/* of the queue and the feeds */
	pthread_cond_t    filled, emptied;
	struct came { natsMsg *msg; size_t part; int64_t generation; } queue[QUEUE];
	size_t            at, queued;		/* a full queue leaves messages with the library */
	int               closing;		/* feeds whose end is awaited */
	char              inbox[SUBJECT];	/* messages come to <inbox>.<part>.<generation> */
	int64_t           generation;
	int64_t           checked;
	size_t            nparts, broken;
	struct part       part[PARTS];
};

err_t reader_open(struct bus *b, enum stream s, struct reader **out)
{
	static _Atomic int64_t count;
	struct reader *r = calloc(1, sizeof *r);
	pthread_condattr_t monotonic;

	if (r == NULL)
		return ERR(internal);
	r->bus = b;
	r->stream = s;
	(void) snprintf(r->inbox, sizeof r->inbox, "%s.r.%" PRId64, bus_inbox(b), ++count);
	(void) pthread_condattr_init(&monotonic);
	(void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void) pthread_mutex_init(&r->mu, NULL);
	(void) pthread_cond_init(&r->filled, &monotonic);
	(void) pthread_cond_init(&r->emptied, &monotonic);
	(void) pthread_condattr_destroy(&monotonic);
	*out = r;
	return OK;
}

/* One thread of the library's for all parts: while one of them ends, another cannot wait for room;
 * what is dropped then is a gap. */
static void on_delivery(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *of)
{
	struct feed *f = of;
	struct reader *r = atomic_load(&f->reader);

	(void) nc, (void) sub;
	(void) pthread_mutex_lock(&r->mu);
	while (r->queued == QUEUE && !f->over && r->closing == 0)
		(void) pthread_cond_wait(&r->emptied, &r->mu);
	if (!f->over && r->queued < QUEUE) {
		r->queue[(r->at + r->queued++) % QUEUE] = (struct came) { msg, f->part, f->generation };
		msg = NULL;
		(void) pthread_cond_signal(&r->filled);
	}
	(void) pthread_mutex_unlock(&r->mu);
	natsMsg_Destroy(msg);
}

static void on_feed_ended(void *of)
{
	struct feed *f = of;
	struct reader *r = atomic_load(&f->reader);

	(void) pthread_mutex_lock(&r->mu);
	f->ended = true;
	(void) pthread_cond_broadcast(&r->emptied);
	(void) pthread_mutex_unlock(&r->mu);
}

static err_t feed_open(struct reader *r, struct part *p, const char *subject)
{
	natsConnection *nc = bus_connection(r->bus);
	struct feed *f = &p->feed;

	*f = (struct feed) { .part = (size_t) (p - r->part), .generation = p->generation };
	atomic_store(&f->reader, r);
	if (natsConnection_Subscribe(&f->sub, nc, subject, on_delivery, f) != NATS_OK)
		return ERR(unavailable);
	if (natsSubscription_SetOnCompleteCB(f->sub, on_feed_ended, f) != NATS_OK)
		f->ended = true;	/* the connection was closed */
	(void) natsSubscription_SetPendingLimits(f->sub, -1, -1);	/* flow control bounds it */
	/* Known to the server before the request, which goes another way. */
	return natsConnection_FlushTimeout(nc, ECHO_MS) == NATS_OK ? OK : ERR(unavailable);
}

static void feed_close(struct reader *r, struct feed *f)
{
	if (f->sub == NULL)
		return;
	(void) pthread_mutex_lock(&r->mu);
	f->over = true;
	r->closing++;
	(void) pthread_cond_broadcast(&r->emptied);
	(void) pthread_mutex_unlock(&r->mu);
	bus_bury(r->bus, f->sub);
	(void) pthread_mutex_lock(&r->mu);
	while (!f->ended)
		(void) pthread_cond_wait(&r->emptied, &r->mu);
	r->closing--;
	(void) pthread_mutex_unlock(&r->mu);
	f->sub = NULL;
}

/* What came next; nothing when there is no message until then. */
static bool pop(struct reader *r, int64_t until, struct came *next)
{
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };
	bool some;

	(void) pthread_mutex_lock(&r->mu);
	while (r->queued == 0 && clock_mono() < until)
		(void) pthread_cond_timedwait(&r->filled, &r->mu, &t);
	if ((some = r->queued > 0)) {
		*next = r->queue[r->at];
		r->at = (r->at + 1) % QUEUE;
		if (r->queued-- == QUEUE)
			(void) pthread_cond_broadcast(&r->emptied);
	}
	(void) pthread_mutex_unlock(&r->mu);
	return some;
}

static struct part *part_of(struct reader *r, int64_t number)
{
	for (size_t i = 0; i < r->nparts; i++)
		if (r->part[i].number == number)
			return &r->part[i];
	return NULL;
}

static void forget(struct reader *r, struct part *p)
{
	const struct headers none = { .n = 0 };
	char subject[SUBJECT];

	feed_close(r, &p->feed);
	if (p->consumer[0] != '\0') {
		(void) snprintf(subject, sizeof subject, API "CONSUMER.DELETE.%s.%s",
				table[r->stream].name, p->consumer);
		/* Should it not arrive, the server finds out that nobody listens. */
		(void) bus_publish(r->bus, subject, &none, STR("")).code;
	}
	if (p->state == BROKEN)
		r->broken--;
	p->state = IDLE;
	p->generation = -1;
	p->consumer[0] = '\0';
}

static void put_consumer(enum stream s, const char *subject, const char *filter, int64_t from,
			 struct buf *body)
{
	buf_fmt(body, "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"%s\",",
		table[s].name, subject);
	buf_fmt(body, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRId64 ","
		"\"filter_subject\":\"%s\",", from > 0 ? from : 1, filter);
	buf_fmt(body, "\"ack_policy\":\"none\",\"replay_policy\":\"instant\",\"flow_control\":true,"
		"\"idle_heartbeat\":%" PRId64 ",", HEARTBEAT_MS * INT64_C(1000000));
	buf_fmt(body, "\"inactive_threshold\":%" PRId64 ",\"num_replicas\":1,\"mem_storage\":true}}",
		FORSAKEN_S * NS_PER_S);
}

static err_t start(struct ctx *c, struct reader *r, struct part *p, const char *filter, int64_t from_seq)
{
	struct buf body = { .mem = c->mem };
	struct str answer, name;
	char subject[SUBJECT + 48];
	int64_t code;

	forget(r, p);
	p->generation = ++r->generation;
	p->delivered = 0;
	p->breaks = bus_breaks(r->bus);
	(void) snprintf(subject, sizeof subject, "%s.%d.%" PRId64, r->inbox, p->number, p->generation);
	TRY(feed_open(r, p, subject));
	put_consumer(r->stream, subject, filter, from_seq, &body);

	err_t e = ask_once(c, r->bus, "CONSUMER.CREATE", table[r->stream].name, &body, &answer, &code);

	if (code == ERR_STREAM_NOT_FOUND)
		return refuse(c, ERR_not_found, "no stream %s", table[r->stream].name);
	TRY(e);
	if (!scan_text(c->mem, answer, "name", &name) || name.n >= NAME)
		return refuse(c, ERR_unavailable, "CONSUMER.CREATE makes no sense");
	memcpy(p->consumer, name.p, name.n);
	p->consumer[name.n] = '\0';
	p->heard = clock_mono();
	p->state = READING;
	return OK;
}

err_t reader_start(struct ctx *c, struct reader *r, int number, const char *filter, int64_t from_seq)
{
	const int64_t until = c->deadline;
	struct part *p = part_of(r, number);
	int64_t step = STEP_MS * MS;
	err_t e;

	if (p == NULL && r->nparts == PARTS)
		return refuse(c, ERR_internal, "a reader of too many parts");
	if (p == NULL)
		*(p = &r->part[r->nparts++]) = (struct part) { .number = number };
	do {		/* each time another consumer: the former one finds that nobody listens */
		c->deadline = step_to(until, &step);
		e = start(c, r, p, filter, from_seq);
	} while (e.code == ERR_timeout && clock_left(until) > 0);
	c->deadline = until;
	return e;
}

void reader_stop(struct reader *r, int number)
{
	struct part *p = part_of(r, number);

	if (p != NULL)
		forget(r, p);
}

static void break_part(struct reader *r, struct part *p, const char *why)
{
	if (p->state != READING)
		return;
	p->state = BROKEN;
	p->why = why;
	r->broken++;
}

/* `idle`: the queue was empty, so that a heartbeat that was sent has also been seen. */
static void check_hearts(struct reader *r, bool idle)
{
	const int64_t now = clock_mono(), breaks = bus_breaks(r->bus);
	const int64_t patience = HEARTBEAT_MS * MS * MISSED * (idle ? 1 : 4);

	if (!idle && now - r->checked < HEARTBEAT_MS * MS / 2)
		return;
	r->checked = now;
	for (size_t i = 0; i < r->nparts; i++)
		if (r->part[i].breaks != breaks)
			break_part(r, &r->part[i], "reconnect");
		else if (now - r->part[i].heard > patience)
			break_part(r, &r->part[i], "heartbeat");
}

static void tell_broken(struct reader *r, struct read *out)
{
	struct part *p = r->part;

	while (p->state != BROKEN)
		p++;
	p->state = TOLD;
	r->broken--;
	*out = (struct read) { .what = READ_BROKEN, .part = p->number, .why = p->why };
}

static bool number_at(const char **p, int64_t *n)
{
	const size_t len = strcspn(*p, ".");

	if (!str_int((struct str) { *p, len }, n))
		return false;
	*p += len + ((*p)[len] == '.');
	return true;
}

/* $JS.ACK.<stream>.<consumer>.<tries>.<seq>.<delivered>.<ns>.<pending>, and since 2.10 perhaps with
 * domain and account before the stream, and something random at the end. */
struct place { int64_t seq, delivered, ns, pending; };

static bool read_place(const char *reply, struct place *at)
{
	int64_t tries;
	size_t dots = 0;
	const char *p = reply;

	for (const char *d = reply; *d != '\0'; d++)
		dots += *d == '.';
	for (size_t skip = dots >= 10 ? 6 : 4; skip > 0; skip--) {
		p = strchr(p, '.');
		if (p++ == NULL)
			return false;
	}
	if (!number_at(&p, &tries) || !number_at(&p, &at->seq) || !number_at(&p, &at->delivered) ||
	    !number_at(&p, &at->ns))
		return false;
	if (!number_at(&p, &at->pending) || at->pending < 0)	/* an estimate that may underflow */
		at->pending = 0;
	return true;
}

/* A heartbeat or a request for an answer; what came before it on this way has been seen. */
static void control(struct reader *r, struct part *p, const struct bus_msg *m)
{
	const struct headers none = { .n = 0 };
	const char *answer = bus_reply_to(m), *last;
	int64_t sent;

	p->heard = clock_mono();
	if (answer == NULL)
		answer = bus_header(m, "Nats-Consumer-Stalled");
	last = bus_header(m, "Nats-Last-Consumer");
	if (last != NULL && str_int(str_of(last), &sent) && sent > p->delivered) {
		break_part(r, p, "gap");
		return;
	}
	if (answer != NULL && bus_publish(r->bus, answer, &none, STR("")).code)
		break_part(r, p, "reconnect");	/* it would stall */
}

/* True when out holds the message, which then is the caller's. */
static bool receive(struct reader *r, const struct came *came, struct read *out)
{
	struct part *p = &r->part[came->part];
	struct bus_msg *m = bus_msg_of(came->msg);
	const char *reply = bus_reply_to(m);
	struct place at;

	if (p->generation != came->generation || p->state != READING)
		return false;
	if (reply == NULL || strncmp(reply, "$JS.ACK.", 8) != 0) {
		control(r, p, m);
		return false;
	}
	if (!read_place(reply, &at) || at.delivered != p->delivered + 1) {
		break_part(r, p, "gap");
		return false;
	}
	p->delivered = at.delivered;
	p->heard = clock_mono();
	*out = (struct read) { .what = READ_MESSAGE, .part = p->number, .seq = at.seq,
			       .time = at.ns / 1000, .waiting = at.pending, .msg = m };
	return true;
}

void reader_next(struct reader *r, int64_t timeout_us, struct read *out)
{
	const int64_t until = clock_mono() + timeout_us, step = HEARTBEAT_MS * MS;
	struct came came;

	*out = (struct read) { .what = READ_NOTHING };
	for (;;) {
		check_hearts(r, false);
		if (r->broken > 0) {
			tell_broken(r, out);
			return;
		}
		/* In steps, so that a heart that stops is noticed while nothing comes. */
		if (pop(r, clock_mono() + (clock_left(until) < step ? clock_left(until) : step), &came)) {
			if (receive(r, &came, out))
				return;
			natsMsg_Destroy(came.msg);
			continue;
		}
		check_hearts(r, true);
		if (r->broken == 0 && clock_left(until) == 0)
			return;
	}
}

void reader_close(struct reader *r)
{
	struct came came;

	for (size_t i = 0; i < r->nparts; i++)
		forget(r, &r->part[i]);
	while (pop(r, 0, &came))
		natsMsg_Destroy(came.msg);
	(void) pthread_cond_destroy(&r->emptied);
	(void) pthread_cond_destroy(&r->filled);
	(void) pthread_mutex_destroy(&r->mu);
	free(r);
}
