/*
 * header.h - what is said in the values of HTTP's headers: RFC 9110, Prefer of RFC 7240, Link of
 * RFC 8288, and the Idempotency-Key.
 */
#ifndef WEB_HEADER_H
#define WEB_HEADER_H
#include "broker/base/nets.h"

/* The next item of a list, without the blanks around it; false: no more. */
bool header_next(struct str *list, char separator, struct str *item);

/* How long a client waits for an outcome: 5 s unless it says so, 30 s at most. */
struct prefer { bool async, waits; int64_t wait_s; };
struct prefer header_prefer(struct str);
bool          header_key_is_good(struct str);		/* an Idempotency-Key */
bool          header_is_json(struct str content_type);
bool          header_is_identity(struct str content_encoding);
/* A Link to the next page: the path as it was asked, the query with another cursor. */
err_t         header_link(struct ctx *, struct str path, struct str query, struct str cursor,
			  struct str *) MUST_CHECK;
/* Whom a request is from, when each proxy adds at the end of X-Forwarded-For who asked it: the last
 * one that is none of ours.  What stands before that anybody may have written. */
struct str    header_client(const struct nets *proxies, struct str peer, struct str forwarded_for);
/* Content-Disposition of a file to be kept, by its name in UTF-8 (RFC 6266, RFC 5987). */
err_t         header_attachment(struct ctx *, struct str name, struct str *) MUST_CHECK;
#endif
