/* users.c - the descriptions that users.h declares. */
#include "broker/msg/users.h"

const char *const users_role_names[] = { "patient", "doctor", NULL };

MSG_DEFINE(users_doctor_card,  USERS_DOCTOR_CARD)
MSG_DEFINE(users_address,      USERS_ADDRESS)
MSG_DEFINE(users_user,         USERS_USER)
MSG_DEFINE(users_register_req, USERS_REGISTER_REQ)
MSG_DEFINE(users_login_req,    USERS_LOGIN_REQ)
MSG_DEFINE(users_login_rep,    USERS_LOGIN_REP)
MSG_DEFINE(users_me_req,       USERS_ME_REQ)
MSG_DEFINE(users_known_req,    USERS_KNOWN_REQ)
MSG_DEFINE(users_known_rep,    USERS_KNOWN_REP)
