/*
 * scan.h - finds single values in a JSON text that a server or another of our processes wrote:
 * acknowledgements, answers of JetStream's API, faults in a header.
 *
 * Nothing is built and nothing allocated; the text is checked against RFC 8259 as far as it is
 * passed over.  What clients send is not read here but by broker/msg.c; seen here is only what a
 * library could not bear: how deep it goes, and numbers without end.
 */
#ifndef BROKER_SCAN_H
#define BROKER_SCAN_H
#include "broker/base/str.h"

/* The raw text of the member that the dotted path leads to, e.g. "state.first_seq"; of several of
 * one name the first.  false: there is none, or the text is no JSON object. */
bool scan_find(struct str json, const char *path, struct str *value);
bool scan_int(struct str json, const char *path, int64_t *);
/* The text of a string, its escapes undone, in the arena. */
bool scan_text(struct arena *, struct str json, const char *path, struct str *);
/* The next element of an array; *at begins as 0.  false: no more, or no array. */
bool scan_item(struct str array, size_t *at, struct str *item);

/* Whether nothing nests deeper than SCAN_DEPTH, in text that may be no JSON at all: what a parser
 * makes of it before it finds that out nests no deeper either. */
enum { SCAN_DEPTH = 16 };
bool scan_is_shallow(struct str);

/* Writes 1e308 over every whole number beyond 64 bits and every other one beyond a double, for a
 * parser that would refuse the whole text: no field takes so much, and so its field is named.  What
 * was no JSON stays none.  The text ends with a NUL. */
void scan_bound(char *json);

/* A JSON string with its quotes; what is no UTF-8 becomes question marks. */
void scan_quote(struct buf *, struct str);
#endif
