/*
 * attempts.h - how often a password was wrong, by name and by account, in a table of fixed size.
 *
 * Of this process only, and forgotten with it: the gateways count by address, this slows down
 * whoever guesses at one account from many addresses.  Whether the account exists plays no part.
 */
#ifndef ACTORS_USERS_ATTEMPTS_H
#define ACTORS_USERS_ATTEMPTS_H
#include "broker/base/digest.h"

enum { ATTEMPTS_MAX = 10, ATTEMPTS_WINDOW_S = 60 };

bool attempts_allow(struct digest account, int64_t mono_us);	/* false: wait until the window ends */
void attempts_failed(struct digest account, int64_t mono_us);
void attempts_forget(struct digest account);			/* the password was right */
#endif
