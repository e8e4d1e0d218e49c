/*
 * http.c - see http.h.  The only file of this room that knows civetweb.
 *
 * Must not know a route, a token or a message.  What civetweb 1.15 takes and others read in another
 * way (two lengths, length and chunks, bare LF, a folded line, ...) is refused here: a proxy in
 * front and this server must never see two different requests.
 */
#include <arpa/inet.h>
#include <civetweb.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "broker/wire.h"
#include "web/http.h"
#include "web/problem.h"
#include "web/room.h"

#ifdef __SANITIZE_ADDRESS__
enum { STACK = 1 << 20 };
#else
enum { STACK = 256 << 10 };	/* mapped, not touched: thousands of threads are cheap */
#endif
enum {
	REFUSED_HEAD = 512, LARGE = 64 << 10,
	UNWANTED = 16 << 20,		/* what is read and forgotten of a refused body */
	IN_CHUNKS = -1,			/* the length of a body that does not say it */
};
#define BODY_DEADLINE (10 * SECOND)
#define FILE_DEADLINE (60 * SECOND)	/* to come, or to be taken */
#define LINGER        (5 * SECOND)
#define WATCH_EVERY   (100 * MS)
#define IDLE_FOR      SECOND		/* of a connection, while others wait for a thread */

/* One thread of civetweb's and the connection it serves. */
struct seat {
	pthread_mutex_t lock;		/* of the rest, which the watch reads */
	bool            open, busy;	/* a connection; a request of it */
	int64_t         body_by;	/* when its body must be there, or taken; 0: none is awaited */
	bool            writing;	/* taken, by the client */
	int64_t         since;		/* when its last answer went */
	char            peer[48];
	int             peer_port;
	/* of the thread alone */
	struct arena    arena;
	uint64_t        random;
	time_t          dated;
	char            date[40];
};

struct http {
	struct mg_context *mg;
	http_fn           *fn;
	void              *of;
	int                port, seats;
	struct seat      **seat;
	_Atomic int        nseats, taken;	/* made; and those with a connection */
	_Atomic bool       crowded;	/* connections wait for a thread: each answer ends its own */
	_Atomic bool       closing;	/* every answer ends its connection */
	_Atomic bool       over;	/* the watch goes home */
	pthread_t          watch;
	bool               watched;
	int                quiet;	/* in the place of the listener; civetweb closes it */
};

/* ---- requests ---- */

struct str http_header(const struct http_request *q, const char *name)
{
	const struct mg_request_info *ri = mg_get_request_info(q->conn);

	for (int i = 0; i < ri->num_headers; i++)
		if (strcasecmp(ri->http_headers[i].name, name) == 0)
			return str_of(ri->http_headers[i].value);
	return (struct str) { NULL, 0 };
}

struct str http_headers(struct http_request *q, const char *name)
{
	const struct mg_request_info *ri = mg_get_request_info(q->conn);
	struct str list = { NULL, 0 };
	struct buf all = { .mem = q->c.mem };

	for (int i = 0; i < ri->num_headers; i++) {
		if (strcasecmp(ri->http_headers[i].name, name) != 0)
			continue;
		if (list.p != NULL && all.n == 0)
			buf_put(&all, list.p, list.n);
		if (list.p != NULL)
			buf_fmt(&all, ", %s", ri->http_headers[i].value);
		list = all.n > 0 ? (struct str) { all.p, all.n } : str_of(ri->http_headers[i].value);
	}
	return list;
}

/*
 * civetweb cuts the lines in place: a NUL at the colon, at CR and at LF.  So it can be seen
 * afterwards whether each name ended at its colon, each line at CRLF, and the last at the
 * empty line; what was folded, had a bare LF or came after 64 lines shows here.
 */
static bool lines_are_plain(const struct mg_request_info *ri)
{
	const char *next = ri->http_version + strlen(ri->http_version) + 2;

	for (int i = 0; i < ri->num_headers; i++) {
		const struct mg_header *h = &ri->http_headers[i];
		const char *p = h->name + strlen(h->name) + 1;

		if (h->name != next)
			return false;
		for (; p < h->value; p++)
			if (*p != ' ' && *p != '\t')
				return false;	/* a space before the colon */
		p = h->value + strlen(h->value);
		if (p[1] != '\0')
			return false;		/* a bare LF */
		next = p + 2;
	}
	return ri->num_headers == 0 || (next[0] == '\r' && next[1] == '\0');
}

static bool read_length(const char *s, int64_t *n)
{
	const size_t len = strlen(s);

	return len > 0 && len <= 15 && strspn(s, "0123456789") == len && str_int(str_of(s), n);
}

/* Says why a request is not to be answered, or NULL. */
static const char *ambiguous(const struct mg_request_info *ri, struct http_request *q)
{
	static const char *const once[] = { "Authorization", "Content-Type", "Idempotency-Key" };
	const bool one_one = strcmp(ri->http_version, "1.1") == 0;
	int hosts = 0, lengths = 0, chunked = 0;

	if (!lines_are_plain(ri))
		return "lines that are not plain";
	q->close = !one_one;
	for (int i = 0; i < ri->num_headers; i++) {
		const struct mg_header *h = &ri->http_headers[i];

		if (strcasecmp(h->name, "Host") == 0)
			hosts++;
		else if (strcasecmp(h->name, "Transfer-Encoding") == 0 &&
			 (chunked++ > 0 || strcasecmp(h->value, "chunked") != 0))
			return "Transfer-Encoding";
		else if (strcasecmp(h->name, "Content-Length") == 0 &&
			 (lengths++ > 0 || !read_length(h->value, &q->length)))
			return "Content-Length";
		else if (strcasecmp(h->name, "Expect") == 0 &&
			 strcasecmp(h->value, "100-continue") != 0)
			return "Expect";
		else if (strcasecmp(h->name, "Connection") == 0)
			q->close |= strcasecmp(h->value, "keep-alive") != 0;
		for (size_t k = 0; k < COUNT(once); k++)
			if (strcasecmp(h->name, once[k]) == 0 &&
			    http_header(q, h->name).p != h->value)
				return once[k];
	}
	if (chunked > 0 && (lengths > 0 || !one_one))
		return "Transfer-Encoding";
	if (chunked > 0)
		q->length = IN_CHUNKS;
	if (hosts > 1 || (hosts == 0 && one_one))
		return "Host";
	return ri->local_uri_raw == NULL || ri->local_uri_raw[0] != '/' ||
	       strstr(ri->local_uri_raw, "%00") != NULL ? "address" : NULL;
}

/* Until when the client must have sent or taken what is under way; 0: nothing is. */
static void hurry(struct seat *s, int64_t by, bool writing)
{
	(void) pthread_mutex_lock(&s->lock);
	s->body_by = by;
	s->writing = writing;
	(void) pthread_mutex_unlock(&s->lock);
}

/* Reads the rest of the body; p NULL: to forget it.  Whether it came. */
static bool receive(struct http_request *q, char *p, int64_t patience)
{
	struct seat *s = mg_get_thread_pointer(q->conn);
	char nowhere[4096];
	int64_t n = 0;

	if (http_header(q, "Expect").p != NULL)
		(void) mg_write(q->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	hurry(s, q->began + patience, false);
	while (n < q->length) {
		const size_t left = (size_t) (q->length - n);
		const int got = p != NULL ? mg_read(q->conn, p + n, left) :
				mg_read(q->conn, nowhere, left < sizeof nowhere ? left : sizeof nowhere);

		if (got <= 0)
			break;
		n += got;
	}
	hurry(s, 0, false);
	if (n < q->length) {
		q->close = true;
		(void) snprintf(q->c.detail, sizeof q->c.detail, "%lld of %lld bytes came", (long long) n,
				(long long) q->length);
		q->length = 0;
		return false;
	}
	q->length = 0;		/* read */
	return true;
}

err_t http_body(struct http_request *q, size_t max, struct str *out)
{
	const size_t n = (size_t) q->length;
	char *p;

	*out = STR("");
	if (n == 0)
		return OK;
	if (n > max || (p = arena_alloc(q->c.mem, n)) == NULL) {
		q->close = true;
		return refuse(&q->c, ERR_too_large, "body of %zu bytes", n);
	}
	if (!receive(q, p, BODY_DEADLINE))
		return ERR(unreadable);
	*out = (struct str) { p, n };
	return OK;
}

err_t http_upload(struct http_request *q, char *room, size_t max, struct str *out)
{
	const size_t n = (size_t) q->length;

	*out = STR("");
	if (n > max) {
		q->close = true;
		return refuse(&q->c, ERR_too_large, "body of %zu bytes", n);
	}
	if (!receive(q, room, FILE_DEADLINE))
		return ERR(unreadable);
	*out = (struct str) { room, n };
	return OK;
}

/* ---- answers ---- */

void http_put(struct http_answer *a, const char *name, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	const int n = vsnprintf(NULL, 0, fmt, again);
	char *value = n < 0 ? NULL : arena_alloc(a->head.mem, (size_t) n + 1);

	if (value != NULL)
		(void) vsnprintf(value, (size_t) n + 1, fmt, ap);
	va_end(again);
	va_end(ap);
	if (value == NULL || strpbrk(value, "\r\n") != NULL)
		return;
	buf_put(&a->head, name, strlen(name));
	buf_put(&a->head, ": ", 2);
	buf_put(&a->head, value, (size_t) n);
	buf_put(&a->head, "\r\n", 2);
}

static const char *reason(int status)
{
	static const struct { int status; const char *reason; } reasons[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 409, "Conflict" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" }, { 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" }, { 500, "Internal Server Error" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < COUNT(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

static const char *date(struct seat *s)
{
	struct timespec now;
	struct tm tm;

	(void) clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != s->dated && gmtime_r(&now.tv_sec, &tm) != NULL) {
		s->dated = now.tv_sec;
		(void) strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return s->date;
}

static bool has_body(const struct http_answer *a)
{
	return a->status != 204 && a->status != 304;
}

static bool is_head(const struct http_request *q)
{
	return str_eq(q->method, STR("HEAD"));
}

/* A client of HTTP/1.0 knows no chunks: to that, a body ends with the connection. */
static bool in_chunks(const struct http_request *q)
{
	return strcmp(mg_get_request_info(q->conn)->http_version, "1.1") == 0;
}

/* Status line and headers; nothing when those do not fit. */
static void put_head(struct seat *s, const struct http_request *q, const struct http_answer *a, struct buf *b)
{
	b->full |= a->head.full;
	buf_fmt(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", a->status, reason(a->status), date(s));
	if (a->type != NULL && has_body(a))
		buf_fmt(b, "Content-Type: %s\r\n", a->type);
	if (a->begun)
		buf_fmt(b, "%s", in_chunks(q) ? "Transfer-Encoding: chunked\r\n" : "");
	else if (has_body(a))
		buf_fmt(b, "Content-Length: %zu\r\n", a->body.n);
	buf_fmt(b, "X-Request-Id: %s\r\n", q->c.trace);
	buf_fmt(b, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s",
		q->close ? "Connection: close\r\n" : "");
	buf_put(b, a->head.p, a->head.n);
	buf_put(b, "\r\n", 2);
}

static bool send_all(struct http_request *q, const char *p, size_t n)
{
	return mg_write(q->conn, p, n) == (int) n;
}

/* One chunk; an empty one is the end. */
static bool send_chunk(struct http_request *q, struct str piece)
{
	char size[20];
	const int n = snprintf(size, sizeof size, "%zx\r\n", piece.n);

	return send_all(q, size, (size_t) n) && send_all(q, piece.p, piece.n) && send_all(q, "\r\n", 2);
}

static bool send_piece(struct http_request *q, struct str piece)
{
	if (is_head(q))
		return true;
	return in_chunks(q) ? send_chunk(q, piece) : send_all(q, piece.p, piece.n);
}

static err_t send_head(struct seat *s, struct http_request *q, struct http_answer *a)
{
	const struct http *h = mg_get_request_info(q->conn)->user_data;
	const size_t mark = q->c.mem->used;
	struct buf b = { .mem = q->c.mem };

	q->close |= atomic_load_explicit(&h->closing, memory_order_relaxed);
	a->begun = true;
	put_head(s, q, a, &b);
	a->begun = !b.full;
	if (b.full)
		return refuse(&q->c, ERR_too_large, "no room for a head");
	const bool sent = send_all(q, b.p, b.n);

	arena_back(q->c.mem, mark);
	return sent ? OK : refuse(&q->c, ERR_unavailable, "the client has gone");
}

err_t http_piece(struct http_request *q, struct http_answer *a, struct str piece)
{
	struct seat *s = mg_get_thread_pointer(q->conn);

	if (!a->begun)
		TRY(send_head(s, q, a));
	hurry(s, clock_mono() + FILE_DEADLINE, true);
	const bool sent = piece.n == 0 || send_piece(q, piece);

	hurry(s, 0, false);
	return sent ? OK : refuse(&q->c, ERR_unavailable, "the client has gone");
}

/* Or not: whoever reads sees the end missing. */
static void end_pieces(struct http_request *q, const struct http_answer *a)
{
	const bool ended = a->whole && (is_head(q) || !in_chunks(q) || send_all(q, "0\r\n\r\n", 5));

	if (!ended || q->close)
		mg_disable_keep_alive(q->conn);
}

/* Status line, headers and body in one piece, so that they are one write; a large body is not worth
 * a copy. */
static void send_answer(struct seat *s, struct http_request *q, struct http_answer *a)
{
	const bool sent = has_body(a) && !is_head(q);
	const size_t apart = sent && a->body.n > LARGE ? a->body.n : 0;
	struct buf b = { .mem = q->c.mem };
	char small[REFUSED_HEAD];

	put_head(s, q, a, &b);
	if (sent && apart == 0)
		buf_put(&b, a->body.p, a->body.n);
	if (q->close)
		mg_disable_keep_alive(q->conn);
	if (!b.full) {
		if (apart > 0)
			hurry(s, clock_mono() + FILE_DEADLINE, true);
		if (!send_all(q, b.p, b.n) || (apart > 0 && !send_all(q, a->body.p, apart)))
			mg_disable_keep_alive(q->conn);
		if (apart > 0)
			hurry(s, 0, false);
		return;
	}
	/* The arena is full: an answer without it. */
	const int n = snprintf(small, sizeof small, "HTTP/1.1 500 Internal Server Error\r\n"
			       "Content-Length: 0\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n",
			       q->c.trace);

	mg_disable_keep_alive(q->conn);
	(void) mg_write(q->conn, small, (size_t) n);
}

/* A name for the request, unless the client gave one: it must differ, not be a secret. */
static void draw_trace(struct seat *s, char trace[33])
{
	for (int i = 0; i < 2; i++) {
		uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		(void) snprintf(trace + 16 * i, 17, "%016llx", (unsigned long long) (z ^ z >> 31));
	}
}

static void begin(struct seat *s, struct mg_connection *conn, struct http_request *q,
		  struct http_answer *a)
{
	const struct mg_request_info *ri = mg_get_request_info(conn);

	arena_reset(&s->arena);
	*q = (struct http_request) { .c.mem = &s->arena, .conn = conn, .peer = ri->remote_addr,
		.began = clock_mono(), .method = STR(""), .path = STR("") };
	*a = (struct http_answer) { .head = { .mem = &s->arena } };
}

/* A body that nobody wanted is read and forgotten, so that the connection can go on. */
static void finish_body(struct http_request *q)
{
	if (q->length > 0 && (q->close || q->length > HTTP_BODY || http_header(q, "Expect").p != NULL ||
			      !receive(q, NULL, BODY_DEADLINE)))
		q->close = true;
}

/* Or after the answer: a connection that is closed while its client still sends takes the answer with it. */
static void linger(struct http_request *q)
{
	if (q->length > 0 && q->length <= UNWANTED && http_header(q, "Expect").p == NULL)
		(void) receive(q, NULL, clock_mono() - q->began + LINGER);
}

static int on_request(struct mg_connection *conn)
{
	const struct mg_request_info *ri = mg_get_request_info(conn);
	struct http *h = ri->user_data;
	struct seat *s = mg_get_thread_pointer(conn);
	struct http_request q;
	struct http_answer a;
	const char *why, *trace;

	(void) pthread_mutex_lock(&s->lock);
	s->busy = true;
	s->peer_port = ri->remote_port;
	memcpy(s->peer, ri->remote_addr, sizeof s->peer);
	(void) pthread_mutex_unlock(&s->lock);
	begin(s, conn, &q, &a);
	trace = http_header(&q, WIRE_TRACE).p;
	if (trace == NULL || wire_get_ctx(&q.c, NULL, NULL, NULL, trace).code != ERR_none)
		draw_trace(s, q.c.trace);
	q.c.detail[0] = '\0';
	q.method = str_of(ri->request_method);
	if ((why = ambiguous(ri, &q)) != NULL) {
		q.close = true;
		q.length = 0;		/* whatever that is */
		problem_write(&q.c, refuse(&q.c, ERR_unreadable, "%s", why), 0, &a);
	} else if (q.length == IN_CHUNKS) {	/* civetweb takes sizes of chunks that wrap around */
		q.close = true;
		q.length = 0;
		problem_write(&q.c, ERR(length_required), 0, &a);
	} else {
		q.path = str_of(ri->local_uri_raw);
		if (ri->query_string != NULL)
			q.query = str_of(ri->query_string);
		h->fn(h->of, &q, &a);
	}
	finish_body(&q);
	q.close |= atomic_load_explicit(&h->closing, memory_order_relaxed) ||
		   atomic_load_explicit(&h->crowded, memory_order_relaxed);
	if (a.begun)
		end_pieces(&q, &a);
	else
		send_answer(s, &q, &a);
	room_give(a.room);
	linger(&q);
	(void) pthread_mutex_lock(&s->lock);
	s->busy = false;
	s->since = clock_mono();
	(void) pthread_mutex_unlock(&s->lock);
	return a.status;
}

/* What civetweb itself refuses: there is no request to speak of, perhaps not even a method. */
static int on_error(struct mg_connection *conn, int status, const char *message)
{
	struct seat *s = mg_get_thread_pointer(conn);
	struct http_request q;
	struct http_answer a;

	(void) message;
	if (s == NULL)
		return 1;
	begin(s, conn, &q, &a);
	draw_trace(s, q.c.trace);
	q.close = true;
	problem_write(&q.c, status == 413 ? ERR(too_large) : status < 500 || status == 505 ?
		      ERR(unreadable) : ERR(internal), 0, &a);
	send_answer(s, &q, &a);
	return 0;
}

/* ---- threads and connections ---- */

static void *on_thread(const struct mg_context *mg, int type)
{
	struct http *h = mg_get_user_data(mg);
	struct seat *s;
	void *storage;

	if (type != 1)
		return NULL;

	const int i = atomic_fetch_add(&h->nseats, 1);

	s = i < h->seats ? calloc(1, sizeof *s) : NULL;
	storage = malloc(HTTP_ARENA);
	if (s == NULL || storage == NULL)
		abort();		/* at start, before the first connection */
	(void) pthread_mutex_init(&s->lock, NULL);
	arena_init(&s->arena, storage, HTTP_ARENA);
	digest_random(&s->random, sizeof s->random);
	__atomic_store_n(&h->seat[i], s, __ATOMIC_RELEASE);
	return s;
}

static int on_connect(const struct mg_connection *conn, void **data)
{
	struct seat *s = mg_get_thread_pointer(conn);

	*data = NULL;
	atomic_fetch_add(&((struct http *) mg_get_user_data(mg_get_context(conn)))->taken, 1);
	(void) pthread_mutex_lock(&s->lock);
	s->open = true;
	s->busy = false;
	s->peer_port = 0;		/* civetweb tells with the first request */
	(void) pthread_mutex_unlock(&s->lock);
	return 0;
}

/* Before the socket is closed, so that a number found under the lock is still its own. */
static void on_close(const struct mg_connection *conn)
{
	struct seat *s = mg_get_thread_pointer(conn);

	atomic_fetch_sub(&((struct http *) mg_get_user_data(mg_get_context(conn)))->taken, 1);
	(void) pthread_mutex_lock(&s->lock);
	s->open = s->busy = false;
	s->body_by = 0;
	(void) pthread_mutex_unlock(&s->lock);
}

static int on_log(const struct mg_connection *conn, const char *message)
{
	(void) conn, (void) message;
	return 1;		/* it quotes what clients sent */
}

static int port_of(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *) a)->sin_port) :
	       a->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *) a)->sin6_port) : 0;
}

static struct seat *seat_of(struct http *h, const char *peer, int port)
{
	for (int i = 0; i < h->seats; i++) {
		struct seat *s = __atomic_load_n(&h->seat[i], __ATOMIC_ACQUIRE);

		if (s == NULL)
			continue;
		(void) pthread_mutex_lock(&s->lock);
		if (s->open && s->peer_port == port && strcmp(s->peer, peer) == 0)
			return s;	/* locked */
		(void) pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/*
 * civetweb does not tell a connection's socket, so those that have waited too long are found by
 * their address among the files of the process; seldom, and under the lock of their thread, which
 * would have to take it before closing.  Returns how many connections there are.
 */
enum sweep {
	LATE,		/* ends those whose body does not come, or is not taken */
	IDLE,		/* and those that have not asked for a while */
	ALL,		/* and all that do not ask just now; nobody new comes in */
};

static int sweep(struct http *h, enum sweep what, int64_t now)
{
	DIR *d = opendir("/proc/self/fd");
	int connections = 0;

	if (d == NULL)
		return 0;
	for (const struct dirent *e; (e = readdir(d)) != NULL; ) {
		int64_t n = -1;
		const bool is_fd = str_int(str_of(e->d_name), &n);
		const int fd = is_fd ? (int) n : -1;
		struct sockaddr_storage here, peer;
		socklen_t hn = sizeof here, pn = sizeof peer, on = sizeof(int);
		int listening = 0;
		char host[48];
		struct seat *s;

		if (fd == dirfd(d) || getsockname(fd, (struct sockaddr *) &here, &hn) != 0 ||
		    port_of(&here) != h->port)
			continue;
		(void) getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &on);
		if (listening && what == ALL) {
			/* civetweb polls on, at a file that never has anything to say. */
			const int quiet = eventfd(0, EFD_CLOEXEC);

			(void) shutdown(fd, SHUT_RDWR);
			if (quiet >= 0) {
				h->quiet = dup2(quiet, fd);
				(void) close(quiet);
			}
		}
		if (getpeername(fd, (struct sockaddr *) &peer, &pn) != 0 ||
		    getnameinfo((struct sockaddr *) &peer, pn, host, sizeof host, NULL, 0,
				NI_NUMERICHOST) != 0)
			continue;
		connections++;
		/* What has come already can still be read, and an answer written. */
		if ((s = seat_of(h, host, port_of(&peer))) == NULL) {
			if (what == ALL)	/* not one request so far */
				(void) shutdown(fd, SHUT_RD);
			continue;
		}
		if ((what != LATE && !s->busy && (what == ALL || now - s->since > IDLE_FOR)) || (s->body_by != 0 && s->body_by < now)) {
			(void) shutdown(fd, s->body_by != 0 && s->writing ? SHUT_RDWR : SHUT_RD);
			s->body_by = 0;
		}
		(void) pthread_mutex_unlock(&s->lock);
	}
	(void) closedir(d);
	return connections;
}

static bool somebody_is_late(struct http *h, int64_t now)
{
	bool late = false;

	for (int i = 0; i < h->seats && !late; i++) {
		struct seat *s = __atomic_load_n(&h->seat[i], __ATOMIC_ACQUIRE);

		if (s == NULL)
			continue;
		(void) pthread_mutex_lock(&s->lock);
		late = s->body_by != 0 && s->body_by < now;
		(void) pthread_mutex_unlock(&s->lock);
	}
	return late;
}

/* When every thread has a connection, and more wait, those that nobody uses give up theirs. */
static void make_room(struct http *h, int64_t now)
{
	const bool full = atomic_load(&h->taken) >= h->seats && RULE(idle_give_way);
	const bool crowded = full && sweep(h, LATE, now) > h->seats;

	atomic_store(&h->crowded, crowded);
	if (crowded)
		(void) sweep(h, IDLE, now);
}

/* civetweb's own timeout begins anew with every byte; this one does not. */
static void *watch(void *of)
{
	struct http *h = of;

	while (!atomic_load(&h->over)) {
		const int64_t now = clock_mono();

		if (somebody_is_late(h, now))
			(void) sweep(h, LATE, now);
		make_room(h, now);
		clock_rest(WATCH_EVERY);
	}
	return NULL;
}

static void let_go(struct http *h)
{
	atomic_store(&h->over, true);
	if (h->watched)
		(void) pthread_join(h->watch, NULL);
	if (h->quiet > 0)
		(void) eventfd_write(h->quiet, 1);	/* civetweb looks up two seconds earlier */
	if (h->mg != NULL)
		mg_stop(h->mg);
	for (int i = 0; h->seat != NULL && i < h->seats; i++)
		if (h->seat[i] != NULL) {
			arena_reset(&h->seat[i]->arena);
			free(h->seat[i]->arena.base);	/* malloc's alignment is the arena's */
			(void) pthread_mutex_destroy(&h->seat[i]->lock);
			free(h->seat[i]);
		}
	free(h->seat);
	free(h);
}

struct http *http_start(const char *listen, int threads, http_fn *fn, void *of, char *why)
{
	static const struct mg_callbacks callbacks = {
		.begin_request = on_request, .http_error = on_error, .init_thread = on_thread,
		.init_connection = on_connect, .connection_close = on_close, .log_message = on_log,
	};
	char n[16], size[16];
	const char *options[] = {
		"listening_ports", listen, "num_threads", n, "max_request_size", size,
		"enable_keep_alive", "yes", "keep_alive_timeout_ms", "60000",
		"request_timeout_ms", "10000", "tcp_nodelay", "1", "decode_url", "no",
		"connection_queue", "1024", "listen_backlog", "1024", NULL
	};
	struct http *h = calloc(1, sizeof *h);
	struct mg_server_port port = { .port = 0 };
	pthread_attr_t small, usual;

	if (h == NULL || (h->seat = calloc((size_t) threads, sizeof *h->seat)) == NULL) {
		(void) snprintf(why, 256, "no memory");
		free(h);
		return NULL;
	}
	h->fn = fn;
	h->of = of;
	h->seats = threads;
	(void) snprintf(n, sizeof n, "%d", threads);
	(void) snprintf(size, sizeof size, "%d", HTTP_HEADER);
	/* civetweb has no option for its stacks; it takes the process's usual size. */
	(void) pthread_getattr_default_np(&usual);
	(void) pthread_attr_init(&small);
	(void) pthread_attr_setstacksize(&small, STACK);
	(void) pthread_setattr_default_np(&small);
	errno = 0;
	h->mg = mg_start(&callbacks, h, options);
	(void) pthread_setattr_default_np(&usual);
	(void) pthread_attr_destroy(&small);
	(void) pthread_attr_destroy(&usual);
	if (h->mg == NULL || mg_get_server_ports(h->mg, 1, &port) < 1) {
		(void) snprintf(why, 256, "cannot listen on %.100s (%s)", listen,
				errno ? strerror(errno) : "in use, or no such address");
		let_go(h);
		return NULL;
	}
	h->port = port.port;
	h->watched = pthread_create(&h->watch, NULL, watch, h) == 0;
	return h;
}

int http_port(const struct http *h)
{
	return h->port;
}

void http_stop(struct http *h, int64_t limit_us)
{
	const int64_t until = clock_mono() + limit_us;

	atomic_store(&h->closing, true);
	while (sweep(h, ALL, clock_mono()) > 0 && clock_mono() < until)
		clock_rest(10 * MS);
	let_go(h);
}
