/*
 * test_follower.c - a domain that follows EVENTS on real servers: each fact applied once, whatever dies
 * or is made anew.
 *
 * What is applied here is a row in users.outbox, so that it can be counted.
 */
#include <stdatomic.h>
#include "actors/core/follower.h"
#include "broker/base/config.h"
#include "broker/metrics.h"
#include "broker/stream.h"
#include "tests/integration/servers.h"

enum { POISON = 13, OUTAGE = 17 };

static struct bus *bus;
static atomic_int outages;	/* so many times the fact OUTAGE finds the database away */
static atomic_int chores;
static int told;		/* facts of the kind that is applied, POISON left out */

static err_t note(struct ctx *c, const struct facts *f)
{
	struct outbox_row row = { .set = { 0 } };

	for (size_t i = 0; i < f->items.n; i++) {
		const int64_t id = f->items.items[i].id;

		if (id == OUTAGE && atomic_fetch_sub(&outages, 1) > 0)
			return refuse(c, ERR_unavailable, "as if the database were away");
		SET(&row, letters, STR("x"));
		row.has.letters = id != POISON;		/* NULL is no value of that column */
		TRY(db_exec(c, Q_users_outbox_write, &row));
	}
	return OK;
}

static const struct followed tried[] = { { "booking.tried", note }, { NULL, NULL } };

static err_t sweep(struct ctx *c)
{
	(void) c;
	atomic_fetch_add(&chores, 1);
	return OK;
}

static struct ctx *fresh_bus_ctx(void)
{
	static unsigned char room[1 << 18];
	static struct arena mem;
	static struct ctx c;

	arena_init(&mem, room, sizeof room);
	c = (struct ctx) { .mem = &mem, .deadline = clock_mono() + 20 * SECOND };
	return &c;
}

static struct bus *open_bus(void)
{
	struct bus *b = NULL;
	char why[256] = "";

	if (bus_open(nats_url, "test", &b, why).code != ERR_none)
		fail_msg("%s", why);
	return b;
}

static void begin(void)
{
	need_postgres();
	need_nats();
	if (bus == NULL) {
		(void) setenv("HEALTHMED_REQUEST_KEY", "0123456789012345678901234567890123456789", 1);
		(void) setenv("HEALTHMED_NATS_URL", nats_url, 1);
		assert_null(config_load(C_ACTOR));
		bus = open_bus();
	}
	assert_err(stream_ensure(fresh_bus_ctx(), bus), none);
	(void) sql("TRUNCATE users.outbox");
}

static void tell(const char *subject, int64_t first, size_t n)
{
	struct ctx *c = fresh_bus_ctx();
	struct fact *f = arena_alloc(c->mem, n * sizeof *f);
	const struct facts facts = { .items = { f, n }, .has.items = 1 };
	struct str body;

	told += strstr(subject, ".tried.") == NULL || first == POISON ? 0 : (int) n;
	for (size_t i = 0; i < n; i++) {
		SET(&f[i], id, first + (int64_t) i);
		SET(&f[i], at, clock_wall());
	}
	assert_err(msg_to_pack(c, &facts_msg, &facts, &body), none);
	assert_err(stream_publish(c, bus, subject, NULL, &(struct headers) { .n = 0 }, body), none);
}

static struct follower *follow(struct bus *b)
{
	struct follower *f = NULL;

	assert_err(follower_start(b, &(struct plan_of_follower) { .domain = "users", .url = postgres_url,
		.follows = tried, .chore = sweep, .chore_s = 1 }, &f), none);
	return f;
}

static bool applied(int n)
{
	return atoi(sql("SELECT count(*) FROM users.outbox")) == n;
}

TEST(each_fact_is_applied_once_and_others_are_none_of_its_business)
{
	begin();

	struct follower *f = follow(bus);

	tell("healthmed.v1.events.booking.tried.1", 1, 10);
	tell("healthmed.v1.events.booking.other.1", 1, 10);
	tell("healthmed.v1.events.booking.tried.2", 20, 5);
	assert_true(WAIT(applied(15), 20));
	assert_true(WAIT(atomic_load(&chores) >= 2, 20));
	follower_stop(f);

	/* It goes on where it was. */
	tell("healthmed.v1.events.booking.tried.3", 30, 1);
	f = follow(bus);
	assert_true(WAIT(applied(16), 20));
	follower_stop(f);
	f = follow(bus);
	pause_ms(700);
	assert_true(applied(16));
	follower_stop(f);
}

static int position(void)
{
	return atoi(sql("SELECT last_seq FROM users.position WHERE domain = 'users'"));
}

TEST(what_is_not_followed_costs_no_transaction_and_is_not_read_again)
{
	int before;

	begin();

	struct follower *f = follow(bus);

	tell("healthmed.v1.events.booking.tried.1", 1, 1);
	assert_true(WAIT(applied(1), 20));
	before = position();
	for (int i = 0; i < 20; i++)
		tell("healthmed.v1.events.booking.other.1", 1, 1);
	pause_ms(700);
	assert_int_equal(position(), before);
	tell("healthmed.v1.events.booking.tried.2", 2, 1);
	assert_true(WAIT(applied(2), 20));
	assert_int_equal(position(), before + 21);
	tell("healthmed.v1.events.booking.other.1", 1, 1);
	assert_true(WAIT(position() == before + 22, 20));
	follower_stop(f);
}

/* How many messages the followers of this process have applied or seen applied. */
static int seen(void)
{
	struct buf b = { .mem = fresh_bus_ctx()->mem };
	const char *at;

	metrics_write(&b);
	buf_put(&b, "", 1);
	at = strstr(b.p, "\nhealthmed_follower_messages_total ");
	return at == NULL ? 0 : atoi(strchr(at, ' '));
}

TEST(two_processes_of_a_domain_share_the_position)
{
	begin();

	struct bus *other = open_bus();
	struct follower *a = follow(bus), *b = follow(other);
	int facts = 0, before;

	/* A follower that starts late begins after what the first has applied: until both have seen a fact. */
	do {
		before = seen();
		tell("healthmed.v1.events.booking.tried.7", ++facts, 1);
	} while (!WAIT(seen() == before + 2, 1) && facts < 20);
	assert_true(facts < 20);
	for (int i = 0; i < 100; i++)
		tell("healthmed.v1.events.booking.tried.7", 100 + i, 1);
	assert_true(WAIT(seen() == before + 2 + 200, 20));
	assert_true(applied(facts + 100));
	follower_stop(a);
	tell("healthmed.v1.events.booking.tried.7", 300, 1);
	assert_true(WAIT(applied(facts + 101), 20));
	follower_stop(b);
	bus_close(other);
}

TEST(what_the_database_refuses_is_passed_over_and_an_outage_is_waited_for)
{
	begin();
	atomic_store(&outages, 2);
	tell("healthmed.v1.events.booking.tried.1", 1, 2);
	tell("healthmed.v1.events.booking.tried.2", POISON, 1);
	tell("healthmed.v1.events.booking.tried.3", OUTAGE, 1);
	tell("healthmed.v1.events.booking.tried.4", 40, 2);

	struct follower *f = follow(bus);

	assert_true(WAIT(applied(5), 30));
	assert_in_range(-atomic_load(&outages), 1, 100);
	follower_stop(f);
}

TEST(a_session_that_ends_and_a_server_that_comes_back_lose_nothing)
{
	begin();

	struct follower *f = follow(bus);

	tell("healthmed.v1.events.booking.tried.1", 1, 1);
	assert_true(WAIT(applied(1), 20));
	(void) sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'healthmed_users'");
	tell("healthmed.v1.events.booking.tried.2", 2, 1);
	assert_true(WAIT(applied(2), 20));
	stop_server(&nats, SIGKILL);
	start_nats();
	assert_true(WAIT(bus_is_up(bus), 30));
	tell("healthmed.v1.events.booking.tried.3", 3, 1);
	assert_true(WAIT(applied(3), 30));
	follower_stop(f);
}

TEST(a_stream_made_anew_is_followed_from_its_start)
{
	begin();
	tell("healthmed.v1.events.booking.tried.1", 1, 3);

	/* The position is far ahead in another stream: it must hide nothing of this one. */
	(void) sql("UPDATE users.position SET stream_created = 'epoch', last_seq = 1000000 WHERE domain = 'users'");

	struct follower *f = follow(bus);

	assert_true(WAIT(applied(told), 20));
	tell("healthmed.v1.events.booking.tried.9", 90, 1);
	assert_true(WAIT(applied(told), 20));
	follower_stop(f);
}
