/*
 * worker.h - a pool: one subscription, several threads, a database session and an arena each.
 */
#ifndef ACTORS_CORE_WORKER_H
#define ACTORS_CORE_WORKER_H
#include "actors/core/actor.h"
#include "actors/core/cache.h"
#include "actors/core/outbox.h"

/* What a pool is made of; all that it points to outlives the pool. */
struct plan_of_pool {
	const struct actor *actor;
	const char         *url;	/* of the domain's database */
	const char         *redis;	/* "" or NULL: no cache */
	int                 workers;
	struct relay       *relay;	/* woken after each write; NULL: there is none */
	/* Facts that make something in the cache stale; NULL: none. */
	const char         *facts;
	void              (*on_facts)(struct cache *, struct ctx *, const struct facts *);
};

struct pool;
/* Starts the threads.  Sessions are opened beside them and again for ever, so that a pool outlives
 * its database: while that is away every request is answered unavailable at once. */
err_t pool_start(struct bus *, const struct plan_of_pool *, struct pool **) MUST_CHECK;
bool  pool_is_well(void *pool, char *detail, size_t size);	/* a check of admin.h */
void  pool_stop(struct pool *);	/* finishes what was taken, then joins; bus_drain comes before */
#endif
