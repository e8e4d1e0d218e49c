/*
 * multipart.h - the one file in a body of multipart/form-data (RFC 7578, RFC 2046).
 *
 * Strict where two readers could see two files: the body begins with its boundary and ends with the
 * last one, headers are plain lines, what repeats is refused.  The body is only pointed at.
 */
#ifndef WEB_MULTIPART_H
#define WEB_MULTIPART_H
#include "broker/base/str.h"

struct multipart {
	struct str name;	/* of the file, without folders; "" when none was said; may lie in the arena */
	struct str type;	/* the part's Content-Type; "" when none was said */
	struct str data;
};

/* unsupported_media_type when that is not the type of a form. */
err_t multipart_type(struct ctx *, struct str content_type) MUST_CHECK;
/* The part `field`.  unsupported_media_type: not multipart/form-data; unreadable: broken; invalid:
 * there is no such part, or there are two.  What else the form has is passed over. */
err_t multipart_file(struct ctx *, struct str content_type, struct str body, const char *field,
		     struct multipart *) MUST_CHECK;
#endif
