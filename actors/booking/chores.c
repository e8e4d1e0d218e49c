/* chores.c - see chores.h.  Must not change what an agenda is: that is decide.c's. */
#include <inttypes.h>
#include <string.h>
#include "actors/booking/chores.h"
#include "actors/booking/rows.h"
#include "broker/partition.h"
#include "broker/request_id.h"

enum { TOLD_AT_ONCE = 256 };	/* as booking_told reads */

/* One command of the system.  Its copies are known by `about`: what it is and why. */
static err_t add_command(struct ctx *c, struct outbox *letters, enum call_id id, int64_t doctor,
			 const void *req, struct str about)
{
	const struct request_id request = request_id_make(str_of(c->secret), doctor, STR("system"), about);
	char *text = arena_alloc(c->mem, REQUEST_ID_TEXT + 1);
	char *subject = arena_alloc(c->mem, PARTITION_SUBJECT);
	struct letter l = { .set = { 0 } };
	struct str body;

	if (text == NULL || subject == NULL)
		return refuse(c, ERR_too_large, "no room for a command");
	request_id_write(&request, text);
	partition_subject(doctor, subject);
	TRY(msg_to_pack(c, call[id].req, req, &body));
	SET(&l, subject, str_of(subject));
	SET(&l, body, body);
	SET(&l, call, str_of(call[id].name));
	SET(&l, request, str_of(text));
	SET(&l, role, STR("system"));
	return outbox_add(c, letters, &l);
}

static err_t send_off(struct ctx *c, const struct outbox *letters)
{
	struct booking_letters row = { .has.letters = 1 };

	if (letters->n == 0)
		return OK;
	TRY(outbox_pack(c, letters, &row.letters));
	return db_exec(c, Q_booking_write_chores, &row);
}

static struct str about(struct ctx *c, const char *what, int64_t id, int64_t which)
{
	struct buf b = { .mem = c->mem };

	buf_fmt(&b, "%s:%" PRId64 ":%" PRId64, what, id, which);
	return (struct str) { b.full ? "" : b.p, b.full ? 0 : b.n };
}

static err_t add_revoke(struct ctx *c, struct outbox *letters, const struct booking_due *live)
{
	struct booking_revoke_req q = { .set = { 0 } };

	SET(&q, id, live->id);
	SET(&q, doctor_id, live->doctor_id);
	return add_command(c, letters, CALL_booking_revoke, q.doctor_id, &q,
			   about(c, "revoke", q.id, live->granted_batch));
}

/* The outcome as it was told, without the reason.  One that cannot be read tells nobody anything. */
static err_t unsay(struct ctx *c, struct booking_request *row)
{
	struct ctx aside = { .mem = c->mem };
	struct booking_outcome o;

	if (msg_from_pack(&aside, &booking_outcome_msg, row->outcome, &o).code) {
		SET(row, outcome, STR(""));
		return OK;
	}
	o.appointment.has.cancelled_reason = 0;
	return msg_to_pack(c, &booking_outcome_msg, &o, &row->outcome);
}

/* The reason last: it is what the rest is found by, should that be more than is done at once.  A batch that
 * deals with one of these appointments holds the lock of its patient. */
static err_t unsay_reasons(struct ctx *c, const struct booking_keys *keys)
{
	struct booking_writes w = { .has.requests = 1 };
	struct booking_count locked;

	TRY(db_one(c, Q_booking_lock_patients, keys, &locked));
	TRY(db_list(c, Q_booking_told, keys, &w.requests.items, &w.requests.n));
	for (size_t i = 0; i < w.requests.n; i++)
		TRY(unsay(c, &w.requests.items[i]));
	if (w.requests.n > 0)
		TRY(db_exec(c, Q_booking_write_told, &w));
	return w.requests.n < TOLD_AT_ONCE ? db_exec(c, Q_booking_write_unsaid, keys) : OK;
}

/*
 * Who is erased takes the words along: the reasons, and the answers that told them, also to the other side.
 * A bounded part each time, until there are none; nothing is added, for what comes later is refused.
 */
static err_t forget(struct ctx *c)
{
	struct booking_keys keys = { .set = { 0 } };

	memset(&keys.has, 0xff, sizeof keys.has);
	TRY(db_list(c, Q_booking_unforgotten, NULL, &keys.accounts.items, &keys.accounts.n));
	if (keys.accounts.n == 0)
		return OK;
	TRY(db_list(c, Q_booking_reasons, &keys, &keys.named.items, &keys.named.n));
	if (keys.named.n > 0)
		TRY(unsay_reasons(c, &keys));
	return db_exec(c, Q_booking_write_forgotten, &keys);
}

static err_t expire(struct ctx *c)
{
	struct outbox letters = { 0 };
	struct booking_due *due;
	size_t n;

	TRY(db_list(c, Q_booking_overdue, NULL, &due, &n));
	for (size_t i = 0; i < n; i++) {
		struct booking_expire_req q = { .set = { 0 } };

		SET(&q, id, due[i].id);
		SET(&q, doctor_id, due[i].doctor_id);
		TRY(add_command(c, &letters, CALL_booking_expire, q.doctor_id, &q,
				about(c, "expire", q.id, due[i].granted_batch)));
	}
	return send_off(c, &letters);
}

err_t booking_chore(struct ctx *c)
{
	TRY(expire(c));
	return forget(c);
}

/* Every appointment that the account still has; the doctor of each may be another. */
static err_t revoke_all(struct ctx *c, enum query of, int64_t account)
{
	struct booking_account page = { .set = { 0 } };
	struct booking_due *live;
	size_t n;

	SET(&page, id, account);
	SET(&page, after, 0);
	TRY(db_exec(c, Q_booking_note_erased, &page));
	do {
		struct outbox letters = { 0 };

		TRY(db_list(c, of, &page, &live, &n));
		for (size_t i = 0; i < n; i++) {
			SET(&page, after, live[i].id);
			TRY(add_revoke(c, &letters, &live[i]));
		}
		TRY(send_off(c, &letters));
	} while (n > 0);
	return OK;
}

static err_t close_agenda(struct ctx *c, int64_t doctor)
{
	struct booking_close_req q = { .set = { 0 } };
	struct outbox letters = { 0 };

	SET(&q, doctor_id, doctor);
	TRY(add_command(c, &letters, CALL_booking_close, doctor, &q, about(c, "close", doctor, 0)));
	return send_off(c, &letters);
}

static void name(struct booking_id *items, size_t *n, int64_t id)
{
	SET(&items[*n], id, id);
	++*n;
}

/*
 * Waits for the batches that are deciding about these people, as batches wait for each other, and keeps off
 * those that come: whatever is decided afterwards knows who is gone, whatever was decided before is seen here.
 */
static err_t keep_off(struct ctx *c, const struct facts *f)
{
	struct booking_keys keys = { .set = { 0 } };
	bool seen[PARTITIONS] = { false };
	struct booking_cursor *cursor;
	struct booking_count locked;
	size_t n;

	memset(&keys.has, 0xff, sizeof keys.has);
	keys.partitions.items = arena_alloc(c->mem, PARTITIONS * sizeof *keys.partitions.items);
	keys.patients.items = arena_alloc(c->mem, f->items.n * sizeof *keys.patients.items);
	if (keys.partitions.items == NULL || keys.patients.items == NULL)
		return refuse(c, ERR_too_large, "no room for what is locked");
	for (size_t i = 0; i < f->items.n; i++) {
		const struct fact *gone = &f->items.items[i];

		if (gone->has.patient_id)
			name(keys.patients.items, &keys.patients.n, gone->patient_id);
		if (gone->has.doctor_id && !seen[partition_of(gone->doctor_id)])
			name(keys.partitions.items, &keys.partitions.n, partition_of(gone->doctor_id));
		if (gone->has.doctor_id)
			seen[partition_of(gone->doctor_id)] = true;
	}
	TRY(db_list(c, Q_booking_lock_cursors, &keys, &cursor, &n));
	if (n < keys.partitions.n)
		return refuse(c, ERR_unavailable, "nobody has read that mailbox yet");
	return db_one(c, Q_booking_lock_patients, &keys, &locked);
}

static err_t follow_erased(struct ctx *c, const struct facts *f)
{
	TRY(keep_off(c, f));
	for (size_t i = 0; i < f->items.n; i++) {
		const struct fact *gone = &f->items.items[i];

		if (gone->has.doctor_id) {
			TRY(close_agenda(c, gone->doctor_id));
			TRY(revoke_all(c, Q_booking_live_of_doctor, gone->doctor_id));
		}
		if (gone->has.patient_id)
			TRY(revoke_all(c, Q_booking_live_of_patient, gone->patient_id));
	}
	return OK;
}

const struct followed booking_follows[] = { { "users.erased", follow_erased }, { NULL, NULL } };
