/*
 * http.h - requests as they came and answers as they go; what is ambiguous never gets further.
 *
 * A thread a connection, an arena a thread; a request and all that was made for it dies when its
 * answer is written.  Only http.c knows civetweb.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H
#include "broker/base/str.h"

enum { HTTP_BODY = 256 << 10, HTTP_HEADER = 16 << 10, HTTP_ARENA = 2 << 20 };

struct http;
struct mg_connection;

struct http_request {
	struct ctx   c;			/* with arena and trace id */
	struct str   method, path, query;	/* as they came; no '?'; query.p NULL when absent */
	const char  *peer;		/* address of who connected */
	int64_t      began;		/* clock_mono */
	int64_t      length;		/* of the body */
	struct mg_connection *conn;	/* http.c's own */
	bool         close;		/* the connection ends with the answer */
};

struct http_answer {
	int         status;
	const char *type;		/* Content-Type; NULL: no body */
	struct str  body;
	char       *room;		/* where a large body lies: of room.h, given back afterwards; or NULL */
	bool        begun, whole;	/* by http_piece: its head has gone; and the last piece */
	struct buf  head;		/* further headers, through http_put */
};

typedef void http_fn(void *of, struct http_request *, struct http_answer *);

/* Listens with so many threads; NULL, with one line in why (256 bytes).  Port 0 picks one. */
struct http *http_start(const char *listen, int threads, http_fn *, void *of, char *why);
int          http_port(const struct http *);
/* No new connections; those that wait for a request are closed, those that have one get their
 * answer first.  Returns when none is left, or after limit_us. */
void         http_stop(struct http *, int64_t limit_us);

struct str   http_header(const struct http_request *, const char *name);	/* p NULL: absent */
/* All lines of that name as one list, in the order in which they came; p NULL: none. */
struct str   http_headers(struct http_request *, const char *name);
/* The whole body, in the arena; once.  too_large over max, unreadable when it does not come. */
err_t        http_body(struct http_request *, size_t max, struct str *) MUST_CHECK;
/* The same into a room of the caller's, and a minute may pass. */
err_t        http_upload(struct http_request *, char *room, size_t max, struct str *) MUST_CHECK;
/* A piece of a body that nobody knows the end of.  With the first goes the head, and can not be taken back:
 * an answer that has begun and does not become whole is cut off, so that its client sees it.  Not OK: the
 * client has gone. */
err_t        http_piece(struct http_request *, struct http_answer *, struct str) MUST_CHECK;
/* One more header of the answer; the value has no line break (what has is left out). */
void         http_put(struct http_answer *, const char *name, const char *fmt, ...) PRINTF(3, 4);
#endif
