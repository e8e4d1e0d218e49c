/* crowd.c - see crowd.h.  Must not wait itself, nor know what is waited for. */
#include <assert.h>
#include <string.h>
#include "broker/base/clock.h"
#include "broker/base/rule.h"
#include "broker/metrics.h"
#include "web/crowd.h"

#define FLOWS (100 * MS)	/* since the last answer, and it is a flow: half of the threads get them faster */
#define SLOW  SECOND		/* the last answer took so long: a fourth of the share is enough of a queue */

enum when { ALWAYS, UNLESS_IT_FLOWS };
static const struct { const char *name; int eighths; enum when when; } row[CROWD_COUNT] = {
#define X(name, eighths, when) { #name, eighths, when },
	CROWD_TABLE(X)
#undef X
};

void crowd_init(struct crowd *c, int threads)
{
	memset(c, 0, sizeof *c);
	c->threads = threads;
}

enum crowd_row crowd_of(const char *domain)
{
	enum crowd_row r = CROWD_users;

	while (r < CROWD_COUNT && strcmp(row[r].name, domain) != 0)
		r++;
	assert(r < CROWD_COUNT && "a domain that has no share");
	return r;
}

static bool is_full(const struct crowd *c, enum crowd_row r)
{
	const bool slow = row[r].when == UNLESS_IT_FLOWS && atomic_load(&c->of[r].took) > SLOW;
	const int share = c->threads * row[r].eighths / 8;

	return atomic_load(&c->of[r].waiting) > (crowd_is_silent(c, r) ? 1 + share / 16 : slow ? share / 4 : share);
}

static bool flows(const struct crowd *c, enum crowd_row r, int64_t now)
{
	return row[r].when == UNLESS_IT_FLOWS && now - atomic_load(&c->of[r].heard) < FLOWS &&
	       atomic_load(&c->of[r].took) <= SLOW;
}

bool crowd_enter(struct crowd *c, enum crowd_row r, int64_t now)
{
	atomic_fetch_add(&c->of[r].waiting, 1);
	const int all = atomic_fetch_add(&c->of[CROWD_all].waiting, 1) + 1;
	if (!RULE(share_of_threads) || flows(c, r, now) || (!is_full(c, r) && !is_full(c, CROWD_all))) {
		metric_set(METRIC_http_waiting, all);
		return true;
	}
	atomic_fetch_sub(&c->of[r].waiting, 1);
	atomic_fetch_sub(&c->of[CROWD_all].waiting, 1);
	metric_add(METRIC_http_crowded, row[r].name, 1);
	return false;
}

void crowd_hear(struct crowd *c, enum crowd_row r, int64_t began, int64_t now, bool answered)
{
	if (answered) {
		atomic_store(&c->of[r].heard, now);
		atomic_store(&c->of[r].silent, false);
	} else if (atomic_load(&c->of[r].heard) < began) {
		atomic_store(&c->of[r].silent, true);
	}
}

bool crowd_is_silent(const struct crowd *c, enum crowd_row r)
{
	return atomic_load(&c->of[r].silent) && RULE(silence);
}

void crowd_leave(struct crowd *c, enum crowd_row r, int64_t began, int64_t now, bool answered)
{
	atomic_store(&c->of[r].took, now - began);
	crowd_hear(c, r, began, now, answered);
	atomic_fetch_sub(&c->of[r].waiting, 1);
	metric_set(METRIC_http_waiting, atomic_fetch_sub(&c->of[CROWD_all].waiting, 1) - 1);
}
