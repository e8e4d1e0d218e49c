/*
 * agenda.h - what of the doctors' agendas a batch is about, in memory: slots, appointments, requests.
 *
 * The caller reads it under the locks, owns all memory, and leaves the room that booking_needs()
 * asks for.  Searches are linear: a batch has hundreds of rows, and they lie side by side.
 */
#ifndef ACTORS_BOOKING_AGENDA_H
#define ACTORS_BOOKING_AGENDA_H
#include "actors/booking/rows.h"
#include "broker/base/digest.h"

enum mark { KEPT, CHANGED, ADDED, DROPPED };

struct slot {
	struct booking_slot row;
	enum mark           mark;
	bool                touched, held;	/* its freedom was decided about, and is gone */
};
struct appointment { struct booking_appointment row; enum mark mark; };

struct request {				/* decided earlier, or before in this batch */
	struct digest          id, body_hash;
	int64_t                doctor_id, user_id;
	struct str             outcome;		/* as it was stored, or */
	const struct decision *decision;	/* of this batch */
};

struct agenda {
	struct arena       *mem;		/* for what outcomes list, and for entity tags */
	int64_t             now;		/* of the transaction, read after its locks */
	int64_t             batch_id;
	struct slot        *slots;		/* those that commands name, those they overlap */
	struct appointment *appointments;	/* live, of those slots and patients; those named */
	struct request     *requests;
	struct booking_move *moves;		/* slots that appointments have left for another */
	struct booking_id  *gone;		/* whose account was erased, of those who ask and are asked */
	size_t              nslots, nappointments, nrequests, nmoves, ngone;
};

bool appointment_is_live(const struct booking_appointment *);

/* NULL: there is none. */
struct appointment *agenda_appointment(const struct agenda *, int64_t id);
struct slot        *agenda_slot(const struct agenda *, int64_t id);
/* The live appointment that holds a slot. */
struct appointment *agenda_holder(const struct agenda *, int64_t slot_id);
/* Whether a doctor has a slot at some of that time, other than `but` (NULL: whichever). */
bool agenda_overlaps(const struct agenda *, int64_t doctor_id, int64_t starts, int64_t ends,
		     const struct slot *but);

/* Whether that account was erased. */
bool agenda_lost(const struct agenda *, int64_t account);

/* As clients see them. */
void show_appointment(const struct booking_appointment *, struct appointments_appointment *);
void show_slot(const struct booking_slot *, bool booked, struct schedules_slot *);
#endif
