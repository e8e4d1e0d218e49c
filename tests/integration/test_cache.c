/* test_cache.c - the cache with a server, without one, and with one that is silent or lies. */
#include "actors/core/cache.h"
#include "broker/msg/facts.h"
#include "tests/integration/servers.h"

/* A server that takes connections and says what it is told to, or nothing. */
static int fake(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
	s->port = ntohs(a.sin_port);
	return fd;
}

TEST(what_was_put_is_there_until_it_is_dropped_or_old)
{
	struct ctx *c = fresh();
	struct cache *ca;
	struct str value;

	need_redis();
	ca = cache_open(redis_url);
	assert_false(cache_get(ca, c, "a", &value));
	cache_put(ca, "a", ((struct str) { "x\0y\n", 4 }), 60000);
	assert_true(cache_get(ca, c, "a", &value));
	assert_int_equal(value.n, 4);
	assert_memory_equal(value.p, "x\0y\n", 4);
	cache_drop(ca, &(const char *) { "a" }, 1);
	assert_false(cache_get(ca, c, "a", &value));
	cache_put(ca, "b", STR("soon gone"), 30);
	assert_true(WAIT(!cache_get(ca, c, "b", &value), 5));
	cache_close(ca);
}

TEST(an_entry_under_a_foreign_key_is_not_served)
{
	char command[256];
	struct ctx *c = fresh();
	struct cache *ca;
	struct str value;

	need_redis();
	ca = cache_open(redis_url);
	cache_put(ca, "slots:1", STR("of doctor 1"), 60000);
	for (int i = 0; i < 2; i++) {		/* as long a key, and one that begins with the other */
		static const char *const key[] = { "slots:1", "slots:2", "slots:22" };

		(void) snprintf(command, sizeof command, "redis-cli --no-auth-warning -p %d -a sesame RENAME %s %s "
				">/dev/null", redis.port, key[i], key[i + 1]);
		assert_int_equal(system(command), 0);
		assert_false(cache_get(ca, c, key[i + 1], &value));
	}
	cache_close(ca);
}

TEST(what_is_there_is_not_put_anew)
{
	struct ctx *c = fresh();
	struct cache *ca;
	struct str value;

	need_redis();
	ca = cache_open(redis_url);
	cache_put(ca, "n", STR("first"), 60000);
	cache_put(ca, "n", STR("second"), 60000);
	assert_true(cache_get(ca, c, "n", &value));
	assert_str(value, "first");
	cache_close(ca);
}

TEST(behind_a_fence_nothing_is_served_and_nothing_put_until_it_falls)
{
	const char *keys[300];
	char name[COUNT(keys)][8];
	struct ctx *c = fresh();
	struct cache *ca;
	struct str value;

	need_redis();
	ca = cache_open(redis_url);
	for (size_t i = 0; i < COUNT(keys); i++) {
		(void) snprintf(name[i], sizeof name[i], "f%zu", i);
		keys[i] = name[i];
	}
	cache_put(ca, "f0", STR("old"), 60000);
	cache_put(ca, "f299", STR("old"), 60000);
	cache_fence(ca, keys, COUNT(keys), 400);
	for (size_t i = 0; i < COUNT(keys); i += 299) {
		assert_false(cache_get(ca, c, keys[i], &value));
		cache_put(ca, keys[i], STR("read before the change"), 60000);
		assert_false(cache_get(ca, c, keys[i], &value));
	}
	assert_true(WAIT((cache_put(ca, "f0", STR("new"), 60000), cache_get(ca, c, "f0", &value)), 5));
	assert_str(value, "new");
	cache_close(ca);
}

TEST(a_message_is_kept_as_it_is_and_what_is_none_is_not_read)
{
	struct ctx c = *fresh();
	struct fact in = { .set = { 0 } }, out;

	need_redis();
	c.cache = cache_open(redis_url);
	SET(&in, id, 7);
	SET(&in, at, 8);
	assert_false(cache_read(&c, "m", &fact_msg, &out));
	cache_keep(&c, "m", &fact_msg, &in, 60000);
	assert_true(cache_read(&c, "m", &fact_msg, &out));
	assert_true(out.id == 7 && out.at == 8 && !out.has.doctor_id);
	cache_put(c.cache, "spoiled", STR("\x81\xa2id"), 60000);
	assert_false(cache_read(&c, "spoiled", &fact_msg, &out));
	assert_true(c.nfaults == 0 && c.verdict == ERR_none && out.set.has == 0);
	cache_close(c.cache);
}

TEST(without_a_cache_everything_goes_on)
{
	struct ctx *c = fresh();
	struct str value;
	struct cache *none = cache_open("");

	assert_null(none);
	assert_false(cache_get(none, c, "a", &value));
	cache_put(none, "a", STR("x"), 1000);
	cache_drop(none, &(const char *) { "a" }, 1);
	cache_fence(none, &(const char *) { "a" }, 1, 1000);
	cache_close(none);
}

TEST(a_silent_server_costs_its_budget_once_a_second)
{
	struct server s = { 0 };
	const int fd = fake(&s);
	char url[64];
	struct ctx *c = fresh();
	struct str value;
	struct cache *ca;
	int64_t start = clock_mono();

	(void) snprintf(url, sizeof url, "redis://127.0.0.1:%d", s.port);
	ca = cache_open(url);
	assert_false(cache_get(ca, c, "a", &value));
	assert_true(clock_mono() - start < 500 * MS);
	start = clock_mono();
	for (int i = 0; i < 100; i++)
		assert_false(cache_get(ca, c, "a", &value));
	assert_true(clock_mono() - start < 50 * MS);
	cache_close(ca);
	(void) close(fd);
}

TEST(a_late_reply_is_never_the_answer_to_the_next_question)
{
	struct server s = { 0 };
	const int fd = fake(&s);
	char url[64];
	struct ctx *c = fresh();
	struct str value;
	struct cache *ca;
	int first;

	(void) snprintf(url, sizeof url, "redis://127.0.0.1:%d", s.port);
	ca = cache_open(url);
	assert_false(cache_get(ca, c, "a", &value));		/* times out */
	first = accept(fd, NULL, NULL);
	assert_true(first >= 0);
	(void) !write(first, "$3\r\na\n1\r\n", 9);
	pause_ms(1100);
	assert_false(cache_get(ca, c, "a", &value));		/* asks on a new connection */
	assert_true(accept(fd, NULL, NULL) >= 0);
	cache_close(ca);
	(void) close(first);
	(void) close(fd);
}

TEST(a_cache_that_came_back_is_used_again)
{
	struct ctx *c = fresh();
	struct cache *ca;
	struct str value;

	need_redis();
	ca = cache_open(redis_url);
	cache_put(ca, "a", STR("x"), 60000);
	stop_server(&redis, SIGKILL);
	assert_false(cache_get(ca, c, "a", &value));
	start_redis();
	assert_true(WAIT((cache_put(ca, "a", STR("y"), 60000), cache_get(ca, c, "a", &value)), 10));
	assert_str(value, "y");
	cache_close(ca);
}
