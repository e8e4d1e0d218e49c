/* test_stream.c - the log: kept, looked up, purged, and read in order without a gap. */
#include <inttypes.h>
#include "broker/base/config.h"
#include "broker/scan.h"
#include "broker/stream.h"
#include "tests/integration/nats.h"

static const struct headers none = { .n = 0 };

/* A server with the streams, empty, as the defaults of the configuration make them. */
static struct bus *with_streams(void)
{
	struct bus *b = new_bus();
	struct str reply;

	for (size_t i = 0; i < 3; i++) {
		static const char *const name[] = { "BOOKING", "EVENTS", "DEAD_LETTERS" };
		char subject[64];

		(void) snprintf(subject, sizeof subject, "$JS.API.STREAM.DELETE.%s", name[i]);
		assert_err(bus_request(within(5 * SECOND), b, subject, &none, STR(""), &reply), none);
	}
	assert_err(stream_ensure(within(10 * SECOND), b), none);
	return b;
}

static void put(struct bus *b, int part, int doctor, int64_t n)
{
	char subject[64], text[24];

	(void) snprintf(subject, sizeof subject, "healthmed.v1.booking.%d.%d", part, doctor);
	(void) snprintf(text, sizeof text, "%" PRId64, n);
	assert_err(stream_publish(within(5 * SECOND), b, subject, NULL, NULL, str_of(text)), none);
}

static struct str api(struct bus *b, const char *subject, const char *json)
{
	struct str reply;

	assert_err(bus_request(within(5 * SECOND), b, subject, &none, str_of(json), &reply), none);
	return reply;
}

static int64_t config_of(struct bus *b, const char *stream, const char *path)
{
	char subject[64];
	int64_t n = 0;

	(void) snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.%s", stream);
	assert_true(scan_int(api(b, subject, ""), path, &n));
	return n;
}

static void *ensure(void *of)
{
	struct bus *b = new_bus();

	*(err_t *) of = stream_ensure(own_ctx(10 * SECOND), b);
	bus_close(b);
	return NULL;
}

TEST(streams_are_made_once_though_several_processes_start_at_once)
{
	struct bus *b = with_streams();
	pthread_t t[4];
	err_t e[4];

	(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
	(void) api(b, "$JS.API.STREAM.DELETE.EVENTS", "");
	for (size_t i = 0; i < COUNT(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, ensure, &e[i]), 0);
	for (size_t i = 0; i < COUNT(t); i++) {
		(void) pthread_join(t[i], NULL);
		assert_err(e[i], none);
	}
	assert_int_equal(config_of(b, "BOOKING", "config.max_age"), 0);
	assert_int_equal(config_of(b, "BOOKING", "config.max_bytes"), config_int(CONFIG_BOOKING_MAX_BYTES));
	assert_int_equal(config_of(b, "EVENTS", "config.max_age"), INT64_C(7) * 86400 * 1000000000);
	assert_int_equal(config_of(b, "EVENTS", "config.duplicate_window"), INT64_C(120) * 1000000000);
	assert_int_equal(config_of(b, "DEAD_LETTERS", "config.max_age"), 0);
	bus_close(b);
}

#define BOOKING_WITH(more) "{\"name\":\"BOOKING\",\"subjects\":[\"healthmed.v1.booking.*.*\"]," more "}"
#define AS_IT_MUST_BE "\"storage\":\"file\",\"retention\":\"limits\",\"discard\":\"new\""

TEST(the_size_of_a_stream_that_is_there_follows_the_configuration_and_all_else_stays)
{
	struct bus *b = with_streams();

	(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
	(void) api(b, "$JS.API.STREAM.CREATE.BOOKING",
		   BOOKING_WITH(AS_IT_MUST_BE ",\"max_bytes\":2345678,\"max_msg_size\":54321"));
	put(b, 1, 10, 1);
	assert_err(stream_ensure(within(5 * SECOND), b), none);
	assert_int_equal(config_of(b, "BOOKING", "config.max_bytes"), config_int(CONFIG_BOOKING_MAX_BYTES));
	assert_int_equal(config_of(b, "BOOKING", "config.max_msg_size"), 54321);
	assert_int_equal(config_of(b, "BOOKING", "config.max_age"), 0);
	assert_int_equal(config_of(b, "BOOKING", "state.messages"), 1);
	(void) api(b, "$JS.API.STREAM.DELETE.EVENTS", "");
	(void) api(b, "$JS.API.STREAM.CREATE.EVENTS", "{\"name\":\"EVENTS\",\"subjects\":"
		   "[\"healthmed.v1.events.>\"],\"storage\":\"file\",\"max_age\":99000000000,\"max_bytes\":77777}");
	assert_err(stream_ensure(within(5 * SECOND), b), none);
	assert_int_equal(config_of(b, "EVENTS", "config.max_age"), INT64_C(99000000000));
	assert_int_equal(config_of(b, "EVENTS", "config.max_bytes"), 77777);
	bus_close(b);
}

TEST(a_stream_that_could_lose_what_it_accepted_is_refused_by_the_name_of_the_setting)
{
	static const struct { const char *json, *named; } bad[] = {
		{ BOOKING_WITH("\"storage\":\"file\",\"discard\":\"old\""), "its discard is \"old\"" },
		{ BOOKING_WITH(AS_IT_MUST_BE ",\"max_age\":3000000000"), "its max_age is 3000000000, and must be 0" },
		{ BOOKING_WITH(AS_IT_MUST_BE ",\"max_msgs_per_subject\":5"), "its max_msgs_per_subject is 5" },
		{ BOOKING_WITH("\"storage\":\"memory\",\"discard\":\"new\""), "its storage is \"memory\"" },
		{ BOOKING_WITH("\"storage\":\"file\",\"retention\":\"interest\",\"discard\":\"new\""),
		  "its retention is \"interest\"" },
	};
	struct bus *b = with_streams();

	for (size_t i = 0; i < COUNT(bad); i++) {
		(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
		(void) api(b, "$JS.API.STREAM.CREATE.BOOKING", bad[i].json);

		struct ctx *c = within(5 * SECOND);

		assert_err(stream_ensure(c, b), invalid);
		assert_non_null(strstr(c->detail, bad[i].named));
	}
	(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
	assert_err(stream_ensure(within(5 * SECOND), b), none);
	bus_close(b);
}

TEST(a_stream_tells_how_far_it_is_and_when_it_was_made)
{
	struct bus *b = with_streams();
	struct stream_info i;

	assert_err(stream_info(within(5 * SECOND), b, STREAM_BOOKING, &i), none);
	assert_true(i.created > clock_wall() - 60 * SECOND && i.created <= clock_wall() + SECOND);
	assert_int_equal(i.messages, 0);
	for (int n = 1; n <= 3; n++)
		put(b, 1, 10, n);
	assert_err(stream_info(within(5 * SECOND), b, STREAM_BOOKING, &i), none);
	assert_int_equal(i.messages, 3);
	assert_int_equal(i.first_seq, 1);
	assert_int_equal(i.last_seq, 3);
	(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
	assert_err(stream_info(within(5 * SECOND), b, STREAM_BOOKING, &i), not_found);
	assert_err(stream_publish(within(5 * SECOND), b, "healthmed.v1.booking.1.1", NULL, NULL, STR("x")),
		   unavailable);
	bus_close(b);
}

TEST(a_fact_published_twice_under_one_id_is_kept_once)
{
	struct bus *b = with_streams();
	struct stream_info i;

	for (int n = 0; n < 3; n++)
		assert_err(stream_publish(within(5 * SECOND), b, "healthmed.v1.events.a.b.1", "id-1", NULL,
					  STR("x")), none);
	assert_err(stream_info(within(5 * SECOND), b, STREAM_EVENTS, &i), none);
	assert_int_equal(i.messages, 1);
	bus_close(b);
}

TEST(a_message_is_found_by_filter_and_sequence_as_it_was_published)
{
	struct bus *b = with_streams();
	struct headers h = { .n = 0 };
	struct stream_msg m;
	static const char bytes[] = "\0\1\2\xff binary";

	wire_put(&h, WIRE_CALL, "booking.book");
	wire_put(&h, WIRE_REQUEST, "R:1");
	put(b, 1, 10, 1);
	assert_err(stream_publish(within(5 * SECOND), b, "healthmed.v1.booking.2.20", NULL, &h,
				  (struct str) { bytes, sizeof bytes }), none);
	put(b, 1, 10, 3);
	assert_err(stream_publish(within(5 * SECOND), b, "healthmed.v1.booking.2.21", NULL, NULL, STR("")),
		   none);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 1, "healthmed.v1.booking.2.*", &m), none);
	assert_int_equal(m.seq, 2);
	assert_true(m.time > clock_wall() - 60 * SECOND && m.time <= clock_wall() + SECOND);
	assert_str(bus_subject(m.msg), "healthmed.v1.booking.2.20");
	assert_string_equal(bus_header(m.msg, WIRE_CALL), "booking.book");
	assert_string_equal(bus_header(m.msg, WIRE_REQUEST), "R:1");
	assert_int_equal(bus_body(m.msg).n, sizeof bytes);
	assert_memory_equal(bus_body(m.msg).p, bytes, sizeof bytes);
	bus_free(m.msg);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 3, "healthmed.v1.booking.2.*", &m), none);
	assert_int_equal(m.seq, 4);
	assert_int_equal(bus_body(m.msg).n, 0);
	bus_free(m.msg);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 5, "healthmed.v1.booking.2.*", &m),
		   not_found);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 1, "healthmed.v1.booking.3.*", &m),
		   not_found);
	bus_close(b);
}

TEST(a_purge_takes_what_is_below_of_one_filter_alone)
{
	struct bus *b = with_streams();
	struct stream_msg m;
	struct stream_info i;

	for (int n = 1; n <= 10; n++)
		put(b, 1 + n % 2, 10, n);
	assert_err(stream_purge(within(5 * SECOND), b, STREAM_BOOKING, "healthmed.v1.booking.1.*", 0), none);
	assert_err(stream_purge(within(5 * SECOND), b, STREAM_BOOKING, "healthmed.v1.booking.1.*", 1), none);
	assert_err(stream_purge(within(5 * SECOND), b, STREAM_BOOKING, "healthmed.v1.booking.1.*", 6), none);
	assert_err(stream_info(within(5 * SECOND), b, STREAM_BOOKING, &i), none);
	assert_int_equal(i.messages, 8);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 1, "healthmed.v1.booking.1.*", &m), none);
	assert_int_equal(m.seq, 6);
	bus_free(m.msg);
	assert_err(stream_delete_msg(within(5 * SECOND), b, STREAM_BOOKING, 6), none);
	assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, 1, "healthmed.v1.booking.1.*", &m), none);
	assert_int_equal(m.seq, 8);
	bus_free(m.msg);
	bus_close(b);
}

/* The next message or break within five seconds. */
static struct read next(struct reader *r)
{
	struct read got;

	reader_next(r, 5 * SECOND, &got);
	if (got.what == READ_BROKEN)
		print_message("part %d is broken: %s\n", got.part, got.why);
	return got;
}

static void assert_next(struct reader *r, int part, int64_t seq)
{
	const struct read got = next(r);

	assert_int_equal(got.what, READ_MESSAGE);
	assert_int_equal(got.part, part);
	assert_int_equal(got.seq, seq);
	bus_free(got.msg);
}

TEST(a_reader_gets_each_part_in_order_from_where_it_starts)
{
	struct bus *b = with_streams();
	struct reader *r;
	struct read got;
	struct stream_msg m;
	int64_t last[3] = { 0 };

	for (int n = 1; n <= 20; n++)
		put(b, 1 + n % 2, 10 + n, n);
	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 1, "healthmed.v1.booking.1.*", 1), none);
	assert_err(reader_start(within(5 * SECOND), r, 2, "healthmed.v1.booking.2.*", 11), none);
	for (int n = 0; n < 10 + 5; n++) {
		got = next(r);
		assert_int_equal(got.what, READ_MESSAGE);
		assert_in_range(got.part, 1, 2);
		assert_true(got.seq > last[got.part]);
		assert_int_equal(got.seq % 2, got.part - 1);
		assert_true(got.part == 1 || got.seq >= 11);
		assert_err(stream_get(within(5 * SECOND), b, STREAM_BOOKING, got.seq, ">", &m), none);
		assert_int_equal(m.time, got.time);
		assert_true(str_eq(bus_body(m.msg), bus_body(got.msg)));
		if (n == 0)
			assert_int_equal(got.waiting, got.part == 1 ? 9 : 4);
		last[got.part] = got.seq;
		bus_free(m.msg);
		bus_free(got.msg);
	}
	reader_next(r, 0, &got);
	assert_int_equal(got.what, READ_NOTHING);
	put(b, 1, 10, 21);
	assert_next(r, 1, 21);
	reader_close(r);
	bus_close(b);
}

TEST(a_slow_reader_gets_all_of_a_large_stream_without_a_gap)
{
	enum { MESSAGES = 20000 };
	struct bus *b = with_streams();
	static const char body[2000];
	struct reader *r;

	for (int n = 0; n < MESSAGES; n++)
		assert_err(bus_publish(b, "healthmed.v1.booking.3.1", &none, (struct str) { body, sizeof body }),
			   none);
	put(b, 3, 1, 0);
	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 3, "healthmed.v1.booking.3.*", 1), none);
	for (int n = 1; n <= MESSAGES + 1; n++) {
		const struct read got = next(r);

		assert_int_equal(got.what, READ_MESSAGE);
		assert_int_equal(got.seq, n);
		bus_free(got.msg);
		if (n % 5000 == 0)	/* longer than its heart may stop */
			(void) nanosleep(&(struct timespec) { .tv_sec = 2 }, NULL);
	}
	reader_close(r);
	bus_close(b);
}

TEST(a_quiet_part_is_not_taken_for_a_broken_one)
{
	struct bus *b = with_streams();
	struct reader *r;
	struct read got;

	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 3, "healthmed.v1.booking.3.*", 1), none);
	reader_next(r, 4 * SECOND, &got);
	assert_int_equal(got.what, READ_NOTHING);
	put(b, 3, 1, 1);
	assert_next(r, 3, 1);
	reader_close(r);
	bus_close(b);
}

static void assert_broken(struct reader *r, int part, const char *why)
{
	const struct read got = next(r);

	assert_int_equal(got.what, READ_BROKEN);
	assert_int_equal(got.part, part);
	assert_string_equal(got.why, why);
}

TEST(a_part_whose_consumer_is_gone_breaks_once_and_can_be_started_again)
{
	struct bus *b = with_streams();
	struct reader *r;
	struct read got;
	struct str names, name;
	size_t at = 0;
	char subject[128];

	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 4, "healthmed.v1.booking.4.*", 1), none);
	put(b, 4, 1, 1);
	assert_next(r, 4, 1);
	const struct str reply = api(b, "$JS.API.CONSUMER.NAMES.BOOKING", "");

	assert_true(scan_find(reply, "consumers", &names) && scan_item(names, &at, &name));
	(void) snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.BOOKING.%.*s",
			(int) name.n - 2, name.p + 1);
	(void) api(b, subject, "");
	put(b, 4, 1, 2);
	assert_broken(r, 4, "heartbeat");
	reader_next(r, SECOND, &got);
	assert_int_equal(got.what, READ_NOTHING);
	assert_err(reader_start(within(5 * SECOND), r, 4, "healthmed.v1.booking.4.*", 1), none);
	assert_next(r, 4, 1);
	assert_next(r, 4, 2);
	reader_close(r);
	bus_close(b);
}

TEST(a_lost_connection_breaks_every_part_and_the_next_start_misses_nothing)
{
	struct bus *b = with_streams();
	struct reader *r;

	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 4, "healthmed.v1.booking.4.*", 1), none);
	assert_err(reader_start(within(5 * SECOND), r, 5, "healthmed.v1.booking.5.*", 1), none);
	put(b, 4, 1, 1);
	assert_next(r, 4, 1);
	nats_stop();
	nats_start();
	assert_broken(r, 4, "reconnect");
	assert_broken(r, 5, "reconnect");
	EVENTUALLY(10, bus_is_up(b));
	EVENTUALLY(10, reader_start(within(SECOND), r, 4, "healthmed.v1.booking.4.*", 1).code == ERR_none);
	put(b, 4, 1, 2);
	assert_next(r, 4, 1);
	assert_next(r, 4, 2);
	reader_close(r);
	bus_close(b);
}

/* Learns where a reader's messages go, from a heartbeat, as only who may listen everywhere can. */
struct spy { char subject[128]; atomic_bool knows; };

static void on_delivery(void *of, const struct bus_msg *m)
{
	struct spy *s = of;
	const struct str subject = bus_subject(m);

	if (atomic_load(&s->knows) || memmem(subject.p, subject.n, ".r.", 3) == NULL)
		return;
	(void) snprintf(s->subject, sizeof s->subject, "%.*s", (int) subject.n, subject.p);
	atomic_store(&s->knows, true);
}

TEST(a_heartbeat_that_tells_of_messages_never_seen_is_a_gap)
{
	struct bus *b = with_streams(), *other = new_bus();
	struct headers h = { .n = 0 };
	struct reader *r;
	struct spy spy = { .knows = false };

	assert_err(bus_listen(other, "_INBOX.>", on_delivery, &spy), none);
	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 6, "healthmed.v1.booking.6.*", 1), none);
	put(b, 6, 1, 1);
	assert_next(r, 6, 1);
	EVENTUALLY(5, atomic_load(&spy.knows));
	wire_put(&h, "Nats-Last-Consumer", "1");
	assert_err(bus_publish(other, spy.subject, &h, STR("")), none);
	h.v[0].value = "2";
	assert_err(bus_publish(other, spy.subject, &h, STR("")), none);
	assert_broken(r, 6, "gap");
	reader_close(r);
	bus_unlisten(other, &spy);
	bus_close(other);
	bus_close(b);
}

TEST(a_stopped_part_is_silent_and_a_part_started_anew_hears_nothing_of_before)
{
	struct bus *b = with_streams();
	struct reader *r;
	struct read got;

	for (int n = 1; n <= 100; n++)
		put(b, 7, 1, n);
	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 7, "healthmed.v1.booking.7.*", 1), none);
	assert_next(r, 7, 1);
	reader_stop(r, 7);
	reader_next(r, SECOND, &got);
	assert_int_equal(got.what, READ_NOTHING);
	for (int i = 0; i < 20; i++) {	/* the old one's messages lie before the new one's */
		assert_err(reader_start(within(5 * SECOND), r, 7, "healthmed.v1.booking.7.*", 50 + i), none);
		assert_next(r, 7, 50 + i);
		assert_next(r, 7, 51 + i);
	}
	reader_stop(r, 8);
	reader_close(r);
	EVENTUALLY(5, config_of(b, "BOOKING", "state.consumer_count") == 0);
	bus_close(b);
}

TEST(a_reader_of_a_stream_that_is_not_there_is_told_so)
{
	struct bus *b = with_streams();
	struct reader *r;

	(void) api(b, "$JS.API.STREAM.DELETE.BOOKING", "");
	assert_err(reader_open(b, STREAM_BOOKING, &r), none);
	assert_err(reader_start(within(5 * SECOND), r, 1, "healthmed.v1.booking.1.*", 1), not_found);
	/* One that starts behind the end is told by its first message: it is not the one it wanted. */
	assert_err(stream_ensure(within(5 * SECOND), b), none);
	assert_err(reader_start(within(5 * SECOND), r, 1, "healthmed.v1.booking.1.*", 1000), none);
	reader_close(r);
	bus_close(b);
}
