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
-- In the order of the decisions the sequence grows.  Where it falls, the stream is another one (or was
-- cut and refilled), whose messages are younger than any before; a clock that is set back alone
-- makes no sequence fall.
SELECT format('partition %s: request %s (sequence %s) was decided before %s (sequence %s)',
              partition, before_id, before_seq, id, stream_seq) AS text
  FROM (SELECT partition, id, stream_seq, stream_time, lag(id) OVER w AS before_id,
               lag(stream_seq) OVER w AS before_seq, lag(stream_time) OVER w AS before_time
          FROM agenda.request
        WINDOW w AS (PARTITION BY partition ORDER BY batch_id, stream_seq)) AS r
 WHERE stream_seq < before_seq AND stream_time <= before_time
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

-- name: verify_false_slot
-- in: -
-- out: verify_finding
-- Who was refused because of how a slot is, though it has stayed as it was: nothing that was done later
-- names it (an edit does) and no agenda was closed since, so what it is now it was then.
-- What cannot be proven: a refusal about a slot that was edited or is gone since, for nobody keeps how it
-- was; slot_past and slot_changed, for which clock and request would have to be kept; and that a slot which
-- was opened and is not there was dropped, for a request does not say which of the two it was.
SELECT format('request %s (%s): slot %s was no reason', r.id, r.code, r.slot_id) AS text
  FROM agenda.request AS r
  JOIN agenda.slot AS s ON s.id = r.slot_id
 WHERE r.status = 'rejected'
   AND (r.code = 'slot_inactive' AND s.active
     OR r.code = 'patient_busy'
        AND NOT EXISTS (SELECT FROM agenda.holding AS h
                         WHERE h.appointment_id = r.blocked_by AND h.starts < s.ends AND h.ends > s.starts
                           AND (h.granted_batch, h.granted_seq) < (r.batch_id, r.stream_seq)
                           AND (h.freed_batch IS NULL
                             OR (h.freed_batch, h.freed_seq) > (r.batch_id, r.stream_seq))))
   AND NOT EXISTS (SELECT FROM agenda.request AS e
                    WHERE e.status = 'done' AND (e.slot_id = s.id OR e.user_id = 0 AND e.doctor_id = s.doctor_id)
                      AND (e.batch_id, e.stream_seq) > (r.batch_id, r.stream_seq))
 LIMIT 20;

-- name: verify_freed_unasked
-- in: -
-- out: verify_finding
-- A slot that an appointment gave up was given up by some command that was done.
SELECT format('appointment %s: its slot was freed by no request', a.id) AS text
  FROM agenda.appointment AS a
 WHERE a.freed_seq IS NOT NULL
   AND NOT EXISTS (SELECT FROM agenda.request AS r
                    WHERE r.appointment_id = a.id AND r.status = 'done'
                      AND r.stream_seq = a.freed_seq AND r.batch_id = a.freed_batch)
 LIMIT 20;

-- name: verify_never_ended
-- in: -
-- out: verify_finding
-- An end is final.  That it was told is in the outcome alone: its bytes for a key and a word, of which the
-- first is none of a text (0xa6 begins no character, 0xa7 and 0xa9 neither), so that no reason can hold them.
-- What attest saw may have ended before.
SELECT format('request %s: appointment %s was told to have ended, and goes on', r.id, a.id) AS text
  FROM agenda.request AS r
  JOIN agenda.appointment AS a ON a.id = r.appointment_id
 WHERE r.status = 'done' AND a.freed_seq IS NULL
   AND (position('\xa6737461747573a963616e63656c6c6564'::bytea IN r.outcome) > 0   -- status: cancelled
     OR position('\xa6737461747573a9636f6e636c75646564'::bytea IN r.outcome) > 0   -- status: concluded
     OR position('\xa6737461747573a76e6f5f73686f77'::bytea IN r.outcome) > 0)      -- status: no_show
 LIMIT 20;

-- name: verify_counts
-- in: -
-- out: verify_counts
SELECT (SELECT count(*) FROM agenda.request) AS requests,
       (SELECT count(*) FROM agenda.appointment) AS appointments;
