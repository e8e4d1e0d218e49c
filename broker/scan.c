/* scan.c - see scan.h.  Must not build a tree, nor trust a length it has not seen. */
#include <stdlib.h>
#include <string.h>
#include "broker/scan.h"

struct at { const char *p, *end; };

static bool value(struct at *, int depth);

static void blank(struct at *a)
{
	while (a->p < a->end && memchr(" \t\r\n", *a->p, 4) != NULL)
		a->p++;
}

static bool eat(struct at *a, char c)
{
	blank(a);
	if (a->p == a->end || *a->p != c)
		return false;
	a->p++;
	return true;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool string(struct at *a)
{
	if (!eat(a, '"'))
		return false;
	while (a->p < a->end && *a->p != '"') {
		if ((unsigned char) *a->p < 0x20)
			return false;
		if (*a->p++ != '\\')
			continue;
		if (a->p == a->end || *a->p == '\0' || strchr("\"\\/bfnrtu", *a->p) == NULL)
			return false;
		if (*a->p++ == 'u')
			for (int i = 0; i < 4; i++, a->p++)
				if (a->p == a->end || hex(*a->p) < 0)
					return false;
	}
	return eat(a, '"');
}

static size_t digits(struct at *a)
{
	const char *from = a->p;

	while (a->p < a->end && *a->p >= '0' && *a->p <= '9')
		a->p++;
	return (size_t) (a->p - from);
}

static bool number(struct at *a)
{
	if (*a->p == '-')
		a->p++;

	const char *first = a->p;
	const size_t whole = digits(a);

	if (whole == 0 || (whole > 1 && *first == '0'))
		return false;
	if (a->p < a->end && *a->p == '.' && (a->p++, digits(a) == 0))
		return false;
	if (a->p < a->end && (*a->p == 'e' || *a->p == 'E')) {
		a->p++;
		if (a->p < a->end && (*a->p == '+' || *a->p == '-'))
			a->p++;
		return digits(a) > 0;
	}
	return true;
}

static bool word(struct at *a, const char *w)
{
	const size_t n = strlen(w);

	if ((size_t) (a->end - a->p) < n || memcmp(a->p, w, n) != 0)
		return false;
	a->p += n;
	return true;
}

static bool several(struct at *a, char close, bool named, int depth)
{
	a->p++;
	if (eat(a, close))
		return true;
	do {
		if (named && (!string(a) || !eat(a, ':')))
			return false;
		if (!value(a, depth + 1))
			return false;
	} while (eat(a, ','));
	return eat(a, close);
}

static bool value(struct at *a, int depth)
{
	blank(a);
	if (a->p == a->end || depth > SCAN_DEPTH)
		return false;
	switch (*a->p) {
	case '{': return several(a, '}', true, depth);
	case '[': return several(a, ']', false, depth);
	case '"': return string(a);
	case 't': return word(a, "true");
	case 'f': return word(a, "false");
	case 'n': return word(a, "null");
	default:  return number(a);
	}
}

static bool member(struct str object, struct str name, struct str *out)
{
	struct at a = { object.p, object.p + object.n };

	if (!eat(&a, '{') || eat(&a, '}'))
		return false;
	do {
		blank(&a);
		const char *key = a.p + 1;

		if (!string(&a))
			return false;
		const bool same = str_eq((struct str) { key, (size_t) (a.p - 1 - key) }, name);

		if (!eat(&a, ':'))
			return false;
		blank(&a);
		const char *from = a.p;

		if (!value(&a, 0))
			return false;
		if (same) {
			*out = (struct str) { from, (size_t) (a.p - from) };
			return true;
		}
	} while (eat(&a, ','));
	return false;
}

bool scan_find(struct str json, const char *path, struct str *out)
{
	*out = json;
	while (json.n > 0) {
		const size_t n = strcspn(path, ".");

		if (!member(*out, (struct str) { path, n }, out))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
	return false;
}

bool scan_int(struct str json, const char *path, int64_t *out)
{
	struct str raw;

	return scan_find(json, path, &raw) && str_int(raw, out);
}

bool scan_item(struct str array, size_t *at, struct str *item)
{
	struct at a = { array.p + *at, array.p + array.n };

	if (*at >= array.n || !eat(&a, *at == 0 ? '[' : ','))
		return false;
	blank(&a);
	const char *from = a.p;

	if (!value(&a, 0))
		return false;
	*item = (struct str) { from, (size_t) (a.p - from) };
	*at = (size_t) (a.p - array.p);
	return true;
}

/* Four hex digits; the scan has seen that they are there. */
static uint32_t unit(const char *p)
{
	uint32_t u = 0;

	for (int i = 0; i < 4; i++)
		u = u << 4 | (uint32_t) hex(p[i]);
	return u;
}

static char *put_point(char *to, uint32_t u)
{
	if (u < 0x80) {
		*to++ = (char) u;
	} else if (u < 0x800) {
		*to++ = (char) (0xc0 | u >> 6);
		*to++ = (char) (0x80 | (u & 0x3f));
	} else if (u < 0x10000) {
		*to++ = (char) (0xe0 | u >> 12);
		*to++ = (char) (0x80 | (u >> 6 & 0x3f));
		*to++ = (char) (0x80 | (u & 0x3f));
	} else {
		*to++ = (char) (0xf0 | u >> 18);
		*to++ = (char) (0x80 | (u >> 12 & 0x3f));
		*to++ = (char) (0x80 | (u >> 6 & 0x3f));
		*to++ = (char) (0x80 | (u & 0x3f));
	}
	return to;
}

bool scan_text(struct arena *mem, struct str json, const char *path, struct str *out)
{
	static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
	struct str raw;

	if (!scan_find(json, path, &raw) || raw.p[0] != '"')
		return false;

	const char *p = raw.p + 1, *end = raw.p + raw.n - 1;
	char *text = arena_alloc(mem, raw.n), *to = text;	/* an escape is never shorter */

	if (text == NULL)
		return false;
	while (p < end) {
		if (*p != '\\') {
			*to++ = *p++;
			continue;
		}
		if (p[1] != 'u') {
			const char *e = strchr(from, p[1]);

			*to++ = e == NULL ? p[1] : into[e - from];
			p += 2;
			continue;
		}
		uint32_t u = unit(p + 2);

		p += 6;
		if (u >= 0xd800 && u < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
		    unit(p + 2) >= 0xdc00 && unit(p + 2) < 0xe000) {
			u = 0x10000 + ((u - 0xd800) << 10) + (unit(p + 2) - 0xdc00);
			p += 6;
		}
		to = put_point(to, u);
	}
	*out = (struct str) { text, (size_t) (to - text) };
	return str_points(*out) >= 0;
}

bool scan_is_shallow(struct str s)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\';
		else if ((c == '{' || c == '[') && ++depth > SCAN_DEPTH)
			return false;
		else if (c == '}' || c == ']')
			depth--;
	}
	return true;
}

/* Every such number has five digits at least. */
static void bound(char *p, size_t n)
{
	const bool whole = strspn(p, "-0123456789") >= n;
	const double d = whole ? 0 : strtod(p, NULL);
	int64_t i;

	if (whole ? str_int((struct str) { p, n }, &i) : d - d == 0)
		return;
	memset(p, ' ', n);
	memcpy(p, "1e308", 5);
}

void scan_bound(char *json)
{
	struct at a = { json, json + strlen(json) };
	bool json_so_far = true;

	while (json_so_far && a.p < a.end) {
		char *from = json + (a.p - json);

		if (*from == '"') {
			json_so_far = string(&a);
		} else if (strchr("-0123456789", *from) != NULL) {
			if ((json_so_far = number(&a)))
				bound(from, (size_t) (a.p - from));
		} else {
			a.p++;
		}
	}
}

void scan_quote(struct buf *b, struct str s)
{
	const bool utf8 = str_points(s) >= 0;

	buf_put(b, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char) s.p[i];

		if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c < 0x20)
			buf_fmt(b, "\\u%04x", c);
		else if (c >= 0x80 && !utf8)
			buf_put(b, "?", 1);
		else
			buf_put(b, &s.p[i], 1);
	}
	buf_put(b, "\"", 1);
}
