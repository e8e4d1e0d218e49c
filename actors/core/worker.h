/*
 * worker.h - a pool: one subscription, several threads, a database session and an arena each.
 */
#ifndef ACTORS_CORE_WORKER_H
#define ACTORS_CORE_WORKER_H
#include "actors/core/actor.h"
#include "broker/bus.h"

struct pool;
/* Starts the threads; each connects for itself and tries again for ever, so that a pool outlives
 * its database.  url is the domain's database. */
err_t pool_start(struct bus *, const struct actor *, const char *url, int workers, struct pool **) MUST_CHECK;
bool  pool_is_well(void *pool, char *detail, size_t size);	/* a check of admin.h */
void  pool_stop(struct pool *);	/* finishes what was taken, then joins */
#endif
