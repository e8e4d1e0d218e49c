/* ended.c - see ended.h.  Must not know a clock, nor where what it is told comes from. */
#include <string.h>
#include "web/ended.h"

static struct ended_set *set_of(struct ended *e, int64_t user)
{
	/* Fibonacci hashing: accounts in a row do not share a set. */
	return &e->set[(uint64_t) user * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (ENDED_SETS - 1)];
}

void ended_init(struct ended *e)
{
	memset(e, 0, sizeof *e);
	for (size_t i = 0; i < ENDED_SETS; i++)
		(void) pthread_mutex_init(&e->set[i].lock, NULL);
}

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

static bool touches(const struct ended_span *a, const struct ended_span *b)
{
	return a->user == b->user && a->from - 1 <= b->to && b->from - 1 <= a->to;
}

/* The place of a span: one that it touches, a free one, one of the same user, or the one that goes
 * first.  That order is the worth of what would be lost. */
static struct ended_span *place(struct ended_set *set, const struct ended_span *s)
{
	struct ended_span *free = NULL, *same = NULL, *first = set->span;

	for (struct ended_span *at = set->span; at < set->span + ENDED_WAYS; at++) {
		if (touches(at, s))
			return at;
		if (at->user == 0)
			free = at;
		if (at->user == s->user)
			same = at;
		if (at->ends < first->ends)
			first = at;
	}
	return free != NULL ? free : same != NULL ? same : first;
}

static void add(struct ended_set *set, struct ended_span s, int64_t now)
{
	struct ended_span *at;

	for (at = set->span; at < set->span + ENDED_WAYS; at++)
		if (at->ends <= now)
			at->user = 0;
	at = place(set, &s);
	if (at->user == s.user)
		s = (struct ended_span) { s.user, min(at->from, s.from), max(at->to, s.to),
			max(at->ends, s.ends) };
	else if (at->user != 0)
		set->bound = max(set->bound, at->ends);
	*at = s;
}

void ended_add(struct ended *e, const struct users_ended *ended, int64_t now_us)
{
	for (size_t i = 0; i < ended->spans.n; i++) {
		const struct users_span *s = &ended->spans.items[i];
		struct ended_set *set = set_of(e, s->user_id);

		if (s->ends <= now_us)
			continue;
		(void) pthread_mutex_lock(&set->lock);
		add(set, (struct ended_span) { s->user_id, s->from_session, s->to_session, s->ends }, now_us);
		(void) pthread_mutex_unlock(&set->lock);
	}
}

/* All tokens without a session have number 0: of these, those are meant that were given before. */
static bool covers(const struct ended_span *s, int64_t user, int64_t session, int64_t exp_us)
{
	return s->user == user && s->from <= session && session <= s->to &&
	       (session > 0 || exp_us <= s->ends);
}

bool ended_has(struct ended *e, int64_t user, int64_t session, int64_t exp_us)
{
	struct ended_set *set = set_of(e, user);
	bool has;

	(void) pthread_mutex_lock(&set->lock);
	has = exp_us <= set->bound;
	for (size_t i = 0; i < ENDED_WAYS && !has; i++)
		has = covers(&set->span[i], user, session, exp_us);
	(void) pthread_mutex_unlock(&set->lock);
	return has;
}
