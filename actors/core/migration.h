/*
 * migration.h - the migrations of sql/migrations/, as sql/migrations.awk puts them into the
 * program: in order, forward only.  A text that was ever released never changes.
 */
#ifndef ACTORS_CORE_MIGRATION_H
#define ACTORS_CORE_MIGRATION_H
#include <stddef.h>
#include <stdint.h>

struct migration { int64_t number; const char *name, *text; };
extern const struct migration migration[];
extern const size_t migration_count;
#endif
