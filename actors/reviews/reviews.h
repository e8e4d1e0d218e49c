/* reviews.h - what of the reviews domain is driven by facts, and by time. */
#ifndef ACTORS_REVIEWS_REVIEWS_H
#define ACTORS_REVIEWS_REVIEWS_H
#include "actors/core/follower.h"

enum { REVIEWS_CHORE_S = 10 };

/* A review that was given is counted; who has gone takes the words along. */
extern const struct followed reviews_follows[];
/* Counts what no fact has told of: a stream may have been made anew before it was read. */
chore_fn reviews_chore;
#endif
