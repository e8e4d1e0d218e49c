/*
 * download.c - a file on its way out, to whoever a link names.
 *
 * Must not decide whether the reader may: the link proves who it was made for, and the actor is asked
 * about him with each piece.  Nothing goes out before all is here and has the hash that it was stored with:
 * of a file that was tampered with not one byte is told.
 */
#include <string.h>
#include <strings.h>
#include "broker/base/clock.h"
#include "broker/base/rule.h"
#include "broker/base/digest.h"
#include "broker/link.h"
#include "web/header.h"
#include "web/job.h"
#include "web/room.h"

#define TRANSFER (60 * SECOND)		/* of all pieces together */

static err_t follow(struct job *j, const struct files_open_req *q)
{
	const struct link l = { .file = q->file_id, .reader = q->reader, .expires = q->expires,
		.session = q->session, .role = q->role == USERS_DOCTOR ? ROLE_DOCTOR : ROLE_PATIENT };

	if (!link_is_good(j->g->secret, &l, q->signature, clock_wall() / SECOND))
		return refuse(j->c, ERR_bad_link, "signature or time");
	if (RULE(session_ended) && ended_has(&j->g->ended, l.reader, l.session, l.expires * SECOND))
		return refuse(j->c, ERR_bad_link, "its session has ended");
	j->c->user = l.reader;
	j->c->role = l.role;
	return OK;
}

static err_t fetch(struct job *j, int64_t file, int64_t index, char *to, size_t n)
{
	struct files_chunk_req q = { .set = { 0 } };
	const size_t mark = j->c->mem->used;
	const struct files_piece *piece;
	void *rep;

	SET(&q, file_id, file);
	SET(&q, index, index);
	TRY(ask(j, &call[CALL_files_chunk], &q, NULL, &rep));
	piece = rep;
	if (piece->bytes.n != n)
		return refuse(j->c, ERR_internal, "a piece of %zu bytes instead of %zu", piece->bytes.n, n);
	memcpy(to, piece->bytes.p, n);
	arena_back(j->c->mem, mark);
	return OK;
}

static err_t fetch_all(struct job *j, int64_t file, const struct files_opened *f, char *room)
{
	const size_t size = (size_t) f->size;
	unsigned char sha256[SHA256_BYTES];

	for (size_t at = 0; at < size; at += FILES_CHUNK)
		TRY(fetch(j, file, (int64_t) (at / FILES_CHUNK), room + at,
			  size - at < FILES_CHUNK ? size - at : FILES_CHUNK));
	sha256_of((struct str) { room, size }, sha256);
	return memcmp(sha256, f->sha256.p, SHA256_BYTES) == 0 ? OK :
	       refuse(j->c, ERR_internal, "what came is not what was stored");
}

#define ENDING ".pdf"

/* What is a PDF is called one, so that whoever saves it can open it. */
static err_t name_of(struct ctx *c, struct str of, struct str *name)
{
	const size_t n = sizeof ENDING - 1;
	struct buf b = { .mem = c->mem };

	buf_put(&b, of.p, of.n);
	if (of.n <= n || strncasecmp(of.p + of.n - n, ENDING, n) != 0)
		buf_put(&b, ENDING, n);
	*name = (struct str) { b.p, b.n };
	return b.full ? refuse(c, ERR_too_large, "no room for a file name") : OK;
}

err_t download(struct job *j)
{
	const struct files_open_req *q = j->req;
	const struct files_opened *f;
	struct str disposition, name;
	void *rep;

	TRY(follow(j, q));
	TRY(room_take(j->c, &j->a->room));
	j->c->deadline = clock_mono() + READ_DEADLINE;
	TRY(ask(j, j->call, q, NULL, &rep));
	f = rep;
	j->c->deadline = clock_mono() + TRANSFER;
	TRY(fetch_all(j, q->file_id, f, j->a->room));
	TRY(name_of(j->c, f->file_name, &name));
	TRY(header_attachment(j->c, name, &disposition));
	http_put(j->a, "Content-Disposition", "%s", disposition.p);
	j->a->status = j->m.route->ok;
	j->a->type = "application/pdf";
	j->a->body = (struct str) { j->a->room, (size_t) f->size };
	return OK;
}
