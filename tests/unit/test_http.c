/* test_http.c - what comes through the door: whole requests that everybody reads the same way. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "tests/unit/test.h"
#include "web/http.h"

enum { THREADS = 8 };

static struct http *server;
static int port;
static _Atomic int served;
static _Atomic bool slow;

/* Answers with what it got; /big asks for more body than others, /slow takes its time. */
/* A body in pieces, which breaks off after the second when the path is /cut. */
static void answer_in_pieces(struct http_request *q, struct http_answer *a)
{
	a->status = 200;
	a->type = "text/plain";
	a->whole = http_piece(q, a, STR("hello ")).code == ERR_none &&
		   http_piece(q, a, STR("")).code == ERR_none &&
		   http_piece(q, a, STR("world")).code == ERR_none && !str_eq(q->path, STR("/cut"));
}

static void echo(void *of, struct http_request *q, struct http_answer *a)
{
	struct str body = STR(""), list;
	const bool reads = !str_eq(q->path, STR("/unread"));

	(void) of;
	atomic_fetch_add(&served, 1);
	if (str_eq(q->path, STR("/pieces")) || str_eq(q->path, STR("/cut"))) {
		answer_in_pieces(q, a);
		return;
	}
	if (str_eq(q->path, STR("/slow"))) {
		atomic_store(&slow, true);
		(void) usleep(300 * MS);
	}
	a->status = reads && http_body(q, HTTP_BODY, &body).code ? 413 : 200;
	a->type = "text/plain";
	a->body = body;
	http_put(a, "X-Path", "%.*s", (int) q->path.n, q->path.p);
	http_put(a, "X-Split", "a\r\nX-Evil: b");
	list = http_headers(q, "X-List");
	http_put(a, "X-List", "<%.*s>", (int) list.n, list.p);
	if (str_eq(q->path, STR("/long")))
		http_put(a, "X-Long", "%05000d", 1);
	if (q->query.p != NULL)
		http_put(a, "X-Query", "%.*s", (int) q->query.n, q->query.p);
}

static void start(void)
{
	char why[256] = "";

	if (server == NULL)
		server = http_start("127.0.0.1:0", THREADS, echo, NULL, why);
	assert_string_equal(why, "");
	port = http_port(server);
	atomic_store(&served, 0);
}

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *) &to, sizeof to) == 0)
		return fd;
	(void) close(fd);
	return -1;
}

/* Reads until so many answers with their (short) bodies have come, or the end; true: the end. */
static bool hear(int fd, char *out, size_t size, int answers)
{
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int seen = 0;

		out[n] = '\0';
		for (const char *at = out; (at = strstr(at, "\r\n\r\n")) != NULL; at++)
			seen++;
		if (poll(&p, 1, answers > 0 && seen >= answers ? 50 : 10000) <= 0)
			return false;
		const ssize_t got = read(fd, out + n, size - 1 - n);

		if (got <= 0)
			return true;
		n += (size_t) got;
	}
}

static char heard[8192];

/* Sends and hears; true when the connection ended.  An end is waited for. */
static bool exchange(const char *text, int answers)
{
	bool ended;
	int fd;

	start();
	assert_true((fd = dial()) >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
	ended = hear(fd, heard, sizeof heard, answers);
	(void) close(fd);
	return ended;
}

static bool goes_on(const char *text)
{
	return !exchange(text, 1);
}

static bool ends(const char *text)
{
	return exchange(text, 0);
}

static bool status_is(int status)
{
	return strncmp(heard, "HTTP/1.1 ", 9) == 0 && atoi(heard + 9) == status;
}

TEST(lines_of_one_name_are_one_list)
{
	assert_true(goes_on("GET / HTTP/1.1\r\nHost: a\r\nX-List: 1, 2\r\nX-Other: 0\r\nx-list: 3\r\nX-List: 4\r\n\r\n"));
	assert_non_null(strstr(heard, "X-List: <1, 2, 3, 4>\r\n"));
	assert_true(goes_on("GET / HTTP/1.1\r\nHost: a\r\nX-List: 1\r\n\r\n"));
	assert_non_null(strstr(heard, "X-List: <1>\r\n"));
	assert_true(goes_on("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_non_null(strstr(heard, "X-List: <>\r\n"));
}

TEST(a_header_of_an_answer_may_be_as_long_as_it_is)
{
	assert_true(goes_on("GET /long HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_non_null(strstr(heard, "\r\nX-Long: 0000"));
	assert_non_null(strstr(heard, "0001\r\n"));
}

static bool body_is(const char *body)
{
	const char *at = strstr(heard, "\r\n\r\n");

	return at != NULL && strcmp(at + 4, body) == 0;
}

TEST(an_answer_in_pieces_is_whole_and_its_connection_goes_on)
{
	assert_false(exchange("GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n", 2));
	assert_true(status_is(200));
	assert_non_null(strstr(heard, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_null(strstr(heard, "Content-Length"));
	assert_true(body_is("6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"));
	assert_true(goes_on("HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(body_is(""));
}

TEST(an_answer_in_pieces_that_is_given_up_has_no_end_and_ends_its_connection)
{
	assert_true(ends("GET /cut HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(body_is("6\r\nhello \r\n5\r\nworld\r\n"));
}

TEST(a_client_that_knows_no_chunks_gets_none)
{
	assert_true(ends("GET /pieces HTTP/1.0\r\n\r\n"));
	assert_null(strstr(heard, "Transfer-Encoding"));
	assert_non_null(strstr(heard, "\r\nConnection: close\r\n"));
	assert_true(body_is("hello world"));
}

TEST(a_plain_request_is_answered_and_its_connection_goes_on)
{
	assert_true(goes_on("GET /a%20b?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(status_is(200));
	assert_non_null(strstr(heard, "\r\nX-Path: /a%20b\r\n"));
	assert_non_null(strstr(heard, "\r\nX-Query: x=1\r\n"));
	assert_non_null(strstr(heard, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(heard, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(heard, "\r\nX-Request-Id: "));
	assert_null(strstr(heard, "X-Evil"));
	assert_true(goes_on("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
	assert_non_null(strstr(heard, "\r\n\r\nhello"));
}

TEST(a_trace_is_kept_or_drawn)
{
	(void) goes_on("GET / HTTP/1.1\r\nHost: a\r\n"
		   "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
	assert_non_null(strstr(heard, "\r\nX-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n"));
	(void) goes_on("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-zz\r\n\r\n");
	assert_int_equal(strspn(strstr(heard, "X-Request-Id: ") + 14, "0123456789abcdef"), 32);
}

TEST(what_two_readers_could_read_in_two_ways_is_refused_and_ends_the_connection)
{
	static const char *const bad[] = {
	    "GET / HTTP/1.1\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n0\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2x\r\n\r\n{}",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n{}",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
	    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	    "GET / HTTP/1.1\nHost: a\n\n",
	    "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: z\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\nContent-Length: 3\r\n\r\nabc",
	    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n",
	    "GET / HTTP/3.1\r\nHost: a\r\n\r\n",
	    "FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
	    "\x16\x03\x01\r\n\r\n",
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		if (!ends(bad[i]) || !status_is(400) ||
		    strstr(heard, "\r\nConnection: close\r\n") == NULL)
			fail_msg("%zu: %s", i, heard);
		assert_int_equal(atomic_load(&served), 0);
	}
}

TEST(a_body_in_chunks_needs_a_length_and_ends_the_connection)
{
	assert_true(ends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
			 "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(status_is(411));
	assert_non_null(strstr(heard, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(heard, "\"code\":\"length_required\""));
	assert_true(ends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\nffffffffffffffff\r\n{}"));
	assert_true(status_is(411));
	assert_int_equal(atomic_load(&served), 0);
}

TEST(too_many_or_too_long_headers_are_refused)
{
	static char text[40000];
	int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");

	for (int i = 0; i < 70; i++)
		n += sprintf(text + n, "X-%d: y\r\n", i);
	(void) sprintf(text + n, "\r\n");
	assert_true(ends(text));
	assert_true(status_is(400));
	n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	memset(text + n, 'x', HTTP_HEADER);
	strcpy(text + n + HTTP_HEADER, "\r\n\r\n");
	assert_true(ends(text));
	assert_int_equal(atomic_load(&served), 0);
}

TEST(a_body_over_the_limit_is_not_read)
{
	char request[100];

	(void) snprintf(request, sizeof request, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
			HTTP_BODY + 1);
	(void) goes_on(request);
	assert_true(status_is(413));
	assert_non_null(strstr(heard, "\r\nConnection: close\r\n"));
}

TEST(a_body_nobody_wanted_does_not_become_the_next_request)
{
	start();
	const int fd = dial();
	static const char two[] = "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n"
		"GET /evil HTTP/1.1\r\nHost: a\r\nX:\r\n" "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

	assert_int_equal(send(fd, two, sizeof two - 1, 0), (ssize_t) sizeof two - 1);
	assert_false(hear(fd, heard, sizeof heard, 2));
	assert_non_null(strstr(heard, "X-Path: /unread"));
	assert_non_null(strstr(heard, "X-Path: /next"));
	assert_null(strstr(heard, "/evil"));
	(void) close(fd);
}

TEST(requests_may_come_in_one_piece_or_byte_by_byte)
{
	static const char one[] = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
	char three[3 * sizeof one] = "";

	start();
	for (int i = 0; i < 3; i++)
		strcat(three, one);
	int fd = dial();

	assert_int_equal(send(fd, three, strlen(three), 0), (ssize_t) strlen(three));
	assert_false(hear(fd, heard, sizeof heard, 3));
	assert_int_equal(atomic_load(&served), 3);
	(void) close(fd);
	fd = dial();
	for (size_t i = 0; i < sizeof one - 1; i++) {
		assert_int_equal(send(fd, one + i, 1, 0), 1);
		(void) usleep(100);
	}
	assert_false(hear(fd, heard, sizeof heard, 1));
	assert_non_null(strstr(heard, "\r\n\r\nhi"));
	(void) close(fd);
}

TEST(head_has_no_body_and_old_clients_are_let_go)
{
	assert_true(goes_on("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_true(status_is(200));
	assert_string_equal(strstr(heard, "\r\n\r\n"), "\r\n\r\n");
	assert_true(ends("GET / HTTP/1.0\r\n\r\n"));
	assert_true(status_is(200));
	assert_true(ends("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
	assert_true(status_is(200));
}

static void *stop(void *of)
{
	(void) of;
	http_stop(server, 5 * SECOND);
	return NULL;
}

TEST(connections_that_nobody_uses_give_way_to_those_that_wait)
{
	static const char ask[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd[2 * THREADS], told = 0;

	start();
	for (int i = 0; i < 2 * THREADS; i++) {
		assert_true((fd[i] = dial()) >= 0);
		assert_int_equal(send(fd[i], ask, sizeof ask - 1, MSG_NOSIGNAL), (ssize_t) sizeof ask - 1);
	}
	for (int i = 0; i < 2 * THREADS; i++) {		/* twice as many as can be served, and none is closed by its client */
		(void) hear(fd[i], heard, sizeof heard, 1);
		told += strncmp(heard, "HTTP/1.1 200", 12) == 0;
	}
	assert_int_equal(told, 2 * THREADS);
	for (int i = 0; i < 2 * THREADS; i++)
		(void) close(fd[i]);
	for (int i = 0; !goes_on(ask); i++)		/* until it is noticed that there is room again */
		assert_true(i < 1000 && usleep(10 * MS) == 0);
}

TEST(when_it_stops_nobody_is_cut_off_and_nobody_new_comes_in)
{
	static const char get[] = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
	pthread_t stopper;
	int busy, idle;

	start();
	busy = dial();
	idle = dial();
	atomic_store(&slow, false);
	assert_int_equal(send(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 0), 27);
	assert_false(hear(idle, heard, sizeof heard, 1));
	assert_int_equal(send(busy, get, sizeof get - 1, 0), (ssize_t) sizeof get - 1);
	while (!atomic_load(&slow))
		(void) usleep(1000);
	assert_int_equal(pthread_create(&stopper, NULL, stop, NULL), 0);
	assert_true(hear(idle, heard, sizeof heard, 0));	/* waits for nothing */
	assert_string_equal(heard, "");
	assert_true(hear(busy, heard, sizeof heard, 0));
	assert_true(status_is(200));
	assert_non_null(strstr(heard, "\r\nConnection: close\r\n"));
	assert_int_equal(pthread_join(stopper, NULL), 0);
	assert_true(dial() < 0);
	(void) close(busy);
	(void) close(idle);
	server = NULL;
}
