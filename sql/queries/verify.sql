-- The promises, held against the database.  Each query gives the offending rows as text, twenty at
-- the most; none is the good answer.  An appointment holds a slot from (granted_batch,
-- granted_seq) to (freed_batch, freed_seq): batches grow in the order of their decisions, and
-- within a batch the sequence decides.

-- name: verify_cursors
-- in: -
-- out: booking_cursor
SELECT partition, stream_created, last_seq, last_time, last_request FROM agenda.cursor ORDER BY partition;

-- name: verify_lost
-- in: verify_messages
-- out: verify_finding
SELECT format('partition %s, sequence %s, request %s: at or below the cursor (%s), and without outcome',
              m.partition, m.seq, m.id, c.last_seq) AS text
  FROM unnest(:items.partition::bigint[], :items.seq::bigint[], :items.id::uuid[]) AS m (partition, seq, id)
  JOIN agenda.cursor AS c ON c.partition = m.partition AND m.seq <= c.last_seq
   AND c.stream_created = :created
 WHERE NOT EXISTS (SELECT FROM agenda.request AS r WHERE r.id = m.id)
   AND NOT EXISTS (SELECT FROM agenda.dead_letter AS d
                    WHERE d.stream_created = c.stream_created AND d.stream_seq = m.seq)
 LIMIT 20;

-- name: verify_cursor_ahead
-- in: -
-- out: verify_finding
SELECT format('partition %s: the cursor stands at %s, request %s, which was never decided',
              c.partition, c.last_seq, c.last_request) AS text
  FROM agenda.cursor AS c
 WHERE c.last_seq > 0
   AND NOT EXISTS (SELECT FROM agenda.request AS r WHERE r.id = c.last_request)
   AND NOT EXISTS (SELECT FROM agenda.dead_letter AS d
                    WHERE d.stream_created = c.stream_created AND d.stream_seq = c.last_seq)
 LIMIT 20;

-- name: verify_effect_missing
-- in: -
-- out: verify_finding
SELECT format('request %s says appointment %s was granted slot %s, and it was not, then',
              r.id, r.appointment_id, r.slot_id) AS text
  FROM agenda.request AS r
 WHERE (r.status = 'booked' OR r.moved)
   AND NOT EXISTS (SELECT FROM agenda.holding AS h
                    WHERE h.appointment_id = r.appointment_id AND h.granted_seq = r.stream_seq
                      AND h.granted_batch = r.batch_id AND h.slot_id = r.slot_id
                      AND h.patient_id = r.user_id AND h.doctor_id = r.doctor_id)
 LIMIT 20;

-- name: verify_effect_unasked
-- in: -
-- out: verify_finding
SELECT format('appointment %s of slot %s: no request was granted that', h.appointment_id, h.slot_id) AS text
  FROM agenda.holding AS h
 WHERE NOT EXISTS (SELECT FROM agenda.request AS r
                    WHERE r.appointment_id = h.appointment_id AND (r.status = 'booked' OR r.moved)
                      AND r.stream_seq = h.granted_seq AND r.batch_id = h.granted_batch)
 UNION ALL
SELECT format('appointment %s: its state is %s, and its slot was %s', a.id, a.status,
              CASE WHEN a.freed_seq IS NULL THEN 'never freed' ELSE 'freed' END)
  FROM agenda.appointment AS a
 WHERE (a.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress'))
    IS DISTINCT FROM (a.freed_seq IS NULL)
 UNION ALL
SELECT format('appointment %s left slot %s, and was granted no other then', m.appointment_id, m.slot_id)
  FROM agenda.move AS m
 WHERE NOT EXISTS (SELECT FROM agenda.holding AS h
                    WHERE h.appointment_id = m.appointment_id AND h.granted_seq = m.freed_seq
                      AND h.granted_batch = m.freed_batch)
 LIMIT 20;

-- name: verify_two_outcomes
-- in: -
-- out: verify_finding
SELECT format('partition %s, sequence %s: requests %s', partition, stream_seq,
              string_agg(id::text, ' and ')) AS text
  FROM agenda.request
 GROUP BY partition, stream_seq, stream_time
HAVING count(*) > 1
 UNION ALL
SELECT format('appointment %s was booked by requests %s', appointment_id, string_agg(id::text, ' and '))
  FROM agenda.request
 WHERE status = 'booked'
 GROUP BY appointment_id
HAVING count(*) > 1
 LIMIT 20;

-- name: verify_slot_twice
-- in: -
-- out: verify_finding
SELECT format('slot %s: appointments %s and %s', slot_id, appointment_id, next_id) AS text
  FROM (SELECT slot_id, appointment_id, freed_batch, freed_seq, lead(appointment_id) OVER w AS next_id,
               lead(granted_batch) OVER w AS next_batch, lead(granted_seq) OVER w AS next_seq
          FROM agenda.holding
        WINDOW w AS (PARTITION BY slot_id ORDER BY granted_batch, granted_seq)) AS h
 WHERE next_id IS NOT NULL
   AND (freed_batch IS NULL OR (freed_batch, freed_seq) > (next_batch, next_seq))
 LIMIT 20;

-- name: verify_patient_twice
-- in: -
-- out: verify_finding
SELECT format('patient %s: appointments %s and %s', a.patient_id, a.appointment_id, b.appointment_id) AS text
  FROM agenda.holding AS a
  JOIN agenda.holding AS b
    ON b.patient_id = a.patient_id AND b.starts >= a.starts AND b.starts < a.ends
   AND (b.starts > a.starts OR b.appointment_id > a.appointment_id)
 WHERE (a.freed_batch IS NULL OR (b.granted_batch, b.granted_seq) < (a.freed_batch, a.freed_seq))
   AND (b.freed_batch IS NULL OR (a.granted_batch, a.granted_seq) < (b.freed_batch, b.freed_seq))
 LIMIT 20;

-- name: verify_queue_jumped
-- in: -
-- out: verify_finding
SELECT format('partition %s: request %s (sequence %s) was decided before %s (sequence %s)',
              partition, id, stream_seq, before_id, before_seq) AS text
  FROM (SELECT partition, id, stream_seq, batch_id, lag(id) OVER w AS before_id,
               lag(stream_seq) OVER w AS before_seq, lag(batch_id) OVER w AS before_batch
          FROM agenda.request
        WINDOW w AS (PARTITION BY partition ORDER BY stream_time, stream_seq)) AS r
 WHERE batch_id < before_batch
 LIMIT 20;

-- name: verify_false_blocker
-- in: -
-- out: verify_finding
-- Who was refused because of an appointment: it must have been live, and in the way, just then.
SELECT format('request %s (%s): appointment %s was not in the way', r.id, r.code, r.blocked_by) AS text
  FROM agenda.request AS r
 WHERE r.status = 'rejected' AND r.code IN ('slot_taken', 'slot_booked', 'patient_busy')
   AND NOT EXISTS (SELECT FROM agenda.holding AS h
                    WHERE h.appointment_id = r.blocked_by
                      AND (h.granted_batch, h.granted_seq) < (r.batch_id, r.stream_seq)
                      AND (h.freed_batch IS NULL
                        OR (h.freed_batch, h.freed_seq) > (r.batch_id, r.stream_seq))
                      AND CASE r.code WHEN 'patient_busy' THEN h.patient_id = r.user_id
                               ELSE (h.doctor_id, h.slot_id) = (r.doctor_id, r.slot_id) END)
 LIMIT 20;

-- name: verify_counts
-- in: -
-- out: verify_counts
SELECT (SELECT count(*) FROM agenda.request) AS requests,
       (SELECT count(*) FROM agenda.appointment) AS appointments;
