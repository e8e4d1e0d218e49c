/* header.c - see header.h.  Must not know a route. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "web/header.h"

enum { WAIT_S = 5, WAIT_MAX_S = 30, KEY_MAX = 64 };

static struct str trim(struct str s)
{
	for (; s.n > 0 && (*s.p == ' ' || *s.p == '\t'); s.p++)
		s.n--;
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool header_next(struct str *list, char sep, struct str *item)
{
	const char *end;

	if (list->n == 0)
		return false;
	end = memchr(list->p, sep, list->n);
	item->p = list->p;
	item->n = end == NULL ? list->n : (size_t) (end - list->p);
	const size_t taken = end == NULL ? item->n : item->n + 1;

	*list = (struct str) { list->p + taken, list->n - taken };
	*item = trim(*item);
	return true;
}

static bool same_word(struct str s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

struct prefer header_prefer(struct str header)
{
	struct prefer p = { .wait_s = WAIT_S };
	struct str one;
	int64_t n;

	while (header_next(&header, ',', &one)) {
		if (same_word(one, "respond-async"))
			p.async = true;
		if (one.n > 5 && strncasecmp(one.p, "wait=", 5) == 0 &&
		    str_int((struct str) { one.p + 5, one.n - 5 }, &n) && n >= 0) {
			p.waits = true;
			p.wait_s = n < WAIT_MAX_S ? n : WAIT_MAX_S;
		}
	}
	if (p.async && !p.waits)
		p.wait_s = 0;
	return p;
}

bool header_key_is_good(struct str key)
{
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] < 0x21 || key.p[i] > 0x7e)
			return false;
	return key.n >= 1 && key.n <= KEY_MAX;
}

bool header_is_json(struct str type)
{
	struct str part;

	if (!header_next(&type, ';', &part) || !same_word(part, "application/json"))
		return false;
	while (header_next(&type, ';', &part))
		if (strncasecmp(part.p, "charset=", part.n < 8 ? part.n : 8) == 0 && part.n > 0 &&
		    !same_word(part, "charset=utf-8") && !same_word(part, "charset=\"utf-8\""))
			return false;
	return true;
}

bool header_is_identity(struct str encoding)
{
	return encoding.p == NULL || same_word(encoding, "identity");
}

/* The path as it was asked, the query without its cursor, and the next one. */
err_t header_link(struct ctx *c, struct str path, struct str query, struct str cursor,
		  struct str *out)
{
	struct buf b = { .mem = c->mem };
	struct str one;

	buf_put(&b, "<", 1);
	buf_put(&b, path.p, path.n);
	buf_put(&b, "?", 1);
	while (header_next(&query, '&', &one)) {
		if (one.n == 0 || (one.n >= 7 && memcmp(one.p, "cursor=", 7) == 0))
			continue;
		for (size_t i = 0; i < one.n; i++)
			if (one.p[i] > ' ' && one.p[i] < 0x7f && strchr("<>\"", one.p[i]) == NULL)
				buf_put(&b, one.p + i, 1);
			else
				buf_fmt(&b, "%%%02X", (unsigned char) one.p[i]);
		buf_put(&b, "&", 1);
	}
	buf_put(&b, "cursor=", 7);
	for (size_t i = 0; i < cursor.n; i++) {
		const unsigned char ch = (unsigned char) cursor.p[i];

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || (ch != '\0' && strchr("-._~", ch) != NULL))
			buf_put(&b, cursor.p + i, 1);
		else
			buf_fmt(&b, "%%%02X", ch);
	}
	buf_fmt(&b, ">; rel=\"next\"");
	buf_put(&b, "", 1);
	*out = (struct str) { b.p, b.n == 0 ? 0 : b.n - 1 };
	return b.full ? refuse(c, ERR_too_large, "Link fills the arena") : OK;
}

struct str header_client(const struct nets *proxies, struct str peer, struct str list)
{
	struct str client = peer;

	while (list.n > 0 && nets_have(proxies, client)) {
		const char *comma = memrchr(list.p, ',', list.n);
		const size_t before = comma == NULL ? 0 : (size_t) (comma - list.p);
		const size_t skip = comma == NULL ? 0 : before + 1;

		client = trim((struct str) { list.p + skip, list.n - skip });
		list.n = before;
	}
	return client;
}

/* Twice: for those who know ASCII alone, where whatever could end or escape is a line, and as it is. */
err_t header_attachment(struct ctx *c, struct str name, struct str *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`|~";
	struct buf b = { .mem = c->mem };

	buf_fmt(&b, "attachment; filename=\"");
	for (size_t i = 0; i < name.n; i++) {
		const char ch = name.p[i];
		const bool shows = ch >= ' ' && ch <= '~' && strchr("\"\\%/", ch) == NULL;

		if (((unsigned char) ch & 0xc0) != 0x80)	/* one for a character of several bytes */
			buf_put(&b, shows ? &ch : "_", 1);
	}
	buf_fmt(&b, "\"; filename*=UTF-8''");
	for (size_t i = 0; i < name.n; i++) {
		const char ch = name.p[i];

		if (ch != '\0' && strchr(plain, ch) != NULL)
			buf_put(&b, &ch, 1);
		else
			buf_fmt(&b, "%%%02X", (unsigned) (unsigned char) ch);
	}
	buf_put(&b, "", 1);
	*out = (struct str) { b.p, b.n - 1 };
	return b.full ? refuse(c, ERR_too_large, "no room for a file name") : OK;
}
