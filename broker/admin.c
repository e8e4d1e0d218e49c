/*
 * admin.c - see admin.h.  One of the two rooms of civetweb.
 *
 * Must not serve a file (no document root), keep a connection, or read a body.  The library counts
 * its users: start and stop are called by the main thread, as those of web/http.c are.
 */
#include <civetweb.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "broker/admin.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/str.h"
#include "broker/metrics.h"

struct admin {
	struct mg_context *mg;
	int                port;
	char               listen_on[64];
	_Atomic bool       ready, stopped;
	pthread_mutex_t    page;		/* guards what /metrics is written into */
	unsigned char      storage[1 << 18];
	size_t             nchecks;
	struct check       check[];
};

/* ---- the readiness document ---- */

struct doc { char *out; size_t n, size; bool full; };

static void put(struct doc *, const char *fmt, ...) PRINTF(2, 3);
static void put(struct doc *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = d->full ? -1 : vsnprintf(d->out + d->n, d->size - d->n, fmt, ap);
	va_end(ap);
	d->full = n < 0 || (size_t) n >= d->size - d->n;
	d->n += d->full ? 0 : (size_t) n;
}

static void put_check(struct doc *d, const char *name, bool well, const char *detail)
{
	char text[512];

	put(d, "%s{\"name\":\"%s\",\"well\":%s,\"detail\":\"%s\"}", d->n == 0 ? "" : ",", name,
	    well ? "true" : "false", log_text(detail, text, sizeof text));
}

bool admin_write(const struct admin *a, bool verbose, char *out, size_t size)
{
	char list[4096] = "", detail[256];
	struct doc d = { .out = list, .size = sizeof list };
	bool all = atomic_load(&a->ready);

	if (verbose)
		put_check(&d, "ready", all, all ? "" : "starting or draining");
	for (size_t i = 0; verbose && i < a->nchecks; i++) {
		const struct check *k = &a->check[i];

		detail[0] = '\0';
		const bool well = k->well(k->of, detail, sizeof detail);

		put_check(&d, k->name, well, detail);
		all &= well;
	}

	const char *status = all ? "ok" : "unavailable";
	const int n = snprintf(out, size, "{\"status\":\"%s\",\"checks\":[%s]}\n", status,
			       d.full ? "" : list);

	if (n < 0 || (size_t) n >= size)	/* rather no list than half of one */
		(void) snprintf(out, size, "{\"status\":\"%s\",\"checks\":[]}\n", status);
	return all;
}

/* ---- requests ---- */

static int answer(struct mg_connection *conn, int status, const char *type, struct str body)
{
	const bool head = strcmp(mg_get_request_info(conn)->request_method, "HEAD") == 0;

	(void) mg_printf(conn, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s"
			 "Connection: close\r\n\r\n", status, mg_get_response_code_text(conn, status),
			 type, body.n, status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (!head && body.n > 0)
		(void) mg_write(conn, body.p, body.n);
	return status;
}

static int answer_json(struct mg_connection *conn, int status, const char *body)
{
	return answer(conn, status, "application/json", str_of(body));
}

static int livez(struct admin *a, struct mg_connection *conn)
{
	(void) a;
	return answer_json(conn, 200, "{\"status\":\"ok\"}\n");
}

static int readyz(struct admin *a, struct mg_connection *conn)
{
	const char *query = mg_get_request_info(conn)->query_string;
	const bool verbose = query != NULL && strncmp(query, "verbose", 7) == 0;
	char out[8192];
	const bool well = admin_write(a, verbose, out, sizeof out);

	return answer_json(conn, well ? 200 : 503, out);
}

static int metrics(struct admin *a, struct mg_connection *conn)
{
	struct arena mem;
	struct buf b = { .mem = &mem };
	int status;

	(void) pthread_mutex_lock(&a->page);
	arena_init(&mem, a->storage, sizeof a->storage);
	metrics_write(&b);
	status = b.full ? answer(conn, 500, "text/plain", STR("the metrics do not fit\n")) :
		 answer(conn, 200, "text/plain; version=0.0.4; charset=utf-8",
			(struct str) { b.p, b.n });
	(void) pthread_mutex_unlock(&a->page);
	return status;
}

static const struct page {
	const char *path;
	int       (*answer)(struct admin *, struct mg_connection *);
} page[] = {
	{ "/metrics", metrics },
	{ "/livez",   livez },
	{ "/readyz",  readyz },
};

static int begin_request(struct mg_connection *conn)
{
	const struct mg_request_info *q = mg_get_request_info(conn);
	const char *method = q->request_method, *path = q->local_uri_raw;

	for (size_t i = 0; path != NULL && i < COUNT(page); i++) {
		if (strcmp(path, page[i].path) != 0)
			continue;
		if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
			return answer_json(conn, 405, "{\"status\":\"method_not_allowed\"}\n");
		return page[i].answer(q->user_data, conn);
	}
	return answer_json(conn, 404, "{\"status\":\"not_found\"}\n");
}

static int log_nothing(const struct mg_connection *conn, const char *message)
{
	(void) conn, (void) message;
	return 1;
}

/* ---- start and stop ---- */

/* A socket for the address that is listened on; -1 with errno.  `own` has the port in fact. */
static int socket_for(const char *listen_on, int own, struct sockaddr_storage *to, socklen_t *n)
{
	const struct addrinfo want = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(listen_on, ':');
	struct addrinfo *found = NULL;
	char host[64] = "", port[16];
	size_t len = colon == NULL ? sizeof host : (size_t) (colon - listen_on);

	errno = EADDRNOTAVAIL;
	if (len >= sizeof host)
		return -1;
	if (listen_on[0] == '[' && listen_on[len - 1] == ']')
		memcpy(host, listen_on + 1, len - 2);
	else
		memcpy(host, listen_on, len);
	(void) snprintf(port, sizeof port, "%d", own);
	if (getaddrinfo(host, own != 0 ? port : colon + 1, &want, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*n = found->ai_addrlen;

	const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	freeaddrinfo(found);
	return fd;
}

/* The library does not say why it cannot listen; the kernel does. */
static int why_not(const char *listen_on)
{
	struct sockaddr_storage to;
	socklen_t n;
	const int fd = socket_for(listen_on, 0, &to, &n);
	int err = errno;

	if (fd < 0)
		return err;
	err = bind(fd, (const struct sockaddr *) &to, n) < 0 ? errno : EADDRINUSE;
	(void) close(fd);
	return err;
}

/* The library looks whether it is to stop when somebody connects, else every two seconds. */
static void *nudge(void *of)
{
	struct admin *a = of;
	struct sockaddr_storage to;
	socklen_t n;

	while (!atomic_load(&a->stopped)) {
		const int fd = socket_for(a->listen_on, a->port, &to, &n);

		if (fd >= 0) {
			(void) connect(fd, (const struct sockaddr *) &to, n);
			(void) close(fd);
		}
		clock_rest(10 * MS);
	}
	return NULL;
}

struct admin *admin_start(const char *listen_on, const struct check *checks, size_t n)
{
	static const struct mg_callbacks callbacks = {
		.begin_request = begin_request, .log_message = log_nothing, .log_access = log_nothing,
	};
	/* Nobody keeps one of the two threads for long; no page of ours needs an escape in its path,
	 * and a decoded %00 would hide the end of one. */
	const char *const options[] = {
		"listening_ports", listen_on, "num_threads", "2", "request_timeout_ms", "2000",
		"enable_keep_alive", "no", "enable_directory_listing", "no",
		"decode_url", "no", NULL,
	};
	struct admin *a = calloc(1, sizeof *a + n * sizeof *checks);
	struct mg_server_port port = { 0 };

	if (a == NULL)
		return NULL;
	(void) pthread_mutex_init(&a->page, NULL);
	a->nchecks = n;
	if (n > 0)
		memcpy(a->check, checks, n * sizeof *checks);
	(void) snprintf(a->listen_on, sizeof a->listen_on, "%s", listen_on);
	(void) mg_init_library(MG_FEATURES_DEFAULT);
	a->mg = mg_start(&callbacks, a, (const char **) (uintptr_t) options);
	if (a->mg == NULL || mg_get_server_ports(a->mg, 1, &port) < 1) {
		const int err = why_not(listen_on);

		admin_stop(a);
		errno = err;
		return NULL;
	}
	a->port = port.port;
	return a;
}

int admin_port(const struct admin *a)
{
	return a->port;
}

void admin_ready(struct admin *a, bool ready)
{
	atomic_store(&a->ready, ready);
}

bool admin_is_ready(const struct admin *a)
{
	return atomic_load(&a->ready);
}

void admin_stop(struct admin *a)
{
	pthread_t nudger;

	if (a == NULL)
		return;
	if (a->mg != NULL) {
		const bool nudged = pthread_create(&nudger, NULL, nudge, a) == 0;

		mg_stop(a->mg);
		atomic_store(&a->stopped, true);
		if (nudged)
			(void) pthread_join(nudger, NULL);
	}
	(void) mg_exit_library();
	(void) pthread_mutex_destroy(&a->page);
	free(a);
}
