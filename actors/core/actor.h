/*
 * actor.h - from a call to the function that answers it, types intact.
 *
 * ACTOR_DEFINE makes, for every call of a domain, the prototype of its handler, the
 * adapter that restores the types and the row that finds it.  A handler that is missing,
 * or has other types than its call, does not build.  Handlers know no bus and no clock.
 */
#ifndef ACTORS_CORE_ACTOR_H
#define ACTORS_CORE_ACTOR_H
#include "broker/call.h"

struct agenda;
struct command;
struct decision;
typedef err_t request_fn(struct ctx *, const void *req, void *rep);
typedef err_t mailbox_fn(struct agenda *, const struct command *, const void *req,
			 struct decision *);

struct receive { enum call_id on; request_fn *answer; mailbox_fn *decide; };
struct actor   { const char *name; const struct receive *receive; size_t nreceive; };

#define TYPED_REQUEST(d, v, a)                                                                   \
	static err_t d##_##v(struct ctx *, const struct d##_##v##_req *, struct a *);            \
	static err_t d##_##v##_any(struct ctx *c, const void *q, void *a_)                       \
	{ return d##_##v(c, q, a_); }
#define TYPED_SCOPED(d, v, a)    TYPED_REQUEST(d, v, a)
#define TYPED_HASHED(d, v, a)    TYPED_REQUEST(d, v, a)
#define TYPED_SHARED(d, v, a)    TYPED_REQUEST(d, v, a)
#define TYPED_KNOWN(d, v, a)     TYPED_REQUEST(d, v, a)
#define TYPED_LOCATED(d, v, a)   TYPED_REQUEST(d, v, a)
#define TYPED_ATTESTED(d, v, a)  TYPED_REQUEST(d, v, a)
#define TYPED_CONCLUDED(d, v, a) TYPED_REQUEST(d, v, a)
#define TYPED_UPLOAD(d, v, a)    TYPED_REQUEST(d, v, a)
#define TYPED_DOWNLOAD(d, v, a)  TYPED_REQUEST(d, v, a)
#define TYPED_EXPORT(d, v, a)    TYPED_REQUEST(d, v, a)
#define TYPED_MAILBOX(d, v)                                                                      \
	static err_t d##_##v(struct agenda *, const struct command *,                            \
			     const struct d##_##v##_req *, struct decision *);                   \
	static err_t d##_##v##_any(struct agenda *g, const struct command *k, const void *q,     \
				   struct decision *d_)                                          \
	{ return d##_##v(g, k, q, d_); }
#define TYPED_MAILBOX_NAMED(d, v, a)   TYPED_MAILBOX(d, v)
#define TYPED_MAILBOX_OWN(d, v, a)     TYPED_MAILBOX(d, v)
#define TYPED_MAILBOX_LOCATED(d, v, a) TYPED_MAILBOX(d, v)
#define TYPED_MAILBOX_MOVES(d, v, a)   TYPED_MAILBOX(d, v)
#define ROW_REQUEST(d, v)         { .on = CALL_##d##_##v, .answer = d##_##v##_any },
#define ROW_SCOPED(d, v)          ROW_REQUEST(d, v)
#define ROW_HASHED(d, v)          ROW_REQUEST(d, v)
#define ROW_SHARED(d, v)          ROW_REQUEST(d, v)
#define ROW_KNOWN(d, v)           ROW_REQUEST(d, v)
#define ROW_LOCATED(d, v)         ROW_REQUEST(d, v)
#define ROW_ATTESTED(d, v)        ROW_REQUEST(d, v)
#define ROW_CONCLUDED(d, v)       ROW_REQUEST(d, v)
#define ROW_UPLOAD(d, v)          ROW_REQUEST(d, v)
#define ROW_DOWNLOAD(d, v)        ROW_REQUEST(d, v)
#define ROW_EXPORT(d, v)          ROW_REQUEST(d, v)
#define ROW_MAILBOX_NAMED(d, v)   { .on = CALL_##d##_##v, .decide = d##_##v##_any },
#define ROW_MAILBOX_OWN(d, v)     ROW_MAILBOX_NAMED(d, v)
#define ROW_MAILBOX_LOCATED(d, v) ROW_MAILBOX_NAMED(d, v)
#define ROW_MAILBOX_MOVES(d, v)   ROW_MAILBOX_NAMED(d, v)

#define ACTOR_TYPED_(domain, verb, answer, who, tx, via, key) TYPED_##via(domain, verb, answer)
#define ACTOR_ROW_(domain, verb, answer, who, tx, via, key)   ROW_##via(domain, verb)
#define ACTOR_DEFINE(domain, CALLS_OF)                                                           \
	CALLS_OF(ACTOR_TYPED_)                                                                   \
	static const struct receive domain##_receive[] = { CALLS_OF(ACTOR_ROW_) };               \
	const struct actor domain##_actor = { #domain, domain##_receive,                         \
		sizeof domain##_receive / sizeof domain##_receive[0] };

extern const struct actor users_actor, schedules_actor, appointments_actor, booking_actor,
	reviews_actor, reports_actor, files_actor;
#endif
