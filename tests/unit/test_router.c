/* test_router.c - which row a method and a path find, and what of them is refused. */
#include <stdio.h>
#include "tests/unit/test.h"
#include "web/router.h"

static struct match m;

static err_t find(const char *method, const char *path)
{
	router_build();
	return router_find(fresh(), str_of(method), str_of(path), &m);
}

TEST(every_route_is_found_under_every_base_path)
{
	static const char *const base[] = { "/api/v1", "/user-service/api/v1",
		"/scheduler-service/api/v1", "/appointment-service/api/v1" };

	for (size_t b = 0; b < COUNT(base); b++)
		for (size_t i = 0; i < nroute; i++) {
			char path[256];

			(void) snprintf(path, sizeof path, "%s%s", base[b], route[i].path);
			assert_err(find(route[i].method, path), none);
			assert_ptr_equal(m.route, &route[i]);
		}
}

TEST(a_param_has_the_name_of_its_field_and_is_decoded)
{
	assert_err(find("POST", "/api/v1/appointments/1%327/cancel"), none);
	assert_int_equal(m.nparams, 1);
	assert_str(m.param[0].name, "id");
	assert_str(m.param[0].value, "127");
	assert_err(find("GET", "/api/v1/appointments/requests/a%2Fb"), none);
	assert_str(m.param[0].name, "request_id");
	assert_str(m.param[0].value, "a/b");
}

TEST(a_word_is_preferred_to_a_param_and_may_be_encoded)
{
	assert_err(find("GET", "/api/v1/%75sers/me"), none);
	assert_int_equal(m.route->call, CALL_users_me);
	assert_err(find("GET", "/api/v1/appointments/7"), none);
	assert_int_equal(m.route->call, CALL_appointments_get);
}

TEST(another_method_is_told_which_ones_there_are)
{
	assert_err(find("DELETE", "/api/v1/appointments"), method_not_allowed);
	assert_string_equal(m.allow, "GET, HEAD, POST");
	assert_err(find("OPTIONS", "/api/v1/appointments/1/cancel"), method_not_allowed);
	assert_string_equal(m.allow, "POST");
	assert_err(find("POST", "/health"), method_not_allowed);
	assert_string_equal(m.allow, "GET, HEAD");
}

TEST(head_finds_what_get_does)
{
	assert_err(find("HEAD", "/api/v1/users/me"), none);
	assert_int_equal(m.route->call, CALL_users_me);
	assert_err(find("HEAD", "/api/v1/users/login"), method_not_allowed);
}

TEST(what_is_no_address_of_ours_is_not_found)
{
	static const char *const none[] = {"/",
					   "/api",
					   "/api/v1",
					   "/api/v1/",
					   "/api/v1/nothing",
					   "/api/v1/users/",
					   "/api/v1//users",
					   "/api/v1/users/me/",
					   "/api/v1/appointments/",
					   "/api/v1/appointments//cancel",
					   "/api/v2/users",
					   "/users",
					   "/api/v1/..",
					   "//api/v1/users",
					   "/review-processor-service/api/v1/users",
					   "/appointment-creator-service/api/v1/users",
					   "/api/v1/appointments/1/cancel/2",
					   "/user-service/livez",
					   "/user-service/docs",
					   "/api/v1/openapi.json",
					   "/user-service"};

	for (size_t i = 0; i < COUNT(none); i++)
		assert_err(find("POST", none[i]), not_found);
}

TEST(broken_escapes_and_nul_are_refused)
{
	static const char *const bad[] = { "/api/v1/users/%00", "/api/v1/appointments/%0", "*", "",
		"/api/v1/appointments/%zz", "/api/v1/appointments/1%", "/api/v1/%00users" };

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_err(find("GET", bad[i]), unreadable);
}

TEST(health_answers_under_every_former_service)
{
	static const char *const health[] = { "/health", "/user-service/health",
		"/scheduler-service/health", "/appointment-service/health",
		"/appointment-creator-service/health", "/review-processor-service/health",
		"/api/v1/health", "/user-service/api/v1/health" };

	for (size_t i = 0; i < COUNT(health); i++) {
		assert_err(find("GET", health[i]), none);
		assert_int_equal(m.own, OWN_HEALTH);
		assert_null(m.route);
	}
	assert_err(find("GET", "/readyz"), none);
	assert_int_equal(m.own, OWN_READYZ);
	assert_err(find("GET", "/livez"), none);
	assert_err(find("GET", "/.well-known/jwks.json"), none);
	assert_int_equal(m.own, OWN_JWKS);
	assert_err(find("GET", "/openapi.json"), none);
	assert_int_equal(m.own, OWN_OPENAPI);
	assert_err(find("HEAD", "/docs"), none);
	assert_int_equal(m.own, OWN_DOCS);
}

TEST(a_query_is_decoded_pair_by_pair)
{
	struct pairs q;

	assert_err(router_query(fresh(), STR("from=2027-01-04+10%3A00&&a%62=&x"), &q), none);
	assert_int_equal(q.n, 3);
	assert_str(q.v[0].name, "from");
	assert_str(q.v[0].value, "2027-01-04 10:00");
	assert_str(q.v[1].name, "ab");
	assert_str(q.v[1].value, "");
	assert_non_null(q.v[1].value.p);
	assert_str(q.v[2].name, "x");
	assert_err(router_query(fresh(), (struct str) { NULL, 0 }, &q), none);
	assert_int_equal(q.n, 0);
}

TEST(a_query_that_cannot_be_read_is_refused)
{
	char many[2 * ROUTER_QUERY + 4] = "";
	struct pairs q;

	for (int i = 0; i <= ROUTER_QUERY; i++)
		strcat(many, "a&");
	assert_err(router_query(fresh(), STR("a=%"), &q), unreadable);
	assert_err(router_query(fresh(), STR("a%00=1"), &q), unreadable);
	assert_err(router_query(fresh(), str_of(many), &q), unreadable);
}
