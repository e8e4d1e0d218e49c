/*
 * refresh.h - refresh tokens: opaque text that names a session and one generation of it.
 *
 * A token is not kept anywhere.  It carries a MAC of 256 bits over the session's seed, which only the
 * database has, under a key that the database does not have (REQUEST_KEY); so it can be made again
 * for a copy of a request, and nobody who sees one of the two can make one.  Pure.
 */
#ifndef ACTORS_USERS_REFRESH_H
#define ACTORS_USERS_REFRESH_H
#include "broker/base/digest.h"

enum { REFRESH_TEXT = 64, REFRESH_SEED = 32 };

struct refresh { int64_t session, generation; struct secret mac; };

bool refresh_read(struct str text, struct refresh *);		/* false: no token has this form */
/* Whether it was made from this seed, whatever generation of the session it is. */
bool refresh_is(const struct refresh *, struct str key, struct str seed);
void refresh_write(struct str key, struct str seed, int64_t session, int64_t generation,
		   char out[REFRESH_TEXT + 1]);
#endif
