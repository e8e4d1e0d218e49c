/* test_ended.c - which tokens a gateway refuses because their session has ended, also when it is full. */
#include <stdlib.h>
#include "broker/base/clock.h"
#include "tests/unit/test.h"
#include "web/ended.h"

#define NOW   (INT64_C(1800000000) * SECOND)
#define LATER (NOW + 3600 * SECOND)

static struct ended *table(void)
{
	static struct ended *e;

	if (e == NULL)
		e = malloc(sizeof *e);
	assert_non_null(e);
	ended_init(e);
	return e;
}

static void end_at(struct ended *e, int64_t user, int64_t from, int64_t to, int64_t ends, int64_t now)
{
	struct users_span s = { .user_id = user, .from_session = from, .to_session = to, .ends = ends };

	ended_add(e, &(struct users_ended) { .spans = { &s, 1 } }, now);
}

static void end(struct ended *e, int64_t user, int64_t from, int64_t to)
{
	end_at(e, user, from, to, LATER, NOW);
}

TEST(only_the_sessions_that_ended_are_refused)
{
	struct ended *e = table();

	assert_false(ended_has(e, 7, 20, LATER));
	end(e, 7, 20, 29);
	assert_true(ended_has(e, 7, 20, LATER) && ended_has(e, 7, 29, LATER) && ended_has(e, 7, 25, 1));
	assert_false(ended_has(e, 7, 19, LATER) || ended_has(e, 7, 30, LATER));
	assert_false(ended_has(e, 8, 25, LATER));
	end(e, 7, 40, 40);
	assert_true(ended_has(e, 7, 40, LATER));
	assert_false(ended_has(e, 7, 35, LATER));
}

TEST(a_session_stays_ended_however_long_a_token_says_it_lives)
{
	struct ended *e = table();

	end(e, 7, 20, 20);
	assert_true(ended_has(e, 7, 20, LATER + 86400 * SECOND));
}

TEST(of_tokens_without_a_session_those_are_refused_that_were_given_before)
{
	struct ended *e = table();

	end(e, 7, 0, 20);
	assert_true(ended_has(e, 7, 0, LATER));
	assert_false(ended_has(e, 7, 0, LATER + SECOND));
}

TEST(sessions_that_touch_take_one_place_and_say_it_twice_changes_nothing)
{
	struct ended *e = table();

	for (int64_t s = 1; s <= 1000; s++) {
		end(e, 7, s, s);
		end(e, 7, s, s);
	}
	end(e, 7, INT64_MAX, INT64_MAX);
	for (int64_t s = 1; s <= 1000; s++)
		assert_true(ended_has(e, 7, s, LATER));
	assert_false(ended_has(e, 7, 1001, LATER));
	assert_true(ended_has(e, 7, INT64_MAX, LATER));
}

TEST(of_one_user_with_many_spans_too_much_is_refused_rather_than_too_little)
{
	struct ended *e = table();

	for (int64_t s = 1; s <= 200; s += 2)
		end(e, 7, s, s);
	for (int64_t s = 1; s <= 200; s += 2)
		assert_true(ended_has(e, 7, s, LATER));
	assert_false(ended_has(e, 7, 500, LATER));	/* the next session is not touched */
	assert_false(ended_has(e, 8, 7, LATER));	/* nor is anybody else */
}

TEST(a_full_table_refuses_by_the_bound_of_what_it_dropped_and_forgets_nothing)
{
	enum { USERS = 2 * ENDED_SETS * ENDED_WAYS };
	struct ended *e = table();
	int64_t refused = 0;

	for (int64_t u = 1; u <= USERS; u++)
		end_at(e, u, u, u, LATER, NOW);
	for (int64_t u = 1; u <= USERS; u++)
		assert_true(ended_has(e, u, u, LATER));
	for (int64_t u = 1; u <= USERS; u++)
		refused += ended_has(e, u, u + 1, LATER + SECOND);
	assert_int_equal(refused, 0);			/* a token given since is taken */
}

TEST(what_is_over_makes_room)
{
	enum { USERS = 2 * ENDED_SETS * ENDED_WAYS };
	struct ended *e = table();

	for (int64_t u = 1; u <= USERS; u++)
		end_at(e, u, u, u, NOW + SECOND, NOW);
	end_at(e, 5, 5, 5, NOW + SECOND, NOW + 2 * SECOND);	/* nothing to say any more */
	for (int64_t u = 1; u <= 1000; u++)
		end_at(e, u, 7, 7, LATER, NOW + 2 * SECOND);
	for (int64_t u = 1; u <= 1000; u++) {
		assert_true(ended_has(e, u, 7, LATER));
		assert_false(ended_has(e, u, 8, LATER));
	}
}
