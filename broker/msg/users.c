/* users.c - the descriptions that users.h declares, and what their fields ask of each other. */
#include "broker/msg/users.h"

const char *const users_role_names[] = { "patient", "doctor", NULL };

static void relate_register(struct ctx *c, const void *of)
{
	const struct users_register_req *q = of;
	const bool card = q->has.doctor && !q->null.doctor;

	if (q->has.role && q->role == USERS_DOCTOR && !q->has.doctor)
		(void) fault(c, ERR_invalid, "doctor", "is required of a doctor");
	if (q->has.role && q->role == USERS_PATIENT && card)
		(void) fault(c, ERR_invalid, "doctor", "is for doctors only");
}

static void relate_update(struct ctx *c, const void *of)
{
	const struct users_update_req *q = of;
	const bool patient = c->role == ROLE_PATIENT;

	if (patient && q->has.medical_id)
		(void) fault(c, ERR_invalid, "medical_id", "is for doctors only");
	if (patient && q->has.specialty)
		(void) fault(c, ERR_invalid, "specialty", "is for doctors only");
	if (patient && q->has.price)
		(void) fault(c, ERR_invalid, "price", "is for doctors only");
	if (q->has.password && !q->has.current_password && !q->null.current_password)
		(void) fault(c, ERR_invalid, "current_password", "is missing");
}

static void relate_login(struct ctx *c, const void *of)
{
	const struct users_login_req *q = of;

	if (q->has.email + q->has.document_id + q->has.medical_id != 1)
		(void) fault(c, ERR_invalid, "email",
			     "exactly one of email, document_id and medical_id is needed");
}

MSG_DEFINE(users_doctor_card,  USERS_DOCTOR_CARD)
MSG_DEFINE(users_address,      USERS_ADDRESS)
MSG_DEFINE(users_user,         USERS_USER)
MSG_DEFINE_RELATED(users_register_req, USERS_REGISTER_REQ, relate_register)
MSG_DEFINE_RELATED(users_login_req, USERS_LOGIN_REQ, relate_login)
MSG_DEFINE(users_login_rep,    USERS_LOGIN_REP)
MSG_DEFINE_RELATED(users_update_req, USERS_UPDATE_REQ, relate_update)
MSG_DEFINE(users_refresh_req,  USERS_REFRESH_REQ)
MSG_DEFINE(users_logout_req,   USERS_LOGOUT_REQ)
MSG_DEFINE(users_erase_req,    USERS_ERASE_REQ)
MSG_DEFINE(users_span,         USERS_SPAN)
MSG_DEFINE(users_ended,        USERS_ENDED)
MSG_DEFINE(users_revoked_req,  USERS_REVOKED_REQ)
MSG_DEFINE(users_me_req,       USERS_ME_REQ)
MSG_DEFINE(users_login,        USERS_LOGIN)
MSG_DEFINE(users_export_req,   USERS_EXPORT_REQ)
MSG_DEFINE(users_export_rep,   USERS_EXPORT_REP)
MSG_DEFINE(users_known_req,    USERS_KNOWN_REQ)
MSG_DEFINE(users_known_rep,    USERS_KNOWN_REP)
