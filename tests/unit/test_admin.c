/* test_admin.c - the admin address, through a real socket on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "broker/admin.h"
#include "tests/unit/test.h"

static _Atomic bool database_up;		/* read by the admin's threads */

static bool database(void *of, char *detail, size_t size)
{
	const bool up = *(const _Atomic bool *) of;

	if (!up)
		(void) snprintf(detail, size, "away: \"5432\"");
	return up;
}

static const struct check checks[] = { { "database", database, &database_up } };

/* Status line, headers and body of one request. */
static const char *ask(const struct admin *a, const char *request)
{
	static char text[1 << 17];
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) admin_port(a)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = 10 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char full[256];
	size_t n = 0;
	ssize_t got;

	(void) snprintf(full, sizeof full, "%s HTTP/1.1\r\nHost: admin\r\n\r\n", request);
	(void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert_int_equal(connect(fd, (const struct sockaddr *) &to, sizeof to), 0);
	assert_int_equal(send(fd, full, strlen(full), MSG_NOSIGNAL), strlen(full));
	while ((got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0)
		n += (size_t) got;
	(void) close(fd);
	text[n] = '\0';
	return text;
}

static void assert_answer(const struct admin *a, const char *request, const char *status,
			  const char *body)
{
	const char *text = ask(a, request), *end = strstr(text, "\r\n\r\n");

	assert_non_null(end);
	assert_int_equal(strncmp(text + 9, status, 3), 0);
	assert_non_null(strstr(text, "X-Content-Type-Options: nosniff\r\n"));
	assert_string_equal(end + 4, body);
}

static struct admin *start(void)
{
	struct admin *a = admin_start("127.0.0.1:0", checks, COUNT(checks));

	assert_non_null(a);
	assert_int_not_equal(admin_port(a), 0);
	database_up = true;
	return a;
}

TEST(a_process_is_ready_when_it_says_so_and_lives_before)
{
	struct admin *a = start();

	assert_answer(a, "GET /livez", "200", "{\"status\":\"ok\"}\n");
	assert_answer(a, "GET /readyz", "503", "{\"status\":\"unavailable\",\"checks\":[]}\n");
	admin_ready(a, true);
	assert_answer(a, "GET /readyz", "200", "{\"status\":\"ok\",\"checks\":[]}\n");
	assert_answer(a, "HEAD /readyz", "200", "");
	admin_stop(a);
}

TEST(dependencies_count_only_when_asked_for)
{
	struct admin *a = start();

	admin_ready(a, true);
	assert_answer(a, "GET /readyz?verbose", "200", "{\"status\":\"ok\",\"checks\":["
		"{\"name\":\"ready\",\"well\":true,\"detail\":\"\"},"
		"{\"name\":\"database\",\"well\":true,\"detail\":\"\"}]}\n");
	database_up = false;
	assert_answer(a, "GET /readyz", "200", "{\"status\":\"ok\",\"checks\":[]}\n");
	assert_answer(a, "GET /readyz?verbose", "503", "{\"status\":\"unavailable\",\"checks\":["
		"{\"name\":\"ready\",\"well\":true,\"detail\":\"\"},"
		"{\"name\":\"database\",\"well\":false,\"detail\":\"away: \\\"5432\\\"\"}]}\n");
	admin_stop(a);
}

TEST(a_list_that_does_not_fit_is_left_out_whole)
{
	struct admin *a = start();
	char out[64];

	assert_false(admin_write(a, true, out, sizeof out));
	assert_string_equal(out, "{\"status\":\"unavailable\",\"checks\":[]}\n");
	admin_stop(a);
}

TEST(metrics_are_served_as_prometheus_text)
{
	struct admin *a = start();
	const char *text = ask(a, "GET /metrics");

	assert_non_null(strstr(text, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(text, "\nhealthmed_booking_batches_total 0\n"));
	assert_non_null(strstr(text, "\nprocess_open_fds "));
	admin_stop(a);
}

TEST(nothing_else_is_there)
{
	static const char *const paths[] = { "GET /", "GET /metrics/", "GET /../../etc/passwd",
		"GET /livez%00x", "GET /%2e%2e/etc/passwd", "GET /Makefile", "PUT /x", "DELETE /x" };
	struct admin *a = start();

	for (size_t i = 0; i < COUNT(paths); i++) {
		const char *text = ask(a, paths[i]);

		assert_int_equal(text[9], '4');	/* 404, or what the library refuses itself */
	}
	assert_non_null(strstr(ask(a, "POST /livez"), "\r\nAllow: GET, HEAD\r\n"));
	admin_stop(a);
}

TEST(an_address_in_use_says_so)
{
	struct admin *a = start();
	char taken[32];

	(void) snprintf(taken, sizeof taken, "127.0.0.1:%d", admin_port(a));
	assert_null(admin_start(taken, NULL, 0));
	assert_int_equal(errno, EADDRINUSE);
	assert_null(admin_start("192.0.2.1:80", NULL, 0));
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_answer(a, "GET /livez", "200", "{\"status\":\"ok\"}\n");	/* undisturbed */
	admin_stop(a);
}

TEST(two_servers_share_the_library)
{
	struct admin *a = start(), *b = start();

	admin_stop(a);
	assert_answer(b, "GET /livez", "200", "{\"status\":\"ok\"}\n");
	a = start();
	admin_stop(b);
	assert_answer(a, "GET /livez", "200", "{\"status\":\"ok\"}\n");
	admin_stop(a);
}
