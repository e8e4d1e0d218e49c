/* cors.c - see cors.h. */
#include "web/cors.h"
#include "web/header.h"

/* The Origin when it is one of ours, else p NULL. */
static struct str origin_of(const struct http_request *q, const char *origins)
{
	struct str list = str_of(origins), one;
	const struct str origin = http_header(q, "Origin");

	while (origin.p != NULL && header_next(&list, ',', &one))
		if (one.n > 0 && str_eq(one, origin))
			return origin;
	return (struct str) { NULL, 0 };
}

void cors_write(const struct http_request *q, const char *origins, struct http_answer *a)
{
	struct str origin;

	if (origins[0] == '\0')
		return;
	http_put(a, "Vary", "Origin");
	if ((origin = origin_of(q, origins)).p == NULL)
		return;
	http_put(a, "Access-Control-Allow-Origin", "%s", origin.p);
	http_put(a, "Access-Control-Expose-Headers", "ETag, Link, Location, Preference-Applied, "
		 "Retry-After, WWW-Authenticate, X-Request-Id");
}

/* The question before the question; anybody else's is a method that is not for this address. */
bool cors_preflight(const struct http_request *q, const char *origins, const char *allow,
		    struct http_answer *a)
{
	if (!str_eq(q->method, STR("OPTIONS")) || origin_of(q, origins).p == NULL ||
	    http_header(q, "Access-Control-Request-Method").p == NULL)
		return false;
	a->status = 204;
	http_put(a, "Access-Control-Allow-Methods", "%s", allow);
	http_put(a, "Access-Control-Allow-Headers",
		 "Authorization, Content-Type, Idempotency-Key, "
		 "If-Match, If-None-Match, Prefer, traceparent");
	http_put(a, "Access-Control-Max-Age", "600");
	return true;
}
