/*
 * dead_letters.c - the subcommand `dead-letters`: looks at what could not be processed, has it
 * processed again, or drops it.
 *
 * A replay is a new request to the same mailbox in the name of the same user.  Its id is made of the
 * letter's place in its stream: however often a letter is replayed, it has one outcome.  Must not
 * show what a letter says unless it is asked to: that may be of patients.
 */
#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/commands.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/base/time.h"
#include "broker/msg/booking.h"
#include "broker/partition.h"
#include "broker/request_id.h"
#include "broker/scan.h"
#include "broker/stream.h"

static const char usage[] =
	"Usage: healthmed dead-letters ls [--json]\n"
	"       healthmed dead-letters show SEQUENCE [--body] [--json]\n"
	"       healthmed dead-letters replay SEQUENCE|--all [--json]\n"
	"       healthmed dead-letters drop SEQUENCE|--all [--json]\n"
	"\n"
	"Messages that could not be processed wait in the stream DEAD_LETTERS.  `ls` prints a line\n"
	"each, `show` one of them; with --body also its bytes, which may be of patients.  `replay` asks\n"
	"once more what the letter asked, in the name of the same user, as a new request that names the\n"
	"letter's origin; once the mailbox has it, the letter is removed.  `drop` removes it for good.\n"
	"--json prints a JSON object a line instead.\n";

enum { ARENA = 4 << 20, SECRET_MIN = 32, ORIGIN = 64 };
#define ALL     "healthmed.v1.dead_letters.>"
#define CALL_US (5 * SECOND)		/* for the stream, and for the outcome of a replay */

struct task {
	struct bus *bus;
	int64_t     created, last;	/* the stream, and its last letter when the command began */
	int64_t     seq;		/* of the one letter; 0: all */
	bool        all, body, json;
};
typedef err_t act_fn(struct task *, const struct stream_msg *);

static struct arena arena;
static struct ctx ctx;

static struct ctx *fresh_ctx(void)
{
	arena_reset(&arena);
	ctx = (struct ctx) { .mem = &arena, .deadline = clock_mono() + CALL_US };
	return &ctx;
}

/* ---- what is printed ---- */

static const struct { const char *name, *header; } facts[] = {
	{ "reason",  WIRE_REASON },
	{ "call",    WIRE_CALL },
	{ "request", WIRE_REQUEST },
	{ "user",    WIRE_USER },
	{ "role",    WIRE_ROLE },
	{ "origin",  WIRE_ORIGIN },
};

static struct str time_of(const struct stream_msg *m)
{
	struct buf time = { .mem = &arena };

	time_write(&time, m->time);
	return (struct str) { time.p, time.n };
}

/* Of a header, for a terminal: what would steer it is a question mark. */
static const char *shown(const struct stream_msg *m, const char *header)
{
	const char *value = bus_header(m->msg, header);
	struct buf b = { .mem = &arena };

	for (const char *p = value == NULL ? "-" : value; *p != '\0'; p++)
		buf_put(&b, iscntrl((unsigned char) *p) ? "?" : p, 1);
	buf_put(&b, "", 1);
	return b.full ? "-" : b.p;
}

/* Sixteen bytes a line, as hexadecimal and as text. */
static void print_bytes(struct str body)
{
	for (size_t at = 0; at < body.n; at += 16) {
		(void) printf("%06zx ", at);
		for (size_t i = at; i < at + 16; i++)
			(void) (i < body.n ? printf(" %02x", (unsigned char) body.p[i]) : printf("   "));
		(void) printf("  ");
		for (size_t i = at; i < at + 16 && i < body.n; i++)
			(void) putchar(isprint((unsigned char) body.p[i]) ? body.p[i] : '.');
		(void) putchar('\n');
	}
}

static void print_json(const struct task *t, const struct stream_msg *m)
{
	const struct str time = time_of(m), body = bus_body(m->msg);

	(void) printf("{\"sequence\":%" PRId64 ",\"time\":\"%.*s\"", m->seq, (int) time.n, time.p);
	for (size_t i = 0; i < COUNT(facts); i++) {
		const char *value = bus_header(m->msg, facts[i].header);
		struct buf b = { .mem = &arena };

		if (value != NULL)
			scan_quote(&b, str_of(value));
		(void) printf(",\"%s\":%.*s", facts[i].name, (int) (b.n > 0 ? b.n : 4), b.n > 0 ? b.p : "null");
	}
	(void) printf(",\"bytes\":%zu", body.n);
	if (t->body) {
		(void) printf(",\"body\":\"");
		for (size_t i = 0; i < body.n; i++)
			(void) printf("%02x", (unsigned char) body.p[i]);
		(void) printf("\"");
	}
	(void) printf("}\n");
}

/* ---- what is done with a letter ---- */

static err_t list(struct task *t, const struct stream_msg *m)
{
	static bool titled;
	const struct str time = time_of(m);

	if (t->json)
		return print_json(t, m), OK;
	if (!titled)
		(void) printf("%8s  %-25s  %-15s  %-18s  %-43s  %s\n", "SEQUENCE", "TIME", "REASON", "CALL",
			      "REQUEST", "ORIGIN");
	titled = true;
	(void) printf("%8" PRId64 "  %-25.*s  %-15s  %-18s  %-43s  %s\n", m->seq, (int) time.n, time.p,
		      shown(m, WIRE_REASON), shown(m, WIRE_CALL), shown(m, WIRE_REQUEST),
		      shown(m, WIRE_ORIGIN));
	return OK;
}

static err_t show(struct task *t, const struct stream_msg *m)
{
	const struct str time = time_of(m);

	if (t->json)
		return print_json(t, m), OK;
	(void) printf("sequence  %" PRId64 "\ntime      %.*s\n", m->seq, (int) time.n, time.p);
	for (size_t i = 0; i < COUNT(facts); i++)
		(void) printf("%-9s %s\n", facts[i].name, shown(m, facts[i].header));
	(void) printf("body      %zu bytes%s\n", bus_body(m->msg).n, t->body ? "" : "; --body shows them");
	if (t->body)
		print_bytes(bus_body(m->msg));
	return OK;
}

static err_t drop(struct task *t, const struct stream_msg *m)
{
	TRY(stream_delete_msg(fresh_ctx(), t->bus, STREAM_DEAD_LETTERS, m->seq));
	(void) printf(t->json ? "{\"sequence\":%" PRId64 ",\"dropped\":true}\n" :
				"letter %" PRId64 ": dropped\n", m->seq);
	return OK;
}

static void tell(const struct task *t, const struct stream_msg *m, const char *id, const struct bus_outcome *o)
{
	struct booking_outcome done = { .status = REQUEST_PENDING };

	if (o->state == OUTCOME_DECIDED && msg_from_pack(&ctx, &booking_outcome_msg, o->outcome, &done).code)
		done.status = REQUEST_PENDING;

	const char *status = request_status_names[done.status];
	const struct str code = done.has.code ? done.code : STR("");

	if (t->json)
		(void) printf("{\"sequence\":%" PRId64 ",\"request\":\"%s\",\"status\":\"%s\",\"code\":%s%.*s%s}\n",
			      m->seq, id, status, code.n > 0 ? "\"" : "null", (int) code.n, code.p,
			      code.n > 0 ? "\"" : "");
	else
		(void) printf("letter %" PRId64 ": replayed as request %s: %s %.*s\n", m->seq, id, status,
			      (int) code.n, code.p);
}

/* Who asked what of whose mailbox; a letter that does not say that nobody can replay. */
static err_t read_sender(struct ctx *c, const struct stream_msg *m, struct request_id *id)
{
	const char *request = bus_header(m->msg, WIRE_REQUEST), *verb = bus_header(m->msg, WIRE_CALL);

	if (request == NULL || !request_id_read(str_of(request), id) || verb == NULL ||
	    wire_get_ctx(c, bus_header(m->msg, WIRE_USER), bus_header(m->msg, WIRE_ROLE), NULL, NULL).code ||
	    (c->user == 0 && c->role != ROLE_SYSTEM))
		return refuse(c, ERR_invalid, "it does not say who asked for what: it can only be dropped");
	c->if_match = bus_header(m->msg, WIRE_IF_MATCH);
	return OK;
}

static struct request_id id_of(const struct task *t, const struct ctx *c, int64_t doctor, int64_t seq)
{
	char who[24], origin[ORIGIN];

	(void) snprintf(who, sizeof who, "%" PRId64, c->user);
	(void) snprintf(origin, sizeof origin, "dead letter %" PRId64 " %" PRId64, t->created, seq);
	return request_id_make(str_of(config_text(CONFIG_REQUEST_KEY)), doctor, str_of(who), str_of(origin));
}

static err_t replay(struct task *t, const struct stream_msg *m)
{
	struct ctx *c = fresh_ctx();
	char subject[PARTITION_SUBJECT], text[REQUEST_ID_TEXT + 1];
	const char *origin = bus_header(m->msg, WIRE_ORIGIN);
	struct headers h = { .n = 0 };
	struct bus_outcome o;
	struct request_id id;

	TRY(read_sender(c, m, &id));
	partition_subject(id.doctor, subject);
	id = id_of(t, c, id.doctor, m->seq);
	request_id_write(&id, text);
	wire_put_ctx(c, true, &h);
	wire_put(&h, WIRE_CALL, bus_header(m->msg, WIRE_CALL));
	wire_put(&h, WIRE_REQUEST, text);
	if (origin != NULL)
		wire_put(&h, WIRE_ORIGIN, origin);
	TRY(bus_command(c, t->bus, subject, &h, bus_body(m->msg), CALL_US / 2, OUTCOME_USUAL, &o));
	if (o.state == OUTCOME_UNKNOWN)
		return refuse(c, ERR_outcome_unknown, "not known to be accepted: the letter stays, replay it again");
	tell(t, m, text, &o);
	return stream_delete_msg(fresh_ctx(), t->bus, STREAM_DEAD_LETTERS, m->seq);
}

/* ---- which letters ---- */

static void complain(int64_t seq)
{
	(void) fprintf(stderr, "healthmed dead-letters: letter %" PRId64 ": %s\n", seq, ctx.detail);
}

static err_t one(struct task *t, act_fn *act)
{
	struct stream_msg m;
	err_t e = stream_get(fresh_ctx(), t->bus, STREAM_DEAD_LETTERS, t->seq, ALL, &m);

	if (e.code == ERR_none) {
		e = m.seq == t->seq ? act(t, &m) : refuse(&ctx, ERR_not_found, "there is no such letter");
		bus_free(m.msg);
	} else if (e.code == ERR_not_found) {
		e = refuse(&ctx, ERR_not_found, "there is no such letter");
	}
	if (e.code)
		complain(t->seq);
	return e;
}

/* Those that were there when it began: a replay that fails again is another letter. */
static err_t each(struct task *t, act_fn *act)
{
	struct stream_msg m = { .seq = 0 };
	err_t refused = OK, e = OK;

	while (m.seq < t->last) {
		e = stream_get(fresh_ctx(), t->bus, STREAM_DEAD_LETTERS, m.seq + 1, ALL, &m);
		if (e.code)
			break;
		e = m.seq <= t->last ? act(t, &m) : OK;
		bus_free(m.msg);
		if (e.code)
			complain(m.seq);
		if (e.code == ERR_invalid)
			refused = e;
		else if (e.code)
			return e;
	}
	if (e.code == ERR_not_found || e.code == ERR_invalid)
		return refused;
	if (e.code)
		complain(m.seq + 1);
	return e.code ? e : refused;
}

static err_t run(struct task *t, act_fn *act)
{
	struct stream_info info;
	const err_t e = stream_info(fresh_ctx(), t->bus, STREAM_DEAD_LETTERS, &info);

	if (e.code && e.code != ERR_not_found) {
		(void) fprintf(stderr, "healthmed dead-letters: %s\n", ctx.detail);
		return e;
	}
	t->created = e.code ? 0 : info.created;
	t->last = e.code ? 0 : info.last_seq;
	return t->seq > 0 ? one(t, act) : each(t, act);
}

/* ---- the command ---- */

static const struct verb { const char *name; act_fn *act; bool one, all; } verbs[] = {
	{ "ls",     list,   false, true },
	{ "show",   show,   true,  false },
	{ "replay", replay, true,  true },
	{ "drop",   drop,   true,  true },
};

static int wrong(void)
{
	(void) fputs(usage, stderr);
	return EXIT_USAGE;
}

/* The verb of a command line that makes sense, or NULL. */
static const struct verb *read_words(int n, char **word, struct task *t)
{
	const struct verb *v = NULL;

	for (size_t i = 0; i < COUNT(verbs) && n > 0; i++)
		if (strcmp(word[0], verbs[i].name) == 0)
			v = &verbs[i];
	if (v == NULL || n > 2 || (t->body && v->act != show))
		return NULL;
	if (n == 2)
		return v->one && !t->all && str_int(str_of(word[1]), &t->seq) && t->seq > 0 ? v : NULL;
	return v->all && t->all == v->one ? v : NULL;
}

static int with_bus(struct task *t, const struct verb *v)
{
	char why[256] = "";
	err_t e;

	if (bus_open(config_text(CONFIG_NATS_URL), "healthmed dead-letters", &t->bus, why).code) {
		(void) fprintf(stderr, "healthmed dead-letters: %s\n", why);
		return EXIT_AWAY;
	}
	e = run(t, v->act);
	bus_close(t->bus);
	return e.code == ERR_none ? 0 : e.code == ERR_not_found || e.code == ERR_invalid ? 1 : EXIT_AWAY;
}

int dead_letters_main(int argc, char **argv)
{
	static const struct option options[] = { { "all", no_argument, NULL, 'a' }, { "body", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	struct task t = { .seq = 0 };
	const struct verb *v;

	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;)
		switch (o) {
		case 'a': t.all = true; break;
		case 'b': t.body = true; break;
		case 'j': t.json = true; break;
		case 'h': return fputs(usage, stdout), 0;
		default:  return wrong();
		}
	if ((v = read_words(argc - optind, argv + optind, &t)) == NULL)
		return wrong();
	if (v->act == replay && strlen(config_text(CONFIG_REQUEST_KEY)) < SECRET_MIN) {
		(void) fprintf(stderr, "healthmed dead-letters: HEALTHMED_REQUEST_KEY must be set, to replay\n");
		return EXIT_CONFIG;
	}

	void *storage = malloc(ARENA);

	assert(storage != NULL);
	arena_init(&arena, storage, ARENA);

	const int code = with_bus(&t, v);

	free(storage);
	return code;
}
