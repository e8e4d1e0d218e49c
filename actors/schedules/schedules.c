/*
 * schedules.c - what one can read of a doctor's schedule.  Must not change one: that is booking's.
 *
 * The first page of a doctor's free slots, which everybody asks for, is kept for two seconds and
 * dropped when a fact says that the agenda changed.  Nobody relies on it: a booking is decided by
 * the agenda itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "actors/core/page.h"
#include "actors/schedules/schedules.h"

enum { KEEP_MS = 2000, KEY = 32 };

#define SCHEDULES_SPAN(F, T)                                  \
	F(T, BODY, INT,  doctor_id,  REQ, 1, INT64_MAX, -)    \
	F(T, BODY, TIME, from,       REQ, 0, TIME_MAX,  -)    \
	F(T, BODY, TIME, to,         REQ, 0, TIME_MAX,  -)    \
	F(T, BODY, BOOL, active,     OPT, 0, 0,         -)    \
	F(T, BODY, BOOL, booked,     OPT, 0, 0,         -)    \
	F(T, BODY, TIME, after_time, REQ, 0, TIME_MAX,  -)    \
	F(T, BODY, INT,  after_id,   REQ, 0, INT64_MAX, -)    \
	F(T, BODY, INT,  rows,       REQ, 1, PAGE_MAX + 1, -)
#define SCHEDULES_KEY(F, T)                                   \
	F(T, BODY, INT,  id,         REQ, 1, INT64_MAX, -)    \
	F(T, BODY, INT,  doctor_id,  REQ, 1, INT64_MAX, -)
MSG_DECLARE(schedules_span, SCHEDULES_SPAN)
MSG_DECLARE(schedules_key,  SCHEDULES_KEY)
MSG_DEFINE(schedules_span, SCHEDULES_SPAN)
MSG_DEFINE(schedules_key,  SCHEDULES_KEY)

ACTOR_DEFINE(schedules, SCHEDULES_CALLS)

static void key_of(int64_t doctor_id, char key[KEY])
{
	(void) snprintf(key, KEY, "slots:%" PRId64, doctor_id);
}

void schedules_facts(struct cache *cache, struct ctx *c, const struct facts *f)
{
	char (*key)[KEY] = arena_alloc(c->mem, f->items.n * sizeof *key);
	const char **keys = arena_alloc(c->mem, f->items.n * sizeof *keys);
	size_t n = 0;

	if (key == NULL || keys == NULL)
		return;		/* it grows old by itself */
	for (size_t i = 0; i < f->items.n; i++) {
		const struct fact *fact = &f->items.items[i];

		if (!fact->has.doctor_id)
			continue;
		key_of(fact->doctor_id, key[n]);
		if (n > 0 && strcmp(key[n], key[n - 1]) == 0)
			continue;	/* a hot doctor's facts stand together */
		keys[n] = key[n];
		n++;
	}
	cache_drop(cache, keys, n);
}

/* Where the span and the page begin and end; both requests say it with the same fields. */
#define SPAN(c, q, doctor, span, page)                                                           \
	do {                                                                                     \
		TRY(page_open(c, (q)->limit, (q)->has.cursor ? (q)->cursor : (struct str) { 0 }, \
			      page));                                                            \
		SET(span, doctor_id, doctor);                                                    \
		SET(span, from, (q)->has.from ? (q)->from : 0);                                  \
		SET(span, to, (q)->has.to ? (q)->to : TIME_MAX);                                 \
		SET(span, after_time, (page)->after_time);                                       \
		SET(span, after_id, (page)->after_id);                                           \
		SET(span, rows, (page)->rows);                                                   \
		if ((span)->from > (span)->to)                                                   \
			return fault(c, ERR_invalid, "to", "is before from");                    \
	} while (0)

static err_t read_page(struct ctx *c, enum query q, const struct schedules_span *span,
		       const struct page *page, struct schedules_page *a)
{
	TRY(db_list(c, q, span, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct schedules_slot *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, q == Q_schedules_steady ? 0 : last->date_time_available, last->id, &a->next);
}

static err_t schedules_get(struct ctx *c, const struct schedules_get_req *q, struct schedules_slot *a)
{
	struct schedules_key key = { .set = { 0 } };

	SET(&key, id, q->id);
	SET(&key, doctor_id, c->user);
	return db_one(c, Q_schedules_get, &key, a);
}

static err_t schedules_list(struct ctx *c, const struct schedules_list_req *q,
			    struct schedules_page *a)
{
	struct schedules_span span = { .set = { 0 } };
	struct page page;

	SPAN(c, q, c->user, &span, &page);
	if (q->has.active)
		SET(&span, active, q->active);
	if (q->has.booked)
		SET(&span, booked, q->booked);
	return read_page(c, q->has.steady ? Q_schedules_steady : Q_schedules_list, &span, &page, a);
}

/* What is kept may have begun since. */
static bool read_kept(struct ctx *c, const char *key, struct schedules_page *a)
{
	size_t n = 0;

	if (!cache_read(c, key, &schedules_page_msg, a))
		return false;
	for (size_t i = 0; i < a->items.n; i++)
		if (a->items.items[i].date_time_available > c->now)
			a->items.items[n++] = a->items.items[i];
	a->items.n = n;
	return n > 0 || !a->has.next;
}

static err_t schedules_free(struct ctx *c, const struct schedules_free_req *q,
			    struct schedules_page *a)
{
	const bool usual = !q->has.from && !q->has.to && !q->has.cursor && !q->has.limit;
	struct schedules_span span = { .set = { 0 } };
	struct page page;
	char key[KEY];

	key_of(q->doctor_id, key);
	if (usual && read_kept(c, key, a))
		return OK;
	*a = (struct schedules_page) { .set = { 0 } };
	SPAN(c, q, q->doctor_id, &span, &page);
	TRY(read_page(c, Q_schedules_free, &span, &page, a));
	if (usual)
		cache_keep(c, key, &schedules_page_msg, a, KEEP_MS);
	return OK;
}
