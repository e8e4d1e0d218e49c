/* dispatch.c - see dispatch.h.  Must not know a domain, a bus or a log. */
#include <inttypes.h>
#include <string.h>
#include "actors/core/dispatch.h"
#include "actors/core/named.h"
#include "broker/base/rule.h"
#include "broker/request_id.h"

MSG_DEFINE(idempotency, IDEMPOTENCY)
MSG_DEFINE(kept,        KEPT)

static const char *const key_queries[] = { "key_claim", "key_read", "key_store" };
enum { KEY_CLAIM, KEY_READ, KEY_STORE };

static enum query key_query(const struct call *k, int which)
{
	return query_named(k->domain, key_queries[which]);
}

const char *dispatch_lacks(const struct actor *a)
{
	for (size_t i = 0; i < a->nreceive; i++) {
		const struct call *k = &call[a->receive[i].on];

		for (size_t q = 0; k->tx == TX_WRITE && !CALL_IS_MAILBOX(k) && q < COUNT(key_queries); q++)
			if (key_query(k, (int) q) == Q_COUNT)
				return key_queries[q];
	}
	return NULL;
}

static err_t check_role(struct ctx *c, const struct call *k)
{
	const bool someone = c->role == ROLE_SYSTEM || (c->user > 0 && c->role > ROLE_PUBLIC);

	if (!RULE(role_in_actor) || k->who & ROLE_PUBLIC || (someone && k->who & c->role))
		return OK;
	return someone ? ERR(forbidden) : ERR(no_token);
}

static err_t act(struct ctx *c, const struct receive *r, const void *req, struct str *reply)
{
	const struct call *k = &call[r->on];
	void *rep = arena_alloc(c->mem, k->rep->size);

	if (rep == NULL)
		return refuse(c, ERR_too_large, "no room for a reply");
	TRY(r->answer(c, req, rep));
	return msg_to_pack(c, k->rep, rep, reply);
}

/* A request that has its effect once. */
struct once {
	const struct call *call;
	struct idempotency row;		/* without `id`: it is no such request */
	struct secret      key;		/* of its reply's seal */
};

/* Of the body, what the client said is hashed: what the gateway found out may be another at a copy. */
static err_t once_of(struct ctx *c, const struct call *k, const void *req, const char *request,
		     struct once *once)
{
	struct str part[] = { STR("body"), str_of(k->name), STR(""), STR("") };
	struct digest *d = arena_alloc(c->mem, 2 * sizeof *d);
	struct request_id id;

	if (d == NULL)
		return refuse(c, ERR_too_large, "no room for a key");
	if (!request_id_read(str_of(request), &id))
		return refuse(c, ERR_unreadable, "a request id that is none");
	TRY(msg_said(c, k->req, req, &part[2]));
	d[0] = id.nonce;
	d[1] = digest_of(str_of(c->secret), part, COUNT(part) - 1);
	SET(&once->row, id, ((struct str) { (const char *) d[0].b, sizeof d[0].b }));
	SET(&once->row, body_hash, ((struct str) { (const char *) d[1].b, sizeof d[1].b }));
	part[0] = STR("reply");
	part[3] = once->row.id;
	once->key = digest_secret(str_of(c->secret), part, COUNT(part));
	once->call = k;
	return OK;
}

static err_t keep(struct ctx *c, struct once *once, err_t e, struct str reply)
{
	struct kept kept = { .set = { 0 } };

	if (e.code != ERR_none)
		SET(&kept, code, str_of(err_info[e.code].code));
	else
		TRY(seal(c, &once->key, STR(""), reply, &kept.sealed));
	kept.has.sealed = e.code == ERR_none;
	TRY(msg_to_pack(c, &kept_msg, &kept, &once->row.reply));
	once->row.has.reply = 1;
	return db_exec(c, key_query(once->call, KEY_STORE), &once->row);
}

/* What the first copy was told. */
static err_t repeat(struct ctx *c, const struct once *once, struct str *reply, err_t *outcome)
{
	struct idempotency first;
	struct kept kept;
	char code[65] = "";

	TRY(db_one(c, key_query(once->call, KEY_READ), &once->row, &first));
	if (RULE(body_of_request) && !str_eq(first.body_hash, once->row.body_hash))
		return ERR(key_reused);
	TRY(msg_from_pack(c, &kept_msg, first.reply, &kept));
	*reply = kept.reply;
	if (kept.has.sealed)
		TRY(unseal(c, &once->key, STR(""), kept.sealed, reply));
	if (kept.has.code && kept.code.n < sizeof code) {
		memcpy(code, kept.code.p, kept.code.n);
		*outcome = err_named(code);
	}
	return OK;
}

/* A refusal by the state is an outcome like any other: it is kept, what led to it is not. */
static err_t act_once(struct ctx *c, const struct receive *r, const void *req, struct once *once,
		      struct str *reply, err_t *outcome)
{
	struct idempotency claimed;
	err_t e = db_one(c, key_query(once->call, KEY_CLAIM), &once->row, &claimed);

	if (e.code == ERR_not_found)
		return repeat(c, once, reply, outcome);
	TRY(e);
	TRY(db_exec(c, Q_core_savepoint, NULL));
	*outcome = act(c, r, req, reply);
	if (err_info[outcome->code].http == 409 && !c->stands)
		TRY(db_exec(c, Q_core_rollback_to, NULL));
	else if (!c->stands)
		TRY(*outcome);
	return keep(c, once, *outcome, *reply);
}

static err_t in_transaction(struct ctx *c, const struct receive *r, const void *req,
			    struct once *once, struct str *reply)
{
	const bool write = call[r->on].tx == TX_WRITE;
	err_t outcome = OK, e;

	TRY(db_begin(c, write));
	if (once->row.has.id) {
		e = act_once(c, r, req, once, reply, &outcome);
	} else {
		outcome = act(c, r, req, reply);
		e = c->stands ? OK : outcome;
	}
	if (e.code != ERR_none) {
		db_rollback(c);
		return e;
	}
	e = db_commit(c);
	if (e.code != ERR_none)		/* it may have happened; whoever has a key can ask */
		return write ? refuse(c, ERR_outcome_unknown, "the commit was not answered") : e;
	return outcome;
}

err_t dispatch(struct ctx *c, const struct receive *r, struct str body, const char *request,
	       struct str *reply)
{
	const struct call *k = &call[r->on];
	struct once once = { .row.set = { 0 } };
	void *req = arena_alloc(c->mem, k->req->size);

	TRY(check_role(c, k));
	if (req == NULL)
		return refuse(c, ERR_too_large, "no room for a request");
	TRY(msg_from_pack(c, k->req, body, req));
	if (k->tx == TX_WRITE && request != NULL && request[0] != '\0')
		TRY(once_of(c, k, req, request, &once));
	return k->tx == TX_NONE ? act(c, r, req, reply) : in_transaction(c, r, req, &once, reply);
}
