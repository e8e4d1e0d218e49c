-- The mailbox: lock, read, write.  Each statement serves a whole batch; LATERAL ... OFFSET 0 keeps
-- the one plan that is good for a batch of 1 and of 256, by index, a key at a time.

-- name: booking_session
-- in: -
-- out: booking_count
-- A frozen owner loses its session, and with it the partitions, after two seconds.
SELECT length(set_config('idle_session_timeout', '2s', false) ||
              set_config('idle_in_transaction_session_timeout', '2s', false))::bigint AS n;

-- name: booking_enlist
-- in: -
-- out: booking_flag
-- Each worker holds a lock of its own, so that all can count the workers.
SELECT pg_try_advisory_lock(7001, pg_backend_pid()) AS yes;

-- name: booking_workers
-- in: -
-- out: booking_workers
SELECT count(*) AS n, coalesce(min(owns), 0) AS least
  FROM (SELECT count(*) FILTER (WHERE classid = 7002) AS owns
          FROM pg_locks
         WHERE locktype = 'advisory' AND classid IN (7001, 7002) AND objsubid = 2 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         GROUP BY pid
        HAVING bool_or(classid = 7001)) AS worker;

-- name: booking_own
-- in: booking_id
-- out: booking_flag
SELECT pg_try_advisory_lock(7002, :id::integer) AS yes;

-- name: booking_disown
-- in: booking_id
-- out: booking_flag
SELECT pg_advisory_unlock(7002, :id::integer) AS yes;

-- name: booking_cursor_new
-- in: booking_cursor
-- out: -
INSERT INTO agenda.cursor (partition, stream_created, last_seq, last_time, last_request)
VALUES (:partition::smallint, :stream_created, :last_seq, :last_time, :last_request)
ON CONFLICT DO NOTHING;

-- name: booking_cursor_get
-- in: booking_id
-- out: booking_cursor
SELECT partition, stream_created, last_seq, last_time, last_request
  FROM agenda.cursor
 WHERE partition = :id::smallint;

-- name: booking_cursor_anew
-- in: booking_anew
-- out: -
-- Unless another worker has moved it meanwhile.
UPDATE agenda.cursor
   SET stream_created = :stream_created, last_seq = 0, last_time = 'epoch',
       last_request = '00000000-0000-0000-0000-000000000000'
 WHERE partition = :partition::smallint AND stream_created = :former_created AND last_seq = :former_seq
   AND last_request = :former_request;

-- name: booking_lock_cursors
-- in: booking_keys
-- out: booking_cursor
SELECT partition, stream_created, last_seq, last_time, last_request
  FROM agenda.cursor
 WHERE partition = ANY (:partitions.id::bigint[]::smallint[])
 ORDER BY partition
   FOR UPDATE;

-- name: booking_lock_patients
-- in: booking_keys
-- out: booking_count
-- In ascending order, or two batches that share two patients would wait for each other.
SELECT count(*) AS n
  FROM (SELECT pg_advisory_xact_lock(patient_id)
          FROM (SELECT patient_id
                  FROM (SELECT unnest(:patients.id::bigint[]) AS patient_id
                         UNION
                        SELECT a.patient_id
                          FROM unnest(:named.id::bigint[]) AS k (id)
                         CROSS JOIN LATERAL (SELECT patient_id FROM agenda.appointment
                                              WHERE id = k.id OFFSET 0) AS a) AS p
                 ORDER BY patient_id OFFSET 0) AS sorted OFFSET 0) AS locked;

-- name: booking_lock_patients_as_they_come
-- in: booking_keys
-- out: booking_count
-- Only for the test build that shows what the order above is for.
SELECT count(*) AS n
  FROM (SELECT pg_advisory_xact_lock(patient_id)
          FROM unnest(:patients.id::bigint[]) AS p (patient_id) OFFSET 0) AS locked;

-- name: booking_moment
-- in: -
-- out: booking_moment
-- After the locks: the numbers of batches grow in the order of their decisions.
SELECT clock_timestamp() AS now, nextval('agenda.batch_id') AS batch_id;

-- name: booking_read_gone
-- in: booking_keys
-- out: booking_id
-- Whose account was erased.
SELECT e.user_id AS id
  FROM unnest(:accounts.id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT user_id FROM agenda.erased WHERE user_id = k.id OFFSET 0) AS e;

-- name: booking_read_slots
-- in: booking_keys
-- out: booking_slot
-- Those that are named, those of the appointments that are named, and those in the way: of times that
-- are asked for, and of a slot whose end is to move, which lasts a day at the most.
SELECT s.id, s.doctor_id, s.starts, s.ends, s.active, s.created_at, s.updated_at
  FROM unnest(:visits.slot_id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT * FROM agenda.slot WHERE id = k.id OFFSET 0) AS s
 UNION
SELECT s.id, s.doctor_id, s.starts, s.ends, s.active, s.created_at, s.updated_at
  FROM unnest(:named.id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT slot_id FROM agenda.appointment WHERE id = k.id OFFSET 0) AS a
 CROSS JOIN LATERAL (SELECT * FROM agenda.slot WHERE id = a.slot_id OFFSET 0) AS s
 UNION
SELECT s.id, s.doctor_id, s.starts, s.ends, s.active, s.created_at, s.updated_at
  FROM unnest(:spans.doctor_id::bigint[], :spans.starts::timestamptz[], :spans.ends::timestamptz[])
       AS k (doctor_id, starts, ends)
 CROSS JOIN LATERAL (SELECT * FROM agenda.slot
                      WHERE doctor_id = k.doctor_id AND starts < k.ends
                        AND starts > k.starts - interval '1 day' AND ends > k.starts
                     OFFSET 0) AS s
 UNION
SELECT s.id, s.doctor_id, s.starts, s.ends, s.active, s.created_at, s.updated_at
  FROM unnest(:longer.id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT doctor_id, starts FROM agenda.slot WHERE id = k.id OFFSET 0) AS l
 CROSS JOIN LATERAL (SELECT * FROM agenda.slot
                      WHERE doctor_id = l.doctor_id AND starts >= l.starts
                        AND starts < l.starts + interval '1 day'
                     OFFSET 0) AS s;

-- name: booking_read_appointments
-- in: booking_keys
-- out: booking_appointment
-- Live ones of the slots, live ones of the patients at the times of the slots, or, where a slot is edited
-- before it is wanted, at any time; and those named.
-- A patient's live ones never overlap: of those that began before a slot, the last alone can reach
-- into it.
SELECT a.id, a.slot_id, a.doctor_id, a.patient_id, a.starts, a.ends, a.status, a.started_at,
       a.ended_at, a.confirmed_at, a.cancelled_by, a.cancelled_at, a.cancelled_reason, a.reported_at,
       a.created_at, a.updated_at, a.granted_seq, a.granted_batch, a.freed_seq, a.freed_batch
  FROM (SELECT x.id
          FROM unnest(:visits.patient_id::bigint[], :visits.slot_id::bigint[])
               AS k (patient_id, slot_id)
         CROSS JOIN LATERAL (SELECT starts, ends FROM agenda.slot
                              WHERE id = k.slot_id OFFSET 0) AS s
         CROSS JOIN LATERAL (
                SELECT id FROM agenda.appointment
                 WHERE slot_id = k.slot_id
                   AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                 UNION ALL
                SELECT id FROM agenda.appointment
                 WHERE patient_id = k.patient_id AND starts >= s.starts AND starts < s.ends
                   AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                 UNION ALL
                SELECT id
                  FROM (SELECT id, ends FROM agenda.appointment
                         WHERE patient_id = k.patient_id AND starts < s.starts
                           AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                         ORDER BY starts DESC LIMIT 1) AS last
                 WHERE ends > s.starts
                OFFSET 0) AS x
         UNION
        SELECT x.id
          FROM unnest(:busy.id::bigint[]) AS k (id)
         CROSS JOIN LATERAL (
                SELECT id FROM agenda.appointment
                 WHERE patient_id = k.id
                   AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                OFFSET 0) AS x
         UNION
        SELECT unnest(:named.id::bigint[])) AS k
 CROSS JOIN LATERAL (SELECT * FROM agenda.appointment WHERE id = k.id OFFSET 0) AS a;

-- name: booking_read_requests
-- in: booking_keys
-- out: booking_request
SELECT r.id, r.doctor_id, r.user_id, r.slot_id, r.body_hash, r.status, r.code, r.appointment_id,
       r.blocked_by, r.moved, r.outcome, r.partition, r.stream_seq, r.stream_time
  FROM unnest(:requests.id::uuid[]) AS k (id)
 CROSS JOIN LATERAL (SELECT * FROM agenda.request WHERE id = k.id OFFSET 0) AS r;

-- name: booking_fresh_appointments
-- in: booking_keys
-- out: booking_id
SELECT nextval('agenda.appointment_id') AS id FROM generate_series(1, :appointment_ids::bigint);

-- name: booking_fresh_slots
-- in: booking_keys
-- out: booking_id
SELECT nextval('agenda.slot_id_seq') AS id FROM generate_series(1, :slot_ids::bigint);

-- name: booking_write_lifted
-- in: booking_writes
-- out: -
-- Within one statement rows change one by one, and one may need the slot that a later one leaves.
UPDATE agenda.appointment SET status = 'cancelled' WHERE id = ANY (:changed.id::bigint[]);

-- name: booking_write_changed
-- in: booking_writes
-- out: -
UPDATE agenda.appointment AS a
   SET slot_id = k.slot_id, doctor_id = k.doctor_id, starts = k.starts, ends = k.ends,
       status = k.status, started_at = k.started_at, ended_at = k.ended_at,
       confirmed_at = k.confirmed_at, cancelled_by = k.cancelled_by,
       cancelled_at = k.cancelled_at, cancelled_reason = k.cancelled_reason,
       reported_at = k.reported_at, updated_at = k.updated_at, granted_seq = k.granted_seq, granted_batch = k.granted_batch,
       freed_seq = k.freed_seq, freed_batch = k.freed_batch
  FROM unnest(:changed.id::bigint[], :changed.slot_id::bigint[], :changed.doctor_id::bigint[],
              :changed.starts::timestamptz[], :changed.ends::timestamptz[],
              :changed.status::agenda.appointment_status[], :changed.started_at::timestamptz[],
              :changed.ended_at::timestamptz[], :changed.confirmed_at::timestamptz[],
              :changed.cancelled_by::text[], :changed.cancelled_at::timestamptz[],
              :changed.cancelled_reason::text[], :changed.reported_at::timestamptz[],
              :changed.updated_at::timestamptz[],
              :changed.granted_seq::bigint[], :changed.granted_batch::bigint[],
              :changed.freed_seq::bigint[], :changed.freed_batch::bigint[])
       AS k (id, slot_id, doctor_id, starts, ends, status, started_at, ended_at, confirmed_at,
             cancelled_by, cancelled_at, cancelled_reason, reported_at, updated_at, granted_seq,
             granted_batch, freed_seq, freed_batch)
 WHERE a.id = k.id;

-- name: booking_write_granted
-- in: booking_writes
-- out: -
INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status,
       started_at, ended_at, confirmed_at, cancelled_by, cancelled_at, cancelled_reason, reported_at,
       created_at, updated_at, granted_seq, granted_batch, freed_seq, freed_batch)
SELECT * FROM unnest(:granted.id::bigint[], :granted.slot_id::bigint[], :granted.doctor_id::bigint[],
              :granted.patient_id::bigint[], :granted.starts::timestamptz[],
              :granted.ends::timestamptz[], :granted.status::agenda.appointment_status[],
              :granted.started_at::timestamptz[], :granted.ended_at::timestamptz[],
              :granted.confirmed_at::timestamptz[], :granted.cancelled_by::text[],
              :granted.cancelled_at::timestamptz[], :granted.cancelled_reason::text[],
              :granted.reported_at::timestamptz[], :granted.created_at::timestamptz[],
              :granted.updated_at::timestamptz[], :granted.granted_seq::bigint[],
              :granted.granted_batch::bigint[], :granted.freed_seq::bigint[],
              :granted.freed_batch::bigint[]);

-- name: booking_write_moves
-- in: booking_writes
-- out: -
INSERT INTO agenda.move (appointment_id, slot_id, doctor_id, patient_id, starts, ends, granted_seq,
       granted_batch, freed_seq, freed_batch)
SELECT * FROM unnest(:moves.appointment_id::bigint[], :moves.slot_id::bigint[],
              :moves.doctor_id::bigint[], :moves.patient_id::bigint[], :moves.starts::timestamptz[],
              :moves.ends::timestamptz[], :moves.granted_seq::bigint[],
              :moves.granted_batch::bigint[], :moves.freed_seq::bigint[],
              :moves.freed_batch::bigint[]);

-- name: booking_write_dropped
-- in: booking_writes
-- out: -
-- Also those that are put back elsewhere: slots that exchange their times would meet on the way.
DELETE FROM agenda.slot WHERE id = ANY (:dropped.id::bigint[]);

-- name: booking_write_opened
-- in: booking_writes
-- out: -
INSERT INTO agenda.slot (id, doctor_id, starts, ends, active, created_at, updated_at)
SELECT * FROM unnest(:opened.id::bigint[], :opened.doctor_id::bigint[], :opened.starts::timestamptz[],
              :opened.ends::timestamptz[], :opened.active::boolean[],
              :opened.created_at::timestamptz[], :opened.updated_at::timestamptz[]);

-- name: booking_write_requests
-- in: booking_writes
-- out: -
INSERT INTO agenda.request (id, doctor_id, user_id, slot_id, body_hash, status, code,
       appointment_id, blocked_by, moved, outcome, partition, stream_seq, stream_time, batch_id,
       decided_at)
SELECT k.id, k.doctor_id, k.user_id, k.slot_id, k.body_hash, k.status, k.code, k.appointment_id,
       k.blocked_by, k.moved, k.outcome, k.partition, k.stream_seq, k.stream_time, :batch_id, :now
  FROM unnest(:requests.id::uuid[], :requests.doctor_id::bigint[], :requests.user_id::bigint[],
              :requests.slot_id::bigint[], :requests.body_hash::uuid[],
              :requests.status::agenda.request_status[], :requests.code::text[],
              :requests.appointment_id::bigint[], :requests.blocked_by::bigint[],
              :requests.moved::boolean[], :requests.outcome::bytea[], :requests.partition::bigint[],
              :requests.stream_seq::bigint[], :requests.stream_time::timestamptz[])
       AS k (id, doctor_id, user_id, slot_id, body_hash, status, code, appointment_id, blocked_by,
             moved, outcome, partition, stream_seq, stream_time);

-- name: booking_write_dead
-- in: booking_writes
-- out: -
INSERT INTO agenda.dead_letter (stream_created, stream_seq, partition, code)
SELECT * FROM unnest(:dead.stream_created::timestamptz[], :dead.stream_seq::bigint[],
                     :dead.partition::bigint[], :dead.code::text[])
ON CONFLICT DO NOTHING;

-- name: booking_write_letters
-- in: booking_writes
-- out: -
INSERT INTO agenda.outbox (letters) VALUES (:letters);

-- name: booking_write_cursors
-- in: booking_writes
-- out: -
UPDATE agenda.cursor AS c
   SET stream_created = k.stream_created, last_seq = k.last_seq, last_time = k.last_time,
       last_request = k.last_request
  FROM unnest(:cursors.partition::bigint[], :cursors.stream_created::timestamptz[],
              :cursors.last_seq::bigint[], :cursors.last_time::timestamptz[],
              :cursors.last_request::uuid[])
       AS k (partition, stream_created, last_seq, last_time, last_request)
 WHERE c.partition = k.partition::smallint;

-- name: booking_outbox_read
-- in: outbox_batch
-- out: outbox_row
SELECT id, letters, floor(extract(epoch FROM now() - created_at))::bigint AS age
  FROM agenda.outbox
 WHERE id > :after AND NOT aside
 ORDER BY id LIMIT :rows::bigint FOR UPDATE SKIP LOCKED;

-- name: booking_outbox_delete
-- in: outbox_batch
-- out: -
DELETE FROM agenda.outbox WHERE id = ANY (:items.id::bigint[]);

-- name: booking_outbox_aside
-- in: outbox_batch
-- out: -
UPDATE agenda.outbox SET aside = true WHERE id = ANY (:items.id::bigint[]);

-- name: booking_follow_lock
-- in: -
-- out: follow_place
SELECT greatest(stream_created, 'epoch') AS stream_created, last_seq
  FROM agenda.position
 WHERE domain = 'booking'
   FOR UPDATE;

-- name: booking_follow_move
-- in: follow_place
-- out: -
UPDATE agenda.position SET stream_created = :stream_created, last_seq = :last_seq WHERE domain = 'booking';

-- name: booking_overdue
-- in: -
-- out: booking_due
-- By one worker at a time: the others find nothing.
SELECT id, doctor_id, granted_batch
  FROM agenda.appointment
 WHERE status = 'waiting_for_confirmation' AND starts <= now() AND pg_try_advisory_xact_lock(7003, 0)
 ORDER BY starts
 LIMIT 256;

-- name: booking_live_of_doctor
-- in: booking_account
-- out: booking_due
-- The appointments that an account still has, a page at a time.
SELECT id, doctor_id, granted_batch
  FROM agenda.appointment
 WHERE doctor_id = :id AND id > :after
   AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
 ORDER BY id
 LIMIT 256;

-- name: booking_live_of_patient
-- in: booking_account
-- out: booking_due
SELECT id, doctor_id, granted_batch
  FROM agenda.appointment
 WHERE patient_id = :id AND id > :after
   AND status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
 ORDER BY id
 LIMIT 256;

-- name: booking_note_erased
-- in: booking_account
-- out: -
INSERT INTO agenda.erased (user_id) VALUES (:id) ON CONFLICT DO NOTHING;

-- name: booking_unforgotten
-- in: -
-- out: booking_id
-- Whose words may still be here; what another worker is at is left to it.
SELECT user_id AS id FROM agenda.erased WHERE NOT forgotten ORDER BY user_id LIMIT 64 FOR UPDATE SKIP LOCKED;

-- name: booking_reasons
-- in: booking_keys
-- out: booking_id
-- The appointments for which they gave one.
SELECT r.appointment_id AS id
  FROM unnest(:accounts.id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT appointment_id FROM agenda.reason WHERE user_id = k.id LIMIT 256) AS r
 LIMIT 256;

-- name: booking_told
-- in: booking_keys
-- out: booking_request
-- The answers that told a reason: those with the key in their bytes, a length (0xb0) and 16 letters.
SELECT r.id, r.outcome
  FROM unnest(:named.id::bigint[]) AS k (id)
 CROSS JOIN LATERAL (SELECT id, outcome FROM agenda.request
                      WHERE appointment_id = k.id AND status = 'done'
                        AND position('\xb063616e63656c6c65645f726561736f6e'::bytea IN outcome) > 0
                     LIMIT 256) AS r
 LIMIT 256;

-- name: booking_write_told
-- in: booking_writes
-- out: -
UPDATE agenda.request AS r SET outcome = k.outcome
  FROM unnest(:requests.id::uuid[], :requests.outcome::bytea[]) AS k (id, outcome)
 WHERE r.id = k.id;

-- name: booking_write_unsaid
-- in: booking_keys
-- out: -
-- A change like any other, so that entity tags tell it.
UPDATE agenda.appointment
   SET cancelled_reason = NULL, updated_at = greatest(now(), updated_at + interval '1 microsecond')
 WHERE id = ANY (:named.id::bigint[]);

-- name: booking_write_forgotten
-- in: booking_keys
-- out: -
UPDATE agenda.erased AS e SET forgotten = true
 WHERE e.user_id = ANY (:accounts.id::bigint[])
   AND NOT EXISTS (SELECT FROM agenda.reason AS r WHERE r.user_id = e.user_id);

-- name: booking_write_chores
-- in: booking_letters
-- out: -
INSERT INTO agenda.outbox (letters) VALUES (:letters);
