/* ask.c - see ask.h.  Must not know a connection, nor what time it is. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/call.h"
#include "broker/partition.h"
#include "broker/request_id.h"
#include "broker/wire.h"
#include "loadtest/ask.h"
#include "loadtest/nats.h"
#include "loadtest/options.h"
#include "loadtest/zipf.h"

enum { SESSION = 128, GOOD_MAX = 6, ARENA = 256 << 10 };
enum who { PATIENT, NOBODY };
enum series { WHICH, FILTER, DOCTOR };		/* of draw() */

static const struct ask_row {
	const char     *name;
	enum call_id    call;
	int             status;
	enum who        who;
} kinds[KINDS] = {
#define X(kind, call, status, who) { #kind, CALL_##call, status, who },
	KIND_TABLE(X)
#undef X
};
const char *const ask_names[KINDS] = {
#define X(kind, call, status, who) #kind,
	KIND_TABLE(X)
#undef X
};

struct lines { char *text, **line; size_t n; };

static struct lines tokens, requests, filters, logins;
static double  mix[KINDS], *filter_share, *doctor_share;
static int     good[KINDS][GOOD_MAX];		/* statuses that are expected */

/* Sessions that a process has, and those of them that are not in use. */
static char    (*session)[SESSION];
static size_t  sessions, *unused, nunused;

/* How many of each kind were asked, and of all; every process counts here. */
static struct share { _Atomic uint64_t all, kind[KINDS]; } *share;

/* ---- files ------------------------------------------------------------------------------ */

static void *room(size_t n, const char *what)
{
	void *p = calloc(n, 1);

	if (p == NULL)
		usage("too large:", what);
	return p;
}

static char *file_read(const char *path)
{
	FILE *const f = fopen(path, "re");
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);

	if (f == NULL || text == NULL)
		usage("cannot be read:", path);
	for (size_t got; (got = fread(text + n, 1, cap - n - 1, f)) > 0;) {
		n += got;
		if (cap - n < 2 && (text = realloc(text, cap *= 2)) == NULL)
			usage("too large:", path);
	}
	if (ferror(f))
		usage("cannot be read:", path);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* The lines that are not empty, for as long as the process lives. */
static struct lines lines_read(const char *path)
{
	struct lines l = { .text = file_read(path) };
	size_t most = 1;

	for (const char *p = l.text; *p; p++)
		most += *p == '\n';
	l.line = room(most * sizeof *l.line, path);
	for (char *save, *p = strtok_r(l.text, "\r\n", &save); p; p = strtok_r(NULL, "\r\n", &save))
		l.line[l.n++] = p;
	if (l.n == 0)
		usage("is empty:", path);
	return l;
}

/* ---- what the options say --------------------------------------------------------------- */

/* The kind that a word of a list begins with, up to one of the ends. */
static enum ask_kind kind_of(const char *word, const char *ends, const char *option)
{
	const size_t n = strcspn(word, ends);

	for (int k = 0; k < KINDS; k++)
		if (strlen(kinds[k].name) == n && memcmp(kinds[k].name, word, n) == 0)
			return (enum ask_kind) k;
	usage("names no kind of request:", option);
}

static void mix_read(void)
{
	for (const char *p = opt.mix.text; *p; p += strcspn(p, ","), p += *p == ',') {
		const enum ask_kind k = kind_of(p, ":,", "--mix");
		const char *weight = p + strlen(kinds[k].name);

		mix[k] = *weight == ':' ? strtod(weight + 1, NULL) : 1;
		if (!(mix[k] > 0 && mix[k] < 1e9))
			usage("a weight is not above 0:", "--mix");
	}
	for (int k = 0; k < KINDS; k++)
		good[k][0] = kinds[k].status;
	for (const char *p = opt.expect.text; *p; p += *p == ',') {
		const enum ask_kind k = kind_of(p, ":,", "--expect");

		p += strlen(kinds[k].name);
		for (int i = 0; *p == ':' && i < GOOD_MAX; i++) {
			char *end;

			good[k][i] = (int) strtol(p + 1, &end, 10);
			p = end;
		}
		if (*p && *p != ',')
			usage("is a list of kind:status:…,", "--expect");
	}
}

static const struct source { enum ask_kind kind; struct value *option; const char *name; struct lines *into; } needs[] = {
	{ ASK_file,    &opt.requests, "--requests", &requests },
	{ ASK_search,  &opt.filters,  "--filters",  &filters },
	{ ASK_login,   &opt.logins,   "--logins",   &logins },
};

static uint64_t slots_in_all(void)
{
	return (uint64_t) opt.doctors.n * (uint64_t) opt.slots.n;
}

size_t ask_shared(void) { return sizeof *share; }

void ask_init(void *shared)
{
	const double zipf = strtod(opt.zipf.text, NULL);

	share = shared;
	mix_read();
	if (!(zipf >= 0 && zipf < 10))
		usage("must be from 0 to 10:", "--zipf");
	if (*opt.tokens.text)
		tokens = lines_read(opt.tokens.text);
	for (size_t i = 0; i < COUNT(needs); i++)
		if (mix[needs[i].kind] > 0) {
			if (!*needs[i].option->text)
				usage("the mix needs", needs[i].name);
			*needs[i].into = lines_read(needs[i].option->text);
		}
	if (mix[ASK_refresh] > 0 && !*opt.sessions.text)
		usage("the mix needs", "--sessions");
	if (mix[ASK_book] > 0 && (uint64_t) opt.start.n >= slots_in_all() && !opt.again.n)
		usage("is beyond the last slot:", "--start");
	if (filters.n) {
		filter_share = room(filters.n * sizeof *filter_share, "--filters");
		zipf_shares(filter_share, filters.n, zipf);
	}
	doctor_share = room((size_t) opt.doctors.n * sizeof *doctor_share, "--doctors");
	zipf_shares(doctor_share, (size_t) opt.doctors.n, zipf);
	shares_of(mix, KINDS);
	atomic_store(&share->kind[ASK_book], (uint64_t) opt.start.n);
}

void ask_mine(int process, int processes)
{
	struct lines l;

	if (!*opt.sessions.text)
		return;
	l = lines_read(opt.sessions.text);
	session = room(l.n * SESSION, "--sessions");
	unused = room(l.n * sizeof *unused, "--sessions");
	for (size_t i = (size_t) process; i < l.n; i += (size_t) processes) {
		if (strlen(l.line[i]) >= SESSION)
			usage("a token is too long:", "--sessions");
		(void) snprintf(session[sessions], SESSION, "%s", l.line[i]);
		unused[nunused++] = sessions++;
	}
	free(l.line);		/* what they say was copied */
	free(l.text);
}

enum ask_next ask_next(struct ask *a)
{
	const uint64_t i = atomic_fetch_add_explicit(&share->all, 1, memory_order_relaxed);

	if (opt.count.n && i >= (uint64_t) opt.count.n)
		return ASK_OVER;
	a->kind = (enum ask_kind) share_pick(mix, KINDS, draw_share(WHICH, i));
	if (a->kind == ASK_refresh) {
		if (nunused == 0)
			return ASK_NONE;
		a->session = unused[--nunused];
	}
	a->n = atomic_fetch_add_explicit(&share->kind[a->kind], 1, memory_order_relaxed);
	return a->kind == ASK_book && a->n >= slots_in_all() && !opt.again.n ? ASK_OVER : ASK_THIS;
}

bool ask_expects(const struct ask *a, int status)
{
	for (int i = 0; i < GOOD_MAX && good[a->kind][i]; i++)
		if (good[a->kind][i] == status)
			return true;
	return false;
}

/* A refused or lost one goes on with the token it had: the one before the last still counts for a while. */
void ask_answered(const struct ask *a, int status, struct str body)
{
	static const char key[] = "\"refresh_token\":\"";
	const char *p, *end;

	if (a->kind != ASK_refresh)
		return;
	unused[nunused++] = a->session;
	if (status != 200 || (p = memmem(body.p, body.n, key, sizeof key - 1)) == NULL)
		return;
	p += sizeof key - 1;
	end = memchr(p, '"', body.n - (size_t) (p - body.p));
	if (end != NULL && end - p < SESSION)
		(void) snprintf(session[a->session], SESSION, "%.*s", (int) (end - p), p);
}

uint64_t ask_booked(void)
{
	const uint64_t n = atomic_load(&share->kind[ASK_book]);

	return n < slots_in_all() || opt.again.n ? n : slots_in_all();
}

/* ---- what request n is about ------------------------------------------------------------ */

/* A request as its pieces; texts live until the next one. */
struct said {
	const char *method;
	struct pair path[1];		/* of NATS */
	struct str  url, query, body;
	char        room[64], rest[160];
};

static struct str said_text(char *at, size_t size, const char *fmt, ...) PRINTF(3, 4);
static struct str said_text(char *at, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(at, size, fmt, ap);
	va_end(ap);
	return (struct str) { at, n < 0 ? 0 : (size_t) n < size ? (size_t) n : size - 1 };
}

static void say_file(uint64_t n, struct said *s)
{
	char *const line = requests.line[n % requests.n];
	const size_t method = strcspn(line, " ");
	char *const path = line + method + (line[method] == ' ');
	const size_t end = strcspn(path, " ");

	s->method = said_text(s->room, sizeof s->room, "%.*s", (int) method, line).p;
	s->url = (struct str) { path, end };
	if (path[end] == ' ')
		s->body = str_of(path + end + 1);
}

static void say(const struct ask *a, struct said *s)
{
	const uint64_t n = a->n, doctors = (uint64_t) opt.doctors.n, i = n % slots_in_all();

	*s = (struct said) { .method = "GET" };
	switch (a->kind) {
	case ASK_search:
		s->url = STR("/users/doctors");
		s->query = str_of(filters.line[share_pick(filter_share, filters.n, draw_share(FILTER, n))]);
		break;
	case ASK_slots:
		s->path[0] = (struct pair) { STR("doctor_id"), said_text(s->room, sizeof s->room, "%" PRId64,
			opt.first_doctor.n + (int64_t) share_pick(doctor_share, doctors, draw_share(DOCTOR, n))) };
		s->url = said_text(s->rest, sizeof s->rest, "/doctors/%s/slots", s->room);
		break;
	case ASK_appointments:
		s->url = STR("/appointments");
		break;
	case ASK_book:
		s->method = "POST";
		s->url = STR("/appointments");
		s->body = said_text(s->rest, sizeof s->rest,
			"{\"schedule_id\":%" PRIu64 ",\"doctor_id\":%" PRIu64 "}", (uint64_t) opt.first_slot.n +
			i % doctors * (uint64_t) opt.slots.n + i / doctors, (uint64_t) opt.first_doctor.n + i % doctors);
		break;
	case ASK_refresh:
		s->method = "POST";
		s->url = STR("/users/token");
		s->body = said_text(s->rest, sizeof s->rest, "{\"refresh_token\":\"%s\"}", session[a->session]);
		break;
	case ASK_login:
		s->method = "POST";
		s->url = STR("/users/login");
		s->body = str_of(logins.line[n % logins.n]);
		break;
	case ASK_file: case KINDS: default:
		say_file(n, s);
	}
}

/* ---- over HTTP -------------------------------------------------------------------------- */

void text_put(struct text *t, const void *p, size_t n)
{
	if (n > t->cap - t->n)
		usage("a request is too large, of the mix", opt.mix.text);
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
}

void text_say(struct text *t, const char *s) { text_put(t, s, strlen(s)); }

void text_int(struct text *t, uint64_t v)
{
	char digit[20], *p = digit + sizeof digit;

	do
		*--p = (char) ('0' + v % 10);
	while (v /= 10);
	text_put(t, p, (size_t) (digit + sizeof digit - p));
}

void ask_http(const struct ask *a, const char *host, struct text *t)
{
	struct said s;

	say(a, &s);
	text_say(t, s.method);
	text_say(t, " ");
	text_say(t, opt.base.text);
	text_put(t, s.url.p, s.url.n);
	if (s.query.n) {
		text_say(t, "?");
		text_put(t, s.query.p, s.query.n);
	}
	text_say(t, " HTTP/1.1\r\nHost: ");
	text_say(t, host);
	if (tokens.n && kinds[a->kind].who == PATIENT) {
		text_say(t, "\r\nAuthorization: Bearer ");
		text_say(t, tokens.line[a->n % tokens.n]);
	}
	if (*opt.keys.text) {
		text_say(t, "\r\nIdempotency-Key: ");
		text_say(t, opt.keys.text);
		text_say(t, "-");
		text_int(t, a->n);
	}
	if (s.body.n) {
		/* What is measured is the outcome, also of a mailbox that is behind. */
		text_say(t, "\r\nPrefer: wait=5\r\nContent-Type: application/json\r\nContent-Length: ");
		text_int(t, s.body.n);
	}
	text_say(t, "\r\n\r\n");
	text_put(t, s.body.p, s.body.n);
}

/* ---- over NATS -------------------------------------------------------------------------- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 0;
}

static struct str decoded(struct arena *mem, const char *p, size_t n)
{
	char *out = arena_alloc(mem, n + 1);
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i] == '%' && i + 2 < n) {
			out[m++] = (char) (hex(p[i + 1]) << 4 | hex(p[i + 2]));
			i += 2;
		} else {
			out[m++] = p[i] == '+' ? ' ' : p[i];
		}
	return (struct str) { out, m };
}

static struct pairs pairs_of(struct arena *mem, struct str query)
{
	struct pair *v = arena_alloc(mem, 16 * sizeof *v);
	size_t n = 0;

	for (const char *p = query.p, *end = query.p + query.n; p < end && n < 16; p++) {
		const char *amp = memchr(p, '&', (size_t) (end - p));
		const char *stop = amp ? amp : end, *eq = memchr(p, '=', (size_t) (stop - p));

		if (eq != NULL)
			v[n++] = (struct pair) { decoded(mem, p, (size_t) (eq - p)),
						 decoded(mem, eq + 1, (size_t) (stop - eq - 1)) };
		p = stop;
	}
	return (struct pairs) { v, n };
}

void ask_nats(const struct ask *a, const char *inbox, uint64_t number, struct text *t)
{
	static unsigned char storage[ARENA];
	static char head_room[2048];
	const struct ask_row *k = &kinds[a->kind];
	const struct call *to = &call[k->call];
	char subject[PARTITION_SUBJECT], id_text[REQUEST_ID_TEXT + 1];
	struct text head = { head_room, 0, sizeof head_room };
	const int64_t patient = opt.first_patient.n + (int64_t) (a->n % (uint64_t) opt.patients.n);
	struct arena mem;
	struct said s;
	struct str body;

	arena_init(&mem, storage, sizeof storage);
	struct ctx c = { .mem = &mem };
	void *req = arena_alloc(&mem, to->req->size);

	say(a, &s);
	if (a->kind == ASK_file ||
	    msg_from_http(&c, to->req, (struct pairs) { s.path, s.path[0].name.n > 0 }, pairs_of(&mem, s.query),
			  s.body, req).code || msg_to_pack(&c, to->req, req, &body).code)
		usage("cannot be asked over NATS:", k->name);

	text_say(&head, "NATS/1.0\r\n" WIRE_DEADLINE ": ");
	text_int(&head, (uint64_t) opt.timeout.n * 1000);
	if (k->who == PATIENT) {
		text_say(&head, "\r\n" WIRE_ROLE ": patient\r\n" WIRE_USER ": ");
		text_int(&head, (uint64_t) patient);
	}
	(void) snprintf(subject, sizeof subject, "%s", to->subject);
	if (CALL_IS_MAILBOX(to)) {
		const int64_t doctor = ((const struct booking_book_req *) req)->doctor_id;
		const struct request_id id = request_id_make(STR("load"), doctor, STR("load"), (struct str) { NULL, 0 });

		partition_subject(doctor, subject);
		request_id_write(&id, id_text);
		text_say(&head, "\r\n" WIRE_CALL ": ");
		text_say(&head, to->name);
		text_say(&head, "\r\n" WIRE_REQUEST ": ");
		text_say(&head, id_text);
		text_say(&head, "\r\n" WIRE_INBOX ": ");
		text_say(&head, inbox);
		text_say(&head, ".o ");
		text_int(&head, number);
	}
	text_say(&head, "\r\n\r\n");

	text_say(t, "HPUB ");
	text_say(t, subject);
	text_say(t, " ");
	text_say(t, inbox);
	text_say(t, CALL_IS_MAILBOX(to) ? ".a" : ".r");
	text_int(t, number);
	text_say(t, " ");
	text_int(t, head.n);
	text_say(t, " ");
	text_int(t, head.n + body.n);
	text_say(t, "\r\n");
	text_put(t, head.p, head.n);
	text_put(t, body.p, body.n);
	text_say(t, "\r\n");
}

int ask_status(struct str head)
{
	const struct str code = nats_header(head, WIRE_ERROR_CODE), first = nats_header(head, "NATS/1.0");
	char name[65];
	int64_t status;

	if (code.p == NULL)
		return str_int(first, &status) ? (int) status : 200;
	(void) snprintf(name, sizeof name, "%.*s", (int) code.n, code.p);
	return err_info[err_named(name).code].http;
}

int ask_outcome(struct str answers, uint64_t number)
{
	static unsigned char storage[4 * ARENA];
	struct arena mem;
	struct booking_answers all;
	struct booking_outcome o;
	char name[65];

	arena_init(&mem, storage, sizeof storage);
	struct ctx c = { .mem = &mem };

	if (msg_from_pack(&c, &booking_answers_msg, answers, &all).code)
		return 0;
	for (size_t i = 0; i < all.items.n; i++) {
		if ((uint64_t) all.items.items[i].token != number)
			continue;
		if (msg_from_pack(&c, &booking_outcome_msg, all.items.items[i].outcome, &o).code)
			return 500;
		(void) snprintf(name, sizeof name, "%.*s", (int) o.code.n, o.has.code ? o.code.p : "");
		return o.status == REQUEST_BOOKED ? 201 : err_info[err_named(name).code].http;
	}
	return 0;
}
