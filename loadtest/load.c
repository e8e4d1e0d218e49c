/*
 * load.c - the load generator: N connections over a few processes, one request at a time on each,
 * as cheap for the processor as can be, for it shares the machine with what it measures.
 *
 * Open loop (requests have planned times, and latency counts from those, so that a stall is not
 * hidden), or closed (each connection asks again when it was answered).  Must not judge: it counts
 * answers by status; what was booked, others count in the database.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/exits.h"
#include "loadtest/ask.h"
#include "loadtest/hist.h"
#include "loadtest/nats.h"
#include "loadtest/options.h"
#include "loadtest/pace.h"
#include "loadtest/reply.h"

enum {
	OUT_MAX = 4096, HTTP_IN = 4096, NATS_IN = 256 << 10, STATUS_MAX = 600, EVENTS = 256,
	AT_ONCE = 256,			/* connections being opened: more would not fit a backlog */
	CONNECT_S = 60, SECONDS_MAX = 86400,
};

/* ---- what all processes see ------------------------------------------------------------- */

/* What one process counted. */
struct worker_tally {
	count_t     sent, answered, odd, cut, retried, broken, late, refused, closed, unsent;
	count_t     first, last;	/* when the first was sent and the last one answered */
	count_t     cpu;		/* microseconds, without those of connecting */
	count_t     lost[STEPS_MAX];	/* not as expected, or never answered, of each step */
	count_t     status[KINDS][STATUS_MAX];
	struct hist hist[STEPS_MAX][KINDS];	/* by the step in which the request was due */
	char        sample[512];	/* the first answer that was not expected */
	_Atomic bool over;		/* no request is left */
};

static struct shared {
	_Atomic int     ready;		/* processes that are connected */
	_Atomic int64_t start_at;	/* 0: not yet */
	_Atomic int64_t stop_at;	/* no request is due later */
	struct worker_tally tally[];
} *shared;

static struct pace pace;
static bool        closed_loop;

/* ---- the target ------------------------------------------------------------------------- */

static struct sockaddr_storage target;
static socklen_t               target_len;
static char                    target_host[280];	/* as the header Host says it */
static char                    target_user[256], target_password[256];
static bool                    over_nats;

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
	char host[256] = "", port[8] = "";
	const char *at = url;
	int n = 0;

	over_nats = strncmp(url, "nats://", 7) == 0;
	if (!over_nats && strncmp(url, "http://", 7) != 0)
		usage("is neither http:// nor nats://:", url);
	at += 7;
	if (over_nats && sscanf(at, "%255[^:@/]:%255[^@/]@%n", target_user, target_password, &n) == 2)
		at += n;
	n = 0;
	if ((sscanf(at, "[%255[0-9a-fA-F:]]:%7[0-9]%n", host, port, &n) < 2 &&
	     sscanf(at, "%255[^:/]:%7[0-9]%n", host, port, &n) < 2 &&
	     sscanf(at, "%255[^:/]%n", host, &n) < 1) ||
	    (at[n] != '\0' && strcmp(at + n, "/") != 0))
		usage("is not of the form http://host[:port]:", url);
	if (getaddrinfo(host, *port ? port : over_nats ? "4222" : "80", &hints, &found) != 0)
		usage("no such host:", host);
	if (!is_loopback(found->ai_addr) && !(opt.allow_remote.n && opt.yes_really.n))
		usage("is not this machine; --allow-remote --yes-really if you may load it:", host);
	memcpy(&target, found->ai_addr, found->ai_addrlen);
	target_len = found->ai_addrlen;
	freeaddrinfo(found);
	(void) snprintf(target_host, sizeof target_host, "%.*s", (int) strcspn(at, "/"), at);
}

/* ---- a process and its connections ------------------------------------------------------ */

enum state { CLOSED, CONNECTING, GREETING, IDLE, SENDING, ASKED, BODY };	/* from SENDING on: in flight */

struct conn {
	int          fd;
	enum state   state;
	bool         again;		/* its request was cut and will be sent once more */
	bool         proven;		/* it has been answered on: worth opening anew at once */
	struct ask   ask;
	int          step;
	int64_t      due, began;	/* began: connecting, or sending */
	uint64_t     number;		/* of its requests, over NATS */
	char         inbox[48];
	struct reply reply;
	int64_t      left;		/* of the body that is being forgotten */
	int          got;		/* bytes in `in` */
	size_t       sent;
	struct text  out;
	char        *in;
};

static struct worker {
	int           id, epoll;
	struct conn  *conn;
	size_t        nconn, opening;
	struct conn **idle;		/* a ring of nconn, served in turn */
	size_t        idle_first, nidle, flying, again;
	uint64_t      planned;		/* how many requests so far, for their planned times */
	bool          dry;		/* no more requests */
	struct worker_tally *t;
} worker;

static size_t in_max(void) { return over_nats ? NATS_IN : HTTP_IN; }

static void bump(count_t *c) { tally_add(c, 1); }

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

static _Noreturn void broken_down(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void conn_watch(struct worker *w, struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (epoll_ctl(w->epoll, op, c->fd, &e) != 0)
		broken_down("load: epoll_ctl");
}

static void request_lost(struct worker *w, struct conn *c)
{
	atomic_store_explicit(&w->t->last, (uint64_t) clock_mono(), memory_order_relaxed);
	ask_answered(&c->ask, 0, STR(""));
	bump(&w->t->lost[c->step]);
}

static void conn_open(struct worker *, struct conn *, int64_t now);

/* What was in flight is lost, or waits to be sent once more.  A connection that never worked is
 * opened anew by the sweep, not at once: a server that closes all would make this a busy loop. */
static void conn_close(struct worker *w, struct conn *c, count_t *why)
{
	const bool flying = c->state >= SENDING, anew = c->proven;

	if (c->state == IDLE)
		idle_drop(w, c);
	if (c->state == CONNECTING || c->state == GREETING)
		w->opening--;
	bump(why);
	close(c->fd);
	c->state = CLOSED;
	c->proven = false;
	if (flying) {
		w->flying--;
		c->again = opt.retry.n;
		w->again += c->again;
		if (!c->again)
			request_lost(w, c);
	}
	if (anew)
		conn_open(w, c, clock_mono());
}

/* To the loopback from many addresses, for the ports of one are few and then slow to find. */
static void conn_from(const struct worker *w, struct conn *c)
{
	const int one = 1;
	const unsigned mine = (127u << 24) + (1u << 16) + ((unsigned) w->id << 8) + 1 + (unsigned) (c - w->conn) % 16;
	const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(mine) };

	if (target.ss_family == AF_INET && is_loopback((const struct sockaddr *) &target) &&
	    (setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0 ||
	     bind(c->fd, (const struct sockaddr *) &from, sizeof from) != 0))
		broken_down("load: bind");
}

static void conn_open(struct worker *w, struct conn *c, int64_t now)
{
	const int one = 1;

	c->fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		broken_down("load: socket");
	(void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	conn_from(w, c);
	c->state = CONNECTING;
	c->began = now;
	w->opening++;
	if (connect(c->fd, (const struct sockaddr *) &target, target_len) != 0 &&
	    errno != EINPROGRESS) {
		conn_close(w, c, &w->t->refused);
		return;
	}
	conn_watch(w, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_send(struct worker *w, struct conn *c)
{
	const ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		conn_close(w, c, &w->t->cut);
		return;
	}
	if (n > 0)
		c->sent += (size_t) n;
	if (c->sent < c->out.n && c->state != SENDING) {
		c->state = SENDING;
		conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	} else if (c->sent == c->out.n && c->state == SENDING) {
		c->state = ASKED;
		conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void conn_ask(struct worker *w, struct conn *c, int64_t now)
{
	c->out.n = c->sent = 0;
	if (over_nats)
		ask_nats(&c->ask, c->inbox, ++c->number, &c->out);
	else
		ask_http(&c->ask, target_host, &c->out);
	c->began = now;
	c->state = ASKED;
	w->flying++;
	if (tally_of(&w->t->first) == 0)
		tally_add(&w->t->first, (uint64_t) now);
	bump(&w->t->sent);
	conn_send(w, c);
}

static void conn_answered(struct worker *w, struct conn *c, int status, struct str body)
{
	const int64_t now = clock_mono();

	atomic_store_explicit(&w->t->last, (uint64_t) now, memory_order_relaxed);
	w->flying--;
	bump(&w->t->status[c->ask.kind][status]);
	hist_add(&w->t->hist[c->step][c->ask.kind], now - c->due);
	bump(&w->t->answered);
	ask_answered(&c->ask, status, body);
	if (!ask_expects(&c->ask, status)) {
		if (tally_of(&w->t->odd) == 0)
			(void) snprintf(w->t->sample, sizeof w->t->sample, "%.*s", c->got, c->in);
		bump(&w->t->odd);
		bump(&w->t->lost[c->step]);
	}
	c->proven = true;
	idle_push(w, c);
}

/* ---- HTTP ------------------------------------------------------------------------------- */

static void http_done(struct worker *w, struct conn *c, struct str body)
{
	const bool close_it = c->reply.close;

	conn_answered(w, c, c->reply.status, body);
	c->got = 0;
	if (close_it)
		conn_close(w, c, &w->t->closed);
}

/* What does not fit beside the head is read to be forgotten. */
static void http_took(struct worker *w, struct conn *c)
{
	const int head = reply_head(c->in, c->got, &c->reply);

	if (head < 0 || (head == 0 && c->got == HTTP_IN)) {
		if (tally_of(&w->t->broken) == 0)
			(void) snprintf(w->t->sample, sizeof w->t->sample, "%.*s", c->got, c->in);
		conn_close(w, c, &w->t->broken);
		return;
	}
	if (head == 0)
		return;
	c->left = c->reply.length - (c->got - head);
	if (c->left < 0)
		conn_close(w, c, &w->t->broken);
	else if (c->left == 0)
		http_done(w, c, (struct str) { c->in + head, (size_t) (c->got - head) });
	else if (c->got == HTTP_IN)
		c->state = BODY;
}

static void http_forget(struct worker *w, struct conn *c, int64_t n)
{
	c->left -= n;
	if (c->left < 0)
		conn_close(w, c, &w->t->broken);
	else if (c->left == 0)
		http_done(w, c, STR(""));
}

/* ---- NATS ------------------------------------------------------------------------------- */

static void nats_greet(struct worker *w, struct conn *c)
{
	static _Atomic unsigned drawn;

	(void) snprintf(c->inbox, sizeof c->inbox, "_INBOX.load%d.%u", (int) getpid(),
			atomic_fetch_add(&drawn, 1));
	c->out.n = (size_t) snprintf(c->out.p, c->out.cap,
		"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"
		"\"protocol\":1,\"name\":\"load\",\"lang\":\"c\",\"version\":\"1\",\"user\":\"%s\",\"pass\":\"%s\"}\r\n"
		"SUB %s.> 1\r\nPING\r\n", target_user, target_password, c->inbox);
	if (send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL) != (ssize_t) c->out.n)
		conn_close(w, c, &w->t->refused);
}

static void conn_open_now(struct worker *, struct conn *);

/* <inbox>.r<number> a reply, .a<number> what the stream says of a command, .o outcomes. */
static void nats_message(struct worker *w, struct conn *c, const struct nats_said *m)
{
	const size_t n = strlen(c->inbox);
	const char kind = m->subject.n > n + 1 ? m->subject.p[n + 1] : 0;
	int64_t number;
	int status = 0;

	if (c->state < SENDING)
		return;			/* of a request that was given up */
	if (kind == 'o') {
		status = ask_outcome(m->body, c->number);
	} else if (str_int((struct str) { m->subject.p + n + 2, m->subject.n - n - 2 }, &number) &&
		   (uint64_t) number == c->number) {
		status = ask_status(m->head);
		if (kind == 'a' && status == 200)
			status = memmem(m->body.p, m->body.n, "\"error\"", 7) ? 503 : 0;
	}
	if (status > 0 && status < STATUS_MAX)
		conn_answered(w, c, status, m->body);
}

static void nats_took(struct worker *w, struct conn *c)
{
	struct nats_said m;
	int at = 0, n = 0;

	while (at < c->got && c->state != CLOSED && (n = nats_read(c->in + at, c->got - at, &m)) > 0) {
		at += n;
		if (m.op == NATS_INFO && c->state == GREETING)
			nats_greet(w, c);
		else if (m.op == NATS_PING)
			(void) send(c->fd, "PONG\r\n", 6, MSG_NOSIGNAL);
		else if (m.op == NATS_PONG && c->state == GREETING)
			conn_open_now(w, c);
		else if (m.op == NATS_MSG)
			nats_message(w, c, &m);
		else if (m.op == NATS_ERR)
			fprintf(stderr, "load: %.*s\n", (int) m.body.n, m.body.p);
	}
	if (c->state == CLOSED)
		return;
	if (n < 0 || (n == 0 && at == 0 && c->got == NATS_IN)) {
		conn_close(w, c, &w->t->broken);
		return;
	}
	c->got -= at;
	memmove(c->in, c->in + at, (size_t) c->got);
}

/* ---- what happens to a connection ------------------------------------------------------- */

static void conn_receive(struct worker *w, struct conn *c)
{
	static char nowhere[256 << 10];
	const bool forget = c->state == BODY;
	const ssize_t n = recv(c->fd, forget ? nowhere : c->in + c->got,
			       forget ? sizeof nowhere : in_max() - (size_t) c->got, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_close(w, c, c->state >= SENDING ? &w->t->cut : &w->t->closed);
		return;
	}
	if (forget) {
		http_forget(w, c, n);
		return;
	}
	c->got += (int) n;
	if (over_nats)
		nats_took(w, c);
	else if (c->state == ASKED)
		http_took(w, c);
	else
		conn_close(w, c, &w->t->broken);	/* an answer before its question was sent */
}

/* It can be asked on: what was cut goes first. */
static void conn_open_now(struct worker *w, struct conn *c)
{
	w->opening--;
	if (!c->again) {
		idle_push(w, c);
		return;
	}
	c->again = false;
	w->again--;
	bump(&w->t->retried);
	conn_ask(w, c, clock_mono());
}

static void conn_connected(struct worker *w, struct conn *c)
{
	int e = 0;
	socklen_t n = sizeof e;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
		conn_close(w, c, &w->t->refused);
		return;
	}
	conn_watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
	c->got = 0;
	c->state = GREETING;
	if (!over_nats)
		conn_open_now(w, c);
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

/* When the next request is due, and in which step; INT64_MAX: there is none. */
static int64_t next_due(const struct worker *w, int64_t now, int *step)
{
	const int64_t start = atomic_load_explicit(&shared->start_at, memory_order_relaxed);
	const int64_t stop = atomic_load_explicit(&shared->stop_at, memory_order_relaxed);
	int64_t due = now;

	*step = 0;
	if (!closed_loop) {
		due = pace_due(&pace, w->planned * (uint64_t) opt.processes.n + (uint64_t) w->id, step);
		due = due == INT64_MAX ? due : start + due;
	}
	return w->dry || due >= stop ? INT64_MAX : due;
}

static void worker_start(struct worker *w, int64_t now)
{
	struct ask ask;
	int64_t due;
	int step;

	while (w->nidle > 0 && (due = next_due(w, now, &step)) <= now) {
		const enum ask_next next = ask_next(&ask);

		if (next == ASK_OVER) {
			w->dry = true;
			atomic_store(&w->t->over, true);
			return;
		}
		w->planned++;
		if (next == ASK_NONE) {
			bump(&w->t->unsent);
			bump(&w->t->lost[step]);
			continue;
		}
		struct conn *const c = idle_pop(w);

		c->ask = ask;
		c->due = due;
		c->step = step;
		conn_ask(w, c, now);
	}
}

/* Ten times a second: opens what is closed, gives up what takes too long. */
static void worker_sweep(struct worker *w, int64_t now)
{
	for (struct conn *c = w->conn; c < w->conn + w->nconn; c++) {
		if (c->state == CLOSED && w->opening < AT_ONCE)
			conn_open(w, c, now);
		else if (c->state != CLOSED && c->state != IDLE && now - c->began > opt.timeout.n * SECOND)
			conn_close(w, c, &w->t->late);
	}
}

/* Takes what happens until then, and no longer than 100 ms. */
static void worker_wait(struct worker *w, int64_t until)
{
	struct epoll_event event[EVENTS];
	const int64_t now = clock_mono();
	const int64_t us = until <= now ? 0 : until - now < 100 * MS ? until - now : 100 * MS;
	const struct timespec t = { .tv_nsec = us * 1000 };
	const int n = epoll_pwait2(w->epoll, event, EVENTS, &t, NULL);

	for (int i = 0; i < n; i++)
		conn_event(w, event[i].data.ptr, event[i].events);
}

static void worker_run(struct worker *w)
{
	int64_t swept = 0, now;
	int step;

	for (;;) {
		now = clock_mono();
		if (now - swept > 100 * MS) {
			worker_sweep(w, now);
			swept = now;
		}
		worker_start(w, now);

		const int64_t due = next_due(w, now, &step);
		const int64_t stop = atomic_load_explicit(&shared->stop_at, memory_order_relaxed);

		if (due == INT64_MAX && w->flying == 0 && w->again == 0)
			break;
		if (now > stop + opt.timeout.n * SECOND)
			break;
		worker_wait(w, w->nidle ? due : INT64_MAX);
	}
	while (!closed_loop && next_due(w, INT64_MAX, &step) != INT64_MAX) {	/* planned and never sent */
		w->planned++;
		bump(&w->t->unsent);
		bump(&w->t->lost[step]);
	}
}

static void *must(void *p)
{
	if (p == NULL || p == MAP_FAILED)
		broken_down("load");
	return p;
}

static void *mapped(size_t n)
{
	return must(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

static void worker_init(struct worker *w, int id)
{
	char *room;

	w->id = id;
	w->t = &shared->tally[id];
	w->nconn = (size_t) (opt.connections.n / opt.processes.n + (id < opt.connections.n % opt.processes.n));
	w->conn = must(calloc(w->nconn, sizeof *w->conn));
	w->idle = must(calloc(w->nconn, sizeof *w->idle));
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	room = mapped(w->nconn * (OUT_MAX + in_max()));
	for (struct conn *c = w->conn; c < w->conn + w->nconn; c++, room += OUT_MAX + in_max()) {
		c->out = (struct text) { room, 0, OUT_MAX };
		c->in = room + OUT_MAX;
	}
	ask_mine(id, (int) opt.processes.n);
}

/* All that is open before the first request: connecting is not what is measured. */
static void worker_connect(struct worker *w)
{
	const int64_t until = clock_mono() + CONNECT_S * SECOND;

	for (int64_t now; w->nidle < w->nconn && (now = clock_mono()) < until;) {
		if (w->opening < AT_ONCE / 2)
			worker_sweep(w, now);
		worker_wait(w, now + 20 * MS);
		if (w->nidle == 0 && tally_of(&w->t->refused) > 20 * (uint64_t) w->nconn)
			break;
	}
	if (w->nidle < w->nconn) {
		fprintf(stderr, w->nidle ? "load: only %zu of %zu connections can be opened at %s\n" :
			"load: nobody answers (%zu of %zu connections) at %s\n", w->nidle, w->nconn, target_host);
		exit(EXIT_AWAY);
	}
	atomic_store(&w->t->refused, 0);	/* a full backlog, while all came at once */
	atomic_store(&w->t->closed, 0);
}

static void on_signal(int sig)
{
	(void) sig;
	atomic_store(&shared->stop_at, clock_mono());
}

static uint64_t cpu_used(void)
{
	struct rusage use;

	(void) getrusage(RUSAGE_SELF, &use);
	return (uint64_t) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * SECOND +
	       (uint64_t) (use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static _Noreturn void worker_main(int id)
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker_init(&worker, id);
	worker_connect(&worker);
	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->start_at) == 0)
		worker_wait(&worker, clock_mono() + MS);

	const uint64_t before = cpu_used();

	worker_run(&worker);
	tally_add(&worker.t->cpu, cpu_used() - before);
	exit(EXIT_SUCCESS);
}

/* ---- sums over the processes ------------------------------------------------------------ */

static uint64_t total(size_t offset)
{
	uint64_t n = 0;

	for (int64_t i = 0; i < opt.processes.n; i++)
		n += tally_of((count_t *) (void *) ((char *) &shared->tally[i] + offset));
	return n;
}
#define TOTAL(field) total(offsetof(struct worker_tally, field))

/* Of requests; a connection that was refused cost none of them. */
static uint64_t errors(void)
{
	return TOTAL(odd) + TOTAL(unsent) + TOTAL(cut) + TOTAL(broken) + TOTAL(late) -
	       TOTAL(retried);
}

static uint64_t lost_in(int step)
{
	return total(offsetof(struct worker_tally, lost) + (size_t) step * sizeof(count_t));
}

/* Of these steps and these kinds; -1: all of them. */
static const struct hist *hist_of(int step, int kind, struct hist *sum)
{
	memset(sum, 0, sizeof *sum);
	for (int64_t i = 0; i < opt.processes.n; i++)
		for (int s = 0; s < pace.n; s++)
			for (int k = 0; k < KINDS; k++)
				if ((step < 0 || s == step) && (kind < 0 || k == kind))
					hist_merge(sum, &shared->tally[i].hist[s][k]);
	return sum;
}

/* ---- progress --------------------------------------------------------------------------- */

static struct second { uint64_t sent, answered, lost, backlog; int step; int64_t p50, p99; } *second;
static int seconds;

static uint64_t due_by(int64_t us)
{
	uint64_t low = 0, high = UINT64_C(1) << 40;
	int step;

	while (low < high) {
		const uint64_t mid = low + (high - low) / 2;

		if (pace_due(&pace, mid, &step) < us)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void progress(int64_t now)
{
	static struct hist sum, before;
	static struct second all;
	const int64_t us = now - atomic_load(&shared->start_at);
	struct second s = { .sent = TOTAL(sent), .answered = TOTAL(answered), .lost = errors() }, d = s;

	hist_of(-1, -1, &sum);
	d.step = pace_step(&pace, us - SECOND / 2);
	d.p50 = hist_since(&sum, &before, 0.5);
	d.p99 = hist_since(&sum, &before, 0.99);
	memcpy(&before, &sum, sizeof before);
	d.sent -= all.sent;
	d.answered -= all.answered;
	d.lost -= all.lost;
	d.backlog = closed_loop ? s.sent : due_by(us);
	d.backlog -= d.backlog > s.answered ? s.answered : d.backlog;
	if ((double) us > pace_seconds(&pace) * (double) SECOND && d.sent + d.answered + d.lost == 0)
		return;			/* only connections are being closed */
	all = s;
	if (seconds < SECONDS_MAX)
		second[seconds++] = d;
	if (!opt.quiet.n)
		fprintf(stderr, "%-9s %4d s  step %d  %7llu/s  p50 %8.2f ms  p99 %8.2f ms  %6llu wait  "
			"%llu not as expected\n", opt.name.text, seconds, d.step + 1,
			(unsigned long long) d.answered, (double) d.p50 / 1e3, (double) d.p99 / 1e3,
			(unsigned long long) d.backlog, (unsigned long long) s.lost);
}

/* No more steps after one that was too much. */
static void judge_step(int64_t now)
{
	static struct hist sum;
	static int judged;
	const int64_t start = atomic_load(&shared->start_at);
	const int under_way = pace_step(&pace, now - start);

	for (; opt.give_up_ms.n && judged < under_way; judged++)
		if (hist_at(hist_of(judged, -1, &sum), 0.99) > opt.give_up_ms.n * MS) {
			atomic_store(&shared->stop_at, now);
			judged = STEPS_MAX;
		}
}

/* ---- summary ---------------------------------------------------------------------------- */

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

static void json_latency(const struct hist *h)
{
	static const struct { const char *name; double share; } at[] = {
		{ "p50", 0.5 }, { "p75", 0.75 }, { "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 },
		{ "p99_9", 0.999 },
	};
	const uint64_t n = tally_of(&h->n);

	printf("\"latency_us\":{");
	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		printf("\"%s\":%lld,", at[i].name, (long long) hist_at(h, at[i].share));
	printf("\"max\":%llu,\"mean\":%.1f}", (unsigned long long) tally_of(&h->max),
	       n ? (double) tally_of(&h->sum) / (double) n : 0.0);
}

static void json_status(int kind)
{
	const char *comma = "";

	printf("\"status\":{");
	for (size_t s = 0; s < STATUS_MAX; s++) {
		uint64_t n = 0;

		for (size_t k = 0; k < KINDS; k++)
			if (kind < 0 || k == (size_t) kind)
				n += total(offsetof(struct worker_tally, status) +
					   (k * STATUS_MAX + s) * sizeof(count_t));
		if (n) {
			printf("%s\"%zu\":%llu", comma, s, (unsigned long long) n);
			comma = ",";
		}
	}
	printf("}");
}

static void json_hist(int step, int kind)
{
	static struct hist h;

	hist_of(step, kind, &h);
	printf("\"answered\":%llu,", (unsigned long long) tally_of(&h.n));
	json_latency(&h);
}

static void json_kinds(int step)
{
	static struct hist h;
	const char *comma = "";

	printf("\"kinds\":{");
	for (int k = 0; k < KINDS; k++) {
		if (tally_of(&hist_of(step, k, &h)->n) == 0)
			continue;
		printf("%s\"%s\":{", comma, ask_names[k]);
		json_hist(step, k);
		if (step < 0) {
			putchar(',');
			json_status(k);
		}
		putchar('}');
		comma = ",";
	}
	printf("}");
}

static void json_steps(double elapsed)
{
	double begin = 0;

	printf("\"steps\":[");
	for (int k = 0; k < pace.n && (k == 0 || begin < elapsed); begin += pace.step[k++].seconds) {
		printf("%s{\"rate\":%g,\"seconds\":%g,\"lost\":%llu,", k ? "," : "", pace.step[k].rate,
		       pace.step[k].seconds, (unsigned long long) lost_in(k));
		json_hist(k, -1);
		putchar(',');
		json_kinds(k);
		putchar('}');
	}
	printf("],\"seconds\":[");
	for (const struct second *s = second; s < second + seconds; s++)
		printf("%s{\"step\":%d,\"sent\":%llu,\"answered\":%llu,\"lost\":%llu,\"waiting\":%llu,\"p50\":%lld,"
		       "\"p99\":%lld}", s == second ? "" : ",", s->step, (unsigned long long) s->sent,
		       (unsigned long long) s->answered, (unsigned long long) s->lost,
		       (unsigned long long) s->backlog, (long long) s->p50, (long long) s->p99);
	printf("]");
}

static void summary(void)
{
	int64_t first = INT64_MAX, last = 0;
	const char *sample = "";
	bool over = false;

	for (int64_t i = 0; i < opt.processes.n; i++) {
		const struct worker_tally *t = &shared->tally[i];
		const int64_t from = (int64_t) tally_of(&t->first), to = (int64_t) tally_of(&t->last);

		first = from && from < first ? from : first;
		last = to > last ? to : last;
		sample = *t->sample ? t->sample : sample;
		over |= atomic_load(&t->over);
	}
	const double elapsed = last > first ? (double) (last - first) / (double) SECOND : 0;

	printf("{\"name\":");
	json_text(opt.name.text);
	printf(",\"connections\":%lld,\"processes\":%lld,\"closed_loop\":%s,\"elapsed_s\":%.6f,\"rate\":%.1f,",
	       (long long) opt.connections.n, (long long) opt.processes.n, closed_loop ? "true" : "false", elapsed,
	       elapsed > 0 ? (double) TOTAL(answered) / elapsed : 0);
#define X(name) printf("\"" #name "\":%llu,", (unsigned long long) TOTAL(name))
	X(sent); X(cut); X(retried); X(broken); X(late); X(refused); X(closed); X(unsent);
#undef X
	json_status(-1);
	putchar(',');
	json_hist(-1, -1);
	putchar(',');
	json_kinds(-1);
	putchar(',');
	json_steps(elapsed);
	printf(",\"start\":%lld,\"next\":%llu,\"exhausted\":%s,\"cpu_s\":%.3f,\"errors\":%llu,\"sample\":",
	       (long long) opt.start.n, (unsigned long long) ask_booked(), over ? "true" : "false",
	       (double) TOTAL(cpu) / 1e6, (unsigned long long) errors());
	json_text(sample);
	puts("}");
}

/* ---- main ------------------------------------------------------------------------------- */

static void files_raise(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &most);
		if ((rlim_t) (opt.connections.n / opt.processes.n + 64) > most.rlim_cur)
			usage("have not enough files for their connections:", "--processes");
	}
}

static void pace_find(void)
{
	if (!*opt.steps.text) {
		closed_loop = opt.rate.n == 0;
		pace = (struct pace) { { { (double) opt.rate.n, (double) opt.seconds.n } }, 1 };
	} else if (!pace_read(opt.steps.text, &pace)) {
		usage("is a list of RATE:SECONDS,…:", "--steps");
	}
}

/* Whether one of the processes has ended; the way in which it did not do well ends us too. */
static bool reap(int flags)
{
	int status;
	const pid_t pid = waitpid(-1, &status, flags);

	if (pid > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		fprintf(stderr, "load: a process of the generator died\n");
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
	}
	return pid > 0;
}

int main(int argc, char **argv)
{
	int left;

	options_read(argc, argv);
	target_find(opt.url.text);
	pace_find();
	if (opt.processes.n > opt.connections.n)
		opt.processes.n = opt.connections.n;
	files_raise();
	if (opt.retry.n && !*opt.keys.text)
		usage("without --keys a second try may be a second booking:", "--retry");
	ask_init(mapped(ask_shared()));
	shared = mapped(sizeof *shared + (size_t) opt.processes.n * sizeof *shared->tally);
	second = must(calloc(SECONDS_MAX, sizeof *second));

	(void) signal(SIGINT, on_signal);
	(void) signal(SIGTERM, on_signal);
	for (left = 0; left < opt.processes.n; left++) {
		const pid_t pid = fork();

		if (pid < 0)
			broken_down("load: fork");
		if (pid == 0)
			worker_main(left);
	}
	while (atomic_load(&shared->ready) < left)
		if (!reap(WNOHANG))
			usleep(1000);

	const int64_t start = clock_mono() + 20 * MS;

	if (atomic_load(&shared->stop_at) == 0)
		atomic_store(&shared->stop_at, start + (int64_t) (pace_seconds(&pace) * (double) SECOND));
	atomic_store(&shared->start_at, start);
	for (int64_t tick = start + SECOND; left > 0;) {
		while (left > 0 && clock_mono() < tick)
			if (reap(WNOHANG))
				left--;
			else
				usleep(10000);
		if (clock_mono() > tick - SECOND / 2)	/* the end of the last second, too */
			progress(clock_mono());
		judge_step(clock_mono());
		tick += SECOND;
	}
	summary();
	return errors() ? EXIT_FAILURE : EXIT_SUCCESS;
}
