/* fuzz_router.c - any method, path and query: found, refused, never more than that.
 * Input: METHOD SP path [? query]. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "web/router.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static struct ctx *clean(void)
{
	static unsigned char storage[1 << 18];
	static struct arena arena;
	static struct ctx c;

	arena_init(&arena, storage, sizeof storage);
	c = (struct ctx) { .mem = &arena };
	return &c;
}

static bool has_nul(struct str s)
{
	return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static bool built;
	char *copy = malloc(size + 1);		/* exact, so that one byte too far is seen */
	const char *space, *mark;
	struct str method, path, query = { NULL, 0 };
	struct match m;
	struct pairs q;

	if (!built)
		router_build();
	built = true;
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	space = memchr(copy, ' ', size);
	method = (struct str) { copy, space == NULL ? size : (size_t) (space - copy) };
	path = space == NULL ? (struct str) { copy + size, 0 } :
		(struct str) { space + 1, size - method.n - 1 };
	if (path.n > 0 && (mark = memchr(path.p, '?', path.n)) != NULL) {
		query = (struct str) { mark + 1, path.n - (size_t) (mark - path.p) - 1 };
		path.n = (size_t) (mark - path.p);
	}
	if (memchr(copy, '\0', size) == NULL) {		/* HTTP hands on text only */
		struct ctx *c = clean();

		if (router_find(c, method, path, &m).code == ERR_none) {
			assert((m.route != NULL) != (m.own != OWN_NOT));
			for (size_t i = 0; i < m.nparams; i++)
				assert(m.param[i].value.n > 0 && !has_nul(m.param[i].value));
		}
		if (router_query(c, query, &q).code == ERR_none)
			for (size_t i = 0; i < q.n; i++)
				assert(!has_nul(q.v[i].name) && !has_nul(q.v[i].value));
	}
	free(copy);
	return 0;
}
