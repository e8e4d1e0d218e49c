-- The life of an agenda: what changes a slot or an appointment after it was made.

-- A report is written about it: from then on it stays with its doctor.
ALTER TABLE agenda.appointment ADD COLUMN reported_at timestamptz;

-- What begins before anybody has confirmed it is looked for every other second.
CREATE INDEX appointment_waiting ON agenda.appointment (starts) WHERE status = 'waiting_for_confirmation';

-- The proof of order: slots that an appointment left for another one.  The appointment itself has
-- when it was granted the slot that it holds now.
CREATE TABLE agenda.move (
    appointment_id bigint NOT NULL,
    slot_id        bigint NOT NULL,
    doctor_id      bigint NOT NULL,
    patient_id     bigint NOT NULL,
    starts         timestamptz NOT NULL,
    ends           timestamptz NOT NULL,
    granted_seq    bigint NOT NULL,
    granted_batch  bigint NOT NULL,
    freed_seq      bigint NOT NULL,
    freed_batch    bigint NOT NULL,
    PRIMARY KEY (appointment_id, freed_batch, freed_seq)
);

-- Every time that some appointment held some slot.
CREATE VIEW agenda.holding AS
SELECT id AS appointment_id, slot_id, doctor_id, patient_id, starts, ends, granted_seq, granted_batch,
       freed_seq, freed_batch
  FROM agenda.appointment
 UNION ALL
SELECT appointment_id, slot_id, doctor_id, patient_id, starts, ends, granted_seq, granted_batch,
       freed_seq, freed_batch
  FROM agenda.move;

-- It was done, and moved an appointment to the slot that it names.
ALTER TABLE agenda.request ADD COLUMN moved boolean;

GRANT SELECT, INSERT ON agenda.move TO healthmed_booking;
