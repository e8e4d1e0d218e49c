/*
 * router.h - method and path to a row of the table, and the parameters in path and query.
 *
 * Compiled once at start into a tree of segments; afterwards only read, by any thread.
 */
#ifndef WEB_ROUTER_H
#define WEB_ROUTER_H
#include "broker/msg.h"
#include "web/routes.h"

enum { ROUTER_PARAMS = 4, ROUTER_QUERY = 32 };

/* What a gateway answers by itself. */
enum own { OWN_NOT, OWN_HEALTH, OWN_LIVEZ, OWN_READYZ, OWN_JWKS, OWN_OPENAPI, OWN_DOCS };

struct match {
	const struct route *route;		/* NULL: none, or one of our own */
	enum own            own;
	struct pair         param[ROUTER_PARAMS];
	size_t              nparams;
	char                allow[64];		/* the path's methods, as in Allow; "": unknown */
};

void router_build(void);			/* once, before any router_find */
/* The path is percent-encoded, as it came.  not_found, method_not_allowed, or unreadable (an
 * escape that is none, a NUL).  HEAD finds what GET does. */
err_t router_find(struct ctx *, struct str method, struct str path, struct match *) MUST_CHECK;
/* name=value pairs of a query, decoded; too many or malformed ones are unreadable. */
err_t router_query(struct ctx *, struct str query, struct pairs *) MUST_CHECK;
#endif
