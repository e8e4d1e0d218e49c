/*
 * wire.h - the headers of a message, and what of a ctx travels in them.
 *
 * A deadline travels as milliseconds left, never as a time of day.
 */
#ifndef BROKER_WIRE_H
#define BROKER_WIRE_H
#include "broker/base/str.h"

#define WIRE_USER       "Healthmed-User"	/* account number */
#define WIRE_ROLE       "Healthmed-Role"	/* patient, doctor; absent: nobody is logged in; system: no user */
#define WIRE_SESSION    "Healthmed-Session"	/* number of the token's session; absent: it has none */
#define WIRE_DEADLINE   "Healthmed-Deadline"	/* milliseconds left */
#define WIRE_CALL       "Healthmed-Call"	/* mailbox: domain.verb */
#define WIRE_REQUEST    "Healthmed-Request"	/* request id; of a REQUEST call only with a key */
#define WIRE_IF_MATCH   "Healthmed-If-Match"	/* HTTP's If-Match: the entity tags a change relies on */
#define WIRE_INBOX      "Healthmed-Inbox"	/* mailbox: where the outcome goes, <inbox> <token> */
#define WIRE_TRACE      "traceparent"		/* W3C Trace Context */
#define WIRE_ERROR      "Nats-Service-Error"		/* ADR-32: public text */
#define WIRE_ERROR_CODE "Nats-Service-Error-Code"	/* ADR-32: the code's name, e.g. slot_taken */
#define WIRE_FAULTS     "Healthmed-Faults"	/* with invalid and unreadable: JSON, [{field, code, message}] */
#define WIRE_ORIGIN     "Healthmed-Origin"	/* dead letter, and its replay: stream, its creation, sequence */
#define WIRE_REASON     "Healthmed-Reason"	/* dead letter: why */

enum { WIRE_MAX = 12 };
struct header  { const char *name, *value; };
struct headers { struct header v[WIRE_MAX]; size_t n; };

/* Puts user, role, session, If-Match, deadline (unless of a mailbox) and trace; values live in the arena. */
void  wire_put_ctx(struct ctx *, bool mailbox, struct headers *);
void  wire_put(struct headers *, const char *name, const char *value);
/* The reverse, from values as they came (NULL when absent): unreadable when one makes no sense. */
err_t wire_get_ctx(struct ctx *, const char *user, const char *role, const char *deadline,
		   const char *trace) MUST_CHECK;
/* The session of its header (NULL: none): unreadable when it makes no sense. */
err_t wire_get_session(struct ctx *, const char *session) MUST_CHECK;
/* Error headers of a refusal, with the ctx's faults; and back into the ctx and an err_t. */
void  wire_put_error(struct ctx *, err_t, struct headers *);
err_t wire_get_error(struct ctx *, const char *code, const char *faults);
#endif
