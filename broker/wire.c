/*
 * wire.c - what of a ctx travels in headers, both ways.  Must not know a message's contents, nor
 * believe a header: whatever makes no sense is unreadable.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "broker/scan.h"
#include "broker/wire.h"

enum { TRACE_ID = 32, TRACEPARENT = 55, NUMBER = 24 };
#define DEADLINE_MAX (INT64_C(86400) * 1000)	/* milliseconds: a day is no deadline of ours */

static const struct { const char *name; enum role role; } roles[] = {
	{ "patient", ROLE_PATIENT }, { "doctor", ROLE_DOCTOR }, { "system", ROLE_SYSTEM },
};

void wire_put(struct headers *h, const char *name, const char *value)
{
	assert(h->n < WIRE_MAX);
	h->v[h->n++] = (struct header) { name, value };
}

/* Leaves the header out when the arena is full; whoever writes the body next finds out too. */
static void put_number(struct ctx *c, struct headers *h, const char *name, int64_t n)
{
	char *text = arena_alloc(c->mem, NUMBER);

	if (text == NULL)
		return;
	(void) snprintf(text, NUMBER, "%" PRId64, n);
	wire_put(h, name, text);
}

/* A span of our own: who follows the trace sees one more step, not the caller's again. */
static void put_trace(struct ctx *c, struct headers *h)
{
	unsigned char span[8];
	char *text = arena_alloc(c->mem, TRACEPARENT + 1);

	if (text == NULL)
		return;
	digest_random(span, sizeof span);
	span[0] |= 1;			/* all zeros is no span */

	int n = snprintf(text, TRACEPARENT + 1, "00-%s-", c->trace);

	for (size_t i = 0; i < sizeof span; i++)
		n += snprintf(text + n, TRACEPARENT + 1 - (size_t) n, "%02x", span[i]);
	(void) snprintf(text + n, TRACEPARENT + 1 - (size_t) n, "-01");
	wire_put(h, WIRE_TRACE, text);
}

void wire_put_ctx(struct ctx *c, bool mailbox, struct headers *h)
{
	for (size_t i = 0; i < COUNT(roles); i++)
		if (c->role == roles[i].role) {
			if (c->role != ROLE_SYSTEM)
				put_number(c, h, WIRE_USER, c->user);
			wire_put(h, WIRE_ROLE, roles[i].name);
		}
	if (!mailbox && c->session > 0)
		put_number(c, h, WIRE_SESSION, c->session);
	if (c->if_match != NULL)
		wire_put(h, WIRE_IF_MATCH, c->if_match);
	if (!mailbox && c->deadline != 0)
		put_number(c, h, WIRE_DEADLINE, clock_left(c->deadline) / MS);
	if (c->trace[0] != '\0')
		put_trace(c, h);
}

static bool is_hex(const char *p, size_t n)
{
	bool some = false;	/* all zeros is none */

	for (size_t i = 0; i < n; i++) {
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
		some |= p[i] != '0';
	}
	return some;
}

/* W3C Trace Context: version 00 exactly; of later ones the part that they share. */
static bool read_trace(const char *text, char trace[TRACE_ID + 1])
{
	const size_t n = strlen(text);
	const bool known = n >= TRACEPARENT && memcmp(text, "00-", 3) == 0;

	if (n < TRACEPARENT || text[2] != '-' || text[35] != '-' || text[52] != '-')
		return false;
	if (!known && (!is_hex(text, 2) || memcmp(text, "ff", 2) == 0))
		return false;
	if (n > TRACEPARENT && (known || text[TRACEPARENT] != '-'))
		return false;
	if (!is_hex(text + 3, TRACE_ID) || !is_hex(text + 36, 16) ||
	    (memcmp(text + 53, "00", 2) != 0 && !is_hex(text + 53, 2)))
		return false;
	memcpy(trace, text + 3, TRACE_ID);
	trace[TRACE_ID] = '\0';
	return true;
}

static err_t read_who(struct ctx *c, const char *user, const char *role)
{
	c->user = 0;
	c->role = ROLE_PUBLIC;
	if (user == NULL && role == NULL)
		return OK;
	if (user == NULL && strcmp(role, "system") == 0) {
		c->role = ROLE_SYSTEM;
		return OK;
	}
	if (user == NULL || role == NULL || !str_int(str_of(user), &c->user) || c->user <= 0)
		return refuse(c, ERR_unreadable, WIRE_USER " is no account");
	for (size_t i = 0; i < COUNT(roles); i++)
		if (strcmp(role, roles[i].name) == 0 && roles[i].role != ROLE_SYSTEM) {
			c->role = roles[i].role;
			return OK;
		}
	c->user = 0;
	return refuse(c, ERR_unreadable, WIRE_ROLE " is no role");
}

err_t wire_get_ctx(struct ctx *c, const char *user, const char *role, const char *deadline,
		   const char *trace)
{
	int64_t left;

	c->trace[0] = '\0';
	c->deadline = 0;
	if (trace != NULL && !read_trace(trace, c->trace))
		return refuse(c, ERR_unreadable, WIRE_TRACE " is none");
	TRY(read_who(c, user, role));
	if (deadline == NULL)
		return OK;
	if (!str_int(str_of(deadline), &left) || left < 0 || left > DEADLINE_MAX)
		return refuse(c, ERR_unreadable, WIRE_DEADLINE " is none");
	c->deadline = clock_mono() + left * MS;
	return OK;
}

err_t wire_get_session(struct ctx *c, const char *session)
{
	c->session = 0;
	if (session == NULL || (str_int(str_of(session), &c->session) && c->session > 0))
		return OK;
	c->session = 0;
	return refuse(c, ERR_unreadable, WIRE_SESSION " is none");
}

static const char *faults_json(struct ctx *c, enum err_code code)
{
	struct buf b = { .mem = c->mem };

	for (size_t i = 0; i < c->nfaults; i++) {
		buf_fmt(&b, "%s{\"field\":", i == 0 ? "[" : ",");
		scan_quote(&b, str_of(c->fault[i].path));
		buf_fmt(&b, ",\"code\":\"%s\",\"message\":", err_info[code].code);
		scan_quote(&b, str_of(c->fault[i].message));
		buf_put(&b, "}", 1);
	}
	buf_put(&b, "]", 2);		/* with its end */
	return b.full || c->nfaults == 0 ? NULL : b.p;
}

void wire_put_error(struct ctx *c, err_t e, struct headers *h)
{
	const char *faults = NULL;

	wire_put(h, WIRE_ERROR, err_info[e.code].text);
	wire_put(h, WIRE_ERROR_CODE, err_info[e.code].code);
	if (e.code == ERR_invalid || e.code == ERR_unreadable)
		faults = faults_json(c, e.code);
	if (faults != NULL)
		wire_put(h, WIRE_FAULTS, faults);
}

static const char *text_of(struct ctx *c, struct str item, const char *name)
{
	struct str s;
	char *text;

	if (!scan_text(c->mem, item, name, &s) || (text = arena_alloc(c->mem, s.n + 1)) == NULL)
		return NULL;
	memcpy(text, s.p, s.n);
	return text;
}

err_t wire_get_error(struct ctx *c, const char *code, const char *faults)
{
	const err_t e = err_named(code);
	struct str item;
	size_t at = 0;

	if (e.code == ERR_none)		/* an error that says it is none */
		return ERR(internal);
	if (faults == NULL || (e.code != ERR_invalid && e.code != ERR_unreadable))
		return e;
	while (c->nfaults < COUNT(c->fault) && scan_item(str_of(faults), &at, &item)) {
		const char *field = text_of(c, item, "field"), *message = text_of(c, item, "message");

		if (field != NULL && message != NULL)
			(void) fault(c, e.code, field, message);
	}
	return e;
}
