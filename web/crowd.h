/*
 * crowd.h - how many threads of a gateway may wait for what, so that some are always left for the rest.
 *
 * Whoever finds too many waiting hears it at once, and costs nothing: 503, or, where an outcome would be
 * waited for, that it is accepted (202).  Where answers flow, a rush is no reason to refuse anybody; where
 * one has waited in vain, and nothing was heard since, a few at a time find out whether that is over: more
 * than one, for it may have been over for long, and those who come by then are no crowd.
 */
#ifndef WEB_CROWD_H
#define WEB_CROWD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*        for            eighths of the threads, at the most; when */
#define CROWD_TABLE(X)                                                                                  \
	X(all,           7, UNLESS_IT_FLOWS)	/* what needs nobody is always answered */              \
	X(outcome,       4, ALWAYS)		/* of commands; more are accepted, and not waited for */ \
	X(log,           3, UNLESS_IT_FLOWS)	/* that a command is accepted */                        \
	X(users,         4, UNLESS_IT_FLOWS)	/* a domain that hangs leaves the others theirs */      \
	X(schedules,     4, UNLESS_IT_FLOWS)                                                            \
	X(appointments,  4, UNLESS_IT_FLOWS)                                                            \
	X(reviews,       4, UNLESS_IT_FLOWS)                                                            \
	X(reports,       4, UNLESS_IT_FLOWS)                                                            \
	X(files,         4, UNLESS_IT_FLOWS)

enum crowd_row {
#define X(name, eighths, when) CROWD_##name,
	CROWD_TABLE(X)
#undef X
	CROWD_COUNT
};

struct crowd {
	int threads;
	struct {
		_Atomic int     waiting;
		_Atomic int64_t heard;		/* when an answer came last */
		_Atomic int64_t took;		/* how long the last one waited */
		_Atomic bool    silent;		/* one has waited in vain since then */
	} of[CROWD_COUNT];
};

void           crowd_init(struct crowd *, int threads);
enum crowd_row crowd_of(const char *domain);			/* that of a call */
bool           crowd_enter(struct crowd *, enum crowd_row, int64_t now);	/* false: too many */
void           crowd_leave(struct crowd *, enum crowd_row, int64_t began, int64_t now, bool answered);
/* What a wait says of another row than its own. */
void           crowd_hear(struct crowd *, enum crowd_row, int64_t began, int64_t now, bool answered);
bool           crowd_is_silent(const struct crowd *, enum crowd_row);
#endif
