/*
 * files.c - the rules of the files domain.  Must not know HTTP, NATS, JSON or SQL, nor where chunks lie.
 *
 * Nothing of a file is believed but what is really stored: `commit` reads every chunk back, and looks at
 * what opens.
 */
#include <string.h>
#include <strings.h>
#include "actors/core/actor.h"
#include "actors/core/db.h"
#include "actors/core/dispatch.h"
#include "actors/files/files.h"
#include "actors/files/pdf.h"
#include "actors/files/rows.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "broker/etag.h"
#include "broker/link.h"

#define AFTER_APPOINTMENT (INT64_C(30) * 24 * 3600 * SECOND)	/* what an upload there grants */
_Static_assert((int) VAULT_CHUNK == (int) FILES_CHUNK, "a message takes a chunk");

ACTOR_DEFINE(files, FILES_CALLS)

static enum files_store store_for_new;

bool files_start(char *why)
{
	return vault_masters(config_text(CONFIG_FILES_MASTER_KEYS), why) && store_start(&store_for_new, why);
}

/* ---- small things ---- */

static struct files_key key_of(const struct ctx *c, int64_t id)
{
	struct files_key k = { .set = { 0 } };

	SET(&k, id, id);
	SET(&k, user_id, c->user);
	return k;
}

#define VAULT CLEANUP(vault_forget) struct vault

/* appointment 0: on account of none. */
static err_t note(struct ctx *c, const char *action, int64_t patient, int64_t appointment, int64_t file)
{
	struct files_note n = { .set = { 0 } };

	SET(&n, user_id, c->user);
	SET(&n, role, c->role == ROLE_DOCTOR ? STR("doctor") : STR("patient"));
	SET(&n, action, str_of(action));
	SET(&n, patient_id, patient);
	if (appointment != 0)
		SET(&n, appointment_id, appointment);
	SET(&n, file_id, file);
	return db_exec(c, Q_files_audit, &n);
}

/* One's own whole file, perhaps as one of an appointment; `alone`: nobody changes it or its grants
 * until the end of the transaction. */
static err_t own(struct ctx *c, int64_t id, bool has_appointment, int64_t appointment, bool alone)
{
	struct files_key k = key_of(c, id);
	struct files_done found;

	if (has_appointment)
		SET(&k, appointment_id, appointment);
	return db_one(c, alone ? Q_files_own_alone : Q_files_own, &k, &found);
}

/* ---- an upload ---- */

static err_t files_begin(struct ctx *c, const struct files_begin_req *q, struct files_done *a)
{
	struct files_new row = { .set = { 0 } };
	VAULT vault;

	TRY(db_one(c, Q_files_next, NULL, a));
	SET(&row, id, a->id);
	SET(&row, patient_id, c->user);
	SET(&row, size, q->size);
	SET(&row, store, store_for_new);
	TRY(vault_draw(c, &vault, a->id, &row.master, &row.wrapped_key));
	row.has.master = row.has.wrapped_key = 1;
	return db_exec(c, Q_files_begin, &row);
}

static err_t files_put(struct ctx *c, const struct files_put_req *q, struct files_done *a)
{
	const struct files_key k = key_of(c, q->id);
	struct files_row f;
	struct str sealed;
	VAULT vault;

	TRY(db_exec(c, Q_files_lazily, NULL));
	TRY(db_one(c, Q_files_pending, &k, &f));
	if (q->bytes.n != vault_length(f.size, q->index))
		return fault(c, ERR_invalid, "bytes", "must be as many as the file has there");
	TRY(vault_unwrap(c, &vault, f.id, f.master, f.wrapped_key));
	TRY(vault_seal(c, &vault, q->index, q->index == vault_chunks(f.size) - 1, q->bytes, &sealed));
	SET(a, id, f.id);
	return store_of(f.store)->put(c, f.id, q->index, sealed);
}

/* What is not there, or does not open, was tampered with: nothing is told. */
static err_t open_chunk(struct ctx *c, const struct files_row *f, const struct vault *v, int64_t index,
			struct str *out)
{
	const err_t e = store_of(f->store)->get(c, f->id, index, out);

	if (e.code == ERR_not_found)
		return refuse(c, ERR_internal, "file %lld has no chunk %lld", (long long) f->id, (long long) index);
	TRY(e);
	TRY(vault_open(c, v, index, index == vault_chunks(f->size) - 1, *out, out));
	return out->n == vault_length(f->size, index) ? OK :
	       refuse(c, ERR_internal, "chunk %lld of file %lld has another length", (long long) index,
		      (long long) f->id);
}

/* What is really stored, chunk by chunk, in the room of one. */
static err_t look_at(struct ctx *c, const struct files_row *f, struct pdf *pdf, unsigned char sha256[SHA256_BYTES])
{
	struct sha256 hash;
	VAULT vault;

	TRY(vault_unwrap(c, &vault, f->id, f->master, f->wrapped_key));
	sha256_begin(&hash);
	for (int64_t i = 0; i < vault_chunks(f->size); i++) {
		const size_t mark = c->mem->used;
		struct str plain;

		TRY(open_chunk(c, f, &vault, i, &plain));
		sha256_add(&hash, plain);
		pdf_feed(pdf, plain);
		arena_back(c->mem, mark);
	}
	sha256_end(&hash, sha256);
	return OK;
}

/* Control characters, and those that make a name look like another (U+200E, U+202A to U+202E …). */
static bool is_name(struct str s)
{
	bool some = false;

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char b = (unsigned char) s.p[i];
		const unsigned char next = i + 1 < s.n ? (unsigned char) s.p[i + 1] : 0;
		const unsigned char third = i + 2 < s.n ? (unsigned char) s.p[i + 2] : 0;

		if (b < ' ' || b == 0x7f || b == '/' || b == '\\' || (b == 0xc2 && next < 0xa0))
			return false;
		if (b == 0xe2 && ((next == 0x80 && ((third >= 0x8e && third <= 0x8f) ||
						    (third >= 0xa8 && third <= 0xae))) ||
				  (next == 0x81 && third >= 0xa6 && third <= 0xa9)))
			return false;
		some |= b != ' ' && b != '.';
	}
	return some;
}

static bool is_pdf_type(struct str type)
{
	static const char *const types[] = { "", "application/pdf", "application/x-pdf",
		"application/octet-stream" };
	const char *end = memchr(type.p, ';', type.n);
	const size_t n = end == NULL ? type.n : (size_t) (end - type.p);

	for (size_t i = 0; i < COUNT(types); i++)
		if (n == strlen(types[i]) && strncasecmp(type.p, types[i], n) == 0)
			return true;
	return false;
}

/* ---- grants ---- */

/* All are grants on account of appointments as they are, or nothing is granted. */
static err_t claim(struct ctx *c, const struct files_terms *t)
{
	struct files_done *claimed;
	size_t n = 0, appointments = 0;

	for (size_t i = 0; i < t->items.n; i++) {
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first &= t->items.items[k].appointment_id != t->items.items[i].appointment_id;
		appointments += first;
	}
	TRY(db_list(c, Q_files_claim, t, &claimed, &n));
	return n == appointments ? OK :
	       refuse(c, ERR_unavailable, "an appointment has changed since it was located");
}

static err_t grant(struct ctx *c, const struct files_terms *t, struct files_access **a, size_t *n)
{
	TRY(claim(c, t));
	TRY(db_list(c, Q_files_grant, t, a, n));
	for (size_t i = 0; i < *n; i++)
		TRY(note(c, "grant", c->user, (*a)[i].appointment_id, t->file_id));
	return OK;
}

/* An upload at an appointment lets its doctor read, if that is not long past. */
static err_t grant_appointment(struct ctx *c, const struct files_commit_req *q, int64_t file)
{
	struct files_granting one = { .set = { 0 } };
	struct files_terms t = { .items = { &one, 1 }, .has.items = 1 };
	struct files_access *access;
	size_t n;

	if (q->status == APPOINTMENT_CANCELLED)
		return ERR(invalid_transition);
	SET(&t, file_id, file);
	SET(&t, moves, true);
	SET(&one, doctor_id, q->doctor_id);
	SET(&one, appointment_id, q->appointment_id);
	SET(&one, expires_at, q->ends + AFTER_APPOINTMENT);
	SET(&one, as_of, q->updated_at);
	return one.expires_at > c->now ? grant(c, &t, &access, &n) : OK;
}

static err_t files_commit(struct ctx *c, const struct files_commit_req *q, struct files_file *a)
{
	const struct files_key k = key_of(c, q->id);
	struct files_whole whole = { .set = { 0 } };
	struct pdf pdf = { .n = 0 };
	unsigned char *sha256 = arena_alloc(c->mem, SHA256_BYTES);
	struct files_row f;
	const char *why;

	if (sha256 == NULL)
		return refuse(c, ERR_too_large, "no room for a hash");
	if (!is_pdf_type(q->content_type))
		return fault(c, ERR_invalid, "file", "must be a PDF");
	if (q->file_name.n > 0 && !is_name(q->file_name))
		return fault(c, ERR_invalid, "file", "must have a name that can be shown");
	TRY(db_one(c, Q_files_pending_alone, &k, &f));
	TRY(look_at(c, &f, &pdf, sha256));
	if ((why = pdf_fault(&pdf)) != NULL)
		return fault(c, ERR_invalid, "file", why);
	if (!q->has.sha256 || memcmp(q->sha256.p, sha256, SHA256_BYTES) != 0)
		return refuse(c, ERR_internal, "what is stored of file %lld is not what was sent", (long long) f.id);
	SET(&whole, id, f.id);
	SET(&whole, file_name, q->file_name.n > 0 ? q->file_name : STR("document.pdf"));
	SET(&whole, sha256, ((struct str) { (const char *) sha256, SHA256_BYTES }));
	if (q->has.appointment_id)
		SET(&whole, appointment_id, q->appointment_id);
	TRY(db_one(c, Q_files_commit, &whole, a));
	TRY(note(c, "write", c->user, q->has.appointment_id ? q->appointment_id : 0, f.id));
	return q->has.appointment_id ? grant_appointment(c, q, f.id) : OK;
}

static err_t files_discard(struct ctx *c, const struct files_discard_req *q, struct files_done *a)
{
	const struct files_key k = key_of(c, q->id);

	return db_one(c, Q_files_discard, &k, a);
}

/* ---- to look at ---- */

static err_t open_span(struct ctx *c, int64_t limit, bool has_cursor, struct str cursor, struct page *page,
		       struct files_span *s)
{
	TRY(page_open(c, limit, has_cursor ? cursor : (struct str) { NULL, 0 }, page));
	SET(s, user_id, c->user);
	SET(s, after_time, page->after_time);
	SET(s, after_id, page->after_id);
	SET(s, rows, page->rows);
	return OK;
}

/* A link is for whoever asks for it, and for a few minutes. */
static err_t add_link(struct ctx *c, struct files_file *f)
{
	const struct link l = { .file = f->id, .reader = c->user, .session = c->session, .role = c->role,
		.expires = c->now / SECOND + LINK_LIFE_S };

	f->has.path = 1;
	return link_write(c, str_of(c->secret), &l, &f->path);
}

/* A doctor comes by an appointment, or not at all. */
static err_t check_door(const struct ctx *c, bool has_appointment)
{
	return c->role == ROLE_DOCTOR && !has_appointment ? ERR(forbidden) : OK;
}

static err_t files_list(struct ctx *c, const struct files_list_req *q, struct files_page *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(check_door(c, q->has.appointment_id));
	TRY(open_span(c, q->limit, q->has.cursor, q->cursor, &page, &s));
	if (q->has.appointment_id)
		SET(&s, appointment_id, q->appointment_id);
	TRY(db_list(c, c->role == ROLE_DOCTOR ? Q_files_of_doctor : Q_files_of_patient, &s, &a->items.items,
		    &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	for (size_t i = 0; i < a->items.n; i++)
		TRY(add_link(c, &a->items.items[i]));
	if (a->null.next)
		return OK;

	const struct files_file *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->created_at, last->id, &a->next);
}

/* As the caller sees it, perhaps as one of an appointment. */
static err_t see(struct ctx *c, int64_t id, bool has_appointment, int64_t appointment, struct files_file *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(open_span(c, 1, false, STR(""), &page, &s));
	SET(&s, id, id);
	if (has_appointment)
		SET(&s, appointment_id, appointment);
	return db_one(c, c->role == ROLE_DOCTOR ? Q_files_of_doctor : Q_files_of_patient, &s, a);
}

static err_t files_get(struct ctx *c, const struct files_get_req *q, struct files_file *a)
{
	TRY(check_door(c, q->has.appointment_id));
	TRY(see(c, q->file_id, q->has.appointment_id, q->appointment_id, a));
	return add_link(c, a);
}

static err_t files_remove(struct ctx *c, const struct files_remove_req *q, struct files_done *a)
{
	const struct files_key k = key_of(c, q->file_id);
	struct files_file current;

	TRY(own(c, q->file_id, q->has.appointment_id, q->appointment_id, true));
	TRY(see(c, q->file_id, q->has.appointment_id, q->appointment_id, &current));
	TRY(etag_check(c, &files_file_msg, &current));
	TRY(note(c, "delete", c->user, q->has.appointment_id ? q->appointment_id : 0, q->file_id));
	return db_one(c, Q_files_remove, &k, a);
}

/* ---- a download ---- */

/* The file, if the caller may read it now; *appointment is why, 0 for the patient himself. */
static err_t readable(struct ctx *c, int64_t id, struct files_row *f, int64_t *appointment)
{
	const struct files_key k = key_of(c, id);
	struct files_reason why = { .appointment_id = 0 };

	TRY(db_one(c, Q_files_row, &k, f));
	if (c->role == ROLE_PATIENT && f->patient_id != c->user)
		return ERR(not_found);
	if (c->role == ROLE_DOCTOR && RULE(grant_at_download))
		TRY(db_one(c, Q_files_granted, &k, &why));
	*appointment = why.appointment_id;
	return OK;
}

static err_t files_open(struct ctx *c, const struct files_open_req *q, struct files_opened *a)
{
	struct files_row f;
	int64_t appointment;

	TRY(readable(c, q->file_id, &f, &appointment));
	TRY(note(c, "read", f.patient_id, appointment, f.id));
	SET(a, file_name, f.file_name);
	SET(a, size, f.size);
	SET(a, sha256, f.sha256);
	return OK;
}

static err_t files_chunk(struct ctx *c, const struct files_chunk_req *q, struct files_piece *a)
{
	struct files_row f;
	int64_t appointment;
	VAULT vault;

	TRY(readable(c, q->file_id, &f, &appointment));
	if (q->index >= vault_chunks(f.size))
		return ERR(not_found);
	TRY(vault_unwrap(c, &vault, f.id, f.master, f.wrapped_key));
	a->has.bytes = 1;
	return open_chunk(c, &f, &vault, q->index, &a->bytes);
}

/* ---- who may read ---- */

static void complain(struct ctx *c, const char *list, size_t i, const char *field, const char *message)
{
	struct buf b = { .mem = c->mem };

	if (list != NULL)
		buf_fmt(&b, "%s[%zu].%s", list, i, field);
	else
		buf_fmt(&b, "%s", field);
	buf_put(&b, "", 1);
	(void) fault(c, ERR_invalid, b.full ? field : b.p, message);
}

/* What a patient wants, against what is so; all that is wrong is told at once. */
static err_t check_term(struct ctx *c, const struct files_term *want, const char *list, size_t i,
			struct files_granting *out)
{
	if (want->doctor_id != want->appointment_doctor_id && RULE(grant_doctor))
		complain(c, list, i, "doctor_id", "must be the doctor of the appointment");
	if (want->status == APPOINTMENT_CANCELLED)
		complain(c, list, i, "appointment_id", "must not be cancelled");
	if (want->expires_at <= c->now)
		complain(c, list, i, "expires_at", "must be in the future");
	SET(out, doctor_id, want->doctor_id);
	SET(out, appointment_id, want->appointment_id);
	SET(out, expires_at, want->expires_at);
	SET(out, as_of, want->updated_at);
	return (err_t) { c->verdict };
}

static err_t files_grant(struct ctx *c, const struct files_grant_req *q, struct files_access *a)
{
	struct files_term want = { .set = { 0 } };
	struct files_granting one = { .set = { 0 } };
	struct files_terms t = { .items = { &one, 1 }, .has.items = 1 };
	const struct files_key k = key_of(c, q->file_id);
	struct files_access *access;
	struct files_number number;
	size_t n = 0;

	SET(&want, doctor_id, q->doctor_id);
	SET(&want, appointment_id, q->appointment_id);
	SET(&want, expires_at, q->expires_at);
	SET(&want, appointment_doctor_id, q->appointment_doctor_id);
	SET(&want, status, q->status);
	SET(&want, updated_at, q->updated_at);
	TRY(own(c, q->file_id, false, 0, true));
	TRY(check_term(c, &want, NULL, 0, &one));
	SET(&t, file_id, q->file_id);
	TRY(grant(c, &t, &access, &n));
	TRY(db_one(c, Q_files_count, &k, &number));
	if (number.n > FILES_GRANTS)
		return fault(c, ERR_invalid, "doctor_id", "is one too many: a file has at most 100 grants");
	*a = access[0];
	return OK;
}

/* All of them, which are no more than a page takes. */
static err_t list_grants(struct ctx *c, int64_t file, struct files_granted *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(open_span(c, PAGE_MAX, false, STR(""), &page, &s));
	SET(&s, id, file);
	a->has.items = a->null.next = 1;
	return db_list(c, Q_files_grants, &s, &a->items.items, &a->items.n);
}

static err_t files_replace(struct ctx *c, const struct files_replace_req *q, struct files_granted *a)
{
	struct files_granting *all = arena_alloc(c->mem, q->items.n * sizeof *all);
	struct files_terms t = { .items = { all, q->items.n }, .has.items = 1 };
	struct files_access *access;
	size_t n;

	if (all == NULL)
		return refuse(c, ERR_too_large, "no room for grants");
	TRY(own(c, q->file_id, q->has.appointment_id, q->appointment_id, true));
	TRY(list_grants(c, q->file_id, a));
	TRY(etag_check(c, &files_granted_msg, a));
	for (size_t i = 0; i < q->items.n; i++) {
		(void) check_term(c, &q->items.items[i], "items", i, &all[i]);
		for (size_t k = 0; k < i; k++)
			if (all[k].appointment_id == all[i].appointment_id)
				complain(c, "items", i, "appointment_id", "is given twice");
	}
	TRY((err_t) { c->verdict });
	SET(&t, file_id, q->file_id);
	TRY(db_exec(c, Q_files_end_others, &t));
	TRY(note(c, "replace", c->user, q->has.appointment_id ? q->appointment_id : 0, q->file_id));
	if (q->items.n > 0)
		TRY(grant(c, &t, &access, &n));
	return list_grants(c, q->file_id, a);
}

static err_t files_grants(struct ctx *c, const struct files_grants_req *q, struct files_granted *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(own(c, q->file_id, q->has.appointment_id, q->appointment_id, false));
	TRY(open_span(c, q->limit, q->has.cursor, q->cursor, &page, &s));
	SET(&s, id, q->file_id);
	TRY(db_list(c, Q_files_grants, &s, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct files_access *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->created_at, last->id, &a->next);
}

static err_t files_held(struct ctx *c, const struct files_held_req *q, struct files_held_rep *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(open_span(c, q->limit, q->has.cursor, q->cursor, &page, &s));
	TRY(db_list(c, Q_files_held, &s, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct files_holding *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->created_at, last->id, &a->next);
}

static err_t files_revoke(struct ctx *c, const struct files_revoke_req *q, struct files_done *a)
{
	struct files_revoked r = { .set = { 0 } };
	struct files_reason ended;

	TRY(own(c, q->file_id, false, 0, true));
	SET(&r, id, q->file_id);
	SET(&r, access_id, q->access_id);
	TRY(db_one(c, Q_files_revoke, &r, &ended));
	SET(a, id, q->access_id);
	return note(c, "revoke", c->user, ended.appointment_id, q->file_id);
}

static err_t files_reads(struct ctx *c, const struct files_reads_req *q, struct files_readers *a)
{
	struct files_span s = { .set = { 0 } };
	struct page page;

	TRY(own(c, q->file_id, false, 0, false));
	TRY(open_span(c, q->limit, q->has.cursor, q->cursor, &page, &s));
	SET(&s, id, q->file_id);
	TRY(db_list(c, Q_files_reads, &s, &a->items.items, &a->items.n));
	a->has.items = 1;
	a->null.next = !page_cut(&page, &a->items.n);
	if (a->null.next)
		return OK;

	const struct files_seen *last = &a->items.items[a->items.n - 1];

	a->has.next = 1;
	return page_after(c, last->at, last->id, &a->next);
}

/* ---- what others' facts mean here ---- */

static err_t learn(struct ctx *c, const struct facts *f, bool live)
{
	for (size_t i = 0; i < f->items.n; i++) {
		const struct fact *told = &f->items.items[i];
		struct files_known k = { .set = { 0 } };

		if (!told->has.doctor_id)
			continue;
		SET(&k, doctor_id, told->doctor_id);
		SET(&k, appointment_id, told->id);
		SET(&k, live, live);
		SET(&k, as_of, told->at);
		TRY(db_exec(c, Q_files_learn, &k));
		TRY(db_exec(c, Q_files_end_former, &k));
		if (!told->has.ends)
			continue;
		SET(&k, expires_at, told->ends + AFTER_APPOINTMENT);
		TRY(db_exec(c, Q_files_move, &k));
	}
	return OK;
}

static err_t follow_moved(struct ctx *c, const struct facts *f)
{
	return learn(c, f, true);
}

static err_t follow_cancelled(struct ctx *c, const struct facts *f)
{
	return learn(c, f, false);
}

static err_t follow_erased(struct ctx *c, const struct facts *f)
{
	struct files_known k = { .set = { 0 } };

	for (size_t i = 0; i < f->items.n; i++) {
		if (!f->items.items[i].has.doctor_id)
			continue;
		SET(&k, doctor_id, f->items.items[i].doctor_id);
		TRY(db_exec(c, Q_files_end_doctor, &k));
	}
	return OK;
}

const struct followed files_follows[] = {
	{ "booking.rescheduled", follow_moved },
	{ "booking.cancelled",   follow_cancelled },
	{ "users.erased",        follow_erased },
	{ NULL, NULL }
};

err_t files_sweep(struct ctx *c)
{
	struct idempotency *keys;
	struct files_row *stale;
	size_t n = 0, nkeys;

	TRY(db_list(c, Q_files_key_purge, NULL, &keys, &nkeys));
	TRY(db_list(c, Q_files_stale, NULL, &stale, &n));
	for (size_t i = 0; i < n; i++) {
		struct files_key k = { .set = { 0 } };

		SET(&k, id, stale[i].id);
		TRY(store_of(stale[i].store)->drop(c, stale[i].id, vault_chunks(stale[i].size)));
		TRY(db_exec(c, Q_files_forget, &k));
	}
	return OK;
}
