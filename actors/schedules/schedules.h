/* schedules.h - what of the schedules domain is driven by facts. */
#ifndef ACTORS_SCHEDULES_SCHEDULES_H
#define ACTORS_SCHEDULES_SCHEDULES_H
#include "actors/core/cache.h"
#include "broker/msg/facts.h"

/* Agendas have changed: what was kept of their doctors' free slots is forgotten. */
void schedules_facts(struct cache *, struct ctx *, const struct facts *);
#endif
