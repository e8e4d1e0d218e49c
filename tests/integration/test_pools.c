/*
 * test_pools.c - pools and the relay on real servers: requests over the bus, a database that goes
 * and comes back, facts that leave only once they are acknowledged, an end that cuts nothing off.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include "actors/core/worker.h"
#include "actors/schedules/schedules.h"
#include "broker/base/config.h"
#include "broker/stream.h"
#include "tests/integration/servers.h"

static struct bus *bus;			/* the client's: of a gateway */

static struct bus *open_bus(void)
{
	struct bus *b = NULL;
	char why[256] = "";

	need_nats();
	if (bus_open(nats_url, "test", &b, why).code != ERR_none)
		fail_msg("%s", why);
	return b;
}

static void need_all(void)
{
	need_postgres();
	need_nats();
	if (bus != NULL)
		return;
	(void) setenv("HEALTHMED_REQUEST_KEY", "0123456789012345678901234567890123456789", 1);
	(void) setenv("HEALTHMED_NATS_URL", nats_url, 1);
	(void) setenv("HEALTHMED_USERS_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/c", 1);
	(void) setenv("HEALTHMED_AGENDA_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/c", 1);
	const char *wrong = config_load(C_ACTOR);

	if (wrong != NULL)
		fail_msg("%s", wrong);
	bus = open_bus();
}

struct house { struct bus *bus; struct pool *pool; struct relay *relay; };

static struct house open_house(const struct plan_of_pool *plan, bool relay)
{
	struct house h = { .bus = open_bus() };
	struct plan_of_pool p = *plan;
	char detail[512];

	if (relay)
		assert_err(relay_start(h.bus, postgres_url, plan->actor->name, &h.relay), none);
	p.url = postgres_url;
	p.relay = h.relay;
	assert_err(pool_start(h.bus, &p, &h.pool), none);
	if (!WAIT(pool_is_well(h.pool, detail, sizeof detail), 30))
		fail_msg("%s", detail);
	return h;
}

static void close_house(struct house *h)
{
	bus_drain(h->bus);
	pool_stop(h->pool);
	relay_stop(h->relay);
	bus_close(h->bus);
}

/* A message of its own for each thread that asks. */
static err_t ask_as(struct arena *mem, enum role role, int64_t user, int64_t deadline_us, const char *subject,
		    const struct msg *m, const void *req, struct str *reply)
{
	struct ctx c = { .mem = mem, .role = role, .user = user, .deadline = clock_mono() + deadline_us };
	struct headers h = { .n = 0 };
	struct str body;

	arena_reset(mem);
	TRY(msg_to_pack(&c, m, req, &body));
	wire_put_ctx(&c, false, &h);
	return bus_request(&c, bus, subject, &h, body, reply);
}

static err_t ask_known(int64_t deadline_us)
{
	static unsigned char room[1 << 16];
	struct arena mem;
	struct users_known_req q = { .set = { 0 } };
	struct str reply;

	arena_init(&mem, room, sizeof room);
	SET(&q, doctor_id, 4242);
	return ask_as(&mem, ROLE_PATIENT, 7, deadline_us, "healthmed.v1.users.known", &users_known_req_msg, &q, &reply);
}

static err_t ask_free(int64_t doctor, struct schedules_page *a)
{
	static unsigned char room[1 << 18];
	static struct arena mem;
	struct schedules_free_req q = { .set = { 0 } };
	struct ctx c = { .mem = &mem };
	struct str reply;

	arena_init(&mem, room, sizeof room);
	SET(&q, doctor_id, doctor);
	TRY(ask_as(&mem, ROLE_PATIENT, 7, 5 * SECOND, "healthmed.v1.schedules.free", &schedules_free_req_msg, &q, &reply));
	return msg_from_pack(&c, &schedules_page_msg, reply, a);
}

static const struct plan_of_pool users = { .actor = &users_actor, .workers = 3 };

TEST(a_pool_answers_requests)
{
	need_all();

	struct house h = open_house(&users, false);

	assert_err(ask_known(5 * SECOND), not_found);
	(void) sql("INSERT INTO users.account (id, full_name, email, password_hash, document_id, phone, role) "
		   "VALUES (4242, 'x', 'x', 'x', 'x', 'x', 'doctor')");
	(void) sql("INSERT INTO users.doctor (user_id, medical_id, specialty, price) VALUES (4242, 'x', 'x', 1)");
	assert_err(ask_known(5 * SECOND), none);
	close_house(&h);
	assert_err(ask_known(5 * SECOND), unavailable);		/* nobody is there, and says so at once */
}

TEST(a_call_that_is_not_known_and_one_that_came_late_are_answered_too)
{
	static unsigned char room[1 << 16];
	struct users_known_req q = { .set = { 0 } };
	struct headers late = { .n = 0 };
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct str body, reply;

	need_all();
	arena_init(&mem, room, sizeof room);
	c.deadline = clock_mono() + 5 * SECOND;

	struct house h = open_house(&users, false);

	SET(&q, doctor_id, 1);
	assert_err(ask_as(&mem, ROLE_PATIENT, 7, 5 * SECOND, "healthmed.v1.users.novelty", &users_known_req_msg, &q,
			  &reply), unavailable);
	assert_err(msg_to_pack(&c, &users_known_req_msg, &q, &body), none);
	wire_put(&late, WIRE_USER, "7");
	wire_put(&late, WIRE_ROLE, "patient");
	wire_put(&late, WIRE_DEADLINE, "0");
	assert_err(bus_request(&c, bus, "healthmed.v1.users.known", &late, body, &reply), timeout);
	late.v[1].value = "king";
	assert_err(bus_request(&c, bus, "healthmed.v1.users.known", &late, body, &reply), unreadable);
	late.n = 0;
	assert_err(bus_request(&c, bus, "healthmed.v1.users.known", &late, body, &reply), no_token);
	close_house(&h);
}

/* Those of the plan, and of the hashers. */
static bool has_all_sessions(struct pool *pool)
{
	char detail[256];
	int have = 0, want = 0;

	(void) pool_is_well(pool, detail, sizeof detail);
	return sscanf(detail, "%d of %d", &have, &want) == 2 && have == want && want > 3;
}

TEST(while_its_database_is_away_a_pool_says_so_at_once_and_then_goes_on)
{
	char detail[512];

	need_all();

	struct house h = open_house(&users, false);

	stop_server(&postgres, SIGQUIT);
	assert_true(WAIT(!pool_is_well(h.pool, detail, sizeof detail), 30));	/* though nobody asks */

	const int64_t start_us = clock_mono();

	for (int i = 0; i < 20; i++)
		assert_err(ask_known(5 * SECOND), unavailable);
	assert_true(clock_mono() - start_us < 2 * SECOND);
	start_postgres();
	assert_true(WAIT(ask_known(5 * SECOND).code != ERR_unavailable, 30));
	assert_true(WAIT(has_all_sessions(h.pool), 30));
	close_house(&h);
}

struct asker { pthread_t thread; err_t e; };
static atomic_int asked;

static void *keep_asking(void *of)
{
	struct asker *a = of;
	unsigned char *room = malloc(1 << 16);
	struct users_known_req q = { .set = { 0 } };
	struct arena mem;
	struct str reply;

	arena_init(&mem, room, 1 << 16);
	SET(&q, doctor_id, 1);
	do {
		a->e = ask_as(&mem, ROLE_PATIENT, 7, 30 * SECOND, "healthmed.v1.users.known", &users_known_req_msg, &q, &reply);
		atomic_fetch_add(&asked, 1);
	} while (a->e.code == ERR_not_found);
	arena_reset(&mem);
	free(room);
	return NULL;
}

TEST(a_pool_that_ends_answers_what_it_took)
{
	static struct asker asker[16];

	need_all();

	struct house h = open_house(&users, false);

	atomic_store(&asked, 0);
	for (size_t i = 0; i < COUNT(asker); i++)
		assert_int_equal(pthread_create(&asker[i].thread, NULL, keep_asking, &asker[i]), 0);
	assert_true(WAIT(atomic_load(&asked) > 200, 30));
	close_house(&h);
	for (size_t i = 0; i < COUNT(asker); i++) {
		assert_int_equal(pthread_join(asker[i].thread, NULL), 0);
		assert_err(asker[i].e, unavailable);	/* nobody there; no request fell silent */
	}
}

/* ---- facts ---- */

static void put_fact(int64_t id)
{
	static unsigned char room[1 << 16];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct outbox o = { .n = 0 };
	struct outbox_row row = { .set = { 0 } };
	struct fact f = { .set = { 0 } };
	const struct facts facts = { .items = { &f, 1 }, .has.items = 1 };
	char why[256];

	arena_init(&mem, room, sizeof room);
	assert_err(db_open(postgres_url, "users", &c.db, why), none);
	SET(&f, id, id);
	SET(&f, doctor_id, id);
	SET(&f, at, clock_wall());
	assert_err(outbox_add_facts(&c, &o, "users", "registered", id, &facts), none);
	assert_err(outbox_add_facts(&c, &o, "users", "changed", id, &facts), none);
	assert_err(outbox_pack(&c, &o, &row.letters), none);
	row.has.letters = 1;
	assert_err(db_exec(&c, Q_users_outbox_write, &row), none);
	db_close(c.db);
}

static bool fact_came(struct ctx *c, const char *subject, struct fact *f)
{
	struct facts facts;
	struct stream_msg m;
	bool came;

	c->deadline = clock_mono() + 2 * SECOND;
	if (stream_get(c, bus, STREAM_EVENTS, 1, subject, &m).code != ERR_none)
		return false;
	came = msg_from_pack(c, &facts_msg, bus_body(m.msg), &facts).code == ERR_none;
	if (came)
		*f = facts.items.items[0];
	bus_free(m.msg);
	return came;
}

static void js(const char *verb, const char *json)
{
	const struct headers none = { .n = 0 };
	static unsigned char room[1 << 16];
	struct arena mem;
	struct ctx c = { .mem = &mem, .deadline = clock_mono() + 5 * SECOND };
	char subject[64];
	struct str reply;

	arena_init(&mem, room, sizeof room);
	(void) snprintf(subject, sizeof subject, "$JS.API.STREAM.%s", verb);
	assert_err(bus_request(&c, bus, subject, &none, str_of(json), &reply), none);
}

/* The stream of facts: takes any of them, or none. */
#define EVENTS_WITH(max) "{\"name\":\"EVENTS\",\"subjects\":[\"healthmed.v1.events.>\"],\"discard\":\"new\"," \
	"\"storage\":\"file\",\"max_bytes\":" max "}"

static bool outbox_has(const char *rows)
{
	return strcmp(sql("SELECT count(*) FROM users.outbox WHERE NOT aside"), rows) == 0;
}

static void fresh_events(void)
{
	static unsigned char room[1 << 16];
	struct arena mem;
	struct ctx c = { .mem = &mem, .deadline = clock_mono() + 30 * SECOND };

	arena_init(&mem, room, sizeof room);
	js("DELETE.EVENTS", "");
	assert_err(stream_ensure(&c, bus), none);
	(void) sql("DELETE FROM users.outbox");
}

TEST(a_fact_stays_until_a_stream_has_acknowledged_it)
{
	static unsigned char room[1 << 18];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct stream_info info;
	struct fact f;

	need_all();
	(void) sql("DELETE FROM users.outbox");
	js("DELETE.EVENTS", "");
	js("CREATE.EVENTS", EVENTS_WITH("1"));
	put_fact(31);

	struct house h = open_house(&users, true);

	relay_wake(h.relay);
	pause_ms(1500);
	assert_true(outbox_has("1"));
	js("UPDATE.EVENTS", EVENTS_WITH("-1"));
	assert_true(WAIT(outbox_has("0"), 60));
	arena_init(&mem, room, sizeof room);
	assert_true(fact_came(&c, "healthmed.v1.events.users.registered.31", &f));
	assert_int_equal(f.doctor_id, 31);
	assert_true(fact_came(&c, "healthmed.v1.events.users.changed.31", &f));
	for (int i = 100; i < 300; i++)
		put_fact(i);
	relay_wake(h.relay);
	assert_true(WAIT(outbox_has("0"), 60));
	c.deadline = clock_mono() + 20 * SECOND;
	assert_err(stream_info(&c, bus, STREAM_EVENTS, &info), none);
	assert_int_equal(info.messages, 402);
	close_house(&h);
}

TEST(a_stream_that_is_gone_is_made_again_for_the_facts_that_wait)
{
	static unsigned char room[1 << 18];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct fact f;

	need_all();
	fresh_events();
	js("DELETE.EVENTS", "");
	put_fact(32);

	struct house h = open_house(&users, true);

	assert_true(WAIT(outbox_has("0"), 20));
	arena_init(&mem, room, sizeof room);
	assert_true(fact_came(&c, "healthmed.v1.events.users.registered.32", &f));
	close_house(&h);
}

/* A hundred: more than a relay reads at a time. */
TEST(rows_that_nobody_can_read_are_set_aside_and_the_facts_behind_them_go)
{
	need_all();
	fresh_events();
	(void) sql("INSERT INTO users.outbox (letters) SELECT '\\xdfffffff' FROM generate_series(1, 100)");
	put_fact(33);

	struct house h = open_house(&users, true);

	assert_true(WAIT(outbox_has("0"), 20));
	assert_string_equal(sql("SELECT count(*) FROM users.outbox WHERE aside"), "100");
	close_house(&h);
	(void) sql("DELETE FROM users.outbox");
}

/* {"items":[{"subject":"healthmed.v1.dead_letters.x","body":""}]} */
#define DEAD "\\x81a56974656d739182a77375626a656374bb6865616c74686d65642e76312e646561645f6c6574746572732e78" \
	     "a4626f6479c400"
#define DEAD_LETTERS_WITH(max) "{\"name\":\"DEAD_LETTERS\",\"subjects\":[\"healthmed.v1.dead_letters.>\"]," \
	"\"discard\":\"new\",\"storage\":\"file\",\"max_bytes\":" max "}"

TEST(a_stream_that_stores_nothing_keeps_no_facts_back_and_its_rows_are_complained_of_after_a_minute)
{
	char detail[128] = "";

	need_all();
	fresh_events();
	js("DELETE.DEAD_LETTERS", "");
	js("CREATE.DEAD_LETTERS", DEAD_LETTERS_WITH("1"));
	(void) sql("INSERT INTO users.outbox (letters, created_at) "
		   "SELECT '" DEAD "', now() - interval '30 s' FROM generate_series(1, 100)");
	put_fact(34);

	struct house h = open_house(&users, true);

	assert_true(WAIT(outbox_has("100"), 20));
	assert_true(outbox_is_well(NULL, detail, sizeof detail));
	(void) sql("UPDATE users.outbox SET created_at = now() - interval '70 s'");
	assert_true(WAIT(!outbox_is_well(NULL, detail, sizeof detail), 20));
	assert_non_null(strstr(detail, "users: a row has waited for 7"));
	js("UPDATE.DEAD_LETTERS", DEAD_LETTERS_WITH("-1"));
	assert_true(WAIT(outbox_has("0"), 60));
	assert_true(WAIT(outbox_is_well(NULL, detail, sizeof detail), 20));
	close_house(&h);
}

TEST(two_relays_on_one_outbox_send_each_fact_once)
{
	static unsigned char room[1 << 18];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct stream_info before, after;

	need_all();
	arena_init(&mem, room, sizeof room);
	c.deadline = clock_mono() + 30 * SECOND;
	assert_err(stream_ensure(&c, bus), none);
	assert_err(stream_info(&c, bus, STREAM_EVENTS, &before), none);
	for (int i = 1000; i < 1150; i++)
		put_fact(i);

	struct house h = open_house(&users, true), g = open_house(&users, true);

	assert_true(WAIT(strcmp(sql("SELECT count(*) FROM users.outbox"), "0") == 0, 60));
	c.deadline = clock_mono() + 5 * SECOND;
	assert_err(stream_info(&c, bus, STREAM_EVENTS, &after), none);
	assert_int_equal(after.messages - before.messages, 300);
	close_house(&h);
	close_house(&g);
}

TEST(a_fact_of_an_agenda_makes_its_free_slots_be_read_anew)
{
	const struct plan_of_pool plan = { .actor = &schedules_actor, .workers = 2, .redis = redis_url,
		.facts = "healthmed.v1.events.booking.>", .on_facts = schedules_facts };
	static unsigned char room[1 << 20];
	static struct fact f[4096];		/* as many as one message may have; ours is the last */
	struct arena mem;
	struct ctx c = { .mem = &mem };
	const struct facts facts = { .items = { f, COUNT(f) }, .has.items = 1 };
	struct schedules_page a;
	struct str body;

	need_all();
	need_redis();
	(void) sql("INSERT INTO agenda.slot (id, doctor_id, starts, ends, created_at, updated_at) SELECT g, 77, "
		   "now() + g * interval '1 hour', now() + g * interval '1 hour' + interval '30 minutes', now(), now() "
		   "FROM generate_series(1, 10) AS g");

	struct house h = open_house(&plan, false);

	arena_init(&mem, room, sizeof room);
	for (size_t i = 0; i < COUNT(f); i++) {
		SET(&f[i], id, INT64_MAX);
		SET(&f[i], doctor_id, i + 1 == COUNT(f) ? 77 : INT64_MAX - (int64_t) i);
		SET(&f[i], patient_id, INT64_MAX);
		SET(&f[i], slot_id, INT64_MAX);
		SET(&f[i], at, TIME_MAX);
	}
	assert_err(msg_to_pack(&c, &facts_msg, &facts, &body), none);
	for (int open = 10; open > 5; open--) {
		const int64_t begin = clock_mono();

		assert_true(WAIT(ask_free(77, &a).code == ERR_none && (int) a.items.n == open, 20));
		if (open < 10)		/* much sooner than what is kept grows old by itself */
			assert_true(clock_mono() - begin < 1500 * MS);
		(void) sql("UPDATE agenda.slot SET active = false WHERE id = "
			   "(SELECT max(id) FROM agenda.slot WHERE doctor_id = 77 AND active)");
		assert_err(bus_publish(bus, "healthmed.v1.events.booking.booked.1", NULL, body), none);
	}
	close_house(&h);
}

TEST(the_client_goes)
{
	bus_close(bus);
}
