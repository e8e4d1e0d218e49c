/* users.c - the descriptions that users.h declares. */
#include "broker/msg/users.h"

const char *const users_role_names[] = { "patient", "doctor", NULL };

MSG_DEFINE(users_doctor_card,  USERS_DOCTOR_CARD)
MSG_DEFINE(users_address,      USERS_ADDRESS)
MSG_DEFINE(users_user,         USERS_USER)
MSG_DEFINE(users_register_req, USERS_REGISTER_REQ)
MSG_DEFINE(users_login_req,    USERS_LOGIN_REQ)
MSG_DEFINE(users_login_rep,    USERS_LOGIN_REP)
MSG_DEFINE(users_update_req,   USERS_UPDATE_REQ)
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
