/*
 * verify.c - the subcommand `verify`: holds promises 1 to 4 against the stream and the database.
 *
 * Reads only, and may run beside a working system: the cursors are read before the messages, and
 * an outcome is committed together with its cursor.
 */
#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "actors/booking/rows.h"
#include "actors/core/commands.h"
#include "actors/core/db.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/partition.h"
#include "broker/request_id.h"
#include "broker/stream.h"

static const char usage[] =
	"Usage: healthmed verify [--quiet]\n"
	"\n"
	"Checks what was promised against the stream BOOKING and the database: no request is lost,\n"
	"none has two outcomes, no slot and no patient is booked twice, first come was first served.\n"
	"Prints a line a check, and the offending rows; exits 1 when there are any.\n"
	"\n"
	"  --quiet   only what is wrong\n";

enum { ARENA = 16 << 20, PAGE = 1024, SHOWN = 20 };

/* The checks that one query each answers. */
static const struct check_row { const char *name; enum query query; } check[] = {
	{ "cursor ahead of the work",      Q_verify_cursor_ahead },
	{ "booked, and not there",         Q_verify_effect_missing },
	{ "there, and never asked for",    Q_verify_effect_unasked },
	{ "two outcomes",                  Q_verify_two_outcomes },
	{ "slot booked twice",             Q_verify_slot_twice },
	{ "patient in two places",         Q_verify_patient_twice },
	{ "queue jumped",                  Q_verify_queue_jumped },
	{ "refused for a false reason",    Q_verify_false_blocker },
	{ "refused for another slot"     , Q_verify_false_slot },
	{ "freed, and nobody asked",       Q_verify_freed_unasked },
	{ "ended, and goes on",            Q_verify_never_ended },
};

struct verify {
	struct arena       arena;
	struct ctx         ctx;
	struct bus        *bus;
	bool               quiet;
	size_t             violations;
	struct stream_info stream;
	struct booking_cursor cursor[PARTITIONS];
	int64_t            messages, pending;
};

static struct ctx *fresh_ctx(struct verify *v, int64_t seconds)
{
	struct db *db = v->ctx.db;

	arena_reset(&v->arena);
	v->ctx = (struct ctx) { .mem = &v->arena, .db = db,
		.deadline = seconds ? clock_mono() + seconds * SECOND : 0 };
	return &v->ctx;
}

static void report(struct verify *v, const char *name, const struct verify_finding *found, size_t n)
{
	v->violations += n;
	if (n > 0 || !v->quiet)
		(void) printf("%-4s %s\n", n ? "FAIL" : "ok", name);
	for (size_t i = 0; i < n && i < SHOWN; i++)
		(void) printf("     %.*s\n", (int) found[i].text.n, found[i].text.p);
}

/* Keeps the numbers; the bytes of last_request are not looked at again. */
static err_t load_cursors(struct verify *v)
{
	struct booking_cursor *row;
	size_t n;

	TRY(db_list(fresh_ctx(v, 30), Q_verify_cursors, NULL, &row, &n));
	for (size_t i = 0; i < n; i++)
		if (row[i].partition >= 0 && row[i].partition < PARTITIONS)
			v->cursor[row[i].partition] = row[i];
	return OK;
}

/* A cursor of this stream must not stand beyond its end. */
static void check_ends(struct verify *v)
{
	char text[PARTITIONS][160];
	struct verify_finding found[PARTITIONS];
	size_t n = 0;

	for (int p = 0; p < PARTITIONS; p++) {
		const struct booking_cursor *c = &v->cursor[p];

		if (c->last_seq == 0 || c->stream_created != v->stream.created ||
		    c->last_seq <= v->stream.last_seq)
			continue;
		(void) snprintf(text[n], sizeof text[n], "partition %d: the cursor stands at %" PRId64
				", the stream ends at %" PRId64, p, c->last_seq, v->stream.last_seq);
		found[n] = (struct verify_finding) { .text = str_of(text[n]) };
		n++;
	}
	report(v, "cursor beyond the stream", found, n);
}

struct page { struct verify_message item[PAGE]; struct digest id[PAGE]; size_t n; };

static err_t check_page(struct verify *v, struct page *page, size_t *nfound)
{
	struct verify_messages in = { .set = { 0 } };
	struct verify_finding *found;
	size_t n;

	SET(&in, created, v->stream.created);
	in.has.items = 1;
	in.items.items = page->item;
	in.items.n = page->n;
	TRY(db_list(fresh_ctx(v, 0), Q_verify_lost, &in, &found, &n));
	if (n > 0 && *nfound == 0)
		report(v, "lost requests", found, n);
	*nfound += n;
	page->n = 0;
	return OK;
}

static void add_message(struct verify *v, struct page *page, const struct read *r)
{
	struct verify_message *m = &page->item[page->n];
	struct digest *id = &page->id[page->n];
	const char *name = bus_header(r->msg, WIRE_REQUEST);
	struct request_id rid;
	int64_t doctor;
	int partition = -1;

	(void) partition_read(bus_subject(r->msg), &partition, &doctor);
	v->messages++;
	if (partition < 0 || partition >= PARTITIONS)
		return;		/* no owner reads there, and no gateway writes */
	/* Of a cursor of another stream none is passed: it will be alarmed, and all of this one read. */
	v->pending += v->cursor[partition].stream_created != v->stream.created ||
		      r->seq > v->cursor[partition].last_seq;
	*id = (struct digest) { { 0 } };
	if (name != NULL && request_id_read(str_of(name), &rid))
		*id = rid.nonce;
	*m = (struct verify_message) { .set = { 0 } };
	SET(m, partition, partition);
	SET(m, seq, r->seq);
	SET(m, id, ((struct str) { (const char *) id->b, sizeof id->b }));
	page->n++;
}

/* Every message of the stream that a cursor has passed has an outcome, or a tombstone. */
static err_t check_messages(struct verify *v)
{
	static struct page page;
	struct reader *reader;
	size_t nfound = 0;
	bool done = v->stream.messages == 0;

	TRY(reader_open(v->bus, STREAM_BOOKING, &reader));

	err_t e = done ? OK : reader_start(fresh_ctx(v, 5), reader, 0, "healthmed.v1.booking.*.*",
					   v->stream.first_seq);

	for (int64_t silent = 0; !e.code && !done;) {
		struct read r;

		reader_next(reader, SECOND, &r);
		if (r.what == READ_MESSAGE) {
			silent = 0;
			add_message(v, &page, &r);
			done = r.seq >= v->stream.last_seq || r.waiting == 0;
			bus_free(r.msg);
			if (!v->quiet && isatty(STDERR_FILENO) && v->messages % 50000 == 0)
				(void) fprintf(stderr, "     … %" PRId64 " of %" PRId64 " messages\r",
					       v->messages, v->stream.messages);
		} else if (r.what == READ_BROKEN || ++silent > 10) {
			e = refuse(&v->ctx, ERR_unavailable, "the stream stopped: %s",
				   r.what == READ_BROKEN ? r.why : "silence");
		}
		if (!e.code && (page.n == PAGE || (done && page.n > 0)))
			e = check_page(v, &page, &nfound);
	}
	reader_close(reader);
	if (!e.code && nfound == 0)
		report(v, "lost requests", NULL, 0);
	return e;
}

static err_t run(struct verify *v)
{
	struct verify_counts counts;

	TRY(load_cursors(v));

	const err_t e = stream_info(fresh_ctx(v, 5), v->bus, STREAM_BOOKING, &v->stream);

	if (e.code && e.code != ERR_not_found)
		return e;
	if (e.code == ERR_not_found)
		v->stream = (struct stream_info) { 0 };
	check_ends(v);
	TRY(check_messages(v));
	for (size_t i = 0; i < COUNT(check); i++) {
		struct verify_finding *found;
		size_t n;

		TRY(db_list(fresh_ctx(v, 0), check[i].query, NULL, &found, &n));
		report(v, check[i].name, found, n);
	}
	TRY(db_one(fresh_ctx(v, 0), Q_verify_counts, NULL, &counts));
	if (v->violations > 0)
		(void) printf("verify: %zu violations", v->violations);
	else
		(void) printf("verify: no violation");
	(void) printf(" (%" PRId64 " messages, %" PRId64 " pending; %" PRId64 " requests decided, %" PRId64
		      " appointments)\n", v->messages, v->pending, counts.requests, counts.appointments);
	return OK;
}

static int away(const char *what, const char *why)
{
	(void) fprintf(stderr, "healthmed verify: %s: %s\n", what, why);
	return EXIT_AWAY;
}

int verify_main(int argc, char **argv)
{
	static const struct option option[] = {
		{ "help", no_argument, NULL, 'h' }, { "quiet", no_argument, NULL, 'q' }, { 0 },
	};
	struct verify v = { .quiet = false };
	void *storage;
	char why[256] = "";
	int status = 0, o;

	while ((o = getopt_long(argc, argv, "h", option, NULL)) != -1) {
		if (o == 'q')
			v.quiet = true;
		else
			return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : EXIT_USAGE;
	}
	if (optind < argc)
		return fputs(usage, stderr), EXIT_USAGE;

	storage = malloc(ARENA);
	assert(storage != NULL);
	arena_init(&v.arena, storage, ARENA);
	if (db_open(config_text(CONFIG_DATABASE_URL), NULL, &v.ctx.db, why).code) {
		status = away("the database", why);
	} else if (bus_open(config_text(CONFIG_NATS_URL), "healthmed verify", &v.bus, why).code) {
		status = away("NATS", why);
	} else {
		if (run(&v).code)
			status = away("could not finish", v.ctx.detail[0] ? v.ctx.detail :
				      db_sqlstate(v.ctx.db));
		else
			status = v.violations > 0;
		bus_close(v.bus);
	}
	if (v.ctx.db != NULL)
		db_close(v.ctx.db);
	free(storage);
	return status;
}
