/*
 * db.c - see db.h.  The only file that knows libpq.
 *
 * Everything goes as a pipeline, so that what opens a transaction travels with its first query;
 * every wait has an end of its own.  Must not know a domain, and decides nothing but what an
 * SQLSTATE is called here.
 */
#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/db.h"
#include "broker/base/clock.h"
#include "broker/base/rule.h"

enum {
	PARAMS_MAX = 64, DEPTH_MAX = 4, OBJECTS_MAX = 16,
	GRACE_MS = 1000,	/* a statement may outlive its deadline by this much */
	PATIENCE_S = 30,	/* where a domain's message has no deadline */
	TIMEOUT_STEP_MS = 500,	/* statement_timeout is rounded up to it, and so rarely sent anew */
	NUMERIC_MAX = 8 + 2 * 6,
};
#define PG_EPOCH_US   INT64_C(946684800000000)		/* PostgreSQL counts from 2000-01-01 */
#define PG_EPOCH_DAYS 10957

/* A constraint that answers a question of the domain. */
static const struct { const char *constraint; enum err_code code; } answers[] = {
	{ "account_email",            ERR_identity_in_use },
	{ "account_document",         ERR_identity_in_use },
	{ "doctor_medical_id",        ERR_medical_id_in_use },
	{ "slot_overlap",             ERR_slot_overlap },
	{ "appointment_slot_once",    ERR_slot_taken },
	{ "appointment_patient_once", ERR_patient_busy },
};

#define CORE_TIMEOUT(F, T)  F(T, OURS, INT,  ms,      REQ, 0, INT64_MAX, -)
#define CORE_TYPE_REQ(F, T) F(T, OURS, INT,  oid,     REQ, 0, UINT32_MAX, -)
#define CORE_TYPE(F, T)                                            \
	F(T, OURS, TEXT, name,    REQ, 0, 255, -)                  \
	F(T, OURS, BOOL, is_enum, REQ, 0, 0, -)                    \
	F(T, OURS, INT,  element, REQ, 0, UINT32_MAX, -)
MSG_DECLARE(core_timeout,  CORE_TIMEOUT)
MSG_DECLARE(core_type_req, CORE_TYPE_REQ)
MSG_DECLARE(core_type,     CORE_TYPE)
MSG_DEFINE(core_timeout,   CORE_TIMEOUT)
MSG_DEFINE(core_type_req,  CORE_TYPE_REQ)
MSG_DEFINE(core_type,      CORE_TYPE)

/* How a value lies on the wire, and which types of the server lie so. */
enum layout { F_OTHER, F_BOOL, F_INT2, F_INT4, F_INT8, F_FLOAT8, F_NUMERIC, F_TIME, F_DATE, F_TEXT, F_BYTEA,
	F_UUID };
static const struct type { Oid oid, array; const char *name; enum layout form; } types[] = {
	{   16, 1000, "boolean",                  F_BOOL },
	{   17, 1001, "bytea",                    F_BYTEA },
	{   19, 1003, "name",                     F_TEXT },
	{   20, 1016, "bigint",                   F_INT8 },
	{   21, 1005, "smallint",                 F_INT2 },
	{   23, 1007, "integer",                  F_INT4 },
	{   25, 1009, "text",                     F_TEXT },
	{  701, 1022, "double precision",         F_FLOAT8 },
	{ 1042, 1014, "character",                F_TEXT },
	{ 1043, 1015, "character varying",        F_TEXT },
	{ 1082, 1182, "date",                     F_DATE },
	{ 1184, 1185, "timestamp with time zone", F_TIME },
	{ 1700, 1231, "numeric",                  F_NUMERIC },
	{ 2950, 2951, "uuid",                     F_UUID },
};
static const struct { const char *name; unsigned forms; } kinds[] = {
	[K_BOOL]   = { "BOOL",   1 << F_BOOL },
	[K_INT]    = { "INT",    1 << F_INT2 | 1 << F_INT4 | 1 << F_INT8 },
	[K_REAL]   = { "REAL",   1 << F_FLOAT8 },
	[K_MONEY]  = { "MONEY",  1 << F_NUMERIC },
	[K_RATING] = { "RATING", 1 << F_NUMERIC },
	[K_TIME]   = { "TIME",   1 << F_TIME },
	[K_DATE]   = { "DATE",   1 << F_DATE },
	[K_CLOCK]  = { "CLOCK",  0 },
	[K_TEXT]   = { "TEXT",   1 << F_TEXT },
	[K_BYTES]  = { "BYTES",  1 << F_BYTEA | 1 << F_UUID },
	[K_ENUM]   = { "ENUM",   1 << F_TEXT },
	[K_OBJECT] = { "OBJECT", 0 },
	[K_LIST]   = { "LIST",   0 },
	[K_INTS]   = { "INTS",   0 },
	[K_TIMES]  = { "TIMES",  0 },
};

/* From the start of a message to one of its fields, past the objects that may be absent. */
struct way {
	struct { size_t set; uint64_t bit; } step[DEPTH_MAX];
	size_t              nsteps, off;
	const struct field *field;
};
struct param {
	struct way way;		/* to the value, or to the list */
	struct way item;	/* through a list: to the value within an item */
	enum layout  form;
	Oid        element;	/* of an array; 0 when it is none */
};
struct column { struct way way; enum layout form; };

/* A prepared query, matched to its messages. */
struct plan {
	const struct query_text *text;
	struct param  *param;
	struct column *column;
	struct way     object[OBJECTS_MAX];	/* those that columns lead through */
	size_t         nparams, ncolumns, nobjects;
};

struct db {
	PGconn      *conn;		/* NULL once it was lost */
	bool         owner;		/* no domain: prepares at first use, never hurries */
	bool         begin;		/* a BEGIN is to go with the next query */
	enum { IDLE, SENDING, TAKING } state;
	size_t       syncs;		/* ends that are still to come */
	size_t       own;		/* results of ours that come before the first to take */
	err_t        failed;		/* the first error of this pipeline */
	bool         warned;		/* the server warned (01000) during this pipeline */
	bool         poison;
	char         sqlstate[6];
	int64_t      timeout_ms;	/* the session's statement_timeout; -1: not known */
	int64_t      limit;		/* of clock_mono(): until when this pipeline is waited for */
	struct plan *plan[Q_COUNT];
};

static void clear_result(PGresult **r)
{
	PQclear(*r);
}
#define RESULT CLEANUP(clear_result) PGresult *

/* ---- the connection, and what is said of errors ---- */

static err_t lose(struct ctx *c, const char *why)
{
	struct db *db = c->db;

	if (db->conn != NULL && why == NULL)
		why = PQerrorMessage(db->conn);
	err_t e = refuse(c, ERR_unavailable, "database: %s", why ? why : "not connected");

	PQfinish(db->conn);
	db->conn = NULL;
	db->state = IDLE;
	db->begin = false;
	db->sqlstate[0] = '\0';
	db->poison = !RULE(retry_outage);
	return e;
}

/* The one place where an SQLSTATE becomes one of our errors. */
static err_t judge(struct ctx *c, const struct plan *p, const PGresult *r)
{
	struct db *db = c->db;
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME);
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *name = p == NULL ? "-" : p->text->name;
	enum err_code code = ERR_unavailable;

	if (state == NULL || PQstatus(db->conn) == CONNECTION_BAD)
		return lose(c, NULL);
	if (severity != NULL && strcmp(severity, "ERROR") != 0)
		return lose(c, text);		/* FATAL: the server ends the session */
	(void) snprintf(db->sqlstate, sizeof db->sqlstate, "%s", state);
	db->poison = strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0;
	db->timeout_ms = -1;		/* what was set in a transaction that fails is unset */
	if (db->poison)
		code = ERR_invalid;
	if (strcmp(state, "57014") == 0)
		code = ERR_timeout;
	for (size_t i = 0; constraint != NULL && i < COUNT(answers); i++)
		if (strcmp(constraint, answers[i].constraint) == 0)
			code = answers[i].code;
	/* The text of class 22 quotes the value, which may be a patient's. */
	if (strncmp(state, "22", 2) == 0 || text == NULL)
		text = "a value the server does not take";
	if (!RULE(retry_outage))
		db->poison = true;
	return refuse(c, code, "%s: %s %s", name, state, text);
}

/* A COMMIT that a synchronous standby has not confirmed says so in a warning, and succeeds. */
static void receive_notice(void *arg, const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	struct db *db = arg;

	if (state != NULL && (strcmp(state, "01000") == 0 || strncmp(state, "57", 2) == 0))
		db->warned = true;
}

/* Sends what is buffered and reads what has come; false when time is up or the server is gone. */
static bool pump(struct db *db, bool reading)
{
	const int unsent = PQflush(db->conn);

	if (unsent < 0)
		return false;
	if (!unsent && !reading)
		return true;

	struct pollfd fd = { .fd = PQsocket(db->conn),
		.events = (short) (POLLIN | (unsent ? POLLOUT : 0)) };
	const int64_t left = clock_left(db->limit);

	if (left == 0 || poll(&fd, 1, left > SECOND ? 1000 : (int) (left / MS) + 1) < 0)
		return left != 0;	/* EINTR is looked at anew */
	return fd.revents == 0 || (fd.revents & ~POLLOUT) == 0 || PQconsumeInput(db->conn);
}

/* The next result, NULL between those of two queries; false when the connection was lost. */
static bool get(struct db *db, PGresult **r)
{
	while (PQisBusy(db->conn))
		if (!pump(db, true))
			return false;
	*r = PQgetResult(db->conn);
	return true;
}

static err_t lose_late(struct ctx *c)
{
	return lose(c, clock_left(c->db->limit) == 0 ? "no answer in time" : NULL);
}

/* Gives the pipeline an end; whatever is not taken is thrown away up to there. */
static err_t finish(struct ctx *c)
{
	struct db *db = c->db;

	while (db->syncs > 0) {
		RESULT r = NULL;

		if (!get(db, &r))
			return lose_late(c);
		if (r == NULL && PQstatus(db->conn) == CONNECTION_BAD)
			return lose(c, NULL);
		if (r == NULL)
			continue;		/* the end of a query; the status of NULL is an error */
		db->syncs -= PQresultStatus(r) == PGRES_PIPELINE_SYNC;
		if (PQresultStatus(r) == PGRES_FATAL_ERROR && db->failed.code == ERR_none) {
			db->failed = judge(c, NULL, r);
			if (db->conn == NULL)
				return db->failed;
		}
	}
	db->state = IDLE;
	if (!PQexitPipelineMode(db->conn))
		return lose(c, NULL);
	return OK;
}

/* One transaction of its own ends here, or the pipeline. */
static err_t put_end(struct ctx *c)
{
	if (!PQpipelineSync(c->db->conn))
		return lose(c, NULL);
	c->db->syncs++;
	return OK;
}

/* Whatever an earlier error left unsaid or untaken is cleared away. */
static err_t settle(struct ctx *c)
{
	struct db *db = c->db;

	if (db->conn == NULL)
		return lose(c, NULL);
	if (db->state == IDLE)
		return OK;

	const struct db was = *db;

	if (db->limit != 0 && db->limit < clock_mono() + SECOND)
		db->limit = clock_mono() + SECOND;
	if (db->state == SENDING)
		TRY(put_end(c));
	TRY(finish(c));
	if (was.failed.code != ERR_none) {	/* the caller may still ask what that was */
		db->poison = was.poison;
		memcpy(db->sqlstate, was.sqlstate, sizeof db->sqlstate);
	}
	return OK;
}

static err_t open_pipeline(struct ctx *c)
{
	struct db *db = c->db;

	TRY(settle(c));
	db->limit = c->deadline != 0 ? c->deadline + GRACE_MS * MS :
		    db->owner ? 0 : clock_mono() + PATIENCE_S * SECOND;
	db->failed = OK;
	db->own = db->syncs = 0;
	db->warned = db->poison = false;
	db->sqlstate[0] = '\0';
	if (!PQenterPipelineMode(db->conn))
		return lose(c, NULL);
	db->state = SENDING;
	return OK;
}

static err_t flush(struct ctx *c)
{
	struct db *db = c->db;

	TRY(put_end(c));
	db->state = TAKING;
	while (PQflush(db->conn) != 0)		/* an answer that waits may hinder the sending */
		if (!pump(db, false))
			return lose_late(c);
	return OK;
}

/* One query's result, and the NULL that ends it. */
static err_t take(struct ctx *c, const struct plan *p, PGresult **r)
{
	struct db *db = c->db;
	RESULT none = NULL;

	if (db->conn == NULL)
		return lose(c, NULL);
	if (!get(db, r) || *r == NULL)
		return lose_late(c);
	switch ((int) PQresultStatus(*r)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		break;
	case PGRES_PIPELINE_ABORTED:
		if (db->failed.code == ERR_none)
			db->failed = refuse(c, ERR_unavailable, "the pipeline was aborted");
		break;
	case PGRES_PIPELINE_SYNC:
		assert(0 && "more was taken than sent");
	default: {
		const err_t e = judge(c, p, *r);

		if (db->failed.code == ERR_none)
			db->failed = e;
		if (db->conn == NULL)
			return e;
	}
	}
	if (!get(db, &none))
		return lose_late(c);
	assert(none == NULL);
	return db->failed;
}

/* ---- values on the wire ---- */

static void put16(char *p, int v)
{
	const uint16_t b = htobe16((uint16_t) v);

	memcpy(p, &b, sizeof b);
}

static void put32(char *p, int64_t v)
{
	const uint32_t b = htobe32((uint32_t) v);

	memcpy(p, &b, sizeof b);
}

static void put64(char *p, int64_t v)
{
	const uint64_t b = htobe64((uint64_t) v);

	memcpy(p, &b, sizeof b);
}

static int get16(const char *p)
{
	uint16_t b;

	memcpy(&b, p, sizeof b);
	return (int16_t) be16toh(b);
}

static int32_t get32(const char *p)
{
	uint32_t b;

	memcpy(&b, p, sizeof b);
	return (int32_t) be32toh(b);
}

static int64_t get64(const char *p)
{
	uint64_t b;

	memcpy(&b, p, sizeof b);
	return (int64_t) be64toh(b);
}

/* numeric: count of digits, weight of the first, sign, scale, digits to the base of 10,000. */
static size_t put_numeric(char *p, int64_t centavos)
{
	uint64_t u = centavos < 0 ? -(uint64_t) centavos : (uint64_t) centavos;
	const int cents = (int) (u % 100) * 100;
	int digit[6], n = 0, whole = 0;

	for (u /= 100; u > 0; u /= 10000)
		digit[whole++] = (int) (u % 10000);
	for (int i = whole; i-- > 0; n++)
		put16(p + 8 + 2 * n, digit[i]);
	if (cents > 0)
		put16(p + 8 + 2 * n++, cents);
	put16(p, n);
	put16(p + 2, whole - 1);
	put16(p + 4, centavos < 0 ? 0x4000 : 0);
	put16(p + 6, 2);
	return 8 + 2 * (size_t) n;
}

/* False when it is no amount of whole centavos. */
static bool get_numeric(const char *p, size_t len, int64_t *centavos)
{
	const int n = len < 8 ? -1 : get16(p), weight = len < 8 ? 0 : get16(p + 2);
	const int sign = len < 8 ? 0 : get16(p + 4);
	int64_t v = 0;

	if (n < 0 || len != 8 + 2 * (size_t) n || (sign != 0 && sign != 0x4000) || weight > 5)
		return false;
	for (int at = weight, i = 0; i < n || at >= -1; at--, i++) {
		const int d = i < n && at <= weight ? get16(p + 8 + 2 * i) : 0;

		if (at >= 0) {
			if (__builtin_mul_overflow(v, 10000, &v) || __builtin_sub_overflow(v, d, &v))
				return false;	/* downwards: there is one more below zero */
		} else if (at == -1) {
			if (__builtin_mul_overflow(v, 100, &v) || d % 100 != 0 ||
			    __builtin_sub_overflow(v, d / 100, &v))
				return false;
		} else if (d != 0) {
			return false;
		}
	}
	*centavos = v;
	return sign != 0 || !__builtin_sub_overflow(0, v, centavos);
}

/* One value as the server wants it: in `room`, or where it lies.  False when it does not fit. */
static bool encode(const struct field *f, enum layout form, const void *at, char room[NUMERIC_MAX],
		   struct str *out)
{
	struct str s = { room, 0 };
	int64_t v = 0;

	switch (f->kind) {
	case K_BOOL:
		room[0] = *(const bool *) at;
		s.n = 1;
		break;
	case K_INT:
		v = *(const int64_t *) at;
		if ((form == F_INT2 && v != (int16_t) v) || (form == F_INT4 && v != (int32_t) v))
			return false;
		s.n = form == F_INT2 ? 2 : form == F_INT4 ? 4 : 8;
		s.n == 2 ? put16(room, (int) v) : s.n == 4 ? put32(room, v) : put64(room, v);
		break;
	case K_REAL:
		memcpy(&v, at, sizeof v);
		put64(room, v);
		s.n = 8;
		break;
	case K_MONEY: case K_RATING:
		if (__builtin_mul_overflow(*(const int64_t *) at, f->kind == K_MONEY ? 1 : 10, &v))
			return false;
		s.n = put_numeric(room, v);
		break;
	case K_TIME:
		if (__builtin_sub_overflow(*(const int64_t *) at, PG_EPOCH_US, &v))
			return false;
		put64(room, v);
		s.n = 8;
		break;
	case K_DATE:
		if (__builtin_sub_overflow(*(const int64_t *) at, PG_EPOCH_DAYS, &v) ||
		    v != (int32_t) v)
			return false;
		put32(room, v);
		s.n = 4;
		break;
	case K_ENUM:
		s = str_of(f->of.names[*(const int *) at]);
		break;
	case K_TEXT: case K_BYTES:
		s = *(const struct str *) at;
		if (s.p == NULL)
			s.p = "";	/* NULL would be SQL's NULL */
		if ((form == F_UUID && s.n != 16) || s.n > INT32_MAX)
			return false;
		break;
	case K_OBJECT: case K_LIST: case K_CLOCK: case K_INTS: case K_TIMES:
		assert(0 && "not a value");
	}
	*out = s;
	return true;
}

static bool decode(struct ctx *c, const struct field *f, enum layout form, const char *p, size_t len,
		   void *at)
{
	int64_t *i = at;
	struct str s = { p, len };

	switch (f->kind) {
	case K_BOOL:
		*(bool *) at = len == 1 && p[0] != 0;
		return len == 1;
	case K_INT:
		*i = form == F_INT2 ? get16(p) : form == F_INT4 ? get32(p) : get64(p);
		return true;
	case K_REAL:
		*i = get64(p);		/* the very bits: a double is as wide */
		return true;
	case K_MONEY:
		return get_numeric(p, len, i);
	case K_RATING: {
		const bool read = get_numeric(p, len, i) && *i % 10 == 0;

		*i /= 10;
		return read;
	}
	case K_TIME:
		return !__builtin_add_overflow(get64(p), PG_EPOCH_US, i);
	case K_DATE:
		*i = (int64_t) get32(p) + PG_EPOCH_DAYS;
		return true;
	case K_TEXT: case K_BYTES: {
		char *copy = arena_alloc(c->mem, len);

		if (copy == NULL)
			return false;
		s.p = len == 0 ? copy : memcpy(copy, p, len);
		*(struct str *) at = s;
		return true;
	}
	case K_ENUM:
		for (int k = 0; f->of.names[k] != NULL; k++)
			if (str_eq(s, str_of(f->of.names[k]))) {
				*(int *) at = k;
				return true;
			}
		return false;
	case K_OBJECT: case K_LIST: case K_CLOCK: case K_INTS: case K_TIMES:
		break;
	}
	assert(0 && "not a value");
}

/* The place of a value in a message; NULL when it, or an object around it, is absent or null. */
static const void *way_value(const struct way *w, const void *msg)
{
	for (size_t i = 0; i < w->nsteps; i++) {
		const struct set *set = (const void *) ((const char *) msg + w->step[i].set);

		if (!(set->has & w->step[i].bit) || set->null & w->step[i].bit)
			return NULL;
	}
	return (const char *) msg + w->off;
}

/* An array in the server's form, made straight from the array of structs. */
static bool put_array(struct ctx *c, const struct param *p, const void *list_at, struct str *out)
{
	struct { const char *items; size_t n; } list;
	struct buf b = { .mem = c->mem };
	const size_t size = p->way.field->of.msg->size;
	char head[20], room[NUMERIC_MAX], length[4];
	bool nulls = false;

	memcpy(&list, list_at, sizeof list);
	buf_put(&b, head, sizeof head);
	for (size_t i = 0; i < list.n; i++) {
		const void *at = way_value(&p->item, list.items + i * size);
		struct str v = { NULL, 0 };

		if (at != NULL && !encode(p->item.field, p->form, at, room, &v))
			return false;
		nulls |= at == NULL;
		put32(length, at == NULL ? -1 : (int64_t) v.n);
		buf_put(&b, length, sizeof length);
		buf_put(&b, v.p, v.n);
	}
	if (b.full || b.n > INT32_MAX)
		return false;
	put32(b.p, list.n > 0);			/* dimensions */
	put32(b.p + 4, nulls);
	put32(b.p + 8, p->element);
	put32(b.p + 12, (int64_t) list.n);
	put32(b.p + 16, 1);			/* the lowest index */
	*out = (struct str) { b.p, list.n > 0 ? b.n : 12 };
	return true;
}

/* ---- sending ---- */

static const int all_binary[PARAMS_MAX] = { [0 ... PARAMS_MAX - 1] = 1 };

static err_t send_plan(struct ctx *c, const struct plan *p, const void *in)
{
	const char *value[PARAMS_MAX] = { NULL };
	int length[PARAMS_MAX] = { 0 };
	struct db *db = c->db;

	assert(p->nparams == 0 || in != NULL);
	for (size_t i = 0; i < p->nparams; i++) {
		const struct param *q = &p->param[i];
		const void *at = way_value(&q->way, in);
		struct str v = { NULL, 0 };
		bool fits = true;
		char *room;

		if (at != NULL && q->element != 0) {
			fits = put_array(c, q, at, &v);
		} else if (at != NULL) {
			room = arena_alloc(c->mem, NUMERIC_MAX);
			fits = room != NULL && encode(q->way.field, q->form, at, room, &v);
		}
		if (!fits) {
			memcpy(db->sqlstate, "22003", sizeof "22003");	/* out of range */
			db->poison = true;
			return refuse(c, ERR_invalid, "%s: %s does not fit its type", p->text->name,
				      p->text->params[i]);
		}
		value[i] = v.p;
		length[i] = (int) v.n;
	}
	if (!PQsendQueryPrepared(db->conn, p->text->name, (int) p->nparams, value, length,
				 all_binary, 1))
		return lose(c, NULL);
	return OK;
}

static err_t plan_make(struct ctx *, enum query) MUST_CHECK;

static err_t plan_of(struct ctx *c, enum query q)
{
	struct db *db = c->db;

	if (db->plan[q] != NULL)
		return OK;
	if (!db->owner || db->state == SENDING)
		return refuse(c, ERR_internal, "%s is not prepared here", query_text[q].name);
	return plan_make(c, q);
}

/* What goes before the first query of a pipeline: the time it has, and a BEGIN that waits. */
static err_t send_frame(struct ctx *c)
{
	struct db *db = c->db;
	const int64_t left = c->deadline == 0 ? 0 : clock_left(c->deadline);
	const int64_t step = TIMEOUT_STEP_MS * MS;
	struct core_timeout t = { 0 };

	SET(&t, ms, (left + step - 1) / step * TIMEOUT_STEP_MS);
	if (PQtransactionStatus(db->conn) == PQTRANS_INERROR)
		return OK;		/* it takes nothing but its end */
	if (t.ms != db->timeout_ms && db->plan[Q_core_timeout] != NULL) {
		TRY(send_plan(c, db->plan[Q_core_timeout], &t));
		TRY(put_end(c));	/* a snapshot has to be the first of its transaction */
		db->timeout_ms = t.ms;
	}
	if (db->begin) {
		TRY(send_plan(c, db->plan[Q_core_begin_write], NULL));
		db->begin = false;
		db->own++;
	}
	return OK;
}

err_t db_send(struct ctx *c, enum query q, const void *in)
{
	struct db *db = c->db;

	if (db->conn == NULL)
		return lose(c, NULL);
	if (c->deadline != 0 && clock_left(c->deadline) == 0 && q != Q_core_rollback)
		return refuse(c, ERR_timeout, "%s: no time is left", query_text[q].name);
	if (db->state != SENDING)
		TRY(settle(c));
	TRY(plan_of(c, q));
	if (db->state != SENDING) {
		TRY(open_pipeline(c));
		if (q != Q_core_rollback)
			TRY(send_frame(c));
	}
	return send_plan(c, db->plan[q], in);
}

err_t db_flush(struct ctx *c)
{
	struct db *db = c->db;

	if (db->conn == NULL)
		return lose(c, NULL);
	assert(db->state == SENDING);
	TRY(flush(c));
	if (db->syncs > 1) {
		RESULT r = NULL;
		RESULT end = NULL;

		if (take(c, NULL, &r).code != ERR_none)		/* what follows it may be done */
			return lose(c, "the time it has cannot be set");
		if (!get(db, &end))
			return lose_late(c);
		assert(PQresultStatus(end) == PGRES_PIPELINE_SYNC);
		db->syncs--;
	}
	for (; db->own > 0; db->own--) {
		RESULT r = NULL;

		/* What fails here fails the takes that follow. */
		if (take(c, NULL, &r).code != ERR_none && db->conn == NULL)
			return ERR(unavailable);
	}
	return OK;
}

/* ---- rows ---- */

static err_t read_row(struct ctx *c, const struct plan *p, const PGresult *r, int row, void *out)
{
	static const size_t width[] = { [F_BOOL] = 1, [F_INT2] = 2, [F_INT4] = 4, [F_INT8] = 8,
		[F_TIME] = 8, [F_DATE] = 4, [F_UUID] = 16 };

	for (size_t i = 0; i < p->ncolumns; i++) {
		const struct column *col = &p->column[i];
		const struct way *w = &col->way;
		const size_t len = (size_t) PQgetlength(r, row, (int) i);
		const size_t want = col->form < COUNT(width) ? width[col->form] : 0;
		struct set *last = (void *) ((char *) out + w->step[w->nsteps - 1].set);

		if (PQgetisnull(r, row, (int) i)) {
			last->null |= w->step[w->nsteps - 1].bit;
			continue;
		}
		if ((want != 0 && len != want) || !decode(c, w->field, col->form,
				PQgetvalue(r, row, (int) i), len, (char *) out + w->off))
			return refuse(c, ERR_internal, "%s: a value of column %s does not fit",
				      p->text->name, PQfname(r, (int) i));
		for (size_t k = 0; k < w->nsteps; k++) {
			struct set *set = (void *) ((char *) out + w->step[k].set);

			set->has |= w->step[k].bit;
		}
	}
	/* The empty side of an outer join is a null, not an object full of them. */
	for (size_t i = 0; i < p->nobjects; i++) {
		const struct way *w = &p->object[i];
		const size_t end = w->nsteps - 1;
		struct way around = *w;
		struct set *set = (void *) ((char *) out + w->step[end].set);

		around.nsteps = end;
		if (set->has & w->step[end].bit || way_value(&around, out) == NULL)
			continue;
		set->null |= w->step[end].bit;
		memset((char *) out + w->off, 0, w->field->of.msg->size);
	}
	return OK;
}

static err_t read_rows(struct ctx *c, const struct plan *p, const PGresult *r, void *items, size_t *n)
{
	const int rows = PQntuples(r);
	char *at;

	assert(p->text->out != NULL && n != NULL);
	if (PQnfields(r) != (int) p->ncolumns)
		return refuse(c, ERR_internal, "%s: %d columns instead of %zu", p->text->name,
			      PQnfields(r), p->ncolumns);
	*n = (size_t) rows;
	at = arena_alloc(c->mem, *n * p->text->out->size);
	if (at == NULL)
		return refuse(c, ERR_too_large, "%s: no room for %d rows", p->text->name, rows);
	memcpy(items, &at, sizeof at);		/* whatever type of pointer it is */
	for (int i = 0; i < rows; i++)
		TRY(read_row(c, p, r, i, at + (size_t) i * p->text->out->size));
	return OK;
}

err_t db_take(struct ctx *c, enum query q, void *items, size_t *n)
{
	struct db *db = c->db;
	const struct plan *p = db->plan[q];
	RESULT r = NULL;

	assert(p != NULL);
	if (db->conn == NULL)
		return lose(c, NULL);
	assert(db->state == TAKING);
	TRY(take(c, p, &r));
	if (q == Q_core_commit && strcmp(PQcmdStatus(r), "COMMIT") != 0)
		db->failed = refuse(c, ERR_internal, "a failed transaction was to be committed");
	else if (q == Q_core_commit && db->warned)
		db->failed = refuse(c, ERR_unavailable, "no standby has confirmed the commit");
	else if (items != NULL)
		db->failed = read_rows(c, p, r, items, n);
	return db->failed;
}

err_t db_end(struct ctx *c)
{
	struct db *db = c->db;

	if (db->conn == NULL)
		return lose(c, NULL);
	assert(db->state == TAKING);
	TRY(finish(c));
	if (db->failed.code == ERR_none && db->warned && PQtransactionStatus(db->conn) == PQTRANS_IDLE)
		db->failed = refuse(c, ERR_unavailable, "no standby has confirmed the commit");
	return db->failed;
}

static err_t ask(struct ctx *c, enum query q, const void *in, void *items, size_t *n)
{
	TRY(db_send(c, q, in));
	TRY(db_flush(c));

	const err_t e = db_take(c, q, items, n);

	if (e.code != ERR_none && c->db->conn == NULL)
		return e;

	const err_t end = db_end(c);

	return e.code != ERR_none ? e : end;
}

err_t db_exec(struct ctx *c, enum query q, const void *in)
{
	return ask(c, q, in, NULL, NULL);
}

err_t db_list(struct ctx *c, enum query q, const void *in, void *items, size_t *n)
{
	return ask(c, q, in, items, n);
}

err_t db_one(struct ctx *c, enum query q, const void *in, void *out)
{
	void *row = NULL;
	size_t n = 0;

	TRY(ask(c, q, in, &row, &n));
	if (n == 0)
		return ERR(not_found);
	if (n > 1)
		return refuse(c, ERR_internal, "%s: %zu rows instead of one", query_text[q].name, n);
	memcpy(out, row, query_text[q].out->size);
	return OK;
}

/* ---- transactions ---- */

err_t db_begin(struct ctx *c, bool write)
{
	TRY(settle(c));
	if (PQtransactionStatus(c->db->conn) != PQTRANS_IDLE)
		db_rollback(c);			/* somebody left one open */
	c->db->begin = write;
	return db_is_up(c->db) ? OK : ERR(unavailable);
}

err_t db_commit(struct ctx *c)
{
	struct db *db = c->db;

	TRY(settle(c));
	if (db->begin || PQtransactionStatus(db->conn) == PQTRANS_IDLE) {
		db->begin = false;		/* nothing was asked, or nothing but reads */
		return OK;
	}

	const err_t e = db_exec(c, Q_core_commit, NULL);

	if (e.code != ERR_none)
		db_rollback(c);			/* where it did not even get so far */
	return e;
}

void db_rollback(struct ctx *c)
{
	struct db *db = c->db;

	if (db->conn == NULL || settle(c).code != ERR_none)
		return;
	db->begin = false;
	if (PQtransactionStatus(db->conn) == PQTRANS_IDLE)
		return;

	/* The error that led here stays the last one. */
	const struct db was = *db;
	char detail[sizeof c->detail];

	memcpy(detail, c->detail, sizeof detail);
	if (db_exec(c, Q_core_rollback, NULL).code != ERR_none && db->conn != NULL)
		(void) lose(c, "a transaction cannot be rolled back").code;
	memcpy(c->detail, detail, sizeof detail);
	memcpy(db->sqlstate, was.sqlstate, sizeof db->sqlstate);
	db->poison = was.poison;
	db->timeout_ms = -1;			/* it may have been set within */
}

err_t db_script(struct ctx *c, const char *text)
{
	struct db *db = c->db;
	err_t e = OK;

	TRY(settle(c));
	if (db->begin)
		TRY(db_exec(c, Q_core_ping, NULL));	/* takes the BEGIN along */
	db->limit = c->deadline == 0 ? 0 : c->deadline + GRACE_MS * MS;
	if (!PQsendQuery(db->conn, text))
		return lose(c, NULL);
	for (;;) {
		RESULT r = NULL;

		if (!get(db, &r))
			return lose_late(c);
		if (r == NULL)
			return e;
		if (PQresultStatus(r) == PGRES_FATAL_ERROR) {
			e = judge(c, NULL, r);
			if (db->conn == NULL)
				return e;
		}
	}
}

/* ---- preparing ---- */

static err_t misfit(struct ctx *c, const struct query_text *t, const char *name, const char *why)
{
	return refuse(c, ERR_internal, "query %s: %s: %s", t->name, name, why);
}

/* Follows "a.b.c" through objects; stops behind a list and leaves the rest of the path. */
static bool way_find(const struct msg *m, const char *path, struct way *w, const char **rest)
{
	size_t base = 0;

	memset(w, 0, sizeof *w);
	for (*rest = NULL;; path++) {
		const size_t n = strcspn(path, ".");
		const struct field *f = m->fields, *end = f + m->nfields;

		while (f < end && (strncmp(f->name, path, n) != 0 || f->name[n] != '\0'))
			f++;
		if (f == end || w->nsteps == DEPTH_MAX)
			return false;
		w->step[w->nsteps].set = base;
		w->step[w->nsteps++].bit = UINT64_C(1) << (f - m->fields);
		w->field = f;
		w->off = base + f->off;
		path += n;
		if (*path == '\0')
			return true;
		if (f->kind == K_LIST) {
			*rest = path + 1;
			return true;
		}
		if (f->kind != K_OBJECT)
			return false;
		base += f->off;
		m = f->of.msg;
	}
}

/* What a type of the server is.  Of an array, form and element are those of its items. */
struct shape { enum layout form; Oid element; char name[64]; };

static err_t shape_of(struct ctx *c, Oid oid, struct shape *s)
{
	struct core_type_req q = { 0 };
	struct core_type t;

	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i].oid == oid || types[i].array == oid) {
			s->form = types[i].form;
			s->element = types[i].oid == oid ? 0 : types[i].oid;
			(void) snprintf(s->name, sizeof s->name, "%s%s", types[i].name,
					s->element ? "[]" : "");
			return OK;
		}
	SET(&q, oid, oid);
	TRY(db_one(c, Q_core_type, &q, &t));
	if (t.element != 0) {
		TRY(shape_of(c, (Oid) t.element, s));
		s->element = (Oid) t.element;
	} else if (t.is_enum) {
		s->form = F_TEXT;
	}
	(void) snprintf(s->name, sizeof s->name, "%.*s", (int) t.name.n, t.name.p);
	return OK;
}

static err_t fit(struct ctx *c, const struct query_text *t, const char *name, const struct field *f,
		 bool array, const struct shape *s)
{
	if (kinds[f->kind].forms >> s->form & 1 && array == (s->element != 0))
		return OK;
	return refuse(c, ERR_internal, "query %s: %s: a field of kind %s%s, and type %s in SQL",
		      t->name, name, array ? "LIST of " : "", kinds[f->kind].name, s->name);
}

static err_t match_param(struct ctx *c, const struct plan *p, size_t i, Oid oid)
{
	const struct query_text *t = p->text;
	struct param *q = &p->param[i];
	const char *rest, *end;
	struct shape s;

	if (t->in == NULL || !way_find(t->in, t->params[i], &q->way, &rest))
		return misfit(c, t, t->params[i], "the message has no such field");
	if (rest != NULL && (!way_find(q->way.field->of.msg, rest, &q->item, &end) || end != NULL))
		return misfit(c, t, t->params[i], "the list has no such field");
	TRY(shape_of(c, oid, &s));
	q->form = s.form;
	q->element = s.element;
	return fit(c, t, t->params[i], rest != NULL ? q->item.field : q->way.field, rest != NULL, &s);
}

static err_t match_column(struct ctx *c, struct plan *p, size_t i, const char *name, Oid oid)
{
	const struct query_text *t = p->text;
	struct column *col = &p->column[i];
	struct way *w = &col->way;
	struct shape s;
	const char *rest;

	if (!way_find(t->out, name, w, &rest) || rest != NULL)
		return misfit(c, t, name, "the message has no such field");
	for (size_t k = 0; k < i; k++)
		if (p->column[k].way.off == w->off)
			return misfit(c, t, name, "is there twice");
	TRY(shape_of(c, oid, &s));
	col->form = s.form;
	TRY(fit(c, t, name, w->field, false, &s));

	/* The objects on the way, each once. */
	const struct msg *m = t->out;
	size_t base = 0;

	for (size_t k = 0; k + 1 < w->nsteps; k++) {
		const struct field *f = &m->fields[__builtin_ctzll(w->step[k].bit)];
		struct way around = *w;
		size_t known = 0;

		around.nsteps = k + 1;
		around.field = f;
		around.off = base += f->off;
		m = f->of.msg;
		while (known < p->nobjects && (p->object[known].off != around.off ||
					       p->object[known].field != f))
			known++;
		if (known == OBJECTS_MAX)
			return misfit(c, t, name, "too many objects");
		if (known == p->nobjects)
			p->object[p->nobjects++] = around;
	}
	return OK;
}

static void plan_free(struct plan *p)
{
	if (p == NULL)
		return;
	free(p->param);
	free(p->column);
	free(p);
}

static void plan_free_at(struct plan **p)
{
	plan_free(*p);
}

/* The text is sent to be prepared and described in one pipeline, without a frame. */
static err_t describe(struct ctx *c, const struct plan *p, PGresult **r)
{
	const struct query_text *t = p->text;
	RESULT prepared = NULL;

	TRY(open_pipeline(c));
	if (!PQsendPrepare(c->db->conn, t->name, t->text, 0, NULL) ||
	    !PQsendDescribePrepared(c->db->conn, t->name))
		return lose(c, NULL);
	TRY(flush(c));

	err_t e = take(c, p, &prepared);

	if (e.code == ERR_none)
		e = take(c, p, r);
	if (c->db->conn == NULL)
		return e;
	/* Class 42 and the like: it is the query, or the schema is not there yet. */
	if (e.code != ERR_none && strncmp(c->db->sqlstate, "42", 2) == 0)
		e.code = ERR_internal;
	TRY(e);
	return finish(c);
}

static err_t plan_make(struct ctx *c, enum query q)
{
	const struct query_text *t = &query_text[q];
	CLEANUP(plan_free_at) struct plan *p = calloc(1, sizeof *p);
	RESULT r = NULL;
	size_t n = 0;

	if (p == NULL)
		return refuse(c, ERR_unavailable, "no memory");
	p->text = t;
	TRY(describe(c, p, &r));
	while (t->params[n] != NULL)
		n++;
	if ((size_t) PQnparams(r) != n || n > PARAMS_MAX)
		return misfit(c, t, "parameters", "more or fewer than the server found");
	p->nparams = n;
	p->ncolumns = t->out == NULL ? 0 : (size_t) PQnfields(r);
	p->param = calloc(n + 1, sizeof *p->param);
	p->column = calloc(p->ncolumns + 1, sizeof *p->column);
	if (p->param == NULL || p->column == NULL)
		return refuse(c, ERR_unavailable, "no memory");
	if (t->out != NULL && p->ncolumns == 0)
		return misfit(c, t, t->out->name, "the query has no columns");
	for (size_t i = 0; i < n; i++)
		TRY(match_param(c, p, i, PQparamtype(r, (int) i)));
	for (size_t i = 0; i < p->ncolumns; i++)
		TRY(match_column(c, p, i, PQfname(r, (int) i), PQftype(r, (int) i)));
	c->db->plan[q] = p;
	p = NULL;
	return OK;
}

static err_t prepare_domain(struct ctx *c, const char *domain)
{
	const struct arena empty = *c->mem;

	for (enum query q = 0; q < Q_COUNT; q++) {
		*c->mem = empty;
		if (strcmp(query_text[q].domain, domain) == 0)
			TRY(plan_make(c, q));
	}
	return OK;
}

/* How many hosts a URL names; libpq tries one after the other, and counts the time for each anew. */
static size_t hosts_of(const char *url)
{
	PQconninfoOption *all = PQconninfoParse(url, NULL);
	size_t n = 1;

	for (const PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0) {
			size_t commas = 0;

			for (const char *p = o->val; p != NULL && *p != '\0'; p++)
				commas += *p == ',';
			n = commas + 1 > n ? commas + 1 : n;
		}
	PQconninfoFree(all);
	return n;
}

err_t db_open(const char *url, const char *domain, struct db **out, char *why)
{
	char user[64] = "", name[64] = "healthmed";
	enum { ROOM = 16384 };
	void *room = malloc(ROOM);
	struct arena mem;
	struct ctx c = { .mem = &mem, .db = calloc(1, sizeof *c.db) };
	err_t e;

	if (c.db == NULL || room == NULL) {
		free(c.db);
		free(room);
		(void) snprintf(why, 256, "no memory");
		return ERR(unavailable);
	}
	arena_init(&mem, room, ROOM);
	if (domain != NULL) {
		(void) snprintf(user, sizeof user, "healthmed_%s", domain);
		(void) snprintf(name, sizeof name, "healthmed_%s", domain);
	}
	/* The URL outranks what stands before it, what stands after it outranks the URL. */
	const char *const key[] = { "connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "application_name", "options", "dbname",
		"client_encoding", domain == NULL ? NULL : "user", NULL };
	const char *const value[] = { hosts_of(url) > 1 ? "2" : "5", "10", "3", "3", "10000", name,
		"-c idle_in_transaction_session_timeout=10s", url,
		"UTF8", user, NULL };

	c.db->owner = domain == NULL;
	c.db->timeout_ms = -1;
	c.db->conn = PQconnectdbParams(key, value, 1);
	if (PQstatus(c.db->conn) != CONNECTION_OK || PQsetnonblocking(c.db->conn, 1) != 0) {
		e = lose(&c, c.db->conn == NULL ? "no memory" : NULL);
	} else {
		(void) PQsetNoticeReceiver(c.db->conn, receive_notice, c.db);
		e = prepare_domain(&c, "core");		/* the others are matched by its help */
		if (e.code == ERR_none && domain != NULL)
			e = prepare_domain(&c, domain);
	}
	free(room);
	if (e.code != ERR_none) {
		(void) snprintf(why, 256, "%s", c.detail);
		why[strcspn(why, "\n")] = '\0';
		db_close(c.db);
		return e;
	}
	*out = c.db;
	return OK;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	PQfinish(db->conn);
	for (size_t i = 0; i < Q_COUNT; i++)
		plan_free(db->plan[i]);
	free(db);
}

bool db_is_up(const struct db *db)
{
	return db != NULL && db->conn != NULL;
}

bool db_is_poison(const struct db *db)
{
	return db->poison;
}

const char *db_sqlstate(const struct db *db)
{
	return db->sqlstate;
}
