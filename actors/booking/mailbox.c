/*
 * mailbox.c - see mailbox.h.  Must not know what a command means: that is decide.c.
 *
 * Whatever fails, the way back is the same: a partition that cannot go on is stopped and started
 * again at its cursor; a session that is lost is opened anew and everything with it.
 */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/booking/batch.h"
#include "actors/booking/mailbox.h"
#include "actors/booking/owner.h"
#include "actors/core/outbox.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/log.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"
#include "broker/stream.h"

enum {
	ARENA        = 64 << 20,	/* touched only as far as batches need it */
	BALANCE_MS   = 450,		/* the session dies after two idle seconds */
	RETRY_MS     = 200,
	REST_MS      = 50,		/* between tries of a batch */
	PROGRESS_MS  = 100,
	QUIET_MS     = 20,		/* then the last of it is told */
	CALL_MS      = 2000,		/* for the stream's administration */
	START_MS     = 600,		/* for the start of one partition: the others wait meanwhile */
	EXPECT_MS    = 2000,		/* for the remembered message to come, or the next one */
	LOOK_MS      = 300,		/* for the stream to say whether there is a next one */
	PURGE_S      = 3600,
	LOOK_S       = 10,		/* between two looks at how full the stream is */
	PURGE_MS     = 1000,		/* for a purge: the session must not idle away meanwhile */
	ANSWERS_MAX  = 512 << 10,	/* bytes of outcomes in a message; the server takes a megabyte */
};

/* One partition, as its owner sees it. */
struct part {
	enum {
		PART_STOPPED,		/* to be started when its time has come */
		PART_EXPECTS,		/* the first message must be the remembered one */
		PART_READS,
	} state;
	int64_t start_at;		/* of clock_mono() */
	int64_t heard_at, missed;	/* when a message came last, and the sequence that did not come since */
	int64_t told, told_at;		/* the progress that was last published, and when */
	int64_t purged_at;
	int64_t waiting;		/* behind the last message read */
};

struct mailbox {
	struct bus      *bus;
	const char      *url;
	struct reader   *reader;
	struct relay    *relay;
	pthread_t        thread;
	_Atomic bool     stop, up;
	_Atomic bool     takes;		/* the database: not while every try is refused */
	_Atomic int64_t  alive_at;

	/* of the thread alone */
	struct owner     owner;
	int64_t          balance_at;
	struct part      part[PARTITIONS];
	struct place     place[PARTITIONS];
	int64_t          looked_at;	/* when at the room that the stream has left */
	bool             untold;	/* there is progress that was not published */
	struct mail      mail[BATCH_MAX];
	size_t           nmail;
	struct arena     arena;
	void            *storage;
	struct ctx       ctx;
};

static struct ctx *fresh_ctx(struct mailbox *m)
{
	m->ctx = (struct ctx) { .mem = &m->arena, .db = m->owner.db,
		.secret = config_text(CONFIG_REQUEST_KEY), .now = clock_wall() };
	return &m->ctx;
}

static struct ctx *bounded_ctx(struct mailbox *m, int64_t ms)
{
	struct ctx *c = fresh_ctx(m);

	c->deadline = clock_mono() + ms * MS;
	return c;
}

static void warn(const char *event, const char *why)
{
	char text[300];

	log_line(LOG_WARNING, event, NULL, "\"why\":\"%s\"", log_text(why, text, sizeof text));
}

static void stop_part(struct mailbox *m, int p, int64_t again_in_ms)
{
	if (m->part[p].state != PART_STOPPED)
		reader_stop(m->reader, p);
	m->part[p].state = PART_STOPPED;
	m->part[p].start_at = clock_mono() + again_in_ms * MS;
}

static void read_anew(struct mailbox *m, int p, const char *why)
{
	metric_add(METRIC_booking_rereads, why, 1);
	log_line(LOG_WARNING, "partition_read_anew", NULL, "\"partition\":%d,\"why\":\"%s\"", p, why);
	stop_part(m, p, 0);
}

/* The stream is not the remembered one: all of it is read; request ids make that harmless.  The cursor
 * says so, or each start would raise the alarm again until there is a new command. */
static void alarm_of(struct mailbox *m, int p, const char *why)
{
	struct ctx *c = bounded_ctx(m, START_MS);
	const struct place *place = &m->place[p];
	struct booking_anew row = { .set = { 0 } };

	metric_add(METRIC_booking_stream_alarms, NULL, 1);
	log_line(LOG_ERROR, "stream_alarm", NULL, "\"partition\":%d,\"why\":\"%s\",\"last_seq\":%" PRId64,
		 p, why, place->last_seq);
	SET(&row, partition, p);
	SET(&row, stream_created, place->stream_now);
	SET(&row, former_created, place->stream_created);
	SET(&row, former_seq, place->last_seq);
	SET(&row, former_request, ((struct str) { (const char *) place->last_request.b,
						  sizeof place->last_request.b }));
	if (db_exec(c, Q_booking_cursor_anew, &row).code)
		warn("cursor_not_set", c->detail);	/* then the alarm comes again */
	stop_part(m, p, 0);
}

static err_t load_place(struct ctx *c, int p, const struct stream_info *info, struct place *place)
{
	static const unsigned char nil[16];
	struct booking_id id = { .set = { 0 } };
	struct booking_cursor row = { .set = { 0 } };

	SET(&row, partition, p);
	SET(&row, stream_created, info->created);
	SET(&row, last_seq, 0);
	SET(&row, last_time, 0);
	SET(&row, last_request, ((struct str) { (const char *) nil, sizeof nil }));
	TRY(db_exec(c, Q_booking_cursor_new, &row));
	SET(&id, id, p);
	TRY(db_one(c, Q_booking_cursor_get, &id, &row));
	*place = (struct place) { .stream_created = row.stream_created, .last_seq = row.last_seq,
		.last_time = row.last_time, .stream_now = info->created };
	memcpy(&place->last_request, row.last_request.p, sizeof place->last_request);
	return OK;
}

static err_t find_stream(struct ctx *c, struct mailbox *m, struct stream_info *info)
{
	const err_t e = stream_info(c, m->bus, STREAM_BOOKING, info);

	if (e.code != ERR_not_found)
		return e;
	TRY(stream_ensure(c, m->bus));
	return stream_info(c, m->bus, STREAM_BOOKING, info);
}

/* Why the stream cannot be the remembered one; NULL: it can.  One that has nothing where the remembered
 * message was, nor after it, delivers nothing to compare; what came before would wait for the next. */
static err_t find_alarm(struct ctx *c, struct mailbox *m, const struct place *place, const char *filter,
			const char **why)
{
	struct stream_info now;		/* later than the cursor was read */
	struct stream_msg first;
	err_t e;

	TRY(stream_info(c, m->bus, STREAM_BOOKING, &now));
	if (place->stream_created != now.created) {
		*why = "recreated";
		return OK;
	}
	e = stream_get(c, m->bus, STREAM_BOOKING, place->last_seq, filter, &first);
	if (e.code == ERR_not_found) {
		*why = "truncated";
		return OK;
	}
	TRY(e);
	bus_free(first.msg);
	return OK;
}

static err_t start_part(struct mailbox *m, int p)
{
	struct ctx *c = bounded_ctx(m, START_MS);
	struct part *part = &m->part[p];
	struct place *place = &m->place[p];
	struct stream_info info, again;
	const char *alarm = NULL;
	char filter[PARTITION_SUBJECT];
	err_t e;

	partition_filter(p, filter);
	TRY(find_stream(c, m, &info));
	TRY(load_place(c, p, &info, place));

	const bool expects = place->last_seq > 0;

	if (expects && RULE(cursor_identity))
		TRY(find_alarm(c, m, place, filter, &alarm));
	if (alarm != NULL) {
		alarm_of(m, p, alarm);
		return OK;	/* stopped, and due at once */
	}
	TRY(reader_start(c, m->reader, p, filter, expects ? place->last_seq : 1));
	e = stream_info(c, m->bus, STREAM_BOOKING, &again);
	if (e.code || again.created != info.created) {
		reader_stop(m->reader, p);
		return e.code ? e : refuse(c, ERR_unavailable, "the stream was made anew meanwhile");
	}
	part->state = expects ? PART_EXPECTS : PART_READS;
	part->heard_at = clock_mono();
	part->missed = 0;
	m->untold = true;
	return OK;
}

static bool is_remembered(struct mailbox *m, int p, const struct read *r)
{
	const struct place *place = &m->place[p];
	struct mail mail = { .partition = p, .seq = r->seq, .time = r->time, .msg = r->msg };
	const size_t mark = m->arena.used;
	const err_t e = mail_read(&m->ctx, &mail);

	arena_back(&m->arena, mark);
	return !RULE(cursor_identity) ||
	       (e.code == ERR_none && r->seq == place->last_seq && r->time == place->last_time &&
		digest_eq(mail.command.id, place->last_request));
}

static void take_message(struct mailbox *m, const struct read *r)
{
	struct part *part = &m->part[r->part];

	part->heard_at = clock_mono();
	if (part->state == PART_READS) {
		part->waiting = r->waiting;
		m->mail[m->nmail++] = (struct mail) { .partition = r->part, .seq = r->seq,
			.time = r->time, .msg = r->msg };
		return;
	}
	if (part->state == PART_EXPECTS) {
		if (is_remembered(m, r->part, r))
			part->state = PART_READS;
		else
			alarm_of(m, r->part, "another message");
	}
	bus_free(r->msg);
}

/* Waits for one message, then takes what is there: alone when idle, large under load. */
static void collect(struct mailbox *m)
{
	int64_t wait = m->balance_at - clock_mono();

	if (m->untold && wait > QUIET_MS * MS)
		wait = QUIET_MS * MS;
	for (int p = 0; p < PARTITIONS; p++)
		if (m->owner.owned[p] && m->part[p].state == PART_STOPPED &&
		    wait > m->part[p].start_at - clock_mono())
			wait = m->part[p].start_at - clock_mono();
	if (wait < 0)
		wait = 0;
	while (m->nmail < BATCH_MAX) {
		struct read r;

		reader_next(m->reader, m->nmail == 0 ? wait : 0, &r);
		if (r.what == READ_NOTHING)
			break;
		if (r.what == READ_MESSAGE)
			take_message(m, &r);
		else if (m->part[r.part].state != PART_STOPPED)
			read_anew(m, r.part, r.why);
		if (m->nmail == 0)
			wait = 0;
	}
}

static int by_seq(const void *a, const void *b)
{
	const struct mail *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static void publish_answers(struct mailbox *m, const char *inbox, struct booking_answers *out)
{
	struct str body;

	if (out->items.n > 0 &&
	    msg_to_pack(&m->ctx, &booking_answers_msg, out, &body).code == ERR_none)
		(void) !bus_publish(m->bus, inbox, NULL, body).code;
	out->items.n = 0;
}

static bool waits(const struct mail *mail, const char *inbox, size_t n)
{
	return mail->inbox != NULL && mail->outcome.n > 0 && mail->inbox_n == n &&
	       strncmp(mail->inbox, inbox, n) == 0;
}

/* One message a gateway: its answers of this batch; more only when it would be too long. */
static void answer(struct mailbox *m, struct mail *mail, size_t n)
{
	struct booking_answers out = { .has.items = 1 };
	char inbox[128];

	out.items.items = arena_alloc(m->ctx.mem, n * sizeof *out.items.items);
	for (size_t i = 0; i < n && out.items.items != NULL; i++) {
		const struct mail *first = &mail[i];
		size_t bytes = 0;

		if (first->inbox == NULL || first->outcome.n == 0 || first->inbox_n >= sizeof inbox)
			continue;
		memcpy(inbox, first->inbox, first->inbox_n);
		inbox[first->inbox_n] = '\0';
		for (size_t k = i; k < n; k++) {
			struct booking_answer *a = &out.items.items[out.items.n];

			if (!waits(&mail[k], inbox, first->inbox_n))
				continue;
			bytes += mail[k].outcome.n;
			if (bytes > ANSWERS_MAX) {
				publish_answers(m, inbox, &out);
				a = out.items.items;
				bytes = mail[k].outcome.n;
			}
			*a = (struct booking_answer) { .set = { 0 } };
			SET(a, token, mail[k].token);
			SET(a, outcome, mail[k].outcome);
			out.items.n++;
			if (k > i)
				mail[k].inbox = NULL;	/* told */
		}
		publish_answers(m, inbox, &out);
	}
}

static void tell_progress(struct mailbox *m, int p, int64_t now)
{
	struct part *part = &m->part[p];
	struct booking_progress progress = { .set = { 0 } };
	char subject[64];
	struct str body;

	part->told_at = now;
	part->told = m->place[p].last_seq;
	SET(&progress, partition, p);
	SET(&progress, last_seq, part->told);
	SET(&progress, waiting, part->waiting);
	(void) snprintf(subject, sizeof subject, "healthmed.v1.progress.%d", p);
	if (msg_to_pack(&m->ctx, &booking_progress_msg, &progress, &body).code == ERR_none)
		(void) !bus_publish(m->bus, subject, NULL, body).code;
}

/* Of each partition now and then, while there is work; the last of it once that rests, so that a
 * gateway knows what has been decided. */
static void tell(struct mailbox *m, bool rests)
{
	const int64_t now = clock_mono();

	m->untold = false;
	for (int p = 0; p < PARTITIONS; p++) {
		const struct part *part = &m->part[p];

		if (part->state != PART_READS || part->told == m->place[p].last_seq)
			continue;
		if (rests || now - part->told_at >= PROGRESS_MS * MS)
			tell_progress(m, p, now);
		else
			m->untold = true;
	}
}

static void drop_session(struct mailbox *m)
{
	for (int p = 0; p < PARTITIONS; p++)
		stop_part(m, p, 0);
	owner_close(&m->owner);
	m->up = false;
}

static void restart_parts_of(struct mailbox *m, const struct mail *mail, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (m->part[mail[i].partition].state != PART_STOPPED)
			read_anew(m, mail[i].partition, "cursor moved");
}

/* Every try begins with an empty arena: what does not fit into that alone fits nowhere. */
static err_t try_batch(struct mailbox *m, struct mail *mail, size_t n, bool *moved)
{
	struct ctx *c;

	arena_reset(&m->arena);
	c = fresh_ctx(m);
	for (size_t i = 0; i < n; i++)
		TRY(mail_read(c, &mail[i]));
	return batch_run(c, mail, n, m->place, moved);
}

/* What has become of mails. */
enum settled {
	SETTLED,		/* decided and answered */
	MOVED,			/* a cursor is not where it was believed: from there on nothing was done */
	LOST,			/* so is the session: what became of the rest is not known */
};

/* Has mails decided and answered, in order.  Poison is bisected until it stands alone, and then is
 * a dead letter. */
static enum settled settle(struct mailbox *m, struct mail *mail, size_t n)
{
	for (;;) {
		const int64_t begun = clock_mono();
		bool moved = false;
		const err_t e = try_batch(m, mail, n, &moved);
		struct ctx *c = &m->ctx;

		m->alive_at = clock_mono();
		m->takes = e.code == ERR_none;
		if (e.code == ERR_none && moved)
			return MOVED;
		if (e.code == ERR_none) {
			metric_time(METRIC_booking_batch_seconds, clock_mono() - begun);
			CRASH(before_outcome);
			answer(m, mail, n);
			tell(m, false);
			relay_wake(m->relay);
			return SETTLED;
		}

		const bool poison = e.code == ERR_too_large || db_is_poison(c->db);

		log_line(poison ? LOG_ERROR : LOG_WARNING, "batch_failed", NULL,
			 "\"commands\":%zu,\"sqlstate\":\"%s\",\"poison\":%s", n,
			 db_sqlstate(c->db), poison ? "true" : "false");
		if (!db_is_up(c->db))
			return LOST;
		db_rollback(c);
		if (!db_is_up(c->db) || m->stop)
			return LOST;
		if (poison && n > 1 && RULE(bisect)) {
			const enum settled first = settle(m, mail, n / 2);

			return first == SETTLED ? settle(m, mail + n / 2, n - n / 2) : first;
		}
		if (poison) {
			for (size_t i = 0; i < n; i++)
				mail[i].refused++;
			if (mail[0].refused == 1)
				continue;
		}
		metric_add(METRIC_booking_retries, NULL, 1);
		clock_rest(REST_MS * MS);
	}
}

/* A commit of which no answer came: what it left is told, the rest comes again from the stream. */
static void recall(struct mailbox *m)
{
	for (size_t i = 0; i < m->nmail; i++)
		if (mail_read(&m->ctx, &m->mail[i]).code)
			return;
	if (batch_recall(&m->ctx, m->mail, m->nmail).code == ERR_none)
		answer(m, m->mail, m->nmail);
}

static void free_mails(struct mailbox *m)
{
	for (size_t i = 0; i < m->nmail; i++)
		bus_free(m->mail[i].msg);
	m->nmail = 0;
}

static void run_batch(struct mailbox *m)
{
	qsort(m->mail, m->nmail, sizeof m->mail[0], by_seq);
	switch (settle(m, m->mail, m->nmail)) {
	case LOST:
		drop_session(m);	/* the mails stay, to be recalled */
		return;
	case MOVED:			/* nothing later of any partition may pass what was not done */
		restart_parts_of(m, m->mail, m->nmail);
		break;
	case SETTLED:
		break;
	}
	free_mails(m);
}

static void connect_session(struct mailbox *m)
{
	char why[256] = "";

	if (owner_open(fresh_ctx(m), &m->owner, m->url, why).code) {
		warn("database_away", why);
		for (int i = 0; i < 10 && !m->stop; i++)
			clock_rest(RETRY_MS * MS / 10);
		return;
	}
	m->up = m->takes = true;
	m->balance_at = 0;
	fresh_ctx(m);
	if (m->nmail > 0) {
		recall(m);
		free_mails(m);
	}
}

static bool balance(struct mailbox *m)
{
	struct owner *o = &m->owner;

	if (clock_mono() < m->balance_at)
		return true;
	m->balance_at = clock_mono() + BALANCE_MS * MS;
	if (owner_balance(bounded_ctx(m, CALL_MS), o).code) {
		warn("session_lost", "the ping failed");
		drop_session(m);
		return false;
	}
	for (int p = 0; p < PARTITIONS; p++)
		if (!o->owned[p] && m->part[p].state != PART_STOPPED)
			stop_part(m, p, 0);
	return true;
}

/* The next message of a partition, as the stream has it; 0: it has none, or does not say. */
static int64_t next_of(struct mailbox *m, int p)
{
	char filter[PARTITION_SUBJECT];
	struct stream_msg msg;

	partition_filter(p, filter);
	if (stream_get(bounded_ctx(m, LOOK_MS), m->bus, STREAM_BOOKING, m->place[p].last_seq + 1, filter, &msg).code)
		return 0;
	bus_free(msg.msg);
	return msg.seq;
}

/* A server whose files are damaged may send nothing, and not know it; the reader's next place is with any of
 * those that have the stream.  Of the partitions that are silent one a round is looked after. */
static void miss_messages(struct mailbox *m)
{
	const int64_t now = clock_mono();

	for (int p = 0; p < PARTITIONS; p++) {
		struct part *part = &m->part[p];

		if (part->state == PART_STOPPED || now - part->heard_at < EXPECT_MS * MS)
			continue;
		part->heard_at = now;
		if (part->state == PART_READS) {
			const int64_t missed = part->missed;

			part->missed = next_of(m, p);
			if (part->missed == 0 || part->missed != missed)
				return;		/* none, or it may be on its way */
		}
		read_anew(m, p, "nothing comes");
		return;
	}
}

/* One at a time is tried again: each may take a while, in which the session must be kept and those
 * that read be served. */
static void wait_to_start(struct mailbox *m, struct part *part)
{
	warn("partition_not_started", m->ctx.detail);
	part->start_at = clock_mono() + RETRY_MS * MS;
	if (!db_is_up(m->owner.db))
		drop_session(m);
}

static void start_parts(struct mailbox *m)
{
	for (int p = 0; p < PARTITIONS && clock_mono() < m->balance_at; p++) {
		struct part *part = &m->part[p];

		/* Twice at most: an alarm starts it again, from the beginning. */
		for (int i = 0; i < 2 && m->owner.owned[p] && part->state == PART_STOPPED &&
		     part->start_at <= clock_mono(); i++)
			if (start_part(m, p).code) {
				wait_to_start(m, part);
				return;
			}
	}
}

/* The first sequence whose message is not older than `time`, by bisection; at most `to`. */
static err_t seq_since(struct ctx *c, struct bus *bus, const char *filter, int64_t from, int64_t to,
		       int64_t time, int64_t *seq)
{
	while (from < to) {
		const int64_t mid = from + (to - from) / 2;
		struct stream_msg msg;

		TRY(stream_get(c, bus, STREAM_BOOKING, mid, filter, &msg));
		bus_free(msg.msg);
		if (msg.time < time)
			from = msg.seq + 1 < to ? msg.seq + 1 : to;
		else
			to = mid;
	}
	*seq = to;
	return OK;
}

static bool is_nearly_full(const struct stream_info *info)
{
	return info->bytes > config_int(CONFIG_BOOKING_MAX_BYTES) / 4 * 3;
}

/* What was decided long ago goes, or, where room is short, the older half of it; never the cursor's own
 * message. */
static err_t purge_part(struct ctx *c, struct mailbox *m, int p)
{
	const int64_t before = clock_wall() - config_int(CONFIG_BOOKING_KEEP_S) * SECOND;
	struct stream_info info;
	char filter[PARTITION_SUBJECT];
	int64_t seq;
	bool stands;

	TRY(batch_stands(c, p, &m->place[p], &stands));
	if (!stands)
		return refuse(c, ERR_unavailable, "the cursor has moved");
	partition_filter(p, filter);
	TRY(stream_info(c, m->bus, STREAM_BOOKING, &info));
	if (info.created != m->place[p].stream_created)
		return refuse(c, ERR_unavailable, "the stream is another");
	if (is_nearly_full(&info))
		seq = info.first_seq + (m->place[p].last_seq - info.first_seq + 1) / 2;
	else
		TRY(seq_since(c, m->bus, filter, info.first_seq, m->place[p].last_seq, before, &seq));
	return stream_purge(c, m->bus, STREAM_BOOKING, filter, seq);
}

/* A stream that is nearly full is purged at once: what is decided gives way to what comes. */
static void look_at_room(struct mailbox *m, int64_t now)
{
	struct stream_info info;

	if (m->looked_at != 0 && now - m->looked_at < LOOK_S * SECOND)
		return;
	m->looked_at = now;
	if (stream_info(bounded_ctx(m, PURGE_MS), m->bus, STREAM_BOOKING, &info).code || !is_nearly_full(&info))
		return;
	for (int p = 0; p < PARTITIONS; p++)
		m->part[p].purged_at = 0;
}

/* Once an hour, one partition a round: commands come first. */
static void purge(struct mailbox *m)
{
	const int64_t now = clock_mono();

	look_at_room(m, now);
	for (int p = 0; p < PARTITIONS; p++) {
		struct part *part = &m->part[p];

		if (part->state != PART_READS || m->place[p].last_seq == 0 ||
		    (part->purged_at != 0 && now - part->purged_at < PURGE_S * SECOND))
			continue;
		part->purged_at = now;

		struct ctx *c = bounded_ctx(m, PURGE_MS);

		if (purge_part(c, m, p).code) {
			warn("purge_failed", c->detail);
			db_rollback(c);
		}
		return;
	}
}

void mailbox_run(struct mailbox *m)
{
	while (!m->stop) {
		m->alive_at = clock_mono();
		arena_reset(&m->arena);
		if (m->owner.db == NULL) {
			connect_session(m);
			continue;
		}
		if (!balance(m))
			continue;
		miss_messages(m);
		start_parts(m);
		if (m->owner.db == NULL)
			continue;
		collect(m);
		if (m->nmail > 0)
			run_batch(m);
		else if (m->untold)
			tell(m, true);
		purge(m);	/* also under a load that never ends */
	}
	free_mails(m);
	drop_session(m);
}

void mailbox_end(struct mailbox *m)
{
	m->stop = true;
}

err_t mailbox_open(struct bus *bus, const char *url, struct mailbox **out)
{
	struct mailbox *m = calloc(1, sizeof *m);

	assert(m != NULL && (m->storage = malloc(ARENA)) != NULL);
	arena_init(&m->arena, m->storage, ARENA);
	m->bus = bus;
	m->url = url;
	m->alive_at = clock_mono();
	TRY(reader_open(bus, STREAM_BOOKING, &m->reader));
	*out = m;
	return OK;
}

void mailbox_close(struct mailbox *m)
{
	reader_close(m->reader);
	free(m->storage);
	free(m);
}

/* ---- a thread and a relay of its own ---- */

static void *run(void *of)
{
	mailbox_run(of);
	return NULL;
}

err_t mailbox_start(struct bus *bus, const char *url, struct mailbox **out)
{
	TRY(mailbox_open(bus, url, out));
	TRY(relay_start(bus, url, "booking", &(*out)->relay));
	return pthread_create(&(*out)->thread, NULL, run, *out) == 0 ? OK : ERR(internal);
}

bool mailbox_is_well(void *mailbox, char *detail, size_t size)
{
	const struct mailbox *m = mailbox;
	const bool alive = clock_mono() - m->alive_at < 5 * SECOND;

	(void) snprintf(detail, size, "%s", !alive ? "the loop hangs" : !m->up ? "the database is away" :
			m->takes ? "" : "the database takes nothing");
	return alive && m->up && m->takes;
}

void mailbox_stop(struct mailbox *m)
{
	mailbox_end(m);
	(void) pthread_join(m->thread, NULL);
	relay_stop(m->relay);
	mailbox_close(m);
}
