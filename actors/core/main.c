/*
 * main.c - the subcommand `actor`: which pools a process has, and in what order they come and go.
 * Must not know what a domain does.
 *
 * A dependency that is away is waited for, for ever: /readyz says which.  Only a configuration that
 * cannot work ends the start.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "actors/appointments/appointments.h"
#include "actors/booking/chores.h"
#include "actors/booking/mailbox.h"
#include "actors/core/commands.h"
#include "actors/core/dispatch.h"
#include "actors/core/follower.h"
#include "actors/core/outbox.h"
#include "actors/core/worker.h"
#include "actors/files/files.h"
#include "actors/reviews/reviews.h"
#include "actors/schedules/schedules.h"
#include "actors/users/cards.h"
#include "actors/users/users.h"
#include "broker/admin.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/base/log.h"
#include "broker/discovery.h"
#include "broker/stream.h"

static const char usage[] =
	"Usage: healthmed actor DOMAIN...|all\n"
	"\n"
	"Answers the requests of one or several domains: users, schedules, appointments, reviews, reports,\n"
	"files; booking is the mailboxes, in which every change of an agenda is decided.  `all` is all of them in\n"
	"one process.  SIGTERM finishes what was taken and ends.  Settings: `healthmed config`.\n";

enum { DOMAINS = 7 };
#define AGAIN_US (2 * SECOND)

/* Who has a pool, what else it needs, and which facts make its cache stale. */
static const struct domain {
	const struct actor *actor;
	enum config_key     url;
	bool                mailbox;	/* it is asked through the stream alone */
	bool                relay;
	bool              (*start)(char *why);
	const char         *facts;
	void              (*on_facts)(struct cache *, struct ctx *, const struct facts *);
	const struct followed *follows;	/* what others' facts mean for its own data */
	chore_fn           *chore;
	int                 chore_s;
} domains[DOMAINS] = {
	{ .actor = &users_actor, .url = CONFIG_USERS_DATABASE_URL, .relay = true, .start = users_start,
	  .facts = "healthmed.v1.events.users.>", .on_facts = users_facts,
	  .follows = users_follows, .chore = users_chore, .chore_s = 1 },
	{ .actor = &schedules_actor, .url = CONFIG_AGENDA_DATABASE_URL,
	  .facts = "healthmed.v1.events.booking.slots.>", .on_facts = schedules_facts },
	{ .actor = &appointments_actor, .url = CONFIG_AGENDA_DATABASE_URL, .start = appointments_start },
	{ .actor = &booking_actor, .url = CONFIG_AGENDA_DATABASE_URL, .mailbox = true,
	  .follows = booking_follows, .chore = booking_chore, .chore_s = CHORES_S },
	{ .actor = &reviews_actor, .url = CONFIG_USERS_DATABASE_URL, .relay = true,
	  .follows = reviews_follows, .chore = reviews_chore, .chore_s = REVIEWS_CHORE_S },
	{ .actor = &reports_actor, .url = CONFIG_CLINICAL_DATABASE_URL, .relay = true },
	{ .actor = &files_actor, .url = CONFIG_CLINICAL_DATABASE_URL, .start = files_start,
	  .follows = files_follows, .chore = files_sweep, .chore_s = 5 },
};

/* One domain of this process. */
struct room {
	const struct domain *domain;
	struct pool         *pool;
	struct mailbox      *mailbox;
	struct relay        *relay;
	struct follower     *follower;
	struct discovery    *discovery;
};

static struct {
	pthread_mutex_t lock;		/* what a check looks at does not go meanwhile */
	struct bus     *bus;
	struct room     room[DOMAINS];
	size_t          nrooms;
	char            name[64];	/* as operators see it */
	char            why[256];	/* what the start waits for */
	sigset_t        ends;		/* the signals that end the process */
	struct admin   *admin;
} house = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Puts something where the checks see it, or takes it away; answers what was there. */
#define PUT(place, value)                                          \
	({                                                         \
		(void) pthread_mutex_lock(&house.lock);            \
		__typeof__(place) was_ = (place);                  \
		(place) = (value);                                 \
		(void) pthread_mutex_unlock(&house.lock);          \
		was_;                                              \
	})

/* ---- checks, from the admin's threads ---- */

static bool nats_is_well(void *of, char *detail, size_t size)
{
	bool well = false;

	(void) of;
	(void) pthread_mutex_lock(&house.lock);
	if (house.bus == NULL)
		(void) snprintf(detail, size, "not connected yet");
	else
		well = bus_is_up(house.bus);
	(void) pthread_mutex_unlock(&house.lock);
	return well;
}

static bool room_is_well(void *of, char *detail, size_t size)
{
	struct room *r = of;
	bool well = false;

	(void) pthread_mutex_lock(&house.lock);
	if (r->pool != NULL)
		well = pool_is_well(r->pool, detail, size);
	else if (r->mailbox != NULL)
		well = mailbox_is_well(r->mailbox, detail, size);
	else
		(void) snprintf(detail, size, "not started%s%s", house.why[0] != '\0' ? ": " : "", house.why);
	(void) pthread_mutex_unlock(&house.lock);
	return well;
}

/* ---- the start, a step at a time ---- */

static err_t open_bus(char *why)
{
	struct bus *bus = NULL;

	TRY(bus_open(config_text(CONFIG_NATS_URL), house.name, &bus, why));
	(void) PUT(house.bus, bus);
	return OK;
}

static err_t start_pools(char *why)
{
	struct bus *bus = house.bus;

	(void) snprintf(why, 256, "a pool cannot subscribe");
	for (struct room *r = house.room; r < house.room + house.nrooms; r++) {
		const struct domain *d = r->domain;
		struct pool *pool = NULL;

		if (d->mailbox || r->pool != NULL)
			continue;
		if (d->relay && r->relay == NULL)
			TRY(relay_start(bus, config_text(d->url), d->actor->name, &r->relay));
		TRY(pool_start(bus, &(struct plan_of_pool) { .actor = d->actor,
			.url = config_text(d->url), .redis = config_text(CONFIG_REDIS_URL),
			.workers = (int) config_int(CONFIG_WORKERS), .relay = r->relay,
			.facts = d->facts, .on_facts = d->on_facts }, &pool));
		(void) PUT(r->pool, pool);
	}
	return OK;
}

static err_t start_mailbox(char *why)
{
	static unsigned char room[64 << 10];
	struct bus *bus = house.bus;
	struct arena mem;

	arena_init(&mem, room, sizeof room);
	for (struct room *r = house.room; r < house.room + house.nrooms; r++) {
		struct ctx c = { .mem = &mem, .deadline = clock_mono() + 10 * SECOND };
		struct mailbox *mailbox = NULL;

		if (!r->domain->mailbox || r->mailbox != NULL)
			continue;

		const err_t e = stream_ensure(&c, bus);

		(void) snprintf(why, 256, "streams: %.240s", c.detail);
		TRY(e);
		(void) snprintf(why, 256, "discovery cannot subscribe");
		if (r->discovery == NULL)
			TRY(discovery_start(bus, r->domain->actor->name, NULL, 0, &r->discovery));
		(void) snprintf(why, 256, "the mailboxes cannot be started");
		TRY(mailbox_start(bus, config_text(r->domain->url), &mailbox));
		(void) PUT(r->mailbox, mailbox);
	}
	return OK;
}

/* The mailbox's own thread has the relay of its domain. */
static err_t start_followers(char *why)
{
	(void) snprintf(why, 256, "facts cannot be followed");
	for (struct room *r = house.room; r < house.room + house.nrooms; r++) {
		const struct domain *d = r->domain;

		if (d->follows != NULL && r->follower == NULL)
			TRY(follower_start(house.bus, &(struct plan_of_follower) {
				.domain = d->actor->name, .url = config_text(d->url),
				.redis = config_text(CONFIG_REDIS_URL),
				.follows = d->follows, .chore = d->chore, .chore_s = d->chore_s,
				.relay = r->relay }, &r->follower));
	}
	return OK;
}

static bool is_over(int64_t wait_us)
{
	const struct timespec t = { .tv_sec = wait_us / SECOND, .tv_nsec = wait_us % SECOND * 1000 };

	return sigtimedwait(&house.ends, NULL, &t) > 0;
}

/* Until it is done; false when the process is to end before that. */
static bool persist(const char *step, err_t (*fn)(char *why))
{
	char why[256] = "", detail[512];

	while (!is_over(0)) {
		const bool done = fn(why).code == ERR_none;

		(void) pthread_mutex_lock(&house.lock);
		(void) snprintf(house.why, sizeof house.why, "%s", done ? "" : why);
		(void) pthread_mutex_unlock(&house.lock);
		if (done)
			return true;
		log_line(LOG_WARNING, "waiting", NULL, "\"step\":\"%s\",\"detail\":\"%s\"", step,
			 log_text(why, detail, sizeof detail));
		if (is_over(AGAIN_US))
			break;
	}
	return false;
}

static void stop(void)
{
	struct bus *bus;

	admin_ready(house.admin, false);
	log_line(LOG_INFO, "draining", NULL, "\"actor\":\"%s\"", house.name);
	for (struct room *r = house.room; r < house.room + house.nrooms; r++) {
		struct mailbox *mailbox = PUT(r->mailbox, NULL);

		follower_stop(r->follower);
		if (r->discovery != NULL)
			discovery_stop(r->discovery);
		if (mailbox != NULL)
			mailbox_stop(mailbox);
	}
	if (house.bus != NULL)
		bus_drain(house.bus);
	for (struct room *r = house.room; r < house.room + house.nrooms; r++) {
		pool_stop(PUT(r->pool, NULL));
		relay_stop(r->relay);
	}
	bus = PUT(house.bus, NULL);
	if (bus != NULL)
		bus_close(bus);
	admin_stop(house.admin);
	log_line(LOG_INFO, "stopped", NULL, "\"actor\":\"%s\"", house.name);
}

/* ---- the command ---- */

static int wrong(int code, const char *what, const char *of)
{
	(void) fprintf(stderr, "healthmed actor: %s%s\n", what, of);
	return code;
}

static void enter(const struct domain *d)
{
	const size_t n = strlen(house.name);

	for (size_t i = 0; i < house.nrooms; i++)
		if (house.room[i].domain == d)
			return;
	house.room[house.nrooms++].domain = d;
	(void) snprintf(house.name + n, sizeof house.name - n, "%s%s", n > 0 ? "," : "",
			d->actor->name);
}

static bool choose(const char *name)
{
	bool some = false;

	for (size_t i = 0; i < DOMAINS; i++)
		if (strcmp(name, "all") == 0 || strcmp(name, domains[i].actor->name) == 0) {
			enter(&domains[i]);
			some = true;
		}
	return some;
}

static const char *needs_url(enum config_key url)
{
	return url == CONFIG_USERS_DATABASE_URL ? "HEALTHMED_USERS_DATABASE_URL is not set; needed by " :
	       url == CONFIG_CLINICAL_DATABASE_URL ? "HEALTHMED_CLINICAL_DATABASE_URL is not set; needed by " :
	       "HEALTHMED_AGENDA_DATABASE_URL is not set; needed by ";
}

/* 0, or the code to exit with: what no waiting would mend. */
static int check(void)
{
	static char text[512];
	char why[256] = "";

	if (strlen(config_text(CONFIG_REQUEST_KEY)) < 32)
		return wrong(EXIT_CONFIG, "HEALTHMED_REQUEST_KEY must have 32 characters or more", "");
	for (size_t i = 0; i < house.nrooms; i++) {
		const struct domain *d = house.room[i].domain;

		if (config_text(d->url)[0] == '\0')
			return wrong(EXIT_CONFIG, needs_url(d->url), d->actor->name);
		if (!d->mailbox && dispatch_lacks(d->actor) != NULL) {
			(void) snprintf(text, sizeof text, "%s lacks the query ", d->actor->name);
			return wrong(1, text, dispatch_lacks(d->actor));
		}
		if (d->start != NULL && !d->start(why)) {
			(void) snprintf(text, sizeof text, "%s", why);
			return wrong(EXIT_CONFIG, text, "");
		}
	}
	return 0;
}

static bool open_admin(void)
{
	enum { OWN = 2 };
	struct check checks[OWN + DOMAINS] = { { "nats", nats_is_well, NULL },
		{ "outbox", outbox_is_well, NULL } };
	const char *listen = config_text(CONFIG_ADMIN_LISTEN);

	for (size_t i = 0; i < house.nrooms; i++)
		checks[OWN + i] = (struct check) { house.room[i].domain->actor->name, room_is_well,
			&house.room[i] };
	house.admin = admin_start(listen, checks, OWN + house.nrooms);
	if (house.admin == NULL)
		(void) fprintf(stderr, "healthmed actor: HEALTHMED_ADMIN_LISTEN=%s: %s\n", listen,
			       strerror(errno));
	return house.admin != NULL;
}

int actor_main(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	int signal_came, code;

	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		(void) fputs(usage, o == 'h' ? stdout : stderr);
		return o == 'h' ? 0 : EXIT_USAGE;
	}
	for (int i = optind; i < argc; i++)
		if (!choose(argv[i]))
			return wrong(EXIT_USAGE, "there is no domain ", argv[i]);
	if (house.nrooms == 0) {
		(void) fputs(usage, stderr);
		return EXIT_USAGE;
	}

	/* Before any thread: all of them inherit it. */
	(void) sigemptyset(&house.ends);
	(void) sigaddset(&house.ends, SIGTERM);
	(void) sigaddset(&house.ends, SIGINT);
	(void) sigprocmask(SIG_BLOCK, &house.ends, NULL);
	(void) signal(SIGPIPE, SIG_IGN);
	if ((code = check()) != 0)
		return code;
	if (!open_admin())
		return EXIT_CONFIG;
	log_line(LOG_INFO, "starting", NULL, "\"actor\":\"%s\",\"admin_port\":%d", house.name,
		 admin_port(house.admin));
	if (persist("nats", open_bus) && persist("pools", start_pools) &&
	    persist("mailboxes", start_mailbox) && persist("facts", start_followers)) {
		admin_ready(house.admin, true);
		log_line(LOG_INFO, "started", NULL, "\"actor\":\"%s\"", house.name);
		(void) sigwait(&house.ends, &signal_came);
	}
	stop();
	return bus_was_refused() ? EXIT_AWAY : 0;
}
