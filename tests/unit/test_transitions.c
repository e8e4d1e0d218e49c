/* test_transitions.c - the life of an appointment: every step, from every state, by every role. */
#include "actors/booking/transitions.h"
#include "tests/unit/test.h"

static const char letters[] = "wcikxn";		/* in the order of enum appointment_status */
enum { STATES = sizeof letters - 1 };

/* Where each step leads from waiting, confirmed, in progress, concluded, cancelled and no-show. */
static const struct { enum step step; unsigned who; const char *to; enum err_code refusal; } want[] = {
	{ STEP_CONFIRM,  ROLE_DOCTOR,                "c.....", ERR_invalid_transition },
	{ STEP_DECLINE,  ROLE_DOCTOR,                "xx....", ERR_invalid_transition },
	{ STEP_CANCEL,   ROLE_PATIENT | ROLE_DOCTOR, "xx....", ERR_invalid_transition },
	{ STEP_MOVE,     ROLE_PATIENT,               "ww....", ERR_invalid_transition },
	{ STEP_START,    ROLE_DOCTOR,                ".i....", ERR_invalid_transition },
	{ STEP_CONCLUDE, ROLE_DOCTOR,                "..k...", ERR_invalid_transition },
	{ STEP_NO_SHOW,  ROLE_DOCTOR,                ".n....", ERR_invalid_transition },
	{ STEP_ATTEST,   ROLE_DOCTOR,                ".cikxn", ERR_not_confirmed },
	{ STEP_EXPIRE,   ROLE_SYSTEM,                "x.....", ERR_invalid_transition },
	{ STEP_REVOKE,   ROLE_SYSTEM,                "xxx...", ERR_invalid_transition },
};

TEST(every_step_leads_by_every_role_from_every_state_where_it_should_and_nowhere_else)
{
	static const enum role roles[] = { ROLE_NOBODY, ROLE_PUBLIC, ROLE_PATIENT, ROLE_DOCTOR, ROLE_SYSTEM };

	assert_int_equal(COUNT(want), STEP_COUNT);
	for (size_t i = 0; i < COUNT(want); i++)
		for (size_t r = 0; r < COUNT(roles); r++)
			for (int from = 0; from < STATES; from++) {
				const char to_letter = want[i].to[from];
				enum appointment_status to = APPOINTMENT_NO_SHOW;
				const err_t e = transition(want[i].step, roles[r],
							   (enum appointment_status) from, &to);

				assert_int_equal(want[i].step, i);
				if (!(want[i].who & roles[r]))
					assert_int_equal(e.code, ERR_forbidden);
				else if (to_letter == '.')
					assert_int_equal(e.code, want[i].refusal);
				else
					assert_int_equal(letters[to], to_letter);
				if (e.code != ERR_none)
					assert_int_equal(to, APPOINTMENT_NO_SHOW);
			}
}

TEST(what_has_ended_holds_nothing)
{
	for (int s = 0; s < STATES; s++)
		assert_int_equal(status_is_live((enum appointment_status) s), s < 3);
}
