/* owner.c - see owner.h.  Must not know messages. */
#include <string.h>
#include "actors/booking/owner.h"
#include "actors/booking/rows.h"
#include "broker/metrics.h"

static err_t ask(struct ctx *c, enum query q, int partition, bool *yes)
{
	struct booking_id id = { .set = { 0 } };
	struct booking_flag flag;

	SET(&id, id, partition);
	TRY(db_one(c, q, &id, &flag));
	*yes = flag.yes;
	return OK;
}

err_t owner_open(struct ctx *c, struct owner *o, const char *url, char *why)
{
	struct booking_count count;
	struct booking_flag enlisted;
	err_t e = db_open(url, "booking", &o->db, why);

	if (e.code)
		return e;
	c->db = o->db;
	e = db_one(c, Q_booking_session, NULL, &count);
	if (!e.code)
		e = db_one(c, Q_booking_enlist, NULL, &enlisted);
	if (e.code) {
		(void) strncpy(why, "the session could not be set up", 256);
		owner_close(o);
	}
	return e;
}

static int owned(const struct owner *o)
{
	int n = 0;

	for (int p = 0; p < PARTITIONS; p++)
		n += o->owned[p];
	return n;
}

err_t owner_balance(struct ctx *c, struct owner *o)
{
	struct booking_workers workers;
	int have = owned(o);

	TRY(db_one(c, Q_booking_workers, NULL, &workers));

	const int n = workers.n > 0 ? (int) workers.n : 1;
	/* As long as somebody has less than a share rounded down, nobody has one rounded up. */
	const int fair = (PARTITIONS + (workers.least < PARTITIONS / n ? 0 : n - 1)) / n;

	for (int p = PARTITIONS; p-- > 0 && have > fair;)
		if (o->owned[p]) {
			bool gone;

			TRY(ask(c, Q_booking_disown, p, &gone));
			o->owned[p] = false;
			have--;
		}
	for (int p = 0; p < PARTITIONS && have < fair; p++)
		if (!o->owned[p]) {
			TRY(ask(c, Q_booking_own, p, &o->owned[p]));
			have += o->owned[p];
		}
	metric_set(METRIC_booking_partitions_owned, have);
	return OK;
}

void owner_close(struct owner *o)
{
	if (o->db != NULL)
		db_close(o->db);
	*o = (struct owner) { .db = NULL };
	metric_set(METRIC_booking_partitions_owned, 0);
}
