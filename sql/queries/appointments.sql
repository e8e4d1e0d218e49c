-- name: appointments_get
-- in: appointments_key
-- out: appointments_appointment
-- Another's appointment is not there.
SELECT id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, status::text,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason,
       created_at, updated_at
  FROM agenda.appointment
 WHERE id = :id AND (patient_id = :user_id OR doctor_id = :user_id);

-- name: appointments_locate
-- in: appointments_key
-- out: appointments_locate_rep
SELECT doctor_id, patient_id, status::text, starts, ends, updated_at
  FROM agenda.appointment
 WHERE id = :id AND (patient_id = :user_id OR doctor_id = :user_id);

-- name: appointments_concluded
-- in: appointments_pair
-- out: appointments_visit
SELECT id AS appointment_id
  FROM agenda.appointment
 WHERE patient_id = :patient_id AND doctor_id = :doctor_id AND status = 'concluded'
 ORDER BY starts DESC, id DESC
 LIMIT :rows;

-- name: appointments_of_patient
-- in: appointments_span
-- out: appointments_appointment
SELECT id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, status::text,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason,
       created_at, updated_at
  FROM agenda.appointment
 WHERE patient_id = :user_id AND starts >= :from AND starts <= :to
   AND (starts, id) > (:after_time, :after_id)
   AND (:status::text IS NULL OR status::text = :status::text)
 ORDER BY starts, id
 LIMIT :rows;

-- name: appointments_of_doctor
-- in: appointments_span
-- out: appointments_appointment
SELECT id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, status::text,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason,
       created_at, updated_at
  FROM agenda.appointment
 WHERE doctor_id = :user_id AND starts >= :from AND starts <= :to
   AND (starts, id) > (:after_time, :after_id)
   AND (:status::text IS NULL OR status::text = :status::text)
 ORDER BY starts, id
 LIMIT :rows;

-- name: appointments_steady_of_patient
-- in: appointments_span
-- out: appointments_appointment
-- In an order that no change touches, for the export: ids are taken out of the index, then their rows.
SELECT id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, status::text,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason,
       created_at, updated_at
  FROM agenda.appointment
 WHERE id = ANY (ARRAY(SELECT id FROM agenda.appointment
                        WHERE patient_id = :user_id AND id > :after_id ORDER BY id LIMIT :rows))
   AND patient_id = :user_id
 ORDER BY id;

-- name: appointments_steady_of_doctor
-- in: appointments_span
-- out: appointments_appointment
SELECT id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, status::text,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason,
       created_at, updated_at
  FROM agenda.appointment
 WHERE id = ANY (ARRAY(SELECT id FROM agenda.appointment
                        WHERE doctor_id = :user_id AND id > :after_id ORDER BY id LIMIT :rows))
   AND doctor_id = :user_id
 ORDER BY id;

-- name: appointments_request
-- in: appointments_request_key
-- out: appointments_request_row
SELECT user_id, doctor_id, body_hash, status::text, code, appointment_id, stream_time AS requested_at, decided_at
  FROM agenda.request
 WHERE id = :id;

-- name: appointments_requests
-- in: appointments_span
-- out: appointments_decided
-- What became of what one asked for.
SELECT status::text, code, doctor_id, slot_id AS schedule_id, appointment_id, stream_seq AS position,
       stream_time AS requested_at, decided_at
  FROM agenda.request
 WHERE user_id = :user_id AND (stream_time, stream_seq) > (:after_time, :after_id)
 ORDER BY stream_time, stream_seq
 LIMIT :rows;

-- name: appointments_moves_of_patient
-- in: appointments_moves_span
-- out: appointments_move
SELECT appointment_id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, granted_seq AS taken_position,
       freed_seq AS left_position, freed_batch AS left_batch
  FROM agenda.move
 WHERE patient_id = :user_id AND (freed_batch, freed_seq) > (:after_batch, :after_seq)
 ORDER BY freed_batch, freed_seq
 LIMIT :rows;

-- name: appointments_moves_of_doctor
-- in: appointments_moves_span
-- out: appointments_move
SELECT appointment_id, slot_id AS schedule_id, patient_id, doctor_id, starts AS date_time,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, granted_seq AS taken_position,
       freed_seq AS left_position, freed_batch AS left_batch
  FROM agenda.move
 WHERE doctor_id = :user_id AND (freed_batch, freed_seq) > (:after_batch, :after_seq)
 ORDER BY freed_batch, freed_seq
 LIMIT :rows;
