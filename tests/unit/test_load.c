/* test_load.c - the pure parts of the load generator: planned times, choices, histogram, what servers say. */
#include <stdlib.h>
#include "loadtest/hist.h"
#include "loadtest/nats.h"
#include "loadtest/pace.h"
#include "loadtest/reply.h"
#include "loadtest/zipf.h"
#include "tests/unit/test.h"

static struct pace pace_of(const char *text)
{
	struct pace p;

	assert_true(pace_read(text, &p));
	return p;
}

TEST(requests_are_due_evenly_and_step_after_step)
{
	const struct pace p = pace_of("10:2,0:3,4:1.5");
	int step = -1;

	assert_int_equal(pace_due(&p, 0, &step), 0);
	assert_int_equal(pace_due(&p, 19, &step), 1900000);
	assert_int_equal(step, 0);
	assert_int_equal(pace_due(&p, 20, &step), 5000000);	/* after the silence */
	assert_int_equal(step, 2);
	assert_int_equal(pace_due(&p, 25, &step), 6250000);
	assert_int_equal(pace_due(&p, 26, &step), INT64_MAX);	/* 20 + 0 + 6 are all */
	assert_true(pace_seconds(&p) == 6.5);
}

TEST(no_request_is_due_before_the_one_before_it)
{
	const struct pace p = pace_of("1000:0.5,3:1,7777:0.25");
	int64_t last = 0, due;
	int step;

	for (uint64_t i = 0; (due = pace_due(&p, i, &step)) != INT64_MAX; last = due, i++) {
		assert_true(due >= last);
		assert_int_equal(pace_step(&p, due), step);
	}
}

TEST(the_step_under_way_is_known_at_every_moment)
{
	const struct pace p = pace_of("10:2,0:3,4:1.5");

	assert_int_equal(pace_step(&p, 0), 0);
	assert_int_equal(pace_step(&p, 1999999), 0);
	assert_int_equal(pace_step(&p, 2000000), 1);
	assert_int_equal(pace_step(&p, 6000000), 2);
	assert_int_equal(pace_step(&p, 99000000), 2);
}

TEST(steps_that_are_none_are_refused)
{
	static const char *const none[] = { "", "10", "10:", ":2", "10:2,", "10:0", "-1:2", "10:2;3:4", "x:1", "1e9:1" };
	struct pace p;

	for (size_t i = 0; i < COUNT(none); i++)
		assert_false(pace_read(none[i], &p));
}

TEST(the_first_is_wanted_as_often_as_zipfs_law_says)
{
	enum { N = 50, DRAWS = 200000 };
	double share[N], harmonic = 0;
	int seen[N] = { 0 };

	zipf_shares(share, N, 1);
	for (int k = 1; k <= N; k++)
		harmonic += 1.0 / k;
	for (uint64_t n = 0; n < DRAWS; n++)
		seen[share_pick(share, N, draw_share(7, n))]++;
	for (int k = 1; k <= N; k++) {		/* the draws are the same in every run */
		const double want = DRAWS / (k * harmonic);

		assert_true(seen[k - 1] > want * 0.9 && seen[k - 1] < want * 1.1);
	}
}

TEST(a_share_picks_what_it_falls_into_and_never_what_has_no_weight)
{
	double share[] = { 0, 1, 0, 3, 0 };

	shares_of(share, COUNT(share));
	assert_int_equal(share_pick(share, COUNT(share), 0), 1);
	assert_int_equal(share_pick(share, COUNT(share), 0.2499), 1);
	assert_int_equal(share_pick(share, COUNT(share), 0.25), 3);
	assert_int_equal(share_pick(share, COUNT(share), 0.9999999), 3);
}

TEST(percentiles_are_told_to_one_in_a_hundred)
{
	static struct hist h, later;

	for (int64_t us = 1; us <= 100000; us++)
		hist_add(&h, us);
	assert_int_equal(hist_at(&h, 1), 100000);
	for (int p = 1; p < 100; p++) {
		const int64_t right = p * 1000, told = hist_at(&h, p / 100.0);

		assert_true(told >= right && told - right <= right / 100);
	}
	memcpy(&later, &h, sizeof h);
	for (int i = 0; i < 1000; i++)
		hist_add(&later, 5000000);
	assert_true(hist_since(&later, &h, 0.5) >= 5000000 * 0.99);	/* of the new ones alone */
	assert_true(hist_at(&later, 0.5) < 60000);
	assert_int_equal(hist_since(&h, &h, 0.5), 0);
}

TEST(each_value_lies_in_a_bucket_that_ends_not_before_it)
{
	for (int64_t us = 0; us < INT64_C(1) << 33; us += us / 300 + 1) {
		const int64_t value = us > UINT32_MAX ? UINT32_MAX : us;

		assert_true(hist_index(us) < HIST_BUCKETS);
		assert_true(hist_end(hist_index(us)) >= value);
		assert_true(hist_index(us) == 0 || hist_end(hist_index(us) - 1) < value);
	}
}

static int read_all(const char *text, struct nats_said *m)
{
	return nats_read(text, (int) strlen(text), m);
}

TEST(what_a_nats_server_says_is_read_one_thing_after_the_other)
{
	struct nats_said m;

	assert_int_equal(read_all("PING\r\nPONG\r\n", &m), 6);
	assert_int_equal(m.op, NATS_PING);
	assert_int_equal(read_all("MSG a.b 1 5\r\nhello\r\n+OK\r\n", &m), 20);
	assert_int_equal(m.op, NATS_MSG);
	assert_str(m.subject, "a.b");
	assert_str(m.body, "hello");
	assert_int_equal(read_all("HMSG a.b 1 to.me 16 18\r\nNATS/1.0 503\r\n\r\nhi\r\n", &m), 44);
	assert_str(nats_header(m.head, "NATS/1.0"), "503");
	assert_str(m.body, "hi");
	assert_true(nats_header(m.head, "Other").p == NULL);
}

TEST(a_message_counts_only_once_all_of_it_is_there)
{
	static const char all[] = "HMSG s 1 24 27\r\nNATS/1.0\r\nA: one two\r\n\r\nxyz\r\n";
	const int n = (int) sizeof all - 1;
	struct nats_said m;

	for (int some = 0; some < n; some++)
		assert_int_equal(nats_read(all, some, &m), 0);
	assert_int_equal(nats_read(all, n, &m), n);
	assert_str(nats_header(m.head, "A"), "one two");
}

TEST(what_is_no_nats_is_an_error)
{
	static const char *const none[] = {
		"HTTP/1.1 200 OK\r\n", "\n", "PING\n", "MSG a 1\r\n", "MSG a 1 -5\r\n\r\n", "MSG a 1 99999999999\r\n",
		"HMSG a 1 9 5\r\nxxxxxxxxx\r\n", "MSG a 1 2\r\nabcd\r\n",
	};
	struct nats_said m;

	for (size_t i = 0; i < COUNT(none); i++)
		assert_int_equal(read_all(none[i], &m), -1);
}

TEST(a_broken_answer_is_not_taken_for_a_good_one)
{
	static const char *const none[] = {
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
	};
	static const char good[] = "HTTP/1.1 201 Created\r\ncontent-length: 12\r\nConnection: close\r\n\r\n";
	struct reply r;

	for (size_t i = 0; i < COUNT(none); i++)
		assert_int_equal(reply_head(none[i], (int) strlen(none[i]), &r), -1);
	assert_int_equal(reply_head(good, (int) sizeof good - 1, &r), (int) sizeof good - 1);
	assert_int_equal(r.status, 201);
	assert_int_equal(r.length, 12);
	assert_true(r.close);
}
