/* page.c - see page.h.  Must not know what the rows are. */
#include <endian.h>
#include <string.h>
#include "actors/core/page.h"
#include "broker/base/digest.h"

enum { CURSOR_TEXT = 22 };		/* of two numbers of 8 bytes, in base64url */

err_t page_open(struct ctx *c, int64_t limit, struct str cursor, struct page *p)
{
	uint64_t raw[2];

	*p = (struct page) { .limit = limit > 0 ? limit : PAGE_DEFAULT };
	if (p->limit > PAGE_MAX)
		p->limit = PAGE_MAX;
	p->rows = p->limit + 1;
	if (cursor.p == NULL)
		return OK;
	if (!digest_bytes(cursor, raw, sizeof raw))
		return fault(c, ERR_unreadable, "cursor", "is not one that was given out");
	p->after_time = (int64_t) be64toh(raw[0]);
	p->after_id = (int64_t) be64toh(raw[1]);
	/* What no row has, the database need not be asked. */
	if (p->after_time < 0 || p->after_time > TIME_MAX || p->after_id < 0)
		return fault(c, ERR_unreadable, "cursor", "is not one that was given out");
	return OK;
}

err_t page_open_latest(struct ctx *c, int64_t limit, struct str cursor, struct page *p)
{
	TRY(page_open(c, limit, cursor, p));
	if (cursor.p == NULL) {
		p->after_time = TIME_MAX;
		p->after_id = INT64_MAX;
	}
	return OK;
}

bool page_cut(const struct page *p, size_t *n)
{
	if (*n <= (size_t) p->limit)
		return false;
	*n = (size_t) p->limit;
	return true;
}

err_t page_after(struct ctx *c, int64_t time, int64_t id, struct str *cursor)
{
	const uint64_t raw[] = { htobe64((uint64_t) time), htobe64((uint64_t) id) };
	char *text = arena_alloc(c->mem, CURSOR_TEXT + 1);

	if (text == NULL)
		return refuse(c, ERR_too_large, "no room for a cursor");
	*cursor = (struct str) { text, digest_text(raw, sizeof raw, text) };
	return OK;
}
