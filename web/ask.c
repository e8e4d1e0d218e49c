/*
 * ask.c - questions to actors and commands to mailboxes, and their answers.
 *
 * Must not know HTTP, a route or a domain; hold no lock while it waits.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/clock.h"
#include "broker/metrics.h"
#include "web/job.h"

#define ACK_DEADLINE (5 * SECOND)
#define ASK_PATIENCE (1 * SECOND)
#define TRY_DEADLINE SECOND		/* of the one that finds out whether the stream takes anything again */

static struct bus *bus_of(struct gateway *g)
{
	static _Atomic unsigned turn;
	static _Thread_local unsigned mine;	/* a thread stays with its connection */

	if (mine == 0)
		mine = 1 + atomic_fetch_add(&turn, 1) % GATEWAY_BUSES;
	return g->bus[mine - 1];
}

const struct field *field_at(const struct msg *m, size_t off)
{
	for (size_t i = 0; i < m->nfields; i++)
		if (m->fields[i].off == off)
			return &m->fields[i];
	assert(0 && "no field of the call is there");
}

const struct field *field_named(const struct msg *m, const char *name, enum kind kind)
{
	for (size_t i = 0; i < m->nfields; i++)
		if (m->fields[i].kind == kind && strcmp(m->fields[i].name, name) == 0)
			return &m->fields[i];
	return NULL;
}

bool field_said(const struct msg *m, const void *in, const struct field *f)
{
	return ((const struct set *) in)->has >> (f - m->fields) & 1;
}

int64_t field_int(const void *in, const struct field *f)
{
	return *(const int64_t *) ((const char *) in + f->off);
}

void field_set(const struct msg *m, void *out, const struct field *f, int64_t value)
{
	*(int64_t *) ((char *) out + f->off) = value;
	((struct set *) out)->has |= UINT64_C(1) << (f - m->fields);
}

/* Reads what an actor sent; what is wrong with that is no fault of the client's. */
static err_t read_reply(struct ctx *c, const struct msg *m, struct str bytes, void **out)
{
	const enum err_code verdict = c->verdict;
	const size_t nfaults = c->nfaults;

	if ((*out = arena_alloc(c->mem, m->size)) == NULL)
		return refuse(c, ERR_too_large, "%s fills the arena", m->name);
	c->verdict = ERR_none;
	const err_t e = msg_from_pack(c, m, bytes, *out);

	if (e.code == ERR_none) {
		c->verdict = verdict;
		return OK;
	}
	const struct fault *f = c->nfaults > nfaults ? &c->fault[nfaults] : NULL;

	c->nfaults = 0;
	return refuse(c, ERR_internal, "reply %s: %s %s", m->name, f ? f->path : "",
		      f ? f->message : "is not msgpack");
}

static err_t ask_until(struct job *j, const struct call *k, struct str body, const char *request,
		       int64_t until, struct str *reply)
{
	const int64_t deadline = j->c->deadline;
	struct headers h = { .n = 0 };

	j->c->deadline = until;
	wire_put_ctx(j->c, false, &h);
	if (request != NULL)
		wire_put(&h, WIRE_REQUEST, request);
	const err_t e = bus_request(j->c, bus_of(j->g), k->subject, &h, body, reply);

	j->c->deadline = deadline;
	return e;
}

/* Whoever takes a question may be frozen, or behind a server that is, and still be asked for a while: what
 * changes nothing is asked of another one, and each has twice the time of the one before. */
static err_t ask_some(struct job *j, const struct call *k, struct str body, const char *request, struct str *reply)
{
	for (int64_t patience = ASK_PATIENCE; k->tx == TX_READ; patience *= 2) {
		const int64_t now = clock_mono();

		if (now + 2 * patience > j->c->deadline)
			break;
		const err_t e = ask_until(j, k, body, request, now + patience, reply);

		if (e.code != ERR_timeout)
			return e;
	}
	return ask_until(j, k, body, request, j->c->deadline, reply);
}

err_t ask(struct job *j, const struct call *k, const void *req, const char *request, void **rep)
{
	const enum crowd_row row = crowd_of(k->domain);
	const int64_t began = clock_mono();
	struct str body, reply;

	TRY(msg_to_pack(j->c, k->req, req, &body));
	if (!crowd_enter(&j->g->crowd, row, began))
		return refuse(j->c, ERR_unavailable, "%s: too many wait", k->name);
	const err_t e = ask_some(j, k, body, request, &reply);

	crowd_leave(&j->g->crowd, row, began, clock_mono(), e.code != ERR_timeout);
	TRY(e);
	return read_reply(j->c, k->rep, reply, rep);
}

/* A command that may name many things is answered with as many. */
static size_t outcome_room(const struct call *k)
{
	for (size_t i = 0; i < k->req->nfields; i++)
		if (k->req->fields[i].kind == K_TIMES || k->req->fields[i].kind == K_INTS)
			return OUTCOME_MOST;
	return OUTCOME_USUAL;
}

/* As the mailbox hashes it (actors/booking/mail.c): where a command moves something, what it moves from is
 * found out, and may be another at a copy. */
static err_t hash_body(struct job *j, const struct call *k, const void *req, struct str body,
		       struct digest *hash)
{
	struct str part[] = { str_of(k->name), body };

	if (k->via == MAILBOX_MOVES)
		TRY(msg_said(j->c, k->req, req, &part[1]));
	*hash = digest_of(j->g->secret, part, COUNT(part));
	return OK;
}

/* Publishes, and waits: for the outcome while not too many do, else for the acknowledgement.  Of a stream that
 * acknowledged nothing a few at a time find out, in a moment, whether it does again. */
static err_t send_off(struct job *j, const struct call *k, int64_t doctor, struct headers *h, struct str body,
		      int64_t *wait_us, struct bus_outcome *o)
{
	struct crowd *crowd = &j->g->crowd;
	const int64_t began = clock_mono();
	const bool silent = crowd_is_silent(crowd, CROWD_log);
	enum crowd_row row = CROWD_outcome;
	char subject[PARTITION_SUBJECT];

	if (silent && *wait_us > TRY_DEADLINE)
		*wait_us = TRY_DEADLINE;
	if (*wait_us == 0 || silent || !crowd_enter(crowd, row, began)) {
		*wait_us = silent ? *wait_us : 0;
		row = CROWD_log;
		if (!crowd_enter(crowd, row, began))
			return refuse(j->c, ERR_unavailable, "%s: too many wait", k->name);
	}
	j->c->deadline = began + (silent ? TRY_DEADLINE : *wait_us > ACK_DEADLINE ? *wait_us : ACK_DEADLINE);
	if (*wait_us > 0)
		memory_waits(&j->g->memory, doctor, began);
	partition_subject(doctor, subject);

	const err_t e = bus_command(j->c, bus_of(j->g), subject, h, body, *wait_us, outcome_room(k), o);
	const bool known = e.code || o->state != OUTCOME_UNKNOWN;
	const int64_t now = clock_mono();

	memory_waited(&j->g->memory, doctor, *wait_us > 0, began, now, o);
	crowd_leave(crowd, row, began, now, known);
	crowd_hear(crowd, CROWD_log, began, now, known);
	return e;
}

err_t command(struct job *j, const struct call *k, const void *req, int64_t doctor, int64_t *wait_us,
	      struct request_id *id, struct bus_outcome *o)
{
	char text[REQUEST_ID_TEXT + 1];
	struct headers h = { .n = 0 };
	struct digest hash;
	struct str body;

	*o = (struct bus_outcome) { .state = OUTCOME_UNKNOWN };
	*id = request_id_make(j->g->secret, doctor, j->who, j->key);
	TRY(msg_to_pack(j->c, k->req, req, &body));
	TRY(hash_body(j, k, req, body, &hash));
	request_id_say(id, j->g->secret, j->who, hash);
	request_id_write(id, text);
	wire_put_ctx(j->c, true, &h);
	wire_put(&h, WIRE_CALL, k->name);
	wire_put(&h, WIRE_REQUEST, text);
	return send_off(j, k, doctor, &h, body, wait_us, o);
}

static const char *text_of(struct ctx *c, struct str s)
{
	char *text = arena_alloc(c->mem, s.n + 1);

	return text == NULL ? "" : memcpy(text, s.p, s.n);
}

err_t outcome_read(struct job *j, const struct call *k, struct str bytes,
		   const struct booking_outcome **out)
{
	const struct booking_outcome *o;
	char code[65] = "";
	void *any;

	TRY(read_reply(j->c, k->rep, bytes, &any));
	*out = o = any;
	switch (o->status) {
	case REQUEST_BOOKED: case REQUEST_DONE:
		return OK;
	case REQUEST_REJECTED:
		(void) snprintf(code, sizeof code, "%.*s", (int) o->code.n,
				o->has.code ? o->code.p : "");
		const err_t e = err_named(code);

		for (size_t i = 0; i < o->faults.n; i++)
			(void) fault(j->c, e.code, text_of(j->c, o->faults.items[i].field),
				     text_of(j->c, o->faults.items[i].message));
		return e.code == ERR_none
			   ? refuse(j->c, ERR_internal, "%s: rejected without a code", k->name)
			   : e;
	case REQUEST_FAILED:
		return refuse(j->c, ERR_failed, "%s: dead letter", k->name);
	case REQUEST_PENDING:
		break;
	}
	return refuse(j->c, ERR_internal, "%s: an outcome that is none", k->name);
}

err_t page_items(struct job *j, const struct msg *m, const void *page, struct str *array)
{
	static const size_t before = sizeof "{\"items\":" - 1;
	const struct msg items = { m->name, m->size, 1, m->fields, NULL };
	struct str json;

	TRY(msg_to_json(j->c, &items, page, &json));
	*array = (struct str) { json.p + before, json.n - before - 1 };
	return OK;
}
