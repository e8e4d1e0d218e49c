-- name: files_next
-- in: -
-- out: files_done
-- Before the row: a file's key is bound to its id.
SELECT nextval('clinical.file_id_seq') AS id;

-- name: files_begin
-- in: files_new
-- out: -
INSERT INTO clinical.file (id, patient_id, size, store, master, wrapped_key)
VALUES (:id, :patient_id, :size, :store, :master, :wrapped_key);

-- name: files_lazily
-- in: -
-- out: -
-- A chunk need not be on the disk before the file is: the commit of that waits for all before it.
SELECT set_config('synchronous_commit', 'off', true);

-- name: files_pending
-- in: files_key
-- out: files_row
-- Chunks may come side by side, but not while it is made whole.
SELECT id, patient_id, size, store, master, wrapped_key, created_at
  FROM clinical.file
 WHERE id = :id AND patient_id = :user_id AND NOT whole AND NOT removed
   FOR SHARE;

-- name: files_pending_alone
-- in: files_key
-- out: files_row
SELECT id, patient_id, size, store, master, wrapped_key, created_at
  FROM clinical.file
 WHERE id = :id AND patient_id = :user_id AND NOT whole AND NOT removed
   FOR UPDATE;

-- name: files_put
-- in: files_box
-- out: -
INSERT INTO clinical.file_chunk (file_id, index, sealed) VALUES (:file_id, :index, :sealed)
ON CONFLICT (file_id, index) DO UPDATE SET sealed = excluded.sealed;

-- name: files_take
-- in: files_box
-- out: files_box
SELECT sealed FROM clinical.file_chunk WHERE file_id = :file_id AND index = :index;

-- name: files_commit
-- in: files_whole
-- out: files_file
UPDATE clinical.file
   SET whole = true, file_name = :file_name, sha256 = :sha256, appointment_id = :appointment_id
 WHERE id = :id
RETURNING id, file_name, size, encode(sha256, 'hex') AS sha256, appointment_id, created_at;

-- name: files_discard
-- in: files_key
-- out: files_done
UPDATE clinical.file SET removed = true, wrapped_key = ''
 WHERE id = :id AND patient_id = :user_id AND NOT whole
RETURNING id;

-- name: files_remove
-- in: files_key
-- out: files_done
UPDATE clinical.file SET removed = true, wrapped_key = '' WHERE id = :id RETURNING id;

-- name: files_of_patient
-- in: files_span
-- out: files_file
SELECT f.id, f.file_name, f.size, encode(f.sha256, 'hex') AS sha256, f.appointment_id, f.created_at
  FROM clinical.file AS f
 WHERE f.patient_id = :user_id AND f.whole AND NOT f.removed
   AND (:id::bigint IS NULL OR f.id = :id)
   AND (f.created_at, f.id) > (:after_time, :after_id)
   AND (:appointment_id::bigint IS NULL OR f.appointment_id = :appointment_id
        OR EXISTS (SELECT FROM clinical.file_access AS a
                    WHERE a.file_id = f.id AND a.appointment_id = :appointment_id))
 ORDER BY f.created_at, f.id
 LIMIT :rows;

-- name: files_of_doctor
-- in: files_span
-- out: files_file
-- What he is shown is noted, and not the row that only tells that there is a next page.  Where a file
-- was uploaded may be another doctor's appointment.
WITH page AS (
	SELECT f.id, f.patient_id, f.file_name, f.size, f.sha256, f.created_at
	  FROM clinical.file_access AS a
	  JOIN clinical.file AS f ON f.id = a.file_id
	 WHERE a.appointment_id = :appointment_id AND a.doctor_id = :user_id AND a.expires_at > now()
	   AND f.whole AND NOT f.removed
	   AND (:id::bigint IS NULL OR f.id = :id)
	   AND (f.created_at, f.id) > (:after_time, :after_id)
	 ORDER BY f.created_at, f.id
	 LIMIT :rows
), noted AS (
	INSERT INTO audit.access (user_id, role, action, patient_id, appointment_id, file_id)
	SELECT :user_id, 'doctor', 'see', patient_id, :appointment_id, id
	  FROM (SELECT * FROM page ORDER BY created_at, id LIMIT :rows - 1) AS shown
)
SELECT id, file_name, size, encode(sha256, 'hex') AS sha256, :appointment_id::bigint AS appointment_id,
       created_at
  FROM page
 ORDER BY created_at, id;

-- name: files_row
-- in: files_key
-- out: files_row
SELECT id, patient_id, file_name, size, sha256, store, master, wrapped_key, created_at
  FROM clinical.file
 WHERE id = :id AND whole AND NOT removed;

-- name: files_granted
-- in: files_key
-- out: files_reason
-- On account of which appointment.
SELECT appointment_id
  FROM clinical.file_access
 WHERE file_id = :id AND doctor_id = :user_id AND expires_at > now()
 ORDER BY expires_at DESC
 LIMIT 1;

-- name: files_own
-- in: files_key
-- out: files_done
SELECT f.id
  FROM clinical.file AS f
 WHERE f.id = :id AND f.patient_id = :user_id AND f.whole AND NOT f.removed
   AND (:appointment_id::bigint IS NULL OR f.appointment_id = :appointment_id
        OR EXISTS (SELECT FROM clinical.file_access AS a
                    WHERE a.file_id = f.id AND a.appointment_id = :appointment_id));

-- name: files_own_alone
-- in: files_key
-- out: files_done
SELECT f.id
  FROM clinical.file AS f
 WHERE f.id = :id AND f.patient_id = :user_id AND f.whole AND NOT f.removed
   AND (:appointment_id::bigint IS NULL OR f.appointment_id = :appointment_id
        OR EXISTS (SELECT FROM clinical.file_access AS a
                    WHERE a.file_id = f.id AND a.appointment_id = :appointment_id))
   FOR UPDATE OF f;

-- name: files_claim
-- in: files_terms
-- out: files_done
-- A row for each appointment about which nothing newer is known.
INSERT INTO clinical.file_appointment AS known (appointment_id, doctor_id, live, as_of)
SELECT DISTINCT ON (appointment_id) appointment_id, doctor_id, true, as_of
  FROM unnest(:items.appointment_id::bigint[], :items.doctor_id::bigint[], :items.as_of::timestamptz[])
       AS t (appointment_id, doctor_id, as_of)
 ORDER BY appointment_id
ON CONFLICT (appointment_id) DO UPDATE
   SET doctor_id = excluded.doctor_id, live = excluded.live, as_of = excluded.as_of
 WHERE known.as_of <= excluded.as_of
RETURNING appointment_id AS id;

-- name: files_grant
-- in: files_terms
-- out: files_access
-- What is granted already is granted until the new time.
INSERT INTO clinical.file_access (file_id, doctor_id, appointment_id, expires_at, as_of)
SELECT :file_id, doctor_id, appointment_id, expires_at, CASE WHEN :moves THEN as_of END
  FROM unnest(:items.doctor_id::bigint[], :items.appointment_id::bigint[], :items.expires_at::timestamptz[],
              :items.as_of::timestamptz[]) AS t (doctor_id, appointment_id, expires_at, as_of)
ON CONFLICT (file_id, doctor_id, appointment_id) DO UPDATE
   SET expires_at = excluded.expires_at, as_of = excluded.as_of
RETURNING id, doctor_id, appointment_id, expires_at, created_at;

-- name: files_end_others
-- in: files_terms
-- out: -
DELETE FROM clinical.file_access
 WHERE file_id = :file_id
   AND (doctor_id, appointment_id) NOT IN (
	SELECT * FROM unnest(:items.doctor_id::bigint[], :items.appointment_id::bigint[]));

-- name: files_count
-- in: files_key
-- out: files_number
SELECT count(*) AS n FROM clinical.file_access WHERE file_id = :id;

-- name: files_grants
-- in: files_span
-- out: files_access
SELECT id, doctor_id, appointment_id, expires_at, created_at
  FROM clinical.file_access
 WHERE file_id = :id AND (created_at, id) > (:after_time, :after_id)
 ORDER BY created_at, id
 LIMIT :rows;

-- name: files_held
-- in: files_span
-- out: files_holding
SELECT a.id, a.file_id, f.patient_id, a.appointment_id, a.expires_at, a.created_at
  FROM clinical.file_access AS a
  JOIN clinical.file AS f ON f.id = a.file_id
 WHERE a.doctor_id = :user_id AND (a.created_at, a.id) > (:after_time, :after_id)
 ORDER BY a.created_at, a.id
 LIMIT :rows;

-- name: files_revoke
-- in: files_revoked
-- out: files_reason
DELETE FROM clinical.file_access WHERE id = :access_id AND file_id = :id RETURNING appointment_id;

-- name: files_audit
-- in: files_note
-- out: -
INSERT INTO audit.access (user_id, role, action, patient_id, appointment_id, file_id)
VALUES (:user_id, :role, :action, :patient_id, :appointment_id, :file_id);

-- name: files_reads
-- in: files_span
-- out: files_seen
SELECT id, user_id AS reader_id, role, action, appointment_id, at
  FROM audit.access
 WHERE file_id = :id AND action IN ('see', 'read') AND (at, id) > (:after_time, :after_id)
 ORDER BY at, id
 LIMIT :rows;

-- name: files_learn
-- in: files_known
-- out: -
INSERT INTO clinical.file_appointment AS known (appointment_id, doctor_id, live, as_of)
VALUES (:appointment_id, :doctor_id, :live, :as_of)
ON CONFLICT (appointment_id) DO UPDATE
   SET doctor_id = excluded.doctor_id, live = excluded.live, as_of = excluded.as_of
 WHERE known.as_of <= excluded.as_of;

-- name: files_end_former
-- in: files_known
-- out: -
-- Whatever order the facts came in: grants stay with the doctor who is known to have the appointment.
WITH ended AS (
	DELETE FROM clinical.file_access AS a
	 USING clinical.file_appointment AS known
	 WHERE a.appointment_id = :appointment_id AND known.appointment_id = :appointment_id
	   AND (NOT known.live OR a.doctor_id <> known.doctor_id)
	RETURNING a.file_id, a.appointment_id
)
INSERT INTO audit.access (user_id, role, action, patient_id, appointment_id, file_id)
SELECT 0, 'system', 'revoke', f.patient_id, e.appointment_id, e.file_id
  FROM ended AS e JOIN clinical.file AS f ON f.id = e.file_id;

-- name: files_move
-- in: files_known
-- out: -
-- A fact that is late, or comes again, moves nothing back.
UPDATE clinical.file_access SET expires_at = :expires_at, as_of = :as_of
 WHERE appointment_id = :appointment_id AND as_of <= :as_of;

-- name: files_end_doctor
-- in: files_known
-- out: -
WITH ended AS (
	DELETE FROM clinical.file_access WHERE doctor_id = :doctor_id RETURNING file_id, appointment_id
)
INSERT INTO audit.access (user_id, role, action, patient_id, appointment_id, file_id)
SELECT 0, 'system', 'revoke', f.patient_id, e.appointment_id, e.file_id
  FROM ended AS e JOIN clinical.file AS f ON f.id = e.file_id;

-- name: files_stale
-- in: -
-- out: files_row
-- Removed, or begun an hour ago and never finished.
SELECT id, size, store
  FROM clinical.file
 WHERE (removed OR NOT whole) AND (removed OR created_at < now() - interval '1 hour')
 ORDER BY created_at
 LIMIT 8
   FOR UPDATE SKIP LOCKED;

-- name: files_forget
-- in: files_key
-- out: -
DELETE FROM clinical.file WHERE id = :id;

-- name: files_follow_lock
-- in: -
-- out: follow_place
SELECT stream_created, last_seq FROM clinical.position WHERE domain = 'files' FOR UPDATE;

-- name: files_follow_move
-- in: follow_place
-- out: -
UPDATE clinical.position SET stream_created = :stream_created, last_seq = :last_seq WHERE domain = 'files';

-- name: files_key_claim
-- in: idempotency
-- out: idempotency
-- A copy waits here until the first one has ended.  No row: it was there first.
INSERT INTO clinical.files_idempotency (id, body_hash) VALUES (:id, :body_hash)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: files_key_read
-- in: idempotency
-- out: idempotency
-- The lock is written: so the commit of a repetition waits until a standby has what the first copy did.
SELECT id, body_hash, reply FROM clinical.files_idempotency WHERE id = :id FOR SHARE;

-- name: files_key_store
-- in: idempotency
-- out: -
UPDATE clinical.files_idempotency SET reply = :reply WHERE id = :id;

-- name: files_key_purge
-- in: -
-- out: idempotency
-- Twice the day that is promised.
DELETE FROM clinical.files_idempotency
 WHERE id = ANY (ARRAY(SELECT id FROM clinical.files_idempotency
                        WHERE created_at < now() - interval '48 hours'
                        LIMIT 1000 FOR UPDATE SKIP LOCKED))
RETURNING id;
