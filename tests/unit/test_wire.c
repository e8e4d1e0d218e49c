/* test_wire.c - headers that are not believed, and the JSON of servers. */
#include "broker/base/clock.h"
#include "broker/scan.h"
#include "broker/wire.h"
#include "tests/unit/test.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static const char *value_of(const struct headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].name, name) == 0)
			return h->v[i].value;
	return NULL;
}

TEST(who_when_and_trace_come_out_as_they_went_in)
{
	struct ctx *c = fresh(), back = { .mem = c->mem };
	struct headers h = { .n = 0 };

	c->user = INT64_MAX;
	c->role = ROLE_DOCTOR;
	c->deadline = clock_mono() + 5 * SECOND;
	(void) strcpy(c->trace, TRACE);
	wire_put_ctx(c, false, &h);
	assert_err(wire_get_ctx(&back, value_of(&h, WIRE_USER), value_of(&h, WIRE_ROLE),
				value_of(&h, WIRE_DEADLINE), value_of(&h, WIRE_TRACE)), none);
	assert_int_equal(back.user, INT64_MAX);
	assert_int_equal(back.role, ROLE_DOCTOR);
	assert_string_equal(back.trace, TRACE);
	assert_in_range(clock_left(back.deadline), 4 * SECOND, 5 * SECOND);
}

TEST(a_mailbox_command_has_no_deadline_and_a_stranger_no_name)
{
	struct ctx *c = fresh();
	struct headers h = { .n = 0 };

	c->deadline = clock_mono() + SECOND;
	c->role = ROLE_PUBLIC;
	wire_put_ctx(c, true, &h);
	assert_int_equal(h.n, 0);
	assert_err(wire_get_ctx(c, NULL, NULL, NULL, NULL), none);
	assert_int_equal(c->role, ROLE_PUBLIC);
	assert_int_equal(c->user, 0);
	assert_int_equal(c->deadline, 0);
	assert_string_equal(c->trace, "");
}

TEST(the_system_has_a_role_and_no_name)
{
	struct ctx *c = fresh(), back = { .mem = c->mem };
	struct headers h = { .n = 0 };

	c->role = ROLE_SYSTEM;
	c->user = 5;
	c->if_match = "\"a\"";
	wire_put_ctx(c, true, &h);
	assert_null(value_of(&h, WIRE_USER));
	assert_string_equal(value_of(&h, WIRE_IF_MATCH), "\"a\"");
	assert_err(wire_get_ctx(&back, NULL, value_of(&h, WIRE_ROLE), NULL, NULL), none);
	assert_int_equal(back.role, ROLE_SYSTEM);
	assert_int_equal(back.user, 0);
	assert_err(wire_get_ctx(&back, "5", "system", NULL, NULL), unreadable);
	assert_err(wire_get_ctx(&back, NULL, "patient", NULL, NULL), unreadable);
}

TEST(a_session_goes_along_with_a_request_and_is_not_believed)
{
	static const char *const bad[] = { "", "0", "-1", "1x", " 1", "9223372036854775808" };
	struct ctx *c = fresh(), back = { .mem = c->mem };
	struct headers h = { .n = 0 };

	c->role = ROLE_PATIENT;
	c->user = 5;
	c->session = 31;
	wire_put_ctx(c, false, &h);
	assert_err(wire_get_session(&back, value_of(&h, WIRE_SESSION)), none);
	assert_int_equal(back.session, 31);
	assert_err(wire_get_session(&back, NULL), none);
	assert_int_equal(back.session, 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_err(wire_get_session(&back, bad[i]), unreadable);
		assert_int_equal(back.session, 0);
	}
}

TEST(a_deadline_that_has_passed_is_no_missing_deadline)
{
	struct ctx *c = fresh();
	struct headers h = { .n = 0 };

	c->deadline = clock_mono() - SECOND;
	wire_put_ctx(c, false, &h);
	assert_string_equal(value_of(&h, WIRE_DEADLINE), "0");
	assert_err(wire_get_ctx(c, NULL, NULL, "0", NULL), none);
	assert_int_not_equal(c->deadline, 0);
	assert_int_equal(clock_left(c->deadline), 0);
}

TEST(headers_that_make_no_sense_are_unreadable)
{
	static const struct { const char *user, *role, *deadline, *trace; } bad[] = {
		{ "-1", "doctor", NULL, NULL }, { "0", "doctor", NULL, NULL }, { "", "doctor", NULL, NULL },
		{ "1x", "doctor", NULL, NULL }, { " 1", "doctor", NULL, NULL },
		{ "9223372036854775808", "doctor", NULL, NULL }, { "1", "king", NULL, NULL },
		{ "1", "", NULL, NULL }, { "1", "Doctor", NULL, NULL }, { "1", "public", NULL, NULL },
		{ "1", NULL, NULL, NULL }, { NULL, "doctor", NULL, NULL },
		{ NULL, NULL, "1e99", NULL }, { NULL, NULL, "-1", NULL }, { NULL, NULL, "", NULL },
		{ NULL, NULL, "99999999999999", NULL }, { NULL, NULL, "9223372036854775807", NULL },
		{ NULL, NULL, NULL, "" }, { NULL, NULL, NULL, "00" },
		{ NULL, NULL, NULL, "ff-" TRACE "-" SPAN "-01" },
		{ NULL, NULL, NULL, "0g-" TRACE "-" SPAN "-01" },
		{ NULL, NULL, NULL, "00-" TRACE "-" SPAN "-1" },
		{ NULL, NULL, NULL, "00-" TRACE "-" SPAN "-0g" },
		{ NULL, NULL, NULL, "00-" TRACE "-" SPAN "-01-more" },
		{ NULL, NULL, NULL, "01-" TRACE "-" SPAN "-01more" },
		{ NULL, NULL, NULL, "00_" TRACE "-" SPAN "-01" },
		{ NULL, NULL, NULL, "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01" },
		{ NULL, NULL, NULL, "00-00000000000000000000000000000000-" SPAN "-01" },
		{ NULL, NULL, NULL, "00-" TRACE "-0000000000000000-01" },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct ctx *c = fresh();

		assert_err(wire_get_ctx(c, bad[i].user, bad[i].role, bad[i].deadline, bad[i].trace), unreadable);
		assert_int_equal(c->role == ROLE_DOCTOR || c->role == ROLE_PATIENT, 0);
	}
}

TEST(a_later_version_of_the_trace_header_is_understood_as_far_as_it_is_known)
{
	struct ctx *c = fresh();

	assert_err(wire_get_ctx(c, NULL, NULL, NULL, "00-" TRACE "-" SPAN "-00"), none);
	assert_err(wire_get_ctx(c, NULL, NULL, NULL, "cc-" TRACE "-" SPAN "-01-what-will-be"), none);
	assert_string_equal(c->trace, TRACE);
}

TEST(faults_travel_in_a_header_and_back)
{
	struct ctx *c = fresh(), back = { .mem = c->mem };
	struct headers h = { .n = 0 };
	const err_t e = fault(c, ERR_invalid, "name", "é \"quoted\" \\ and\ttabbed\nlines");

	(void) fault(c, ERR_invalid, "address.zip", "\xff");
	wire_put_error(c, e, &h);
	assert_string_equal(value_of(&h, WIRE_ERROR_CODE), "invalid");
	assert_null(strpbrk(value_of(&h, WIRE_FAULTS), "\r\n"));
	assert_err(wire_get_error(&back, value_of(&h, WIRE_ERROR_CODE), value_of(&h, WIRE_FAULTS)), invalid);
	assert_int_equal(back.nfaults, 2);
	assert_string_equal(back.fault[0].path, "name");
	assert_string_equal(back.fault[0].message, "é \"quoted\" \\ and\ttabbed\nlines");
	assert_string_equal(back.fault[1].message, "?");
	assert_int_equal(back.verdict, ERR_invalid);
}

TEST(an_error_is_never_taken_for_success)
{
	struct ctx *c = fresh();

	assert_err(wire_get_error(c, "none", NULL), internal);
	assert_err(wire_get_error(c, "", NULL), internal);
	assert_err(wire_get_error(c, "no_such_code", NULL), internal);
	assert_err(wire_get_error(c, "slot_taken", "[{\"field\":\"a\",\"message\":\"b\"}]"), slot_taken);
	assert_int_equal(c->nfaults, 0);
	assert_err(wire_get_error(c, "invalid", "[{\"field\":\"a\",\"message\":\"b\"},{\"field\":1},[]"), invalid);
	assert_int_equal(c->nfaults, 1);
	for (int i = 0; i < 100; i++)
		assert_err(wire_get_error(c, "invalid", "[{\"field\":\"a\",\"message\":\"b\"}]"), invalid);
	assert_int_equal(c->nfaults, COUNT(c->fault));
}

TEST(single_values_are_found_in_json)
{
	const struct str json = STR(" {\"a\":{\"b\":[1,{\"c\":-7}],\"d\" : 9223372036854775807 ,\"e\":\"\"},"
				    "\"seq\":12, \"t\":\"\\u00e9\\ud834\\udd1e\\n\\/\",\"x\":1.5e-3}");
	struct arena *mem = fresh()->mem;
	struct str v;
	int64_t n;
	size_t at = 0;

	assert_true(scan_int(json, "seq", &n) && n == 12);
	assert_true(scan_int(json, "a.d", &n) && n == INT64_MAX);
	assert_true(scan_text(mem, json, "t", &v));
	assert_str(v, "é𝄞\n/");
	assert_true(scan_text(mem, json, "a.e", &v) && v.n == 0);
	assert_true(scan_find(json, "a.b", &v) && scan_item(v, &at, &v));
	assert_str(v, "1");
	assert_false(scan_int(json, "a.b.c", &n));
	assert_false(scan_int(json, "x", &n));
	assert_false(scan_int(json, "b", &n));
	assert_false(scan_find(json, "", &v));
	assert_false(scan_text(mem, json, "seq", &v));
}

TEST(json_that_is_none_is_passed_over_by_nobody)
{
	static const struct str bad[] = { { NULL, 0 }, STR("{"), STR("{\"z\":1"), STR("[1]"), STR("{\"z\":01,\"seq\":1}"),
		STR("{\"z\":\"\\x\",\"seq\":1}"), STR("{\"z\":\"\\u12\",\"seq\":1}"), STR("{\"z\":+1,\"seq\":1}"),
		STR("{\"z\":tru,\"seq\":1}"), STR("{\"z\":1.,\"seq\":1}"), STR("{\"z\":1e,\"seq\":1}"),
		STR("{z:1,\"seq\":1}"), STR("{\"z\" 1,\"seq\":1}"), STR("{\"z\":1;\"seq\":1}"), STR("{\"z\":\"\n\",\"seq\":1}"),
		STR("{\"z\":\"\\\0\",\"seq\":1}"), STR("{\"z\":[1,],\"seq\":1}"), STR("{\"z\":{},,\"seq\":1}"), STR("{\"seq\":"),
		STR("{\"seq"), STR("{\"seq\":1x") , STR("{\"z\":[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]],\"seq\":1}") };
	int64_t n;

	for (size_t i = 0; i < COUNT(bad) - 2; i++)
		assert_false(scan_int(bad[i], "seq", &n));
	assert_false(scan_int(bad[COUNT(bad) - 1], "seq", &n));
}

TEST(every_cut_of_a_json_text_is_survived)
{
	static const char text[] = "{\"a\":[{\"b\":\"\\ud834\\udd1e\"},-1.5e+3,true,null],\"seq\":12}";
	struct str v;
	int64_t n;
	size_t at;

	for (size_t len = 0; len < sizeof text; len++) {
		char *cut = test_malloc(len + 1);	/* exactly so long: a byte more is seen by ASan */

		memcpy(cut, text, len);
		const struct str json = { cut, len };

		(void) scan_int(json, "seq", &n);
		(void) scan_text(fresh()->mem, json, "a.b", &v);
		at = 0;
		if (scan_find(json, "a", &v))
			while (scan_item(v, &at, &v))
				at = v.n;
		test_free(cut);
	}
}
