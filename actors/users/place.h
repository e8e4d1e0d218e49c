/*
 * place.h - where a page of doctors ends, in the order it is in, and the cursor that says so.  Pure.
 *
 * A cursor is opaque to clients: the order, the doctor and his key in that order, so that what changes
 * between two pages neither repeats nor hides another doctor.
 */
#ifndef ACTORS_USERS_PLACE_H
#define ACTORS_USERS_PLACE_H
#include "broker/msg/doctors.h"

enum { PLACE_NAME = 40 };		/* code points of a name by which it is put in order */

/* The key of the order alone counts. */
struct place {
	enum users_sort sort;
	int64_t         id;
	struct str      name;		/* folded */
	int64_t         price;		/* centavos */
	double          rank;		/* the mean below zero */
	int64_t         next_slot;
};

/* Before the first of all doctors. */
struct place place_before_all(enum users_sort);
/* A cursor that was given out for this order; the name points into the arena. */
err_t place_read(struct ctx *, struct str cursor, enum users_sort, struct place *) MUST_CHECK;
err_t place_write(struct ctx *, const struct place *, struct str *cursor) MUST_CHECK;
#endif
