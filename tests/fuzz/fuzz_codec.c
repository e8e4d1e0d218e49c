/*
 * fuzz_codec.c - any bytes as the request of any call, as JSON, msgpack or query: read or refused,
 * and what was read survives the way through the house.  Input: call, writing, bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "broker/call.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum writing { JSON, PACK, QUERY, WRITINGS };

static unsigned char storage[1 << 20];
static struct arena arena;
static struct ctx ctx;

/* name=value&name=value, as the router cuts it; no decoding here. */
static struct pairs cut(struct str text, struct pair *pair, size_t max)
{
	size_t n = 0;

	while (text.n > 0 && n < max) {
		const char *amp = memchr(text.p, '&', text.n);
		const size_t len = amp ? (size_t) (amp - text.p) : text.n;
		const char *eq = len ? memchr(text.p, '=', len) : NULL;
		const size_t name = eq ? (size_t) (eq - text.p) : len;

		pair[n++] = (struct pair) { { text.p, name },
			eq ? (struct str) { eq + 1, len - name - 1 } : STR("") };
		text.p += len + (amp != NULL);
		text.n -= len + (amp != NULL);
	}
	return (struct pairs) { pair, n };
}

/* Out as msgpack, in again, out again: the same bytes; and JSON of it is never refused. */
static void survive(const struct msg *m, const void *req)
{
	void *again = arena_alloc(&arena, m->size);
	struct str packed, twice, json;

	if (again == NULL || msg_to_pack(&ctx, m, req, &packed).code)
		return;		/* the arena is full: an answer, too */
	ctx.verdict = ERR_none;
	ctx.nfaults = 0;
	if (msg_from_pack(&ctx, m, packed, again).code == ERR_too_large)
		return;
	assert(ctx.verdict == ERR_none);
	if (msg_to_pack(&ctx, m, again, &twice).code || msg_to_json(&ctx, m, again, &json).code)
		return;
	assert(str_eq(packed, twice));
	assert(json.n >= 2 && json.p[0] == '{' && json.p[json.n - 1] == '}');
}

/* What no client can send the gateway finds out: here it is always seven. */
static void fill_ours(const struct msg *m, void *req)
{
	for (size_t i = 0; i < m->nfields; i++)
		if (m->fields[i].from == FROM_OURS) {
			if (m->fields[i].kind == K_INT || m->fields[i].kind == K_TIME)
				*(int64_t *) ((char *) req + m->fields[i].off) = 7;
			if (m->fields[i].kind == K_TEXT || m->fields[i].kind == K_BYTES)
				*(struct str *) ((char *) req + m->fields[i].off) = STR("7777777");
			((struct set *) req)->has |= UINT64_C(1) << i;
		}
}

/* Every parameter of the path is there: a seven, of whatever kind it is. */
static struct pairs path_of(const struct msg *m, struct pair pair[4])
{
	size_t n = 0;

	for (size_t i = 0; i < m->nfields && n < 4; i++)
		if (m->fields[i].from == FROM_PATH)
			pair[n++] = (struct pair) { str_of(m->fields[i].name), STR("7") };
	return (struct pairs) { pair, n };
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct pair pair[64], path[4];

	if (size < 2)
		return 0;

	const struct msg *m = call[data[0] % CALL_COUNT].req;
	char *copy = malloc(size - 2 + 1);	/* exact, so that one byte too far is seen */
	struct str in = { copy, size - 2 };

	if (copy == NULL)
		return 0;
	memcpy(copy, data + 2, size - 2);
	arena_init(&arena, storage, sizeof storage);
	ctx = (struct ctx) { .mem = &arena };

	void *req = arena_alloc(&arena, m->size);
	const struct pairs none = { NULL, 0 }, of_path = path_of(m, path);
	err_t e = ERR(internal);

	switch ((enum writing) (data[1] % WRITINGS)) {
	case JSON:  e = msg_from_http(&ctx, m, of_path, none, in, req); break;
	case PACK:  e = msg_from_pack(&ctx, m, in, req); break;
	case QUERY: e = msg_from_http(&ctx, m, of_path, cut(in, pair, 64), STR("{}"), req); break;
	case WRITINGS: break;
	}
	if (e.code == ERR_none) {
		fill_ours(m, req);
		survive(m, req);
	}
	free(copy);
	return 0;
}
