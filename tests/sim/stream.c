/* stream.c - see sim.h: the stream BOOKING and the bus, as stream.h and bus.h promise them, on bad days too. */
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

enum { QUEUE = 512, HELD = 2 * QUEUE };

struct message message[MESSAGES];	/* all that was ever stored, in that order */
size_t nmessages;

static struct { bool exists; int64_t created, last_seq, last_time, skew; } stream;

struct bus { int owner; int64_t away_until; };
static struct bus bus[OWNERS];

struct bus_msg { const struct message *is; int owner; };

/* What a process holds of the library's: gone with it. */
static struct bus_msg *held[OWNERS][HELD];

struct reader {
	int owner;
	struct {
		enum { IDLE, READING, BROKEN, TOLD } state;
		size_t      next;		/* the message to look at for this part */
		int         generation;
		int64_t     breaks_at;
		const char *why;
	} part[PARTITIONS];
	struct { size_t message; int part, generation; } queue[QUEUE];
	size_t at, queued;
};
static struct reader readers[OWNERS];

/* ---- the stream ---- */

static bool is_there(const struct message *m)
{
	return stream.exists && m->created == stream.created && m->fate == STAYS;
}

static int64_t now(void)
{
	return wall() + stream.skew;
}

void stream_begin(void)
{
	memset(readers, 0, sizeof readers);
	nmessages = 0;
	stream.exists = true;
	stream.skew = chance(300) ? ((int64_t) draw(600) - 300) * SECOND : 0;
	stream.created = stream.last_time = now();
	stream.last_seq = 0;
	for (int i = 0; i < OWNERS; i++)
		bus[i] = (struct bus) { .owner = i };
}

int stream_store(const struct message *m)
{
	struct message *as = &message[nmessages];

	if (!stream.exists)
		return -1;
	if (nmessages == MESSAGES)
		abort();
	*as = *m;
	stream.last_time = now() > stream.last_time ? now() : stream.last_time + 1;
	as->created = stream.created;
	as->seq = ++stream.last_seq;
	as->time = stream.last_time;
	as->fate = STAYS;
	trace("stored %lld: partition %d, %s%s", (long long) as->seq, as->partition, as->headers.v[0].value,
	      as->poison != POISON_NOT ? ", poison" : "");
	world.at[T_NETWORK] = soon();
	return (int) nmessages++;
}

/* Consumers go with what they read from; their readers miss the heartbeat. */
static void break_parts(struct reader *r, int p, const char *cause, int64_t at)
{
	for (int i = 0; i < PARTITIONS; i++)
		if ((p < 0 || p == i) && r->part[i].state == READING && r->part[i].breaks_at > at) {
			r->part[i].breaks_at = at;
			r->part[i].why = cause;
			wake(r->owner);
		}
}

static void break_all(void)
{
	for (int i = 0; i < world.nowners; i++)
		break_parts(&readers[i], -1, "heartbeat", world.now + 1500 * MS);
}

static void lose_from(int64_t seq)
{
	for (size_t i = 0; i < nmessages; i++)
		if (is_there(&message[i]) && message[i].seq >= seq)
			message[i].fate = LOST;
}

void stream_recreate(void)
{
	lose_from(0);
	stream.exists = chance(500);
	stream.created = stream.last_time = now();
	stream.last_seq = 0;
	break_all();
}

/* What a disk has lost of its end; the sequences are used again. */
void stream_truncate(void)
{
	const int64_t back = 1 + (int64_t) draw(8);

	stream.last_seq = stream.last_seq > back ? stream.last_seq - back : 0;
	lose_from(stream.last_seq + 1);
	break_all();
}

void stream_forget_one(void)
{
	size_t i = draw(nmessages + 1);

	if (i < nmessages && is_there(&message[i])) {
		trace("message %lld is lost", (long long) message[i].seq);
		message[i].fate = LOST;
	}
}

void stream_away(int owner, int64_t until)
{
	for (int i = 0; i < world.nowners; i++)
		if (owner < 0 || owner == i) {
			bus[i].away_until = until;
			break_parts(&readers[i], -1, "reconnect", until);
		}
}

void stream_break(int owner)
{
	static const char *const cause[] = { "gap", "heartbeat", "reconnect" };

	break_parts(&readers[owner], (int) draw(PARTITIONS), cause[draw(3)], world.now);
}

static bool is_away(const struct bus *b)
{
	return b->away_until > world.now;
}

/* ---- a request of the stream's administration: it takes its time, and may find nobody ---- */

static err_t ask(struct ctx *c, struct bus *b)
{
	step_until(soon());
	if (!is_away(b) && !chance(world.unreliable / 2))
		return OK;
	if (chance(300))
		return refuse(c, ERR_unavailable, "not connected");
	step_until(world.now + clock_left(c->deadline == 0 ? clock_mono() + SECOND : c->deadline));
	return refuse(c, ERR_timeout, "no answer in time");
}

err_t stream_info(struct ctx *c, struct bus *b, enum stream s, struct stream_info *info)
{
	(void) s;
	TRY(ask(c, b));
	if (!stream.exists)
		return refuse(c, ERR_not_found, "no stream");
	*info = (struct stream_info) { .created = stream.created, .first_seq = stream.last_seq + 1,
		.last_seq = stream.last_seq };
	for (size_t i = nmessages; i-- > 0;)
		if (is_there(&message[i])) {
			info->first_seq = message[i].seq;
			info->messages++;
		}
	return OK;
}

err_t stream_ensure(struct ctx *c, struct bus *b)
{
	TRY(ask(c, b));
	if (!stream.exists) {
		stream.exists = true;
		stream.created = stream.last_time = now();
	}
	return OK;
}

static int part_named(const char *filter)
{
	char name[PARTITION_SUBJECT];

	for (int p = 0; p < PARTITIONS; p++) {
		partition_filter(p, name);
		if (strcmp(name, filter) == 0)
			return p;
	}
	abort();
}

static struct bus_msg *hold(int owner, const struct message *m)
{
	for (size_t i = 0; i < HELD; i++)
		if (held[owner][i] == NULL) {
			if ((held[owner][i] = malloc(sizeof *held[0][0])) == NULL)
				break;
			*held[owner][i] = (struct bus_msg) { m, owner };
			return held[owner][i];
		}
	abort();
}

err_t stream_get(struct ctx *c, struct bus *b, enum stream s, int64_t seq, const char *filter,
		 struct stream_msg *out)
{
	const int p = part_named(filter);

	(void) s;
	TRY(ask(c, b));
	for (size_t i = 0; i < nmessages; i++)
		if (is_there(&message[i]) && message[i].partition == p && message[i].seq >= seq) {
			*out = (struct stream_msg) { message[i].seq, message[i].time,
				hold(b->owner, &message[i]) };
			return OK;
		}
	return refuse(c, ERR_not_found, "no message");
}

err_t stream_purge(struct ctx *c, struct bus *b, enum stream s, const char *filter, int64_t seq)
{
	const int p = part_named(filter);

	(void) s;
	TRY(ask(c, b));
	for (size_t i = 0; i < nmessages; i++)
		if (is_there(&message[i]) && message[i].partition == p && message[i].seq < seq) {
			judge_purge(&message[i]);
			message[i].fate = PURGED;
		}
	return OK;
}

/* ---- readers ---- */

err_t reader_open(struct bus *b, enum stream s, struct reader **out)
{
	(void) s;
	*out = &readers[b->owner];
	**out = (struct reader) { .owner = b->owner };
	return OK;
}

err_t reader_start(struct ctx *c, struct reader *r, int p, const char *filter, int64_t from_seq)
{
	reader_stop(r, p);
	if (part_named(filter) != p)
		abort();
	TRY(ask(c, &bus[r->owner]));
	if (!stream.exists)
		return refuse(c, ERR_not_found, "no stream");
	r->part[p].state = READING;
	r->part[p].breaks_at = NEVER;
	r->part[p].next = 0;
	while (r->part[p].next < nmessages && (!is_there(&message[r->part[p].next]) ||
					       message[r->part[p].next].seq < from_seq))
		r->part[p].next++;
	world.at[T_NETWORK] = soon();
	return OK;
}

void reader_stop(struct reader *r, int p)
{
	r->part[p].state = IDLE;
	r->part[p].generation++;
}

void reader_close(struct reader *r)
{
	r->queued = 0;
	for (int p = 0; p < PARTITIONS; p++)
		r->part[p].state = IDLE;
}

/* The next message of a part that is to be delivered; nmessages: none. */
static size_t next_of(struct reader *r, int p)
{
	size_t *at = &r->part[p].next;

	if (r->part[p].state != READING || r->part[p].breaks_at != NEVER)
		return nmessages;
	while (*at < nmessages && (!is_there(&message[*at]) || message[*at].partition != p))
		++*at;
	return *at;
}

void network_step(void)
{
	struct { struct reader *r; int p; } can[OWNERS * PARTITIONS];
	size_t n = 0;

	for (int i = 0; i < world.nowners; i++)
		for (int p = 0; p < PARTITIONS && !is_away(&bus[i]) && readers[i].queued < QUEUE; p++)
			if (next_of(&readers[i], p) < nmessages) {
				can[n].r = &readers[i];
				can[n++].p = p;
			}
	world.at[T_NETWORK] = NEVER;
	if (n == 0) {
		for (int i = 0; i < world.nowners; i++)
			if (is_away(&bus[i]) && bus[i].away_until < world.at[T_NETWORK])
				world.at[T_NETWORK] = bus[i].away_until;
		return;
	}

	const size_t k = draw(n);
	struct reader *r = can[k].r;
	const int p = can[k].p;

	r->queue[(r->at + r->queued++) % QUEUE].message = r->part[p].next++;
	r->queue[(r->at + r->queued - 1) % QUEUE].part = p;
	r->queue[(r->at + r->queued - 1) % QUEUE].generation = r->part[p].generation;
	wake(r->owner);
	world.at[T_NETWORK] = chance(100) ? soon() : world.now + (int64_t) draw(50);
}

static bool tell_broken(struct reader *r, struct read *out, int64_t *next)
{
	for (int p = 0; p < PARTITIONS; p++) {
		if (r->part[p].state != READING)
			continue;
		if (r->part[p].breaks_at <= world.now) {
			r->part[p].state = TOLD;
			*out = (struct read) { .what = READ_BROKEN, .part = p, .why = r->part[p].why };
			return true;
		}
		if (r->part[p].breaks_at < *next)
			*next = r->part[p].breaks_at;
	}
	return false;
}

static bool pop(struct reader *r, struct read *out)
{
	while (r->queued > 0) {
		const size_t i = r->queue[r->at].message;
		const int p = r->queue[r->at].part;
		const bool wanted = r->part[p].state == READING &&
				    r->part[p].generation == r->queue[r->at].generation;

		r->at = (r->at + 1) % QUEUE;
		r->queued--;
		if (!wanted)
			continue;
		*out = (struct read) { .what = READ_MESSAGE, .part = p, .seq = message[i].seq,
			.time = message[i].time, .msg = hold(r->owner, &message[i]) };
		return true;
	}
	return false;
}

void reader_next(struct reader *r, int64_t timeout, struct read *out)
{
	const int64_t until = world.now + timeout;

	*out = (struct read) { .what = READ_NOTHING };
	step_until(world.now + (int64_t) draw(20));
	for (;;) {
		int64_t next = until;

		if (tell_broken(r, out, &next) || (timeout == 0 && chance(100)) || pop(r, out) ||
		    world.now >= until)
			return;
		step_until(next);
	}
}

/* ---- the bus ---- */

struct bus *bus_of(int owner)
{
	return &bus[owner];
}

err_t bus_publish(struct bus *b, const char *subject, const struct headers *h, struct str body)
{
	(void) h;
	step_until(soon());
	if (is_away(b))
		return ERR(unavailable);
	if (strncmp(subject, "_INBOX.", 7) == 0 && !chance(world.unreliable))
		clients_told(str_of(subject), body);
	return OK;
}

struct bus_msg *bus_msg_for(const struct message *m)
{
	const struct bus_msg as = { m, 0 };

	return keep(&as, sizeof as);
}

struct str bus_subject(const struct bus_msg *m)
{
	return str_of(m->is->subject);
}

struct str bus_body(const struct bus_msg *m)
{
	return m->is->body;
}

const char *bus_header(const struct bus_msg *m, const char *name)
{
	for (size_t i = 0; i < m->is->headers.n; i++)
		if (strcmp(m->is->headers.v[i].name, name) == 0)
			return m->is->headers.v[i].value;
	return NULL;
}

void bus_free(struct bus_msg *m)
{
	for (size_t i = 0; i < HELD; i++)
		if (held[m->owner][i] == m) {
			held[m->owner][i] = NULL;
			free(m);
			return;
		}
	broken("a message is freed twice");
}

void bus_release(int owner)
{
	for (size_t i = 0; i < HELD; i++) {
		free(held[owner][i]);
		held[owner][i] = NULL;
	}
}

/* What the outbox would need of the bus; nobody relays it here. */
bool bus_is_up(const struct bus *b)
{
	return !is_away(b);
}

err_t stream_make(struct ctx *c, struct bus *b, enum stream s)
{
	(void) s;
	return stream_ensure(c, b);
}

enum stream stream_of(const char *subject)
{
	(void) subject;
	return STREAM_COUNT;
}

err_t stream_publish(struct ctx *c, struct bus *b, const char *subject, const char *id,
		     const struct headers *h, struct str body)
{
	(void) b, (void) subject, (void) id, (void) h, (void) body;
	return refuse(c, ERR_unavailable, "nothing is relayed here");
}
