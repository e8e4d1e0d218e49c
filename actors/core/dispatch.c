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
	const bool someone = c->user > 0 && c->role > ROLE_PUBLIC;

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

/* The body is hashed as it came: the gateway writes the same fields in the same order. */
static err_t key_of(struct ctx *c, const struct call *k, struct str body, const char *request,
		    struct idempotency *key)
{
	const struct str part[] = { STR("body"), str_of(k->name), body };
	struct digest *d = arena_alloc(c->mem, 2 * sizeof *d);
	struct request_id id;

	if (d == NULL)
		return refuse(c, ERR_too_large, "no room for a key");
	if (!request_id_read(str_of(request), &id))
		return refuse(c, ERR_unreadable, "a request id that is none");
	d[0] = id.nonce;
	d[1] = digest_of(str_of(c->secret), part, COUNT(part));
	SET(key, id, ((struct str) { (const char *) d[0].b, sizeof d[0].b }));
	SET(key, body_hash, ((struct str) { (const char *) d[1].b, sizeof d[1].b }));
	return OK;
}

static err_t keep(struct ctx *c, const struct call *k, struct idempotency *key, err_t e,
		  struct str reply)
{
	struct kept kept = { .set = { 0 } };

	if (e.code == ERR_none)
		SET(&kept, reply, reply);
	else
		SET(&kept, code, str_of(err_info[e.code].code));
	TRY(msg_to_pack(c, &kept_msg, &kept, &key->reply));
	key->has.reply = 1;
	return db_exec(c, key_query(k, KEY_STORE), key);
}

/* What the first copy was told. */
static err_t repeat(struct ctx *c, const struct call *k, const struct idempotency *key,
		    struct str *reply, err_t *outcome)
{
	struct idempotency first;
	struct kept kept;
	char code[65] = "";

	TRY(db_one(c, key_query(k, KEY_READ), key, &first));
	if (RULE(body_of_request) && !str_eq(first.body_hash, key->body_hash))
		return ERR(key_reused);
	TRY(msg_from_pack(c, &kept_msg, first.reply, &kept));
	*reply = kept.reply;
	if (kept.has.code && kept.code.n < sizeof code) {
		memcpy(code, kept.code.p, kept.code.n);
		*outcome = err_named(code);
	}
	return OK;
}

/* A refusal by the state is an outcome like any other: it is kept, what led to it is not. */
static err_t act_once(struct ctx *c, const struct receive *r, const void *req,
		      struct idempotency *key, struct str *reply, err_t *outcome)
{
	const struct call *k = &call[r->on];
	struct idempotency claimed;
	err_t e = db_one(c, key_query(k, KEY_CLAIM), key, &claimed);

	if (e.code == ERR_not_found)
		return repeat(c, k, key, reply, outcome);
	TRY(e);
	TRY(db_exec(c, Q_core_savepoint, NULL));
	*outcome = act(c, r, req, reply);
	if (err_info[outcome->code].http == 409)
		TRY(db_exec(c, Q_core_rollback_to, NULL));
	else
		TRY(*outcome);
	return keep(c, k, key, *outcome, *reply);
}

static err_t in_transaction(struct ctx *c, const struct receive *r, const void *req,
			    struct idempotency *key, struct str *reply)
{
	const bool write = call[r->on].tx == TX_WRITE;
	err_t outcome = OK, e;

	TRY(db_begin(c, write));
	e = write && key->has.id ? act_once(c, r, req, key, reply, &outcome) : act(c, r, req, reply);
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
	struct idempotency key = { .set = { 0 } };
	void *req = arena_alloc(c->mem, k->req->size);

	TRY(check_role(c, k));
	if (req == NULL)
		return refuse(c, ERR_too_large, "no room for a request");
	TRY(msg_from_pack(c, k->req, body, req));
	if (k->tx == TX_WRITE && request != NULL && request[0] != '\0')
		TRY(key_of(c, k, body, request, &key));
	return k->tx == TX_NONE ? act(c, r, req, reply) : in_transaction(c, r, req, &key, reply);
}
