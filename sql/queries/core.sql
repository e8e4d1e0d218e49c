-- Every session has these: the frame around the queries of its domain.

-- name: core_begin_write
-- in: -
-- out: -
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: core_begin_read
-- One snapshot for several queries.
-- in: -
-- out: -
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: core_commit
-- in: -
-- out: -
COMMIT;

-- name: core_rollback
-- in: -
-- out: -
ROLLBACK;

-- name: core_ping
-- in: -
-- out: -
SELECT 1;

-- name: core_timeout
-- in: core_timeout
-- out: -
SELECT set_config('statement_timeout', :ms::int8::text, false);

-- name: core_type
-- What a type is that the house does not know by its number: an enum, or an array of one.
-- in: core_type_req
-- out: core_type
SELECT format_type(oid, NULL) AS name, typtype = 'e' AS is_enum, typelem::int8 AS element
  FROM pg_catalog.pg_type WHERE oid = :oid::int8::oid;

-- name: core_savepoint
-- in: -
-- out: -
SAVEPOINT act;

-- name: core_rollback_to
-- in: -
-- out: -
ROLLBACK TO SAVEPOINT act;
