/*
 * rule.h - rules that can be switched off, one at a time, in a test build: `make mutants` does
 * so for each and expects some test to fail.  And points where a process of a test build dies, or
 * stops: `make faults` has it do so.  In any other build RULE() is the constant true, CRASH() nothing.
 */
#ifndef BROKER_BASE_RULE_H
#define BROKER_BASE_RULE_H
#include <stdbool.h>

/*        name               without it */
#define RULE_TABLE(X)                                                                     \
	X(role_in_gateway,   "the gateway lets every role through")                       \
	X(role_in_actor,     "an actor answers every role")                               \
	X(token_signature,   "a token of any signature is taken")                         \
	X(token_expiry,      "a token lives for ever")                                    \
	X(session_ended,     "a token outlives its session")                              \
	X(refresh_reuse,     "an old refresh token is as good as a new one")              \
	X(current_password,  "a password is changed without knowing the present one")     \
	X(guesses_by_account, "each name of an account has guesses of its own")            \
	X(content_check,     "any bytes are taken for a PDF")                             \
	X(link_signature,    "a link of any signature opens a file")                      \
	X(link_expiry,       "a link lives for ever")                                     \
	X(grant_at_download, "a link opens a file whose grant has ended")                 \
	X(grant_doctor,      "a file is granted to any doctor")                           \
	X(room_share,        "one user may have all rooms of a gateway")                  \
	X(if_match,          "a change ignores what it relied on")                        \
	X(owner_of_request,  "anybody reads the outcome of a request")                    \
	X(owner_of_command,  "anybody cancels an appointment")                            \
	X(owner_of_review,   "anybody reviews an appointment")                            \
	X(review_concluded,  "an appointment is reviewed before it took place")           \
	X(owner_of_report,   "any doctor reports about an appointment")                   \
	X(audited,           "nobody is told who read a report")                          \
	X(doctor_of_command, "a command may name a slot of another doctor")               \
	X(gone,              "who has erased an account goes on all the same")            \
	X(slot_once,         "decide grants a taken slot")                                \
	X(patient_once,      "decide grants two appointments at one time")                \
	X(slot_time,         "a slot of the past is granted")                             \
	X(slot_booked,       "a booked slot is edited and deleted")                       \
	X(transition,        "any state leads to any other")                              \
	X(has_report,        "an appointment moves though there is a report of it")       \
	X(former_cursor,     "a reschedule does not lock the mailbox that it leaves")     \
	X(request_once,      "a copy of a request is decided again")                      \
	X(body_of_request,   "a key may come back with another body")                     \
	X(cursor_identity,   "a stream that is not the remembered one is taken for it")   \
	X(cursor_fence,      "a worker commits though the cursor moved")                  \
	X(patient_locks,     "patients are not locked")                                   \
	X(lock_order,        "patients are locked in the order of arrival")               \
	X(bisect,            "a batch with a poisonous command is dropped whole")         \
	X(share_of_threads,  "all threads of a gateway may wait for the same")            \
	X(silence,           "all wait in vain for what has not answered for long")       \
	X(behind,            "whoever comes to a mailbox that is behind waits for it")    \
	X(idle_give_way,     "connections that nobody uses keep others waiting")          \
	X(retry_outage,      "an outage is taken for a verdict")                          \
	X(outbox_ack,        "a fact is deleted before it is acknowledged")               \
	X(follow_once,       "facts that were applied are applied again")                 \
	X(cache_key,         "what is kept is served under any key")                      \
	X(cache_fence,       "what was read before a change is kept after it")            \
	X(own_change,        "a gateway serves what it kept before a change of its own")

/* A batch of commands, from its locks to its answers. */
#define CRASH_TABLE(X)                                                                    \
	X(after_lock,        "what it decides about is locked")                           \
	X(before_commit,     "all is decided, nothing written")                           \
	X(in_commit,         "the commit is sent, its answer not heard")                  \
	X(after_commit,      "it is committed, and not known here")                       \
	X(before_outcome,    "it is known, and nobody told")

#ifdef HEALTHMED_MUTANTS
enum rule {
#define X(name, text) RULE_##name,
	RULE_TABLE(X)
#undef X
	RULE_COUNT
};
bool rule_holds(enum rule);	/* not the one that the environment's MUTANT names */
enum crash {
#define X(name, text) CRASH_##name,
	CRASH_TABLE(X)
#undef X
};
void crash_at(enum crash);	/* here, at the nth time, if CRASH or FREEZE is "<name> <n>" */
#define RULE(name) rule_holds(RULE_##name)
#define CRASH(name) crash_at(CRASH_##name)
#else
#define RULE(name) true
#define CRASH(name) ((void) 0)
#endif
#endif
