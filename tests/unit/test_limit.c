/* test_limit.c - how often one address may. */
#include <stdlib.h>
#include "broker/base/clock.h"
#include "tests/unit/test.h"
#include "web/limit.h"

static struct limit l;

TEST(so_many_at_once_and_then_one_after_the_other)
{
	const uint64_t who = limit_who("192.0.2.1");
	int64_t now = 1000 * SECOND;

	limit_init(&l, 60);
	for (int i = 0; i < 60; i++)
		assert_int_equal(limit_take(&l, who, now), 0);
	assert_int_equal(limit_take(&l, who, now), 1);
	assert_int_equal(limit_take(&l, who, now + SECOND), 0);
	assert_int_equal(limit_take(&l, who, now + SECOND), 1);
	assert_int_equal(limit_take(&l, who, now + 3600 * SECOND), 0);
}

TEST(a_refusal_costs_nothing_and_says_when_to_come_back)
{
	const uint64_t who = limit_who("192.0.2.1");

	limit_init(&l, 2);
	assert_int_equal(limit_take(&l, who, SECOND), 0);
	assert_int_equal(limit_take(&l, who, SECOND), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(limit_take(&l, who, SECOND), 30);
	assert_int_equal(limit_take(&l, who, 31 * SECOND), 0);
}

TEST(addresses_do_not_pay_for_each_other)
{
	limit_init(&l, 1);
	assert_int_equal(limit_take(&l, limit_who("192.0.2.1"), SECOND), 0);
	assert_int_equal(limit_take(&l, limit_who("192.0.2.2"), SECOND), 0);
	assert_int_not_equal(limit_take(&l, limit_who("192.0.2.1"), SECOND), 0);
}

TEST(of_ipv6_a_whole_network_is_one_and_a_mapped_address_is_ipv4)
{
	assert_true(limit_who("2001:db8:1:2::1") == limit_who("2001:db8:1:2:ffff::9"));
	assert_true(limit_who("2001:db8:1:2::1") != limit_who("2001:db8:1:4::1"));
	assert_true(limit_who("::ffff:192.0.2.1") == limit_who("192.0.2.1"));
	assert_true(limit_who("nonsense") == limit_who(""));
}

TEST(crowding_the_table_does_not_free_anybody_of_his_debt)
{
	const uint64_t who = limit_who("192.0.2.1");
	int allowed = 0;

	limit_init(&l, 1);
	assert_int_equal(limit_take(&l, who, SECOND), 0);
	for (uint64_t i = 1; i < 4 * LIMIT_SLOTS; i++)
		(void) limit_take(&l, i << 8 | 3, SECOND);
	for (int i = 0; i < 100; i++)
		allowed += limit_take(&l, who, SECOND) == 0;
	assert_int_equal(allowed, 0);
}
