/*
 * stream.c - JetStream through its JSON API.  Must not know what a message says, nor remember
 * where a reader stands.
 *
 * The library's own JetStream layer is not used: its pulls are unsound in the version at hand,
 * and it waits by clocks of its own where we have one deadline.
 *
 * What a process publishes here, for the permissions of its user ("<s>" a stream's name):
 *	$JS.API.STREAM.CREATE.<s>                  stream_ensure
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
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/time.h"
#include "broker/bus_in.h"
#include "broker/scan.h"
#include "broker/stream.h"

#define API "$JS.API."
enum {
	SUBJECT = 192, PARTS = 64, NAME = 64,
	HEARTBEAT_MS = 500, MISSED = 3,
	FORSAKEN_S = 5,			/* a consumer that nobody listens to goes by itself */
	DEDUPE_S = 120,			/* longer than a relay takes to repeat itself; commands need none */
	ERR_STREAM_NAME_IN_USE = 10058, ERR_STREAM_NOT_FOUND = 10059, ERR_NO_MESSAGE = 10037,
};
#define NS_PER_S INT64_C(1000000000)

enum full { refused, kept };
static const struct { const char *name, *subjects; int64_t keep; enum full full; } table[] = {
#define X(id, name_, subjects_, keep_, full_) [STREAM_##id] = { name_, subjects_, keep_, full_ },
	STREAM_TABLE(X)
#undef X
};

/* The API: a request, and its error told apart from its answer. */

static err_t ask(struct ctx *c, struct bus *b, const char *verb, const char *stream,
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

/* One that is done by its answer alone. */
static err_t tell(struct ctx *c, struct bus *b, const char *verb, enum stream s,
		  const struct buf *body)
{
	struct str answer;
	int64_t code;

	return ask(c, b, verb, table[s].name, body, &answer, &code);
}

static err_t create(struct ctx *c, struct bus *b, enum stream s)
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

err_t stream_ensure(struct ctx *c, struct bus *b)
{
	struct stream_info info;

	for (enum stream s = 0; s < STREAM_COUNT; s++) {
		err_t e = stream_info(c, b, s, &info);

		if (e.code == ERR_not_found)
			e = create(c, b, s);
		TRY(e);
	}
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
	int64_t code;
	const err_t e = ask(c, b, "STREAM.INFO", table[s].name, NULL, &answer, &code);

	if (code == ERR_STREAM_NOT_FOUND)
		return refuse(c, ERR_not_found, "no stream %s", table[s].name);
	TRY(e);
	if (!read_time(c->mem, answer, "created", &info->created) ||
	    !scan_int(answer, "state.first_seq", &info->first_seq) ||
	    !scan_int(answer, "state.last_seq", &info->last_seq) ||
	    !scan_int(answer, "state.messages", &info->messages))
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

/* The reader */

struct part {
	enum { IDLE, READING, BROKEN, TOLD } state;
	int         number;
	int64_t     generation;		/* last part of the subject it is delivered to */
	int64_t     delivered;		/* consumer sequence: counts up by one, without a gap */
	int64_t     breaks;		/* of the bus when it was started */
	int64_t     heard;		/* when the heart was last heard */
	const char *why;
	char        consumer[NAME];
};

struct reader {
	struct bus       *bus;
	enum stream       stream;
	natsSubscription *sub;
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
	char wild[SUBJECT + 4];
	natsStatus st;

	if (r == NULL)
		return ERR(internal);
	r->bus = b;
	r->stream = s;
	(void) snprintf(r->inbox, sizeof r->inbox, "%s.r.%" PRId64, bus_inbox(b), ++count);
	(void) snprintf(wild, sizeof wild, "%s.*.*", r->inbox);
	st = natsConnection_SubscribeSync(&r->sub, bus_connection(b), wild);
	if (st == NATS_OK)
		st = natsSubscription_SetPendingLimits(r->sub, -1, -1);	/* flow control bounds it */
	if (st == NATS_OK)
		(void) natsConnection_FlushTimeout(bus_connection(b), 1000);
	if (st != NATS_OK) {
		natsSubscription_Destroy(r->sub);
		free(r);
		return ERR(unavailable);
	}
	*out = r;
	return OK;
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

	if (p->consumer[0] != '\0') {
		(void) snprintf(subject, sizeof subject, API "CONSUMER.DELETE.%s.%s",
				table[r->stream].name, p->consumer);
		/* Should it not arrive, the server finds out that nobody listens. */
		if (bus_publish(r->bus, subject, &none, STR("")).code == ERR_none)
			p->consumer[0] = '\0';
	}
	if (p->state == BROKEN)
		r->broken--;
	p->state = IDLE;
	p->generation = -1;
	p->consumer[0] = '\0';
}

static void put_consumer(struct reader *r, const struct part *p, const char *filter,
			 int64_t from, struct buf *body)
{
	buf_fmt(body, "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"%s.%d.%" PRId64 "\",",
		table[r->stream].name, r->inbox, p->number, p->generation);
	buf_fmt(body, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRId64 ","
		"\"filter_subject\":\"%s\",", from > 0 ? from : 1, filter);
	buf_fmt(body, "\"ack_policy\":\"none\",\"replay_policy\":\"instant\",\"flow_control\":true,"
		"\"idle_heartbeat\":%" PRId64 ",", HEARTBEAT_MS * INT64_C(1000000));
	buf_fmt(body, "\"inactive_threshold\":%" PRId64 ",\"num_replicas\":1,\"mem_storage\":true}}",
		FORSAKEN_S * NS_PER_S);
}

err_t reader_start(struct ctx *c, struct reader *r, int number, const char *filter, int64_t from_seq)
{
	struct part *p = part_of(r, number);
	struct buf body = { .mem = c->mem };
	struct str answer, name;
	int64_t code;

	if (p != NULL)
		forget(r, p);
	else if (r->nparts == PARTS)
		return refuse(c, ERR_internal, "a reader of too many parts");
	else
		*(p = &r->part[r->nparts++]) = (struct part) { .number = number };
	p->generation = ++r->generation;
	p->delivered = 0;
	p->breaks = bus_breaks(r->bus);
	put_consumer(r, p, filter, from_seq, &body);

	err_t e = ask(c, r->bus, "CONSUMER.CREATE", table[r->stream].name, &body, &answer, &code);

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
	return number_at(&p, &tries) && number_at(&p, &at->seq) && number_at(&p, &at->delivered) &&
	       number_at(&p, &at->ns) && number_at(&p, &at->pending);
}

/* <inbox>.<part>.<generation>; NULL when that is over. */
static struct part *addressee(struct reader *r, const char *subject)
{
	const char *p = subject + strlen(r->inbox) + 1;
	int64_t number, generation;
	struct part *part;

	if (!number_at(&p, &number) || !number_at(&p, &generation))
		return NULL;
	part = part_of(r, number);
	return part != NULL && part->generation == generation && part->state == READING ? part : NULL;
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
static bool receive(struct reader *r, struct bus_msg *m, struct read *out)
{
	struct part *p = addressee(r, natsMsg_GetSubject(msg_of(m)));
	const char *reply = bus_reply_to(m);
	struct place at;

	if (p == NULL)
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
	const int64_t until = clock_mono() + timeout_us;
	natsMsg *m;
	natsStatus s;

	*out = (struct read) { .what = READ_NOTHING };
	for (;;) {
		check_hearts(r, false);
		if (r->broken > 0) {
			tell_broken(r, out);
			return;
		}
		/* In steps, so that a heart that stops is noticed while nothing comes. */
		int64_t wait = clock_left(until);

		if (wait > HEARTBEAT_MS * MS)
			wait = HEARTBEAT_MS * MS;
		s = natsSubscription_NextMsg(&m, r->sub, (wait + MS - 1) / MS);
		if (s == NATS_OK) {
			if (receive(r, bus_msg_of(m), out))
				return;
			natsMsg_Destroy(m);
			continue;
		}
		if (s != NATS_TIMEOUT && s != NATS_NO_RESPONDERS)
			nats_Sleep(wait / MS);		/* closed for good: nothing will come */
		check_hearts(r, true);
		if (r->broken == 0 && clock_left(until) == 0)
			return;
	}
}

void reader_close(struct reader *r)
{
	for (size_t i = 0; i < r->nparts; i++)
		forget(r, &r->part[i]);
	(void) natsSubscription_Unsubscribe(r->sub);
	natsSubscription_Destroy(r->sub);
	free(r);
}
