/*
 * batch.c - see batch.h.  Must not know how a message came or where its outcome goes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/booking/batch.h"
#include "actors/core/outbox.h"
#include "broker/base/clock.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"
#include "broker/partition.h"
#include "broker/wire.h"

/* What commands that were done are called afterwards. */
static const struct { enum call_id call; const char *name; } fact_row[] = {
	{ CALL_booking_open,   "opened" },
	{ CALL_booking_book,   "booked" },
	{ CALL_booking_cancel, "cancelled" },
};

#define PUSH(list, ...) ((list).items[(list).n++] = __VA_ARGS__)
#define ROOM(c, list, count) \
	(((list).items = arena_alloc((c)->mem, (count) * sizeof *(list).items)) != NULL)

static struct str bytes_of(const struct digest *d)
{
	return (struct str) { (const char *) d->b, sizeof d->b };
}

static void add_key(struct booking_keys *keys, const struct mail *m)
{
	const struct command *k = &m->command;

	if (k->request_id.n > 0)
		PUSH(keys->requests, (struct booking_key) { .id = bytes_of(&k->id), .has.id = 1 });
	if (m->dead)
		return;
	if (k->role == ROLE_PATIENT)
		PUSH(keys->patients, (struct booking_id) { .id = k->user, .has.id = 1 });
	if (k->call == CALL_booking_book) {
		const struct booking_book_req *q = k->req;
		struct booking_visit v = { .set = { 0 } };

		SET(&v, patient_id, k->user);
		SET(&v, slot_id, q->schedule_id);
		PUSH(keys->visits, v);
		keys->appointment_ids++;
	} else if (k->call == CALL_booking_open) {
		const struct booking_open_req *q = k->req;
		struct booking_span s = { .set = { 0 } };

		SET(&s, doctor_id, k->doctor_id);
		SET(&s, starts, q->date_time_available);
		SET(&s, ends, q->date_time_available + (q->has.duration_minutes ?
			q->duration_minutes : 60) * 60 * SECOND);
		PUSH(keys->spans, s);
		keys->slot_ids++;
	} else if (k->call == CALL_booking_cancel) {
		const struct booking_cancel_req *q = k->req;

		PUSH(keys->named, (struct booking_id) { .id = q->id, .has.id = 1 });
	}
}

/* What the batch is about: which rows to lock and to read. */
static err_t gather(struct ctx *c, const struct mail *mail, size_t n, struct booking_keys *keys)
{
	bool seen[PARTITIONS] = { false };

	*keys = (struct booking_keys) { .set = { 0 } };
	memset(&keys->has, 0xff, sizeof keys->has);
	if (!ROOM(c, keys->partitions, PARTITIONS) || !ROOM(c, keys->patients, n) ||
	    !ROOM(c, keys->named, n) || !ROOM(c, keys->visits, n) || !ROOM(c, keys->spans, n) ||
	    !ROOM(c, keys->requests, n))
		return ERR(too_large);
	for (size_t i = 0; i < n; i++) {
		if (!seen[mail[i].partition])
			PUSH(keys->partitions, (struct booking_id) { .id = mail[i].partition,
				.has.id = 1 });
		seen[mail[i].partition] = true;
		add_key(keys, &mail[i]);
	}
	return OK;
}

static bool is_believed(const struct booking_cursor *row, const struct place *p)
{
	return row->stream_created == p->stream_created && row->last_seq == p->last_seq &&
	       str_eq(row->last_request, bytes_of(&p->last_request));
}

static err_t take_requests(struct ctx *c, struct agenda *g, size_t room)
{
	struct booking_request *row;
	size_t n;

	TRY(db_take(c, Q_booking_read_requests, &row, &n));
	g->requests = arena_alloc(c->mem, (n + room) * sizeof *g->requests);
	if (g->requests == NULL)
		return ERR(too_large);
	for (size_t i = 0; i < n; i++) {
		struct request *r = &g->requests[g->nrequests++];

		*r = (struct request) { .doctor_id = row[i].doctor_id, .user_id = row[i].user_id,
			.outcome = row[i].outcome };
		memcpy(&r->id, row[i].id.p, sizeof r->id);
		memcpy(&r->body_hash, row[i].body_hash.p, sizeof r->body_hash);
	}
	return OK;
}

#define TAKE_ROWS(c, query, list, count, room)                                        \
	do {                                                                          \
		__typeof__((list)->row) *rows_;                                       \
		TRY(db_take((c), (query), &rows_, &(count)));                         \
		(list) = arena_alloc((c)->mem, ((count) + (room)) * sizeof *(list));  \
		if ((list) == NULL)                                                   \
			return ERR(too_large);                                        \
		for (size_t i_ = 0; i_ < (count); i_++)                               \
			(list)[i_].row = rows_[i_];                                   \
	} while (0)

static err_t take_fresh(struct ctx *c, enum query q, enum call_id of, struct mail *mail, size_t n)
{
	struct booking_id *fresh;
	size_t nfresh, used = 0;

	TRY(db_take(c, q, &fresh, &nfresh));
	for (size_t i = 0; i < n; i++)
		if (!mail[i].dead && mail[i].command.call == of && used < nfresh)
			mail[i].command.fresh_id = fresh[used++].id;
	return OK;
}

/* One round trip: the locks, then, in later statements, what is true under them. */
static err_t read_agenda(struct ctx *c, struct mail *mail, size_t n,
			 const struct place *place, struct agenda *g, bool *moved)
{
	const enum query lock = RULE(lock_order) ? Q_booking_lock_patients :
						   Q_booking_lock_patients_as_they_come;
	struct booking_keys keys;
	struct booking_cursor *cursor;
	struct booking_moment *moment;
	size_t ncursors, nmoments;

	TRY(gather(c, mail, n, &keys));
	TRY(db_send(c, Q_core_begin_write, NULL));
	TRY(db_send(c, Q_booking_lock_cursors, &keys));
	if (RULE(patient_locks))
		TRY(db_send(c, lock, &keys));
	TRY(db_send(c, Q_booking_moment, NULL));
	TRY(db_send(c, Q_booking_read_slots, &keys));
	TRY(db_send(c, Q_booking_read_appointments, &keys));
	TRY(db_send(c, Q_booking_read_requests, &keys));
	TRY(db_send(c, Q_booking_fresh_appointments, &keys));
	if (keys.slot_ids > 0)
		TRY(db_send(c, Q_booking_fresh_slots, &keys));
	TRY(db_flush(c));

	TRY(db_take(c, Q_core_begin_write, NULL, NULL));
	TRY(db_take(c, Q_booking_lock_cursors, &cursor, &ncursors));
	if (RULE(patient_locks))
		TRY(db_take(c, lock, NULL, NULL));
	TRY(db_take(c, Q_booking_moment, &moment, &nmoments));
	TAKE_ROWS(c, Q_booking_read_slots, g->slots, g->nslots, n);
	TAKE_ROWS(c, Q_booking_read_appointments, g->appointments, g->nappointments, n);
	TRY(take_requests(c, g, n));
	TRY(take_fresh(c, Q_booking_fresh_appointments, CALL_booking_book, mail, n));
	if (keys.slot_ids > 0)
		TRY(take_fresh(c, Q_booking_fresh_slots, CALL_booking_open, mail, n));
	TRY(db_end(c));

	g->now = moment->now;
	g->batch_id = moment->batch_id;
	*moved = ncursors != keys.partitions.n;
	for (size_t i = 0; i < ncursors && RULE(cursor_fence); i++)
		*moved |= !is_believed(&cursor[i], &place[cursor[i].partition]);
	return OK;
}

/* A dead mail with a request id is decided too: it failed, and its copies will hear the same. */
static void decide_dead(struct agenda *g, const struct mail *m, struct decision *d)
{
	struct booking_outcome *o = &d->outcome;
	const struct command *k = &m->command;

	*d = (struct decision) { .repeats = NULL };
	for (size_t i = 0; i < g->nrequests && d->repeats == NULL; i++)
		if (memcmp(&g->requests[i].id, &k->id, sizeof k->id) == 0)
			d->repeats = &g->requests[i];
	SET(o, request_id, k->request_id);
	SET(o, status, REQUEST_FAILED);
	SET(o, code, str_of(err_info[ERR_failed].code));
	SET(o, decided_at, g->now);
	if (d->repeats == NULL)
		g->requests[g->nrequests++] = (struct request) { .id = k->id,
			.doctor_id = k->doctor_id, .user_id = k->user, .decision = d };
}

static err_t add_dead(struct ctx *c, const struct mail *m, const struct place *place,
		      struct booking_writes *w, struct outbox *letters)
{
	struct booking_dead row = { .set = { 0 } };
	struct letter letter = { .set = { 0 } };
	struct buf subject = { .mem = c->mem }, origin = { .mem = c->mem };
	const char *call_name = bus_header(m->msg, WIRE_CALL);
	const char *request = bus_header(m->msg, WIRE_REQUEST);

	SET(&row, stream_created, place[m->partition].stream_now);
	SET(&row, stream_seq, m->seq);
	SET(&row, partition, m->partition);
	SET(&row, code, str_of(m->why));
	PUSH(w->dead, row);

	buf_fmt(&subject, "healthmed.v1.dead_letters.booking.%d", m->partition);
	buf_fmt(&origin, "BOOKING %" PRId64 " %" PRId64, row.stream_created, m->seq);
	SET(&letter, subject, ((struct str) { subject.p, subject.n }));
	SET(&letter, origin, ((struct str) { origin.p, origin.n }));
	SET(&letter, body, bus_body(m->msg));
	SET(&letter, reason, row.code);
	if (call_name != NULL)
		SET(&letter, call, str_of(call_name));
	if (request != NULL)
		SET(&letter, request, str_of(request));
	metric_add(METRIC_booking_dead_letters, NULL, 1);
	return outbox_add(c, letters, &letter);
}

static struct fact fact_of(const struct agenda *g, const struct command *k, const struct decision *d)
{
	const struct booking_outcome *o = &d->outcome;
	struct fact f = { .set = { 0 } };

	SET(&f, id, o->has.appointment ? o->appointment.id : o->slot.id);
	SET(&f, doctor_id, k->doctor_id);
	SET(&f, slot_id, d->slot_id);
	SET(&f, at, g->now);
	if (o->has.appointment)
		SET(&f, patient_id, o->appointment.patient_id);
	return f;
}

/* One letter a kind of fact, so that a batch costs its readers what one command does. */
static err_t add_facts(struct ctx *c, const struct agenda *g, const struct mail *mail, size_t n,
		       const struct decision *d, struct outbox *letters)
{
	struct facts facts = { .has.items = 1 };

	if (!ROOM(c, facts.items, n))
		return ERR(too_large);
	for (size_t row = 0; row < COUNT(fact_row); row++) {
		facts.items.n = 0;
		for (size_t i = 0; i < n; i++)
			if (!mail[i].dead && mail[i].command.call == fact_row[row].call &&
			    d[i].repeats == NULL && !d[i].outcome.has.code)
				PUSH(facts.items, fact_of(g, &mail[i].command, &d[i]));
		TRY(outbox_add_facts(c, letters, "booking", fact_row[row].name, g->batch_id, &facts));
	}
	return OK;
}

static void add_request(const struct mail *m, const struct decision *d, struct booking_writes *w)
{
	const struct booking_outcome *o = &d->outcome;
	const struct command *k = &m->command;
	struct booking_request row = { .set = { 0 } };

	SET(&row, id, bytes_of(&k->id));
	SET(&row, doctor_id, k->doctor_id);
	SET(&row, user_id, k->user);
	SET(&row, body_hash, bytes_of(&k->body_hash));
	SET(&row, status, o->status);
	SET(&row, outcome, m->outcome);
	SET(&row, partition, m->partition);
	SET(&row, stream_seq, m->seq);
	SET(&row, stream_time, m->time);
	if (o->has.code)
		SET(&row, code, o->code);
	if (o->has.appointment)
		SET(&row, appointment_id, o->appointment.id);
	if (d->slot_id)
		SET(&row, slot_id, d->slot_id);
	if (d->blocked_by)
		SET(&row, blocked_by, d->blocked_by);
	PUSH(w->requests, row);
}

/* Has every mail decided, and writes down what that changes. */
static err_t decide_all(struct ctx *c, struct mail *mail, size_t n, struct agenda *g,
			const struct place *place, struct booking_writes *w, struct outbox *letters)
{
	struct decision *d = arena_alloc(c->mem, n * sizeof *d);

	if (d == NULL)
		return ERR(too_large);
	for (size_t i = 0; i < n; i++) {
		struct mail *m = &mail[i];

		if (m->dead)
			TRY(add_dead(c, m, place, w, letters));
		if (m->dead == DEAD_SILENT)
			continue;
		if (m->dead)
			decide_dead(g, m, &d[i]);
		else
			decide(g, &m->command, &d[i]);

		const struct request *before = d[i].repeats;

		if (before != NULL && !d[i].outcome.has.code) {
			m->outcome = before->decision ? mail[before->decision - d].outcome :
							before->outcome;
			continue;
		}
		TRY(msg_to_pack(c, &booking_outcome_msg, &d[i].outcome, &m->outcome));
		if (before != NULL)
			continue;	/* key_reused, or a dead copy: told, but no outcome of its own */
		add_request(m, &d[i], w);
	}
	return add_facts(c, g, mail, n, d, letters);
}

static err_t write_all(struct ctx *c, const struct booking_writes *w)
{
	const struct { enum query query; bool wanted; } step[] = {
		{ Q_booking_write_changed,  w->changed.n > 0 },	/* first: it frees what is granted */
		{ Q_booking_write_granted,  w->granted.n > 0 },
		{ Q_booking_write_opened,   w->opened.n > 0 },
		{ Q_booking_write_requests, w->requests.n > 0 },
		{ Q_booking_write_dead,     w->dead.n > 0 },
		{ Q_booking_write_letters,  w->letters.n > 0 },
		{ Q_booking_write_cursors,  true },
		{ Q_core_commit,            true },
	};

	for (size_t i = 0; i < COUNT(step); i++)
		if (step[i].wanted)
			TRY(db_send(c, step[i].query, w));
	TRY(db_flush(c));
	for (size_t i = 0; i < COUNT(step); i++)
		if (step[i].wanted)
			TRY(db_take(c, step[i].query, NULL, NULL));
	return db_end(c);
}

static err_t make_room(struct ctx *c, const struct agenda *g, size_t n, struct booking_writes *w)
{
	memset(&w->has, 0xff, sizeof w->has);
	return ROOM(c, w->changed, g->nappointments) && ROOM(c, w->granted, n) &&
	       ROOM(c, w->opened, n) && ROOM(c, w->requests, n) && ROOM(c, w->dead, n) &&
	       ROOM(c, w->cursors, PARTITIONS) ? OK : ERR(too_large);
}

/* The last mail of each partition is where that stands then. */
static void move_on(const struct mail *mail, size_t n, struct place *place, struct booking_writes *w)
{
	bool seen[PARTITIONS] = { false };

	for (size_t i = n; i-- > 0;) {
		const struct mail *m = &mail[i];
		struct place *p = &place[m->partition];
		struct booking_cursor row = { .set = { 0 } };

		if (seen[m->partition])
			continue;
		seen[m->partition] = true;
		p->stream_created = p->stream_now;
		p->last_seq = m->seq;
		p->last_time = m->time;
		p->last_request = m->command.id;
		SET(&row, partition, m->partition);
		SET(&row, stream_created, p->stream_created);
		SET(&row, last_seq, p->last_seq);
		SET(&row, last_time, p->last_time);
		SET(&row, last_request, bytes_of(&m->command.id));
		PUSH(w->cursors, row);
	}
}

static void count(const struct mail *mail, size_t n, const struct booking_writes *w)
{
	const int64_t now = clock_wall();

	for (size_t i = 0; i < w->requests.n; i++)
		metric_add(METRIC_booking_commands,
			   request_status_names[w->requests.items[i].status], 1);
	for (size_t i = 0; i < n; i++)
		metric_time(METRIC_booking_lag_seconds, now - mail[i].time);
	metric_add(METRIC_booking_batches, NULL, 1);
}

err_t batch_run(struct ctx *c, struct mail *mail, size_t n, struct place *place, bool *moved)
{
	struct place next[PARTITIONS];
	struct booking_writes w = { .set = { 0 } };
	struct outbox letters = { 0 };
	struct agenda g = { 0 };

	memcpy(next, place, sizeof next);
	TRY(read_agenda(c, mail, n, place, &g, moved));
	if (*moved) {
		db_rollback(c);
		return OK;
	}
	TRY(make_room(c, &g, n, &w));
	TRY(decide_all(c, mail, n, &g, place, &w, &letters));
	for (size_t i = 0; i < g.nappointments; i++) {
		if (g.appointments[i].mark == ADDED)
			PUSH(w.granted, g.appointments[i].row);
		else if (g.appointments[i].mark == CHANGED)
			PUSH(w.changed, g.appointments[i].row);
	}
	for (size_t i = 0; i < g.nslots; i++)
		if (g.slots[i].mark == ADDED)
			PUSH(w.opened, g.slots[i].row);
	move_on(mail, n, next, &w);
	w.batch_id = g.batch_id;
	w.now = g.now;
	TRY(outbox_pack(c, &letters, &w.letters));
	TRY(write_all(c, &w));
	memcpy(place, next, sizeof next);
	count(mail, n, &w);
	return OK;
}

err_t batch_recall(struct ctx *c, struct mail *mail, size_t n)
{
	struct booking_request *row;
	struct booking_keys keys;
	size_t nrows;

	TRY(gather(c, mail, n, &keys));
	TRY(db_list(c, Q_booking_read_requests, &keys, &row, &nrows));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < nrows; k++)
			if (str_eq(row[k].id, bytes_of(&mail[i].command.id)) &&
			    str_eq(row[k].body_hash, bytes_of(&mail[i].command.body_hash)))
				mail[i].outcome = row[k].outcome;
	return OK;
}
