-- name: reports_write
-- in: reports_write_req
-- out: reports_report
WITH r AS (
	INSERT INTO clinical.report (appointment_id, doctor_id, patient_id, version, created_at, updated_at)
	VALUES (:appointment_id, :doctor_id, :patient_id, 1, now(), now())
	RETURNING *
), v AS (
	INSERT INTO clinical.report_version (report_id, version, comment, created_at)
	SELECT id, version, :comment, created_at FROM r
	RETURNING *
)
SELECT r.id, r.appointment_id, r.doctor_id, r.patient_id, r.version, v.comment, r.created_at, r.updated_at
  FROM r, v;

-- name: reports_get
-- in: reports_key
-- out: reports_report
-- Another's report is not there.  Of an old version, updated_at is when it was written.
SELECT r.id, r.appointment_id, r.doctor_id, r.patient_id, v.version, v.comment, r.created_at,
       v.created_at AS updated_at
  FROM clinical.report AS r
  JOIN clinical.report_version AS v
    ON v.report_id = r.id AND v.version = coalesce(:version::bigint, r.version)
 WHERE r.id = :id AND r.appointment_id = :appointment_id
   AND (r.doctor_id = :user_id OR r.patient_id = :user_id);

-- name: reports_lock
-- in: reports_key
-- out: reports_report
-- One's own, as a doctor, to be changed: whoever else would waits.
SELECT id FROM clinical.report
 WHERE id = :id AND appointment_id = :appointment_id AND doctor_id = :user_id
   FOR UPDATE;

-- name: reports_versions
-- in: reports_span_after
-- out: reports_report
SELECT r.id, r.appointment_id, r.doctor_id, r.patient_id, v.version, v.comment, r.created_at,
       v.created_at AS updated_at
  FROM clinical.report AS r
  JOIN clinical.report_version AS v ON v.report_id = r.id
 WHERE r.id = :report_id AND (r.doctor_id = :user_id OR r.patient_id = :user_id)
   AND v.version > :after_id
 ORDER BY v.version
 LIMIT :rows;

-- name: reports_accesses_to
-- in: reports_span_after
-- out: reports_trace
SELECT id, user_id, role, action, patient_id, appointment_id, report_id, file_id, at
  FROM audit.access
 WHERE patient_id = :user_id AND (at, id) > (:after_time, :after_id)
 ORDER BY at, id
 LIMIT :rows;

-- name: reports_accesses_by
-- in: reports_span_after
-- out: reports_trace
SELECT id, user_id, role, action, patient_id, appointment_id, report_id, file_id, at
  FROM audit.access
 WHERE user_id = :user_id AND (at, id) > (:after_time, :after_id)
 ORDER BY at, id
 LIMIT :rows;

-- name: reports_rewrite
-- in: reports_rewrite_req
-- out: reports_report
-- Under the lock.
WITH r AS (
	UPDATE clinical.report
	   SET version = version + 1, updated_at = greatest(now(), updated_at + interval '1 microsecond')
	 WHERE id = :report_id
	RETURNING *
), v AS (
	INSERT INTO clinical.report_version (report_id, version, comment, created_at)
	SELECT id, version, :comment, updated_at FROM r
	RETURNING *
)
SELECT r.id, r.appointment_id, r.doctor_id, r.patient_id, r.version, v.comment, r.created_at, r.updated_at
  FROM r, v;

-- name: reports_of_appointment
-- in: reports_span
-- out: reports_report
SELECT id
  FROM clinical.report
 WHERE appointment_id = :appointment_id AND (doctor_id = :user_id OR patient_id = :user_id)
   AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reports_of_doctor
-- in: reports_span
-- out: reports_report
SELECT id
  FROM clinical.report
 WHERE doctor_id = :user_id AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reports_of_patient
-- in: reports_span
-- out: reports_report
SELECT id
  FROM clinical.report
 WHERE patient_id = :user_id AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reports_read
-- in: reports_found
-- out: reports_report
-- The text that no longer fits is left out: the page ends before it.
SELECT id, appointment_id, doctor_id, patient_id, version, created_at, updated_at,
       CASE WHEN octets <= :octets THEN comment END AS comment
  FROM (SELECT r.*, v.comment,
               sum(octet_length(v.comment)) OVER (ORDER BY r.created_at DESC, r.id DESC) AS octets
          FROM clinical.report AS r
          JOIN clinical.report_version AS v ON v.report_id = r.id AND v.version = r.version
         WHERE r.id = ANY (:reports.id::bigint[])) AS page
 ORDER BY created_at DESC, id DESC;

-- name: reports_record
-- in: reports_access
-- out: -
INSERT INTO audit.access (user_id, role, action, patient_id, appointment_id, report_id)
SELECT :user_id, :role, :action, seen.*
  FROM unnest(:reports.patient_id::bigint[], :reports.appointment_id::bigint[],
              :reports.id::bigint[]) AS seen;

-- name: reports_key_claim
-- in: idempotency
-- out: idempotency
-- A copy waits here until the first one has ended.  No row: it was there first.
INSERT INTO clinical.reports_idempotency (id, body_hash) VALUES (:id, :body_hash)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: reports_key_read
-- in: idempotency
-- out: idempotency
-- The lock is written: so the commit of a repetition waits until a standby has what the first copy did.
SELECT id, body_hash, reply FROM clinical.reports_idempotency WHERE id = :id FOR SHARE;

-- name: reports_key_store
-- in: idempotency
-- out: -
UPDATE clinical.reports_idempotency SET reply = :reply WHERE id = :id;

-- name: reports_key_purge
-- in: -
-- out: idempotency
-- Twice the day that is promised.
DELETE FROM clinical.reports_idempotency
 WHERE id = ANY (ARRAY(SELECT id FROM clinical.reports_idempotency
                        WHERE created_at < now() - interval '48 hours'
                        LIMIT 1000 FOR UPDATE SKIP LOCKED))
RETURNING id;

-- name: reports_outbox_write
-- in: outbox_row
-- out: -
INSERT INTO clinical.reports_outbox (letters) VALUES (:letters);

-- name: reports_outbox_read
-- in: outbox_batch
-- out: outbox_row
SELECT id, letters, floor(extract(epoch FROM now() - created_at))::bigint AS age
  FROM clinical.reports_outbox
 WHERE id > :after AND NOT aside
 ORDER BY id LIMIT :rows FOR UPDATE SKIP LOCKED;

-- name: reports_outbox_delete
-- in: outbox_batch
-- out: -
DELETE FROM clinical.reports_outbox WHERE id = ANY (:items.id::bigint[]);

-- name: reports_outbox_aside
-- in: outbox_batch
-- out: -
UPDATE clinical.reports_outbox SET aside = true WHERE id = ANY (:items.id::bigint[]);
