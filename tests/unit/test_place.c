/* test_place.c - where a page of doctors ends: there and back in each order, and what was never given out. */
#include <math.h>
#include "actors/users/place.h"
#include "tests/unit/test.h"

static struct place there_and_back(struct place at)
{
	struct ctx *c = fresh(), other = { .mem = c->mem };
	struct place back, none_of_it;
	struct str cursor;

	assert_err(place_write(c, &at, &cursor), none);
	assert_true(cursor.n <= 255);		/* as long as a request may have one */
	assert_err(place_read(c, cursor, at.sort, &back), none);
	assert_int_equal(back.id, at.id);
	for (int sort = SORT_NAME; sort <= SORT_NEXT_SLOT; sort++)
		if (sort != (int) at.sort)
			assert_err(place_read(&other, cursor, (enum users_sort) sort, &none_of_it), unreadable);
	return back;
}

TEST(a_place_comes_back_in_its_own_order_alone)
{
	char longest[4 * PLACE_NAME + 1];
	struct place at = { .sort = SORT_NAME, .id = INT64_MAX, .name = { longest, 4 * PLACE_NAME } };

	for (size_t i = 0; i < PLACE_NAME; i++)
		memcpy(longest + 4 * i, "\xf0\x9f\x98\x80", 5);
	assert_int_equal(str_points(at.name), PLACE_NAME);
	assert_true(str_eq(there_and_back(at).name, at.name));
	at.name = STR("");
	assert_int_equal(there_and_back(at).name.n, 0);
	at = (struct place) { .sort = SORT_PRICE, .id = 1, .price = INT64_C(999999999999) };
	assert_int_equal(there_and_back(at).price, at.price);
	at = (struct place) { .sort = SORT_RATING, .id = 1, .rank = -13.0 / 3 };
	assert_true(there_and_back(at).rank == at.rank);
	at = (struct place) { .sort = SORT_NEXT_SLOT, .id = 1, .next_slot = TIME_MAX };
	assert_int_equal(there_and_back(at).next_slot, TIME_MAX);
}

TEST(a_place_that_no_doctor_can_have_is_no_cursor)
{
	const struct place wrong[] = {
		{ .sort = SORT_NAME, .id = 1, .name = STR("\xff") }, { .sort = SORT_NAME, .id = 1, .name = STR("a\0b") },
		{ .sort = SORT_NAME, .id = 1, .name = STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") },
		{ .sort = SORT_NAME, .id = -1, .name = STR("a") },
		{ .sort = SORT_PRICE, .id = 1, .price = -1 }, { .sort = SORT_PRICE, .id = 1, .price = INT64_MAX },
		{ .sort = SORT_RATING, .id = 1, .rank = 0.5 }, { .sort = SORT_RATING, .id = 1, .rank = -5.5 },
		{ .sort = SORT_RATING, .id = 1, .rank = (double) NAN }, { .sort = SORT_RATING, .id = 1, .rank = -(double) INFINITY },
		{ .sort = SORT_NEXT_SLOT, .id = 1, .next_slot = -1 }, { .sort = SORT_NEXT_SLOT, .id = 1, .next_slot = TIME_MAX + 1 },
	};
	struct place at;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct ctx *c = fresh();
		struct str cursor;

		assert_err(place_write(c, &wrong[i], &cursor), none);
		assert_err(place_read(c, cursor, wrong[i].sort, &at), unreadable);
	}
}

TEST(what_was_never_given_out_is_no_place)
{
	static const struct str wrong[] = {
		STR(""), STR("A"), STR("AAAA"), STR("AAAAAAAAAAA"), STR("AQAAAAAAAAABAAAAAAAAAA"), STR("AQAAAAAAAAABAAAAAAAAAAAA"),
		STR("!QAAAAAAAAABAAAAAAAAAAA"), STR("BAAAAAAAAAABAAAAAAAAAAA"), STR("AQAAAAAAAAABAAAAAAAAAA="),
	};
	struct place at;

	for (size_t i = 0; i < COUNT(wrong); i++)
		for (int sort = SORT_NAME; sort <= SORT_NEXT_SLOT; sort++)
			assert_err(place_read(fresh(), wrong[i], (enum users_sort) sort, &at), unreadable);
}

TEST(nothing_comes_before_the_place_before_all)
{
	const struct place at = place_before_all(SORT_RATING);

	assert_true(at.id == 0 && at.name.n == 0 && at.price == 0 && at.next_slot == 0 && at.rank < -5);
}
