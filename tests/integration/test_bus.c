/* test_bus.c - requests, commands, pools, lost connections and discovery on a real server. */
#include <inttypes.h>
#include "broker/discovery.h"
#include "broker/scan.h"
#include "tests/integration/nats.h"

static const struct headers none = { .n = 0 };

/* A pool of threads that answers: "echo", "error", "never", "slow" (100 ms), "hush" (as never). */
struct pool {
	struct bus     *bus;
	struct bus_sub *sub;
	pthread_t       thread[4];
	_Atomic int     served, at_once, most;
	char            late[128];	/* where the last "never" wanted its answer */
	atomic_bool     is_late;
};

static void answer(struct pool *p, const struct bus_msg *m)
{
	struct ctx *c = own_ctx(SECOND);
	struct headers h = { .n = 0 };
	struct str body = bus_body(m);

	if (str_eq(body, STR("never"))) {
		(void) snprintf(p->late, sizeof p->late, "%s", bus_reply_to(m));
		atomic_store(&p->is_late, true);
		return;
	}
	if (str_eq(body, STR("hush")))
		return;
	if (str_eq(body, STR("slow")))
		(void) nanosleep(&(struct timespec) { .tv_nsec = 100000000 }, NULL);
	if (str_eq(body, STR("error"))) {
		const err_t e = fault(c, ERR_invalid, "address.zip", "too \"short\"\n");

		wire_put_error(c, e, &h);
		body = STR("");
	}
	assert_err(bus_publish(p->bus, bus_reply_to(m), &h, body), none);
}

static void *serve(void *of)
{
	struct pool *p = of;
	bool closed = false;

	while (!closed) {
		struct bus_msg *m = bus_take(p->sub, 5 * SECOND, &closed);

		if (m == NULL)
			continue;
		const int n = atomic_fetch_add(&p->at_once, 1) + 1;

		if (n > atomic_load(&p->most))
			atomic_store(&p->most, n);
		answer(p, m);
		atomic_fetch_sub(&p->at_once, 1);
		atomic_fetch_add(&p->served, 1);
		bus_free(m);
	}
	return NULL;
}

static struct pool *pool_of(const char *subject)
{
	struct pool *p = calloc(1, sizeof *p);

	p->bus = new_bus();
	assert_err(bus_subscribe(p->bus, subject, "test", &p->sub), none);
	for (size_t i = 0; i < COUNT(p->thread); i++)
		assert_int_equal(pthread_create(&p->thread[i], NULL, serve, p), 0);
	return p;
}

static void pool_end(struct pool *p)
{
	bus_drain(p->bus);
	for (size_t i = 0; i < COUNT(p->thread); i++)
		(void) pthread_join(p->thread[i], NULL);
	bus_unsubscribe(p->sub);
	bus_close(p->bus);
	free(p);
}

TEST(a_request_is_answered_with_the_bytes_of_the_reply)
{
	struct pool *p = pool_of("t.echo");
	struct bus *b = new_bus();
	struct str reply;

	assert_err(bus_request(within(5 * SECOND), b, "t.echo", &none, STR("hello"), &reply), none);
	assert_str(reply, "hello");
	assert_err(bus_request(within(5 * SECOND), b, "t.echo", &none, STR(""), &reply), none);
	assert_str(reply, "");
	bus_close(b);
	pool_end(p);
}

TEST(where_nobody_listens_a_request_is_refused_at_once)
{
	struct bus *b = new_bus();
	struct str reply;
	const int64_t since = clock_mono();

	assert_err(bus_request(within(5 * SECOND), b, "t.nobody", &none, STR("x"), &reply), unavailable);
	assert_true(clock_mono() - since < SECOND);
	bus_close(b);
}

TEST(an_error_comes_back_with_its_code_and_its_faults)
{
	struct pool *p = pool_of("t.error");
	struct bus *b = new_bus();
	struct ctx *c = within(5 * SECOND);
	struct str reply;

	assert_err(bus_request(c, b, "t.error", &none, STR("error"), &reply), invalid);
	assert_int_equal(c->nfaults, 1);
	assert_string_equal(c->fault[0].path, "address.zip");
	assert_string_equal(c->fault[0].message, "too \"short\"\n");
	bus_close(b);
	pool_end(p);
}

TEST(a_reply_that_comes_too_late_never_reaches_another_waiter)
{
	struct pool *p = pool_of("t.late");
	struct bus *b = new_bus();
	struct str reply;

	assert_err(bus_request(within(50 * MS), b, "t.late", &none, STR("never"), &reply), timeout);
	EVENTUALLY(5, atomic_load(&p->is_late));
	/* The next waiter has the same slot; the late reply is on its way before its own. */
	for (int i = 0; i < 20; i++)
		assert_err(bus_publish(b, p->late, &none, STR("late")), none);
	assert_err(bus_request(within(5 * SECOND), b, "t.late", &none, STR("mine"), &reply), none);
	assert_str(reply, "mine");
	bus_close(b);
	pool_end(p);
}

struct ask { struct bus *bus; err_t e; };

static void *ask_slow(void *of)
{
	struct ask *ask = of;
	struct str reply;

	ask->e = bus_request(own_ctx(5 * SECOND), ask->bus, "t.slow", &none, STR("slow"), &reply);
	return NULL;
}

TEST(all_threads_of_a_pool_work_when_messages_come_in_one_breath)
{
	struct pool *p = pool_of("t.slow");
	struct bus *b = new_bus();

	for (int round = 1; round <= 3; round++) {
		pthread_t asks[4];
		struct ask ask[4];

		for (size_t i = 0; i < COUNT(asks); i++) {
			ask[i].bus = b;
			assert_int_equal(pthread_create(&asks[i], NULL, ask_slow, &ask[i]), 0);
		}
		for (size_t i = 0; i < COUNT(asks); i++) {
			(void) pthread_join(asks[i], NULL);
			assert_err(ask[i].e, none);
		}
	}
	assert_int_equal(atomic_load(&p->most), 4);
	bus_close(b);
	pool_end(p);
}

struct asker { struct bus *bus; int number, wrong; pthread_t thread; };

static void *ask_often(void *of)
{
	struct asker *a = of;

	for (int i = 0; i < 20; i++) {
		char text[32];
		struct str reply;

		(void) snprintf(text, sizeof text, "%d/%d", a->number, i);
		if (bus_request(own_ctx(20 * SECOND), a->bus, "t.many", &none, str_of(text),
				&reply).code || !str_eq(reply, str_of(text)))
			a->wrong++;
	}
	return NULL;
}

TEST(each_of_two_hundred_threads_gets_its_own_replies)
{
	enum { THREADS = 200 };
	struct pool *p = pool_of("t.many");
	struct bus *b = new_bus();
	static struct asker a[THREADS];

	for (int i = 0; i < THREADS; i++) {
		a[i] = (struct asker) { .bus = b, .number = i };
		assert_int_equal(pthread_create(&a[i].thread, NULL, ask_often, &a[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		(void) pthread_join(a[i].thread, NULL);
		assert_int_equal(a[i].wrong, 0);
	}
	bus_close(b);
	pool_end(p);
}

/* Commands: a stream that the test makes, and an actor that the test plays. */

static void make_stream(struct bus *b, const char *name, const char *more)
{
	char subject[64], json[256];
	struct str reply, error;

	(void) snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", name);
	(void) snprintf(json, sizeof json, "{\"name\":\"%s\",\"subjects\":[\"%s.>\"],\"storage\":\"memory\","
			"\"retention\":\"limits\",\"discard\":\"new\"%s}", name, name, more);
	assert_err(bus_request(within(5 * SECOND), b, subject, &none, str_of(json), &reply), none);
	assert_false(scan_find(reply, "error", &error));
}

enum play { ANSWER, ANSWER_TWICE, KEEP_QUIET, RAMBLE };
struct actor_played { struct bus *bus; _Atomic(enum play) play; _Atomic int seen; };

/* "<inbox>.o <token>" */
static void answer_command(struct bus *b, const struct bus_msg *m, struct str outcome)
{
	const char *inbox = bus_header(m, WIRE_INBOX), *space = strchr(inbox, ' ');
	char subject[64] = "";
	struct ctx *c = own_ctx(SECOND);
	struct booking_answer item[2] = { { .token = 0 } };
	struct booking_answers all = { .items = { item, COUNT(item) } };
	struct str pack;

	memcpy(subject, inbox, (size_t) (space - inbox));
	SET(&item[1], token, strtoll(space + 1, NULL, 10));
	SET(&item[1], outcome, outcome);
	SET(&item[0], token, item[1].token ^ (1 << 14));	/* a slot that nobody uses */
	SET(&item[0], outcome, STR("not for you"));
	all.has.items = 1;
	assert_err(msg_to_pack(c, &booking_answers_msg, &all, &pack), none);
	assert_err(bus_publish(b, subject, &none, pack), none);
}

static void on_command(void *of, const struct bus_msg *m)
{
	struct actor_played *a = of;
	static const char zeros[8192];

	switch (atomic_load(&a->play)) {
	case ANSWER:
		answer_command(a->bus, m, STR("decided"));
		break;
	case ANSWER_TWICE:
		answer_command(a->bus, m, STR("decided"));
		answer_command(a->bus, m, STR("decided again"));
		break;
	case RAMBLE:
		answer_command(a->bus, m, (struct str) { zeros, sizeof zeros });
		break;
	case KEEP_QUIET:
		break;
	}
	atomic_fetch_add(&a->seen, 1);
}

TEST(a_command_waits_for_its_outcome_and_knows_its_sequence_once_accepted)
{
	struct actor_played a = { .bus = new_bus(), .play = ANSWER_TWICE };
	struct bus *b = new_bus();
	struct bus_outcome out;
	struct headers h = { .n = 0 };

	make_stream(b, "CMD", "");
	assert_err(bus_listen(a.bus, "CMD.1", on_command, &a), none);
	for (int i = 0; i < 50; i++) {
		struct ctx *c = within(5 * SECOND);

		assert_err(bus_command(c, b, "CMD.1", &h, STR("x"), 5 * SECOND, OUTCOME_USUAL, &out), none);
		assert_int_equal(out.state, OUTCOME_DECIDED);
		assert_str(out.outcome, "decided");
		assert_true(out.seq == 0 || out.seq == i + 1);
	}
	assert_int_equal(h.n, 0);
	bus_close(b);
	bus_close(a.bus);
}

TEST(a_command_without_an_outcome_is_accepted_or_unknown)
{
	struct actor_played a = { .bus = new_bus(), .play = KEEP_QUIET };
	struct bus *b = new_bus();
	struct bus_outcome out;
	struct headers h = { .n = 0 };
	int64_t since = clock_mono();

	make_stream(b, "SLOW", "");
	assert_err(bus_command(within(5 * SECOND), b, "SLOW.1", &h, STR("x"), 100 * MS, OUTCOME_USUAL, &out), none);
	assert_int_equal(out.state, OUTCOME_ACCEPTED);
	assert_int_equal(out.seq, 1);
	assert_in_range(clock_mono() - since, 100 * MS, 3 * SECOND);
	since = clock_mono();
	assert_err(bus_command(within(5 * SECOND), b, "SLOW.1", &h, STR("x"), 0, OUTCOME_USUAL, &out), none);
	assert_int_equal(out.state, OUTCOME_ACCEPTED);
	assert_int_equal(out.seq, 2);
	assert_true(clock_mono() - since < 3 * SECOND);	/* woken by the acknowledgement */
	/* Somebody hears it, and no stream keeps it. */
	assert_err(bus_listen(a.bus, "t.quiet", on_command, &a), none);
	assert_err(bus_command(within(100 * MS), b, "t.quiet", &h, STR("x"), 50 * MS, OUTCOME_USUAL, &out), none);
	assert_int_equal(out.state, OUTCOME_UNKNOWN);
	/* An outcome that is too long for a waiter is not cut. */
	atomic_store(&a.play, RAMBLE);
	assert_err(bus_listen(a.bus, "SLOW.2", on_command, &a), none);
	assert_err(bus_command(within(SECOND), b, "SLOW.2", &h, STR("x"), 100 * MS, OUTCOME_USUAL, &out), none);
	assert_int_equal(out.state, OUTCOME_ACCEPTED);
	bus_close(b);
	bus_close(a.bus);
}

TEST(a_command_that_no_stream_keeps_is_surely_not_accepted)
{
	struct bus *b = new_bus();
	struct bus_outcome out;
	struct headers h = { .n = 0 };
	static const char kilobyte[1024];
	const struct str body = { kilobyte, sizeof kilobyte };
	const int64_t since = clock_mono();
	err_t e = OK;

	assert_err(bus_command(within(5 * SECOND), b, "t.nostream", &h, STR("x"), 5 * SECOND, OUTCOME_USUAL, &out),
		   unavailable);
	make_stream(b, "FULL", ",\"max_bytes\":4096");
	for (int i = 0; i < 5 && !e.code; i++)
		e = bus_command(within(5 * SECOND), b, "FULL.1", &h, body, i == 3 ? 5 * SECOND : 0, OUTCOME_USUAL, &out);
	assert_err(e, unavailable);
	assert_true(clock_mono() - since < 3 * SECOND);	/* the refusal wakes */
	bus_close(b);
}

TEST(outcomes_that_are_none_wake_nobody)
{
	struct actor_played a = { .bus = new_bus(), .play = ANSWER };
	struct bus *b = new_bus();
	struct bus_outcome out;
	struct headers h = { .n = 0 };
	char inbox[64] = "";
	struct bus_sub *spy;
	bool closed = false;

	make_stream(b, "FORGED", "");
	assert_err(bus_subscribe(a.bus, "FORGED.1", NULL, &spy), none);
	assert_err(bus_command(within(SECOND), b, "FORGED.1", &h, STR("x"), 0, OUTCOME_USUAL, &out), none);
	struct bus_msg *m = bus_take(spy, 5 * SECOND, &closed);

	assert_non_null(m);
	const char *value = bus_header(m, WIRE_INBOX);

	memcpy(inbox, value, strcspn(value, " "));
	bus_free(m);
	static const char *const bad[] = { "", "\xc1", "\x81\xa5items\xdd\xff\xff\xff\xff", "{}",
		"\x81\xa5items\x91\x82\xa5token\xff\xa7outcome\xc4\x01x" };

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_err(bus_publish(a.bus, inbox, &none, str_of(bad[i])), none);
	inbox[strlen(inbox) - 1] = '\0';	/* the token's place */
	static const char *const tokens[] = { "a", "a-1", "-1", "99999999999999999999", "o1", "a9223372036854775807",
		"9223372036854775807", "-9223372036854775808", "x" };

	for (size_t i = 0; i < COUNT(tokens); i++) {
		char subject[96];

		(void) snprintf(subject, sizeof subject, "%s%s", inbox, tokens[i]);
		assert_err(bus_publish(a.bus, subject, &none, STR("{\"seq\":1}")), none);
	}
	bus_unsubscribe(spy);
	assert_err(bus_listen(a.bus, "FORGED.2", on_command, &a), none);
	assert_err(bus_command(within(5 * SECOND), b, "FORGED.2", &h, STR("x"), 5 * SECOND, OUTCOME_USUAL, &out), none);
	assert_int_equal(out.state, OUTCOME_DECIDED);
	bus_close(b);
	bus_close(a.bus);
}

TEST(what_arrived_before_a_drain_is_handed_out_and_replies_still_go)
{
	struct pool *p = pool_of("t.after");
	struct bus *a = new_bus(), *b = new_bus();
	struct bus_sub *sub;
	struct str reply;
	bool closed = false;
	int n = 0;

	assert_err(bus_subscribe(a, "t.drain", "q", &sub), none);
	for (int i = 0; i < 100; i++)
		assert_err(bus_publish(b, "t.drain", &none, STR("x")), none);
	/* b's messages are there once its own request came back. */
	assert_err(bus_request(within(5 * SECOND), b, "t.after", &none, STR("x"), &reply), none);
	assert_err(bus_request(within(5 * SECOND), a, "t.after", &none, STR("x"), &reply), none);
	bus_drain(a);
	while (!closed) {
		struct bus_msg *m = bus_take(sub, 5 * SECOND, &closed);

		n += m != NULL;
		bus_free(m);
	}
	assert_int_equal(n, 100);
	assert_err(bus_request(within(5 * SECOND), a, "t.after", &none, STR("x"), &reply), none);
	bus_unsubscribe(sub);
	bus_close(a);
	bus_close(b);
	pool_end(p);
}

static err_t ask_once(struct bus *b, const char *subject, int64_t deadline)
{
	struct str reply;

	return bus_request(within(deadline), b, subject, &none, STR("x"), &reply);
}

struct lonely { struct bus *bus; const char *says; err_t e; _Atomic int64_t took; };

static void *wait_alone(void *of)
{
	struct lonely *l = of;
	struct str reply;
	const int64_t since = clock_mono();

	l->e = bus_request(own_ctx(20 * SECOND), l->bus, "t.killed", &none, str_of(l->says), &reply);
	l->took = clock_mono() - since;
	return NULL;
}

TEST(a_lost_connection_fails_at_once_and_comes_back_by_itself)
{
	struct pool *p = pool_of("t.killed");
	struct bus *b = new_bus();
	struct lonely l = { .bus = b, .says = "never" };
	pthread_t waiting;
	struct bus_outcome out;
	struct headers h = { .n = 0 };

	assert_err(ask_once(b, "t.killed", 5 * SECOND), none);
	assert_int_equal(pthread_create(&waiting, NULL, wait_alone, &l), 0);
	EVENTUALLY(5, atomic_load(&p->is_late));
	nats_stop();
	(void) pthread_join(waiting, NULL);
	assert_err(l.e, timeout);		/* the reply can no longer come: it may have been served */
	assert_true(l.took < 10 * SECOND);
	EVENTUALLY(5, !bus_is_up(b));
	const int64_t since = clock_mono();

	assert_err(ask_once(b, "t.killed", 5 * SECOND), unavailable);
	assert_err(bus_publish(b, "t.killed", &none, STR("x")), unavailable);
	assert_err(bus_command(within(5 * SECOND), b, "t.killed", &h, STR("x"), SECOND, OUTCOME_USUAL, &out), unavailable);
	assert_true(clock_mono() - since < SECOND);
	nats_start();
	EVENTUALLY(10, bus_is_up(b) && bus_is_up(p->bus));
	EVENTUALLY(10, ask_once(b, "t.killed", SECOND).code == ERR_none);
	bus_close(b);
	pool_end(p);
}

/* Those of our sockets that are connected to the server; answers the highest. */
static int last_socket(void)
{
	int last = -1;

	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_in to = { .sin_port = 0 };
		socklen_t n = sizeof to;

		if (getpeername(fd, (struct sockaddr *) &to, &n) == 0 && to.sin_family == AF_INET &&
		    ntohs(to.sin_port) == nats.port)
			last = fd;
	}
	return last;
}

TEST(a_request_lost_with_the_second_connection_does_not_wait_out_its_deadline)
{
	enum { CROWD = 64, ALONE = 48 };
	struct pool *p = pool_of("t.killed");
	struct bus *b = new_bus();
	const int second = last_socket();
	static struct lonely l[CROWD];
	pthread_t waiting[CROWD];
	int early = 0;

	for (int i = 0; i < CROWD; i++) {
		l[i] = (struct lonely) { .bus = b, .says = "hush" };
		assert_int_equal(pthread_create(&waiting[i], NULL, wait_alone, &l[i]), 0);
	}
	EVENTUALLY(5, atomic_load(&p->served) == CROWD);
	assert_int_equal(shutdown(second, SHUT_RDWR), 0);
	(void) nanosleep(&(struct timespec) { .tv_sec = 1 }, NULL);
	assert_true(bus_is_up(b));
	for (int i = 0; i < CROWD; i++)
		early += atomic_load(&l[i].took) != 0;
	assert_int_equal(early, CROWD - ALONE);
	nats_stop();				/* which wakes the others */
	for (int i = 0; i < CROWD; i++) {
		(void) pthread_join(waiting[i], NULL);
		assert_err(l[i].e, timeout);
	}
	nats_start();
	EVENTUALLY(10, bus_is_up(b) && bus_is_up(p->bus));
	bus_close(b);
	pool_end(p);
}

struct pusher { struct bus *bus; pthread_t thread; int64_t longest; };

static void *push(void *of)
{
	static const char block[64 << 10];
	struct pusher *p = of;

	for (int64_t until = clock_mono() + 3 * SECOND; clock_mono() < until; ) {
		const int64_t since = clock_mono();
		struct str reply;

		(void) bus_request(own_ctx(300 * MS), p->bus, "t.frozen", &none,
				   (struct str) { block, sizeof block }, &reply).code;
		if (clock_mono() - since > p->longest)
			p->longest = clock_mono() - since;
	}
	return NULL;
}

TEST(a_server_that_stops_reading_holds_up_nobody_beyond_the_deadline)
{
	struct pool *pool = pool_of("t.frozen");
	struct bus *b = new_bus();
	static struct pusher p[32];

	assert_err(ask_once(b, "t.frozen", 5 * SECOND), none);
	assert_int_equal(kill(nats.pid, SIGSTOP), 0);
	for (size_t i = 0; i < COUNT(p); i++) {
		p[i] = (struct pusher) { .bus = b };
		assert_int_equal(pthread_create(&p[i].thread, NULL, push, &p[i]), 0);
	}
	for (size_t i = 0; i < COUNT(p); i++) {
		(void) pthread_join(p[i].thread, NULL);
		assert_true(p[i].longest < 2 * SECOND);
	}
	assert_int_equal(kill(nats.pid, SIGCONT), 0);
	EVENTUALLY(20, ask_once(b, "t.frozen", SECOND).code == ERR_none);
	bus_close(b);
	pool_end(pool);
}

TEST(a_server_that_is_not_there_is_named_within_seconds)
{
	struct bus *b = NULL;
	char why[256] = "";
	const int64_t since = clock_mono();

	assert_err(bus_open("nats://127.0.0.1:1", "test", &b, why), unavailable);
	assert_in_range(clock_mono() - since, 4 * SECOND, 9 * SECOND);
	assert_true(strlen(why) > 0);
	assert_err(bus_open("", "test", &b, why), unavailable);
}

/* ADR-32 */

static struct str ask_srv(struct bus *b, const char *subject)
{
	struct str reply;

	assert_err(bus_request(within(5 * SECOND), b, subject, &none, STR(""), &reply), none);
	return reply;
}

static void assert_text(struct str json, const char *path, const char *text)
{
	struct str s;

	assert_true(scan_text(own_ctx(SECOND)->mem, json, path, &s));
	assert_str(s, text);
}

TEST(a_pool_is_found_by_ping_info_and_stats)
{
	static const char *const verb[] = { "PING", "INFO", "STATS" };
	static const char *const type[] = { "io.nats.micro.v1.ping_response",
		"io.nats.micro.v1.info_response", "io.nats.micro.v1.stats_response" };
	struct bus *a = new_bus(), *b = new_bus();
	struct endpoint e[] = { { .call = CALL_users_login, .requests = 4, .errors = 1, .busy_us = 10,
				  .last_error = ERR_bad_credentials }, { .call = CALL_users_register } };
	struct discovery *d;
	char id[32] = "", subject[96];
	struct str reply, list, item;
	int64_t n;
	size_t at = 0;

	assert_err(discovery_start(a, "users", e, COUNT(e), &d), none);
	reply = ask_srv(b, "$SRV.PING");
	assert_true(scan_find(reply, "id", &item) && item.n == 24);
	memcpy(id, item.p + 1, item.n - 2);
	for (size_t i = 0; i < COUNT(verb); i++)
		for (int depth = 0; depth < 3; depth++) {
			(void) snprintf(subject, sizeof subject, "$SRV.%s%s%s%s", verb[i],
					depth > 0 ? ".users" : "", depth > 1 ? "." : "", depth > 1 ? id : "");
			reply = ask_srv(b, subject);
			assert_text(reply, "type", type[i]);
			assert_text(reply, "name", "users");
			assert_text(reply, "id", id);
			assert_true(scan_find(reply, "metadata", &item));
		}
	assert_true(scan_find(reply, "endpoints", &list) && scan_item(list, &at, &item));
	assert_text(item, "name", "login");
	assert_text(item, "subject", "healthmed.v1.users.login");
	assert_text(item, "queue_group", "users");
	assert_text(item, "last_error", "bad_credentials");
	assert_true(scan_int(item, "num_requests", &n) && n == 4);
	assert_true(scan_int(item, "processing_time", &n) && n == 10000);
	assert_true(scan_int(item, "average_processing_time", &n) && n == 2500);
	assert_true(scan_item(list, &at, &item) && !scan_item(list, &at, &item));
	discovery_stop(d);
	assert_err(ask_once(b, "$SRV.PING.users", SECOND), unavailable);
	bus_close(b);
	bus_close(a);
}
