/*
 * reply.h - reads one HTTP/1.1 response, as bytes arrive, and is strict about it: a load test that
 * takes a broken answer for a good one measures nothing.
 *
 * What it takes: a status line of HTTP/1.1, header lines that end in CR LF, one Content-Length
 * (none with 204 and 304), `Connection: close` or not.  Everything else is an error.
 */
#ifndef LOADTEST_REPLY_H
#define LOADTEST_REPLY_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { REPLY_MAX = 1 << 26 };	/* no body of ours is near that */

struct reply {
	int     status;
	bool    close;		/* the server will close the connection after it */
	int64_t length;		/* of the body; -1 unknown */
};

static inline bool reply_status(const char *p, const char *end, struct reply *r)
{
	if (end - p < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0 || (end - p > 12 && p[12] != ' '))
		return false;
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		r->status = r->status * 10 + (p[i] - '0');
	}
	return r->status >= 200 && r->status < 600;
}

static inline bool reply_length(const char *p, const char *end, struct reply *r)
{
	if (p == end || r->length >= 0)
		return false;
	for (r->length = 0; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		r->length = r->length * 10 + (*p - '0');
		if (r->length > REPLY_MAX)
			return false;
	}
	return true;
}

static inline bool reply_named(const char *p, const char *colon, const char *name)
{
	return (size_t) (colon - p) == strlen(name) && strncasecmp(p, name, strlen(name)) == 0;
}

static inline bool reply_header(const char *p, const char *end, struct reply *r)
{
	const char *colon = memchr(p, ':', (size_t) (end - p)), *v;

	if (colon == NULL || colon == p)
		return false;
	for (v = colon + 1; v < end && (*v == ' ' || *v == '\t'); v++)
		;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (reply_named(p, colon, "Content-Length"))
		return reply_length(v, end, r);
	if (reply_named(p, colon, "Transfer-Encoding"))
		return false;
	if (reply_named(p, colon, "Connection"))
		r->close = end - v == 5 && strncasecmp(v, "close", 5) == 0;
	return true;
}

/* The length of the head in the first n bytes; 0: not all of it is there; -1: no response. */
static inline int reply_head(const char *p, int n, struct reply *r)
{
	const char *const end = p + n, *line = p, *nl;

	*r = (struct reply) { .length = -1 };
	while ((nl = memchr(line, '\n', (size_t) (end - line))) != NULL) {
		const char *cr = nl - 1;

		if (nl == line || *cr != '\r')
			return -1;
		if (cr == line && line == p)
			return -1;
		if (cr == line) {
			if (r->length < 0 && r->status != 204 && r->status != 304)
				return -1;
			if (r->length < 0 || r->status == 204 || r->status == 304)
				r->length = 0;
			return (int) (nl + 1 - p);
		}
		if (!(line == p ? reply_status(line, cr, r) : reply_header(line, cr, r)))
			return -1;
		line = nl + 1;
	}
	return 0;
}
#endif
