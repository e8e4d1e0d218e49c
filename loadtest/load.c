/*
 * load.c - the load generator: N keep-alive connections over a few threads, one request at a time
 * on each, as cheap for the processor as can be, for it shares the machine with what it measures.
 *
 * Closed loop (each connection asks again when it was answered) or open loop (--rate: requests have
 * planned times, and latency counts from those, so that a stall is not hidden).  Must not judge:
 * it counts answers by status; what was booked, the bench counts in the database.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/exits.h"
#include "loadtest/hist.h"
#include "loadtest/reply.h"

enum { OUT_MAX = 16384, IN_MAX = 16384, STATUS_MAX = 600, EVENTS = 256 };

/* ---- options ---------------------------------------------------------------------------- */

/* clang-format off */
/*        name          kind  default                  min max          what it is */
#define OPTION_TABLE(X)                                                                              \
	X(url,          TEXT, "http://127.0.0.1:8080", 0,  0,           "the gateway")                \
	X(base,         TEXT, "/api/v1",               0,  0,           "base path of the API")       \
	X(mode,         TEXT, "book",                  0,  0,           "book: bookings; file: --requests, over and over") \
	X(requests,     TEXT, "",                      0,  0,           "a line each: METHOD PATH [BODY]") \
	X(tokens,       TEXT, "",                      0,  0,           "a line each: the token of a patient; request i has token i modulo their number") \
	X(connections,  INT,  "64",                    1,  20000,       "kept open all the time")     \
	X(threads,      INT,  "1",                     1,  64,          "that share the connections") \
	X(seconds,      INT,  "10",                    1,  86400,       "requests start for that long") \
	X(count,        INT,  "0",                     0,  1000000000,  "no more requests than that; 0: as many as time allows") \
	X(rate,         INT,  "0",                     0,  10000000,    "requests a second, planned; 0: closed loop") \
	X(first_doctor, INT,  "1",                     1,  INT64_MAX,   "booking i is at doctor first + i modulo doctors, …") \
	X(doctors,      INT,  "1",                     1,  10000000,    "… of so many …")             \
	X(first_slot,   INT,  "1",                     1,  INT64_MAX,   "… whose slots begin here, doctor after doctor, …") \
	X(slots,        INT,  "1",                     1,  1000000000,  "… so many each; the one taken is i / doctors") \
	X(start,        INT,  "0",                     0,  INT64_MAX,   "the first i")                \
	X(keys,         TEXT, "",                      0,  0,           "Idempotency-Key of request i is <keys>-<i>; empty: none") \
	X(retry,        FLAG, "",                      0,  0,           "what was cut in flight is sent again, with its key") \
	X(timeout,      INT,  "30",                    1,  3600,        "seconds to wait for an answer") \
	X(expect,       INT,  "201",                   0,  599,         "the status of a good answer; 0: any 2xx") \
	X(quiet,        FLAG, "",                      0,  0,           "no progress on stderr")      \
	X(allow_remote, FLAG, "",                      0,  0,           "with --yes-really: load a machine that is not this one") \
	X(yes_really,   FLAG, "",                      0,  0,           "see --allow-remote")         \
	X(help,         FLAG, "",                      0,  0,           "prints this")
/* clang-format on */

enum kind { TEXT, INT, FLAG };

struct value { const char *text; int64_t n; };

#define X(name, kind, dflt, min, max, text) struct value name;
static struct { OPTION_TABLE(X) } opt;
#undef X

static struct option_row {
	char          name[24];
	enum kind     kind;
	const char   *dflt;
	int64_t       min, max;
	const char   *help;
	struct value *at;
} option_row[] = {
#define X(name, kind, dflt, min, max, text) { #name, kind, dflt, min, max, text, &opt.name },
	OPTION_TABLE(X)
#undef X
};
enum { OPTIONS = sizeof option_row / sizeof *option_row };

static _Noreturn void usage(const char *why, const char *what)
{
	fprintf(stderr, "load: %s %s (--help tells)\n", why, what);
	exit(EXIT_USAGE);
}

static void option_set(const struct option_row *row, const char *text)
{
	char *end;

	row->at->text = text;
	if (row->kind != INT)
		return;
	errno = 0;
	row->at->n = strtoll(text, &end, 10);
	if (errno || end == text || *end || row->at->n < row->min || row->at->n > row->max)
		usage("not a number in the range of this option:", row->name);
}

static void option_help(void)
{
	puts("load [--option value]…   a load generator; its summary on stdout is one JSON object\n");
	for (const struct option_row *row = option_row; row < option_row + OPTIONS; row++)
		printf("  --%-13s %s%s%s%s\n", row->name, row->help, *row->dflt ? " [" : "",
		       row->dflt, *row->dflt ? "]" : "");
	puts("\nexit: 0 every answer was as expected, 1 not so, 2 usage, 69 nobody answers there");
}

static void options_read(int argc, char **argv)
{
	struct option longs[OPTIONS + 1] = { { 0 } };
	int i, c;

	for (i = 0; i < OPTIONS; i++) {
		struct option_row *row = &option_row[i];

		for (char *p = row->name; *p; p++)
			if (*p == '_')
				*p = '-';
		option_set(row, row->dflt);
		longs[i] = (struct option) { row->name, row->kind != FLAG, NULL, 0 };
	}
	while ((c = getopt_long(argc, argv, "", longs, &i)) == 0) {
		if (option_row[i].kind == FLAG)
			option_row[i].at->n = 1;
		else
			option_set(&option_row[i], optarg);
	}
	if (c != -1)
		exit(EXIT_USAGE);
	if (optind < argc)
		usage("what is this?", argv[optind]);
	if (opt.help.n) {
		option_help();
		exit(EXIT_SUCCESS);
	}
}

/* ---- the target ------------------------------------------------------------------------- */

static struct sockaddr_storage target;
static socklen_t               target_len;
static char                    target_host[280];	/* as the header Host says it */

static bool is_loopback(const struct sockaddr *a)
{
	const void *const p = a;

	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *) p)->sin_addr.s_addr) >> 24 == 127;
	return a->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) p)->sin6_addr);
}

static void target_find(const char *url)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char host[256] = "", port[8] = "80";
	int n = 0;

	if ((sscanf(url, "http://[%255[0-9a-fA-F:]]:%7[0-9]%n", host, port, &n) < 2 &&
	     sscanf(url, "http://%255[^:/]:%7[0-9]%n", host, port, &n) < 2 &&
	     sscanf(url, "http://%255[^:/]%n", host, &n) < 1) ||
	    (url[n] != '\0' && strcmp(url + n, "/") != 0))
		usage("not of the form http://host[:port]:", url);
	if (getaddrinfo(host, port, &hints, &found) != 0)
		usage("no such host:", host);
	if (!is_loopback(found->ai_addr) && !(opt.allow_remote.n && opt.yes_really.n))
		usage("is not this machine; --allow-remote --yes-really if you may load it:", host);
	memcpy(&target, found->ai_addr, found->ai_addrlen);
	target_len = found->ai_addrlen;
	freeaddrinfo(found);
	(void) snprintf(target_host, sizeof target_host, "%.*s",
			(int) strcspn(url + 7, "/"), url + 7);
}

/* ---- what is asked ---------------------------------------------------------------------- */

struct lines { char *text, **line; size_t n; };

static struct lines tokens, requests;

static char *file_read(const char *path)
{
	FILE *const f = fopen(path, "re");
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);

	if (f == NULL || text == NULL)
		usage("cannot be read:", path);
	for (size_t got; (got = fread(text + n, 1, cap - n - 1, f)) > 0;) {
		n += got;
		if (cap - n < 2 && (text = realloc(text, cap *= 2)) == NULL)
			usage("too large:", path);
	}
	if (ferror(f))
		usage("cannot be read:", path);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* The lines that are not empty, for as long as the process lives. */
static struct lines lines_read(const char *path)
{
	struct lines l = { .text = file_read(path) };
	size_t most = 1;

	for (const char *p = l.text; *p; p++)
		most += *p == '\n';
	if ((l.line = calloc(most, sizeof *l.line)) == NULL)
		usage("too large:", path);
	for (char *save, *p = strtok_r(l.text, "\r\n", &save); p; p = strtok_r(NULL, "\r\n", &save))
		l.line[l.n++] = p;
	if (l.n == 0)
		usage("is empty:", path);
	return l;
}

struct text { char *p; size_t n; };

static void put(struct text *t, const char *p, size_t n)
{
	if (n > OUT_MAX - t->n)
		usage("a request is too large, of mode", opt.mode.text);
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void puts_to(struct text *t, const char *s) { put(t, s, strlen(s)); }

static void put_int(struct text *t, uint64_t v)
{
	char digit[20], *p = digit + sizeof digit;

	do
		*--p = (char) ('0' + v % 10);
	while (v /= 10);
	put(t, p, (size_t) (digit + sizeof digit - p));
}

static void put_head(struct text *t, const char *method, size_t nmethod, const char *path,
		     size_t npath, uint64_t i)
{
	put(t, method, nmethod);
	puts_to(t, " ");
	puts_to(t, opt.base.text);
	put(t, path, npath);
	puts_to(t, " HTTP/1.1\r\nHost: ");
	puts_to(t, target_host);
	if (tokens.n) {
		puts_to(t, "\r\nAuthorization: Bearer ");
		puts_to(t, tokens.line[i % tokens.n]);
	}
	if (*opt.keys.text) {
		puts_to(t, "\r\nIdempotency-Key: ");
		puts_to(t, opt.keys.text);
		puts_to(t, "-");
		put_int(t, i);
	}
}

static void put_body(struct text *t, const char *body, size_t n)
{
	puts_to(t, "\r\nContent-Type: application/json\r\nContent-Length: ");
	put_int(t, n);
	puts_to(t, "\r\n\r\n");
	put(t, body, n);
}

static uint64_t book_most(void)
{
	return (uint64_t) opt.doctors.n * (uint64_t) opt.slots.n;
}

static void book_write(struct text *t, uint64_t i)
{
	const uint64_t doctors = (uint64_t) opt.doctors.n, d = i % doctors;
	char room[128];
	struct text body = { room, 0 };

	puts_to(&body, "{\"schedule_id\":");
	put_int(&body, (uint64_t) opt.first_slot.n + d * (uint64_t) opt.slots.n + i / doctors);
	puts_to(&body, ",\"doctor_id\":");
	put_int(&body, (uint64_t) opt.first_doctor.n + d);
	puts_to(&body, "}");
	put_head(t, "POST", 4, "/appointments", 13, i);
	put_body(t, body.p, body.n);
}

static uint64_t file_most(void) { return UINT64_MAX; }

static void file_write(struct text *t, uint64_t i)
{
	const char *const method = requests.line[i % requests.n];
	const size_t nmethod = strcspn(method, " ");
	const char *const path = method + nmethod + (method[nmethod] == ' ');
	const size_t npath = strcspn(path, " ");

	put_head(t, method, nmethod, path, npath, i);
	if (path[npath] == ' ')
		put_body(t, path + npath + 1, strlen(path + npath + 1));
	else
		puts_to(t, "\r\n\r\n");
}

static const struct mode {
	const char *name;
	bool        with_file;
	uint64_t  (*most)(void);		/* requests there can be, from i = 0 on */
	void      (*write)(struct text *, uint64_t i);
} modes[] = {
	{ "book", false, book_most, book_write },
	{ "file", true,  file_most, file_write },
}, *mode;

/* ---- workers and their connections ------------------------------------------------------ */

enum state { CLOSED, CONNECTING, IDLE, SENDING, HEAD, BODY };	/* from SENDING on: in flight */

struct conn {
	int          fd;
	enum state   state;
	bool         again;		/* its request was cut and will be sent once more */
	bool         proven;		/* it has been answered on: worth opening anew at once */
	uint64_t     i;			/* of the request */
	int64_t      planned, began;	/* began: connecting, or sending */
	struct reply reply;
	int64_t      left;		/* of the body */
	int          got;		/* bytes in `in` */
	size_t       sent;
	struct text  out;		/* OUT_MAX bytes */
	char        *in;		/* IN_MAX bytes */
};

typedef _Atomic uint64_t count_t;

struct worker {
	pthread_t     thread;
	int           epoll;
	struct conn  *conn;
	size_t        nconn;
	struct conn **idle;		/* a ring of nconn, served in turn */
	size_t        idle_first, nidle, flying, again;
	uint64_t      planned;		/* how many requests so far, for their planned times */
	bool          dry;		/* no more requests */
	int64_t       first, last;	/* when the first one was sent and the last one answered */
	struct hist   hist;
	/* read by the progress line while the worker writes */
	count_t       sent, answered, odd, cut, retried, broken, late, refused, closed, unsent;
	uint64_t      status[STATUS_MAX];
	char          sample[512];	/* the first answer that was not expected */
};

static _Atomic uint64_t next_i;
static uint64_t         end_i;
static _Atomic int64_t  stop_at;	/* no request is planned later */
static int64_t          start_at;

static void bump(count_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static uint64_t seen(count_t *c) { return atomic_load_explicit(c, memory_order_relaxed); }

static void idle_push(struct worker *w, struct conn *c)
{
	assert(w->nidle < w->nconn);
	w->idle[(w->idle_first + w->nidle++) % w->nconn] = c;
	c->state = IDLE;
}

static struct conn *idle_pop(struct worker *w)
{
	struct conn *const c = w->idle[w->idle_first];

	w->idle_first = (w->idle_first + 1) % w->nconn;
	w->nidle--;
	return c;
}

/* Out of the ring, wherever it stands there: the server closed it, which is rare. */
static void idle_drop(struct worker *w, struct conn *c)
{
	for (size_t n = w->nidle; n > 0; n--) {
		struct conn *const other = idle_pop(w);

		if (other != c)
			idle_push(w, other);
	}
}

static void conn_watch(struct worker *w, struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(w->epoll, op, c->fd, &e) != 0) {
		perror("load: epoll_ctl");
		exit(EXIT_FAILURE);
	}
}

static void conn_open(struct worker *, struct conn *, int64_t now);

/* What was in flight is lost, or waits to be sent once more.  A connection that never worked is
 * opened anew by the sweep, not at once: a server that closes all would make this a busy loop. */
static void conn_close(struct worker *w, struct conn *c, count_t *why)
{
	const bool flying = c->state >= SENDING, anew = c->proven;

	if (c->state == IDLE)
		idle_drop(w, c);
	bump(why);
	close(c->fd);
	c->state = CLOSED;
	c->proven = false;
	if (flying) {
		w->flying--;
		w->last = clock_mono();
		c->again = opt.retry.n;
		w->again += c->again;
	}
	if (anew)
		conn_open(w, c, clock_mono());
}

static void conn_open(struct worker *w, struct conn *c, int64_t now)
{
	const int one = 1;

	c->fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("load: socket");
		exit(EXIT_FAILURE);
	}
	(void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->state = CONNECTING;
	c->began = now;
	if (connect(c->fd, (const struct sockaddr *) &target, target_len) != 0 &&
	    errno != EINPROGRESS) {
		conn_close(w, c, &w->refused);
		return;
	}
	conn_watch(w, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_send(struct worker *w, struct conn *c)
{
	const ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		conn_close(w, c, &w->cut);
		return;
	}
	if (n > 0)
		c->sent += (size_t) n;
	if (c->sent < c->out.n && c->state != SENDING) {
		c->state = SENDING;
		conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	} else if (c->sent == c->out.n && c->state == SENDING) {
		c->state = HEAD;
		conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void conn_ask(struct worker *w, struct conn *c, int64_t now)
{
	c->out.n = c->sent = 0;
	mode->write(&c->out, c->i);
	c->got = 0;
	c->began = now;
	c->state = HEAD;
	w->flying++;
	if (w->first == 0)
		w->first = now;
	bump(&w->sent);
	conn_send(w, c);
}

static void conn_answered(struct worker *w, struct conn *c)
{
	const int status = c->reply.status;

	w->last = clock_mono();
	w->flying--;
	w->status[status]++;
	hist_add(&w->hist, w->last - c->planned);
	bump(&w->answered);
	if (opt.expect.n ? status != opt.expect.n : status / 100 != 2) {
		if (seen(&w->odd) == 0)
			(void) snprintf(w->sample, sizeof w->sample, "%.*s", c->got, c->in);
		bump(&w->odd);
	}
	c->state = CONNECTING;		/* not in flight any more */
	c->proven = true;
	if (c->reply.close)
		conn_close(w, c, &w->closed);
	else
		idle_push(w, c);
}

/* What arrived: a head, part of a body, or what nobody asked for. */
static void conn_took(struct worker *w, struct conn *c, int n)
{
	int head;

	if (c->state == BODY) {
		c->left -= n;
	} else {
		c->got += n;
		head = reply_head(c->in, c->got, &c->reply);
		if (head < 0 || (head == 0 && c->got == IN_MAX)) {
			if (seen(&w->broken) == 0)
				(void) snprintf(w->sample, sizeof w->sample, "%.*s", c->got, c->in);
			conn_close(w, c, &w->broken);
			return;
		}
		if (head == 0)
			return;
		c->left = c->reply.length - (c->got - head);
		c->state = BODY;
	}
	if (c->left < 0)
		conn_close(w, c, &w->broken);
	else if (c->left == 0)
		conn_answered(w, c);
}

/* A body's later parts are dropped over its first: nobody reads them. */
static void conn_receive(struct worker *w, struct conn *c)
{
	const int from = c->state == BODY ? 0 : c->got;
	const ssize_t n = recv(c->fd, c->in + from, (size_t) (IN_MAX - from), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		conn_close(w, c, c->state >= SENDING ? &w->cut : &w->closed);
	else if (c->state >= HEAD)
		conn_took(w, c, (int) n);
	else
		conn_close(w, c, &w->broken);	/* an answer before its question was sent */
}

static void conn_connected(struct worker *w, struct conn *c)
{
	int e = 0;
	socklen_t n = sizeof e;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
		conn_close(w, c, &w->refused);
		return;
	}
	conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
	if (!c->again) {
		idle_push(w, c);
		return;
	}
	c->again = false;
	w->again--;
	bump(&w->retried);
	conn_ask(w, c, clock_mono());
}

static void conn_event(struct worker *w, struct conn *c, uint32_t events)
{
	if (c->state == CLOSED)
		return;			/* by an earlier event of the same lot */
	if (c->state == CONNECTING) {
		conn_connected(w, c);
		return;
	}
	if (c->state == SENDING && events & EPOLLOUT)
		conn_send(w, c);
	if (c->state != CLOSED && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		conn_receive(w, c);
}

/* ---- the loop --------------------------------------------------------------------------- */

/* When the next request is due; INT64_MAX: there is none. */
static int64_t pace_next(const struct worker *w, int64_t now)
{
	const int64_t stop = atomic_load_explicit(&stop_at, memory_order_relaxed);
	int64_t due = now;

	if (opt.rate.n)
		due = start_at + (int64_t) ((double) w->planned * (double) SECOND *
					    (double) opt.threads.n / (double) opt.rate.n);
	return w->dry || due >= stop ? INT64_MAX : due;
}

static void worker_start(struct worker *w, int64_t now)
{
	int64_t due;

	while (w->nidle > 0 && (due = pace_next(w, now)) <= now) {
		const uint64_t i = atomic_fetch_add_explicit(&next_i, 1, memory_order_relaxed);

		if (i >= end_i) {
			w->dry = true;
			return;
		}
		struct conn *const c = idle_pop(w);

		w->planned++;
		c->i = i;
		c->planned = due;
		conn_ask(w, c, now);
	}
}

/* Ten times a second: opens what is closed, gives up what takes too long. */
static void worker_sweep(struct worker *w, int64_t now)
{
	for (struct conn *c = w->conn; c < w->conn + w->nconn; c++) {
		if (c->state == CLOSED)
			conn_open(w, c, now);
		else if (c->state != IDLE && now - c->began > opt.timeout.n * SECOND)
			conn_close(w, c, &w->late);
	}
}

static int worker_patience(const struct worker *w, int64_t now)
{
	const int64_t due = w->nidle ? pace_next(w, now) : INT64_MAX;

	return due > now + 100 * MS ? 100 : due > now ? (int) ((due - now + MS - 1) / MS) : 0;
}

static void *worker_run(void *arg)
{
	struct worker *const w = arg;
	struct epoll_event event[EVENTS];
	int64_t swept = 0, now;

	for (;;) {
		now = clock_mono();
		if (now - swept > 100 * MS) {
			worker_sweep(w, now);
			swept = now;
		}
		worker_start(w, now);

		const bool over = pace_next(w, now) == INT64_MAX;
		const int64_t stop = atomic_load_explicit(&stop_at, memory_order_relaxed);

		if (over && w->flying == 0 && w->again == 0)
			break;
		if (now > stop + opt.timeout.n * SECOND)
			break;
		const int n = epoll_wait(w->epoll, event, EVENTS, worker_patience(w, now));

		for (int i = 0; i < n; i++)
			conn_event(w, event[i].data.ptr, event[i].events);
	}
	while (pace_next(w, INT64_MAX) != INT64_MAX && opt.rate.n) {	/* planned and never sent */
		w->planned++;
		bump(&w->unsent);
	}
	return NULL;
}

static void *must(void *p)
{
	if (p == NULL) {
		perror("load");
		exit(EXIT_FAILURE);
	}
	return p;
}

static void worker_init(struct worker *w, size_t nconn)
{
	char *room = must(malloc(nconn * (OUT_MAX + IN_MAX)));

	w->nconn = nconn;
	w->conn = must(calloc(nconn, sizeof *w->conn));
	w->idle = must(calloc(nconn, sizeof *w->idle));
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (struct conn *c = w->conn; c < w->conn + nconn; c++, room += OUT_MAX + IN_MAX) {
		c->out.p = room;
		c->in = room + OUT_MAX;
	}
}

/* All that is open before the first request: connecting is not what is measured. */
static void worker_connect(struct worker *w)
{
	const int64_t until = clock_mono() + 10 * SECOND;
	struct epoll_event event[EVENTS];

	for (int64_t now; w->nidle < w->nconn && (now = clock_mono()) < until;) {
		worker_sweep(w, now);
		const int n = epoll_wait(w->epoll, event, EVENTS, 20);

		for (int i = 0; i < n; i++)
			conn_event(w, event[i].data.ptr, event[i].events);
	}
	if (w->nidle == 0) {
		fprintf(stderr, "load: nobody answers at %s\n", opt.url.text);
		exit(EXIT_AWAY);
	}
	atomic_store(&w->refused, 0);	/* a full backlog, while all came at once */
}

/* ---- progress and summary --------------------------------------------------------------- */

static struct worker *worker;

static uint64_t total(size_t offset)
{
	uint64_t n = 0;

	for (int64_t i = 0; i < opt.threads.n; i++)
		n += seen((count_t *) (void *) ((char *) &worker[i] + offset));
	return n;
}
#define TOTAL(field) total(offsetof(struct worker, field))

/* Of requests; a connection that was refused cost none of them. */
static uint64_t errors(void)
{
	return TOTAL(odd) + TOTAL(unsent) + TOTAL(cut) + TOTAL(broken) + TOTAL(late) -
	       TOTAL(retried);
}

static void progress(int second, uint64_t *before)
{
	const uint64_t answered = TOTAL(answered);

	fprintf(stderr, "load: %3d s  %7llu/s  %9llu answered  %llu not as expected\n", second,
		(unsigned long long) (answered - *before), (unsigned long long) answered,
		(unsigned long long) errors());
	*before = answered;
}

static void json_text(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char) *s < ' ')
			printf("\\u%04x", (unsigned) *s);
		else
			putchar(*s);
	putchar('"');
}

static void json_counts(const uint64_t status[STATUS_MAX])
{
	const char *comma = "";

	printf("\"status\":{");
	for (int s = 0; s < STATUS_MAX; s++)
		if (status[s]) {
			printf("%s\"%d\":%llu", comma, s, (unsigned long long) status[s]);
			comma = ",";
		}
#define X(name) printf(",\"" #name "\":%llu", (unsigned long long) TOTAL(name))
	printf("}");
	X(sent); X(answered); X(cut); X(retried); X(broken);
	X(late); X(refused); X(closed); X(unsent);
#undef X
}

static void json_latency(const struct hist *h)
{
	static const struct { const char *name; double share; } at[] = {
		{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99_9", 0.999 },
	};

	printf(",\"latency_us\":{");
	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		printf("\"%s\":%lld,", at[i].name, (long long) hist_at(h, at[i].share));
	printf("\"max\":%lld,\"mean\":%.1f}", (long long) h->max,
	       h->n ? (double) h->sum / (double) h->n : 0.0);
}

static void summary(void)
{
	static struct hist h;
	static uint64_t status[STATUS_MAX];
	struct rusage use;
	int64_t first = INT64_MAX, last = 0;
	const char *sample = "";
	bool dry = false;

	for (struct worker *w = worker; w < worker + opt.threads.n; w++) {
		hist_merge(&h, &w->hist);
		for (int s = 0; s < STATUS_MAX; s++)
			status[s] += w->status[s];
		if (w->first && w->first < first)
			first = w->first;
		if (w->last > last)
			last = w->last;
		if (*w->sample)
			sample = w->sample;
		dry |= w->dry;
	}
	(void) getrusage(RUSAGE_SELF, &use);
	const double elapsed = last > first ? (double) (last - first) / (double) SECOND : 0;
	const uint64_t next = atomic_load(&next_i);

	printf("{\"mode\":\"%s\",\"connections\":%lld,\"rate_planned\":%lld,\"elapsed_s\":%.6f,"
	       "\"rate\":%.1f,", mode->name, (long long) opt.connections.n, (long long) opt.rate.n,
	       elapsed, elapsed > 0 ? (double) h.n / elapsed : 0);
	json_counts(status);
	json_latency(&h);
	printf(",\"start\":%lld,\"next\":%llu,\"exhausted\":%s,\"cpu_s\":%.3f,\"errors\":%llu,"
	       "\"sample\":", (long long) opt.start.n, (unsigned long long) (next < end_i ? next : end_i),
	       dry ? "true" : "false",
	       (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
	       (unsigned long long) errors());
	json_text(sample);
	puts("}");
}

/* ---- main ------------------------------------------------------------------------------- */

static void on_signal(int sig)
{
	(void) sig;
	atomic_store(&stop_at, clock_mono());
}

static void files_raise(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &most);
	}
}

static void work_find(void)
{
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
		if (strcmp(modes[m].name, opt.mode.text) == 0)
			mode = &modes[m];
	if (mode == NULL)
		usage("no such mode:", opt.mode.text);
	if (mode->with_file)
		requests = lines_read(opt.requests.text);
	if (*opt.tokens.text)
		tokens = lines_read(opt.tokens.text);
	if (opt.retry.n && !*opt.keys.text)
		usage("without --keys a second try may be a second booking:", "--retry");
	end_i = mode->most();
	if (opt.count.n && (uint64_t) opt.count.n < end_i - (uint64_t) opt.start.n)
		end_i = (uint64_t) (opt.start.n + opt.count.n);
	if ((uint64_t) opt.start.n >= end_i)
		usage("is beyond the last slot:", "--start");
	atomic_store(&next_i, (uint64_t) opt.start.n);
}

int main(int argc, char **argv)
{
	uint64_t before = 0;
	int64_t left, tick;

	options_read(argc, argv);
	target_find(opt.url.text);
	work_find();
	files_raise();
	if (opt.threads.n > opt.connections.n)
		opt.threads.n = opt.connections.n;
	worker = must(calloc((size_t) opt.threads.n, sizeof *worker));
	for (int64_t t = 0; t < opt.threads.n; t++) {
		const int64_t n = opt.connections.n / opt.threads.n +
				  (t < opt.connections.n % opt.threads.n);

		worker_init(&worker[t], (size_t) n);
		worker_connect(&worker[t]);
	}

	start_at = clock_mono();
	atomic_store(&stop_at, start_at + opt.seconds.n * SECOND);
	(void) signal(SIGINT, on_signal);
	(void) signal(SIGTERM, on_signal);
	for (struct worker *w = worker; w < worker + opt.threads.n; w++)
		if (pthread_create(&w->thread, NULL, worker_run, w) != 0)
			must(NULL);
	tick = start_at;
	for (int s = 1; !opt.quiet.n && s <= opt.seconds.n; s++) {
		tick += SECOND;
		while ((left = clock_left(tick)) > 0 && clock_mono() < atomic_load(&stop_at) &&
		       usleep((useconds_t) left) != 0)
			;
		progress(s, &before);
		if (clock_mono() >= atomic_load(&stop_at))
			break;
	}
	for (struct worker *w = worker; w < worker + opt.threads.n; w++)
		(void) pthread_join(w->thread, NULL);
	summary();
	return errors() ? EXIT_FAILURE : EXIT_SUCCESS;
}
