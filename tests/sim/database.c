/*
 * database.c - see sim.h: the database, as db.h and sql/queries/booking.sql promise it, on bad days too.
 *
 * A session runs the statements that were flushed, one a step, also when its client is frozen or gone.
 * Locks of rows and of patients are waited for, in a circle too.  What a transaction writes is kept
 * until its COMMIT, which applies it at once; so a COMMIT of which no answer comes was one, or was none.
 */
#include <stdlib.h>
#include <string.h>
#include "broker/msg/facts.h"
#include "tests/sim/sim.h"

enum { STATEMENTS = 24, LOCKS = 320, IDLE_S = 2 };

struct statement {
	enum query    query;
	const void   *in;
	const void   *given;			/* of which `in` is the copy */
	bool          done, own;
	void         *rows;
	size_t        n;
	enum err_code code;
	const char   *sqlstate;
	int64_t      *keys;			/* to lock, found when it began */
	size_t        nkeys, got;
};

struct db {
	bool        used, alive, lost;		/* the server's side, and what the client has seen */
	int         owner;			/* -1: its client is gone */
	int         pid;
	bool        enlisted, limited;		/* booking_session sets limits */
	bool        doomed;			/* it has lost its partitions, and does not know it */
	unsigned    owned;			/* partitions, as bits */
	int64_t     active_at;

	struct statement q[STATEMENTS];
	size_t      sent, arrived, run, taken;
	enum { QUIET, SENDING, TAKING } phase;
	bool        skips;			/* an error: nothing is run up to the end of the pipeline */
	bool        begin;			/* a BEGIN is to go with the next statement */
	int64_t     limit;
	err_t       failed;
	bool        poison;
	char        sqlstate[6];

	bool        in_tx, aborted, hangs;
	int64_t     batch;
	int64_t     lock[LOCKS];
	size_t      nlocks;
	struct db  *waits_for;
	struct statement *writes[STATEMENTS];
	size_t      nwrites;
};

struct tables committed;
struct lost_account lost_account[LOST_MAX];
size_t nlost;

static struct tables before, next;
static struct tables confirmed;			/* what a standby has, while none is there */
static struct db session[SESSIONS];
static int64_t away_until, standby_until;
static int64_t batch_id, appointment_id, slot_id;
static int pids;

#define PATIENT_KEY(id) (1000 + (id))		/* a cursor's key is its partition */

/* Of queries that a session of the product asks for itself, and what migrations need: not here. */
err_t db_script(struct ctx *c, const char *text)
{
	(void) text;
	return refuse(c, ERR_unavailable, "nothing is migrated here");
}

const struct msg core_timeout_msg, core_type_req_msg, core_type_msg;

/* ---- copies ---- */

static void copy_fields(const struct msg *m, void *of)
{
	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];
		void *at = (char *) of + f->off;

		if (f->kind == K_TEXT || f->kind == K_BYTES) {
			struct str *s = at;

			*s = keep_str(*s);
		} else if (f->kind == K_LIST) {
			struct { void *items; size_t n; } list;

			memcpy(&list, at, sizeof list);
			if (list.n == 0)
				continue;
			list.items = keep(list.items, list.n * f->of.msg->size);
			for (size_t k = 0; k < list.n; k++)
				copy_fields(f->of.msg, (char *) list.items + k * f->of.msg->size);
			memcpy(at, &list, sizeof list);
		}
	}
}

static const void *copy(const struct msg *m, const void *in)
{
	void *out;

	if (m == NULL || in == NULL)
		return NULL;
	out = keep(in, m->size);
	copy_fields(m, out);
	return out;
}

#define COPY_ROWS(to, from, list, count) \
	(memcpy((to)->list, (from)->list, (from)->count * sizeof (from)->list[0]), (to)->count = (from)->count)

static void copy_tables(struct tables *to, const struct tables *from)
{
	memcpy(to->has_cursor, from->has_cursor, sizeof to->has_cursor);
	memcpy(to->cursor, from->cursor, sizeof to->cursor);
	COPY_ROWS(to, from, slot, nslots);
	COPY_ROWS(to, from, appointment, nappointments);
	COPY_ROWS(to, from, request, nrequests);
	COPY_ROWS(to, from, move, nmoves);
	COPY_ROWS(to, from, dead, ndead);
	COPY_ROWS(to, from, wrote, nwrote);
}

/* ---- what is there ---- */

static const struct booking_slot *slot_of(const struct tables *t, int64_t id)
{
	for (size_t i = 0; i < t->nslots; i++)
		if (t->slot[i].id == id)
			return &t->slot[i];
	return NULL;
}

static struct booking_appointment *appointment_of(struct tables *t, int64_t id)
{
	for (size_t i = 0; i < t->nappointments; i++)
		if (t->appointment[i].id == id)
			return &t->appointment[i];
	return NULL;
}

static const struct decided *request_of(const struct tables *t, const void *id)
{
	for (size_t i = 0; i < t->nrequests; i++)
		if (memcmp(t->request[i].row.id.p, id, 16) == 0)
			return &t->request[i];
	return NULL;
}

const struct decided *decided_of(struct digest id)
{
	return request_of(&committed, id.b);
}

bool is_dead(int64_t created, int64_t seq)
{
	for (size_t i = 0; i < committed.ndead; i++)
		if (committed.dead[i].stream_created == created && committed.dead[i].stream_seq == seq)
			return true;
	return false;
}

/* ---- a session, as the server sees it ---- */

static int number_of(const struct db *s)
{
	return (int) (s - session);
}

static void run_soon(const struct db *s)
{
	world.at[T_SESSION + number_of(s)] = soon() + (int64_t) draw((uint64_t) world.slowness);
}

static void release(struct db *s)
{
	s->nlocks = 0;
	s->waits_for = NULL;
	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].waits_for == s) {
			session[i].waits_for = NULL;
			run_soon(&session[i]);
		}
}

static void end_transaction(struct db *s)
{
	s->in_tx = s->aborted = s->hangs = false;
	s->nwrites = 0;
	release(s);
}

/* True when it has the lock; else it waits, or the circle is closed. */
enum locked { LOCKED, WAITS, CIRCLE };
static enum locked lock(struct db *s, int64_t key)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		struct db *other = &session[i];

		for (size_t k = 0; k < other->nlocks; k++) {
			if (other->lock[k] != key)
				continue;
			if (other == s)
				return LOCKED;
			for (const struct db *w = other; w != NULL; w = w->waits_for)
				if (w == s)
					return CIRCLE;
			s->waits_for = other;
			trace("session %d waits for session %d: %s %lld", s->pid, other->pid,
			      key < PARTITIONS ? "cursor" : "patient",
			      (long long) (key < PARTITIONS ? key : key - PATIENT_KEY(0)));
			return WAITS;
		}
	}
	if (s->nlocks == LOCKS)
		abort();
	s->lock[s->nlocks++] = key;
	return LOCKED;
}

static bool fail_with(struct statement *q, enum err_code code, const char *sqlstate)
{
	q->code = code;
	q->sqlstate = sqlstate;
	return true;
}

/* ---- statements: each is true when it is done, false when it waits ---- */

typedef bool run_fn(struct db *, struct statement *);

static void *rows(struct statement *q, size_t most)
{
	return q->rows = keep(NULL, most * query_text[q->query].out->size);
}

static bool give_count(struct statement *q, int64_t n)
{
	struct booking_count *row = rows(q, 1);

	SET(row, n, n);
	q->n = 1;
	return true;
}

static bool give_flag(struct statement *q, bool yes)
{
	struct booking_flag *row = rows(q, 1);

	SET(row, yes, yes);
	q->n = 1;
	return true;
}

static bool run_session(struct db *s, struct statement *q)
{
	s->limited = true;
	return give_count(q, 4);
}

static bool run_enlist(struct db *s, struct statement *q)
{
	return give_flag(q, s->enlisted = true);
}

static bool run_workers(struct db *s, struct statement *q)
{
	struct booking_workers *row = rows(q, 1);
	int64_t n = 0, least = PARTITIONS;

	(void) s;
	for (size_t i = 0; i < SESSIONS; i++) {
		const int has = __builtin_popcount(session[i].owned);

		n += session[i].enlisted;
		if (session[i].enlisted && has < least)
			least = has;
	}
	SET(row, n, n);
	SET(row, least, least);
	q->n = 1;
	return true;
}

static bool run_own(struct db *s, struct statement *q)
{
	const unsigned bit = 1u << ((const struct booking_id *) q->in)->id;

	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].owned & bit && &session[i] != s)
			return give_flag(q, false);
	s->owned |= bit;
	trace("session %d owns partition %d", s->pid, (int) ((const struct booking_id *) q->in)->id);
	return give_flag(q, true);
}

static bool run_disown(struct db *s, struct statement *q)
{
	s->owned &= ~(1u << ((const struct booking_id *) q->in)->id);
	return give_flag(q, true);
}

static bool run_cursor_new(struct db *s, struct statement *q)
{
	const struct booking_cursor *row = q->in;

	(void) s;
	if (!committed.has_cursor[row->partition])
		committed.cursor[row->partition] = *row;
	committed.has_cursor[row->partition] = true;
	return true;
}

static bool run_cursor_get(struct db *s, struct statement *q)
{
	const int64_t p = ((const struct booking_id *) q->in)->id;
	struct booking_cursor *row = rows(q, 1);

	(void) s;
	*row = committed.cursor[p];
	q->n = committed.has_cursor[p];
	return true;
}

/* Only after an alarm: nobody gives up a place that is still there. */
static bool run_cursor_anew(struct db *s, struct statement *q)
{
	static const char nil[16];
	const struct booking_anew *row = q->in;
	struct booking_cursor *c = &committed.cursor[row->partition];

	(void) s;
	if (c->stream_created != row->former_created || c->last_seq != row->former_seq ||
	    !str_eq(c->last_request, row->former_request))
		return true;
	judge_alarm(c);
	c->stream_created = row->stream_created;
	c->last_seq = c->last_time = 0;
	c->last_request = (struct str) { nil, sizeof nil };
	return true;
}

static bool take_locks(struct db *s, struct statement *q)
{
	while (q->got < q->nkeys)
		switch (lock(s, q->keys[q->got])) {
		case LOCKED:
			if (++q->got < q->nkeys && chance(300))
				return false;		/* others are as fast */
			break;
		case WAITS:
			return false;
		case CIRCLE:
			broken("batches wait for each other in a circle");
			return fail_with(q, ERR_unavailable, "40P01");
		}
	return true;
}

static int by_number(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static bool run_lock_cursors(struct db *s, struct statement *q)
{
	const struct booking_keys *k = q->in;
	struct booking_cursor *row;

	if (q->keys == NULL) {
		q->keys = keep(NULL, k->partitions.n * sizeof *q->keys);
		for (size_t i = 0; i < k->partitions.n && k->has.partitions; i++)	/* or it is NULL */
			if (committed.has_cursor[k->partitions.items[i].id])
				q->keys[q->nkeys++] = k->partitions.items[i].id;
		qsort(q->keys, q->nkeys, sizeof *q->keys, by_number);
	}
	if (!take_locks(s, q))
		return false;
	row = rows(q, PARTITIONS);
	for (size_t i = 0; i < q->nkeys && q->code == ERR_none; i++)
		row[q->n++] = committed.cursor[q->keys[i]];
	return true;
}

static bool run_lock_patients(struct db *s, struct statement *q)
{
	const struct booking_keys *k = q->in;

	if (q->keys == NULL) {
		q->keys = keep(NULL, (k->patients.n + k->named.n) * sizeof *q->keys);
		for (size_t i = 0; i < k->patients.n; i++)
			q->keys[q->nkeys++] = PATIENT_KEY(k->patients.items[i].id);
		for (size_t i = 0; i < k->named.n && q->query == Q_booking_lock_patients; i++) {
			const struct booking_appointment *a = appointment_of(&committed, k->named.items[i].id);

			if (a != NULL)
				q->keys[q->nkeys++] = PATIENT_KEY(a->patient_id);
		}
		if (q->query == Q_booking_lock_patients)
			qsort(q->keys, q->nkeys, sizeof *q->keys, by_number);
	}
	return take_locks(s, q) && (q->code != ERR_none || give_count(q, (int64_t) q->nkeys));
}

static bool run_moment(struct db *s, struct statement *q)
{
	struct booking_moment *row = rows(q, 1);

	(void) s;
	SET(row, now, wall());
	SET(row, batch_id, ++batch_id);
	s->batch = batch_id;
	q->n = 1;
	return true;
}

static bool run_read_gone(struct db *s, struct statement *q)
{
	const struct booking_keys *k = q->in;
	struct booking_id *row = rows(q, k->accounts.n);
	const size_t first = nlost;

	for (size_t i = 0; i < k->accounts.n; i++) {
		const int64_t account = k->accounts.items[i].id;
		size_t known = first;

		if (!clients_erased(account))
			continue;
		row[q->n++] = (struct booking_id) { .id = account, .has.id = 1 };
		while (known < nlost && lost_account[known].account != account)
			known++;
		if (known == LOST_MAX)
			abort();
		lost_account[known] = (struct lost_account) { s->batch, account };
		nlost = known == nlost ? nlost + 1 : nlost;
	}
	return true;
}

static bool wants_slot(const struct booking_keys *k, const struct booking_slot *s)
{
	for (size_t i = 0; i < k->visits.n; i++)
		if (k->visits.items[i].slot_id == s->id)
			return true;
	for (size_t i = 0; i < k->named.n; i++) {
		const struct booking_appointment *a = appointment_of(&committed, k->named.items[i].id);

		if (a != NULL && a->slot_id == s->id)
			return true;
	}
	for (size_t i = 0; i < k->spans.n; i++) {
		const struct booking_span *v = &k->spans.items[i];

		if (s->doctor_id == v->doctor_id && s->starts < v->ends && s->ends > v->starts)
			return true;
	}
	for (size_t i = 0; i < k->longer.n; i++) {
		const struct booking_slot *l = slot_of(&committed, k->longer.items[i].id);

		if (l != NULL && s->doctor_id == l->doctor_id && s->starts >= l->starts &&
		    s->starts < l->starts + 86400 * SECOND)
			return true;
	}
	return false;
}

static bool run_read_slots(struct db *s, struct statement *q)
{
	const struct booking_keys *k = q->in;
	struct booking_slot *row = rows(q, committed.nslots);

	(void) s;
	for (size_t i = 0; i < k->visits.n; i++)
		if (k->visits.items[i].slot_id == POISONOUS_SLOT)
			return fail_with(q, ERR_invalid, "22008");
	for (size_t i = 0; i < committed.nslots; i++)
		if (wants_slot(k, &committed.slot[i]))
			row[q->n++] = committed.slot[i];
	return true;
}

static bool wants_appointment(const struct booking_keys *k, const struct booking_appointment *a)
{
	for (size_t i = 0; i < k->named.n; i++)
		if (k->named.items[i].id == a->id)
			return true;
	for (size_t i = 0; i < k->busy.n && appointment_is_live(a); i++)
		if (k->busy.items[i].id == a->patient_id)
			return true;
	for (size_t i = 0; i < k->visits.n && appointment_is_live(a); i++) {
		const struct booking_visit *v = &k->visits.items[i];
		const struct booking_slot *s = slot_of(&committed, v->slot_id);

		if (s != NULL && (a->slot_id == s->id || (a->patient_id == v->patient_id &&
				  a->starts < s->ends && s->starts < a->ends)))
			return true;
	}
	return false;
}

static bool run_read_appointments(struct db *s, struct statement *q)
{
	struct booking_appointment *row = rows(q, committed.nappointments);

	(void) s;
	for (size_t i = 0; i < committed.nappointments; i++)
		if (wants_appointment(q->in, &committed.appointment[i]))
			row[q->n++] = committed.appointment[i];
	return true;
}

static bool run_read_requests(struct db *s, struct statement *q)
{
	const struct booking_keys *k = q->in;
	struct booking_request *row = rows(q, k->requests.n);

	(void) s;
	for (size_t i = 0; i < k->requests.n; i++) {
		const struct decided *d = request_of(&committed, k->requests.items[i].id.p);

		if (d != NULL)
			row[q->n++] = d->row;
	}
	return true;
}

static bool give_fresh(struct statement *q, int64_t n, int64_t *last)
{
	struct booking_id *row = rows(q, (size_t) n);

	for (; (int64_t) q->n < n; q->n++)
		SET(&row[q->n], id, ++*last);
	return true;
}

static bool run_fresh_appointments(struct db *s, struct statement *q)
{
	(void) s;
	return give_fresh(q, ((const struct booking_keys *) q->in)->appointment_ids, &appointment_id);
}

static bool run_fresh_slots(struct db *s, struct statement *q)
{
	(void) s;
	return give_fresh(q, ((const struct booking_keys *) q->in)->slot_ids, &slot_id);
}

static bool run_write(struct db *s, struct statement *q)
{
	const struct booking_writes *w = q->in;

	for (size_t i = 0; q->query == Q_booking_write_requests && i < w->requests.n; i++) {
		const struct booking_request *r = &w->requests.items[i];
		struct digest id;

		memcpy(&id, r->id.p, sizeof id);

		const struct wish *wish = wish_of(id);
		const enum poison poison = wish == NULL ? POISON_NOT : wish->poison;

		if (poison == POISON_VERDICT || (poison == POISON_ROW && r->status != REQUEST_FAILED))
			return fail_with(q, ERR_invalid, "22P05");
	}
	s->writes[s->nwrites++] = q;
	return true;
}

/* ---- COMMIT ---- */

static bool overlap(int64_t from, int64_t to, int64_t starts, int64_t ends)
{
	return from < ends && starts < to;
}

/* The constraints of sql/migrations; the name of the one that is violated. */
static const char *violated(const struct tables *t)
{
	for (size_t i = 0; i < t->nslots; i++)
		for (size_t k = 0; k < i; k++) {
			const struct booking_slot *a = &t->slot[i], *b = &t->slot[k];

			if (a->id == b->id)
				return "slot_pkey";
			if (a->doctor_id == b->doctor_id && overlap(a->starts, a->ends, b->starts, b->ends))
				return "slot_overlap";
		}
	for (size_t i = 0; i < t->nappointments; i++)
		for (size_t k = 0; k < i; k++) {
			const struct booking_appointment *a = &t->appointment[i], *b = &t->appointment[k];

			if (a->id == b->id)
				return "appointment_pkey";
			if (!appointment_is_live(a) || !appointment_is_live(b))
				continue;
			if (a->slot_id == b->slot_id)
				return "appointment_slot_once";
			if (a->patient_id == b->patient_id && a->starts == b->starts)
				return "appointment_patient_once";
		}
	return NULL;
}

static bool put_requests(struct tables *t, const struct booking_writes *w)
{
	for (size_t i = 0; i < w->requests.n; i++) {
		if (request_of(t, w->requests.items[i].id.p) != NULL)
			return false;
		if (t->nrequests == REQUESTS)
			abort();
		t->request[t->nrequests++] = (struct decided) { w->requests.items[i], w->batch_id, w->now };
	}
	return true;
}

static void put_dead(struct tables *t, const struct booking_dead *d)
{
	for (size_t i = 0; i < t->ndead; i++)
		if (t->dead[i].stream_created == d->stream_created && t->dead[i].stream_seq == d->stream_seq)
			return;
	if (t->ndead == DEAD)
		abort();
	t->dead[t->ndead++] = *d;
}

static void drop_slot(struct tables *t, int64_t id)
{
	for (size_t i = 0; i < t->nslots; i++)
		if (t->slot[i].id == id) {
			t->slot[i] = t->slot[--t->nslots];
			return;
		}
}

static const char *apply(struct tables *t, enum query query, const struct booking_writes *w)
{
	switch ((int) query) {
	case Q_booking_write_changed:
		for (size_t i = 0; i < w->changed.n; i++) {
			struct booking_appointment *a = appointment_of(t, w->changed.items[i].id);

			if (a != NULL)
				*a = w->changed.items[i];
		}
		break;
	case Q_booking_write_granted:
		for (size_t i = 0; i < w->granted.n; i++)
			t->appointment[t->nappointments++] = w->granted.items[i];
		break;
	case Q_booking_write_moves:
		for (size_t i = 0; i < w->moves.n; i++)
			t->move[t->nmoves++] = w->moves.items[i];
		break;
	case Q_booking_write_dropped:
		for (size_t i = 0; i < w->dropped.n; i++)
			drop_slot(t, w->dropped.items[i].id);
		break;
	case Q_booking_write_opened:
		for (size_t i = 0; i < w->opened.n; i++)
			t->slot[t->nslots++] = w->opened.items[i];
		break;
	case Q_booking_write_requests:
		return put_requests(t, w) ? NULL : "request_pkey";
	case Q_booking_write_dead:
		for (size_t i = 0; i < w->dead.n; i++)
			put_dead(t, &w->dead.items[i]);
		break;
	case Q_booking_write_cursors:
		for (size_t i = 0; i < w->cursors.n; i++)
			t->cursor[w->cursors.items[i].partition] = w->cursors.items[i];
		break;
	default:		/* lifted: only on the way; letters: nobody relays them here */
		return NULL;
	}
	if (t->nslots > SLOTS - 64 || t->nappointments > APPOINTMENTS - 64 || t->nmoves > MOVES - 64)
		abort();
	return NULL;
}

static bool commit(struct db *s, struct statement *q)
{
	const struct booking_writes *w = s->nwrites > 0 ? s->writes[0]->in : NULL;
	const char *constraint = NULL;

	if (w != NULL) {
		copy_tables(&next, &committed);
		for (size_t i = 0; i < s->nwrites && constraint == NULL; i++)
			constraint = apply(&next, s->writes[i]->query, w);
		if (constraint == NULL)
			constraint = violated(&next);
		if (constraint != NULL) {
			trace("session %d: violates %s", s->pid, constraint);
			return fail_with(q, ERR_invalid, "23505");
		}
		next.wrote[next.nwrote++].w = w;
		trace("session %d: batch %lld is committed: %zu granted, %zu changed, %zu requests, %zu dead",
		      s->pid, (long long) w->batch_id, w->granted.n, w->changed.n, w->requests.n, w->dead.n);
		copy_tables(&before, &committed);
		copy_tables(&committed, &next);
		judge_commit(&before, w);
	}
	end_transaction(s);
	return true;
}

static void end_server_side(struct db *s, const char *because)
{
	if (!s->alive)
		return;
	trace("session %d ends: %s", s->pid, because);
	if (s->hangs)			/* it was waiting for a standby, and is true here */
		(void) commit(s, &s->q[s->run]);
	end_transaction(s);
	s->alive = s->enlisted = false;
	s->owned = 0;
	s->lost = true;
	world.at[T_SESSION + number_of(s)] = NEVER;
	if (s->owner < 0)
		s->used = false;
	else
		wake(s->owner);
}


/* ---- the server's steps ---- */

static run_fn *const run_of[Q_COUNT] = {
	[Q_booking_session] = run_session,
	[Q_booking_enlist] = run_enlist,
	[Q_booking_workers] = run_workers,
	[Q_booking_own] = run_own,
	[Q_booking_disown] = run_disown,
	[Q_booking_cursor_new] = run_cursor_new,
	[Q_booking_cursor_get] = run_cursor_get,
	[Q_booking_cursor_anew] = run_cursor_anew,
	[Q_booking_lock_cursors] = run_lock_cursors,
	[Q_booking_lock_patients] = run_lock_patients,
	[Q_booking_lock_patients_as_they_come] = run_lock_patients,
	[Q_booking_moment] = run_moment,
	[Q_booking_read_gone] = run_read_gone,
	[Q_booking_read_slots] = run_read_slots,
	[Q_booking_read_appointments] = run_read_appointments,
	[Q_booking_read_requests] = run_read_requests,
	[Q_booking_fresh_appointments] = run_fresh_appointments,
	[Q_booking_fresh_slots] = run_fresh_slots,
	[Q_booking_write_lifted] = run_write,
	[Q_booking_write_changed] = run_write,
	[Q_booking_write_granted] = run_write,
	[Q_booking_write_moves] = run_write,
	[Q_booking_write_dropped] = run_write,
	[Q_booking_write_opened] = run_write,
	[Q_booking_write_requests] = run_write,
	[Q_booking_write_dead] = run_write,
	[Q_booking_write_letters] = run_write,
	[Q_booking_write_cursors] = run_write,
};

static bool is_standby_away(void)
{
	return standby_until != 0;		/* it has not come back yet */
}

static bool run_commit(struct db *s, struct statement *q)
{
	if (s->aborted) {
		end_transaction(s);
		return fail_with(q, ERR_internal, "");		/* it was a ROLLBACK */
	}
	/* The lock of a row is written, too. */
	if ((s->nwrites == 0 && s->nlocks == 0) || !is_standby_away() || s->hangs) {
		s->hangs = false;
		return commit(s, q);
	}
	if ((s->hangs = chance(500)))
		return false;
	return commit(s, q) && (q->code != ERR_none || fail_with(q, ERR_unavailable, ""));
}

/* True when it is done. */
static bool run_statement(struct db *s, struct statement *q)
{
	static const char *const moment[] = { "40001", "40P01", "53200", "57014", "XX000" };

	switch ((int) q->query) {
	case Q_core_rollback:
		end_transaction(s);
		return true;
	case Q_core_commit:
		return run_commit(s, q);
	default:
		break;
	}
	if (s->aborted)
		return fail_with(q, ERR_unavailable, "25P02");
	if (q->keys == NULL && chance(world.unreliable / 2)) {
		const char *state = moment[draw(COUNT(moment))];

		return fail_with(q, strcmp(state, "57014") == 0 ? ERR_timeout : ERR_unavailable, state);
	}
	if (q->query == Q_core_begin_write) {
		s->in_tx = true;
		return true;
	}
	if (run_of[q->query] == NULL)
		abort();
	return run_of[q->query](s, q);
}

static void run_next(struct db *s)
{
	struct statement *q = &s->q[s->run];

	if (s->skips) {
		q->code = ERR_unavailable;
		q->sqlstate = "";
	} else if (!run_statement(s, q)) {
		/* Until what it waits for is free, or there. */
		if (s->waits_for != NULL || s->hangs)
			world.at[T_SESSION + number_of(s)] = NEVER;
		else
			run_soon(s);
		return;
	}
	trace("session %d: %s%s %s", s->pid, query_text[q->query].name, s->skips ? " is skipped" :
	      q->code != ERR_none ? " fails" : "", q->sqlstate);
	if (q->code != ERR_none && !s->skips) {
		s->skips = true;
		if (s->in_tx) {
			end_transaction(s);
			s->in_tx = s->aborted = true;
		}
	}
	q->done = true;
	s->run++;
	s->active_at = world.now;
	if (s->run == s->arrived && !s->in_tx)
		release(s);			/* of a statement that was its own transaction */
	wake(s->owner);
	run_soon(s);
}

void session_step(int number)
{
	struct db *s = &session[number];

	world.at[T_SESSION + number] = NEVER;
	if (!s->alive)
		return;
	if (s->run < s->arrived)
		run_next(s);
	else if (s->owner < 0)
		end_server_side(s, "its client is gone");
	else if (s->limited && world.now - s->active_at >= IDLE_S * SECOND)
		end_server_side(s, "it was idle");
	else if (s->limited)
		world.at[T_SESSION + number] = s->active_at + IDLE_S * SECOND;
}

/* ---- what breaks ---- */

void database_begin(void)
{
	committed.nslots = committed.nappointments = committed.nrequests = 0;
	committed.nmoves = committed.ndead = committed.nwrote = 0;
	nlost = 0;
	memset(committed.has_cursor, 0, sizeof committed.has_cursor);
	memset(session, 0, sizeof session);
	away_until = standby_until = 0;
	batch_id = appointment_id = 0;
	slot_id = POISONOUS_SLOT;
	pids = 0;
}

static void end_all(const char *because)
{
	for (size_t i = 0; i < SESSIONS; i++)
		end_server_side(&session[i], because);
}

void database_away(int64_t until)
{
	if (until > world.now)
		end_all("the server is gone");
	away_until = until;
}

void standby_step(void)
{
	world.at[T_STANDBY] = NEVER;
	if (standby_until == 0)
		return;
	standby_until = 0;
	if (chance(500)) {
		trace("a standby takes over");
		for (size_t i = 0; i < SESSIONS; i++)
			session[i].hangs = false;
		end_all("the server is another");
		copy_tables(&committed, &confirmed);
		return;
	}
	trace("the standby is back");
	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].hangs)
			run_soon(&session[i]);
}

void standby_away(int64_t until)
{
	if (standby_until == 0 && until > world.now)
		copy_tables(&confirmed, &committed);
	if (standby_until != 0 || until > world.now)
		standby_until = until;
	world.at[T_STANDBY] = standby_until == 0 ? NEVER : standby_until;
}

/* The connection, or the server's end of it. */
void session_cut(int owner, bool by_server)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		struct db *s = &session[i];

		if (!s->used || s->owner != owner || s->lost)
			continue;
		if (by_server) {
			end_server_side(s, "the server ends it");
			continue;
		}
		trace("session %d: the connection is cut", s->pid);
		s->lost = true;
		if (s->run < s->arrived && chance(300))
			s->arrived = s->run + draw(s->arrived - s->run + 1);	/* the rest never came */
		wake(owner);
	}
}

/* Its partitions are free for others, while it goes on: two own them for a while, then it ends. */
void session_is_robbed(int owner)
{
	for (size_t i = 0; i < SESSIONS; i++) {
		struct db *s = &session[i];

		if (!s->used || !s->alive || s->owner != owner || s->owned == 0)
			continue;
		trace("session %d has lost its partitions", s->pid);
		s->owned = 0;
		s->doomed = true;
	}
}

void sessions_doomed_end(void)
{
	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].doomed)
			end_server_side(&session[i], "it had lost its partitions");
}

void session_orphan(int owner)
{
	session_cut(owner, false);
	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].used && session[i].owner == owner)
			db_close(&session[i]);
}

unsigned owned_by(int owner)
{
	for (size_t i = 0; i < SESSIONS; i++)
		if (session[i].used && session[i].alive && session[i].owner == owner)
			return session[i].owned;
	return 0;
}

/* ---- db.h: the client's side ---- */

static err_t lost(struct ctx *c, const char *text)
{
	struct db *s = c->db;

	s->lost = true;
	s->poison = false;
	s->sqlstate[0] = '\0';
	s->phase = QUIET;
	return s->failed = refuse(c, ERR_unavailable, "database: %s", text);
}

err_t db_open(const char *url, const char *domain, struct db **out, char *why)
{
	struct db *s = session;
	const int owner = running();

	(void) url, (void) domain;
	step_until(soon());
	while (s < session + SESSIONS && s->used)
		s++;
	if (s == session + SESSIONS)
		abort();
	if (away_until > world.now || chance(world.unreliable)) {
		step_until(soon());
		(void) snprintf(why, 256, "no server");
		return ERR(unavailable);
	}
	*s = (struct db) { .used = true, .alive = true, .owner = owner, .pid = ++pids, .active_at = world.now };
	*out = s;
	return OK;
}

/* The server runs what it has got, and then finds that nobody is there. */
void db_close(struct db *s)
{
	s->owner = -1;
	s->lost = true;
	if (s->alive) {
		run_soon(s);
	} else {
		s->used = false;
	}
}

bool db_is_up(const struct db *s)
{
	return s != NULL && !s->lost;
}

bool db_is_poison(const struct db *s)
{
	return s->poison;
}

const char *db_sqlstate(const struct db *s)
{
	return s->sqlstate;
}

/* Waits until all before `n` has run. */
static err_t await(struct ctx *c, size_t n)
{
	struct db *s = c->db;

	while (s->run < n || s->lost) {
		if (s->lost)
			return lost(c, "the connection is lost");
		if (clock_mono() >= s->limit)
			return lost(c, "no answer in time");
		step_until(s->limit - SECOND);		/* clock_mono() is a second ahead of the world */
	}
	return OK;
}

static err_t settle(struct ctx *c)
{
	struct db *s = c->db;

	if (s->lost)
		return lost(c, "not connected");
	if (s->phase == SENDING) {
		s->arrived = s->sent;
		run_soon(s);
	}
	if (s->phase != QUIET)
		TRY(await(c, s->sent));
	s->phase = QUIET;
	return OK;
}

static void add(struct db *s, enum query q, const void *in, bool own)
{
	struct statement *as = &s->q[s->sent];
	const struct statement *former = s->sent > 0 ? as - 1 : NULL;

	if (s->sent == STATEMENTS)
		abort();
	*as = (struct statement) { .query = q, .own = own, .given = in, .sqlstate = "" };
	as->in = former != NULL && in != NULL && former->given == in ? former->in : copy(query_text[q].in, in);
	s->sent++;
}

err_t db_send(struct ctx *c, enum query q, const void *in)
{
	struct db *s = c->db;

	if (s->lost)
		return lost(c, "not connected");
	if (c->deadline != 0 && clock_left(c->deadline) == 0 && q != Q_core_rollback)
		return refuse(c, ERR_timeout, "no time is left");
	if (s->phase != SENDING) {
		TRY(settle(c));
		s->phase = SENDING;
		s->sent = s->arrived = s->run = s->taken = 0;
		s->skips = false;
		s->failed = OK;
		s->poison = false;
		s->sqlstate[0] = '\0';
		s->limit = c->deadline != 0 ? c->deadline + SECOND : clock_mono() + 30 * SECOND;
		if (s->begin && q != Q_core_rollback) {
			add(s, Q_core_begin_write, NULL, true);
			s->begin = false;
		}
	}
	add(s, q, in, false);
	return OK;
}

static err_t take(struct ctx *c, struct statement **out)
{
	struct db *s = c->db;
	struct statement *q = &s->q[s->taken];

	TRY(await(c, s->taken + 1));
	s->taken++;
	if (q->code != ERR_none && s->failed.code == ERR_none) {
		s->failed = refuse(c, q->code, "%s: %s", query_text[q->query].name, q->sqlstate);
		(void) snprintf(s->sqlstate, sizeof s->sqlstate, "%s", q->sqlstate);
		s->poison = q->sqlstate[0] == '2' && (q->sqlstate[1] == '2' || q->sqlstate[1] == '3');
	}
	*out = q;
	return s->failed;
}

err_t db_flush(struct ctx *c)
{
	struct db *s = c->db;
	struct statement *q;

	if (s->lost)
		return lost(c, "not connected");
	s->phase = TAKING;
	s->arrived = s->sent;
	run_soon(s);
	step_until(soon());
	if (s->q[0].own && take(c, &q).code != ERR_none && s->lost)
		return ERR(unavailable);
	return OK;
}

err_t db_take(struct ctx *c, enum query query, void *items, size_t *n)
{
	struct statement *q = NULL;
	const err_t e = c->db->lost ? lost(c, "not connected") : take(c, &q);

	if (e.code != ERR_none)
		return e;
	if (q->query != query)
		abort();
	if (items != NULL) {
		const size_t size = q->n * query_text[query].out->size;
		void *at = arena_alloc(c->mem, size);

		if (at == NULL)
			return c->db->failed = refuse(c, ERR_too_large, "no room for the rows");
		if (size > 0)
			memcpy(at, q->rows, size);
		memcpy(items, &at, sizeof at);
		*n = q->n;
	}
	return OK;
}

err_t db_end(struct ctx *c)
{
	struct db *s = c->db;

	if (s->lost)
		return lost(c, "not connected");
	TRY(await(c, s->sent));
	s->phase = QUIET;
	return s->failed;
}

err_t db_list(struct ctx *c, enum query q, const void *in, void *items, size_t *n)
{
	TRY(db_send(c, q, in));
	TRY(db_flush(c));

	const err_t e = db_take(c, q, items, n);

	if (e.code != ERR_none && c->db->lost)
		return e;

	const err_t end = db_end(c);

	return e.code != ERR_none ? e : end;
}

err_t db_exec(struct ctx *c, enum query q, const void *in)
{
	return db_list(c, q, in, NULL, NULL);
}

err_t db_one(struct ctx *c, enum query q, const void *in, void *out)
{
	void *row = NULL;
	size_t n = 0;

	TRY(db_list(c, q, in, &row, &n));
	if (n == 0)
		return ERR(not_found);
	memcpy(out, row, query_text[q].out->size);
	return OK;
}

err_t db_begin(struct ctx *c, bool write)
{
	TRY(settle(c));
	if (c->db->in_tx)
		db_rollback(c);
	c->db->begin = write;
	return db_is_up(c->db) ? OK : ERR(unavailable);
}

err_t db_commit(struct ctx *c)
{
	TRY(settle(c));
	if (c->db->begin || !c->db->in_tx) {
		c->db->begin = false;
		return OK;
	}

	const err_t e = db_exec(c, Q_core_commit, NULL);

	if (e.code != ERR_none)
		db_rollback(c);
	return e;
}

void db_rollback(struct ctx *c)
{
	struct db *s = c->db;

	if (s->lost || settle(c).code != ERR_none)
		return;
	s->begin = false;
	if (!s->in_tx)
		return;

	const struct db was = *s;

	if (db_exec(c, Q_core_rollback, NULL).code != ERR_none && !s->lost)
		(void) lost(c, "a transaction cannot be rolled back").code;
	memcpy(s->sqlstate, was.sqlstate, sizeof s->sqlstate);
	s->poison = was.poison;
}
