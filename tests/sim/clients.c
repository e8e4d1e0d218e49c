/* clients.c - see sim.h: patients, doctors and the house itself, what they ask for and what they are told. */
#include <inttypes.h>
#include <string.h>
#include "broker/base/config.h"
#include "broker/request_id.h"
#include "tests/sim/sim.h"

enum { GATEWAYS = 2, PATIENT = 101 };
#define MINUTE (60 * SECOND)

struct attempt attempt[ATTEMPTS];
size_t nattempts;

static struct wish wish[WISHES];
static size_t nwishes, wanted_wishes, wanted_attempts;
static int ndoctors, npatients, crowd;	/* crowd: the times that they ask for */
static int64_t since;
static bool erased[PATIENT + 8];	/* accounts */

static struct ctx ctx(void)
{
	return (struct ctx) { .mem = &world.mem, .secret = config_text(CONFIG_REQUEST_KEY) };
}

const struct wish *wish_of(struct digest id)
{
	for (size_t i = 0; i < nwishes; i++) {
		struct request_id r;

		if (request_id_read(str_of(wish[i].id), &r) && digest_eq(r.nonce, id))
			return &wish[i];
	}
	return NULL;
}

/* ---- what is wished ---- */

static int64_t some_doctor(void)  { return 1 + (int64_t) draw((uint64_t) ndoctors); }
static int64_t some_patient(void) { return PATIENT + (int64_t) draw((uint64_t) npatients); }

/* On a grid, so that slots of several doctors are at one time, and some overlap. */
static int64_t some_time(void)
{
	return wall() - (wall() - since) % MINUTE + 8 * SECOND + (int64_t) draw((uint64_t) crowd) * MINUTE + (chance(200) ? MINUTE / 2 : 0);
}

static const struct booking_slot *some_slot(void)
{
	return committed.nslots == 0 ? NULL : &committed.slot[draw(committed.nslots)];
}

static const struct booking_appointment *some_appointment(void)
{
	const struct booking_appointment *a = NULL;

	for (int i = 0; i < 4 && committed.nappointments > 0; i++) {	/* live ones more often */
		a = &committed.appointment[draw(committed.nappointments)];
		if (appointment_is_live(a))
			break;
	}
	return a;
}

static struct str packed(enum call_id id, const void *req)
{
	struct ctx c = ctx();
	struct str body;

	return msg_to_pack(&c, call[id].req, req, &body).code ? STR("") : body;
}

static void by_doctor(struct wish *w, enum call_id id, int64_t doctor)
{
	w->call = id;
	w->doctor = w->user = doctor;
	w->role = ROLE_DOCTOR;
}

static void wish_open(struct wish *w)
{
	struct booking_open_req q = { .set = { 0 } };
	int64_t at[3];

	by_doctor(w, CALL_booking_open, some_doctor());
	q.date_time_available.items = at;
	q.date_time_available.n = 1 + draw(3);
	for (size_t i = 0; i < q.date_time_available.n; i++)
		at[i] = some_time();
	q.has.date_time_available = 1;
	SET(&q, doctor_id, w->doctor);
	SET(&q, duration_minutes, 1);
	w->body = packed(w->call, &q);
	SET(&q, duration_minutes, 2);
	w->other = packed(w->call, &q);
}

static void wish_recur(struct wish *w)
{
	struct booking_recur_req q = { .set = { 0 } };
	int64_t day[] = { 1, 2, 3, 4, 5 };

	by_doctor(w, CALL_booking_recur, some_doctor());
	SET(&q, doctor_id, w->doctor);
	q.weekdays.items = day;
	q.weekdays.n = 5;
	q.has.weekdays = 1;
	SET(&q, from, 600);
	SET(&q, to, 660);
	SET(&q, duration_minutes, 30);
	SET(&q, starts_on, since / (1440 * MINUTE));
	SET(&q, ends_on, q.starts_on + 2);
	w->body = packed(w->call, &q);
}

static void wish_edit(struct wish *w)
{
	const struct booking_slot *s = some_slot();
	struct booking_edit_req q = { .set = { 0 } };

	if (s == NULL) {
		wish_open(w);
		return;
	}
	by_doctor(w, CALL_booking_edit, s->doctor_id);
	SET(&q, id, s->id);
	SET(&q, doctor_id, w->doctor);
	if (chance(500))
		SET(&q, date_time_available, some_time());
	if (chance(300))
		SET(&q, active, chance(500));
	if (chance(300))
		SET(&q, duration_minutes, 1 + (int64_t) draw(2));
	w->body = packed(w->call, &q);
}

static void wish_drop(struct wish *w)
{
	const struct booking_slot *s = some_slot();
	struct booking_drop_req q = { .set = { 0 } };

	if (s == NULL) {
		wish_open(w);
		return;
	}
	by_doctor(w, CALL_booking_drop, s->doctor_id);
	SET(&q, id, s->id);
	SET(&q, doctor_id, w->doctor);
	w->body = packed(w->call, &q);
}

/* Mostly as a gateway would ask; now and then one that should have been refused before. */
static void wish_book(struct wish *w)
{
	const struct booking_slot *s = some_slot();
	struct booking_book_req q = { .set = { 0 } };

	if (s == NULL) {
		wish_open(w);
		return;
	}
	w->call = CALL_booking_book;
	w->role = chance(20) ? ROLE_DOCTOR : ROLE_PATIENT;
	w->user = some_patient();
	w->doctor = chance(30) ? some_doctor() : s->doctor_id;
	SET(&q, schedule_id, s->id);
	SET(&q, doctor_id, w->doctor);
	if (w->poison == POISON_READ)
		SET(&q, schedule_id, POISONOUS_SLOT);
	w->body = packed(w->call, &q);
	SET(&q, date_time, s->starts);
	w->other = packed(w->call, &q);
	if (chance(100)) {
		const struct str swap = w->body;

		w->body = w->other;
		w->other = swap;
	}
}

static void wish_reschedule(struct wish *w)
{
	const struct booking_appointment *a = some_appointment();
	const struct booking_slot *s = some_slot();
	struct booking_reschedule_req q = { .set = { 0 } };

	if (s == NULL || a == NULL) {
		wish_book(w);
		return;
	}
	w->call = CALL_booking_reschedule;
	w->role = ROLE_PATIENT;
	w->user = chance(50) ? some_patient() : a->patient_id;
	w->doctor = s->doctor_id;
	SET(&q, id, a->id);
	SET(&q, schedule_id, s->id);
	SET(&q, doctor_id, w->doctor);
	SET(&q, former_doctor_id, a->doctor_id);
	w->body = packed(w->call, &q);
}

static void wish_confirm(struct wish *w)
{
	const struct booking_appointment *a = some_appointment();
	struct booking_confirm_req q = { .set = { 0 } };

	if (a == NULL) {
		wish_book(w);
		return;
	}
	by_doctor(w, CALL_booking_confirm, a->doctor_id);
	if (chance(30))
		w->user = some_doctor();
	SET(&q, id, a->id);
	SET(&q, doctor_id, w->doctor);
	SET(&q, confirmed, !chance(150));
	w->body = packed(w->call, &q);
	SET(&q, confirmed, !q.confirmed);
	w->other = packed(w->call, &q);
}

static void wish_cancel(struct wish *w)
{
	const struct booking_appointment *a = some_appointment();
	struct booking_cancel_req q = { .set = { 0 } };

	if (a == NULL) {
		wish_book(w);
		return;
	}
	by_doctor(w, CALL_booking_cancel, a->doctor_id);
	if (chance(600)) {
		w->role = ROLE_PATIENT;
		w->user = chance(100) ? some_patient() : a->patient_id;
	}
	SET(&q, id, a->id);
	SET(&q, doctor_id, w->doctor);
	SET(&q, reason, STR("cannot come"));
	w->body = packed(w->call, &q);
	SET(&q, reason, STR("will not come"));
	w->other = packed(w->call, &q);
}

/* The others have one form: who may, and which appointment. */
static void wish_step(struct wish *w)
{
	static const enum call_id step[] = { CALL_booking_start, CALL_booking_start, CALL_booking_conclude,
		CALL_booking_conclude, CALL_booking_no_show, CALL_booking_attest, CALL_booking_expire,
		CALL_booking_revoke };
	const struct booking_appointment *a = some_appointment();
	struct booking_start_req q = { .set = { 0 } };

	if (a == NULL) {
		wish_book(w);
		return;
	}
	by_doctor(w, step[draw(COUNT(step))], a->doctor_id);
	if (call[w->call].who == ROLE_SYSTEM) {
		w->role = ROLE_SYSTEM;
		w->user = 0;
	} else if (chance(20)) {
		w->role = ROLE_PATIENT;
		w->user = a->patient_id;
	}
	SET(&q, id, a->id);
	SET(&q, doctor_id, w->doctor);
	w->body = packed(w->call, &q);
}

static void wish_close(struct wish *w)
{
	struct booking_close_req q = { .set = { 0 } };

	w->call = CALL_booking_close;
	w->role = ROLE_SYSTEM;
	w->user = 0;
	w->doctor = some_doctor();
	SET(&q, doctor_id, w->doctor);
	w->body = packed(w->call, &q);
}

static const struct { void (*wishes)(struct wish *); int weight; } wish_table[] = {
	{ wish_open,       15 },
	{ wish_recur,       2 },
	{ wish_edit,       12 },
	{ wish_drop,        5 },
	{ wish_book,       40 },
	{ wish_reschedule, 25 },
	{ wish_confirm,    15 },
	{ wish_cancel,     12 },
	{ wish_step,       12 },
	{ wish_close,       1 },
};

static void poison(struct wish *w)
{
	if (w->poison == POISON_READ && w->call != CALL_booking_book)
		w->poison = POISON_BODY;
	if (w->poison == POISON_BODY)
		w->body = STR("\xc1 this is no msgpack");
	if (w->poison != POISON_NOT)
		w->other = STR("");
}

static struct wish *new_wish(void)
{
	struct wish *w = &wish[nwishes++];
	struct request_id id;
	char who[24], key[24];
	int which = 0;

	*w = (struct wish) { .stale = chance(20) };
	if (chance(world.poisonous))
		w->poison = POISON_BODY + (enum poison) draw(POISON_VERDICT - POISON_BODY + 1);
	if (w->poison == POISON_READ) {
		wish_book(w);
	} else if (nwishes < 6) {
		wish_open(w);
	} else {
		for (size_t i = 0; i < COUNT(wish_table); i++)
			which += wish_table[i].weight;
		which = (int) draw((uint64_t) which);
		for (size_t i = 0; i < COUNT(wish_table); i++)
			if ((which -= wish_table[i].weight) < 0) {
				wish_table[i].wishes(w);
				break;
			}
	}
	poison(w);
	(void) snprintf(who, sizeof who, "%" PRId64, w->user);
	(void) snprintf(key, sizeof key, "key-%zu", nwishes);
	id = request_id_make(str_of(ctx().secret), w->doctor, str_of(who), str_of(key));
	request_id_write(&id, w->id);
	return w;
}

/* ---- how it is sent ---- */

static const char *text(const char *before, int64_t n)
{
	char as[96];

	(void) snprintf(as, sizeof as, "%s%" PRId64, before, n);
	return keep(as, strlen(as));
}

static void send(struct wish *w)
{
	struct attempt *a = &attempt[nattempts];
	struct message m = { .partition = partition_of(w->doctor), .poison = w->poison, .body = w->body };
	struct request_id id;
	char subject[PARTITION_SUBJECT];

	if (w->other.n > 0 && chance(80))
		m.body = w->other;
	partition_subject(w->doctor, subject);
	m.subject = keep(subject, sizeof subject);
	wire_put(&m.headers, WIRE_CALL, w->poison == POISON_CALL ? "booking.nonsense" : call[w->call].name);
	if (w->poison != POISON_NAMELESS) {
		wire_put(&m.headers, WIRE_REQUEST, w->id);
		if (request_id_read(str_of(w->id), &id))
			m.id = id.nonce;
	}
	if (w->user > 0)
		wire_put(&m.headers, WIRE_USER, text("", w->user));
	wire_put(&m.headers, WIRE_ROLE, w->role == ROLE_SYSTEM ? "system" :
		 w->role == ROLE_DOCTOR ? "doctor" : "patient");
	if (w->stale)
		wire_put(&m.headers, WIRE_IF_MATCH, "\"never-was-so\"");
	wire_put(&m.headers, WIRE_INBOX, text("_INBOX.gateway ", (int64_t) nattempts));
	*a = (struct attempt) { .wish = w, .gateway = (int) draw(GATEWAYS),
		.message = chance(20) ? -1 : stream_store(&m) };
	nattempts++;
}

/* An account is erased: it may have asked for something that is still to be decided. */
static void erase(void)
{
	const int64_t account = chance(300) ? some_doctor() : some_patient();

	trace("account %" PRId64 " is erased", account);
	erased[account] = true;
}

void clients_step(void)
{
	if (clients_are_done()) {
		world.at[T_CLIENTS] = NEVER;
		return;
	}
	if (nwishes < wanted_wishes && (nwishes < 6 || chance(650)))
		send(new_wish());
	else
		send(&wish[nwishes - 1 - draw(nwishes < 12 ? nwishes : chance(700) ? 12 : nwishes)]);
	if (chance(3))
		erase();
	if (world.now >= world.quiet_at)
		world.patience = 10 * MS;
	world.at[T_CLIENTS] = chance(600) ? world.now : world.now + (int64_t) draw((uint64_t) world.patience);
}

bool clients_are_done(void)
{
	return nattempts >= wanted_attempts;
}

bool clients_erased(int64_t account)
{
	return account < (int64_t) COUNT(erased) && erased[account];
}

void clients_begin(void)
{
	memset(erased, 0, sizeof erased);
	nwishes = nattempts = 0;
	since = wall();
	ndoctors = 1 + (int) draw(6);
	crowd = (int[]) { 5, 12, 24 }[draw(3)];
	npatients = 1 + (int) draw(5);
	wanted_wishes = 10 + draw(70);
	wanted_attempts = wanted_wishes + draw(wanted_wishes) + 1;
	world.patience = world.quiet_at * 3 / (int64_t) wanted_attempts / (int64_t[]) { 1, 3, 30 }[draw(3)];
	world.at[T_CLIENTS] = (int64_t) draw((uint64_t) SECOND);
}

/* ---- what they hear ---- */

void clients_told(struct str inbox, struct str body)
{
	struct booking_answers answers;
	struct ctx c = ctx();

	if (!str_eq(inbox, STR("_INBOX.gateway")) ||
	    msg_from_pack(&c, &booking_answers_msg, keep_str(body), &answers).code) {
		broken("nobody can read an answer");
		return;
	}
	for (size_t i = 0; i < answers.items.n; i++) {
		const struct booking_answer *is = &answers.items.items[i];

		if (is->token >= (int64_t) nattempts) {
			broken("an answer is for nobody");
			return;
		}

		struct attempt *a = &attempt[is->token];

		if (a->gateway < 0)
			continue;
		a->told = is->outcome;
		judge_told(a);
	}
}

void gateway_dies(void)
{
	const int g = (int) draw(GATEWAYS);

	for (size_t i = 0; i < nattempts; i++)
		if (attempt[i].gateway == g && attempt[i].told.n == 0)
			attempt[i].gateway = -1;
}
