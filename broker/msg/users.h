/* users.h - what one can ask the users domain, and what it answers. */
#ifndef BROKER_MSG_USERS_H
#define BROKER_MSG_USERS_H
#include "broker/msg/doctors.h"

enum users_role { USERS_PATIENT, USERS_DOCTOR };
extern const char *const users_role_names[];

enum { USERS_ENDED_MAX = 1000 };	/* a page of them */

/*             from  kind    name           need min  max  of */
#define USERS_DOCTOR_CARD(F, T)                                                      \
	F(T,   BODY, FORM,   medical_id,    REQ,   5, 255, medical_id)               \
	F(T,   BODY, FORM,   specialty,     REQ,   2, 255, line)                     \
	F(T,   BODY, MONEY,  price,         REQ, 100, INT64_C(999999999999), -)
#define USERS_ADDRESS(F, T)                                                          \
	F(T,   BODY, FORM,   street,        REQ,   1, 255, line)                     \
	F(T,   BODY, FORM,   number,        REQ,   1,  20, line)                     \
	F(T,   BODY, FORM,   neighborhood,  REQ,   1, 255, line)                     \
	F(T,   BODY, FORM,   city,          REQ,   1, 255, line)                     \
	F(T,   BODY, FORM,   state,         REQ,   2,   2, state)                    \
	F(T,   BODY, FORM,   zip,           REQ,   8,   9, zip)
#define USERS_REGISTER_REQ(F, T)                                                     \
	F(T,   BODY, FORM,   full_name,     REQ,   5, 255, line)                     \
	F(T,   BODY, FORM,   email,         REQ,   3, 255, email)                    \
	F(T,   BODY, TEXT,   password,      REQ,   8, 128, -)                        \
	F(T,   BODY, FORM,   document_id,   REQ,  11,  18, document)                 \
	F(T,   BODY, FORM,   phone,         REQ,   5, 255, line)                     \
	F(T,   BODY, ENUM,   role,          REQ,   0,   0, users_role)               \
	F(T,   BODY, OBJECT, doctor,        OPT,   0,   0, users_doctor_card)        \
	F(T,   BODY, OBJECT, address,       OPT,   0,   0, users_address)
#define USERS_USER(F, T)                                                             \
	F(T,   BODY, INT,    id,            REQ,   1, INT64_MAX, -)                  \
	F(T,   BODY, TEXT,   full_name,     REQ,   0, 255, -)                        \
	F(T,   BODY, TEXT,   email,         REQ,   0, 255, -)                        \
	F(T,   BODY, TEXT,   document_id,   REQ,   0,  18, -)                        \
	F(T,   BODY, TEXT,   phone,         REQ,   0, 255, -)                        \
	F(T,   BODY, ENUM,   role,          REQ,   0,   0, users_role)               \
	F(T,   BODY, OBJECT, doctor,        OPT,   0,   0, users_doctor_profile)     \
	F(T,   BODY, OBJECT, address,       OPT,   0,   0, users_address)            \
	F(T,   BODY, TIME,   created_at,    REQ,   0, TIME_MAX, -)                   \
	F(T,   BODY, TIME,   updated_at,    REQ,   0, TIME_MAX, -)
#define USERS_LOGIN_REQ(F, T)                                                        \
	F(T,   BODY, TEXT,   email,         OPT,   1, 255, -)                        \
	F(T,   BODY, TEXT,   document_id,   OPT,   1, 255, -)                        \
	F(T,   BODY, TEXT,   medical_id,    OPT,   1, 255, -)                        \
	F(T,   BODY, TEXT,   password,      REQ,   1, 128, -)
#define USERS_LOGIN_REP(F, T)                                                        \
	F(T,   BODY, TEXT,   type,          REQ,   1,  16, -)                        \
	F(T,   BODY, TEXT,   token,         REQ,   1, 4096, -)                       \
	F(T,   BODY, INT,    expires_in,    REQ,   0, INT64_MAX, -)                  \
	F(T,   BODY, TEXT,   refresh_token, OPT,   1, 255, -)
#define USERS_UPDATE_REQ(F, T)                                                       \
	F(T,   BODY, FORM,   full_name,     VAL,   5, 255, line)                     \
	F(T,   BODY, FORM,   email,         VAL,   3, 255, email)                    \
	F(T,   BODY, FORM,   phone,         VAL,   5, 255, line)                     \
	F(T,   BODY, FORM,   document_id,   VAL,  11,  18, document)                 \
	F(T,   BODY, TEXT,   password,      VAL,   8, 128, -)                        \
	F(T,   BODY, TEXT,   current_password, OPT, 1, 128, -)                       \
	F(T,   BODY, OBJECT, address,       OPT,   0,   0, users_address)            \
	F(T,   BODY, FORM,   medical_id,    VAL,   5, 255, medical_id)               \
	F(T,   BODY, FORM,   specialty,     VAL,   2, 255, line)                     \
	F(T,   BODY, MONEY,  price,         VAL, 100, INT64_C(999999999999), -)
#define USERS_REFRESH_REQ(F, T)                                                      \
	F(T,   BODY, TEXT,   refresh_token, REQ,   1, 255, -)
#define USERS_LOGOUT_REQ(F, T)                                                       \
	F(T,   BODY, TEXT,   refresh_token, OPT,   1, 255, -)
#define USERS_ERASE_REQ(F, T)                                                        \
	F(T,   OURS, INT,    id,            OPT,   1, INT64_MAX, -)
/* Sessions of one user that have ended; `ends`: when the last of their access tokens does. */
#define USERS_SPAN(F, T)                                                             \
	F(T,   BODY, INT,    id,            OPT,   1, INT64_MAX, -)                  \
	F(T,   BODY, INT,    user_id,       REQ,   1, INT64_MAX, -)                  \
	F(T,   BODY, INT,    from_session,  REQ,   0, INT64_MAX, -)                  \
	F(T,   BODY, INT,    to_session,    REQ,   0, INT64_MAX, -)                  \
	F(T,   BODY, TIME,   ends,          REQ,   0, TIME_MAX, -)
#define USERS_ENDED(F, T)                                                            \
	F(T,   BODY, LIST,   spans,         REQ,   0, USERS_ENDED_MAX, users_span)   \
	F(T,   BODY, INT,    next,          OPT,   1, INT64_MAX, -)
#define USERS_REVOKED_REQ(F, T)                                                      \
	F(T,   BODY, INT,    after,         REQ,   0, INT64_MAX, -)
#define USERS_ME_REQ(F, T)                                                           \
	F(T,   OURS, INT,    id,            OPT,   1, INT64_MAX, -)
/* What this domain keeps of the caller; the lists of the others follow it in the document. */
#define USERS_LOGIN(F, T)                                                            \
	F(T,   BODY, INT,    id,            REQ,   1, INT64_MAX, -)                  \
	F(T,   BODY, TIME,   rotated_at,    REQ,   0, TIME_MAX, -)                   \
	F(T,   BODY, TIME,   expires_at,    REQ,   0, TIME_MAX, -)
#define USERS_EXPORT_REQ(F, T)                                                       \
	F(T,   OURS, INT,    id,            OPT,   1, INT64_MAX, -)
#define USERS_EXPORT_REP(F, T)                                                       \
	F(T,   BODY, TIME,   exported_at,   REQ,   0, TIME_MAX, -)                   \
	F(T,   BODY, OBJECT, account,       REQ,   0,   0, users_user)               \
	F(T,   BODY, LIST,   sessions,      REQ,   0, 1000, users_login)
#define USERS_KNOWN_REQ(F, T)                                                        \
	F(T,   OURS, INT,    doctor_id,     REQ,   1, INT64_MAX, -)
#define USERS_KNOWN_REP(F, T)                                                        \
	F(T,   BODY, INT,    doctor_id,     REQ,   1, INT64_MAX, -)

MSG_DECLARE(users_doctor_card,  USERS_DOCTOR_CARD)
MSG_DECLARE(users_address,      USERS_ADDRESS)
MSG_DECLARE(users_user,         USERS_USER)
MSG_DECLARE(users_register_req, USERS_REGISTER_REQ)
MSG_DECLARE(users_login_req,    USERS_LOGIN_REQ)
MSG_DECLARE(users_login_rep,    USERS_LOGIN_REP)
MSG_DECLARE(users_update_req,   USERS_UPDATE_REQ)
MSG_DECLARE(users_refresh_req,  USERS_REFRESH_REQ)
MSG_DECLARE(users_logout_req,   USERS_LOGOUT_REQ)
MSG_DECLARE(users_erase_req,    USERS_ERASE_REQ)
MSG_DECLARE(users_span,         USERS_SPAN)
MSG_DECLARE(users_ended,        USERS_ENDED)
MSG_DECLARE(users_revoked_req,  USERS_REVOKED_REQ)
MSG_DECLARE(users_me_req,       USERS_ME_REQ)
MSG_DECLARE(users_login,        USERS_LOGIN)
MSG_DECLARE(users_export_req,   USERS_EXPORT_REQ)
MSG_DECLARE(users_export_rep,   USERS_EXPORT_REP)
MSG_DECLARE(users_known_req,    USERS_KNOWN_REQ)
MSG_DECLARE(users_known_rep,    USERS_KNOWN_REP)

/*        domain verb      answer           who may                     transaction via      key */
#define USERS_CALLS(X)                                                                            \
	X(users, register, users_user,      ROLE_PUBLIC,                TX_WRITE,   HASHED,  email) \
	X(users, login,    users_login_rep, ROLE_PUBLIC,                TX_WRITE,   HASHED,  email) \
	X(users, refresh,  users_login_rep, ROLE_PUBLIC,                TX_WRITE,   SCOPED,  refresh_token) \
	X(users, logout,   users_ended,     ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   REQUEST, -)    \
	X(users, me,       users_user,      ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)    \
	X(users, export,   users_export_rep, ROLE_PATIENT | ROLE_DOCTOR, TX_READ,   EXPORT,  -)    \
	X(users, update,   users_user,      ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   REQUEST, -)    \
	X(users, erase,    users_ended,     ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   REQUEST, -)    \
	X(users, revoked,  users_ended,     ROLE_SYSTEM,                TX_READ,    REQUEST, -)    \
	X(users, known,    users_known_rep, ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST, -)    \
	DOCTORS_CALLS(X)
#endif
