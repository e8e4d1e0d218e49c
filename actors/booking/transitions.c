/* transitions.c - see transitions.h.  Must not know a slot, a patient or a clock. */
#include <assert.h>
#include "actors/booking/transitions.h"
#include "broker/base/rule.h"

#define IN(status) (1u << APPOINTMENT_##status)
#define LIVE       (IN(WAITING) | IN(CONFIRMED) | IN(IN_PROGRESS))
#define EITHER     (ROLE_PATIENT | ROLE_DOCTOR)

/*
 * Either side withdraws before the visit begins; whatever has ended stays as it is.  A visit begins
 * and somebody is missing when the doctor says so, not by the clock.
 */
static const struct {
	unsigned                who, from;
	enum appointment_status to;
	bool                    stays;		/* where it is */
	enum err_code           refusal;
} transitions[STEP_COUNT] = {
#define STAY .stays = true
#define NO   .refusal = ERR_invalid_transition
	[STEP_CONFIRM]  = { ROLE_DOCTOR,  IN(WAITING),                 APPOINTMENT_CONFIRMED,   NO },
	[STEP_DECLINE]  = { ROLE_DOCTOR,  IN(WAITING) | IN(CONFIRMED), APPOINTMENT_CANCELLED,   NO },
	[STEP_CANCEL]   = { EITHER,       IN(WAITING) | IN(CONFIRMED), APPOINTMENT_CANCELLED,   NO },
	[STEP_MOVE]     = { ROLE_PATIENT, IN(WAITING) | IN(CONFIRMED), APPOINTMENT_WAITING,     NO },
	[STEP_START]    = { ROLE_DOCTOR,  IN(CONFIRMED),               APPOINTMENT_IN_PROGRESS, NO },
	[STEP_CONCLUDE] = { ROLE_DOCTOR,  IN(IN_PROGRESS),             APPOINTMENT_CONCLUDED,   NO },
	[STEP_NO_SHOW]  = { ROLE_DOCTOR,  IN(CONFIRMED),               APPOINTMENT_NO_SHOW,     NO },
	[STEP_ATTEST]   = { ROLE_DOCTOR,  ~IN(WAITING), STAY,          .refusal = ERR_not_confirmed },
	[STEP_EXPIRE]   = { ROLE_SYSTEM,  IN(WAITING),                 APPOINTMENT_CANCELLED,   NO },
	[STEP_REVOKE]   = { ROLE_SYSTEM,  LIVE,                        APPOINTMENT_CANCELLED,   NO },
};

err_t transition(enum step step, enum role role, enum appointment_status from,
		 enum appointment_status *to)
{
	assert(step < STEP_COUNT);
	if (!(transitions[step].who & role))
		return ERR(forbidden);
	if (!(transitions[step].from & 1u << from) && RULE(transition))
		return (err_t) { transitions[step].refusal };
	*to = transitions[step].stays ? from : transitions[step].to;
	return OK;
}

bool status_is_live(enum appointment_status status)
{
	return LIVE & 1u << status;
}
