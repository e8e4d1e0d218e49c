/* profile.c - see profile.h.  Must not judge: the form of each field was checked where it was read. */
#include <string.h>
#include "actors/users/profile.h"
#include "broker/base/documents.h"

/* A copy of so many bytes; a full arena is found out by whoever writes the reply. */
static void copy(struct ctx *c, struct str *s, const char *text, size_t n)
{
	char *p = arena_alloc(c->mem, n + 1);

	if (p != NULL)
		*s = (struct str) { memcpy(p, text, n), n };
}

void profile_document(struct ctx *c, struct str *s)
{
	char text[DOCUMENT_TEXT];

	if (document_read(*s, text))
		copy(c, s, text, strlen(text));
}

void profile_address(struct ctx *c, struct users_address *a)
{
	const char state[] = { (char) (a->state.p[0] & ~32), (char) (a->state.p[1] & ~32) };
	char zip[ZIP + 1];

	copy(c, &a->state, state, sizeof state);
	if (zip_read(a->zip, zip))
		copy(c, &a->zip, zip, ZIP);
}
