/*
 * cache.c - see cache.h.  Must not know what is cached.
 *
 * hiredis 0.14: after a timeout the next reply would be the answer to the former command, and
 * redisReconnect forgets the timeout.  So any error at all ends the connection.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "actors/core/cache.h"
#include "broker/base/clock.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"

enum {
	CONNECT_MS = 60, AUTH_MS = 60, CALL_MS = 80,	/* together the budget of a call */
	REST_MS = 1000,
	KEY_MAX = 128, ENTRY_MAX = 64 << 10, DROP_MAX = 256,
};

struct cache {
	char          host[256], password[256];
	int           port;
	redisContext *redis;
	int64_t       rest_until;
};

static void reply_freep(redisReply **r)
{
	if (*r != NULL)
		freeReplyObject(*r);
}

struct cache *cache_open(const char *url)
{
	struct cache *ca = url == NULL || url[0] == '\0' ? NULL : calloc(1, sizeof *ca);
	char *colon, *at;
	int64_t port;

	if (ca == NULL)
		return NULL;
	if (strncmp(url, "redis://", 8) == 0)
		url += 8;
	(void) snprintf(ca->host, sizeof ca->host, "%s", url);
	if ((at = strrchr(ca->host, '@')) != NULL) {
		*at = '\0';
		colon = strchr(ca->host, ':');
		(void) snprintf(ca->password, sizeof ca->password, "%s", colon ? colon + 1 : "");
		memmove(ca->host, at + 1, strlen(at + 1) + 1);
	}
	ca->host[strcspn(ca->host, "/")] = '\0';
	ca->port = 6379;
	if ((colon = strrchr(ca->host, ':')) != NULL) {
		*colon = '\0';
		ca->port = str_int(str_of(colon + 1), &port) && port > 0 && port < 65536 ? (int) port : 0;
	}
	return ca;
}

static void give_up(struct cache *ca)
{
	metric_add(METRIC_cache_errors, NULL, 1);
	if (ca->redis != NULL)
		redisFree(ca->redis);
	ca->redis = NULL;
	ca->rest_until = clock_mono() + REST_MS * MS;
}

static struct timeval ms(int n)
{
	return (struct timeval) { .tv_usec = n * 1000 };
}

/* NULL: it did not answer, or said that it cannot; then there is no connection any more. */
static redisReply *ask(struct cache *ca, int argc, const char **argv, const size_t *len)
{
	redisReply *r = redisCommandArgv(ca->redis, argc, argv, len);

	if (r != NULL && r->type != REDIS_REPLY_ERROR && ca->redis->err == 0)
		return r;
	reply_freep(&r);
	give_up(ca);
	return NULL;
}

static bool is_open(struct cache *ca)
{
	if (ca == NULL)
		return false;
	if (ca->redis != NULL)
		return true;
	if (clock_mono() < ca->rest_until)
		return false;
	ca->redis = redisConnectWithTimeout(ca->host, ca->port, ms(CONNECT_MS));
	if (ca->redis == NULL || ca->redis->err != 0 ||
	    redisSetTimeout(ca->redis, ms(AUTH_MS)) != REDIS_OK) {
		give_up(ca);
		return false;
	}
	if (ca->password[0] != '\0') {
		const char *argv[] = { "AUTH", ca->password };
		redisReply *r CLEANUP(reply_freep) = ask(ca, 2, argv, NULL);

		if (r == NULL)
			return false;
	}
	if (redisSetTimeout(ca->redis, ms(CALL_MS)) != REDIS_OK)
		give_up(ca);
	return ca->redis != NULL;
}

/* An entry is its key, a line feed and the value. */
bool cache_get(struct cache *ca, struct ctx *c, const char *key, struct str *value)
{
	const char *argv[] = { "GET", key };
	const size_t nkey = strlen(key);
	redisReply *r CLEANUP(reply_freep) = NULL;
	char *copy;

	if (!is_open(ca))
		return false;
	r = ask(ca, 2, argv, NULL);
	if (r == NULL)
		return false;
	if (r->type != REDIS_REPLY_STRING || r->len <= nkey ||
	    (memcmp(r->str, key, nkey) != 0 && RULE(cache_key)) || r->str[nkey] != '\n' ||
	    (copy = arena_alloc(c->mem, r->len - nkey)) == NULL) {
		metric_add(METRIC_cache_misses, NULL, 1);
		return false;
	}
	*value = (struct str) { copy, r->len - nkey - 1 };
	memcpy(copy, r->str + nkey + 1, value->n);
	metric_add(METRIC_cache_hits, NULL, 1);
	return true;
}

void cache_put(struct cache *ca, const char *key, struct str value, int ttl_ms)
{
	const size_t nkey = strlen(key);
	char ttl[16], entry[ENTRY_MAX];
	const char *argv[] = { "SET", key, entry, "PX", ttl, "NX" };
	size_t len[] = { 3, nkey, nkey + 1 + value.n, 2, 0, 2 };

	/* What is larger is not worth keeping. */
	if (nkey > KEY_MAX || value.n > sizeof entry - nkey - 1 || !is_open(ca))
		return;
	len[4] = (size_t) snprintf(ttl, sizeof ttl, "%d", ttl_ms);
	memcpy(entry, key, nkey);
	entry[nkey] = '\n';
	memcpy(entry + nkey + 1, value.p, value.n);

	redisReply *r CLEANUP(reply_freep) = ask(ca, 6, argv, len);
	(void) r;
}

void cache_drop(struct cache *ca, const char *const *keys, size_t n)
{
	const char *argv[1 + DROP_MAX] = { "DEL" };

	for (size_t part; n > 0 && is_open(ca); keys += part, n -= part) {
		part = n < DROP_MAX ? n : DROP_MAX;
		memcpy(argv + 1, keys, part * sizeof *keys);

		redisReply *r CLEANUP(reply_freep) = ask(ca, (int) part + 1, argv, NULL);

		if (r == NULL)
			return;
	}
}

/* A fence is an entry without a key, and so is never served. */
void cache_fence(struct cache *ca, const char *const *keys, size_t n, int ms)
{
	static const char script[] =
		"for i = 1, #KEYS do redis.call('SET', KEYS[i], '-', 'PX', ARGV[1]) end";
	const char *argv[3 + DROP_MAX + 1] = { "EVAL", script };
	char count[16], ttl[16];

	if (!RULE(cache_fence)) {
		cache_drop(ca, keys, n);
		return;
	}
	(void) snprintf(ttl, sizeof ttl, "%d", ms);
	for (size_t part; n > 0 && is_open(ca); keys += part, n -= part) {
		part = n < DROP_MAX ? n : DROP_MAX;
		(void) snprintf(count, sizeof count, "%zu", part);
		argv[2] = count;
		memcpy(argv + 3, keys, part * sizeof *keys);
		argv[3 + part] = ttl;

		redisReply *r CLEANUP(reply_freep) = ask(ca, (int) part + 4, argv, NULL);

		if (r == NULL)
			return;
	}
}

bool cache_read(struct ctx *c, const char *key, const struct msg *m, void *out)
{
	struct ctx aside = { .mem = c->mem };	/* faults of the cache's are none of the client's */
	struct str packed;

	if (!cache_get(c->cache, c, key, &packed))
		return false;
	if (msg_from_pack(&aside, m, packed, out).code == ERR_none)
		return true;
	memset(out, 0, m->size);
	return false;
}

void cache_keep(struct ctx *c, const char *key, const struct msg *m, const void *what, int ttl_ms)
{
	struct ctx aside = { .mem = c->mem };
	struct str packed;

	if (c->cache != NULL && msg_to_pack(&aside, m, what, &packed).code == ERR_none)
		cache_put(c->cache, key, packed, ttl_ms);
}

void cache_close(struct cache *ca)
{
	if (ca != NULL && ca->redis != NULL)
		redisFree(ca->redis);
	free(ca);
}
