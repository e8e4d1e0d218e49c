/*
 * reports.c - what a doctor writes about a visit.  Must not let anybody see or change a report off the
 * record: each handler leaves a row of audit.access for each report, in its own transaction.
 *
 * A change adds a version; what was written once stays readable.
 */
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "actors/core/outbox.h"
#include "actors/core/page.h"
#include "broker/base/rule.h"
#include "broker/etag.h"

enum {
	VERSIONS = 3,			/* of the longest, in one message */
	PAGE_OCTETS = 256 << 10,	/* of text: three of the largest reports, or a hundred usual ones */
};

#define REPORTS_KEY(F, T)                                             \
	F(T, BODY, INT,  id,             REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  appointment_id, REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  version,        OPT, 1, INT64_MAX, -)
#define REPORTS_SPAN(F, T)                                            \
	F(T, BODY, INT,  appointment_id, OPT, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, TIME, before_time,    REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, INT,  before_id,      REQ, 0, INT64_MAX, -)        \
	F(T, BODY, INT,  rows,           REQ, 1, PAGE_MAX + 1, -)
#define REPORTS_SPAN_AFTER(F, T)                                      \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, INT,  report_id,      OPT, 1, INT64_MAX, -)        \
	F(T, BODY, TIME, after_time,     REQ, 0, TIME_MAX,  -)        \
	F(T, BODY, INT,  after_id,       REQ, 0, INT64_MAX, -)        \
	F(T, BODY, INT,  rows,           REQ, 1, PAGE_MAX + 1, -)
#define REPORTS_FOUND(F, T)                                           \
	F(T, BODY, INT,  octets,         REQ, 0, PAGE_OCTETS, -)      \
	F(T, BODY, LIST, reports,        REQ, 0, PAGE_MAX + 1, reports_report)
#define REPORTS_ACCESS(F, T)                                          \
	F(T, BODY, INT,  user_id,        REQ, 1, INT64_MAX, -)        \
	F(T, BODY, TEXT, role,           REQ, 1, 16,        -)        \
	F(T, BODY, TEXT, action,         REQ, 1, 16,        -)        \
	F(T, BODY, LIST, reports,        REQ, 0, PAGE_MAX, reports_report)
MSG_DECLARE(reports_key,    REPORTS_KEY)
MSG_DECLARE(reports_span,   REPORTS_SPAN)
MSG_DECLARE(reports_span_after, REPORTS_SPAN_AFTER)
MSG_DECLARE(reports_found,  REPORTS_FOUND)
MSG_DECLARE(reports_access, REPORTS_ACCESS)
MSG_DEFINE(reports_key,    REPORTS_KEY)
MSG_DEFINE(reports_span,   REPORTS_SPAN)
MSG_DEFINE(reports_span_after, REPORTS_SPAN_AFTER)
MSG_DEFINE(reports_found,  REPORTS_FOUND)
MSG_DEFINE(reports_access, REPORTS_ACCESS)

ACTOR_DEFINE(reports, REPORTS_CALLS)

/* Who saw or changed these. */
static err_t record(struct ctx *c, struct str action, struct reports_report *reports, size_t n)
{
	struct reports_access access = { .set = { 0 } };

	if (n == 0 || !RULE(audited))
		return OK;
	SET(&access, user_id, c->user);
	SET(&access, role, c->role == ROLE_DOCTOR ? STR("doctor") : STR("patient"));
	SET(&access, action, action);
	access.reports.items = reports;
	access.reports.n = n;
	access.has.reports = 1;
	return db_exec(c, Q_reports_record, &access);
}

static err_t tell_written(struct ctx *c, const struct reports_report *r)
{
	struct fact f = { .set = { 0 } };
	const struct facts facts = { .items = { &f, 1 }, .has.items = 1 };

	SET(&f, id, r->id);
	SET(&f, appointment_id, r->appointment_id);
	SET(&f, doctor_id, r->doctor_id);
	SET(&f, patient_id, r->patient_id);
	SET(&f, at, r->updated_at);
	SET(&f, version, r->version);
	return outbox_tell(c, Q_reports_outbox_write, "reports", "written", r->id, &facts);
}

/* ---- writing ---- */

static err_t written(struct ctx *c, struct reports_report *a)
{
	TRY(record(c, STR("write"), a, 1));
	return tell_written(c, a);
}

static err_t reports_write(struct ctx *c, const struct reports_write_req *q, struct reports_report *a)
{
	if (q->doctor_id != c->user && RULE(owner_of_report))
		return ERR(not_found);
	TRY(db_one(c, Q_reports_write, q, a));
	return written(c, a);
}

static struct reports_key own(const struct ctx *c, int64_t id, int64_t appointment)
{
	struct reports_key k = { .set = { 0 } };

	SET(&k, id, id);
	SET(&k, appointment_id, appointment);
	SET(&k, user_id, c->user);
	return k;
}

static err_t reports_rewrite(struct ctx *c, const struct reports_rewrite_req *q,
			     struct reports_report *a)
{
	const struct reports_key key = own(c, q->report_id, q->appointment_id);
	struct reports_report current;

	TRY(db_one(c, Q_reports_lock, &key, &current));
	TRY(db_one(c, Q_reports_get, &key, &current));
	TRY(etag_check(c, &reports_report_msg, &current));
	TRY(db_one(c, Q_reports_rewrite, q, a));
	return written(c, a);
}

/* ---- reading ---- */

static err_t reports_get(struct ctx *c, const struct reports_get_req *q, struct reports_report *a)
{
	struct reports_key key = own(c, q->report_id, q->appointment_id);

	if (q->has.version)
		SET(&key, version, q->version);
	TRY(db_one(c, Q_reports_get, &key, a));
	return record(c, STR("read"), a, 1);
}

/* The texts of those found, as many as fit; what does not is for the next page. */
static err_t read_all(struct ctx *c, struct reports_found *found, struct reports_page *a)
{
	size_t n = 0;

	SET(found, octets, PAGE_OCTETS);
	found->has.reports = 1;
	TRY(db_list(c, Q_reports_read, found, &a->items.items, &a->items.n));
	while (n < a->items.n && a->items.items[n].has.comment)
		n++;
	a->has.items = 1;
	a->items.n = n;
	return record(c, STR("read"), a->items.items, n);
}

static err_t reports_mine(struct ctx *c, const struct reports_mine_req *q, struct reports_page *a)
{
	const enum query of = q->has.appointment_id ? Q_reports_of_appointment :
		c->role == ROLE_DOCTOR ? Q_reports_of_doctor : Q_reports_of_patient;
	struct reports_found found = { .set = { 0 } };
	struct reports_span span = { .set = { 0 } };
	struct page page;
	bool more;

	TRY(page_open_latest(c, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page));
	SET(&span, user_id, c->user);
	SET(&span, before_time, page.after_time);
	SET(&span, before_id, page.after_id);
	SET(&span, rows, page.rows);
	if (q->has.appointment_id)
		SET(&span, appointment_id, q->appointment_id);
	TRY(db_list(c, of, &span, &found.reports.items, &found.reports.n));
	more = page_cut(&page, &found.reports.n);
	TRY(read_all(c, &found, a));
	more |= a->items.n < found.reports.n;
	a->has.next = more;
	a->null.next = !more;
	if (!more)
		return OK;

	const struct reports_report *last = &a->items.items[a->items.n - 1];

	return page_after(c, last->created_at, last->id, &a->next);
}

static err_t open_after(struct ctx *c, int64_t limit, struct str cursor, struct page *page,
			struct reports_span_after *span)
{
	TRY(page_open(c, limit, cursor, page));
	SET(span, user_id, c->user);
	SET(span, after_time, page->after_time);
	SET(span, after_id, page->after_id);
	SET(span, rows, page->rows);
	return OK;
}

static err_t reports_versions(struct ctx *c, const struct reports_versions_req *q,
			      struct reports_page *a)
{
	const int64_t limit = q->has.limit && q->limit < VERSIONS ? q->limit : VERSIONS;
	struct reports_span_after span = { .set = { 0 } };
	struct page page;

	TRY(open_after(c, limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page, &span));
	SET(&span, report_id, q->report_id);
	TRY(db_list(c, Q_reports_versions, &span, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	TRY(record(c, STR("read"), a->items.items, a->items.n));
	if (a->null.next)
		return OK;

	const struct reports_report *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->updated_at, last->version, &a->next);
}

static err_t reports_accesses(struct ctx *c, const struct reports_accesses_req *q,
			      struct reports_accesses_rep *a)
{
	struct reports_span_after span = { .set = { 0 } };
	struct page page;

	TRY(open_after(c, q->limit, q->has.cursor ? q->cursor : (struct str) { 0 }, &page, &span));
	TRY(db_list(c, c->role == ROLE_DOCTOR ? Q_reports_accesses_by : Q_reports_accesses_to, &span,
		    &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct reports_trace *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->at, last->id, &a->next);
}
