/*
 * upload.c - a file on its way in: read whole, found in its form, handed over in pieces.
 *
 * Must not judge the file: what is a PDF is for the actor to say, of what it has stored.  Copies of a
 * request each bring the file under an id of their own; `commit` is the one act that a key repeats, and
 * whoever hears of another id was not the first.
 */
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "web/job.h"
#include "web/multipart.h"
#include "web/room.h"

enum { FORM = 64 << 10 };		/* what a form adds to its file, at most */
#define TRANSFER (60 * SECOND)		/* of all pieces together */

/* A call of one piece takes no room of the arena for the next. */
static err_t put(struct job *j, int64_t id, int64_t index, struct str bytes)
{
	struct files_put_req q = { .set = { 0 } };
	const size_t mark = j->c->mem->used;
	void *rep;

	SET(&q, id, id);
	SET(&q, index, index);
	SET(&q, bytes, bytes);
	TRY(ask(j, &call[CALL_files_put], &q, NULL, &rep));
	arena_back(j->c->mem, mark);
	return OK;
}

static err_t put_all(struct job *j, int64_t id, struct str data)
{
	for (size_t at = 0; at < data.n; at += FILES_CHUNK) {
		const size_t left = data.n - at;

		TRY(put(j, id, (int64_t) (at / FILES_CHUNK),
			(struct str) { data.p + at, left < FILES_CHUNK ? left : FILES_CHUNK }));
	}
	return OK;
}

static err_t commit(struct job *j, void **rep)
{
	char text[REQUEST_ID_TEXT + 1];
	const struct request_id id = request_id_make(j->g->secret, 0, j->who, j->key);
	err_t e;

	request_id_write(&id, text);
	e = ask(j, j->call, j->req, j->key.p != NULL ? text : NULL, rep);
	return e.code == ERR_timeout ? refuse(j->c, ERR_outcome_unknown, "no answer of %s in time", j->call->name) : e;
}

/* Whatever becomes of that, it is swept in an hour.  The refusal is what the client hears of. */
static void discard(struct job *j, int64_t id)
{
	struct files_discard_req q = { .set = { 0 } };
	struct ctx kept = *j->c;
	void *rep;

	SET(&q, id, id);
	j->c->deadline = clock_mono() + SECOND;
	(void) ask(j, &call[CALL_files_discard], &q, NULL, &rep).code;
	*j->c = kept;
}

static err_t begin(struct job *j, size_t size, int64_t *id)
{
	struct files_begin_req q = { .set = { 0 } };
	void *rep;

	SET(&q, size, (int64_t) size);
	TRY(ask(j, &call[CALL_files_begin], &q, NULL, &rep));
	*id = ((const struct files_done *) rep)->id;
	return OK;
}

static err_t read_form(struct job *j, struct multipart *m)
{
	const struct str type = http_header(j->q, "Content-Type");
	struct str body;

	/* Before the body is read: nobody has to send ten megabytes to hear that. */
	TRY(multipart_type(j->c, type.p == NULL ? STR("") : type));
	TRY(find_rest(j));
	TRY(room_take(j->c, &j->a->room));
	TRY(http_upload(j->q, j->a->room, FILES_MAX + FORM, &body));
	TRY(multipart_file(j->c, type, body, "file", m));
	if (m->data.n == 0)
		return fault(j->c, ERR_invalid, "file", "must not be empty");
	return m->data.n <= FILES_MAX ? OK : refuse(j->c, ERR_too_large, "file of %zu bytes", m->data.n);
}

err_t upload(struct job *j, void **rep)
{
	struct files_commit_req *q = j->req;
	unsigned char *sha256 = arena_alloc(j->c->mem, SHA256_BYTES);
	struct multipart m;
	int64_t id;
	err_t e;

	if (sha256 == NULL)
		return refuse(j->c, ERR_too_large, "no room for a hash");
	TRY(read_form(j, &m));
	sha256_of(m.data, sha256);
	SET(q, file_name, m.name);
	SET(q, content_type, m.type);
	SET(q, sha256, ((struct str) { (const char *) sha256, SHA256_BYTES }));
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(begin(j, m.data.n, &id));
	j->c->deadline = clock_mono() + TRANSFER;
	SET(q, id, id);
	e = put_all(j, id, m.data);
	if (e.code == ERR_none)
		e = commit(j, rep);
	if (e.code != ERR_outcome_unknown &&
	    (e.code != ERR_none || ((const struct files_file *) *rep)->id != id))
		discard(j, id);
	return e;
}
