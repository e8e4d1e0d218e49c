/*
 * find.c - what a request needs and its client may not say: whose mailbox, whose appointment.
 *
 * Must not decide anything: who owns what is answered by the domain that keeps it.
 */
#include <assert.h>
#include <string.h>
#include "broker/base/clock.h"
#include "web/job.h"

#define ATTEST_WAIT (5 * SECOND)
#define ASK_AGAIN   (500 * MS)		/* about what is known */

/* The appointment, if it is the caller's. */
static err_t locate(struct job *j, int64_t appointment, struct appointments_locate_rep **at)
{
	struct appointments_locate_req q = { .id = 0 };
	void *rep;

	SET(&q, id, appointment);
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, &call[CALL_appointments_locate], &q, NULL, &rep));
	*at = rep;
	return OK;
}

/* What is known serves on while nobody answers, and does not wait for long. */
static err_t know(struct job *j, int64_t doctor)
{
	struct memory *m = &j->g->memory;
	struct users_known_req q = { .doctor_id = 0 };
	bool old;
	const bool known = memory_knows(m, doctor, clock_mono(), &old);
	void *rep;

	if (known && !old)
		return OK;
	SET(&q, doctor_id, doctor);
	j->c->deadline = clock_mono() + (known ? ASK_AGAIN : READ_DEADLINE);

	const err_t e = ask(j, &call[CALL_users_known], &q, NULL, &rep);

	j->c->deadline = clock_mono() + READ_DEADLINE;
	if (e.code == ERR_none)
		memory_know(m, doctor, clock_mono());
	else if (e.code == ERR_not_found)
		memory_forget(m, doctor);
	return known && e.code != ERR_not_found ? OK : e;
}

/* An int field of the request that is ours to fill. */
static void fill(struct job *j, const char *name, int64_t value)
{
	const struct msg *m = j->call->req;
	const struct field *f = field_named(m, name, K_INT);

	assert(f != NULL && f->from == FROM_OURS);
	field_set(m, j->req, f, value);
}

err_t find_mailbox(struct job *j, int64_t *doctor)
{
	const struct field *key = field_at(j->call->req, j->call->key);
	const struct field *id = field_named(j->call->req, "id", K_INT);
	struct appointments_locate_rep *at;

	j->c->deadline = clock_mono() + READ_DEADLINE;
	switch (j->call->via) {
	case MAILBOX_NAMED:
		*doctor = field_int(j->req, key);
		return know(j, *doctor);
	case MAILBOX_OWN:
		*doctor = j->c->user;
		memory_know(&j->g->memory, *doctor, clock_mono());
		break;
	case MAILBOX_LOCATED:
		assert(id != NULL);
		TRY(locate(j, field_int(j->req, id), &at));
		*doctor = at->doctor_id;
		break;
	case MAILBOX_MOVES:
		assert(id != NULL);
		TRY(locate(j, field_int(j->req, id), &at));
		fill(j, "former_doctor_id", at->doctor_id);
		*doctor = field_int(j->req, key);
		return know(j, *doctor);
	case REQUEST: case SCOPED: case HASHED: case SHARED: case KNOWN: case LOCATED: case ATTESTED:
	case CONCLUDED: case UPLOAD: case DOWNLOAD: case EXPORT:
		assert(0 && "in no mailbox");
	}
	field_set(j->call->req, j->req, key, *doctor);
	return OK;
}

/* ---- beside every appointment_id ---- */

static size_t size_of(enum kind kind)
{
	return kind == K_ENUM ? sizeof(int) : sizeof(int64_t);
}

/* A field is called as the one of locate, or that after `appointment_`, where the name is taken. */
static const struct field *namesake(const struct field *f)
{
	static const char prefix[] = "appointment_";
	const size_t n = sizeof prefix - 1;

	return field_named(&appointments_locate_rep_msg,
			   strncmp(f->name, prefix, n) == 0 ? f->name + n : f->name, f->kind);
}

static void copy_ours(const struct msg *m, void *out, const struct appointments_locate_rep *at)
{
	const struct msg *from = &appointments_locate_rep_msg;

	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i], *g;

		if (f->from != FROM_OURS || (f->kind != K_INT && f->kind != K_TIME && f->kind != K_ENUM) ||
		    (g = namesake(f)) == NULL || !field_said(from, at, g))
			continue;
		memcpy((char *) out + f->off, (const char *) at + g->off, size_of(f->kind));
		((struct set *) out)->has |= UINT64_C(1) << i;
	}
}

/* As the mailbox sees it, which from then on keeps the appointment with this doctor. */
static err_t attest(struct job *j, int64_t appointment, struct appointments_locate_rep *at)
{
	const struct call *k = &call[CALL_booking_attest];
	struct booking_attest_req q = { .id = 0 };
	const struct booking_outcome *o;
	struct bus_outcome outcome;
	struct request_id id;
	int64_t wait = ATTEST_WAIT;

	SET(&q, id, appointment);
	SET(&q, doctor_id, at->doctor_id);
	TRY(command(j, k, &q, at->doctor_id, &wait, &id, &outcome));
	if (outcome.state != OUTCOME_DECIDED)
		return refuse(j->c, ERR_outcome_unknown, "%s: not decided in time", k->name);
	TRY(outcome_read(j, k, outcome.outcome, &o));
	SET(at, status, o->appointment.status);
	return OK;
}

static err_t find_beside(struct job *j, const struct msg *m, void *in)
{
	const struct field *id = field_named(m, "appointment_id", K_INT);
	struct appointments_locate_rep *at;

	if (id != NULL && field_said(m, in, id)) {
		TRY(locate(j, field_int(in, id), &at));
		if (j->call->via == ATTESTED)
			TRY(attest(j, field_int(in, id), at));
		copy_ours(m, in, at);
	}
	for (size_t i = 0; i < m->nfields; i++) {
		const struct field *f = &m->fields[i];
		struct { char *items; size_t n; } list;

		if (f->kind != K_LIST || !field_said(m, in, f))
			continue;
		memcpy(&list, (char *) in + f->off, sizeof list);
		for (size_t k = 0; k < list.n; k++)
			TRY(find_beside(j, f->of.msg, list.items + k * f->of.msg->size));
	}
	return OK;
}

/* ---- what took place ---- */

static err_t find_concluded(struct job *j)
{
	const struct call *k = &call[CALL_appointments_concluded];
	const struct msg *m = j->call->req;
	const struct field *into = field_named(m, "concluded", K_LIST);
	const struct field *from = field_named(k->rep, "items", K_LIST);
	const int64_t doctor = field_int(j->req, field_named(m, "doctor_id", K_INT));
	void *q = arena_alloc(j->c->mem, k->req->size), *rep;

	assert(into != NULL && from != NULL && into->of.msg == from->of.msg);
	if (q == NULL)
		return refuse(j->c, ERR_too_large, "%s fills the arena", k->name);
	TRY(know(j, doctor));
	field_set(k->req, q, field_named(k->req, "doctor_id", K_INT), doctor);
	TRY(ask(j, k, q, NULL, &rep));
	memcpy((char *) j->req + into->off, (char *) rep + from->off, sizeof(struct ints));
	((struct set *) j->req)->has |= UINT64_C(1) << (into - m->fields);
	return OK;
}

err_t find_rest(struct job *j)
{
	j->c->deadline = clock_mono() + READ_DEADLINE;
	if (j->call->via == KNOWN)
		TRY(know(j, field_int(j->req, field_at(j->call->req, j->call->key))));
	else if (j->call->via == LOCATED || j->call->via == ATTESTED || j->call->via == UPLOAD)
		TRY(find_beside(j, j->call->req, j->req));
	else if (j->call->via == CONCLUDED)
		TRY(find_concluded(j));
	j->c->deadline = clock_mono() + READ_DEADLINE;
	return OK;
}
