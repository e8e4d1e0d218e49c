-- name: reviews_give
-- in: reviews_give_req
-- out: reviews_review
-- No row: there is one already.  Of several at once the others wait for the first.  What is on its way while
-- its patient is erased is a number without words.
INSERT INTO reviews.review (appointment_id, doctor_id, patient_id, rating, comment)
SELECT :appointment_id, :doctor_id, :patient_id, :rating,
       CASE WHEN NOT EXISTS (SELECT FROM reviews.erased WHERE user_id = :patient_id) THEN :comment END
ON CONFLICT (appointment_id) DO NOTHING
RETURNING id, appointment_id, doctor_id, patient_id, rating, comment, created_at;

-- name: reviews_turn
-- in: reviews_key
-- out: -
-- What a patient does in one go after another, and his erasure, see what the one before has left.
SELECT pg_advisory_xact_lock(hashtextextended('reviews', :user_id));

-- name: reviews_rate
-- in: reviews_visits
-- out: reviews_review
-- The first of them that has no review; no row: all have.
INSERT INTO reviews.review (appointment_id, doctor_id, patient_id, rating)
SELECT v.id, :doctor_id, :patient_id, :rating
  FROM unnest(:concluded.appointment_id::bigint[]) WITH ORDINALITY AS v (id, place)
 WHERE NOT EXISTS (SELECT FROM reviews.review AS r WHERE r.appointment_id = v.id)
 ORDER BY v.place
 LIMIT 1
ON CONFLICT (appointment_id) DO NOTHING
RETURNING id, appointment_id, doctor_id, patient_id, rating, comment, created_at;

-- name: reviews_get
-- in: reviews_key
-- out: reviews_review
-- Another's review is not there.
SELECT id, appointment_id, doctor_id, patient_id, rating, comment, created_at
  FROM reviews.review
 WHERE id = :id AND (patient_id = :user_id OR doctor_id = :user_id)
   AND (:appointment_id::bigint IS NULL OR appointment_id = :appointment_id::bigint);

-- name: reviews_of_appointment
-- in: reviews_key
-- out: reviews_review
SELECT id, appointment_id, doctor_id, patient_id, rating, comment, created_at
  FROM reviews.review
 WHERE appointment_id = :appointment_id AND (patient_id = :user_id OR doctor_id = :user_id);

-- name: reviews_sent
-- in: reviews_span
-- out: reviews_review
SELECT id, appointment_id, doctor_id, patient_id, rating, comment, created_at
  FROM reviews.review
 WHERE patient_id = :user_id AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reviews_received
-- in: reviews_span
-- out: reviews_review
SELECT id, appointment_id, doctor_id, patient_id, rating, comment, created_at
  FROM reviews.review
 WHERE doctor_id = :user_id AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reviews_of_doctor
-- in: reviews_span
-- out: reviews_voice
SELECT id, rating, comment, created_at
  FROM reviews.review
 WHERE doctor_id = :user_id AND (created_at, id) < (:before_time, :before_id)
 ORDER BY created_at DESC, id DESC
 LIMIT :rows;

-- name: reviews_count
-- in: -
-- out: fact
-- Whatever is not in its doctor's rating yet; whoever else is at it meanwhile waits, and finds that
-- nothing is left.
WITH fresh AS (
	UPDATE reviews.review SET counted = true
	 WHERE id = ANY (ARRAY(SELECT id FROM reviews.review WHERE NOT counted ORDER BY id LIMIT 1000))
	   AND NOT counted
	RETURNING doctor_id, rating
)
INSERT INTO reviews.rating AS r (doctor_id, tenths, count)
SELECT doctor_id, sum(rating * 10)::bigint, count(*)
  FROM fresh GROUP BY doctor_id ORDER BY doctor_id
ON CONFLICT (doctor_id) DO UPDATE
   SET tenths = r.tenths + excluded.tenths, count = r.count + excluded.count
RETURNING doctor_id AS id, doctor_id, now() AS at, count AS version,
          tenths AS rating_sum, count AS rating_count;

-- name: reviews_forget
-- in: reviews_key
-- out: -
-- Who has gone takes the words along; the numbers remain.
WITH gone AS (
	INSERT INTO reviews.erased (user_id) VALUES (:user_id) ON CONFLICT DO NOTHING
)
UPDATE reviews.review SET comment = NULL WHERE patient_id = :user_id AND comment IS NOT NULL;

-- name: reviews_key_claim
-- in: idempotency
-- out: idempotency
-- A copy waits here until the first one has ended.  No row: it was there first.
INSERT INTO reviews.idempotency (id, body_hash) VALUES (:id, :body_hash)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: reviews_key_read
-- in: idempotency
-- out: idempotency
-- The lock is written: so the commit of a repetition waits until a standby has what the first copy did.
SELECT id, body_hash, reply FROM reviews.idempotency WHERE id = :id FOR SHARE;

-- name: reviews_key_store
-- in: idempotency
-- out: -
UPDATE reviews.idempotency SET reply = :reply WHERE id = :id;

-- name: reviews_key_purge
-- in: -
-- out: idempotency
-- Twice the day that is promised.
DELETE FROM reviews.idempotency
 WHERE id = ANY (ARRAY(SELECT id FROM reviews.idempotency
                        WHERE created_at < now() - interval '48 hours'
                        LIMIT 1000 FOR UPDATE SKIP LOCKED))
RETURNING id;

-- name: reviews_outbox_write
-- in: outbox_row
-- out: -
INSERT INTO reviews.outbox (letters) VALUES (:letters);

-- name: reviews_outbox_read
-- in: outbox_batch
-- out: outbox_row
SELECT id, letters, floor(extract(epoch FROM now() - created_at))::bigint AS age
  FROM reviews.outbox
 WHERE id > :after AND NOT aside
 ORDER BY id LIMIT :rows FOR UPDATE SKIP LOCKED;

-- name: reviews_outbox_delete
-- in: outbox_batch
-- out: -
DELETE FROM reviews.outbox WHERE id = ANY (:items.id::bigint[]);

-- name: reviews_outbox_aside
-- in: outbox_batch
-- out: -
UPDATE reviews.outbox SET aside = true WHERE id = ANY (:items.id::bigint[]);

-- name: reviews_follow_lock
-- in: -
-- out: follow_place
SELECT stream_created, last_seq FROM reviews.position WHERE domain = 'reviews' FOR UPDATE;

-- name: reviews_follow_move
-- in: follow_place
-- out: -
UPDATE reviews.position SET stream_created = :stream_created, last_seq = :last_seq
 WHERE domain = 'reviews';
