/*
 * handle.c - see handle.h.
 *
 * Must not decide about patients, doctors or time, and hold no lock while it waits.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/rule.h"
#include "broker/etag.h"
#include "broker/metrics.h"
#include "broker/msg/document.h"
#include "web/assets.h"
#include "web/cors.h"
#include "web/header.h"
#include "web/job.h"
#include "web/problem.h"

#define REQUESTS      "/api/v1/appointments/requests/"
enum { WHO = 300, IF_MATCH = 512, ADDRESS = 48 };

/* ---- from HTTP to the message ---- */

/* That of who connected, or that for which a proxy of ours did. */
static uint64_t address_of(struct job *j)
{
	const struct str peer = str_of(j->q->peer);
	struct str client = peer;
	char text[ADDRESS];

	if (nets_have(&j->g->proxies, peer))
		client = header_client(&j->g->proxies, peer, http_headers(j->q, "X-Forwarded-For"));
	(void) snprintf(text, sizeof text, "%.*s", (int) (client.n < ADDRESS ? client.n : 0), client.p);
	return limit_who(text);
}

static err_t limited(struct job *j, struct limit *l)
{
	j->after_s = limit_take(l, j->address, j->q->began);
	return j->after_s == 0 ? OK : refuse(j->c, ERR_too_many_requests, "of one address");
}

/* Whoever repeats a logout, which may have been lost on its way, is not refused for it. */
static err_t authenticate(struct job *j)
{
	struct ctx *c = j->c;
	int64_t exp_s;

	TRY(auth_check(c, j->g->auth, http_header(j->q, "Authorization"), clock_wall() / SECOND, &exp_s));
	if (j->m.route->call != CALL_users_logout && RULE(session_ended) &&
	    ended_has(&j->g->ended, c->user, c->session, exp_s * SECOND))
		return refuse(c, ERR_bad_token, "its session has ended");
	return OK;
}

static err_t authorize(struct job *j)
{
	struct ctx *c = j->c;

	switch (j->m.route->auth) {
	case AUTH_PUBLIC:
		c->role = ROLE_PUBLIC;
		break;
	case AUTH_TOKEN: case AUTH_PATIENT:
		TRY(authenticate(j));
		break;
	case AUTH_LINK:
		return OK;	/* download() reads it */
	case AUTH_DENY:
		return refuse(c, ERR_forbidden, "a row that forgot who may");
	}
	const unsigned door = j->m.route->auth == AUTH_PATIENT ? ROLE_PATIENT : ~0u;

	if (!(j->call->who & door & c->role) && RULE(role_in_gateway))
		return refuse(c, ERR_forbidden, "not for that role");
	if (j->m.route->call == CALL_users_register)
		return limited(j, &j->g->registrations);
	if (j->m.route->call == CALL_users_login || j->m.route->call == CALL_users_refresh)
		return limited(j, &j->g->logins);
	return OK;
}

static bool is_read(const struct job *j)
{
	return strcmp(j->m.route->method, "GET") == 0;
}

static err_t read_body(struct job *j, struct str *body)
{
	const bool wanted = str_eq(j->q->method, STR("POST")) || str_eq(j->q->method, STR("PUT"));

	*body = STR("");
	if (j->q->length == 0)
		return OK;
	if (!wanted)
		return refuse(j->c, ERR_unreadable, "a body where none belongs");
	if (!header_is_identity(http_headers(j->q, "Content-Encoding"))) {
		http_put(j->a, "Accept-Encoding", "identity");
		return fault(j->c, ERR_unsupported_media_type, "Content-Encoding", "must be identity");
	}
	if (j->call->via == UPLOAD)
		return OK;
	if (!header_is_json(http_header(j->q, "Content-Type")))
		return fault(j->c, ERR_unsupported_media_type, "Content-Type", "must be application/json");
	return http_body(j->q, HTTP_BODY, body);
}

static err_t read_key(struct job *j)
{
	j->key = (struct str) { NULL, 0 };
	if (j->call->tx != TX_WRITE || is_read(j))
		return OK;
	j->key = http_header(j->q, "Idempotency-Key");
	if (j->key.p != NULL && !header_key_is_good(j->key))
		return fault(j->c, ERR_unreadable, "Idempotency-Key",
			     "must be 1 to 64 visible ASCII characters");
	return OK;
}

/* What a change relies on goes with it; of a read it means nothing. */
static err_t read_if_match(struct job *j)
{
	const struct str value = http_header(j->q, "If-Match");
	char *text;

	if (value.p == NULL || is_read(j))
		return OK;
	for (size_t i = 0; i < value.n; i++)
		if (value.n > IF_MATCH || value.p[i] < ' ' || value.p[i] > '~')
			return fault(j->c, ERR_unreadable, "If-Match", "must be a list of entity tags");
	if ((text = arena_alloc(j->c->mem, value.n + 1)) == NULL)
		return refuse(j->c, ERR_too_large, "If-Match");
	memcpy(text, value.p, value.n);
	j->c->if_match = text;
	return OK;
}

/* The text that a SCOPED call names; where that is not said, the first text after it that is. */
static struct str scope_of(const struct job *j)
{
	const struct msg *m = j->call->req;

	for (const struct field *f = field_at(m, j->call->key); f < m->fields + m->nfields; f++)
		if (f->kind == K_TEXT && field_said(m, j->req, f))
			return *(const struct str *) ((const char *) j->req + f->off);
	return STR("");
}

/* The user's number; of a SCOPED call without one, its scope. */
static err_t find_who(struct job *j)
{
	char *p = arena_alloc(j->c->mem, WHO);
	struct str text = STR("");

	if (p == NULL)
		return refuse(j->c, ERR_too_large, "who");
	if (CALL_IS_SCOPED(j->call) && j->c->user == 0) {
		text = scope_of(j);
		if (text.n > 255)
			text.n = 255;
		memcpy(p, "scope:", 6);
		for (size_t i = 0; i < text.n; i++)
			p[6 + i] = (char) (text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] | 0x20
										: text.p[i]);
		j->who = (struct str) { p, 6 + text.n };
		return OK;
	}
	j->who = (struct str) { p, (size_t) snprintf(p, WHO, "%" PRId64, j->c->user) };
	return OK;
}

static err_t read_request(struct job *j)
{
	const struct pairs path = { j->m.param, j->m.nparams };
	struct pairs query;
	struct str body;

	TRY(router_query(j->c, j->q->query, &query));
	TRY(read_key(j));
	TRY(read_if_match(j));
	TRY(read_body(j, &body));
	if ((j->req = arena_alloc(j->c->mem, j->call->req->size)) == NULL)
		return refuse(j->c, ERR_too_large, "%s fills the arena", j->call->name);
	TRY(msg_from_http(j->c, j->call->req, path, query, body, j->req));
	return find_who(j);
}

/* ---- from the message to HTTP ---- */

static err_t write_etag(struct job *j, const struct msg *m, const void *what)
{
	const struct str asked = http_header(j->q, "If-None-Match");
	char etag[ETAG_TEXT];

	TRY(etag_of(j->c, m, what, etag));
	http_put(j->a, "ETag", "%s", etag);
	if (is_read(j) && asked.p != NULL && etag_matches(asked, etag, true))
		j->a->status = 304;
	return OK;
}

/* A list that is changed as a whole says so: where it goes on is no part of it.  Then it has a tag, if it
 * is here as a whole. */
static bool is_whole(const struct job *j, const struct msg *m, const void *page, const struct field *next)
{
	const struct field *cursor = field_named(j->call->req, "cursor", K_TEXT);

	return next != NULL && next->from == FROM_OURS && !field_said(m, page, next) &&
	       (cursor == NULL || !field_said(j->call->req, j->req, cursor));
}

/* A page is answered as its items alone; where it goes on is in Link. */
static err_t write_page(struct job *j, const struct msg *m, const void *page)
{
	const struct field *next = field_named(m, "next", K_TEXT);
	struct str link;

	TRY(page_items(j, m, page, &j->a->body));
	if (is_whole(j, m, page, next))
		return write_etag(j, m, page);
	if (next == NULL || !field_said(m, page, next))
		return OK;
	TRY(header_link(j->c, j->q->path, j->q->query,
			*(const struct str *) ((const char *) page + next->off), &link));
	http_put(j->a, "Link", "%s", link.p);
	return OK;
}

static err_t write_document(struct job *j, const struct document *d)
{
	char *type = arena_alloc(j->c->mem, d->type.n + 1);

	if (type == NULL)
		return refuse(j->c, ERR_too_large, "a document's type");
	memcpy(type, d->type.p, d->type.n);
	j->a->type = type;
	j->a->body = d->bytes;
	if (d->has.name)
		http_put(j->a, "Content-Disposition", "attachment; filename=\"%.*s\"", (int) d->name.n,
			 d->name.p);
	return OK;
}

static err_t write_resource(struct job *j, const struct msg *m, const void *what)
{
	const struct route *r = j->m.route;
	const struct field *id = field_named(m, "id", K_INT);
	const bool created = r->ok == 201 && r->location != NULL;
	const bool beneath = created && strcmp(r->location, BENEATH) == 0;

	j->a->status = r->ok;
	if (r->ok == 204)
		return OK;
	if (m == &document_msg)
		return write_document(j, what);
	j->a->type = "application/json";
	if (m->fields[0].kind == K_LIST && strcmp(m->fields[0].name, "items") == 0)
		return write_page(j, m, what);
	TRY(msg_to_json(j->c, m, what, &j->a->body));
	if (created && r->location[strlen(r->location) - 1] != '/')
		http_put(j->a, "Location", "%s", r->location);
	else if (created && id != NULL)
		http_put(j->a, "Location", "%.*s%s%" PRId64, beneath ? (int) j->q->path.n : 0,
			 j->q->path.p, r->location, field_int(what, id));
	return r->auth == AUTH_PUBLIC ? OK : write_etag(j, m, what);
}

/* ---- what is the same for all ---- */

static bool may_be_kept(const struct job *j)
{
	return CALL_IS_SHARED(j->call) && j->q->length == 0 && http_header(j->q, "If-None-Match").p == NULL;
}

static bool was_kept(struct job *j)
{
	struct answer_kept kept;

	if (!may_be_kept(j) || !microcache_get(&j->g->microcache, j->c->mem, j->q->path, j->q->query, j->q->began, &kept))
		return false;
	metric_add(METRIC_cache_hits, NULL, 1);
	j->a->status = j->m.route->ok;
	j->a->type = "application/json";
	j->a->body = kept.body;
	buf_put(&j->a->head, kept.head.p, kept.head.n);
	return true;
}

/* The doctor whom a request is about; 0: none, or more than one. */
static int64_t doctor_of(const struct job *j)
{
	const struct field *f = field_named(j->call->req, "doctor_id", K_INT);

	return f != NULL && field_said(j->call->req, j->req, f) ? field_int(j->req, f) : 0;
}

/* What was read before a change, this gateway does not serve after it. */
static void change(struct job *j, int64_t doctor)
{
	if (!is_read(j)) {
		microcache_changed(&j->g->microcache, doctor);
		microcache_changed(&j->g->microcache, j->c->user);
	}
}

/* ---- the ways ---- */

static err_t by_request(struct job *j)
{
	char text[REQUEST_ID_TEXT + 1];
	const char *request = NULL;
	void *rep;

	TRY(find_rest(j));
	if (j->key.p != NULL) {
		const struct request_id id = request_id_make(j->g->secret, 0, j->who, j->key);

		request_id_write(&id, text);
		request = text;
	}
	const err_t e = ask(j, j->call, j->req, request, &rep);

	if (is_read(j) && e.code == ERR_outcome_unknown)	/* of a read that is put on record */
		return ERR(timeout);
	if (e.code == ERR_timeout && j->call->tx == TX_WRITE && !is_read(j))
		return refuse(j->c, ERR_outcome_unknown, "no answer of %s in time", j->call->name);
	TRY(e);
	change(j, doctor_of(j));
	if (j->call->rep == &users_ended_msg)	/* the facts will say so too, to all gateways */
		ended_add(&j->g->ended, rep, clock_wall());
	return write_resource(j, j->call->answer, rep);
}

static err_t by_shared(struct job *j)
{
	struct microcache *m = &j->g->microcache;
	const size_t head = j->a->head.n;	/* what others have put there is not of this answer */
	const int64_t doctor = doctor_of(j);
	const uint64_t state = microcache_state(m, doctor);

	TRY(by_request(j));
	if (may_be_kept(j) && !j->a->head.full)
		microcache_put(m, j->q->path, j->q->query, doctor, state, clock_mono(),
			       (struct answer_kept) { { j->a->head.n == 0 ? "" : j->a->head.p + head, j->a->head.n - head },
						      j->a->body });
	return OK;
}

static err_t by_upload(struct job *j)
{
	void *rep;

	TRY(upload(j, &rep));
	return write_resource(j, j->call->answer, rep);
}

/* One's own request that has no row yet is pending; another's does not exist. */
static err_t by_request_id(struct job *j)
{
	const struct appointments_request_req *req = j->req;
	struct appointments_request_rep *rep;
	struct request_id id;
	void *any;

	if (!request_id_read(req->request_id, &id) ||
	    (RULE(owner_of_request) && !request_id_is_of(&id, j->g->secret, j->who)))
		return refuse(j->c, ERR_not_found, "not a request of that user");
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, j->call, req, NULL, &any));
	rep = any;
	const int64_t seq = memory_seq(&j->g->memory, &id);

	if (rep->status != REQUEST_PENDING) {
		memory_decided(&j->g->memory, id.doctor, seq, clock_mono());
	} else if (!rep->has.ahead) {
		const int64_t ahead = memory_ahead(&j->g->memory, id.doctor, seq);

		if (ahead >= 0)
			SET(rep, ahead, ahead);
	}
	return write_resource(j, &appointments_request_rep_msg, rep);
}

static err_t write_pending(struct job *j, const struct request_id *id, const char *text,
			   int64_t seq)
{
	struct booking_pending p = { .status = REQUEST_PENDING };
	const int64_t ahead = memory_ahead(&j->g->memory, id->doctor, seq);

	memory_sent(&j->g->memory, id, seq);
	SET(&p, request_id, str_of(text));
	p.has.status = 1;
	SET(&p, message, STR("accepted; the address in Location tells the outcome"));
	if (ahead >= 0)
		SET(&p, ahead, ahead);
	j->a->status = 202;
	j->a->type = "application/json";
	return msg_to_json(j->c, &booking_pending_msg, &p, &j->a->body);
}

static err_t write_outcome(struct job *j, struct str bytes)
{
	const struct call *k = j->call;
	const struct booking_outcome *o;

	TRY(outcome_read(j, k, bytes, &o));
	if (o->has.slots) {	/* asked for several: a list of them, as they are */
		struct schedules_page page = { .has.items = 1 };

		page.items.items = o->slots.items;
		page.items.n = o->slots.n;
		return write_resource(j, &schedules_page_msg, &page);
	}
	if (!field_said(k->rep, o, field_at(k->rep, k->answer_off)))
		return refuse(j->c, ERR_internal, "%s: an outcome without its resource", k->name);
	return write_resource(j, k->answer, (const char *) o + k->answer_off);
}

static err_t by_mailbox(struct job *j)
{
	const struct str header = http_header(j->q, "Prefer");
	const struct prefer prefer = header_prefer(header.p == NULL ? STR("") : header);
	char text[REQUEST_ID_TEXT + 1];
	struct bus_outcome o;
	struct request_id id;
	int64_t doctor = 0, wait = prefer.wait_s * SECOND;

	TRY(find_mailbox(j, &doctor));
	/* Who says how long he waits, waits: he knows better than we do. */
	if (!prefer.waits && memory_behind(&j->g->memory, doctor, clock_mono()) && RULE(behind))
		wait = 0;
	TRY(command(j, j->call, j->req, doctor, &wait, &id, &o));
	change(j, doctor);
	if (prefer.waits && wait > 0)
		http_put(j->a, "Preference-Applied", "wait=%" PRId64, prefer.wait_s);
	else if (prefer.async)
		http_put(j->a, "Preference-Applied", "respond-async");
	if (o.state == OUTCOME_DECIDED)
		return write_outcome(j, o.outcome);
	request_id_write(&id, text);
	http_put(j->a, "Location", REQUESTS "%s", text);
	if (o.state == OUTCOME_ACCEPTED)
		return write_pending(j, &id, text, o.seq);
	return refuse(j->c, ERR_outcome_unknown, "neither outcome nor acknowledgement");
}

/* ---- what the gateway answers by itself ---- */

static void show(struct http_answer *a, const struct asset *s)
{
	a->type = s->type;
	a->body = s->body;
	if (s->policy != NULL)
		http_put(a, "Content-Security-Policy", "%s", s->policy);
}

static err_t by_itself(struct job *j)
{
	enum { READY = 4096 };
	const bool verbose = j->q->query.n >= 7 && memcmp(j->q->query.p, "verbose", 7) == 0;
	char *text;

	j->a->status = 200;
	j->a->type = "application/json";
	switch (j->m.own) {
	case OWN_HEALTH: case OWN_LIVEZ:
		j->a->body = STR("{\"status\":\"ok\"}");
		break;
	case OWN_READYZ:
		if ((text = arena_alloc(j->c->mem, READY)) == NULL)
			return ERR(internal);
		j->a->status = admin_write(j->g->admin, verbose, text, READY) ? 200 : 503;
		j->a->body = str_of(text);
		break;
	case OWN_JWKS:
		j->a->type = "application/jwk-set+json";
		j->a->body = auth_jwks(j->g->auth);
		break;
	case OWN_OPENAPI:
		show(j->a, &asset_openapi);
		break;
	case OWN_DOCS:
		show(j->a, &asset_docs);
		break;
	case OWN_NOT:
		assert(0 && "not ours");
	}
	return OK;
}

/* ---- the whole ---- */

static err_t answer(struct job *j)
{
	j->address = address_of(j);
	TRY(limited(j, &j->g->requests));

	const err_t found = router_find(j->c, j->q->method, j->q->path, &j->m);

	if (found.code == ERR_method_not_allowed) {
		if (cors_preflight(j->q, j->g->origins, j->m.allow, j->a))
			return OK;
		http_put(j->a, "Allow", "%s", j->m.allow);
	}
	TRY(found);
	if (j->m.own != OWN_NOT)
		return by_itself(j);
	j->call = &call[j->m.route->call];
	TRY(authorize(j));
	if (was_kept(j))
		return OK;
	TRY(read_request(j));
	if (CALL_IS_MAILBOX(j->call))
		return by_mailbox(j);
	if (j->call->via == UPLOAD)
		return by_upload(j);
	if (j->call->via == DOWNLOAD)
		return download(j);
	if (j->call->via == EXPORT)
		return export(j);
	if (j->m.route->call == CALL_appointments_request)
		return by_request_id(j);
	return CALL_IS_SHARED(j->call) ? by_shared(j) : by_request(j);
}

/* Labels of metrics are static text. */
static const char *status_label(int status)
{
	static const struct { int status; const char *label; } labels[] = {
		{ 200, "200" }, { 201, "201" }, { 202, "202" }, { 204, "204" }, { 304, "304" },
		{ 400, "400" }, { 401, "401" }, { 403, "403" }, { 404, "404" }, { 405, "405" },
		{ 409, "409" }, { 411, "411" }, { 412, "412" }, { 413, "413" }, { 415, "415" }, { 422, "422" },
		{ 429, "429" }, { 500, "500" }, { 503, "503" }, { 504, "504" },
	};

	for (size_t i = 0; i < COUNT(labels); i++)
		if (labels[i].status == status)
			return labels[i].label;
	return "other";
}

static void tell(struct job *j, err_t e)
{
	const int64_t us = clock_mono() - j->q->began;
	char detail[512];

	metric_add(METRIC_http_requests, status_label(j->a->status), 1);
	metric_time(METRIC_http_seconds, us);
	log_line(j->a->status >= 500 ? LOG_WARNING : LOG_DEBUG, "request", j->c->trace,
		 "\"route\":\"%s\",\"status\":%d,\"code\":\"%s\",\"us\":%" PRId64
		 ",\"user\":%" PRId64 ",\"detail\":\"%s\"",
		 j->m.route == NULL ? "" : j->m.route->path, j->a->status, err_info[e.code].code,
		 us, j->c->user, log_text(e.code ? j->c->detail : "", detail, sizeof detail));
}

void handle(void *of, struct http_request *q, struct http_answer *a)
{
	struct job j = { .g = of, .q = q, .a = a, .c = &q->c };

	cors_write(q, j.g->origins, a);
	const err_t e = answer(&j);

	a->whole = e.code == ERR_none;
	if (e.code && !a->begun)
		problem_write(j.c, e, j.after_s, a);
	else if (e.code)
		a->status = err_info[e.code].http;	/* to the log: the client sees that the rest is missing */
	tell(&j, e);
}
