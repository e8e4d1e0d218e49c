/*
 * page.h - one page of a list that is ordered by (time, id), and the way to the next.
 *
 * A cursor is the place of the page's last row, opaque to clients: rows that come or go between
 * two pages neither repeat nor hide another.  A query takes `after_time`, `after_id` and `rows`,
 * one more than the page: whether there is a next page is seen, not guessed.
 */
#ifndef ACTORS_CORE_PAGE_H
#define ACTORS_CORE_PAGE_H
#include "broker/base/time.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 100 };

struct page { int64_t limit, rows, after_time, after_id; };

/* cursor.p == NULL: the first page; limit 0: the default.  unreadable: that was no cursor. */
err_t page_open(struct ctx *, int64_t limit, struct str cursor, struct page *) MUST_CHECK;
/* The same of a list with the latest first: a query asks for what is before the place. */
err_t page_open_latest(struct ctx *, int64_t limit, struct str cursor, struct page *) MUST_CHECK;
/* Whether *n rows are more than the page; then *n is cut to it. */
bool  page_cut(const struct page *, size_t *n);
/* The cursor behind a row; text in the arena. */
err_t page_after(struct ctx *, int64_t time, int64_t id, struct str *cursor) MUST_CHECK;
#endif
