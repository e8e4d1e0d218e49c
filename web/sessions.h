/*
 * sessions.h - how a gateway learns which sessions have ended: by a fact at once, and by asking the
 * users domain for all that is still in force, at the start and whenever something may have been
 * missed (the connection was lost, a fact could not be read).
 *
 * A gateway is not ready before it has heard that once; but not for ever.  When nobody answers for
 * SESSIONS_PATIENCE it takes what it knows for enough: sessions that ended while the users domain was
 * away, or shortly before, then live on at this gateway until it answers again or their tokens end,
 * and everybody else is served.  It never stops asking.
 */
#ifndef WEB_SESSIONS_H
#define WEB_SESSIONS_H
#include "broker/bus.h"
#include "web/ended.h"

#define SESSIONS_PATIENCE (10 * SECOND)

struct sessions;
err_t sessions_start(struct bus *, struct ended *, struct sessions **) MUST_CHECK;
bool  sessions_known(const struct sessions *);		/* heard of all that is in force, once */
void  sessions_stop(struct sessions *);			/* NULL: nothing */
#endif
