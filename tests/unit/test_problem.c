/* test_problem.c - what a client is told when something is refused. */
#include <stdio.h>
#include "tests/unit/test.h"
#include "web/problem.h"

static char head[1024];

void http_put(struct http_answer *a, const char *name, const char *fmt, ...)
{
	va_list ap;
	const size_t n = strlen(head);

	(void) a;
	va_start(ap, fmt);
	(void) snprintf(head + n, sizeof head - n, "%s: ", name);
	(void) vsnprintf(head + strlen(head), sizeof head - strlen(head), fmt, ap);
	va_end(ap);
	strcat(head, "\n");
}

static struct http_answer problem(struct ctx *c, err_t e, int after_s)
{
	struct http_answer a = { .status = 0 };

	head[0] = '\0';
	problem_write(c, e, after_s, &a);
	return a;
}

TEST(a_problem_has_every_member_and_no_detail_of_ours)
{
	struct ctx *c = fresh();
	struct http_answer a;

	strcpy(c->trace, "0af7651916cd43dd8448eb211c80319c");
	a = problem(c, refuse(c, ERR_slot_taken, "appointment 17 of user 9 blocks"), 0);
	assert_int_equal(a.status, 409);
	assert_string_equal(a.type, "application/problem+json");
	assert_str(a.body,
		   "{\"type\":\"/problems/slot_taken\",\"title\":\"somebody was there first\","
		   "\"status\":409,\"detail\":null,\"code\":\"slot_taken\","
		   "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"errors\":null}");
	assert_string_equal(head, "");
}

TEST(faults_are_told_all_at_once_each_with_a_word_for_programs)
{
	struct ctx *c = fresh();
	struct http_answer a;

	(void) fault(c, ERR_invalid, "address.zip", "is too short");
	a = problem(c, fault(c, ERR_invalid, "email", "is missing"), 0);
	assert_int_equal(a.status, 422);
	assert_non_null(memmem(a.body.p, a.body.n, "\"errors\":[{\"field\":\"address.zip\","
		"\"code\":\"too_short\",\"message\":\"is too short\"},{\"field\":\"email\","
		"\"code\":\"missing\",\"message\":\"is missing\"}]", 125));
}

TEST(who_must_log_in_is_told_how_and_why)
{
	(void) problem(fresh(), ERR(no_token), 0);
	assert_string_equal(head, "WWW-Authenticate: Bearer\n");
	(void) problem(fresh(), ERR(bad_token), 0);
	assert_string_equal(head, "WWW-Authenticate: Bearer error=\"invalid_token\"\n");
}

TEST(who_may_come_back_is_told_when)
{
	(void) problem(fresh(), ERR(too_many_requests), 17);
	assert_string_equal(head, "Retry-After: 17\n");
	(void) problem(fresh(), ERR(unavailable), 0);
	assert_string_equal(head, "Retry-After: 2\n");
}

TEST(every_error_makes_a_problem_of_its_status)
{
	for (int i = 1; i < ERR_COUNT; i++) {
		const struct http_answer a = problem(fresh(), (err_t) { (enum err_code) i }, 0);

		assert_int_equal(a.status, err_info[i].http);
		assert_non_null(
		    memmem(a.body.p, a.body.n, err_info[i].code, strlen(err_info[i].code)));
	}
}

TEST(a_full_arena_still_gets_an_answer)
{
	struct ctx *c = fresh();

	while (arena_alloc(c->mem, 64) != NULL)
		;
	assert_str(problem(c, ERR(too_large), 0).body, "{\"code\":\"internal\"}");
}
