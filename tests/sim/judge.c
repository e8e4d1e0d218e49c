/*
 * judge.c - see sim.h: what must be true of a history.
 *
 * After each commit: nobody has two appointments at one time, no slot two holders, cursors stand where
 * the work does.  In the end: all of the stream has its outcome, and these are exactly those that
 * decide.c gives when it is led through the stream alone, one command after the other.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "actors/booking/transitions.h"
#include "broker/base/config.h"
#include "tests/sim/sim.h"

static bool is_settled(const struct message *m)
{
	static const struct digest none;

	return (!digest_eq(m->id, none) && decided_of(m->id) != NULL) || is_dead(m->created, m->seq);
}

/* ---- after each commit ---- */

static bool overlap(const struct booking_appointment *a, const struct booking_appointment *b)
{
	return a->starts < b->ends && b->starts < a->ends;
}

static void judge_live(void)
{
	const struct tables *t = &committed;

	for (size_t i = 0; i < t->nappointments; i++) {
		const struct booking_appointment *a = &t->appointment[i];
		size_t s = 0;

		if (!appointment_is_live(a))
			continue;
		for (size_t k = 0; k < i; k++) {
			const struct booking_appointment *b = &t->appointment[k];

			if (!appointment_is_live(b))
				continue;
			if (a->slot_id == b->slot_id)
				broken("slot %" PRId64 " is double-booked", a->slot_id);
			if (a->patient_id == b->patient_id && overlap(a, b))
				broken("patient %" PRId64 " is double-booked: appointments %" PRId64 " and %" PRId64,
				       a->patient_id, b->id, a->id);
		}
		while (s < t->nslots && (t->slot[s].id != a->slot_id || t->slot[s].starts != a->starts))
			s++;
		if (s == t->nslots)
			broken("appointment %" PRId64 " holds a slot that is gone", a->id);
	}
}

static const struct booking_appointment *former_of(const struct tables *before, int64_t id)
{
	for (size_t i = 0; i < before->nappointments; i++)
		if (before->appointment[i].id == id)
			return &before->appointment[i];
	return NULL;
}

static void judge_changes(const struct tables *before, const struct booking_writes *w)
{
	for (size_t i = 0; i < w->granted.n; i++)
		if (w->granted.items[i].starts <= w->now)
			broken("a slot of the past was granted");
	for (size_t i = 0; i < w->changed.n; i++) {
		const struct booking_appointment *is = &w->changed.items[i], *was = former_of(before, is->id);

		if (was == NULL)
			continue;
		if (!appointment_is_live(was) && is->status != was->status)
			broken("appointment %" PRId64 " had ended, and changes", is->id);
		if (is->granted_batch != was->granted_batch && was->has.reported_at)
			broken("appointment %" PRId64 " moved though there is a report of it", is->id);
		if (is->granted_batch != was->granted_batch && is->starts <= w->now)
			broken("an appointment moved into the past");
	}
}

static bool is_remembered(const struct booking_cursor *c)
{
	for (size_t i = 0; i < nmessages; i++)
		if (message[i].created == c->stream_created && message[i].seq == c->last_seq &&
		    message[i].time == c->last_time)
			return message[i].fate == STAYS;
	return false;
}

static void judge_cursor(const struct booking_cursor *was, const struct booking_cursor *is)
{
	const bool same = was->stream_created == is->stream_created && was->last_seq <= is->last_seq;

	if (was->stream_created == is->stream_created && was->last_seq > is->last_seq && is_remembered(was))
		broken("the cursor of partition %d went back from %" PRId64 " to %" PRId64,
		       (int) is->partition, was->last_seq, is->last_seq);
	if (!is_remembered(is))		/* lost meanwhile: the next to look at it is alarmed */
		return;
	for (size_t i = 0; i < nmessages; i++) {
		const struct message *m = &message[i];

		if (m->partition == is->partition && m->created == is->stream_created && m->fate == STAYS &&
		    m->seq <= is->last_seq && (!same || m->seq > was->last_seq) && !is_settled(m))
			broken("the cursor of partition %d is at %" PRId64 ", and %" PRId64
			       " is not decided", (int) is->partition, is->last_seq, m->seq);
	}
}

void judge_commit(const struct tables *before, const struct booking_writes *w)
{
	judge_live();
	judge_changes(before, w);
	for (size_t i = 0; i < w->cursors.n; i++)
		judge_cursor(&before->cursor[w->cursors.items[i].partition], &w->cursors.items[i]);
	if (w->dead.n > 0 && w->letters.n == 0)
		broken("a dead letter was not written");
}

/* A place that is still there is no cause for one. */
void judge_alarm(const struct booking_cursor *c)
{
	if (c->last_seq > 0 && is_remembered(c))
		broken("the cursor of partition %d was given up at %" PRId64 ", and that is there",
		       (int) c->partition, c->last_seq);
}

void judge_purge(const struct message *m)
{
	const struct booking_cursor *c = &committed.cursor[m->partition];

	if (!is_settled(m))
		broken("message %" PRId64 " was purged before it was decided", m->seq);
	if (c->stream_created == m->created && m->seq >= c->last_seq)
		broken("the cursor's own message was purged");
}

/* ---- whether all is done ---- */

/* A message behind the cursor of its partition; NULL: there is none. */
const struct message *judge_waiting(void)
{
	for (size_t i = 0; i < nmessages; i++) {
		const struct message *m = &message[i];
		const struct booking_cursor *at = &committed.cursor[m->partition];

		if (m->fate == STAYS && (!committed.has_cursor[m->partition] ||
					 at->stream_created != m->created || at->last_seq < m->seq))
			return m;
	}
	return NULL;
}

bool judge_is_even(void)
{
	const int share = PARTITIONS / world.nowners;
	unsigned all = 0;

	for (int i = 0; i < world.nowners; i++) {
		const unsigned owned = owned_by(i);

		if ((all & owned) != 0 || __builtin_popcount(owned) < share || __builtin_popcount(owned) > share + 1)
			return false;
		all |= owned;
	}
	return all == (1u << PARTITIONS) - 1;
}

/* ---- in the end: dead letters ---- */

/* Sequences are used again after a loss: then another message may be meant. */
static bool is_ambiguous(const struct message *m)
{
	for (size_t i = 0; i < nmessages; i++)
		if (&message[i] != m && message[i].created == m->created && message[i].seq == m->seq)
			return true;
	return false;
}

static void judge_dead(const struct message *m)
{
	const struct decided *d = decided_of(m->id);
	bool expected = m->poison != POISON_NOT;

	if (m->fate == LOST || is_ambiguous(m))
		return;
	if (m->poison == POISON_ROW)		/* copies of it are told what the first one was */
		expected = d != NULL && d->row.stream_seq == m->seq && d->row.stream_time == m->time &&
			   d->row.status == REQUEST_FAILED;
	if (expected != is_dead(m->created, m->seq))
		broken("message %" PRId64 " %s a dead letter (poison %d)", m->seq,
		       expected ? "is not" : "became", (int) m->poison);
}

/* ---- what was told ---- */

static struct mail mail_of(struct ctx *c, const struct message *m)
{
	struct mail mail = { .partition = m->partition, .seq = m->seq, .time = m->time, .msg = bus_msg_for(m) };

	if (mail_read(c, &mail).code)
		abort();
	return mail;
}

static struct ctx ctx(void)
{
	return (struct ctx) { .mem = &world.mem, .secret = config_text(CONFIG_REQUEST_KEY) };
}

/* When it is told, and in the end. */
void judge_told(const struct attempt *a)
{
	struct ctx c = ctx();
	const struct decided *d = decided_of(message[a->message].id);
	const struct mail mail = mail_of(&c, &message[a->message]);
	struct booking_outcome told;

	if (msg_from_pack(&c, &booking_outcome_msg, a->told, &told).code) {
		broken("request %s was told something unreadable", a->wish->id);
		return;
	}
	if (a->wish->poison != POISON_NOT && told.status == REQUEST_FAILED)
		return;
	if (d == NULL)
		broken("request %s was told an outcome, and has none", a->wish->id);
	else if (memcmp(d->row.body_hash.p, &mail.command.body_hash, sizeof mail.command.body_hash) == 0) {
		if (!str_eq(d->row.outcome, a->told))
			broken("request %s was told another outcome than its own", a->wish->id);
	} else if (!told.has.code || !str_eq(told.code, STR("key_reused"))) {
		broken("request %s came with another body, and was told its outcome", a->wish->id);
	}
}

/* ---- who may ---- */

static void judge_right(struct ctx *c, const struct decided *d, const struct command *k, const struct wish *w)
{
	struct booking_outcome o;

	if (d->row.status != REQUEST_BOOKED && d->row.status != REQUEST_DONE)
		return;
	if (msg_from_pack(c, &booking_outcome_msg, d->row.outcome, &o).code)
		broken("an outcome is unreadable");
	if (!(call[k->call].who & k->role))
		broken("%s was done for a role that may not", call[k->call].name);
	if (w->stale && k->call != CALL_booking_book && k->call != CALL_booking_open &&
	    k->call != CALL_booking_recur && k->call != CALL_booking_close && k->call != CALL_booking_attest)
		broken("%s was done though it relied on another state", call[k->call].name);
	if (!o.has.appointment)
		return;
	if (o.appointment.doctor_id != k->doctor_id)
		broken("%s was done in another doctor's mailbox", call[k->call].name);
	if (k->role == ROLE_PATIENT && o.appointment.patient_id != k->user)
		broken("%s was done for another patient", call[k->call].name);
	if (k->role == ROLE_DOCTOR && o.appointment.doctor_id != k->user)
		broken("%s was done for another doctor", call[k->call].name);
}

/* ---- the stream, led through decide.c alone ---- */

static const struct tables *t = &committed;
static struct slot        slots[SLOTS];
static struct appointment appointments[APPOINTMENTS];
static struct booking_move moves[4];
static struct request     requests[4];
static struct booking_id  gone[600];
static struct agenda      g;

enum { FRESH = 4096 };
#define SOME_ID (INT64_C(1) << 40)

static int by_order(const void *a, const void *b)
{
	const struct decided *x = *(const struct decided *const *) a, *y = *(const struct decided *const *) b;

	if (x->batch_id != y->batch_id)
		return (x->batch_id > y->batch_id) - (x->batch_id < y->batch_id);
	return (x->row.stream_seq > y->row.stream_seq) - (x->row.stream_seq < y->row.stream_seq);
}

static const struct message *message_of(const struct booking_request *r)
{
	for (size_t i = 0; i < nmessages; i++)
		if (message[i].partition == r->partition && message[i].seq == r->stream_seq &&
		    message[i].time == r->stream_time && memcmp(&message[i].id, r->id.p, 16) == 0)
			return &message[i];
	return NULL;
}

/* The number that a slot, opened in that batch, was given. */
static int64_t number_of(int64_t batch, const struct booking_slot *s)
{
	for (size_t i = 0; i < t->nwrote; i++) {
		const struct booking_writes *w = t->wrote[i].w;

		if (w->batch_id != batch)
			continue;
		for (size_t k = 0; k < w->opened.n; k++)
			if (w->opened.items[k].doctor_id == s->doctor_id && w->opened.items[k].starts == s->starts)
				return w->opened.items[k].id;
	}
	broken("a slot was granted to doctor %" PRId64 ", and not written", s->doctor_id);
	return s->id;
}

static void rename_slot(int64_t *id, int64_t from, int64_t to)
{
	if (*id == from)
		*id = to;
}

static void rename_slots(struct decision *d, int64_t batch)
{
	struct booking_outcome *o = &d->outcome;

	for (size_t i = 0; i < g.nslots; i++) {
		const int64_t is = g.slots[i].row.id;

		if (is < SOME_ID)
			continue;

		const int64_t to = number_of(batch, &g.slots[i].row);

		rename_slot(&g.slots[i].row.id, is, to);
		rename_slot(&o->slot.id, is, to);
		rename_slot(&d->slot_id, is, to);
		for (size_t k = 0; k < o->slots.n; k++)
			rename_slot(&o->slots.items[k].id, is, to);
	}
}

static void settle_marks(void)
{
	for (size_t i = 0; i < g.nslots;) {
		g.slots[i].touched = g.slots[i].held = false;
		if (g.slots[i].mark == DROPPED)
			g.slots[i] = g.slots[--g.nslots];
		else
			g.slots[i++].mark = KEPT;
	}
	for (size_t i = 0; i < g.nappointments; i++)
		g.appointments[i].mark = KEPT;
	g.nrequests = g.nmoves = 0;
}

static void judge_blocker(const struct decided *d, const struct decision *again)
{
	const struct appointment *a = d->row.has.blocked_by ? agenda_appointment(&g, d->row.blocked_by) : NULL;
	const struct slot *s = agenda_slot(&g, again->slot_id);

	if (d->row.has.blocked_by != (again->blocked_by != 0))
		broken("request of batch %" PRId64 " names a blocker without need, or none", d->batch_id);
	else if (d->row.has.blocked_by &&
		 (a == NULL || !appointment_is_live(&a->row) || s == NULL ||
		  (a->row.slot_id != s->row.id && (a->row.starts >= s->row.ends || s->row.starts >= a->row.ends))))
		broken("appointment %" PRId64 " was not in the way", d->row.blocked_by);
}

static bool is_gone(int64_t account)
{
	for (size_t i = 0; i < g.ngone; i++)
		if (g.gone[i].id == account)
			return true;
	return false;
}

static void judge_again(struct ctx *c, const struct decided *d)
{
	const struct message *m = message_of(&d->row);
	struct mail mail;
	struct decision again;
	struct str outcome;
	int64_t fresh[FRESH];

	if (m == NULL) {
		broken("an outcome of batch %" PRId64 " is of no message", d->batch_id);
		return;
	}
	if (d->row.status == REQUEST_FAILED)
		return;			/* judge_dead() says whether it had to */
	mail = mail_of(c, m);
	judge_right(c, d, &mail.command, wish_of(m->id));
	for (size_t i = 0; i < FRESH; i++)
		fresh[i] = SOME_ID + (int64_t) i;
	mail.command.fresh_slots = fresh;
	mail.command.fresh_appointment = d->row.has.appointment_id ? d->row.appointment_id : SOME_ID;
	g.now = d->decided_at;
	g.batch_id = d->batch_id;
	g.ngone = 0;
	for (size_t i = 0; i < nlost; i++)
		if (lost_account[i].batch_id == d->batch_id && g.ngone < COUNT(gone))
			gone[g.ngone++] = (struct booking_id) { .id = lost_account[i].account, .has.id = 1 };
	if (d->row.status != REQUEST_REJECTED && is_gone(mail.command.user))
		broken("%s was done for an account that was erased", call[mail.command.call].name);
	decide(&g, &mail.command, &again);
	rename_slots(&again, d->batch_id);
	if (msg_to_pack(c, &booking_outcome_msg, &again.outcome, &outcome).code)
		abort();
	if (!str_eq(outcome, d->row.outcome))
		broken("%s, sequence %" PRId64 ", batch %" PRId64 ": told %.*s, and in the order of the stream %.*s",
		       call[mail.command.call].name, d->row.stream_seq, d->batch_id,
		       (int) d->row.code.n, d->row.code.p, (int) again.outcome.code.n, again.outcome.code.p);
	judge_blocker(d, &again);
	settle_marks();
}

/* Within a doctor whoever was accepted first is decided first. */
static void judge_order(const struct decided *const *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++) {
			if (row[i]->row.doctor_id != row[k]->row.doctor_id)
				continue;
			if (message_of(&row[i]->row) > message_of(&row[k]->row))
				broken("doctor %" PRId64 ": sequence %" PRId64 " was decided before %" PRId64,
				       row[i]->row.doctor_id, row[i]->row.stream_seq, row[k]->row.stream_seq);
			break;
		}
}

static bool is_same(struct ctx *c, const struct msg *m, const void *a, const void *b)
{
	struct str x, y;

	return msg_to_pack(c, m, a, &x).code == ERR_none && msg_to_pack(c, m, b, &y).code == ERR_none &&
	       str_eq(x, y);
}

static void judge_rest(struct ctx *c)
{
	if (g.nslots != t->nslots || g.nappointments != t->nappointments)
		broken("there are %zu slots and %zu appointments, and not %zu and %zu", t->nslots,
		       t->nappointments, g.nslots, g.nappointments);
	for (size_t i = 0; i < t->nslots; i++) {
		const struct slot *s = agenda_slot(&g, t->slot[i].id);

		if (s == NULL || !is_same(c, &booking_slot_msg, &s->row, &t->slot[i]))
			broken("slot %" PRId64 " is not as decided", t->slot[i].id);
	}
	for (size_t i = 0; i < t->nappointments; i++) {
		const struct appointment *a = agenda_appointment(&g, t->appointment[i].id);

		if (a == NULL || !is_same(c, &booking_appointment_msg, &a->row, &t->appointment[i]))
			broken("appointment %" PRId64 " is not as decided", t->appointment[i].id);
	}
}

void judge_end(void)
{
	struct ctx c = ctx();
	const struct decided *row[REQUESTS];

	for (size_t i = 0; i < nmessages; i++) {
		if (message[i].fate == STAYS && !is_settled(&message[i]))
			broken("message %" PRId64 " has no outcome", message[i].seq);
		judge_dead(&message[i]);
	}
	for (size_t i = 0; i < nattempts; i++)
		if (attempt[i].told.n > 0)
			judge_told(&attempt[i]);
	for (size_t i = 0; i < t->nrequests; i++)
		row[i] = &t->request[i];
	qsort(row, t->nrequests, sizeof row[0], by_order);
	judge_order(row, t->nrequests);
	g = (struct agenda) { .mem = &world.mem, .slots = slots, .appointments = appointments, .moves = moves,
		.requests = requests, .gone = gone };
	for (size_t i = 0; i < t->nrequests && !is_broken(); i++)
		judge_again(&c, row[i]);
	if (!is_broken())
		judge_rest(&c);
}
