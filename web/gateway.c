/*
 * gateway.c - see gateway.h: puts a gateway together, waits for a signal, takes it apart.
 *
 * Must not answer a request.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/base/log.h"
#include "web/gateway.h"
#include "web/handle.h"
#include "web/router.h"
#include "web/sessions.h"

enum { SECRET_MIN = 32, PING_ROOM = 8192 };
#define GRACE      (300 * MS)		/* whoever asks /readyz sees it before the door closes */
#define LAST_CALL  (40 * SECOND)	/* longer than any request may take */

static struct gateway gateway;
static struct sessions *sessions;

static bool nats_is_well(void *of, char *detail, size_t size)
{
	const struct gateway *g = of;

	for (size_t i = 0; i < GATEWAY_BUSES; i++)
		if (!bus_is_up(g->bus[i]))
			return (void) snprintf(detail, size, "connection %zu is down", i), false;
	return true;
}

/* Does anybody of that domain answer? */
static bool domain_is_well(void *of, char *detail, size_t size)
{
	/* An arena poisons its storage, so that it must not be of the stack. */
	static _Thread_local unsigned char room[PING_ROOM];
	struct headers h = { .n = 0 };
	struct arena mem;
	struct ctx c = { .mem = &mem, .deadline = clock_mono() + SECOND };
	char subject[64];
	struct str reply;

	arena_init(&mem, room, sizeof room);
	(void) snprintf(subject, sizeof subject, "$SRV.PING.%s", (const char *) of);
	const err_t e = bus_request(&c, gateway.bus[0], subject, &h, STR(""), &reply);

	if (e.code)
		(void) snprintf(detail, size, "%s", err_info[e.code].code);
	return e.code == ERR_none;
}

static bool sessions_are_well(void *of, char *detail, size_t size)
{
	(void) of;
	if (!sessions_known(sessions))
		(void) snprintf(detail, size, "not heard yet which have ended");
	return sessions_known(sessions);
}

static const struct check checks[] = {
	{ "nats",         nats_is_well,   &gateway },
	{ "users",        domain_is_well, (void *) (uintptr_t) "users" },
	{ "schedules",    domain_is_well, (void *) (uintptr_t) "schedules" },
	{ "appointments", domain_is_well, (void *) (uintptr_t) "appointments" },
	{ "booking",      domain_is_well, (void *) (uintptr_t) "booking" },
	{ "reviews",      domain_is_well, (void *) (uintptr_t) "reviews" },
	{ "reports",      domain_is_well, (void *) (uintptr_t) "reports" },
	{ "sessions",     sessions_are_well, NULL },
	{ "files",        domain_is_well, (void *) (uintptr_t) "files" },
};

static int away(const char *why, int code)
{
	(void) fprintf(stderr, "healthmed gateway: %s\n", why);
	return code;
}

static int connect_buses(struct gateway *g)
{
	char why[256] = "", name[64];

	for (size_t i = 0; i < GATEWAY_BUSES; i++) {
		(void) snprintf(name, sizeof name, "healthmed gateway %d.%zu", (int) getpid(), i);
		if (bus_open(config_text(CONFIG_NATS_URL), name, &g->bus[i], why).code)
			return away(why, EXIT_AWAY);
	}
	if (bus_listen(g->bus[0], "healthmed.v1.progress.*", memory_progress, &g->memory).code)
		return away("cannot subscribe to healthmed.v1.progress.*", EXIT_AWAY);
	if (bus_listen(g->bus[0], "healthmed.v1.events.users.erased.*", memory_erased, &g->memory).code)
		return away("cannot subscribe to healthmed.v1.events.users.erased.*", EXIT_AWAY);
	if (sessions_start(g->bus[0], &g->ended, &sessions).code)
		return away("cannot subscribe to healthmed.v1.events.users.revoked.*", EXIT_AWAY);
	return 0;
}

static int open_all(struct gateway *g, struct http **http)
{
	char why[256] = "";

	g->secret = str_of(config_text(CONFIG_REQUEST_KEY));
	if (g->secret.n < SECRET_MIN)
		return away("HEALTHMED_REQUEST_KEY: 32 characters or more", EXIT_CONFIG);
	g->auth = auth_open(config_text(CONFIG_JWT_PUBLIC_KEYS), config_text(CONFIG_JWT_ISSUER),
			    config_text(CONFIG_JWT_AUDIENCE), why);
	if (g->auth == NULL)
		return away(why, EXIT_CONFIG);
	g->origins = config_text(CONFIG_CORS_ORIGINS);
	if (!nets_read(&g->proxies, config_text(CONFIG_TRUSTED_PROXIES)))
		return away("HEALTHMED_TRUSTED_PROXIES: not a list of addresses", EXIT_CONFIG);
	limit_init(&g->requests, config_int(CONFIG_LIMIT_REQUESTS));
	limit_init(&g->registrations, config_int(CONFIG_LIMIT_REGISTRATIONS));
	limit_init(&g->logins, config_int(CONFIG_LIMIT_LOGINS));
	memory_init(&g->memory);
	crowd_init(&g->crowd, (int) config_int(CONFIG_GATEWAY_THREADS));
	ended_init(&g->ended);
	microcache_init(&g->microcache, config_int(CONFIG_GATEWAY_KEEP_MS) * MS);
	router_build();

	const int code = connect_buses(g);

	if (code)
		return code;
	g->admin = admin_start(config_text(CONFIG_ADMIN_LISTEN), checks, COUNT(checks));
	if (g->admin == NULL) {
		(void) snprintf(why, sizeof why,
				"cannot listen on HEALTHMED_ADMIN_LISTEN %.100s: %s",
				config_text(CONFIG_ADMIN_LISTEN), strerror(errno));
		return away(why, EXIT_AWAY);
	}
	*http = http_start(config_text(CONFIG_HTTP_LISTEN),
			   (int) config_int(CONFIG_GATEWAY_THREADS), handle, g, why);
	return *http == NULL ? away(why, EXIT_AWAY) : 0;
}

static void close_all(struct gateway *g)
{
	if (g->admin != NULL)
		admin_stop(g->admin);
	sessions_stop(sessions);
	if (g->bus[0] != NULL)
		bus_unlisten(g->bus[0], &g->memory);
	for (size_t i = 0; i < GATEWAY_BUSES; i++)
		if (g->bus[i] != NULL)
			bus_close(g->bus[i]);
	auth_close(g->auth);
}

/* Until it is known which sessions have ended, or for long enough; the signal that came meanwhile, or 0. */
static int await_sessions(const sigset_t *ends)
{
	const struct timespec moment = { .tv_nsec = 20 * MS * 1000 };
	const int64_t until = clock_mono() + SESSIONS_PATIENCE;

	while (!sessions_known(sessions)) {
		const int signal = sigtimedwait(ends, NULL, &moment);

		if (signal > 0)
			return signal;
		if (clock_mono() >= until) {
			log_line(LOG_WARNING, "sessions_unknown", NULL, "%s", "");
			break;
		}
	}
	return 0;
}

static int serve(struct gateway *g, struct http *http)
{
	sigset_t ends;
	int signal;

	(void) sigemptyset(&ends);
	(void) sigaddset(&ends, SIGTERM);
	(void) sigaddset(&ends, SIGINT);
	signal = await_sessions(&ends);
	admin_ready(g->admin, signal == 0);
	log_line(LOG_INFO, "started", NULL, "\"role\":\"gateway\",\"port\":%d,\"admin_port\":%d",
		 http_port(http), admin_port(g->admin));
	while (signal == 0 && sigwait(&ends, &signal) != 0)
		;
	admin_ready(g->admin, false);
	log_line(LOG_INFO, "draining", NULL, "\"signal\":%d", signal);
	clock_rest(GRACE);
	http_stop(http, LAST_CALL);
	log_line(LOG_INFO, "stopped", NULL, "\"role\":\"gateway\"");
	return bus_was_refused() ? EXIT_AWAY : 0;
}

static int help(void)
{
	(void) printf(
	    "Usage: healthmed gateway\n\n"
	    "Serves the HTTP API on HEALTHMED_HTTP_LISTEN and passes what is asked to the actors\n"
	    "over NATS; it has no database and holds public keys only.  SIGTERM lets the requests\n"
	    "that have come finish, then ends it.  `healthmed config` lists what can be set.\n");
	return 0;
}

int gateway_main(int argc, char **argv)
{
	struct http *http = NULL;
	int code;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help();
	if (argc > 1) {
		(void) fprintf(stderr, "healthmed gateway: takes no argument; see --help\n");
		return EXIT_USAGE;
	}
	code = open_all(&gateway, &http);
	if (code == 0)
		code = serve(&gateway, http);
	close_all(&gateway);
	return code;
}
