/*
 * dispatch.h - one request from its bytes to its reply: decode, role, transaction, handler,
 * idempotency, commit.  Must not know a domain.
 */
#ifndef ACTORS_CORE_DISPATCH_H
#define ACTORS_CORE_DISPATCH_H
#include "actors/core/actor.h"
#include "actors/core/db.h"

/* `request` is the header Healthmed-Request ("" when absent), `secret` keys the body's hash.
 * The reply is msgpack, in the arena. */
err_t dispatch(struct ctx *, const struct receive *, struct str body, const char *request,
	       struct str secret, struct str *reply) MUST_CHECK;
#endif
