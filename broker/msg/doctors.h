/*
 * doctors.h - finding a doctor, and who has to do with whom: what all may see of a doctor, and no more.
 */
#ifndef BROKER_MSG_DOCTORS_H
#define BROKER_MSG_DOCTORS_H
#include "broker/msg.h"

enum users_sort { SORT_NAME, SORT_PRICE, SORT_RATING, SORT_NEXT_SLOT };
extern const char *const users_sort_names[];

/*             from   kind    name            need min  max  of */
#define USERS_DOCTOR_PROFILE(F, T)                                                   \
	F(T,   BODY,  TEXT,   medical_id,     REQ,   0, 255, -)                      \
	F(T,   BODY,  TEXT,   specialty,      REQ,   0, 255, -)                      \
	F(T,   BODY,  MONEY,  price,          REQ, 100, INT64_C(999999999999), -)    \
	F(T,   BODY,  REAL,   avg_rating,     OPT,   1,   5, -)                      \
	F(T,   BODY,  INT,    total_reviews,  REQ,   0, INT64_MAX, -)                \
	F(T,   BODY,  INT,    total_patients, REQ,   0, INT64_MAX, -)
/* No street, no telephone, no e-mail, no document. */
#define USERS_AREA(F, T)                                                             \
	F(T,   BODY,  TEXT,   neighborhood,   REQ,   1, 255, -)                      \
	F(T,   BODY,  TEXT,   city,           REQ,   1, 255, -)                      \
	F(T,   BODY,  TEXT,   state,          REQ,   2,   2, -)                      \
	F(T,   BODY,  TEXT,   zip,            REQ,   8,   9, -)
#define USERS_LISTED(F, T)                                                           \
	F(T,   BODY,  INT,    id,             REQ,   1, INT64_MAX, -)                \
	F(T,   BODY,  TEXT,   full_name,      REQ,   0, 255, -)                      \
	F(T,   BODY,  OBJECT, doctor,         REQ,   0,   0, users_doctor_profile)   \
	F(T,   BODY,  OBJECT, address,        OPT,   0,   0, users_area)             \
	F(T,   BODY,  TIME,   next_slot,      OPT,   0, TIME_MAX, -)
#define USERS_LISTED_PAGE(F, T)                                                      \
	F(T,   BODY,  LIST,   items,          REQ,   0, 100, users_listed)           \
	F(T,   BODY,  TEXT,   next,           OPT,   1, 255, -)
#define USERS_DOCTORS_REQ(F, T)                                                      \
	F(T,   QUERY, TEXT,   full_name,      OPT,   1, 255, -)                      \
	F(T,   QUERY, TEXT,   specialty,      OPT,   1, 255, -)                      \
	F(T,   QUERY, TEXT,   city,           OPT,   1, 255, -)                      \
	F(T,   QUERY, TEXT,   state,          OPT,   1, 255, -)                      \
	F(T,   QUERY, TEXT,   zip,            OPT,   1, 255, -)                      \
	F(T,   QUERY, TEXT,   medical_id,     OPT,   1, 255, -)                      \
	F(T,   QUERY, REAL,   avg_rating,     OPT,   0,   5, -)                      \
	F(T,   QUERY, TIME,   available_from, OPT,   0, TIME_MAX, -)                 \
	F(T,   QUERY, TIME,   available_to,   OPT,   0, TIME_MAX, -)                 \
	F(T,   QUERY, ENUM,   sort,           OPT,   0,   0, users_sort)             \
	F(T,   QUERY, INT,    limit,          OPT,   1, 100, -)                      \
	F(T,   QUERY, TEXT,   cursor,         OPT,   1, 255, -)
#define USERS_DOCTOR_REQ(F, T)                                                       \
	F(T,   PATH,  INT,    doctor_id,      REQ,   1, INT64_MAX, -)
#define USERS_DOCTOR_MET(F, T)                                                       \
	F(T,   BODY,  INT,    id,             REQ,   1, INT64_MAX, -)                \
	F(T,   BODY,  TEXT,   full_name,      REQ,   0, 255, -)                      \
	F(T,   BODY,  TEXT,   specialty,      OPT,   0, 255, -)
#define USERS_PATIENT_MET(F, T)                                                      \
	F(T,   BODY,  INT,    id,             REQ,   1, INT64_MAX, -)                \
	F(T,   BODY,  TEXT,   full_name,      REQ,   0, 255, -)                      \
	F(T,   BODY,  TEXT,   phone,          OPT,   0, 255, -)
#define USERS_DOCTORS_MET(F, T)                                                      \
	F(T,   BODY,  LIST,   items,          REQ,   0, 100, users_doctor_met)       \
	F(T,   BODY,  TEXT,   next,           OPT,   1,  64, -)
#define USERS_PATIENTS_MET(F, T)                                                     \
	F(T,   BODY,  LIST,   items,          REQ,   0, 100, users_patient_met)      \
	F(T,   BODY,  TEXT,   next,           OPT,   1,  64, -)
#define USERS_MY_DOCTORS_REQ(F, T)                                                   \
	F(T,   QUERY, INT,    limit,          OPT,   1, 100, -)                      \
	F(T,   QUERY, TEXT,   cursor,         OPT,   1,  64, -)
#define USERS_MY_PATIENTS_REQ(F, T)                                                  \
	F(T,   QUERY, INT,    limit,          OPT,   1, 100, -)                      \
	F(T,   QUERY, TEXT,   cursor,         OPT,   1,  64, -)

MSG_DECLARE(users_doctor_profile,  USERS_DOCTOR_PROFILE)
MSG_DECLARE(users_area,            USERS_AREA)
MSG_DECLARE(users_listed,          USERS_LISTED)
MSG_DECLARE(users_listed_page,     USERS_LISTED_PAGE)
MSG_DECLARE(users_doctors_req,     USERS_DOCTORS_REQ)
MSG_DECLARE(users_doctor_req,      USERS_DOCTOR_REQ)
MSG_DECLARE(users_doctor_met,      USERS_DOCTOR_MET)
MSG_DECLARE(users_patient_met,     USERS_PATIENT_MET)
MSG_DECLARE(users_doctors_met,     USERS_DOCTORS_MET)
MSG_DECLARE(users_patients_met,    USERS_PATIENTS_MET)
MSG_DECLARE(users_my_doctors_req,  USERS_MY_DOCTORS_REQ)
MSG_DECLARE(users_my_patients_req, USERS_MY_PATIENTS_REQ)

/*        domain verb         answer              who may       transaction via      key */
#define DOCTORS_CALLS(X)                                                                    \
	X(users, doctors,     users_listed_page,  ROLE_PATIENT, TX_READ,    SHARED,  -)     \
	X(users, doctor,      users_listed,       ROLE_PATIENT, TX_READ,    SHARED,  -)     \
	X(users, my_doctors,  users_doctors_met,  ROLE_PATIENT, TX_READ,    REQUEST, -)     \
	X(users, my_patients, users_patients_met, ROLE_DOCTOR,  TX_READ,    REQUEST, -)
#endif
