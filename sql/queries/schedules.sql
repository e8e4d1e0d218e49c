-- Whether a slot is booked is asked slot by slot of the index of live appointments, in a
-- subquery that no planner turns into a join of whole tables.

-- name: schedules_get
-- in: schedules_key
-- out: schedules_slot
-- Another's slot is not there.
SELECT id, doctor_id, starts AS date_time_available,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes, active,
       (SELECT true FROM agenda.appointment AS p
         WHERE p.slot_id = s.id
           AND p.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
       ) IS NOT NULL AS booked, created_at, updated_at
  FROM agenda.slot AS s
 WHERE id = :id AND doctor_id = :doctor_id;

-- name: schedules_list
-- in: schedules_span
-- out: schedules_slot
-- A doctor's own slots, from the first to the last of the span, a page at a time.
SELECT id, doctor_id, starts AS date_time_available,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes,
       active, booked, created_at, updated_at
  FROM (SELECT s.*, (SELECT true FROM agenda.appointment AS p
                      WHERE p.slot_id = s.id
                        AND p.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                    ) IS NOT NULL AS booked
          FROM agenda.slot AS s
         WHERE s.doctor_id = :doctor_id AND s.starts >= :from AND s.starts <= :to
           AND s.starts >= :after_time AND (s.starts, s.id) > (:after_time, :after_id)) AS own
 WHERE (:active::boolean IS NULL OR active = :active::boolean)
   AND (:booked::boolean IS NULL OR booked = :booked::boolean)
 ORDER BY starts, id
 LIMIT :rows;

-- name: schedules_steady
-- in: schedules_span
-- out: schedules_slot
-- The same in an order that no change touches, for the export.
SELECT id, doctor_id, starts AS date_time_available,
       (extract(epoch FROM ends - starts) / 60)::bigint AS duration_minutes,
       active, booked, created_at, updated_at
  FROM (SELECT s.*, (SELECT true FROM agenda.appointment AS p
                      WHERE p.slot_id = s.id
                        AND p.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')
                    ) IS NOT NULL AS booked
          FROM agenda.slot AS s
         WHERE s.doctor_id = :doctor_id AND s.id > :after_id) AS own
 ORDER BY id
 LIMIT :rows;

-- name: schedules_free
-- in: schedules_span
-- out: schedules_slot
-- What one could book of a doctor just now.
SELECT s.id, s.doctor_id, s.starts AS date_time_available,
       (extract(epoch FROM s.ends - s.starts) / 60)::bigint AS duration_minutes,
       s.active, false AS booked, s.created_at, s.updated_at
  FROM agenda.slot AS s
 WHERE s.doctor_id = :doctor_id AND s.starts > now() AND s.starts >= :from AND s.starts <= :to
   AND s.starts >= :after_time AND (s.starts, s.id) > (:after_time, :after_id)
   AND s.active
   AND (SELECT true FROM agenda.appointment AS p
         WHERE p.slot_id = s.id
           AND p.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress')) IS NULL
 ORDER BY s.starts, s.id
 LIMIT :rows;
