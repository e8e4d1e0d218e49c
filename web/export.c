/*
 * export.c - all that the house keeps about its caller, as one JSON document (LGPD, article 18): what the
 * users domain says of the account, and every list of one's own, page after page.
 *
 * Must not know a field of what it copies.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/clock.h"
#include "web/job.h"

enum { PAGE = 100, CURSOR = 65 };
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
	{ "requests",     ALL,          CALL_appointments_requests, NONE,              NULL },
	{ "reviews",      ALL,          CALL_reviews_mine,          NONE,              NULL },
	{ "reports",      ALL,          CALL_reports_versions,      CALL_reports_mine, "report_id" },
	{ "files",        ROLE_PATIENT, CALL_files_list,            NONE,              NULL },
	{ "grants",       ROLE_PATIENT, CALL_files_grants,          CALL_files_list,   "file_id" },
	{ "accesses",     ROLE_PATIENT, CALL_reports_accesses,      NONE,              NULL },
};

/* The document, in a room. */
struct sheet { char *p; size_t n; bool full; };

static void put(struct sheet *s, const char *p, size_t n)
{
	s->full |= n > ROOM_SIZE - s->n;
	if (s->full)
		return;
	memcpy(s->p + s->n, p, n);
	s->n += n;
}

static void put_text(struct sheet *s, const char *text)
{
	put(s, text, strlen(text));
}

/* A comma, unless what stands before begins something. */
static void put_comma(struct sheet *s)
{
	if (s->n > 0 && s->p[s->n - 1] != '[')
		put_text(s, ",");
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
static err_t put_list(struct job *j, struct sheet *s, enum call_id list, const char *by, int64_t id)
{
	struct place at = { .list = list, .by = by, .id = id };
	const size_t mark = j->c->mem->used;

	put_text(s, "[");
	do {
		struct str array;
		void *page;

		TRY(turn(j, &at, &page));
		TRY(page_items(j, call[list].rep, page, &array));
		if (array.n > 2) {
			put_comma(s);
			put(s, array.p + 1, array.n - 2);
		}
		arena_back(j->c->mem, mark);
	} while (at.more && !s->full);
	put_text(s, "]");
	return OK;
}

static err_t put_lists(struct job *j, struct sheet *s, const struct part *p)
{
	const struct field *items = field_named(call[p->of].rep, "items", K_LIST);
	const struct field *id = field_named(items->of.msg, "id", K_INT);
	struct place at = { .list = p->of };
	const size_t mark = j->c->mem->used;

	put_text(s, "[");
	do {
		struct { const char *items; size_t n; } list;
		char head[96];
		void *page;

		TRY(turn(j, &at, &page));
		memcpy(&list, (const char *) page + items->off, sizeof list);
		for (size_t i = 0; i < list.n && !s->full; i++) {
			const int64_t of = field_int(list.items + i * items->of.msg->size, id);

			(void) snprintf(head, sizeof head, "{\"%s\":%" PRId64 ",\"items\":", p->by, of);
			put_comma(s);
			put_text(s, head);
			TRY(put_list(j, s, p->list, p->by, of));
			put_text(s, "}");
		}
		arena_back(j->c->mem, mark);
	} while (at.more && !s->full);
	put_text(s, "]");
	return OK;
}

err_t export(struct job *j)
{
	struct sheet s = { .n = 0 };
	struct str head;
	void *rep;

	TRY(room_take(j->c, &j->a->room));
	s.p = j->a->room;
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, j->call, j->req, NULL, &rep));
	TRY(msg_to_json(j->c, j->call->rep, rep, &head));
	put(&s, head.p, head.n - 1);		/* its last brace comes at the end */
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (!(parts[i].who & j->c->role))
			continue;
		put_text(&s, ",\"");
		put_text(&s, parts[i].name);
		put_text(&s, "\":");
		if (parts[i].of == NONE)
			TRY(put_list(j, &s, parts[i].list, NULL, 0));
		else
			TRY(put_lists(j, &s, &parts[i]));
	}
	put_text(&s, "}");
	if (s.full)
		return refuse(j->c, ERR_too_large, "an export of more than %d bytes", ROOM_SIZE);
	j->a->status = j->m.route->ok;
	j->a->type = "application/json";
	j->a->body = (struct str) { s.p, s.n };
	http_put(j->a, "Content-Disposition", "attachment; filename=\"healthmed-export.json\"");
	return OK;
}
