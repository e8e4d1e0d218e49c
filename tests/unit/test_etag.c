/* test_etag.c - what a change relies on, against what there is. */
#include "broker/etag.h"
#include "broker/msg/schedules.h"
#include "tests/unit/test.h"

static struct schedules_slot slot_at(int64_t updated)
{
	struct schedules_slot s = { .set = { 0 } };

	SET(&s, id, 7);
	SET(&s, updated_at, updated);
	return s;
}

static const char *tag_of(struct ctx *c, const struct schedules_slot *s)
{
	char *text = arena_alloc(c->mem, ETAG_TEXT);

	assert_err(etag_of(c, &schedules_slot_msg, s, text), none);
	return text;
}

TEST(a_change_goes_on_only_from_the_state_it_relies_on)
{
	struct ctx *c = fresh();
	const struct schedules_slot before = slot_at(1), after = slot_at(2);

	assert_err(etag_check(c, &schedules_slot_msg, &before), none);
	c->if_match = tag_of(c, &before);
	assert_err(etag_check(c, &schedules_slot_msg, &before), none);
	assert_err(etag_check(c, &schedules_slot_msg, &after), precondition_failed);
	c->if_match = "*";
	assert_err(etag_check(c, &schedules_slot_msg, &after), none);
	c->if_match = "";
	assert_err(etag_check(c, &schedules_slot_msg, &before), precondition_failed);
}

TEST(lists_of_tags_are_read_as_they_are_written)
{
	assert_true(etag_matches(STR("\"a\" ,\t\"b\""), "\"b\"", false));
	assert_false(etag_matches(STR("\"a\",\"bb\""), "\"b\"", false));
	assert_false(etag_matches(STR("W/\"b\""), "\"b\"", false));
	assert_true(etag_matches(STR("W/\"b\""), "\"b\"", true));
	assert_false(etag_matches(STR(""), "\"b\"", true));
	assert_false(etag_matches(STR(",,"), "\"b\"", true));
}
