/* call.c - the call table.  Must not know how a message travels. */
#include <string.h>
#include "broker/call.h"

/* A key that is no field of the right type does not compile. */
#define KEY(domain, verb, key_, type) .key = _Generic(((struct domain##_##verb##_req *) 0)->key_, \
		type: offsetof(struct domain##_##verb##_req, key_))
#define ANSWERED(answer_)           .rep = &answer_##_msg, .answer = &answer_##_msg
#define OUTCOME(answer_)            .rep = &booking_outcome_msg, .answer = OUTCOME_##answer_, \
		.answer_off = offsetof(struct booking_outcome, answer_)
#define OUTCOME_appointment         &appointments_appointment_msg
#define OUTCOME_slot                &schedules_slot_msg
#define OUTCOME_recurring           &booking_recurring_msg

#define VIA_REQUEST(d, v, a, key)         ANSWERED(a)
#define VIA_SCOPED(d, v, a, key)          ANSWERED(a), KEY(d, v, key, struct str)
#define VIA_HASHED(d, v, a, key)          VIA_SCOPED(d, v, a, key)
#define VIA_SHARED(d, v, a, key)          ANSWERED(a)
#define VIA_KNOWN(d, v, a, key)           ANSWERED(a), KEY(d, v, key, int64_t)
#define VIA_LOCATED(d, v, a, key)         ANSWERED(a)
#define VIA_ATTESTED(d, v, a, key)        ANSWERED(a)
#define VIA_CONCLUDED(d, v, a, key)       ANSWERED(a)
#define VIA_UPLOAD(d, v, a, key)          ANSWERED(a)
#define VIA_DOWNLOAD(d, v, a, key)        ANSWERED(a)
#define VIA_EXPORT(d, v, a, key)          ANSWERED(a)
#define VIA_MAILBOX_NAMED(d, v, a, key)   OUTCOME(a), KEY(d, v, key, int64_t)
#define VIA_MAILBOX_OWN(d, v, a, key)     OUTCOME(a), KEY(d, v, key, int64_t)
#define VIA_MAILBOX_LOCATED(d, v, a, key) OUTCOME(a), KEY(d, v, key, int64_t)
#define VIA_MAILBOX_MOVES(d, v, a, key)   OUTCOME(a), KEY(d, v, key, int64_t)

const struct call call[CALL_COUNT] = {
#define X(domain_, verb_, answer_, who_, tx_, via_, key_) [CALL_##domain_##_##verb_] = { \
		.name = #domain_ "." #verb_,                                             \
		.subject = "healthmed.v1." #domain_ "." #verb_,                          \
		.domain = #domain_, .req = &domain_##_##verb_##_req_msg,                 \
		.who = (who_), .tx = tx_, .via = via_,                                   \
		VIA_##via_(domain_, verb_, answer_, key_) },
	CALLS(X)
#undef X
};

enum call_id call_named(struct str name)
{
	enum call_id i = 0;

	while (i < CALL_COUNT && !str_eq(name, str_of(call[i].name)))
		i++;
	return i;
}
