/*
 * store.h - where sealed chunks lie: PostgreSQL, or anything that speaks S3.
 *
 * A store sees ciphertext alone.  Which one a file is in stands in its row, so that files stay readable
 * when the configuration names another for new ones.  An outage is unavailable; a chunk that is not
 * there is not_found.
 */
#ifndef ACTORS_FILES_STORE_H
#define ACTORS_FILES_STORE_H
#include "broker/base/str.h"

enum files_store { STORE_POSTGRES, STORE_S3, STORES };
extern const char *const files_store_names[];

struct store {
	err_t (*put)(struct ctx *, int64_t file, int64_t index, struct str sealed);
	err_t (*get)(struct ctx *, int64_t file, int64_t index, struct str *sealed);	/* in the arena */
	err_t (*drop)(struct ctx *, int64_t file, int64_t chunks);	/* also what is not there */
};
extern const struct store store_postgres, store_s3;
const struct store *store_of(enum files_store);

/* Which one is for new files; false, with one line in why (256 bytes), when it cannot work. */
bool store_start(enum files_store *, char *why);
bool store_s3_start(char *why);		/* only store.c's business */
#endif
