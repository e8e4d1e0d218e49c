/* reviews.h - what patients say of a visit, and what becomes of it. */
#ifndef BROKER_MSG_REVIEWS_H
#define BROKER_MSG_REVIEWS_H
#include "broker/msg/appointments.h"

/*             from   kind    name            need min  max  of */
#define REVIEWS_REVIEW(F, T)                                                     \
	F(T,   BODY,  INT,    id,             REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  INT,    appointment_id, REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  INT,    doctor_id,      REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  INT,    patient_id,     REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  RATING, rating,         REQ, 10, 50,        -)             \
	F(T,   BODY,  TEXT,   comment,        OPT,  0, 255,       -)             \
	F(T,   BODY,  TIME,   created_at,     REQ,  0, TIME_MAX,  -)
#define REVIEWS_PAGE(F, T)                                                       \
	F(T,   BODY,  LIST,   items,          REQ,  0, 100, reviews_review)      \
	F(T,   BODY,  TEXT,   next,           OPT,  1, 64,        -)
/* As everybody sees it: not from whom, nor of which visit. */
#define REVIEWS_VOICE(F, T)                                                      \
	F(T,   BODY,  INT,    id,             REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  RATING, rating,         REQ, 10, 50,        -)             \
	F(T,   BODY,  TEXT,   comment,        OPT,  0, 255,       -)             \
	F(T,   BODY,  TIME,   created_at,     REQ,  0, TIME_MAX,  -)
#define REVIEWS_VOICES(F, T)                                                     \
	F(T,   BODY,  LIST,   items,          REQ,  0, 100, reviews_voice)       \
	F(T,   BODY,  TEXT,   next,           OPT,  1, 64,        -)
#define REVIEWS_GIVE_REQ(F, T)                                                   \
	F(T,   PATH,  INT,    appointment_id, REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  RATING, rating,         REQ, 10, 50,        -)             \
	F(T,   BODY,  FORM,   comment,        REQ,  5, 255,       said)          \
	F(T,   OURS,  INT,    doctor_id,      REQ,  1, INT64_MAX, -)             \
	F(T,   OURS,  INT,    patient_id,     REQ,  1, INT64_MAX, -)             \
	F(T,   OURS,  ENUM,   status,         REQ,  0, 0, appointment_status)
#define REVIEWS_RATE_REQ(F, T)                                                   \
	F(T,   PATH,  INT,    doctor_id,      REQ,  1, INT64_MAX, -)             \
	F(T,   BODY,  RATING, rating,         REQ, 10, 50,        -)             \
	F(T,   OURS,  LIST,   concluded,      REQ,  0, VISITS_MAX, appointments_visit)
/* One's own: of one appointment, or all. */
#define REVIEWS_MINE_REQ(F, T)                                                   \
	F(T,   PATH,  INT,    appointment_id, OPT,  1, INT64_MAX, -)             \
	F(T,   QUERY, INT,    limit,          OPT,  1, 100,       -)             \
	F(T,   QUERY, TEXT,   cursor,         OPT,  1, 64,        -)
#define REVIEWS_GET_REQ(F, T)                                                    \
	F(T,   PATH,  INT,    appointment_id, OPT,  1, INT64_MAX, -)             \
	F(T,   PATH,  INT,    review_id,      REQ,  1, INT64_MAX, -)
#define REVIEWS_OF_DOCTOR_REQ(F, T)                                              \
	F(T,   PATH,  INT,    doctor_id,      REQ,  1, INT64_MAX, -)             \
	F(T,   QUERY, INT,    limit,          OPT,  1, 100,       -)             \
	F(T,   QUERY, TEXT,   cursor,         OPT,  1, 64,        -)

MSG_DECLARE(reviews_review,        REVIEWS_REVIEW)
MSG_DECLARE(reviews_page,          REVIEWS_PAGE)
MSG_DECLARE(reviews_voice,         REVIEWS_VOICE)
MSG_DECLARE(reviews_voices,        REVIEWS_VOICES)
MSG_DECLARE(reviews_give_req,      REVIEWS_GIVE_REQ)
MSG_DECLARE(reviews_rate_req,      REVIEWS_RATE_REQ)
MSG_DECLARE(reviews_mine_req,      REVIEWS_MINE_REQ)
MSG_DECLARE(reviews_get_req,       REVIEWS_GET_REQ)
MSG_DECLARE(reviews_of_doctor_req, REVIEWS_OF_DOCTOR_REQ)

/*        domain   verb       answer          who may                     transaction via        key */
#define REVIEWS_CALLS(X)                                                                                    \
	X(reviews, give,      reviews_review, ROLE_PATIENT,               TX_WRITE,   LOCATED,   -)         \
	X(reviews, rate,      reviews_review, ROLE_PATIENT,               TX_WRITE,   CONCLUDED, -)         \
	X(reviews, mine,      reviews_page,   ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    LOCATED,   -)         \
	X(reviews, get,       reviews_review, ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    LOCATED,   -)         \
	X(reviews, of_doctor, reviews_voices, ROLE_PATIENT,               TX_READ,    KNOWN,     doctor_id)
#endif
