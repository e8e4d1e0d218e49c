/*
 * err.h - every way to say no, in one table, and what one message carries with it.
 *
 * `fault` is for the client (which field, and why); `refuse` is for the log.
 */
#ifndef BROKER_BASE_ERR_H
#define BROKER_BASE_ERR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "broker/base/arena.h"

/*        code                http  retry  public text */
#define ERR_TABLE(X)                                                                            \
	X(none,                   200, false, "done")                                           \
	X(unreadable,             400, false, "the request cannot be read")                     \
	X(no_token,               401, false, "this needs a bearer token")                      \
	X(bad_token,              401, false, "the token is not valid, or no longer")           \
	X(bad_credentials,        401, false, "no account has this name and password")          \
	X(forbidden,              403, false, "not for this role")                              \
	X(wrong_password,         403, false, "the current password is another")                \
	X(bad_link,               403, false, "the link is not valid, or no longer")            \
	X(not_found,              404, false, "no such thing")                                  \
	X(method_not_allowed,     405, false, "this method is not for this address")            \
	X(identity_in_use,        409, false, "an account with this e-mail or document exists") \
	X(medical_id_in_use,      409, false, "an account with this medical id exists")         \
	X(slot_taken,             409, false, "somebody was there first")                       \
	X(slot_inactive,          409, false, "the slot is not open for booking")               \
	X(slot_changed,           409, false, "the slot has another time now")                  \
	X(slot_overlap,           409, false, "the time overlaps another slot of yours")        \
	X(patient_busy,           409, false, "you have another appointment at that time")      \
	X(slot_booked,            409, false, "a live appointment holds the slot")              \
	X(invalid_transition,     409, false, "not in this state")                              \
	X(has_report,             409, false, "there is a medical report about it")             \
	X(not_confirmed,          409, false, "only once it is confirmed")                      \
	X(not_concluded,          409, false, "only after it is concluded")                     \
	X(already_reviewed,       409, false, "there is a review of it already")                \
	X(nothing_to_review,      409, false, "no concluded visit without a review")            \
	X(length_required,        411, false, "the body needs a Content-Length, not chunks")        \
	X(precondition_failed,    412, false, "it has changed since; read it again")            \
	X(too_large,              413, false, "too large")                                      \
	X(unsupported_media_type, 415, false, "the body is of another type or encoding than belongs here") \
	X(invalid,                422, false, "some fields are not valid")                      \
	X(slot_past,              422, false, "the time is in the past")                        \
	X(key_reused,             422, false, "the Idempotency-Key was used for another body")  \
	X(too_many_requests,      429, true,  "too many requests, wait a little")               \
	X(internal,               500, false, "our fault")                                      \
	X(failed,                 500, false, "the request could not be processed")             \
	X(unavailable,            503, true,  "not possible just now")                          \
	X(timeout,                504, true,  "no answer in time")                              \
	X(outcome_unknown,        504, true,  "not known to be accepted; the same Idempotency-Key tells")

enum err_code {
#define X(code, http, retry, text) ERR_##code,
	ERR_TABLE(X)
#undef X
	ERR_COUNT
};

struct err_info { const char *code; int http; bool retry; const char *text; };
extern const struct err_info err_info[ERR_COUNT];

/* A type of its own: no int and no library's status is ever taken for one. */
typedef struct { enum err_code code; } err_t;

#define ERR(code)      ((err_t) { ERR_##code })
#define OK             ERR(none)
#define TRY(expr)      do { err_t try_ = (expr); if (try_.code) return try_; } while (0)
#define MUST_CHECK     __attribute__((warn_unused_result))
#define PRINTF(f, a)   __attribute__((format(printf, f, a)))
#define CLEANUP(fn)    __attribute__((cleanup(fn)))
#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))

/* Bits, so that a call can name several; zero is nobody.  SYSTEM is the house itself, without a user:
 * no token has it. */
enum role { ROLE_NOBODY, ROLE_PUBLIC = 1, ROLE_PATIENT = 2, ROLE_DOCTOR = 4, ROLE_SYSTEM = 8 };

struct fault { const char *path, *message; };

/* What one message carries through the house. */
struct ctx {
	struct arena *mem;		/* dies with the message */
	struct db    *db;		/* an actor's session; NULL in a gateway */
	struct cache *cache;		/* an actor's; may be NULL, and may forget */
	const char   *secret;		/* REQUEST_KEY of the configuration, in an actor */
	int64_t       now;		/* an actor's: when it was taken, in microseconds UTC */
	int64_t       user;		/* from the token, never from a body */
	enum role     role;
	int64_t       session;		/* of the token: ends with its logout; 0: it has none */
	const char   *if_match;		/* what a change relies on, as in HTTP's If-Match; NULL: nothing */
	int64_t       deadline;		/* of clock_mono(), in microseconds; 0: none */
	char          trace[33];	/* trace id of traceparent, in hex; "" when none */
	bool          stands;		/* a handler's: what it did is committed, though it refuses */
	enum err_code verdict;		/* what the faults amount to */
	struct fault  fault[32];	/* the first ones; a client needs no thousands */
	size_t        nfaults;
	char          detail[256];	/* for the log */
};

/* The error of a code's name, as it came over a wire; internal when no such name is known. */
err_t err_named(const char *code);

/* Notes one faulty field; ERR_unreadable outranks every other verdict. */
err_t fault(struct ctx *, enum err_code, const char *path, const char *message);
/* Leaves a line for the log and returns the error. */
err_t refuse(struct ctx *, enum err_code, const char *fmt, ...) PRINTF(3, 4) MUST_CHECK;
#endif
