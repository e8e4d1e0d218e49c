/* reviews.c - the descriptions that reviews.h declares. */
#include "broker/msg/reviews.h"

MSG_DEFINE(reviews_review,        REVIEWS_REVIEW)
MSG_DEFINE(reviews_page,          REVIEWS_PAGE)
MSG_DEFINE(reviews_voice,         REVIEWS_VOICE)
MSG_DEFINE(reviews_voices,        REVIEWS_VOICES)
MSG_DEFINE(reviews_give_req,      REVIEWS_GIVE_REQ)
MSG_DEFINE(reviews_rate_req,      REVIEWS_RATE_REQ)
MSG_DEFINE(reviews_mine_req,      REVIEWS_MINE_REQ)
MSG_DEFINE(reviews_get_req,       REVIEWS_GET_REQ)
MSG_DEFINE(reviews_of_doctor_req, REVIEWS_OF_DOCTOR_REQ)
