/* schedules.h - what of the schedules domain is driven by facts. */
#ifndef ACTORS_SCHEDULES_SCHEDULES_H
#define ACTORS_SCHEDULES_SCHEDULES_H
#include "actors/core/cache.h"
#include "broker/msg/facts.h"

/* An agenda has changed: what was kept of its doctor's free slots is forgotten. */
void schedules_fact(struct cache *, const struct fact *);
#endif
