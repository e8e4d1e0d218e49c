/*
 * migrate.c - `healthmed migrate`: brings the database to this release.
 *
 * One migration, one transaction, its note in the same.  Must not go backwards, and must not
 * touch a database whose past is not the one in this program.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/commands.h"
#include "actors/core/db.h"
#include "actors/core/migration.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"

#define MIGRATE_KNOWN(F, T) F(T, OURS, BOOL, known,   REQ, 0, 0, -)
#define MIGRATE_ITEM(F, T)                                    \
	F(T, OURS, INT,  number,  REQ, 1, 9999, -)            \
	F(T, OURS, TEXT, name,    REQ, 1, 255, -)             \
	F(T, OURS, TEXT, text,    REQ, 1, INT64_MAX, -)
#define MIGRATE_LIST(F, T)  F(T, OURS, LIST, items,   REQ, 0, 9999, migrate_item)
#define MIGRATE_STATE(F, T)                                   \
	F(T, OURS, INT,  number,  REQ, 1, 9999, -)            \
	F(T, OURS, TEXT, name,    REQ, 1, 255, -)             \
	F(T, OURS, BOOL, applied, REQ, 0, 0, -)               \
	F(T, OURS, BOOL, changed, REQ, 0, 0, -)
MSG_DECLARE(migrate_known, MIGRATE_KNOWN)
MSG_DECLARE(migrate_item,  MIGRATE_ITEM)
MSG_DECLARE(migrate_list,  MIGRATE_LIST)
MSG_DECLARE(migrate_state, MIGRATE_STATE)
MSG_DEFINE(migrate_known,  MIGRATE_KNOWN)
MSG_DEFINE(migrate_item,   MIGRATE_ITEM)
MSG_DEFINE(migrate_list,   MIGRATE_LIST)
MSG_DEFINE(migrate_state,  MIGRATE_STATE)

enum { ROOM = 16 << 20 };

/* What this program has, as the queries want it. */
static err_t own_list(struct ctx *c, struct migrate_list *list)
{
	struct migrate_item *items = arena_alloc(c->mem, migration_count * sizeof *items);

	if (items == NULL)
		return refuse(c, ERR_too_large, "no room for the migrations");
	for (size_t i = 0; i < migration_count; i++) {
		SET(&items[i], number, migration[i].number);
		SET(&items[i], name, str_of(migration[i].name));
		SET(&items[i], text, str_of(migration[i].text));
	}
	memset(list, 0, sizeof *list);
	list->has.items = 1;
	list->items.items = items;
	list->items.n = migration_count;
	return OK;
}

/* Its state by migration; all pending, without asking, where there is no table yet. */
static err_t read_state(struct ctx *c, const struct migrate_list *list, bool create,
			struct migrate_state **state)
{
	struct migrate_known k;
	size_t n;

	TRY(db_one(c, Q_migrate_known, NULL, &k));
	if (!k.known && create)
		TRY(db_exec(c, Q_migrate_table, NULL));
	if (k.known || create) {
		TRY(db_list(c, Q_migrate_state, list, state, &n));
		return n == migration_count ? OK :
		       refuse(c, ERR_internal, "%zu migrations are read", n);
	}
	*state = arena_alloc(c->mem, migration_count * sizeof **state);
	if (*state == NULL)
		return refuse(c, ERR_too_large, "no room for the migrations");
	for (size_t i = 0; i < migration_count; i++) {
		(*state)[i].number = list->items.items[i].number;
		(*state)[i].name = list->items.items[i].name;
	}
	return OK;
}

static err_t check_past(struct ctx *c, const struct migrate_state *s)
{
	bool gap = false;

	for (size_t i = 0; i < migration_count; i++) {
		if (s[i].changed)
			return refuse(c, ERR_invalid, "%04" PRId64 " %s was applied with another text; "
				      "a released migration never changes, write a new one",
				      s[i].number, migration[i].name);
		if (s[i].applied && gap)
			return refuse(c, ERR_invalid, "%04" PRId64 " %s was applied before one that is "
				      "missing", s[i].number, migration[i].name);
		gap |= !s[i].applied;
	}
	return OK;
}

static err_t apply(struct ctx *c, const struct migrate_item *m)
{
	TRY(db_begin(c, true));
	TRY(db_script(c, m->text.p));
	TRY(db_exec(c, Q_migrate_note, m));
	return db_commit(c);
}

static err_t migrate(struct ctx *c, bool only_status, size_t *pending)
{
	struct migrate_state *state;
	struct migrate_list list;

	TRY(own_list(c, &list));
	if (!only_status)
		TRY(db_exec(c, Q_migrate_lock, NULL));
	TRY(read_state(c, &list, !only_status, &state));
	TRY(check_past(c, state));
	*pending = 0;
	for (size_t i = 0; i < migration_count; i++) {
		const struct migration *m = &migration[i];

		*pending += !state[i].applied;
		if (only_status)
			(void) printf("%04" PRId64 " %-20s %s\n", m->number, m->name,
				      state[i].applied ? "applied" : "pending");
		if (only_status || state[i].applied)
			continue;

		const err_t e = apply(c, &list.items.items[i]);

		if (e.code != ERR_none) {
			(void) fprintf(stderr, "healthmed migrate: %04" PRId64 " %s is not applied\n",
				       m->number, m->name);
			return e;
		}
		(void) printf("%04" PRId64 " %s\n", m->number, m->name);
		(void) fflush(stdout);
	}
	if (*pending == 0 && !only_status)
		(void) printf("already up to date\n");
	return OK;
}

static int usage(FILE *to, int code)
{
	(void) fprintf(to, "Usage: healthmed migrate [--status]\n\n"
		"Brings the database of HEALTHMED_DATABASE_URL to this release, one line a migration.\n"
		"Several may run at once.  --status only tells; its exit code is 1 when some are\n"
		"pending.\n");
	return code;
}

int migrate_main(int argc, char **argv)
{
	const char *url = config_text(CONFIG_DATABASE_URL);
	bool only_status = false;
	struct db *db = NULL;
	struct arena mem;
	char why[256];
	size_t pending = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return usage(stdout, 0);
		if (strcmp(argv[i], "--status") != 0)
			return usage(stderr, EXIT_USAGE);
		only_status = true;
	}
	if (url[0] == '\0') {
		(void) fprintf(stderr, "healthmed migrate: HEALTHMED_DATABASE_URL is not set\n");
		return EXIT_CONFIG;
	}

	err_t e = db_open(url, NULL, &db, why);

	if (e.code != ERR_none) {
		(void) fprintf(stderr, "healthmed migrate: %s\n", why);
		return e.code == ERR_unavailable ? EXIT_AWAY : 1;
	}

	void *room = malloc(ROOM);
	struct ctx c = { .mem = &mem, .db = db };

	if (room == NULL) {
		db_close(db);
		(void) fprintf(stderr, "healthmed migrate: no memory\n");
		return 1;
	}
	arena_init(&mem, room, ROOM);
	e = migrate(&c, only_status, &pending);
	if (e.code != ERR_none)
		(void) fprintf(stderr, "healthmed migrate: %s\n", c.detail);

	const int code = e.code == ERR_none ? only_status && pending > 0 : db_is_up(db) ? 1 : EXIT_AWAY;

	db_close(db);				/* which rolls back what is open, and unlocks */
	free(room);
	return code;
}
