/*
 * servers.h - servers of a test's own, on free ports of the loopback, in one folder, gone with the
 * process: PostgreSQL with all migrations, NATS with JetStream, Redis.
 */
#ifndef TESTS_INTEGRATION_SERVERS_H
#define TESTS_INTEGRATION_SERVERS_H
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "actors/core/db.h"
#include "actors/core/migration.h"
#include "broker/base/clock.h"
#include "tests/unit/test.h"

struct server { pid_t pid; int port; };

static char folder[] = "/tmp/healthmed-test-XXXXXX";
static char postgres_url[160], nats_url[64], redis_url[64];
static struct server postgres, nats, redis;

static void pause_ms(int ms)
{
	(void) poll(NULL, 0, ms);
}

/* Waits for a condition; false when it does not come true within the seconds. */
#define WAIT(condition, seconds)                                                         \
	({                                                                               \
		const int64_t until_ = clock_mono() + (seconds) * SECOND;                \
		bool came_;                                                              \
		while (!(came_ = (condition)) && clock_mono() < until_)                  \
			pause_ms(20);                                                    \
		came_;                                                                   \
	})

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
	(void) close(fd);
	return ntohs(a.sin_port);
}

static bool answers(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool yes = connect(fd, (struct sockaddr *) &a, sizeof a) == 0;

	(void) close(fd);
	return yes;
}

/* As the user postgres when we are root: that server refuses anything else. */
static pid_t start(bool as_postgres, const char *const *argv)
{
	const struct passwd *pw = getpwnam("postgres");
	const pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	if (as_postgres && getuid() == 0 && (pw == NULL || setgid(pw->pw_gid) || setuid(pw->pw_uid)))
		_exit(125);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || chdir("/") != 0)
		_exit(125);

	const int null = open("/dev/null", O_RDWR);

	(void) dup2(null, 0);
	(void) dup2(null, 1);
	(void) dup2(null, 2);
	(void) setenv("PATH", "/usr/lib/postgresql/15/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/17/bin:"
		      "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
	(void) execvp(argv[0], (char *const *) (uintptr_t) argv);
	_exit(127);
}

static void stop_server(struct server *s, int sig)
{
	if (s->pid > 0) {
		(void) kill(s->pid, sig);
		(void) waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

static void stop_all(void)
{
	char command[128];

	stop_server(&nats, SIGKILL);
	stop_server(&redis, SIGKILL);
	stop_server(&postgres, SIGINT);
	(void) snprintf(command, sizeof command, "rm -rf %s", folder);
	if (system(command) != 0)
		print_error("%s is left\n", folder);
}

static void need_folder(void)
{
	static bool made;

	if (made)
		return;
	made = true;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(atexit(stop_all), 0);
}

/* What psql prints; for looking into the database from outside. */
__attribute__((unused)) static const char *sql(const char *text)
{
	static char out[4096];
	char command[4096];
	size_t n;

	(void) snprintf(command, sizeof command, "psql -X -q -A -t -v ON_ERROR_STOP=1 '%s' -c \"%s\" 2>&1",
			postgres_url, text);
	FILE *f = popen(command, "r");

	assert_non_null(f);
	n = fread(out, 1, sizeof out - 1, f);
	out[n] = '\0';
	if (pclose(f) != 0)
		fail_msg("%s: %s", text, out);
	if (n > 0 && out[n - 1] == '\n')
		out[n - 1] = '\0';
	return out;
}

static void start_postgres(void)
{
	char data[64], port[16];
	struct db *db = NULL;
	char why[256];

	(void) snprintf(data, sizeof data, "%s/data", folder);
	(void) snprintf(port, sizeof port, "%d", postgres.port);
	postgres.pid = start(true, (const char *const[]) { "postgres", "-D", data, "-k", folder, "-p", port,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100", NULL });
	assert_true(WAIT(db_open(postgres_url, NULL, &db, why).code == ERR_none, 30));
	db_close(db);
}

static void __attribute__((unused)) need_postgres(void)
{
	static unsigned char room[1 << 20];
	char data[64], why[256];
	struct arena mem;
	struct ctx c = { .mem = &mem };
	int status;

	if (postgres.pid > 0)
		return;
	need_folder();
	postgres.port = 5432;		/* names the socket, in a folder of ours */
	(void) snprintf(data, sizeof data, "%s/data", folder);
	(void) snprintf(postgres_url, sizeof postgres_url, "host=%s port=5432 dbname=postgres user=postgres",
			folder);
	const pid_t init = start(true, (const char *const[]) { "initdb", "-D", data, "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--no-sync", NULL });

	assert_int_equal(waitpid(init, &status, 0), init);
	assert_int_equal(status, 0);
	start_postgres();
	arena_init(&mem, room, sizeof room);
	assert_err(db_open(postgres_url, NULL, &c.db, why), none);
	for (size_t i = 0; i < migration_count; i++)
		if (db_script(&c, migration[i].text).code != ERR_none)
			fail_msg("%s: %s", migration[i].name, c.detail);
	db_close(c.db);
}

static void start_nats(void)
{
	char port[16], store[64];

	(void) snprintf(port, sizeof port, "%d", nats.port);
	(void) snprintf(store, sizeof store, "%s/nats", folder);
	nats.pid = start(false, (const char *const[]) { "nats-server", "-a", "127.0.0.1", "-p", port, "-js",
		"-sd", store, NULL });
	assert_true(WAIT(answers(nats.port), 20));
}

static void __attribute__((unused)) need_nats(void)
{
	if (nats.pid > 0)
		return;
	need_folder();
	nats.port = free_port();
	(void) snprintf(nats_url, sizeof nats_url, "nats://127.0.0.1:%d", nats.port);
	start_nats();
}

static void start_redis(void)
{
	char port[16];

	(void) snprintf(port, sizeof port, "%d", redis.port);
	redis.pid = start(false, (const char *const[]) { "redis-server", "--bind", "127.0.0.1", "--port", port,
		"--save", "", "--appendonly", "no", "--requirepass", "sesame", NULL });
	assert_true(WAIT(answers(redis.port), 20));
}

static void __attribute__((unused)) need_redis(void)
{
	if (redis.pid > 0)
		return;
	need_folder();
	redis.port = free_port();
	(void) snprintf(redis_url, sizeof redis_url, "redis://:sesame@127.0.0.1:%d", redis.port);
	start_redis();
}
#endif
