/* test_page.c - cursors: there and back, and what was never given out. */
#include "actors/core/page.h"
#include "tests/unit/test.h"

TEST(a_cursor_leads_back_to_its_row)
{
	struct ctx *c = fresh();
	struct str cursor;
	struct page p;

	assert_err(page_after(c, TIME_MAX, INT64_MAX, &cursor), none);
	assert_err(page_open(c, 10, cursor, &p), none);
	assert_int_equal(p.after_time, TIME_MAX);
	assert_int_equal(p.after_id, INT64_MAX);
	assert_int_equal(p.rows, 11);
}

TEST(without_a_cursor_a_list_begins_at_its_beginning)
{
	struct page p;

	assert_err(page_open(fresh(), 0, (struct str) { NULL, 0 }, &p), none);
	assert_int_equal(p.limit, PAGE_DEFAULT);
	assert_int_equal(p.after_time, 0);
	assert_int_equal(p.after_id, 0);
}

TEST(a_list_with_the_latest_first_begins_at_the_end_of_time)
{
	struct ctx *c = fresh();
	struct str cursor;
	struct page p;

	assert_err(page_open_latest(c, 0, (struct str) { NULL, 0 }, &p), none);
	assert_int_equal(p.after_time, TIME_MAX);
	assert_int_equal(p.after_id, INT64_MAX);
	assert_err(page_after(c, 1800000000, 7, &cursor), none);
	assert_err(page_open_latest(c, 10, cursor, &p), none);
	assert_int_equal(p.after_time, 1800000000);
	assert_int_equal(p.after_id, 7);
	assert_err(page_open_latest(fresh(), 10, STR("nonsense"), &p), unreadable);
}

TEST(what_was_never_given_out_is_no_cursor)
{
	static const char *const wrong[] = { "", "x", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAA",
		"_____________________w", "AAAAAAAAAAAAAAAAAAAAAB", "AAAA AAAAAAAAAAAAAAAAA" };
	struct page p;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct ctx *c = fresh();

		assert_err(page_open(c, 0, str_of(wrong[i]), &p), unreadable);
		assert_string_equal(c->fault[0].path, "cursor");
	}
}

TEST(there_is_a_next_page_only_when_a_row_is_left_over)
{
	struct page p;
	size_t n = 10;

	assert_err(page_open(fresh(), 10, (struct str) { NULL, 0 }, &p), none);
	assert_false(page_cut(&p, &n));
	assert_int_equal(n, 10);
	n = 11;
	assert_true(page_cut(&p, &n));
	assert_int_equal(n, 10);
}
