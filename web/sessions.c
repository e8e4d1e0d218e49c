/* sessions.c - see sessions.h.  Must not decide about a token: it only fills the table. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/call.h"
#include "broker/msg/facts.h"
#include "web/sessions.h"

#define REVOKED "healthmed.v1.events.users.revoked.*"
#define LOOK    (200 * MS)		/* how soon it is seen that something was missed */
#define ANSWER  (5 * SECOND)
enum { ROOM = 512 << 10, FACT_ROOM = 64 << 10 };

struct sessions {
	struct bus     *bus;
	struct ended   *ended;
	atomic_bool     known, missed, stopping;
	pthread_t       thread;
	pthread_mutex_t lock;
	pthread_cond_t  bell;
	unsigned char   fact_room[FACT_ROOM], room[ROOM];
};

static bool add_fact(struct sessions *s, const struct fact *f)
{
	struct users_span span = { .set = { 0 } };
	const struct users_ended one = { .spans = { &span, 1 } };

	if (!f->has.from_session || !f->has.to_session || !f->has.ends)
		return false;
	SET(&span, user_id, f->id);
	SET(&span, from_session, f->from_session);
	SET(&span, to_session, f->to_session);
	SET(&span, ends, f->ends);
	ended_add(s->ended, &one, clock_wall());
	return true;
}

static void on_revoked(void *of, const struct bus_msg *m)
{
	struct sessions *s = of;
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct facts f;
	bool read;

	arena_init(&mem, s->fact_room, sizeof s->fact_room);
	read = msg_from_pack(&c, &facts_msg, bus_body(m), &f).code == ERR_none;
	for (size_t i = 0; read && i < f.items.n; i++)
		read = add_fact(s, &f.items.items[i]);
	if (!read) {
		log_line(LOG_WARNING, "revoked_unreadable", NULL, "\"bytes\":%zu", bus_body(m).n);
		atomic_store(&s->missed, true);
	}
}

/* A page of what is in force; *next is 0 after the last. */
static err_t ask_page(struct sessions *s, int64_t after, int64_t *next)
{
	struct users_revoked_req q = { .set = { 0 } };
	const struct call *k = &call[CALL_users_revoked];
	struct headers h = { .n = 0 };
	struct users_ended ended;
	struct arena mem;
	struct ctx c = { .mem = &mem, .role = ROLE_SYSTEM, .deadline = clock_mono() + ANSWER };
	struct str body, reply;

	arena_init(&mem, s->room, sizeof s->room);
	SET(&q, after, after);
	TRY(msg_to_pack(&c, k->req, &q, &body));
	wire_put_ctx(&c, false, &h);
	TRY(bus_request(&c, s->bus, k->subject, &h, body, &reply));
	TRY(msg_from_pack(&c, k->rep, reply, &ended));
	ended_add(s->ended, &ended, clock_wall());
	*next = ended.has.next ? ended.next : 0;
	return OK;
}

/* What is ended meanwhile comes as a fact: the subscription is older than the question. */
static bool ask_all(struct sessions *s)
{
	int64_t after = 0;

	do
		if (ask_page(s, after, &after).code != ERR_none)
			return false;
	while (after != 0 && !atomic_load(&s->stopping));
	return true;
}

static void rest(struct sessions *s)
{
	const int64_t until = clock_mono() + LOOK;
	const struct timespec t = { .tv_sec = until / SECOND, .tv_nsec = until % SECOND * 1000 };

	(void) pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->stopping) &&
	       pthread_cond_clockwait(&s->bell, &s->lock, CLOCK_MONOTONIC, &t) != ETIMEDOUT)
		;
	(void) pthread_mutex_unlock(&s->lock);
}

static void *learn(void *of)
{
	struct sessions *s = of;
	int64_t heard = -1;

	for (; !atomic_load(&s->stopping); rest(s)) {
		const int64_t losses = bus_losses(s->bus);

		if ((losses == heard && !atomic_load(&s->missed)) || !bus_is_up(s->bus))
			continue;
		atomic_store(&s->missed, false);
		if (ask_all(s)) {
			heard = losses;
			atomic_store(&s->known, true);
		} else {
			atomic_store(&s->missed, true);
		}
	}
	return NULL;
}

err_t sessions_start(struct bus *bus, struct ended *ended, struct sessions **out)
{
	struct sessions *s = calloc(1, sizeof *s);

	if (s == NULL)
		return ERR(unavailable);
	s->bus = bus;
	s->ended = ended;
	(void) pthread_mutex_init(&s->lock, NULL);
	(void) pthread_cond_init(&s->bell, NULL);
	if (bus_listen(bus, REVOKED, on_revoked, s).code != ERR_none) {
		free(s);
		return ERR(unavailable);
	}
	if (pthread_create(&s->thread, NULL, learn, s) != 0) {
		bus_unlisten(bus, s);
		free(s);
		return ERR(unavailable);
	}
	*out = s;
	return OK;
}

bool sessions_known(const struct sessions *s)
{
	return atomic_load(&s->known);
}

void sessions_stop(struct sessions *s)
{
	if (s == NULL)
		return;
	(void) pthread_mutex_lock(&s->lock);
	atomic_store(&s->stopping, true);
	(void) pthread_cond_signal(&s->bell);
	(void) pthread_mutex_unlock(&s->lock);
	(void) pthread_join(s->thread, NULL);
	bus_unlisten(s->bus, s);
	(void) pthread_cond_destroy(&s->bell);
	(void) pthread_mutex_destroy(&s->lock);
	free(s);
}
