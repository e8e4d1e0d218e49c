/* test_memory.c - how a gateway knows that a mailbox is behind, from what became of its own commands. */
#include "broker/base/clock.h"
#include "broker/msg/booking.h"
#include "tests/unit/test.h"
#include "web/memory.h"

enum { DOCTOR = 5 };
static int64_t t0;		/* a while ago */
static struct memory m;
static struct str told;

struct str bus_body(const struct bus_msg *msg)
{
	(void) msg;
	return told;
}

static void begin(void)
{
	memory_init(&m);
	t0 = clock_mono() - 100 * SECOND;
}

/* The owner tells all gateways how far it is. */
static void owner_is_at(int64_t seq)
{
	struct booking_progress p = { .set = { 0 } };

	SET(&p, partition, partition_of(DOCTOR));
	SET(&p, last_seq, seq);
	SET(&p, waiting, 3);
	assert_err(msg_to_pack(fresh(), &booking_progress_msg, &p, &told), none);
	memory_progress(&m, NULL);
}

static void accepted(int64_t seq, bool waited, int64_t began, int64_t ended)
{
	const struct bus_outcome o = { .state = OUTCOME_ACCEPTED, .seq = seq };

	memory_waited(&m, DOCTOR, waited, began, ended, &o);
}

static void decided(int64_t seq, int64_t began, int64_t ended)
{
	const struct bus_outcome o = { .state = OUTCOME_DECIDED, .seq = seq };

	memory_waited(&m, DOCTOR, true, began, ended, &o);
}

static bool behind(int64_t at) { return memory_behind(&m, DOCTOR, at); }

TEST(a_mailbox_of_which_nothing_is_known_is_not_behind)
{
	begin();
	assert_false(behind(t0));
	assert_int_equal(memory_ahead(&m, DOCTOR, 40), -1);
}

TEST(a_mailbox_is_behind_while_one_waits_longer_than_a_second_and_nothing_is_heard)
{
	begin();
	memory_waits(&m, DOCTOR, t0);
	memory_waits(&m, DOCTOR, t0 + SECOND / 2);
	assert_false(behind(t0 + SECOND));
	assert_true(behind(t0 + SECOND + 1));
	decided(40, t0, t0 + SECOND + 2);	/* late, and the other waits on */
	assert_true(behind(t0 + SECOND + 3));
	decided(41, t0 + SECOND / 2, t0 + SECOND + 4);	/* late, too, but nothing is open any more */
	assert_false(behind(t0 + SECOND + 5));
}

TEST(a_mailbox_that_decides_quickly_is_not_behind_however_long_it_goes_on)
{
	begin();
	memory_waits(&m, DOCTOR, t0);
	for (int64_t at = t0, seq = 1; at < t0 + 10 * SECOND; at += SECOND / 2, seq++) {
		memory_waits(&m, DOCTOR, at + SECOND / 2);
		decided(seq, at, at + SECOND / 2);
		assert_false(behind(at + SECOND / 2));
	}
}

TEST(what_was_accepted_counts_until_it_is_told_to_be_decided)
{
	begin();
	accepted(40, false, t0, t0 + 1);
	accepted(44, false, t0 + 1, t0 + 2);
	assert_false(behind(t0 + SECOND));
	assert_true(behind(t0 + SECOND + 1));
	owner_is_at(43);
	assert_true(behind(t0 + SECOND + 2));	/* 44 is open, and the last one took long */
	owner_is_at(44);
	assert_false(behind(t0 + 100 * SECOND));
}

TEST(whoever_asks_for_his_outcome_tells_the_gateway_too)
{
	begin();
	memory_waits(&m, DOCTOR, t0);
	accepted(40, true, t0, t0 + 5 * SECOND);
	assert_true(behind(t0 + 6 * SECOND));
	memory_decided(&m, DOCTOR, 0, t0 + 6 * SECOND);	/* one that was forgotten says nothing */
	assert_true(behind(t0 + 6 * SECOND));
	memory_decided(&m, DOCTOR, 40, t0 + 6 * SECOND);
	assert_false(behind(t0 + 6 * SECOND));
}

TEST(another_stream_begins_anew)
{
	begin();
	owner_is_at(39);
	accepted(40, false, t0, t0 + 1);
	assert_true(behind(t0 + 2 * SECOND));
	owner_is_at(0);
	assert_false(behind(t0 + 2 * SECOND));
}

TEST(another_partition_is_none_of_its_business)
{
	int64_t other = 1;

	while (partition_of(other) == partition_of(DOCTOR))
		other++;
	begin();
	accepted(40, false, t0, t0 + 1);
	assert_true(behind(t0 + 2 * SECOND));
	assert_false(memory_behind(&m, other, t0 + 2 * SECOND));
}

TEST(what_is_ahead_is_between_where_the_owner_is_and_the_command)
{
	begin();
	owner_is_at(40);
	assert_int_equal(memory_ahead(&m, DOCTOR, 42), 1);
	assert_int_equal(memory_ahead(&m, DOCTOR, 400), 3);	/* no more than wait there */
	assert_int_equal(memory_ahead(&m, DOCTOR, 39), 0);
	assert_int_equal(memory_ahead(&m, DOCTOR, 0), -1);
}
