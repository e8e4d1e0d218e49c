/*
 * multipart.c - see multipart.h.
 *
 * Must not copy the body, nor know what the file is.  Everything is found by one pass; whatever is
 * not as the RFCs say ends it, with a text for the client.
 */
#include <string.h>
#include <strings.h>
#include "web/multipart.h"

enum { BOUNDARY_MAX = 70, HEADERS_MAX = 8 << 10, PARTS_MAX = 16 };

/* ---- pieces of text ---- */

static bool is_token(char ch)
{
	return ch > ' ' && ch < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", ch) == NULL;
}

static bool is(struct str s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static struct str after(struct str s, size_t n)
{
	return (struct str) { s.p + n, s.n - n };
}

static bool skip(struct str *s, const char *what)
{
	const size_t n = strlen(what);

	if (s->n < n || memcmp(s->p, what, n) != 0)
		return false;
	*s = after(*s, n);
	return true;
}

static void skip_blanks(struct str *s)
{
	while (s->n > 0 && (*s->p == ' ' || *s->p == '\t'))
		*s = after(*s, 1);
}

static struct str take_token(struct str *s)
{
	size_t n = 0;

	while (n < s->n && is_token(s->p[n]))
		n++;

	const struct str token = { s->p, n };

	*s = after(*s, n);
	return token;
}

/* ---- parameters: ; name=value, the value a token or quoted ---- */

struct param { struct str name, value; };

/* Unquoted into the arena; only \" and \\ are escapes, so that a path of Windows stays one. */
static bool take_quoted(struct ctx *c, struct str *s, struct str *out)
{
	char *p = arena_alloc(c->mem, s->n);
	size_t n = 0, i = 0;

	for (; p != NULL && i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\' && i + 1 < s->n && (s->p[i + 1] == '"' || s->p[i + 1] == '\\'))
			i++;
		p[n++] = s->p[i];
	}
	if (p == NULL || i == s->n)
		return false;
	*s = after(*s, i + 1);
	*out = (struct str) { p, n };
	return true;
}

/* 1 and the next parameter, 0 at the end, -1 when it is broken. */
static int next_param(struct ctx *c, struct str *s, struct param *out)
{
	skip_blanks(s);
	if (s->n == 0)
		return 0;
	if (!skip(s, ";"))
		return -1;
	skip_blanks(s);
	if (s->n == 0)
		return 0;
	out->name = take_token(s);
	if (out->name.n == 0 || !skip(s, "="))
		return -1;
	if (skip(s, "\""))
		return take_quoted(c, s, &out->value) ? 1 : -1;
	out->value = take_token(s);
	return out->value.n > 0 ? 1 : -1;
}

static int hex(char ch)
{
	return ch >= '0' && ch <= '9' ? ch - '0' : (ch | 32) >= 'a' && (ch | 32) <= 'f' ?
	       (ch | 32) - 'a' + 10 : -1;
}

/* filename*=UTF-8''exame%20de%20sangue.pdf (RFC 5987): not meant for forms, and sent all the same. */
static bool decode_extended(struct ctx *c, struct str s, struct str *out)
{
	char *p = arena_alloc(c->mem, s.n + 1);
	size_t n = 0;

	if (p == NULL || s.n < 7 || strncasecmp(s.p, "UTF-8''", 7) != 0)
		return false;
	for (s = after(s, 7); s.n > 0; s = after(s, 1)) {
		if (*s.p != '%') {
			p[n++] = *s.p;
			continue;
		}
		if (s.n < 3 || hex(s.p[1]) < 0 || hex(s.p[2]) < 0)
			return false;
		p[n++] = (char) (hex(s.p[1]) << 4 | hex(s.p[2]));
		s = after(s, 2);
	}
	*out = (struct str) { p, n };
	return true;
}

/* ---- one part ---- */

struct part { struct str field, name, type, data; bool disposed, typed; };

static struct str base_name(struct str s)
{
	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == '/' || s.p[i - 1] == '\\')
			return after(s, i);
	return s;
}

static const char *read_disposition(struct ctx *c, struct str v, struct part *out)
{
	struct str plain = STR(""), extended = STR("");
	struct param p;
	int more;

	if (out->disposed || !is(take_token(&v), "form-data"))
		return "has a part that is no field of a form";
	out->disposed = true;
	while ((more = next_param(c, &v, &p)) == 1) {
		struct str *at = is(p.name, "name") ? &out->field : is(p.name, "filename") ? &plain :
				 is(p.name, "filename*") ? &extended : NULL;

		if (at == NULL)
			continue;
		if (at->n > 0)
			return "has a part that names itself twice";
		*at = p.value;
	}
	if (more < 0 || out->field.n == 0)
		return "has a part whose name cannot be read";
	if (extended.n > 0 && !decode_extended(c, extended, &plain))
		return "has a file name that cannot be read";
	out->name = base_name(plain);
	return NULL;
}

static const char *read_header(struct ctx *c, struct str name, struct str v, struct part *out)
{
	if (is(name, "Content-Disposition"))
		return read_disposition(c, v, out);
	if (is(name, "Content-Type")) {
		if (out->typed)
			return "has a part of two types";
		out->typed = true;
		out->type = v;
		return v.n >= 10 && strncasecmp(v.p, "multipart/", 10) == 0 ?
		       "has a part that is a multipart itself" : NULL;
	}
	if (is(name, "Content-Transfer-Encoding") && !is(v, "binary") && !is(v, "8bit") && !is(v, "7bit"))
		return "has a part in a transfer encoding";
	return NULL;
}

/* Lines up to the empty one; *s goes on with the data. */
static const char *read_headers(struct ctx *c, struct str *s, struct part *out)
{
	const char *start = s->p, *why;

	while (!skip(s, "\r\n")) {
		const struct str name = take_token(s);
		size_t n = 0;

		if (name.n == 0 || !skip(s, ":"))
			return "has a part with a line that is no header";
		skip_blanks(s);
		while (n < s->n && ((unsigned char) s->p[n] >= ' ' || s->p[n] == '\t') && s->p[n] != 0x7f)
			n++;

		struct str value = { s->p, n };

		*s = after(*s, n);
		while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
			value.n--;
		if (!skip(s, "\r\n"))
			return "has a part with a line that is no header";
		if (s->p - start > HEADERS_MAX)
			return "has a part with too long headers";
		if ((why = read_header(c, name, value, out)) != NULL)
			return why;
	}
	return out->disposed ? NULL : "has a part that is no field of a form";
}

/* ---- the whole ---- */

/* CR LF "--" boundary, in the arena. */
static const char *read_boundary(struct ctx *c, struct str type, struct str *out)
{
	static const char others[] = "'()+_,-./:=? ";
	char *p = arena_alloc(c->mem, 4 + BOUNDARY_MAX);
	struct param param, boundary = { { NULL, 0 }, { NULL, 0 } };
	int more;

	while ((more = next_param(c, &type, &param)) == 1)
		if (is(param.name, "boundary")) {
			if (boundary.name.p != NULL)
				return "has two boundaries in its Content-Type";
			boundary = param;
		}

	const struct str b = boundary.value;

	if (more < 0 || p == NULL || b.n == 0 || b.n > BOUNDARY_MAX || b.p[b.n - 1] == ' ')
		return "has no boundary in its Content-Type";
	for (size_t i = 0; i < b.n; i++)
		if (!((b.p[i] | 32) >= 'a' && (b.p[i] | 32) <= 'z') && !(b.p[i] >= '0' && b.p[i] <= '9') &&
		    (b.p[i] == '\0' || strchr(others, b.p[i]) == NULL))
			return "has no boundary in its Content-Type";
	memcpy(p, "\r\n--", 4);
	memcpy(p + 4, b.p, b.n);
	*out = (struct str) { p, 4 + b.n };
	return NULL;
}

/* One part after its boundary; *last when that was the closing one. */
static const char *read_part(struct ctx *c, struct str *s, struct str boundary, struct part *out,
			     bool *last)
{
	const char *why, *end;
	struct str rest;

	*out = (struct part) { .field = STR(""), .name = STR(""), .type = STR("") };
	*last = skip(s, "--");
	if (*last)
		return s->n == 0 || str_eq(*s, STR("\r\n")) ? NULL : "goes on after its last boundary";
	skip_blanks(s);
	if (!skip(s, "\r\n"))
		return "has its boundary within a line";
	if ((why = read_headers(c, s, out)) != NULL)
		return why;
	/* Of an empty part the empty line may already be the boundary's. */
	rest = (struct str) { s->p - 2, s->n + 2 };
	end = memmem(rest.p, rest.n, boundary.p, boundary.n);
	if (end == NULL)
		return "ends without its last boundary";
	out->data = (struct str) { s->p, end > s->p ? (size_t) (end - s->p) : 0 };
	*s = after(rest, (size_t) (end - rest.p) + boundary.n);
	return NULL;
}

static bool skip_type(struct str *type)
{
	return is(take_token(type), "multipart") && skip(type, "/") && is(take_token(type), "form-data");
}

err_t multipart_type(struct ctx *c, struct str type)
{
	return skip_type(&type) ? OK :
	       fault(c, ERR_unsupported_media_type, "Content-Type", "must be multipart/form-data");
}

err_t multipart_file(struct ctx *c, struct str content_type, struct str body, const char *field,
		     struct multipart *out)
{
	struct str boundary, s = body;
	bool last = false, found = false;
	const char *why;

	TRY(multipart_type(c, content_type));
	(void) skip_type(&content_type);
	if ((why = read_boundary(c, content_type, &boundary)) != NULL)
		return fault(c, ERR_unreadable, "body", why);
	(void) skip(&s, "\r\n");
	if (s.n < boundary.n - 2 || memcmp(s.p, boundary.p + 2, boundary.n - 2) != 0)
		return fault(c, ERR_unreadable, "body", "does not begin with its boundary");
	s = after(s, boundary.n - 2);
	for (int parts = 0; ; parts++) {
		struct part p;

		if (parts > PARTS_MAX)
			return fault(c, ERR_unreadable, "body", "has too many parts");
		if ((why = read_part(c, &s, boundary, &p, &last)) != NULL)
			return fault(c, ERR_unreadable, "body", why);
		if (last)
			break;
		if (!str_eq(p.field, str_of(field)))
			continue;
		if (found)
			return fault(c, ERR_invalid, field, "is given twice");
		found = true;
		*out = (struct multipart) { p.name, p.type, p.data };
	}
	return found ? OK : fault(c, ERR_invalid, field, "is missing");
}
