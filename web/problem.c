/* problem.c - see problem.h.  Must not decide anything: the error table has. */
#include <stdio.h>
#include <string.h>
#include "web/problem.h"

enum { RETRY_S = 2 };

MSG_DEFINE(problem_fault, PROBLEM_FAULT)
MSG_DEFINE(problem,       PROBLEM)

/* A word for programs, of what the engine and the actors say to people. */
static const struct { const char *message, *code; } words[] = {
	{ "is missing", "missing" }, { "must not be null", "missing" },
	{ "is too short", "too_short" }, { "is too long", "too_long" },
	{ "is too small", "too_small" }, { "is too large", "too_large" },
	{ "is given twice", "given_twice" }, { "must be UTF-8 without NUL", "not_utf8" },
	{ "must be one of the words allowed here", "not_allowed" },
};

static const char *word_of(const struct ctx *c, const char *message)
{
	for (size_t i = 0; i < COUNT(words); i++)
		if (strcmp(words[i].message, message) == 0)
			return words[i].code;
	if (strncmp(message, "must be ", 8) == 0)
		return "malformed";
	return err_info[c->verdict == ERR_none ? ERR_invalid : c->verdict].code;
}

static void put_faults(struct ctx *c, struct problem *p)
{
	struct problem_fault *f = arena_alloc(c->mem, c->nfaults * sizeof *f);

	if (f == NULL)
		return;
	for (size_t i = 0; i < c->nfaults; i++) {
		SET(&f[i], field, str_of(c->fault[i].path));
		SET(&f[i], code, str_of(word_of(c, c->fault[i].message)));
		SET(&f[i], message, str_of(c->fault[i].message));
	}
	p->errors.items = f;
	p->errors.n = c->nfaults;
	p->has.errors = 1;
}

void problem_write(struct ctx *c, err_t e, int after_s, struct http_answer *a)
{
	const struct err_info *info = &err_info[e.code];
	struct problem p = { .status = info->http };
	char type[96];

	(void) snprintf(type, sizeof type, "/problems/%s", info->code);
	SET(&p, type, str_of(type));
	SET(&p, title, str_of(info->text));
	p.has.status = 1;
	SET(&p, code, str_of(info->code));
	if (c->trace[0] != '\0')
		SET(&p, trace_id, str_of(c->trace));
	if (c->nfaults > 0 && (info->http == 400 || info->http == 415 || info->http == 422))
		put_faults(c, &p);
	a->status = info->http;
	a->type = "application/problem+json";
	if (msg_to_json(c, &problem_msg, &p, &a->body).code)
		a->body = STR("{\"code\":\"internal\"}"); /* a full arena still gets an answer */
	if (info->http == 401)
		http_put(a, "WWW-Authenticate", "%s", e.code == ERR_bad_token ?
			 "Bearer error=\"invalid_token\"" : "Bearer");
	if (info->http == 429 || info->http == 503)
		http_put(a, "Retry-After", "%d", after_s > 0 ? after_s : RETRY_S);
}
