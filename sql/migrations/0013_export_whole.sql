-- All that is kept about a person is in the export: every request, the slots that appointments left, what a
-- doctor saw of others, and what was granted to him.
DROP INDEX agenda.request_of_user;
CREATE INDEX request_of_user ON agenda.request (user_id, stream_time, stream_seq);
CREATE INDEX move_of_patient ON agenda.move (patient_id, freed_batch, freed_seq);
CREATE INDEX move_of_doctor ON agenda.move (doctor_id, freed_batch, freed_seq);
GRANT SELECT ON agenda.move TO healthmed_appointments;

CREATE INDEX access_of_user ON audit.access (user_id, at, id);
DROP INDEX clinical.file_access_of_doctor;
CREATE INDEX file_access_of_doctor ON clinical.file_access (doctor_id, created_at, id);
