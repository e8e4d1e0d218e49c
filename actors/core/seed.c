/*
 * seed.c - `healthmed seed`: made-up doctors, slots and patients, straight into the database.
 *
 * For tests, benchmarks and demonstrations.  All or nothing, one transaction.  Numbers are without
 * gaps and doctor-major, so that a caller can reckon them from the one line it prints.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "actors/core/commands.h"
#include "actors/core/db.h"
#include "actors/users/password.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"

#define SEED_SIZE(F, T)                                            \
	F(T, OURS, INT,  accounts,     REQ, 0, INT64_MAX, -)       \
	F(T, OURS, INT,  slots,        REQ, 0, INT64_MAX, -)
#define SEED_RANGE(F, T)                                           \
	F(T, OURS, INT,  account,      REQ, 1, INT64_MAX, -)       \
	F(T, OURS, INT,  slot,         REQ, 1, INT64_MAX, -)
#define SEED_PEOPLE(F, T)                                          \
	F(T, OURS, INT,  first,        REQ, 1, INT64_MAX, -)       \
	F(T, OURS, INT,  n,            REQ, 0, INT64_MAX, -)       \
	F(T, OURS, TEXT, role,         REQ, 1, 16, -)              \
	F(T, OURS, TEXT, hash,         REQ, 1, 255, -)
#define SEED_SLOTS(F, T)                                           \
	F(T, OURS, INT,  first_slot,   REQ, 1, INT64_MAX, -)       \
	F(T, OURS, INT,  first_doctor, REQ, 1, INT64_MAX, -)       \
	F(T, OURS, INT,  each,         REQ, 1, INT64_MAX, -)       \
	F(T, OURS, TIME, starts,       REQ, 0, TIME_MAX, -)        \
	F(T, OURS, INT,  minutes,      REQ, 1, 1440, -)            \
	F(T, OURS, INT,  begin,        REQ, 0, INT64_MAX, -)       \
	F(T, OURS, INT,  n,            REQ, 0, INT64_MAX, -)
MSG_DECLARE(seed_size,   SEED_SIZE)
MSG_DECLARE(seed_range,  SEED_RANGE)
MSG_DECLARE(seed_people, SEED_PEOPLE)
MSG_DECLARE(seed_slots,  SEED_SLOTS)
MSG_DEFINE(seed_size,    SEED_SIZE)
MSG_DEFINE(seed_range,   SEED_RANGE)
MSG_DEFINE(seed_people,  SEED_PEOPLE)
MSG_DEFINE(seed_slots,   SEED_SLOTS)

enum { ROOM = 1 << 20, CHUNK = 20000 };

struct options {
	int64_t     doctors, patients, slots, minutes, starts;
	const char *password;
};

static const struct {
	const char *flag;
	size_t      off;
	int64_t     min, max;
} numbers[] = {
	{ "--doctors",  offsetof(struct options, doctors),  0, 10000000 },
	{ "--patients", offsetof(struct options, patients), 0, 10000000 },
	{ "--slots",    offsetof(struct options, slots),    0, 10000000 },
	{ "--minutes",  offsetof(struct options, minutes),  1, 1440 },
};

static int64_t tomorrow(void)
{
	time_t now = time(NULL);
	struct tm tm;

	(void) localtime_r(&now, &tm);
	tm.tm_mday++;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return mktime(&tm) * SECOND;
}

static bool read_option(const char *flag, const char *value, struct options *o)
{
	if (strcmp(flag, "--password") == 0) {
		o->password = value;
		return strlen(value) >= 8 && strlen(value) <= 128;
	}
	if (strcmp(flag, "--starts") == 0)
		return time_parse(str_of(value), &o->starts) && o->starts >= 0;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		int64_t *at = (int64_t *) (void *) ((char *) o + numbers[i].off);

		if (strcmp(flag, numbers[i].flag) == 0)
			return str_int(str_of(value), at) && *at >= numbers[i].min &&
			       *at <= numbers[i].max;
	}
	return false;
}

/* Only when it takes long enough for somebody to wonder. */
static void progress(int64_t began, int64_t done, int64_t of)
{
	if (clock_mono() - began > 2 * SECOND)
		(void) fprintf(stderr, "healthmed seed: %" PRId64 " of %" PRId64 " rows\n", done, of);
}

static err_t put_people(struct ctx *c, int64_t first, int64_t n, const char *role, struct str hash)
{
	struct seed_people p = { 0 };

	SET(&p, first, first);
	SET(&p, n, n);
	SET(&p, role, str_of(role));
	SET(&p, hash, hash);
	return n == 0 ? OK : db_exec(c, Q_seed_people, &p);
}

static err_t put_next(struct ctx *c, int64_t first, int64_t n)
{
	struct seed_people p = { 0 };

	SET(&p, first, first);
	SET(&p, n, n);
	return db_exec(c, Q_seed_next, &p);
}

static err_t put_all(struct ctx *c, const struct options *o, struct str hash, struct seed_range *r)
{
	const int64_t accounts = o->doctors + o->patients, slots = o->doctors * o->slots;
	const int64_t began = clock_mono();
	struct seed_size size = { 0 };
	struct seed_slots s = { 0 };

	TRY(db_exec(c, Q_seed_lock, NULL));
	SET(&size, accounts, accounts);
	SET(&size, slots, slots);
	TRY(db_one(c, Q_seed_range, &size, r));
	TRY(put_people(c, r->account, o->doctors, "doctor", hash));
	progress(began, o->doctors, accounts + slots);
	TRY(put_people(c, r->account + o->doctors, o->patients, "patient", hash));
	progress(began, accounts, accounts + slots);
	SET(&s, first_slot, r->slot);
	SET(&s, first_doctor, r->account);
	SET(&s, each, o->slots);
	SET(&s, starts, o->starts);
	SET(&s, minutes, o->minutes);
	for (int64_t at = 0; at < slots; at += CHUNK) {
		arena_reset(c->mem);
		SET(&s, begin, at);
		SET(&s, n, slots - at < CHUNK ? slots - at : CHUNK);
		TRY(db_exec(c, Q_seed_slots, &s));
		progress(began, accounts + at + s.n, accounts + slots);
	}
	return put_next(c, r->account, o->doctors);
}

static err_t seed(struct ctx *c, const struct options *o)
{
	struct str hash = STR("!");		/* no password has this hash */
	struct seed_range r;

	if (o->password != NULL)
		TRY(password_hash(c, str_of(o->password), &hash));
	TRY(db_begin(c, true));
	TRY(put_all(c, o, hash, &r));
	TRY(db_commit(c));
	TRY(db_exec(c, Q_seed_analyze, NULL));
	(void) printf("{\"first_doctor\":%" PRId64 ",\"doctors\":%" PRId64 ",\"first_patient\":%" PRId64
		      ",\"patients\":%" PRId64 ",\"first_slot\":%" PRId64 ",\"slots\":%" PRId64 "}\n",
		      r.account, o->doctors, r.account + o->doctors, o->patients, r.slot,
		      o->doctors * o->slots);
	return OK;
}

static int usage(FILE *to, int code)
{
	(void) fprintf(to, "Usage: healthmed seed [option value…]\n\n"
		"Puts made-up people into the database of HEALTHMED_DATABASE_URL and prints one JSON\n"
		"line: first_doctor, doctors, first_patient, patients, first_slot, slots.  Numbers have\n"
		"no gaps; slot k of doctor d, both from 0, is first_slot + d * (slots of each) + k.\n"
		"E-mails are doctor<id>@example.org and patient<id>@example.org.\n\n"
		"  --doctors N     how many (0)\n"
		"  --patients N    how many (0)\n"
		"  --slots N       of each doctor, one after the other (0)\n"
		"  --minutes N     how long a slot is, 1 to 1440 (30)\n"
		"  --starts TIME   of the first slot, \"YYYY-MM-DD HH:MM\" (tomorrow 00:00)\n"
		"  --password P    of all of them, 8 to 128 bytes; without it none can log in\n");
	return code;
}

int seed_main(int argc, char **argv)
{
	const char *url = config_text(CONFIG_DATABASE_URL);
	struct options o = { .minutes = 30, .starts = tomorrow() };
	struct db *db = NULL;
	struct arena mem;
	char why[256];

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return usage(stdout, 0);
		if (i + 1 == argc || !read_option(argv[i], argv[i + 1], &o)) {
			(void) fprintf(stderr, "healthmed seed: %s is unknown, or its value is wrong\n\n",
				       argv[i]);
			return usage(stderr, EXIT_USAGE);
		}
	}
	/* The last slot has to be a time, too. */
	if (o.slots * o.minutes > (TIME_MAX - o.starts) / (60 * SECOND)) {
		(void) fprintf(stderr, "healthmed seed: so many slots end after the year 9999\n");
		return EXIT_USAGE;
	}
	if (url[0] == '\0') {
		(void) fprintf(stderr, "healthmed seed: HEALTHMED_DATABASE_URL is not set\n");
		return EXIT_CONFIG;
	}

	err_t e = db_open(url, NULL, &db, why);

	if (e.code != ERR_none) {
		(void) fprintf(stderr, "healthmed seed: %s\n", why);
		return e.code == ERR_unavailable ? EXIT_AWAY : 1;
	}

	void *room = malloc(ROOM);
	struct ctx c = { .mem = &mem, .db = db };

	if (room == NULL) {
		db_close(db);
		(void) fprintf(stderr, "healthmed seed: no memory\n");
		return 1;
	}
	arena_init(&mem, room, ROOM);
	e = seed(&c, &o);
	if (e.code != ERR_none)
		(void) fprintf(stderr, "healthmed seed: %s\n", c.detail);

	const int code = e.code == ERR_none ? 0 : db_is_up(db) ? 1 : EXIT_AWAY;

	db_close(db);
	free(room);
	return code;
}
