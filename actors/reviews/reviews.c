/*
 * reviews.c - reviews of visits that took place, and the ratings they add up to.  Must not know what
 * a doctor's card is: whoever keeps one follows the fact.
 *
 * A review is stored, and the fact that it was given with it.  Following that fact, all that is not in
 * a rating yet is added, marked in the same transaction, and told as the doctor's new sum and count.
 */
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "actors/core/page.h"
#include "actors/reviews/reviews.h"
#include "broker/base/rule.h"

#define REVIEWS_KEY(F, T)                                             \
	F(T, BODY, INT,    id,             OPT,  1, INT64_MAX, -)     \
	F(T, BODY, INT,    appointment_id, OPT,  1, INT64_MAX, -)     \
	F(T, BODY, INT,    user_id,        REQ,  1, INT64_MAX, -)
#define REVIEWS_SPAN(F, T)                                            \
	F(T, BODY, INT,    user_id,        REQ,  1, INT64_MAX, -)     \
	F(T, BODY, TIME,   before_time,    REQ,  0, TIME_MAX,  -)     \
	F(T, BODY, INT,    before_id,      REQ,  0, INT64_MAX, -)     \
	F(T, BODY, INT,    rows,           REQ,  1, PAGE_MAX + 1, -)
#define REVIEWS_VISITS(F, T)                                          \
	F(T, BODY, INT,    doctor_id,      REQ,  1, INT64_MAX, -)     \
	F(T, BODY, INT,    patient_id,     REQ,  1, INT64_MAX, -)     \
	F(T, BODY, RATING, rating,         REQ, 10, 50,        -)     \
	F(T, BODY, LIST,   concluded,      REQ,  0, VISITS_MAX, appointments_visit)
MSG_DECLARE(reviews_key,    REVIEWS_KEY)
MSG_DECLARE(reviews_span,   REVIEWS_SPAN)
MSG_DECLARE(reviews_visits, REVIEWS_VISITS)
MSG_DEFINE(reviews_key,    REVIEWS_KEY)
MSG_DEFINE(reviews_span,   REVIEWS_SPAN)
MSG_DEFINE(reviews_visits, REVIEWS_VISITS)

ACTOR_DEFINE(reviews, REVIEWS_CALLS)

/* ---- giving one ---- */

static err_t tell_given(struct ctx *c, const struct reviews_review *r)
{
	struct fact f = { .set = { 0 } };
	const struct facts facts = { .items = { &f, 1 }, .has.items = 1 };

	SET(&f, id, r->id);
	SET(&f, doctor_id, r->doctor_id);
	SET(&f, patient_id, r->patient_id);
	SET(&f, appointment_id, r->appointment_id);
	SET(&f, at, r->created_at);
	return outbox_tell(c, Q_reviews_outbox_write, "reviews", "given", r->id, &facts);
}

static err_t take_turn(struct ctx *c, int64_t patient)
{
	struct reviews_key key = { .set = { 0 } };

	SET(&key, user_id, patient);
	return db_exec(c, Q_reviews_turn, &key);
}

static err_t reviews_give(struct ctx *c, const struct reviews_give_req *q, struct reviews_review *a)
{
	if (q->patient_id != c->user && RULE(owner_of_review))
		return ERR(not_found);
	if (q->status != APPOINTMENT_CONCLUDED && RULE(review_concluded))
		return ERR(not_concluded);
	TRY(take_turn(c, q->patient_id));

	const err_t e = db_one(c, Q_reviews_give, q, a);

	if (e.code == ERR_not_found)
		return ERR(already_reviewed);
	TRY(e);
	return tell_given(c, a);
}

/* The latest visit to that doctor of which there is no review. */
static err_t reviews_rate(struct ctx *c, const struct reviews_rate_req *q, struct reviews_review *a)
{
	struct reviews_visits visits = { .set = { 0 } };

	SET(&visits, doctor_id, q->doctor_id);
	SET(&visits, patient_id, c->user);
	SET(&visits, rating, q->rating);
	visits.concluded.items = q->concluded.items;
	visits.concluded.n = q->concluded.n;
	visits.has.concluded = 1;
	TRY(take_turn(c, c->user));

	const err_t e = db_one(c, Q_reviews_rate, &visits, a);

	if (e.code == ERR_not_found)
		return ERR(nothing_to_review);
	TRY(e);
	return tell_given(c, a);
}

/* ---- reading them ---- */

static err_t open_span(struct ctx *c, int64_t user, int64_t limit, struct str cursor,
		       struct page *page, struct reviews_span *span)
{
	TRY(page_open_latest(c, limit, cursor, page));
	*span = (struct reviews_span) { .set = { 0 } };
	SET(span, user_id, user);
	SET(span, before_time, page->after_time);
	SET(span, before_id, page->after_id);
	SET(span, rows, page->rows);
	return OK;
}

/* Where a page ends, and the next begins. */
#define CLOSE_PAGE(c, page, a)                                                            \
	do {                                                                              \
		(a)->has.items = 1;                                                       \
		(a)->null.next = !page_cut(page, &(a)->items.n);                          \
		(a)->has.next = !(a)->null.next;                                          \
		if ((a)->has.next)                                                        \
			TRY(page_after(c, (a)->items.items[(a)->items.n - 1].created_at,  \
				       (a)->items.items[(a)->items.n - 1].id, &(a)->next)); \
	} while (0)

/* Of a patient those sent, of a doctor those received; of one appointment there is one at most. */
static err_t reviews_mine(struct ctx *c, const struct reviews_mine_req *q, struct reviews_page *a)
{
	const enum query of = c->role == ROLE_DOCTOR ? Q_reviews_received : Q_reviews_sent;
	struct reviews_key key = { .set = { 0 } };
	struct reviews_span span;
	struct page page;

	TRY(open_span(c, c->user, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page,
		      &span));
	if (q->has.appointment_id) {
		SET(&key, user_id, c->user);
		SET(&key, appointment_id, q->appointment_id);
		TRY(db_list(c, Q_reviews_of_appointment, &key, &a->items.items, &a->items.n));
	} else {
		TRY(db_list(c, of, &span, &a->items.items, &a->items.n));
	}
	CLOSE_PAGE(c, &page, a);
	return OK;
}

static err_t reviews_get(struct ctx *c, const struct reviews_get_req *q, struct reviews_review *a)
{
	struct reviews_key key = { .set = { 0 } };

	SET(&key, id, q->review_id);
	SET(&key, user_id, c->user);
	if (q->has.appointment_id)
		SET(&key, appointment_id, q->appointment_id);
	return db_one(c, Q_reviews_get, &key, a);
}

static err_t reviews_of_doctor(struct ctx *c, const struct reviews_of_doctor_req *q,
			       struct reviews_voices *a)
{
	struct reviews_span span;
	struct page page;

	TRY(open_span(c, q->doctor_id, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page,
		      &span));
	TRY(db_list(c, Q_reviews_of_doctor, &span, &a->items.items, &a->items.n));
	CLOSE_PAGE(c, &page, a);
	return OK;
}

/* ---- what they add up to ---- */

static err_t count(struct ctx *c)
{
	struct facts rated = { .set = { 0 } };

	TRY(db_list(c, Q_reviews_count, NULL, &rated.items.items, &rated.items.n));
	rated.has.items = 1;
	return rated.items.n == 0 ? OK : outbox_tell(c, Q_reviews_outbox_write, "reviews", "rated",
						     rated.items.items[0].id, &rated);
}

/* The words of patients who are gone: of what is here, and of what is still on its way. */
static err_t forget(struct ctx *c, const struct facts *erased)
{
	struct reviews_key key = { .set = { 0 } };

	for (size_t i = 0; i < erased->items.n; i++) {
		if (!erased->items.items[i].has.patient_id)
			continue;
		SET(&key, user_id, erased->items.items[i].patient_id);
		TRY(take_turn(c, key.user_id));
		TRY(db_exec(c, Q_reviews_forget, &key));
	}
	return OK;
}

static err_t follow_given(struct ctx *c, const struct facts *f)
{
	(void) f;
	return count(c);
}

const struct followed reviews_follows[] = {
	{ "reviews.given", follow_given },
	{ "users.erased",  forget },
	{ NULL, NULL }
};

err_t reviews_chore(struct ctx *c)
{
	return count(c);
}
