/* test_nets.c - lists of addresses, and whom a request behind proxies is from. */
#include "broker/base/nets.h"
#include "tests/unit/test.h"
#include "web/header.h"

static struct nets l;

TEST(a_list_has_its_addresses_and_those_of_its_networks)
{
	assert_true(nets_read(&l, "127.0.0.1, 10.0.0.0/8 ,192.168.4.0/22,fd00::/8,2001:db8::1"));
	assert_int_equal(l.n, 5);
	assert_true(nets_have(&l, STR("127.0.0.1")));
	assert_false(nets_have(&l, STR("127.0.0.2")));
	assert_true(nets_have(&l, STR("10.255.0.1")));
	assert_false(nets_have(&l, STR("11.0.0.1")));
	assert_true(nets_have(&l, STR("192.168.7.255")));
	assert_false(nets_have(&l, STR("192.168.8.0")));
	assert_true(nets_have(&l, STR("fdab::1")));
	assert_true(nets_have(&l, STR("2001:db8::1")));
	assert_false(nets_have(&l, STR("2001:db8::2")));
}

TEST(an_ipv4_address_and_its_ipv6_form_are_one)
{
	assert_true(nets_read(&l, "10.0.0.0/8"));
	assert_true(nets_have(&l, STR("::ffff:10.1.2.3")));
	assert_true(nets_read(&l, "::ffff:10.0.0.0/104"));
	assert_true(nets_have(&l, STR("10.1.2.3")));
	assert_false(nets_have(&l, STR("::10.1.2.3")));
}

TEST(a_network_of_no_bits_is_everybody_of_its_family)
{
	assert_true(nets_read(&l, "0.0.0.0/0"));
	assert_true(nets_have(&l, STR("203.0.113.9")));
	assert_false(nets_have(&l, STR("2001:db8::1")));
	assert_true(nets_read(&l, "::/0"));
	assert_true(nets_have(&l, STR("2001:db8::1")));
}

TEST(an_empty_list_has_nobody_and_what_is_no_address_is_in_none)
{
	assert_true(nets_read(&l, ""));
	assert_false(nets_have(&l, STR("127.0.0.1")));
	assert_true(nets_read(&l, "0.0.0.0/0,::/0"));
	assert_false(nets_have(&l, STR("")));
	assert_false(nets_have(&l, STR("localhost")));
	assert_false(nets_have(&l, STR("127.0.0.1:80")));
	assert_false(nets_have(&l, STR("1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111")));
}

TEST(what_is_no_list_is_refused)
{
	static const char *const bad[] = { "localhost", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/",
		"10.0.0.0/x", "10.0.0.1,", ",10.0.0.1", "10.0.0.1,,10.0.0.2", "10.0.0", "/8" };
	char many[16 * (NETS_MAX + 1)] = "";

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(nets_read(&l, bad[i]));
	for (int i = 0; i < NETS_MAX; i++)
		strcat(many, i == 0 ? "10.0.0.1" : ",10.0.0.1");
	assert_true(nets_read(&l, many));
	assert_false(nets_read(&l, strcat(many, ",10.0.0.1")));
}

static bool is_from(const char *peer, const char *forwarded_for, const char *client)
{
	return str_eq(header_client(&l, str_of(peer), str_of(forwarded_for)), str_of(client));
}

TEST(a_request_is_from_the_last_address_that_is_no_proxy_of_ours)
{
	assert_true(nets_read(&l, "127.0.0.1,10.0.0.0/8"));
	assert_true(is_from("127.0.0.1", "203.0.113.9", "203.0.113.9"));
	assert_true(is_from("127.0.0.1", "198.51.100.1, 203.0.113.9,10.1.1.1", "203.0.113.9"));
	assert_true(is_from("127.0.0.1", "", "127.0.0.1"));
	assert_true(is_from("127.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"));
}

TEST(a_stranger_is_not_believed)
{
	assert_true(nets_read(&l, "127.0.0.1"));
	assert_true(is_from("203.0.113.9", "198.51.100.1", "203.0.113.9"));
	assert_true(nets_read(&l, ""));
	assert_true(is_from("127.0.0.1", "198.51.100.1", "127.0.0.1"));
}
