/*
 * db.h - one session of PostgreSQL and the named queries of sql/queries/.
 *
 * A query names the messages it takes and gives, in its comment lines:
 *
 *	-- name: schedules_list
 *	-- in: schedules_list_row        (or - for none)
 *	-- out: schedules_slot           (or - for none)
 *
 * Its :parameters are fields of `in`, its columns fields of `out` ("doctor.price" is a field of
 * the object doctor).  A :parameter that leads through a list, :grants.slot_id, is the array of
 * that field over all items, so that a batch is written by one statement.  Both are matched
 * once, at connect; a name without a field, or of another type, fails the start.  Values go and
 * come in binary.  INT is int2, int4 or int8; MONEY numeric; TIME timestamptz; DATE date; TEXT and
 * ENUM text or an enum type (by name); BYTES bytea, or a uuid when it is 16 long.  Absent and null
 * fields are SQL's NULL; an object of which every column is NULL is null.
 *
 * Round trips.  All that is asked goes as a pipeline.  A read has no BEGIN: each of its queries
 * sees what was committed when it began (`core_begin_read` opens one snapshot for several).  The
 * BEGIN of a write travels with its first query; COMMIT is a round trip of its own, unless it is
 * sent as `core_commit` within a pipeline.  statement_timeout is the time left, rounded up to
 * half a second, and goes along only when it changes.  Whatever the server does, a call ends a
 * second after c->deadline (30 s where there is none): then the connection is closed, and lost.
 */
#ifndef ACTORS_CORE_DB_H
#define ACTORS_CORE_DB_H
#include "broker/msg.h"
#include "query.h"

struct db;

/* Connects as healthmed_<domain> (domain NULL: as the URL says), within 5 s, or 2 s for each host of
 * a URL that names several, and prepares the queries of that domain, i.e. of
 * sql/queries/<domain>.sql, beside those of core.sql.  unavailable, with the reason in why (256
 * bytes); internal when a query does not fit its messages.  A session without a domain is a tool's:
 * it prepares any query at its first use (not within a pipeline), and where there is no deadline it
 * waits as long as it takes. */
err_t db_open(const char *url, const char *domain, struct db **, char *why) MUST_CHECK;
void  db_close(struct db *);
bool  db_is_up(const struct db *);	/* false once the connection was lost: db_open anew */

/* All of these use c->db.  An error is one of: unavailable (the connection was lost, a serialization
 * failure, a server that cannot just now: everything that says nothing about the data), timeout
 * (statement_timeout), invalid (SQLSTATE classes 22 and 23 that have no row in db.c's table of
 * constraints), or the code of the constraint's row. */
err_t db_begin(struct ctx *, bool write) MUST_CHECK;	/* statement_timeout = time left of c->deadline */
err_t db_commit(struct ctx *) MUST_CHECK;		/* unavailable: the outcome is unknown;
						 * any other error: it is rolled back */
void  db_rollback(struct ctx *);	/* clears away whatever was left, also an unfinished pipeline */

err_t db_exec(struct ctx *, enum query, const void *in) MUST_CHECK;
err_t db_one(struct ctx *, enum query, const void *in, void *out) MUST_CHECK;	/* no row: not_found */
/* Rows into an array in the arena, of the query's out message. */
err_t db_list(struct ctx *, enum query, const void *in, void *items, size_t *n) MUST_CHECK;

/* Pipelines: send several, flush, take the results in the same order, end; then the next round
 * trip.  After an error every later take of that flush, and its end, say so too.  A write may
 * frame itself: db_send(c, Q_core_begin_write, NULL) … db_send(c, Q_core_commit, NULL). */
err_t db_send(struct ctx *, enum query, const void *in) MUST_CHECK;
err_t db_flush(struct ctx *) MUST_CHECK;
err_t db_take(struct ctx *, enum query, void *items, size_t *n) MUST_CHECK;	/* items may be NULL */
err_t db_end(struct ctx *) MUST_CHECK;	/* after the last take of a flush */

/* Several statements without parameters, of a migration; in a transaction if one was begun. */
err_t db_script(struct ctx *, const char *text) MUST_CHECK;

/* Whether the last error is one of the data (SQLSTATE class 22 or 23) or of the moment. */
bool        db_is_poison(const struct db *);
const char *db_sqlstate(const struct db *);	/* "" when the connection was lost */
#endif
