-- The domains that came later: reviews, and everything clinical (reports and files) with the record
-- of who saw it.  A schema is written by its own domains alone.
DO $$
DECLARE domain text;
BEGIN
    FOREACH domain IN ARRAY ARRAY['reviews', 'reports', 'files'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'healthmed_' || domain) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', 'healthmed_' || domain);
        END IF;
        -- Sessions outlive the day on which a table was small.
        EXECUTE format('ALTER ROLE %I SET enable_seqscan = off', 'healthmed_' || domain);
    END LOOP;
END $$;

CREATE SCHEMA reviews;
CREATE SCHEMA clinical;
CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA reviews TO healthmed_reviews;
GRANT USAGE ON SCHEMA clinical, audit TO healthmed_reports, healthmed_files;

-- Copies of a request get the reply of the first, as in users.idempotency; what became true waits in an
-- outbox, as in users.outbox.  Within `clinical` the two domains share nothing but the schema.
CREATE TABLE reviews.idempotency (LIKE users.idempotency INCLUDING ALL);
CREATE TABLE clinical.reports_idempotency (LIKE users.idempotency INCLUDING ALL);
CREATE TABLE clinical.files_idempotency (LIKE users.idempotency INCLUDING ALL);
CREATE TABLE reviews.outbox (LIKE users.outbox INCLUDING ALL);
CREATE TABLE clinical.reports_outbox (LIKE users.outbox INCLUDING ALL);

-- Up to where a domain has followed the stream EVENTS; moves in the transaction of the effects.
CREATE TABLE users.position (
    domain         text PRIMARY KEY,
    stream_created timestamptz NOT NULL,    -- a stream that was made anew is followed from its start
    last_seq       bigint NOT NULL
);
CREATE TABLE agenda.position (LIKE users.position INCLUDING ALL);
CREATE TABLE reviews.position (LIKE users.position INCLUDING ALL);
CREATE TABLE clinical.position (LIKE users.position INCLUDING ALL);
INSERT INTO users.position VALUES ('users', 'epoch', 0);
INSERT INTO agenda.position VALUES ('booking', 'epoch', 0);
INSERT INTO reviews.position VALUES ('reviews', 'epoch', 0);
INSERT INTO clinical.position VALUES ('reports', 'epoch', 0), ('files', 'epoch', 0);

-- Who read or changed what of a patient's clinical data.  Rows are only ever added.
CREATE TABLE audit.access (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT now(),
    user_id        bigint NOT NULL,
    role           text NOT NULL,
    action         text NOT NULL,           -- read, write, grant, revoke, ...
    patient_id     bigint NOT NULL,
    appointment_id bigint,
    report_id      bigint,
    file_id        bigint
);
CREATE INDEX access_of_patient ON audit.access (patient_id, at, id);
CREATE INDEX access_of_file ON audit.access (file_id, at, id) WHERE file_id IS NOT NULL;
CREATE INDEX access_of_report ON audit.access (report_id, at, id) WHERE report_id IS NOT NULL;

GRANT SELECT, UPDATE ON users.position TO healthmed_users;
GRANT SELECT, UPDATE ON agenda.position TO healthmed_booking;
GRANT SELECT, UPDATE ON reviews.position TO healthmed_reviews;
GRANT SELECT, UPDATE ON clinical.position TO healthmed_reports, healthmed_files;
GRANT SELECT, INSERT, UPDATE, DELETE ON reviews.idempotency, reviews.outbox TO healthmed_reviews;
GRANT SELECT, INSERT, UPDATE, DELETE ON clinical.reports_idempotency, clinical.reports_outbox TO healthmed_reports;
GRANT SELECT, INSERT, UPDATE, DELETE ON clinical.files_idempotency TO healthmed_files;
GRANT SELECT, INSERT ON audit.access TO healthmed_reports, healthmed_files;
