/*
 * call.h - everything that can be asked, one row a call: who may, and which way it goes.
 *
 * A REQUEST is answered by a pool.  SCOPED is one whose Idempotency-Key, when nobody is logged
 * in, belongs to whoever a text field of it names; HASHED is the same and works on a password, which
 * takes a processor for a while: a pool has threads of their own for these, and a short queue.  SHARED is one whose answer is the
 * same for all who may ask, and may be kept for a moment.  KNOWN is the same about the doctor that its key
 * names; where there is no such doctor, it goes nowhere.  A MAILBOX command goes to the stream under
 * its key, the doctor, and is decided in order; it is answered by an outcome, of which `answer`
 * is the part that clients see.  The doctor is NAMED by the client (unknown ones are refused
 * before publishing), the caller himself (OWN), LOCATED by the appointment in `id`, or named as the
 * new one to whom the appointment in `id` MOVES.
 *
 * What a client may not say, the gateway finds out.  A LOCATED request gets, beside every field
 * `appointment_id` in it, those of appointments.locate that have the name of a field that is OURS, or
 * that name after `appointment_`: the appointment is the caller's own, or there is none.  ATTESTED is the same as the mailbox saw it, which
 * keeps the appointment where it is from then on.  CONCLUDED gets in `concluded` the caller's
 * appointments with the doctor in `doctor_id` that took place.
 *
 * An UPLOAD is LOCATED, and its body a form with a file, which goes by calls of its own before it
 * (web/upload.c).  A DOWNLOAD follows a link, which says who asks, and is answered by the bytes of a
 * file, which come by calls of their own after it (web/download.c).
 * An EXPORT is answered by what its call says and, after it, by the lists of all domains (web/export.c).
 */
#ifndef BROKER_CALL_H
#define BROKER_CALL_H
#include "broker/msg/appointments.h"
#include "broker/msg/booking.h"
#include "broker/msg/files.h"
#include "broker/msg/reports.h"
#include "broker/msg/reviews.h"
#include "broker/msg/schedules.h"
#include "broker/msg/users.h"

#define CALLS(X) USERS_CALLS(X) SCHEDULES_CALLS(X) APPOINTMENTS_CALLS(X) BOOKING_CALLS(X) \
	REVIEWS_CALLS(X) REPORTS_CALLS(X) FILES_CALLS(X)

enum tx  { TX_NONE, TX_READ, TX_WRITE };
enum via {
	REQUEST, SCOPED, HASHED, SHARED, KNOWN, LOCATED, ATTESTED, CONCLUDED, UPLOAD, DOWNLOAD, EXPORT,
	MAILBOX_NAMED, MAILBOX_OWN, MAILBOX_LOCATED, MAILBOX_MOVES,
};
enum call_id {
#define X(domain, verb, answer, who, tx, via, key) CALL_##domain##_##verb,
	CALLS(X)
#undef X
	CALL_COUNT
};

struct call {
	const char       *name;		/* domain.verb, as in the header Healthmed-Call */
	const char       *subject;	/* of a REQUEST: healthmed.v1.domain.verb */
	const char       *domain;
	const struct msg *req;
	const struct msg *rep;		/* what comes back: of a mailbox, the outcome */
	const struct msg *answer;	/* what clients see of it */
	size_t            answer_off;	/* where that is in the reply */
	unsigned          who;		/* roles; none is nobody */
	enum tx           tx;
	enum via          via;
	size_t            key;		/* MAILBOX, KNOWN: the doctor in req; SCOPED, HASHED: the text */
};
extern const struct call call[CALL_COUNT];

#define CALL_IS_MAILBOX(c) ((c)->via >= MAILBOX_NAMED)
#define CALL_IS_SHARED(c)  ((c)->via == SHARED || (c)->via == KNOWN)
#define CALL_IS_SCOPED(c)  ((c)->via == SCOPED || (c)->via == HASHED)

/* The call of that name; CALL_COUNT when there is none. */
enum call_id call_named(struct str name);
#endif
