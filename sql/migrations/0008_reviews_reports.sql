-- What patients say of a visit, and what doctors write about it.

-- One of each appointment.  A review becomes part of its doctor's rating when the fact that it was
-- given is followed; `counted` says that it has.
CREATE TABLE reviews.review (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    appointment_id bigint NOT NULL UNIQUE,
    doctor_id      bigint NOT NULL,
    patient_id     bigint NOT NULL,
    rating         numeric(2,1) NOT NULL CHECK (rating BETWEEN 1 AND 5),
    comment        text,
    counted        boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX review_of_doctor ON reviews.review (doctor_id, created_at, id);
CREATE INDEX review_of_patient ON reviews.review (patient_id, created_at, id);
CREATE INDEX review_uncounted ON reviews.review (id) WHERE NOT counted;

-- Exact: the sum in tenths, and how many.
CREATE TABLE reviews.rating (
    doctor_id bigint PRIMARY KEY,
    tenths    bigint NOT NULL,
    count     bigint NOT NULL
);

GRANT SELECT, INSERT, UPDATE (counted, comment) ON reviews.review TO healthmed_reviews;
GRANT SELECT, INSERT, UPDATE ON reviews.rating TO healthmed_reviews;

-- The text of a report is in its versions alone, which are only ever added.  Doctor and patient are
-- those of the appointment when it was written; with a report it keeps them.
CREATE TABLE clinical.report (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    appointment_id bigint NOT NULL,
    doctor_id      bigint NOT NULL,
    patient_id     bigint NOT NULL,
    version        bigint NOT NULL,         -- the latest
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);
CREATE INDEX report_of_appointment ON clinical.report (appointment_id, created_at, id);
CREATE INDEX report_of_doctor ON clinical.report (doctor_id, created_at, id);
CREATE INDEX report_of_patient ON clinical.report (patient_id, created_at, id);

CREATE TABLE clinical.report_version (
    report_id  bigint NOT NULL REFERENCES clinical.report,
    version    bigint NOT NULL,
    comment    text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (report_id, version)
);

GRANT SELECT, INSERT, UPDATE (version, updated_at) ON clinical.report TO healthmed_reports;
GRANT SELECT, INSERT ON clinical.report_version TO healthmed_reports;

-- A patient's visits to a doctor that took place, the latest first: what there is to review.
CREATE INDEX appointment_concluded ON agenda.appointment (patient_id, doctor_id, starts, id)
    WHERE status = 'concluded';
