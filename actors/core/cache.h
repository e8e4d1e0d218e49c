/*
 * cache.h - Redis as a cache that may vanish: never needed for correctness.
 *
 * An entry holds its own key, so that no mix-up ever serves another's data.  200 ms budget a
 * call; after a failure the connection is dropped and nothing is asked for a second.  A cache
 * belongs to one thread; NULL is one that knows nothing.
 */
#ifndef ACTORS_CORE_CACHE_H
#define ACTORS_CORE_CACHE_H
#include "broker/base/str.h"

struct cache;
/* redis://[:password@]host[:port].  Never fails and never connects; NULL or an empty URL: NULL. */
struct cache *cache_open(const char *url);
bool cache_get(struct cache *, struct ctx *, const char *key, struct str *value);	/* in the arena */
void cache_put(struct cache *, const char *key, struct str value, int ttl_ms);
void cache_drop(struct cache *, const char *const *keys, size_t n);
void cache_close(struct cache *);
#endif
