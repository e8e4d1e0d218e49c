/*
 * router.c - see router.h.
 *
 * Must not do I/O, know a call or allocate but in the message's arena.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "web/router.h"

enum { GET, POST, PUT, DELETE, METHODS };
enum { NODES = 512 };

struct node {				/* one segment of a path */
	struct str          name;	/* of a word; a param has the name that the route gives it */
	bool                param;
	const struct node  *child, *next;
	const struct route *route[METHODS];
};

static struct node node[NODES];
static size_t nnodes;
static const char *const method_name[METHODS] = { "GET", "POST", "PUT", "DELETE" };
static const char *const service[] = { "/user-service", "/scheduler-service",
	"/appointment-service", "/appointment-creator-service", "/review-processor-service" };
enum { SERVICES_WITH_ROUTES = 3 };	/* the first ones; the others only had /health */
static const struct { const char *path; enum own own; } own[] = {
	{ "/health", OWN_HEALTH }, { "/livez", OWN_LIVEZ }, { "/readyz", OWN_READYZ },
	{ "/.well-known/jwks.json", OWN_JWKS }, { "/openapi.json", OWN_OPENAPI }, { "/docs", OWN_DOCS },
};

static int method_of(struct str s)
{
	for (int i = 0; i < METHODS; i++)
		if (str_eq(s, str_of(method_name[i])))
			return i;
	return str_eq(s, STR("HEAD")) ? GET : METHODS;
}

/* The next segment of a path that begins with '/'; false at its end. */
static bool segment(struct str *path, struct str *s)
{
	const char *end;

	if (path->n == 0)
		return false;
	*s = (struct str) { path->p + 1, path->n - 1 };
	if ((end = memchr(s->p, '/', s->n)) != NULL)
		s->n = (size_t) (end - s->p);
	*path = (struct str) { s->p + s->n, path->n - 1 - s->n };
	return true;
}

static struct node *grow(struct node *parent, struct str s)
{
	const bool param = s.n > 2 && s.p[0] == '{';
	const struct str name = param ? STR("") : s;

	for (const struct node *n = parent->child; n != NULL; n = n->next)
		if (n->param == param && str_eq(n->name, name))
			return &node[n - node];
	assert(nnodes < NODES);

	struct node *n = &node[nnodes++];

	*n = (struct node) { .name = name, .param = param };
	if (param || parent->child == NULL || parent->child->param) {
		const struct node **at = &parent->child;

		while (param && *at != NULL)	/* words come before the param */
			at = &node[*at - node].next;
		n->next = *at;
		*at = n;
	} else {
		n->next = parent->child;
		parent->child = n;
	}
	return n;
}

void router_build(void)
{
	memset(node, 0, sizeof node);
	nnodes = 1;			/* the root */
	for (size_t i = 0; i < nroute; i++) {
		const int m = method_of(str_of(route[i].method));
		struct str path = str_of(route[i].path), s;
		struct node *n = &node[0];

		while (segment(&path, &s))
			n = grow(n, s);
		assert(m < METHODS && n->route[m] == NULL);
		n->route[m] = &route[i];
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes percent-encoding; text without any stays where it is. */
static err_t decode(struct ctx *c, struct str s, bool plus, struct str *out)
{
	char *to;
	size_t n = 0;

	*out = s;
	if (s.n == 0)
		return out->p = "", OK;
	if (memchr(s.p, '%', s.n) == NULL && (!plus || memchr(s.p, '+', s.n) == NULL))
		return OK;
	if ((to = arena_alloc(c->mem, s.n)) == NULL)
		return refuse(c, ERR_too_large, "address of %zu bytes", s.n);
	for (size_t i = 0; i < s.n; i++) {
		char ch = s.p[i];

		if (ch == '%') {
			const int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
			const int low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return refuse(c, ERR_unreadable, "malformed escape in the address");
			ch = (char) (high << 4 | low);
			i += 2;
		} else if (ch == '+' && plus) {
			ch = ' ';
		}
		to[n++] = ch;
	}
	*out = (struct str) { to, n };
	return OK;
}

static bool strip(struct str *path, const char *prefix)
{
	const size_t n = strlen(prefix);

	if (path->n <= n || memcmp(path->p, prefix, n) != 0 || path->p[n] != '/')
		return false;
	*path = (struct str) { path->p + n, path->n - n };
	return true;
}

static void allow(struct match *m, const struct node *n)
{
	size_t at = 0;

	for (int i = 0; i < METHODS; i++)
		if (n->route[i] != NULL)
			at += (size_t) snprintf(m->allow + at, sizeof m->allow - at, "%s%s", at ? ", " : "",
						i == GET ? "GET, HEAD" : method_name[i]);
}

/* /health and the like, with or without a base path. */
static bool is_own(struct str path, bool based, struct match *m)
{
	for (size_t i = 0; i < COUNT(own); i++)
		if (str_eq(path, str_of(own[i].path)) && (!based || own[i].own == OWN_HEALTH)) {
			m->own = own[i].own;
			(void) snprintf(m->allow, sizeof m->allow, "GET, HEAD");
			return true;
		}
	return false;
}

/* What the route calls the params that were met on the way to it. */
static void name_params(struct match *m)
{
	struct str path = str_of(m->route->path), s;
	size_t i = 0;

	while (segment(&path, &s))
		if (s.p[0] == '{')
			m->param[i++].name = (struct str) { s.p + 1, s.n - 2 };
	assert(i == m->nparams);
}

err_t router_find(struct ctx *c, struct str method, struct str path, struct match *m)
{
	const int verb = method_of(method);
	const struct node *n = &node[0];
	size_t of = 0;
	struct str s;

	m->route = NULL;
	m->own = OWN_NOT;
	m->nparams = 0;
	m->allow[0] = '\0';
	if (path.n == 0 || path.p[0] != '/')
		return refuse(c, ERR_unreadable, "no path");
	while (of < COUNT(service) && !strip(&path, service[of]))
		of++;

	const bool routed = (of < SERVICES_WITH_ROUTES || of == COUNT(service)) &&
			    strip(&path, "/api/v1");

	if (is_own(path, routed || of < COUNT(service), m))
		return verb == GET ? OK : refuse(c, ERR_method_not_allowed, "own");
	if (!routed)
		return refuse(c, ERR_not_found, "no such base path");
	while (segment(&path, &s)) {
		TRY(decode(c, s, false, &s));
		for (n = n->child; n != NULL && !n->param && !str_eq(n->name, s); )
			n = n->next;
		if (n == NULL || (n->param && s.n == 0))
			return refuse(c, ERR_not_found, "no such path");
		if (n->param) {
			assert(m->nparams < ROUTER_PARAMS);
			m->param[m->nparams++].value = s;
		}
	}
	if (verb < METHODS && n->route[verb] != NULL) {
		m->route = n->route[verb];
		name_params(m);
		return OK;
	}
	allow(m, n);
	return m->allow[0] != '\0' ? refuse(c, ERR_method_not_allowed, "method")
				   : refuse(c, ERR_not_found, "no such path");
}

err_t router_query(struct ctx *c, struct str query, struct pairs *out)
{
	struct pair *v = NULL;

	*out = (struct pairs) { NULL, 0 };
	while (query.n > 0) {
		const char *end = memchr(query.p, '&', query.n), *is;
		const struct str one = {query.p, end == NULL ? query.n : (size_t) (end - query.p)};
		const size_t taken = end == NULL ? one.n : one.n + 1;
		struct str name = one, value = STR("");

		query = (struct str) { query.p + taken, query.n - taken };
		if (one.n == 0)
			continue;
		if (v == NULL && (v = arena_alloc(c->mem, ROUTER_QUERY * sizeof *v)) == NULL)
			return refuse(c, ERR_too_large, "query fills the arena");
		if (out->n == ROUTER_QUERY)
			return refuse(c, ERR_unreadable, "more than %d parameters", ROUTER_QUERY);
		if ((is = memchr(one.p, '=', one.n)) != NULL) {
			name.n = (size_t) (is - one.p);
			value = (struct str) { is + 1, one.n - name.n - 1 };
		}
		TRY(decode(c, name, true, &v[out->n].name));
		TRY(decode(c, value, true, &v[out->n].value));
		out->n++;
		out->v = v;
	}
	return OK;
}
