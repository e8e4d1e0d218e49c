/*
 * chores.h - what nobody asks a mailbox for, and must be done: appointments that nobody confirmed
 * expire, those of an account that is gone are cancelled, and what it wrote is forgotten.
 *
 * Nothing that is decided is changed here: commands are written to the outbox, which brings them to the mailboxes like
 * anybody's.  Each has a request id made from what it is about, so that it may be written again.
 */
#ifndef ACTORS_BOOKING_CHORES_H
#define ACTORS_BOOKING_CHORES_H
#include "actors/core/follower.h"

enum { CHORES_S = 2 };

chore_fn  booking_chore;
extern const struct followed booking_follows[];
#endif
