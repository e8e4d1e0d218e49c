-- Who erases an account takes the words along: the reasons of cancellations, and what reviews say.

-- Whether the agenda has forgotten the words of an account, also of one that was erased before this.
ALTER TABLE agenda.erased ADD COLUMN forgotten boolean NOT NULL DEFAULT false;
CREATE INDEX erased_unforgotten ON agenda.erased (user_id) WHERE NOT forgotten;
GRANT UPDATE (forgotten) ON agenda.erased TO healthmed_booking;

-- Who gave the reason of an appointment; the system's are nobody's.
CREATE VIEW agenda.reason AS
SELECT id AS appointment_id,
       CASE cancelled_by WHEN 'patient' THEN patient_id WHEN 'doctor' THEN doctor_id END AS user_id
  FROM agenda.appointment
 WHERE cancelled_reason IS NOT NULL;
-- Neither index has an entry of an appointment that is only booked.
CREATE INDEX appointment_reason ON agenda.appointment
    ((CASE cancelled_by WHEN 'patient' THEN patient_id WHEN 'doctor' THEN doctor_id END))
    WHERE cancelled_reason IS NOT NULL;
CREATE INDEX request_of_appointment ON agenda.request (appointment_id) WHERE status = 'done';
GRANT SELECT ON agenda.reason TO healthmed_booking;
GRANT UPDATE (outcome) ON agenda.request TO healthmed_booking;

-- What comes behind an erasure is refused, as in `agenda`.
CREATE TABLE reviews.erased (user_id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON reviews.erased TO healthmed_reviews;
