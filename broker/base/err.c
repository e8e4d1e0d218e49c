/* err.c - the error table and the two ways into it.  Must not format anything for a client. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/err.h"

const struct err_info err_info[ERR_COUNT] = {
#define X(code, http, retry, text) [ERR_##code] = { #code, http, retry, text },
	ERR_TABLE(X)
#undef X
};

err_t err_named(const char *code)
{
	for (int i = 0; i < ERR_COUNT; i++)
		if (strcmp(err_info[i].code, code) == 0)
			return (err_t) { (enum err_code) i };
	return ERR(internal);
}

err_t fault(struct ctx *c, enum err_code code, const char *path, const char *message)
{
	if (c->nfaults < COUNT(c->fault))
		c->fault[c->nfaults++] = (struct fault) { path, message };
	if (c->verdict != ERR_unreadable)	/* 400 outranks 422 */
		c->verdict = code;
	return (err_t) { c->verdict };
}

err_t refuse(struct ctx *c, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(c->detail, sizeof c->detail, fmt, ap);
	va_end(ap);
	return (err_t) { code };
}
