/*
 * cors.h - which pages of other origins may call: those of CORS_ORIGINS, and nobody else hears of it
 * (Fetch Standard, HTTP extensions).
 */
#ifndef WEB_CORS_H
#define WEB_CORS_H
#include "web/http.h"

/* Answers a preflight of a listed origin; any other is a method that is not for this address. */
bool cors_preflight(const struct http_request *, const char *origins, const char *allow,
		    struct http_answer *);
void cors_write(const struct http_request *, const char *origins, struct http_answer *);
#endif
