/*
 * cache.h - Redis as a cache that may vanish: never needed for correctness.
 *
 * An entry holds its own key, so that no mix-up ever serves another's data.  200 ms budget a
 * call; after a failure the connection is dropped and nothing is asked for a second.  A cache
 * belongs to one thread; NULL is one that knows nothing.
 */
#ifndef ACTORS_CORE_CACHE_H
#define ACTORS_CORE_CACHE_H
#include "broker/msg.h"

struct cache;
/* redis://[:password@]host[:port].  Never fails and never connects; NULL or an empty URL: NULL. */
struct cache *cache_open(const char *url);
bool cache_get(struct cache *, struct ctx *, const char *key, struct str *value);	/* in the arena */
/* Only where nothing is: of two that read at different times, or beside a fence, the later does not win. */
void cache_put(struct cache *, const char *key, struct str value, int ttl_ms);
void cache_drop(struct cache *, const char *const *keys, size_t n);
/* Drops, and for so long nothing can be put there.  Whoever changes what an entry is made of does so before
 * the commit: from then on nobody is served the old, and one who had read it cannot put it back. */
void cache_fence(struct cache *, const char *const *keys, size_t n, int ms);

/* The same with a message for value, in the cache of the ctx.  False: *out is as if it had not been read. */
bool cache_read(struct ctx *, const char *key, const struct msg *, void *out);
void cache_keep(struct ctx *, const char *key, const struct msg *, const void *, int ttl_ms);
void cache_close(struct cache *);
#endif
