-- A role a domain, each with the least that its queries need.
DO $$
DECLARE domain text;
BEGIN
    FOREACH domain IN ARRAY ARRAY['users', 'schedules', 'appointments', 'booking'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'healthmed_' || domain) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', 'healthmed_' || domain);
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA users TO healthmed_users;
GRANT SELECT, INSERT, UPDATE ON users.account, users.doctor, users.address TO healthmed_users;
GRANT SELECT, INSERT, UPDATE, DELETE ON users.idempotency TO healthmed_users;
GRANT SELECT, INSERT, UPDATE, DELETE ON users.outbox TO healthmed_users;

GRANT USAGE ON SCHEMA agenda TO healthmed_booking, healthmed_schedules, healthmed_appointments;
GRANT SELECT ON agenda.slot, agenda.appointment TO healthmed_schedules;
GRANT SELECT ON agenda.appointment, agenda.request TO healthmed_appointments;
GRANT SELECT, INSERT, UPDATE, DELETE ON agenda.slot TO healthmed_booking;
GRANT SELECT, INSERT, UPDATE ON agenda.appointment, agenda.cursor TO healthmed_booking;
GRANT SELECT, INSERT ON agenda.request, agenda.dead_letter TO healthmed_booking;
GRANT SELECT, INSERT, UPDATE, DELETE ON agenda.outbox TO healthmed_booking;
GRANT USAGE ON SEQUENCE agenda.appointment_id, agenda.batch_id, agenda.slot_id_seq TO healthmed_booking;

-- Statements of the mailbox are prepared once and take arrays.  Whatever the statistics were when
-- they were planned, their one good plan is by index.
ALTER ROLE healthmed_booking SET enable_seqscan = off;
ALTER ROLE healthmed_booking SET enable_hashjoin = off;
ALTER ROLE healthmed_booking SET enable_mergejoin = off;
ALTER ROLE healthmed_booking SET plan_cache_mode = force_generic_plan;
ALTER ROLE healthmed_booking SET jit = off;

-- The same holds for reads: sessions outlive the day on which a table was small.
ALTER ROLE healthmed_users SET enable_seqscan = off;
ALTER ROLE healthmed_schedules SET enable_seqscan = off;
ALTER ROLE healthmed_appointments SET enable_seqscan = off;
