/*
 * dispatch.h - one request from its bytes to its reply: role, decode, transaction, handler,
 * idempotency, commit.  Must not know a domain.
 *
 * A TX_WRITE call that carries a request id has its effect once: the id and the keyed hash of the
 * body are claimed in the act's own transaction, copies wait for that and get the stored reply,
 * also when it was a conflict with the state (409), or a refusal that stands (ctx).  Replies are
 * stored sealed, under a key that is made of the body they answer: of what they say, a token or a
 * name, nothing can be read but by whoever asks the same again.  The domain's queries, found by name:
 *	<domain>_key_claim  in: idempotency  out: idempotency   INSERT … ON CONFLICT DO NOTHING
 *	<domain>_key_read   in: idempotency  out: idempotency
 *	<domain>_key_store  in: idempotency  out: -
 */
#ifndef ACTORS_CORE_DISPATCH_H
#define ACTORS_CORE_DISPATCH_H
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "broker/base/seal.h"

/*             from  kind   name        need min  max  of */
#define IDEMPOTENCY(F, T)                                        \
	F(T,   BODY, BYTES, id,         OPT, 16, 16,      -)     \
	F(T,   BODY, BYTES, body_hash,  OPT, 16, 16,      -)     \
	F(T,   BODY, BYTES, reply,      OPT, 0, 1 << 21,  -)
/* A stored reply: the call's own, or the code of the refusal.  `reply` is of release 0.1, unsealed. */
#define KEPT(F, T)                                               \
	F(T,   BODY, BYTES, reply,      OPT, 0, 1 << 20,  -)     \
	F(T,   BODY, TEXT,  code,       OPT, 1, 64,       -)     \
	F(T,   BODY, BYTES, sealed,     OPT, 0, (1 << 20) + SEAL_MORE, -)
MSG_DECLARE(idempotency, IDEMPOTENCY)
MSG_DECLARE(kept,        KEPT)

/* NULL, or which query a domain with TX_WRITE requests lacks. */
const char *dispatch_lacks(const struct actor *);

/* `request` is the header Healthmed-Request (NULL or "" when absent); c->secret keys the body's
 * hash.  The reply is msgpack, in the arena. */
err_t dispatch(struct ctx *, const struct receive *, struct str body, const char *request,
	       struct str *reply) MUST_CHECK;
#endif
