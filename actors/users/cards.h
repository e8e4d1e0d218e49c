/*
 * cards.h - what is known of doctors by others' facts, kept up to date, and what of users the cache keeps.
 *
 * Search keys need nobody: triggers make them of account, doctor and address (migration 0007).
 */
#ifndef ACTORS_USERS_CARDS_H
#define ACTORS_USERS_CARDS_H
#include "actors/core/follower.h"

#define USERS_ID(F, T)                                               \
	F(T, BODY, INT,  id,    REQ, 1, INT64_MAX, -)
#define USERS_IDS(F, T)                                              \
	F(T, BODY, LIST, items, REQ, 0, 4096, users_id)
MSG_DECLARE(users_id,  USERS_ID)
MSG_DECLARE(users_ids, USERS_IDS)

/* Free slots, ratings and first appointments become what facts say. */
extern const struct followed users_follows[];
/* Next slots that have begun are followed by the ones after them, and old slots go (a chore_fn). */
err_t users_chore(struct ctx *) MUST_CHECK;

/* ---- the cache ---- */

enum { CARDS_KEY = 32, CARDS_KEEP_MS = 1000 };
enum cards_kept { CARDS_PAGE, CARDS_ME };	/* what all see of a doctor; what one sees of oneself */

void cards_key(enum cards_kept, int64_t user, char key[CARDS_KEY]);
/* A user changes, in a transaction that is not committed yet: what is kept of him is forgotten, and
 * nobody who read it before keeps it again (see cache_fence). */
void cards_change(struct ctx *, int64_t user);
/* Facts of users (on_facts of a pool): the same for whoever they are about. */
void users_facts(struct cache *, struct ctx *, const struct facts *);
#endif
