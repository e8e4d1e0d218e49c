/* test_link.c - a link is for one file and one reader, for five minutes, and nobody else can make one. */
#include "broker/link.h"
#include "tests/unit/test.h"

#define SECRET STR("0123456789abcdef0123456789abcdef")

static const struct link link_ = { .file = 3, .reader = 7, .session = 5, .role = ROLE_DOCTOR, .expires = 1000 };

static struct str signature(struct ctx *c, const struct link *l)
{
	struct str text;

	assert_err(link_write(c, SECRET, l, &text), none);
	return (struct str) { text.p + text.n - LINK_SIGNATURE, LINK_SIGNATURE };
}

TEST(a_link_says_whose_it_is_and_until_when)
{
	static const char begins[] = "/api/v1/files/3/content?reader=7&role=doctor&session=5&expires=1000&signature=";
	struct str text;

	assert_err(link_write(fresh(), SECRET, &link_, &text), none);
	assert_int_equal(text.n, sizeof begins - 1 + LINK_SIGNATURE);
	assert_memory_equal(text.p, begins, sizeof begins - 1);
}

TEST(a_link_opens_until_it_expires)
{
	const struct str s = signature(fresh(), &link_);

	assert_true(link_is_good(SECRET, &link_, s, 999));
	assert_false(link_is_good(SECRET, &link_, s, 1000));
	assert_false(link_is_good(SECRET, &link_, s, INT64_MAX));
}

TEST(a_link_that_was_changed_anywhere_opens_nothing)
{
	struct ctx *c = fresh();
	const struct str s = signature(c, &link_);
	struct link l = link_;

	l.file++;
	assert_false(link_is_good(SECRET, &l, s, 1));
	l = link_;
	l.reader++;
	assert_false(link_is_good(SECRET, &l, s, 1));
	l = link_;
	l.session++;
	assert_false(link_is_good(SECRET, &l, s, 1));
	l = link_;
	l.role = ROLE_PATIENT;
	assert_false(link_is_good(SECRET, &l, s, 1));
	l = link_;
	l.expires++;
	assert_false(link_is_good(SECRET, &l, s, 1));
	assert_false(link_is_good(STR("0123456789abcdef0123456789abcdeF"), &link_, s, 1));
	assert_false(link_is_good(SECRET, &link_, STR(""), 1));
	assert_false(link_is_good(SECRET, &link_, (struct str) { s.p, s.n - 1 }, 1));
	assert_false(link_is_good(SECRET, &link_, STR("AAAAAAAAAAAAAAAAAAAAAA"), 1));
}
