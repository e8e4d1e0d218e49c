/*
 * transitions.h - the life of an appointment: which step leads from where to where, and who takes it.
 *
 * Pure, and the only place that says so.  Times are no matter of it: see decide.c.
 */
#ifndef ACTORS_BOOKING_TRANSITIONS_H
#define ACTORS_BOOKING_TRANSITIONS_H
#include "broker/msg/appointments.h"

enum step {
	STEP_CONFIRM, STEP_DECLINE, STEP_CANCEL, STEP_MOVE, STEP_START, STEP_CONCLUDE, STEP_NO_SHOW,
	STEP_ATTEST,		/* a report is written about it */
	STEP_EXPIRE,		/* nobody confirmed it before its time */
	STEP_REVOKE,		/* the account of one side is gone */
	STEP_COUNT
};

/* OK and the status that it leads to; forbidden: not by that role; otherwise the step's own refusal:
 * not in that state. */
err_t transition(enum step, enum role, enum appointment_status from,
		 enum appointment_status *to) MUST_CHECK;

/* It holds its slot and its patient's time. */
bool status_is_live(enum appointment_status);
#endif
