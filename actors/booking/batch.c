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

/* What became true is called afterwards. */
static const char *const happened_name[HAPPENED_COUNT] = {
	[HAPPENED_BOOKED] = "booked", [HAPPENED_RESCHEDULED] = "rescheduled",
	[HAPPENED_CONFIRMED] = "confirmed", [HAPPENED_CANCELLED] = "cancelled",
	[HAPPENED_STARTED] = "started", [HAPPENED_CONCLUDED] = "concluded", [HAPPENED_NO_SHOW] = "no_show",
};
static const char *const marked_name[] = { [CHANGED] = "edited", [ADDED] = "opened", [DROPPED] = "dropped" };

enum { FACTS_A_LETTER = 2048 };

#define DAY (INT64_C(86400) * SECOND)
#define PUSH(list, ...) ((list).items[(list).n++] = __VA_ARGS__)
#define ROOM(c, list, count) \
	(((list).items = arena_alloc((c)->mem, (count) * sizeof *(list).items)) != NULL)

static struct str bytes_of(const struct digest *d)
{
	return (struct str) { (const char *) d->b, sizeof d->b };
}

/* ---- what commands name ---- */

static void name_id(struct booking_id *items, size_t *n, int64_t id)
{
	items[(*n)++] = (struct booking_id) { .id = id, .has.id = 1 };
}
#define NAME(list, id) name_id((list).items, &(list).n, (id))

/* A slot, and whoever holds it; and a patient's time, of those who want it. */
static void name_visit(struct booking_keys *keys, int64_t patient, int64_t slot)
{
	struct booking_visit v = { .set = { 0 } };

	SET(&v, patient_id, patient);
	SET(&v, slot_id, slot);
	PUSH(keys->visits, v);
}

static void name_span(struct booking_keys *keys, int64_t doctor, int64_t starts, int64_t ends)
{
	struct booking_span s = { .set = { 0 } };

	SET(&s, doctor_id, doctor);
	SET(&s, starts, starts);
	SET(&s, ends, ends);
	PUSH(keys->spans, s);
}

static void names_of_open(struct booking_keys *keys, const struct mail *m)
{
	const struct booking_open_req *q = m->command.req;
	const int64_t minutes = q->has.duration_minutes ? q->duration_minutes : 60;

	for (size_t i = 0; i < booking_needs(&m->command).slots; i++) {
		const int64_t at = q->date_time_available.items[i];

		name_span(keys, m->command.doctor_id, at, at + minutes * 60 * SECOND);
	}
}

static void names_of_recur(struct booking_keys *keys, const struct mail *m)
{
	const struct booking_recur_req *q = m->command.req;

	if (booking_needs(&m->command).slots > 0)	/* a zone is less than a day from UTC */
		name_span(keys, m->command.doctor_id, (q->starts_on - 1) * DAY, (q->ends_on + 2) * DAY);
}

static void names_of_edit(struct booking_keys *keys, const struct mail *m)
{
	const struct booking_edit_req *q = m->command.req;

	name_visit(keys, 0, q->id);
	if (q->has.date_time_available)
		name_span(keys, m->command.doctor_id, q->date_time_available, q->date_time_available + DAY);
	else
		NAME(keys->longer, q->id);
}

static void names_of_drop(struct booking_keys *keys, const struct mail *m)
{
	name_visit(keys, 0, ((const struct booking_drop_req *) m->command.req)->id);
}

/* What begins after it was asked for: all that begins after it is decided is among that.  The stream's
 * clock is less than a day from the database's. */
static void names_of_close(struct booking_keys *keys, const struct mail *m)
{
	name_span(keys, m->command.doctor_id, m->time - DAY, TIME_MAX);
}

static void names_of_book(struct booking_keys *keys, const struct mail *m)
{
	const struct booking_book_req *q = m->command.req;

	name_visit(keys, m->command.user, q->schedule_id);
}

/* Beside it, the mailbox that it leaves: see lock_too(). */
static void names_of_reschedule(struct booking_keys *keys, const struct mail *m)
{
	const struct booking_reschedule_req *q = m->command.req;

	name_visit(keys, m->command.user, q->schedule_id);
}

/* What to read for each command: what it names by a function, and the appointment in `id`. */
static const struct topic {
	void (*names)(struct booking_keys *, const struct mail *);
	size_t appointment;		/* where in the request it is; 0: in none */
} topic[CALL_COUNT] = {
#define ID(verb) .appointment = offsetof(struct booking_##verb##_req, id)
	[CALL_booking_open]       = { .names = names_of_open },
	[CALL_booking_recur]      = { .names = names_of_recur },
	[CALL_booking_edit]       = { .names = names_of_edit },
	[CALL_booking_drop]       = { .names = names_of_drop },
	[CALL_booking_close]      = { .names = names_of_close },
	[CALL_booking_book]       = { .names = names_of_book },
	[CALL_booking_reschedule] = { .names = names_of_reschedule, ID(reschedule) },
	[CALL_booking_confirm]    = { ID(confirm) },
	[CALL_booking_cancel]     = { ID(cancel) },
	[CALL_booking_start]      = { ID(start) },
	[CALL_booking_conclude]   = { ID(conclude) },
	[CALL_booking_no_show]    = { ID(no_show) },
	[CALL_booking_attest]     = { ID(attest) },
	[CALL_booking_expire]     = { ID(expire) },
	[CALL_booking_revoke]     = { ID(revoke) },
#undef ID
};

static void add_key(struct booking_keys *keys, const struct mail *m)
{
	const struct command *k = &m->command;

	if (k->request_id.n > 0)
		PUSH(keys->requests, (struct booking_key) { .id = bytes_of(&k->id), .has.id = 1 });
	if (m->dead)
		return;

	const struct topic *t = &topic[k->call];
	const struct needs needs = booking_needs(k);

	if (k->role == ROLE_PATIENT)
		NAME(keys->patients, k->user);
	NAME(keys->accounts, k->doctor_id);
	if (k->user != k->doctor_id)
		NAME(keys->accounts, k->user);
	if (t->names != NULL)
		t->names(keys, m);
	if (t->appointment != 0)
		NAME(keys->named, *(const int64_t *) ((const char *) k->req + t->appointment));
	keys->appointment_ids += (int64_t) needs.appointments;
	keys->slot_ids += (int64_t) needs.slots;
}

/*
 * Beside the cursors of the mailboxes that are read, those of mailboxes that lose an appointment to
 * another one: so that numbers of batches tell which came first also there, where the slot that becomes
 * free is granted next.  In one statement, in one order: nobody waits in a circle.
 */
static void lock_too(struct booking_keys *keys, const struct mail *m, bool seen[PARTITIONS])
{
	const struct booking_reschedule_req *q = m->command.req;

	if (m->dead || m->command.call != CALL_booking_reschedule || !RULE(former_cursor))
		return;

	const int p = partition_of(q->former_doctor_id);

	if (!seen[p])
		NAME(keys->partitions, p);
	seen[p] = true;
}

/* The slot that a command wants; 0: none. */
static int64_t wanted_slot(const struct command *k)
{
	if (k->call == CALL_booking_book)
		return ((const struct booking_book_req *) k->req)->schedule_id;
	if (k->call == CALL_booking_reschedule)
		return ((const struct booking_reschedule_req *) k->req)->schedule_id;
	return 0;
}

/* A slot that is edited first may be at any time when it is wanted, and so what its patient has then. */
static bool is_edited_first(const struct mail *mail, size_t i)
{
	const int64_t slot = mail[i].dead ? 0 : wanted_slot(&mail[i].command);

	while (slot != 0 && i-- > 0)
		if (!mail[i].dead && mail[i].command.call == CALL_booking_edit &&
		    ((const struct booking_edit_req *) mail[i].command.req)->id == slot)
			return true;
	return false;
}

/* What the batch is about: which rows to lock and to read.  The first `*own` partitions are those
 * of the mails. */
static err_t gather(struct ctx *c, const struct mail *mail, size_t n, struct booking_keys *keys,
		    size_t *own)
{
	bool seen[PARTITIONS] = { false };
	size_t spans = n, edits = 0;

	for (size_t i = 0; i < n; i++)
		if (!mail[i].dead && mail[i].command.call == CALL_booking_open)
			spans += booking_needs(&mail[i].command).slots;
	*keys = (struct booking_keys) { .set = { 0 } };
	memset(&keys->has, 0xff, sizeof keys->has);
	if (!ROOM(c, keys->partitions, PARTITIONS) || !ROOM(c, keys->patients, n) ||
	    !ROOM(c, keys->accounts, 2 * n) || !ROOM(c, keys->named, n) || !ROOM(c, keys->visits, n) ||
	    !ROOM(c, keys->busy, n) || !ROOM(c, keys->longer, n) || !ROOM(c, keys->spans, spans) ||
	    !ROOM(c, keys->requests, n))
		return ERR(too_large);
	for (size_t i = 0; i < n; i++) {
		if (!seen[mail[i].partition])
			NAME(keys->partitions, mail[i].partition);
		seen[mail[i].partition] = true;
		add_key(keys, &mail[i]);
		edits += !mail[i].dead && mail[i].command.call == CALL_booking_edit;
		if (edits > 0 && is_edited_first(mail, i))
			NAME(keys->busy, mail[i].command.user);
	}
	*own = keys->partitions.n;
	for (size_t i = 0; i < n; i++)
		lock_too(keys, &mail[i], seen);
	return OK;
}

/* ---- reading ---- */

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

static struct needs needs_of(const struct mail *m)
{
	if (m->dead)
		return (struct needs) { .slots = 0 };
	return booking_needs(&m->command);
}

/* New numbers, to each command as many as it may need. */
static err_t take_fresh(struct ctx *c, const struct booking_keys *keys, struct mail *mail, size_t n)
{
	struct booking_id *appointment, *slot = NULL;
	size_t nappointments, nslots = 0;
	int64_t *ids;

	TRY(db_take(c, Q_booking_fresh_appointments, &appointment, &nappointments));
	if (keys->slot_ids > 0)
		TRY(db_take(c, Q_booking_fresh_slots, &slot, &nslots));
	if ((ids = arena_alloc(c->mem, nslots * sizeof *ids)) == NULL)
		return ERR(too_large);
	for (size_t i = 0; i < nslots; i++)
		ids[i] = slot[i].id;
	for (size_t i = 0; i < n; i++) {
		struct command *k = &mail[i].command;
		const struct needs needs = needs_of(&mail[i]);

		k->fresh_slots = ids;
		ids += needs.slots;
		if (needs.appointments > 0)
			k->fresh_appointment = (appointment++)->id;
	}
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
	size_t ncursors, nmoments, own, believed = 0;

	TRY(gather(c, mail, n, &keys, &own));
	TRY(db_send(c, Q_core_begin_write, NULL));
	TRY(db_send(c, Q_booking_lock_cursors, &keys));
	if (RULE(patient_locks))
		TRY(db_send(c, lock, &keys));
	TRY(db_send(c, Q_booking_moment, NULL));
	TRY(db_send(c, Q_booking_read_gone, &keys));
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
	CRASH(after_lock);
	TRY(db_take(c, Q_booking_moment, &moment, &nmoments));
	TRY(db_take(c, Q_booking_read_gone, &g->gone, &g->ngone));
	TAKE_ROWS(c, Q_booking_read_slots, g->slots, g->nslots, (size_t) keys.slot_ids);
	TAKE_ROWS(c, Q_booking_read_appointments, g->appointments, g->nappointments, n);
	TRY(take_requests(c, g, n));
	TRY(take_fresh(c, &keys, mail, n));
	TRY(db_end(c));

	g->moves = arena_alloc(c->mem, n * sizeof *g->moves);
	if (g->moves == NULL)
		return ERR(too_large);
	g->mem = c->mem;
	g->now = moment->now;
	g->batch_id = moment->batch_id;
	for (size_t i = 0; i < own; i++)
		for (size_t k = 0; k < ncursors; k++)
			believed += cursor[k].partition == keys.partitions.items[i].id &&
				    (!RULE(cursor_fence) ||
				     is_believed(&cursor[k], &place[cursor[k].partition]));
	*moved = believed != own;
	return OK;
}

/* ---- deciding ---- */

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

/* A header as it came, if a letter can carry it; else p is NULL. */
static struct str header_of(const struct mail *m, const char *name, int64_t max)
{
	const char *text = bus_header(m->msg, name);
	const struct str s = text == NULL ? STR("") : str_of(text);
	const int64_t points = str_points(s);

	return points > 0 && points <= max ? s : (struct str) { NULL, 0 };
}

static err_t add_dead(struct ctx *c, const struct mail *m, const struct place *place,
		      struct booking_writes *w, struct outbox *letters)
{
	struct booking_dead row = { .set = { 0 } };
	struct letter letter = { .set = { 0 } };
	struct buf subject = { .mem = c->mem }, origin = { .mem = c->mem };
	const struct str call_name = header_of(m, WIRE_CALL, 255), request = header_of(m, WIRE_REQUEST, 255);
	const struct str role = header_of(m, WIRE_ROLE, 16), if_match = header_of(m, WIRE_IF_MATCH, 512);

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
	if (call_name.p != NULL)
		SET(&letter, call, call_name);
	if (request.p != NULL)
		SET(&letter, request, request);
	if (m->command.user > 0)
		SET(&letter, user, m->command.user);
	if (role.p != NULL)
		SET(&letter, role, role);
	if (if_match.p != NULL)
		SET(&letter, if_match, if_match);
	metric_add(METRIC_booking_dead_letters, NULL, 1);
	return outbox_add(c, letters, &letter);
}

/* ---- what became true ---- */

static struct fact fact_of_appointment(const struct agenda *g, const struct decision *d)
{
	const struct appointments_appointment *a = &d->outcome.appointment;
	struct fact f = { .set = { 0 } };

	SET(&f, id, a->id);
	SET(&f, doctor_id, a->doctor_id);
	SET(&f, patient_id, a->patient_id);
	SET(&f, slot_id, a->schedule_id);
	SET(&f, ends, d->ends);
	SET(&f, at, g->now);
	return f;
}

static struct fact fact_of_slot(const struct agenda *g, const struct slot *s)
{
	struct fact f = { .set = { 0 } };

	SET(&f, id, s->row.id);
	SET(&f, doctor_id, s->row.doctor_id);
	SET(&f, slot_id, s->row.id);
	SET(&f, at, g->now);
	return f;
}

/* Where a slot stands after the batch: whoever keeps free slots needs no other fact. */
static struct fact state_of_slot(const struct agenda *g, const struct slot *s)
{
	struct fact f = fact_of_slot(g, s);

	SET(&f, starts, s->row.starts);
	SET(&f, ends, s->row.ends);
	SET(&f, free, s->row.active && !s->held && s->mark != DROPPED);
	SET(&f, version, g->batch_id);
	return f;
}

/* One letter a kind of fact, so that a batch costs its readers what one command does; more only
 * when they would be too long. */
static err_t add_letters(struct ctx *c, const struct agenda *g, const char *name, struct facts *all,
			 struct outbox *letters)
{
	for (size_t at = 0; at < all->items.n; at += FACTS_A_LETTER) {
		struct facts some = { .has.items = 1 };

		some.items.items = all->items.items + at;
		some.items.n = all->items.n - at < FACTS_A_LETTER ? all->items.n - at : FACTS_A_LETTER;
		TRY(outbox_add_facts(c, letters, "booking", name, g->batch_id, &some));
	}
	all->items.n = 0;
	return OK;
}

static err_t add_facts(struct ctx *c, const struct agenda *g, const struct mail *mail, size_t n,
		       const struct decision *d, struct outbox *letters)
{
	struct facts facts = { .has.items = 1 };

	if (!ROOM(c, facts.items, n + g->nslots))
		return ERR(too_large);
	for (enum happened h = HAPPENED_BOOKED; h < HAPPENED_COUNT; h++) {
		for (size_t i = 0; i < n; i++)
			if (mail[i].dead == DEAD_NOT && d[i].happened == h)
				PUSH(facts.items, fact_of_appointment(g, &d[i]));
		TRY(add_letters(c, g, happened_name[h], &facts, letters));
	}
	for (enum mark m = CHANGED; m <= DROPPED; m++) {
		for (size_t i = 0; i < g->nslots; i++)
			if (g->slots[i].mark == m)
				PUSH(facts.items, fact_of_slot(g, &g->slots[i]));
		TRY(add_letters(c, g, marked_name[m], &facts, letters));
	}
	for (size_t i = 0; i < g->nslots; i++)
		if (g->slots[i].touched)
			PUSH(facts.items, state_of_slot(g, &g->slots[i]));
	return add_letters(c, g, "slots", &facts, letters);
}

/* ---- writing ---- */

static void add_request(const struct mail *m, const struct decision *d, struct str outcome,
			struct booking_writes *w)
{
	const struct booking_outcome *o = &d->outcome;
	const struct command *k = &m->command;
	struct booking_request row = { .set = { 0 } };

	SET(&row, id, bytes_of(&k->id));
	SET(&row, doctor_id, k->doctor_id);
	SET(&row, user_id, k->user);
	SET(&row, body_hash, bytes_of(&k->body_hash));
	SET(&row, status, o->status);
	SET(&row, outcome, outcome);
	SET(&row, partition, m->partition);
	SET(&row, stream_seq, m->seq);
	SET(&row, stream_time, m->time);
	if (o->has.code)
		SET(&row, code, o->code);
	if (o->has.appointment)
		SET(&row, appointment_id, o->appointment.id);
	SET(&row, moved, d->happened == HAPPENED_RESCHEDULED);
	if (d->slot_id)
		SET(&row, slot_id, d->slot_id);
	if (d->blocked_by)
		SET(&row, blocked_by, d->blocked_by);
	PUSH(w->requests, row);
}

/* Has every mail decided, and writes down what that changes, and what is to be told if it comes true. */
static err_t decide_all(struct ctx *c, struct mail *mail, size_t n, struct agenda *g,
			const struct place *place, struct str *told, struct booking_writes *w,
			struct outbox *letters)
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
			told[i] = before->decision ? told[before->decision - d] : before->outcome;
			continue;
		}
		TRY(msg_to_pack(c, &booking_outcome_msg, &d[i].outcome, &told[i]));
		if (before != NULL)
			continue;	/* key_reused, or a dead copy: told, but no outcome of its own */
		add_request(m, &d[i], told[i], w);
	}
	return add_facts(c, g, mail, n, d, letters);
}

/*
 * In the order in which nothing stands in the way of what comes after it: appointments of a batch
 * that exchange slots are lifted from theirs first, slots that move are taken away and put back.
 */
static err_t write_all(struct ctx *c, const struct booking_writes *w)
{
	const struct { enum query query; bool wanted; } step[] = {
		{ Q_booking_write_lifted,   w->moves.n > 0 && w->changed.n > 0 },
		{ Q_booking_write_changed,  w->changed.n > 0 },
		{ Q_booking_write_granted,  w->granted.n > 0 },
		{ Q_booking_write_moves,    w->moves.n > 0 },
		{ Q_booking_write_dropped,  w->dropped.n > 0 },
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
	CRASH(before_commit);
	TRY(db_flush(c));
	CRASH(in_commit);
	for (size_t i = 0; i < COUNT(step); i++)
		if (step[i].wanted)
			TRY(db_take(c, step[i].query, NULL, NULL));
	return db_end(c);
}

static err_t make_room(struct ctx *c, size_t n, struct booking_writes *w)
{
	memset(&w->has, 0xff, sizeof w->has);
	return ROOM(c, w->requests, n) && ROOM(c, w->dead, n) && ROOM(c, w->cursors, PARTITIONS) ?
	       OK : ERR(too_large);
}

static err_t note_changes(struct ctx *c, const struct agenda *g, struct booking_writes *w)
{
	if (!ROOM(c, w->changed, g->nappointments) || !ROOM(c, w->granted, g->nappointments) ||
	    !ROOM(c, w->dropped, g->nslots) || !ROOM(c, w->opened, g->nslots))
		return ERR(too_large);
	for (size_t i = 0; i < g->nappointments; i++) {
		if (g->appointments[i].mark == ADDED)
			PUSH(w->granted, g->appointments[i].row);
		else if (g->appointments[i].mark == CHANGED)
			PUSH(w->changed, g->appointments[i].row);
	}
	for (size_t i = 0; i < g->nslots; i++) {
		const struct slot *s = &g->slots[i];

		if (s->mark == CHANGED || s->mark == DROPPED)
			NAME(w->dropped, s->row.id);
		if (s->mark == CHANGED || s->mark == ADDED)
			PUSH(w->opened, s->row);
	}
	w->moves.items = g->moves;
	w->moves.n = g->nmoves;
	return OK;
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
	struct str *told;

	memcpy(next, place, sizeof next);
	TRY(read_agenda(c, mail, n, place, &g, moved));
	if (*moved) {
		db_rollback(c);
		return OK;
	}
	if ((told = arena_alloc(c->mem, n * sizeof *told)) == NULL)
		return ERR(too_large);
	TRY(make_room(c, n, &w));
	TRY(decide_all(c, mail, n, &g, place, told, &w, &letters));
	TRY(note_changes(c, &g, &w));
	move_on(mail, n, next, &w);
	w.batch_id = g.batch_id;
	w.now = g.now;
	TRY(outbox_pack(c, &letters, &w.letters));
	TRY(write_all(c, &w));
	CRASH(after_commit);
	memcpy(place, next, sizeof next);
	for (size_t i = 0; i < n; i++)
		mail[i].outcome = told[i];
	count(mail, n, &w);
	return OK;
}

/* What is there may be there alone, lost with this server.  A commit of its own, of the locks, is only
 * answered once a standby has that and all that came before. */
static err_t read_confirmed(struct ctx *c, const struct booking_keys *keys, struct booking_request **row,
			    size_t *n)
{
	TRY(db_begin(c, true));
	TRY(db_exec(c, Q_booking_lock_cursors, keys));
	TRY(db_list(c, Q_booking_read_requests, keys, row, n));
	return db_commit(c);
}

err_t batch_recall(struct ctx *c, struct mail *mail, size_t n)
{
	struct booking_request *row;
	struct booking_keys keys;
	size_t nrows, own;

	TRY(gather(c, mail, n, &keys, &own));

	const err_t e = read_confirmed(c, &keys, &row, &nrows);

	if (e.code) {
		db_rollback(c);
		return e;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < nrows; k++)
			if (str_eq(row[k].id, bytes_of(&mail[i].command.id)) &&
			    str_eq(row[k].body_hash, bytes_of(&mail[i].command.body_hash)))
				mail[i].outcome = row[k].outcome;
	return OK;
}

err_t batch_stands(struct ctx *c, int partition, const struct place *place, bool *stands)
{
	struct booking_id one = { .id = partition, .has.id = 1 };
	struct booking_keys keys = { .has.partitions = 1 };
	struct booking_cursor *row;
	size_t n;

	keys.partitions.items = &one;
	keys.partitions.n = 1;
	TRY(db_begin(c, true));
	TRY(db_list(c, Q_booking_lock_cursors, &keys, &row, &n));
	TRY(db_commit(c));
	*stands = n == 1 && is_believed(row, place);
	return OK;
}
