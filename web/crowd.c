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

static bool is_full(struct crowd *c, enum crowd_row r, bool slow)
{
	const int most = c->threads * row[r].eighths / 8;

	return atomic_load(&c->of[r].waiting) > (slow ? most / 4 : most);
}

bool crowd_enter(struct crowd *c, enum crowd_row r, int64_t now)
{
	atomic_fetch_add(&c->of[r].waiting, 1);
	const int all = atomic_fetch_add(&c->of[CROWD_all].waiting, 1) + 1;
	const bool limited = row[r].when == UNLESS_IT_FLOWS;
	const bool slow = limited && atomic_load(&c->of[r].took) > SLOW;
	const bool flows = limited && !slow && now - atomic_load(&c->of[r].heard) < FLOWS;

	if (flows || !RULE(share_of_threads) || (!is_full(c, r, slow) && !is_full(c, CROWD_all, false))) {
		metric_set(METRIC_http_waiting, all);
		return true;
	}
	atomic_fetch_sub(&c->of[r].waiting, 1);
	atomic_fetch_sub(&c->of[CROWD_all].waiting, 1);
	metric_add(METRIC_http_crowded, row[r].name, 1);
	return false;
}

void crowd_leave(struct crowd *c, enum crowd_row r, int64_t began, int64_t now, bool answered)
{
	atomic_store(&c->of[r].took, now - began);
	if (answered)
		atomic_store(&c->of[r].heard, now);
	atomic_fetch_sub(&c->of[r].waiting, 1);
	metric_set(METRIC_http_waiting, atomic_fetch_sub(&c->of[CROWD_all].waiting, 1) - 1);
}
