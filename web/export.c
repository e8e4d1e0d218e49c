/*
 * export.c - all that the house keeps about its caller, as one JSON document (LGPD, article 18): what the
 * users domain says of the account, and every list of one's own, page after page.
 *
 * A list whose order can change meanwhile is asked for in a steady one: what moves is neither left out nor
 * told twice.
 *
 * Must not know a field of what it copies, nor hold more of it than a page: what is too long for one piece
 * goes out while the rest is asked for.  When that fails, the document has no end, and is none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/clock.h"
#include "web/job.h"

enum { PAGE = 100, CURSOR = 65, PIECE = 64 << 10 };
#define NONE CALL_COUNT
#define ALL  (ROLE_PATIENT | ROLE_DOCTOR)

/* A list; or, for each item of another list, one that the item's id leads to by that field. */
static const struct part {
	const char  *name;
	unsigned     who;
	enum call_id list, of;
	const char  *by;
} parts[] = {
	{ "doctors",      ROLE_PATIENT, CALL_users_my_doctors,      NONE,              NULL },
	{ "patients",     ROLE_DOCTOR,  CALL_users_my_patients,     NONE,              NULL },
	{ "schedules",    ROLE_DOCTOR,  CALL_schedules_list,        NONE,              NULL },
	{ "appointments", ALL,          CALL_appointments_list,     NONE,              NULL },
	{ "moves",        ALL,          CALL_appointments_moves,    NONE,              NULL },
	{ "requests",     ALL,          CALL_appointments_requests, NONE,              NULL },
	{ "reviews",      ALL,          CALL_reviews_mine,          NONE,              NULL },
	{ "reports",      ALL,          CALL_reports_versions,      CALL_reports_mine, "report_id" },
	{ "files",        ROLE_PATIENT, CALL_files_list,            NONE,              NULL },
	{ "grants",       ROLE_PATIENT, CALL_files_grants,          CALL_files_list,   "file_id" },
	{ "grants_held",  ROLE_DOCTOR,  CALL_files_held,            NONE,              NULL },
	{ "accesses",     ALL,          CALL_reports_accesses,      NONE,              NULL },
};

/* The document: what of it has not gone out yet. */
struct sheet { struct job *j; char *p; size_t n; char last; };

static err_t flush(struct sheet *s)
{
	const struct str piece = { s->p, s->n };

	s->n = 0;
	return http_piece(s->j->q, s->j->a, piece);
}

static err_t put(struct sheet *s, struct str text)
{
	if (text.n == 0)
		return OK;
	s->last = text.p[text.n - 1];
	if (text.n > PIECE - s->n)
		TRY(flush(s));
	if (text.n > PIECE)
		return http_piece(s->j->q, s->j->a, text);
	memcpy(s->p + s->n, text.p, text.n);
	s->n += text.n;
	return OK;
}

/* With a comma before it, unless it is the first of its list. */
static err_t put_next(struct sheet *s, struct str text)
{
	if (s->last != '[')
		TRY(put(s, STR(",")));
	return put(s, text);
}

/* ---- lists ---- */

/* Where a list is, and what it is of. */
struct place { enum call_id list; const char *by; int64_t id; char cursor[CURSOR]; bool more; };

/* The next page of it, in the arena. */
static err_t turn(struct job *j, struct place *at, void **page)
{
	const struct call *k = &call[at->list];
	const struct field *next = field_named(k->rep, "next", K_TEXT);
	const struct field *cursor = field_named(k->req, "cursor", K_TEXT);
	const struct field *steady = field_named(k->req, "steady", K_BOOL);
	void *q = arena_alloc(j->c->mem, k->req->size);

	if (q == NULL)
		return refuse(j->c, ERR_too_large, "%s fills the arena", k->name);
	field_set(k->req, q, field_named(k->req, "limit", K_INT), PAGE);
	if (at->by != NULL)
		field_set(k->req, q, field_named(k->req, at->by, K_INT), at->id);
	if (at->more) {
		*(struct str *) ((char *) q + cursor->off) = str_of(at->cursor);
		((struct set *) q)->has |= UINT64_C(1) << (cursor - k->req->fields);
	}
	if (steady != NULL) {
		*(bool *) ((char *) q + steady->off) = true;
		((struct set *) q)->has |= UINT64_C(1) << (steady - k->req->fields);
	}
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, k, q, NULL, page));
	at->more = field_said(k->rep, *page, next);
	if (at->more) {
		const struct str *text = (const void *) ((const char *) *page + next->off);

		(void) snprintf(at->cursor, CURSOR, "%.*s", (int) text->n, text->p);
	}
	return OK;
}

/* All its items; a page's memory is given back, so that the longest list needs no more than one. */
static err_t put_list(struct sheet *s, enum call_id list, const char *by, int64_t id)
{
	struct job *j = s->j;
	struct place at = { .list = list, .by = by, .id = id };
	const size_t mark = j->c->mem->used;

	TRY(put(s, STR("[")));
	do {
		struct str array;
		void *page;

		TRY(turn(j, &at, &page));
		TRY(page_items(j, call[list].rep, page, &array));
		if (array.n > 2)
			TRY(put_next(s, (struct str) { array.p + 1, array.n - 2 }));
		arena_back(j->c->mem, mark);
	} while (at.more);
	return put(s, STR("]"));
}

/* Those of each item of another list. */
static err_t put_lists(struct sheet *s, const struct part *p)
{
	struct job *j = s->j;
	const struct field *items = field_named(call[p->of].rep, "items", K_LIST);
	const struct field *id = field_named(items->of.msg, "id", K_INT);
	struct place at = { .list = p->of };
	const size_t mark = j->c->mem->used;

	TRY(put(s, STR("[")));
	do {
		struct { const char *items; size_t n; } list;
		char head[96];
		void *page;

		TRY(turn(j, &at, &page));
		memcpy(&list, (const char *) page + items->off, sizeof list);
		for (size_t i = 0; i < list.n; i++) {
			const int64_t of = field_int(list.items + i * items->of.msg->size, id);

			(void) snprintf(head, sizeof head, "{\"%s\":%" PRId64 ",\"items\":", p->by, of);
			TRY(put_next(s, str_of(head)));
			TRY(put_list(s, p->list, p->by, of));
			TRY(put(s, STR("}")));
		}
		arena_back(j->c->mem, mark);
	} while (at.more);
	return put(s, STR("]"));
}

static err_t put_part(struct sheet *s, const struct part *p)
{
	char name[48];

	(void) snprintf(name, sizeof name, ",\"%s\":", p->name);
	TRY(put(s, str_of(name)));
	return p->of == NONE ? put_list(s, p->list, NULL, 0) : put_lists(s, p);
}

err_t export(struct job *j)
{
	struct sheet s = { .j = j, .p = arena_alloc(j->c->mem, PIECE) };
	struct str head;
	void *rep;

	if (s.p == NULL)
		return refuse(j->c, ERR_too_large, "no room for a document");
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, j->call, j->req, NULL, &rep));
	TRY(msg_to_json(j->c, j->call->rep, rep, &head));
	j->a->status = j->m.route->ok;
	j->a->type = "application/json";
	http_put(j->a, "Content-Disposition", "attachment; filename=\"healthmed-export.json\"");
	TRY(put(&s, (struct str) { head.p, head.n - 1 }));	/* its last brace comes at the end */
	for (size_t i = 0; i < COUNT(parts); i++)
		if (parts[i].who & j->c->role)
			TRY(put_part(&s, &parts[i]));
	TRY(put(&s, STR("}")));
	if (j->a->begun)
		return flush(&s);
	j->a->body = (struct str) { s.p, s.n };
	return OK;
}
