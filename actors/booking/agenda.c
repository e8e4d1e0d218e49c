/* agenda.c - see agenda.h.  Must not hold a rule: that is decide.c. */
#include "actors/booking/agenda.h"
#include "actors/booking/transitions.h"
#include "broker/base/clock.h"
#include "broker/base/rule.h"

#define MINUTE (60 * SECOND)

bool appointment_is_live(const struct booking_appointment *a)
{
	return status_is_live(a->status);
}

struct appointment *agenda_appointment(const struct agenda *g, int64_t id)
{
	for (size_t i = 0; i < g->nappointments; i++)
		if (g->appointments[i].row.id == id)
			return &g->appointments[i];
	return NULL;
}

struct slot *agenda_slot(const struct agenda *g, int64_t id)
{
	for (size_t i = 0; i < g->nslots; i++)
		if (g->slots[i].row.id == id && g->slots[i].mark != DROPPED)
			return &g->slots[i];
	return NULL;
}

struct appointment *agenda_holder(const struct agenda *g, int64_t slot_id)
{
	for (size_t i = 0; i < g->nappointments; i++)
		if (g->appointments[i].row.slot_id == slot_id &&
		    appointment_is_live(&g->appointments[i].row))
			return &g->appointments[i];
	return NULL;
}

bool agenda_lost(const struct agenda *g, int64_t account)
{
	for (size_t i = 0; i < g->ngone; i++)
		if (g->gone[i].id == account)
			return RULE(gone);
	return false;
}

bool agenda_overlaps(const struct agenda *g, int64_t doctor_id, int64_t starts, int64_t ends,
		     const struct slot *but)
{
	for (size_t i = 0; i < g->nslots; i++) {
		const struct slot *s = &g->slots[i];

		if (s->row.doctor_id == doctor_id && s->row.starts < ends && starts < s->row.ends &&
		    s != but && s->mark != DROPPED)
			return true;
	}
	return false;
}

void show_appointment(const struct booking_appointment *a, struct appointments_appointment *v)
{
	*v = (struct appointments_appointment) { .id = a->id };
	SET(v, id, a->id);
	SET(v, schedule_id, a->slot_id);
	SET(v, patient_id, a->patient_id);
	SET(v, doctor_id, a->doctor_id);
	SET(v, date_time, a->starts);
	SET(v, duration_minutes, (a->ends - a->starts) / MINUTE);
	SET(v, status, a->status);
	SET(v, created_at, a->created_at);
	SET(v, updated_at, a->updated_at);
#define COPY(field) (v->field = a->field, v->has.field = a->has.field)
	COPY(started_at);
	COPY(ended_at);
	COPY(confirmed_at);
	COPY(cancelled_by);
	COPY(cancelled_at);
	COPY(cancelled_reason);
#undef COPY
}

void show_slot(const struct booking_slot *s, bool booked, struct schedules_slot *v)
{
	*v = (struct schedules_slot) { .id = s->id };
	SET(v, id, s->id);
	SET(v, doctor_id, s->doctor_id);
	SET(v, date_time_available, s->starts);
	SET(v, duration_minutes, (s->ends - s->starts) / MINUTE);
	SET(v, active, s->active);
	SET(v, booked, booked);
	SET(v, created_at, s->created_at);
	SET(v, updated_at, s->updated_at);
}
