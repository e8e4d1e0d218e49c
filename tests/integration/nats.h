/*
 * nats.h - a NATS server of the test's own, on a free port, in a folder under /tmp; it goes with
 * the test.  And threads, and waiting for conditions.
 */
#ifndef TESTS_INTEGRATION_NATS_H
#define TESTS_INTEGRATION_NATS_H
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/bus.h"
#include "tests/unit/test.h"

/* Looks every 2 ms until it holds, for at most `seconds`. */
#define EVENTUALLY(seconds, condition)                                                  \
	do {                                                                            \
		const int64_t until_ = clock_mono() + (seconds) * SECOND;               \
		while (!(condition) && clock_mono() < until_)                           \
			(void) nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL); \
		assert_true(condition);                                                 \
	} while (0)

static struct { pid_t pid; int port; char folder[32], url[64]; } nats;

static bool nats_listens(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) nats.port),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const bool yes = connect(fd, (const struct sockaddr *) &to, sizeof to) == 0;

	(void) close(fd);
	return yes;
}

static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof at;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *) &at, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &at, &n), 0);
	(void) close(fd);
	return ntohs(at.sin_port);
}

/* Again on the same port and the same data after nats_stop. */
static void nats_start(void)
{
	char port[8], log[64];

	if (nats.port == 0) {
		(void) strcpy(nats.folder, "/tmp/healthmed-test-XXXXXX");
		assert_non_null(mkdtemp(nats.folder));
		nats.port = free_port();
		(void) snprintf(nats.url, sizeof nats.url, "nats://127.0.0.1:%d", nats.port);
	}
	(void) snprintf(port, sizeof port, "%d", nats.port);
	(void) snprintf(log, sizeof log, "%s/log", nats.folder);
	char *const argv[] = { (char[]) { "nats-server" }, (char[]) { "-a" }, (char[]) { "127.0.0.1" },
		(char[]) { "-p" }, port, (char[]) { "-js" }, (char[]) { "-sd" }, nats.folder,
		(char[]) { "-l" }, log, NULL };

	nats.pid = fork();
	if (nats.pid == 0) {
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);	/* also when the test crashes */
		(void) execvp(argv[0], argv);
		_exit(127);
	}
	assert_true(nats.pid > 0);
	EVENTUALLY(10, nats_listens());
}

static void nats_stop(void)
{
	if (nats.pid == 0)
		return;
	(void) kill(nats.pid, SIGCONT);
	(void) kill(nats.pid, SIGKILL);
	(void) waitpid(nats.pid, NULL, 0);
	nats.pid = 0;
}

static void nats_end(void)
{
	char command[64];

	nats_stop();
	(void) snprintf(command, sizeof command, "rm -rf %s", nats.folder);
	if (nats.folder[0] != '\0' && system(command) != 0)
		(void) fprintf(stderr, "%s failed\n", command);
}

/* A connection to the server, which the first caller starts. */
static struct bus *new_bus(void)
{
	struct bus *b = NULL;
	char why[256];

	if (nats.folder[0] == '\0')
		(void) atexit(nats_end);
	if (nats.pid == 0)
		nats_start();
	assert_err(bus_open(nats.url, "test", &b, why), none);
	return b;
}

/* A context of a thread's own, with a deadline; the thread's former one is gone. */
static inline struct ctx *own_ctx(int64_t deadline_us)
{
	/* Not of the thread's own memory: what an arena has poisoned there, the next thread would find. */
	enum { SIZE = 1 << 16, THREADS = 512 };
	static unsigned char room[THREADS][SIZE];
	static atomic_uint threads;
	static _Thread_local unsigned char *storage;
	static _Thread_local struct arena mem;
	static _Thread_local struct ctx c;

	if (storage == NULL)
		storage = room[atomic_fetch_add(&threads, 1) % THREADS];
	arena_init(&mem, storage, SIZE);
	c = (struct ctx) { .mem = &mem, .deadline = clock_mono() + deadline_us };
	return &c;
}

static inline struct ctx *within(int64_t deadline_us)
{
	struct ctx *c = fresh();

	c->deadline = clock_mono() + deadline_us;
	return c;
}
#endif
