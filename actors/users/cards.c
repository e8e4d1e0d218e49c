/*
 * cards.c - see cards.h.  Must not know who asks.
 *
 * Facts are applied by one or two statements, however many they are: bookings come by the thousand.
 */
#include <inttypes.h>
#include <stdio.h>
#include "actors/core/db.h"
#include "actors/users/cards.h"

enum { FENCE_MS = 10000 };		/* longer than a transaction and a read take together */

MSG_DEFINE(users_id,  USERS_ID)
MSG_DEFINE(users_ids, USERS_IDS)

/* ---- the cache ---- */

void cards_key(enum cards_kept what, int64_t user, char key[CARDS_KEY])
{
	(void) snprintf(key, CARDS_KEY, "%s:%" PRId64, what == CARDS_ME ? "me" : "doctor", user);
}

static void fence(struct cache *cache, struct ctx *c, enum cards_kept what, const struct users_id *ids,
		  size_t n, int ms)
{
	char (*key)[CARDS_KEY] = arena_alloc(c->mem, n * sizeof *key);
	const char **keys = arena_alloc(c->mem, n * sizeof *keys);

	if (key == NULL || keys == NULL)
		return;			/* it grows old by itself */
	for (size_t i = 0; i < n; i++) {
		cards_key(what, ids[i].id, key[i]);
		keys[i] = key[i];
	}
	cache_fence(cache, keys, n, ms);
}

static void fence_both(struct cache *cache, struct ctx *c, const struct users_id *ids, size_t n)
{
	fence(cache, c, CARDS_ME, ids, n, FENCE_MS);
	fence(cache, c, CARDS_PAGE, ids, n, FENCE_MS);
}

void cards_change(struct ctx *c, int64_t user)
{
	fence_both(c->cache, c, &(struct users_id) { .id = user }, 1);
}

void users_facts(struct cache *cache, struct ctx *c, const struct facts *f)
{
	struct users_id *ids = arena_alloc(c->mem, f->items.n * sizeof *ids);

	for (size_t i = 0; ids != NULL && i < f->items.n; i++)
		ids[i].id = f->items.items[i].id;
	if (ids != NULL)
		fence_both(cache, c, ids, f->items.n);
}

/* ---- facts ---- */

/* Those of whom something else is true now: what is kept is forgotten before the commit, and for as long
 * as it would be kept. */
static err_t changed(struct ctx *c, enum query q, const struct facts *f)
{
	struct users_ids ids = { .set = { 0 } };

	TRY(db_list(c, q, f, &ids.items.items, &ids.items.n));
	fence(c->cache, c, CARDS_PAGE, ids.items.items, ids.items.n, CARDS_KEEP_MS);
	if (q != Q_users_fact_next)	/* nobody sees his own next slot */
		fence(c->cache, c, CARDS_ME, ids.items.items, ids.items.n, CARDS_KEEP_MS);
	return OK;
}

static err_t follow_slots(struct ctx *c, const struct facts *f)
{
	TRY(db_exec(c, Q_users_fact_slots, f));
	return changed(c, Q_users_fact_next, f);
}

static err_t follow_met(struct ctx *c, const struct facts *f)
{
	return changed(c, Q_users_fact_met, f);
}

static err_t follow_rated(struct ctx *c, const struct facts *f)
{
	return changed(c, Q_users_fact_rated, f);
}

const struct followed users_follows[] = {
	{ "booking.slots",       follow_slots },
	{ "booking.booked",      follow_met },
	{ "booking.rescheduled", follow_met },
	{ "reviews.rated",       follow_rated },
	{ NULL, NULL }
};

err_t users_chore(struct ctx *c)
{
	TRY(db_exec(c, Q_users_next_due, NULL));
	return db_exec(c, Q_users_slots_purge, NULL);
}
