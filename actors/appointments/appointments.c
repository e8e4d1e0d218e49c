/* appointments.c - what one can read of one's appointments and requests.  Must not change any. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/appointments/appointments.h"
#include "actors/appointments/ical.h"
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "actors/core/page.h"
#include "broker/base/config.h"
#include "broker/base/rule.h"
#include "broker/request_id.h"

#define APPOINTMENTS_KEY(F, T)                                        \
	F(T, BODY, INT,  id,             REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)
#define APPOINTMENTS_SPAN(F, T)                                       \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, TIME, from,           REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, TIME, to,             REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, ENUM, status,         OPT, 0, 0, appointment_filter) \
	F(T, BODY, TIME, after_time,     REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, INT,  after_id,       REQ, 0, INT64_MAX, -)        \
	F(T, BODY, INT,  rows,           REQ, 1, PAGE_MAX + 1, -)
#define APPOINTMENTS_MOVES_SPAN(F, T)                                 \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  after_batch,    REQ, 0, INT64_MAX, -)        \
	F(T, BODY, INT,  after_seq,      REQ, 0, INT64_MAX, -)        \
	F(T, BODY, INT,  rows,           REQ, 1, PAGE_MAX + 1, -)
#define APPOINTMENTS_PAIR(F, T)                                       \
	F(T, BODY, INT,  patient_id,     REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  doctor_id,      REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  rows,           REQ, 1, VISITS_MAX, -)
#define APPOINTMENTS_REQUEST_KEY(F, T)                                \
	F(T, BODY, BYTES, id,            REQ, 16, 16, -)
#define APPOINTMENTS_REQUEST_ROW(F, T)                                \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  doctor_id,      REQ, 0, INT64_MAX, -)        \
	F(T, BODY, BYTES, body_hash,     REQ, 16, 16,       -)        \
	F(T, BODY, ENUM, status,         REQ, 0, 0, request_status)   \
	F(T, BODY, TEXT, code,           OPT, 1, 64,        -)        \
	F(T, BODY, INT,  appointment_id, OPT, 1, INT64_MAX, -)        \
	F(T, BODY, TIME, requested_at,   REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, TIME, decided_at,     REQ, 0, TIME_MAX,  -)
MSG_DECLARE(appointments_key,         APPOINTMENTS_KEY)
MSG_DECLARE(appointments_span,        APPOINTMENTS_SPAN)
MSG_DECLARE(appointments_moves_span,  APPOINTMENTS_MOVES_SPAN)
MSG_DECLARE(appointments_pair,        APPOINTMENTS_PAIR)
MSG_DECLARE(appointments_request_key, APPOINTMENTS_REQUEST_KEY)
MSG_DECLARE(appointments_request_row, APPOINTMENTS_REQUEST_ROW)
MSG_DEFINE(appointments_key,         APPOINTMENTS_KEY)
MSG_DEFINE(appointments_span,        APPOINTMENTS_SPAN)
MSG_DEFINE(appointments_moves_span,  APPOINTMENTS_MOVES_SPAN)
MSG_DEFINE(appointments_pair,        APPOINTMENTS_PAIR)
MSG_DEFINE(appointments_request_key, APPOINTMENTS_REQUEST_KEY)
MSG_DEFINE(appointments_request_row, APPOINTMENTS_REQUEST_ROW)

ACTOR_DEFINE(appointments, APPOINTMENTS_CALLS)

static const char *house = "";	/* whose appointments these are, in the calendars of the world */

bool appointments_start(char *why)
{
	(void) why;
	house = config_text(CONFIG_JWT_ISSUER);
	return true;
}

/* One's own: what another has does not exist. */
static struct appointments_key own(const struct ctx *c, int64_t id)
{
	struct appointments_key k = { .set = { 0 } };

	SET(&k, id, id);
	SET(&k, user_id, c->user);
	return k;
}

static err_t appointments_get(struct ctx *c, const struct appointments_get_req *q,
			      struct appointments_appointment *a)
{
	const struct appointments_key k = own(c, q->id);

	return db_one(c, Q_appointments_get, &k, a);
}

static err_t appointments_locate(struct ctx *c, const struct appointments_locate_req *q,
				 struct appointments_locate_rep *a)
{
	const struct appointments_key k = own(c, q->id);

	return db_one(c, Q_appointments_locate, &k, a);
}

/* With that doctor, the latest first. */
static err_t appointments_concluded(struct ctx *c, const struct appointments_concluded_req *q,
				    struct appointments_concluded_rep *a)
{
	struct appointments_pair pair = { .set = { 0 } };

	SET(&pair, patient_id, c->user);
	SET(&pair, doctor_id, q->doctor_id);
	SET(&pair, rows, VISITS_MAX);
	a->has.items = 1;
	return db_list(c, Q_appointments_concluded, &pair, &a->items.items, &a->items.n);
}

static err_t appointments_calendar(struct ctx *c, const struct appointments_calendar_req *q,
				   struct document *a)
{
	const struct appointments_key k = own(c, q->id);
	struct appointments_appointment appointment;
	struct buf text = { .mem = c->mem }, name = { .mem = c->mem };

	TRY(db_one(c, Q_appointments_get, &k, &appointment));
	ical_appointment(&text, &appointment, house, c->now);
	buf_fmt(&name, "appointment-%" PRId64 ".ics", q->id);
	if (text.full || name.full)
		return refuse(c, ERR_too_large, "no room for a calendar");
	SET(a, type, STR("text/calendar; charset=utf-8; method=PUBLISH"));
	SET(a, name, ((struct str) { name.p, name.n }));
	SET(a, bytes, ((struct str) { text.p, text.n }));
	return OK;
}

static enum query list_of(const struct ctx *c, bool steady)
{
	if (c->role == ROLE_DOCTOR)
		return steady ? Q_appointments_steady_of_doctor : Q_appointments_of_doctor;
	return steady ? Q_appointments_steady_of_patient : Q_appointments_of_patient;
}

static err_t appointments_list(struct ctx *c, const struct appointments_list_req *q,
			       struct appointments_page *a)
{
	struct appointments_span span = { .set = { 0 } };
	struct page page;

	TRY(page_open(c, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page));
	SET(&span, user_id, c->user);
	SET(&span, from, q->has.from ? q->from : 0);
	SET(&span, to, q->has.to ? q->to : TIME_MAX);
	SET(&span, after_time, page.after_time);
	SET(&span, after_id, page.after_id);
	SET(&span, rows, page.rows);
	if (q->has.status)
		SET(&span, status, q->status);
	if (span.from > span.to)
		return fault(c, ERR_invalid, "to", "is before from");
	TRY(db_list(c, list_of(c, q->has.steady), &span, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct appointments_appointment *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, q->has.steady ? 0 : last->date_time, last->id, &a->next);
}

static err_t appointments_requests(struct ctx *c, const struct appointments_requests_req *q,
				   struct appointments_requests_rep *a)
{
	struct appointments_span span = { .set = { 0 } };
	struct page page;

	TRY(page_open(c, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page));
	SET(&span, user_id, c->user);
	SET(&span, after_time, page.after_time);
	SET(&span, after_id, page.after_id);
	SET(&span, rows, page.rows);
	TRY(db_list(c, Q_appointments_requests, &span, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct appointments_decided *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->requested_at, last->position, &a->next);
}

/* A batch and a position in the log, in the order in which moves were decided. */
static err_t appointments_moves(struct ctx *c, const struct appointments_moves_req *q,
				struct appointments_moves_rep *a)
{
	struct appointments_moves_span span = { .set = { 0 } };
	struct page page;

	TRY(page_open(c, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page));
	SET(&span, user_id, c->user);
	SET(&span, after_batch, page.after_time);
	SET(&span, after_seq, page.after_id);
	SET(&span, rows, page.rows);
	TRY(db_list(c, c->role == ROLE_DOCTOR ? Q_appointments_moves_of_doctor : Q_appointments_moves_of_patient,
		    &span, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct appointments_move *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->left_batch, last->left_position, &a->next);
}

/* The key of a row may have come back with another doctor or body: that was rejected. */
static bool is_same_request(const struct ctx *c, const struct request_id *id, struct str who,
			    const struct appointments_request_row *row)
{
	struct digest body;

	memcpy(&body, row->body_hash.p, sizeof body);
	return row->doctor_id == id->doctor &&
	       (request_id_says(id, str_of(c->secret), who, body) || !RULE(body_of_request));
}

/* A request of one's own that has no row yet is undecided, or was never accepted: both pending. */
static err_t appointments_request(struct ctx *c, const struct appointments_request_req *q,
				  struct appointments_request_rep *a)
{
	struct appointments_request_key k = { .set = { 0 } };
	struct appointments_request_row row;
	struct request_id id;
	char who[24];

	(void) snprintf(who, sizeof who, "%" PRId64, c->user);
	if (!request_id_read(q->request_id, &id))
		return ERR(not_found);
	if (RULE(owner_of_request) && !request_id_is_of(&id, str_of(c->secret), str_of(who)))
		return ERR(not_found);
	SET(&k, id, ((struct str) { (const char *) id.nonce.b, sizeof id.nonce.b }));

	const err_t e = db_one(c, Q_appointments_request, &k, &row);

	if (e.code != ERR_none && e.code != ERR_not_found)
		return e;
	SET(a, request_id, q->request_id);
	a->null.ahead = 1;		/* the gateway hears from the owners where they are */
	if (e.code == ERR_not_found) {
		SET(a, status, REQUEST_PENDING);
		a->null.code = a->null.appointment_id = a->null.requested_at = a->null.decided_at = 1;
		return OK;
	}
	if (RULE(owner_of_request) && row.user_id != c->user)
		return ERR(not_found);
	if (row.status != REQUEST_FAILED && !is_same_request(c, &id, str_of(who), &row)) {
		SET(a, status, REQUEST_REJECTED);
		SET(a, code, str_of(err_info[ERR_key_reused].code));
		a->null.appointment_id = a->null.requested_at = a->null.decided_at = 1;
		return OK;
	}
	SET(a, status, row.status);
	SET(a, requested_at, row.requested_at);
	SET(a, decided_at, row.decided_at);
	a->null.code = !row.has.code;
	a->null.appointment_id = !row.has.appointment_id;
	if (row.has.code)
		SET(a, code, row.code);
	if (row.has.appointment_id)
		SET(a, appointment_id, row.appointment_id);
	return OK;
}
