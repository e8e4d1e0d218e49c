/*
 * etag.h - strong entity tags (RFC 9110 section 8.8.3): the hash of a resource's state as JSON, so that a
 * gateway that answered it and an actor that is about to change it find the same.
 */
#ifndef BROKER_ETAG_H
#define BROKER_ETAG_H
#include "broker/msg.h"

enum { ETAG_TEXT = 25 };

err_t etag_of(struct ctx *, const struct msg *, const void *in, char text[ETAG_TEXT]) MUST_CHECK;	/* with its quotes */
/* Whether the list of If-Match or If-None-Match names the tag.  `weak`: W/ makes no difference. */
bool  etag_matches(struct str list, const char *etag, bool weak);
/* precondition_failed when c->if_match names another state than this one. */
err_t etag_check(struct ctx *, const struct msg *, const void *current) MUST_CHECK;
#endif
