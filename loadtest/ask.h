/*
 * ask.h - what is asked: a row for each kind of request, and request number n of each kind, written
 * for HTTP or for NATS.
 *
 * Which kind comes next, and what it is about, is drawn by number: the same options ask the same.
 */
#ifndef LOADTEST_ASK_H
#define LOADTEST_ASK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "broker/base/str.h"

/*        kind          its call            good answer  who asks  */
#define KIND_TABLE(X)                                       \
	X(search,       users_doctors,      200,   PATIENT) \
	X(slots,        schedules_free,     200,   PATIENT) \
	X(appointments, appointments_list,  200,   PATIENT) \
	X(book,         booking_book,       201,   PATIENT) \
	X(refresh,      users_refresh,      200,   NOBODY)  \
	X(login,        users_login,        200,   NOBODY)  \
	X(file,         users_me,           200,   PATIENT)
enum ask_kind {
#define X(kind, call, status, who) ASK_##kind,
	KIND_TABLE(X)
#undef X
	KINDS
};
extern const char *const ask_names[KINDS];

struct ask { enum ask_kind kind; uint64_t n; size_t session; };

enum ask_next { ASK_THIS, ASK_NONE, ASK_OVER };	/* none: every session is in use; over: nothing is left to ask */

/* A text of a fixed room; what does not fit ends the process. */
struct text { char *p; size_t n, cap; };

/* Reads the files and draws up the tables; `share` is memory of ask_shared() bytes that all processes
 * have. */
size_t        ask_shared(void);
void          ask_init(void *share);
void          ask_mine(int process, int processes);	/* the sessions that are this process's */
enum ask_next ask_next(struct ask *);
bool          ask_expects(const struct ask *, int status);
void          ask_http(const struct ask *, const char *host, struct text *);
/* Publishes, so that the answer comes to <inbox>.r<number>, or for a mailbox to <inbox>.o. */
void          ask_nats(const struct ask *, const char *inbox, uint64_t number, struct text *);
/* The status that a reply's head, or a batch of outcomes, says of request `number`; 0: nothing. */
int           ask_status(struct str head);
int           ask_outcome(struct str answers, uint64_t number);
/* What came of it; a session goes on with what it was given. */
void          ask_answered(const struct ask *, int status, struct str body);
uint64_t      ask_booked(void);				/* the first booking that nobody asked for */

void text_put(struct text *, const void *, size_t);
void text_say(struct text *, const char *);
void text_int(struct text *, uint64_t);
#endif
