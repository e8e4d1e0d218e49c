/* store.c - which stores there are, and the one in the database.  Must not see plaintext. */
#include <stdio.h>
#include <string.h>
#include "actors/core/db.h"
#include "actors/files/rows.h"
#include "actors/files/store.h"
#include "broker/base/config.h"

const char *const files_store_names[] = { "postgres", "s3", NULL };

const struct store *store_of(enum files_store which)
{
	static const struct store *const stores[STORES] = { &store_postgres, &store_s3 };

	return stores[which];
}

bool store_start(enum files_store *which, char *why)
{
	const char *name = config_text(CONFIG_FILES_STORE);

	*which = strcmp(name, "s3") == 0 ? STORE_S3 : STORE_POSTGRES;
	/* Files of former days may lie in S3 also when new ones do not. */
	if (*which == STORE_S3 || config_text(CONFIG_S3_ENDPOINT)[0] != '\0')
		return store_s3_start(why);
	return true;
}

/* ---- PostgreSQL: a row a chunk, in the transaction of the caller ---- */

static struct files_box box_of(int64_t file, int64_t index)
{
	struct files_box b = { .set = { 0 } };

	SET(&b, file_id, file);
	SET(&b, index, index);
	return b;
}

static err_t put(struct ctx *c, int64_t file, int64_t index, struct str sealed)
{
	struct files_box b = box_of(file, index);

	SET(&b, sealed, sealed);
	return db_exec(c, Q_files_put, &b);
}

static err_t get(struct ctx *c, int64_t file, int64_t index, struct str *sealed)
{
	struct files_box b = box_of(file, index), found;

	TRY(db_one(c, Q_files_take, &b, &found));
	*sealed = found.sealed;
	return OK;
}

/* They go with the file's own row. */
static err_t drop(struct ctx *c, int64_t file, int64_t chunks)
{
	(void) c, (void) file, (void) chunks;
	return OK;
}

const struct store store_postgres = { put, get, drop };
