/*
 * job.h - one request on its way through a gateway, and what its rooms share: handle.c leads it, find.c
 * finds out what the client may not say, ask.c asks the actors.
 */
#ifndef WEB_JOB_H
#define WEB_JOB_H
#include "broker/call.h"
#include "broker/request_id.h"
#include "web/handle.h"
#include "web/room.h"
#include "web/router.h"

struct job {
	struct gateway      *g;
	struct http_request *q;
	struct http_answer  *a;
	struct ctx          *c;
	struct match         m;
	const struct call   *call;
	void                *req;	/* of call->req */
	struct str           key;	/* Idempotency-Key; p NULL: none */
	struct str           who;	/* whose key */
	uint64_t             address;	/* whom the limits count it for */
	int                  after_s;	/* Retry-After */
};

#define READ_DEADLINE (10 * SECOND)

/* ---- fields of a message that is known by its description alone ---- */

const struct field *field_at(const struct msg *, size_t off);
const struct field *field_named(const struct msg *, const char *name, enum kind);	/* NULL: none */
bool    field_said(const struct msg *, const void *in, const struct field *);
int64_t field_int(const void *in, const struct field *);
void    field_set(const struct msg *, void *out, const struct field *, int64_t);

/* ---- ask.c ---- */

/* A request to a pool; `request` is the request id or NULL.  *rep is of k->rep, in the arena. */
err_t ask(struct job *, const struct call *k, const void *req, const char *request, void **rep)
	MUST_CHECK;
/* A command to a doctor's mailbox; *id becomes its request id.  Waits for the outcome so long, for the
 * stream's acknowledgement a little longer; *wait_us becomes 0 when too many wait for outcomes already. */
err_t command(struct job *, const struct call *k, const void *req, int64_t doctor, int64_t *wait_us,
	      struct request_id *id, struct bus_outcome *) MUST_CHECK;
/* What was decided; or the refusal.  The outcome lies in the arena. */
err_t outcome_read(struct job *, const struct call *, struct str bytes,
		   const struct booking_outcome **) MUST_CHECK;

/* The items of a page as a JSON array, in the arena. */
err_t page_items(struct job *, const struct msg *, const void *page, struct str *array) MUST_CHECK;

/* ---- find.c ---- */

/* Whose mailbox; fills in what the command says of it and is ours to say. */
err_t find_mailbox(struct job *, int64_t *doctor) MUST_CHECK;
/* Fills in what else of the request is ours to say, as its call's way tells. */
err_t find_rest(struct job *) MUST_CHECK;

/* ---- upload.c, download.c, export.c ---- */

/* The file of the body's form, by its pieces to the actors; *rep is of the call. */
err_t upload(struct job *, void **rep) MUST_CHECK;
/* A file to whoever a link names: all of it is here and verified before the first byte goes. */
err_t download(struct job *) MUST_CHECK;
/* All that is kept about the caller, one document. */
err_t export(struct job *) MUST_CHECK;
#endif
