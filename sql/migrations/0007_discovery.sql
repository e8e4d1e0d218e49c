-- Finding a doctor: a card each, kept by facts, and the slots that are free.
--
-- `users` may live on another server than the agendas: what it knows of them it was told.  All of this
-- is made from other tables and from facts, and could be made again.
CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

-- Text as it is compared: no accents, no capitals, one space before each word.
CREATE FUNCTION users.fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ' ' || btrim(regexp_replace(lower(public.unaccent('public.unaccent'::regdictionary, $1)), '\s+', ' ', 'g'))
$$;

-- What finds a folded text that holds the words of $1 in their order, each anywhere, one of fewer than
-- three letters only where a word begins: three letters are what an index of trigrams can look for.
-- Folding comes first: it makes a percent sign of a wide one.
CREATE FUNCTION users.pattern(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(users.fold($1), '([\\%_])', '\\\1', 'g'),
                                         ' ([[:alnum:]]{1,2})(?= |$)', '% \1', 'g'), '(?<!%) ', '%', 'g') || '%'
$$;

-- Whether a card is what was asked for; what is NULL was not asked.  Of one expression, so that it becomes
-- part of the statement, and its indexes can be used.
CREATE FUNCTION users.fits(name text, specialty text, medical_id text, city text, state text, zip text, rank float8,
                           want_name text, want_specialty text, want_medical_id text, want_city text,
                           want_state text, want_zip text, want_rating float8)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (want_name IS NULL OR name LIKE users.pattern(want_name))
       AND (want_specialty IS NULL OR specialty LIKE users.pattern(want_specialty))
       AND (want_medical_id IS NULL OR medical_id LIKE users.pattern(want_medical_id))
       AND (want_city IS NULL OR city LIKE users.pattern(want_city))
       AND (want_state IS NULL OR state = upper(want_state))
       AND (want_zip IS NULL OR zip LIKE want_zip || '%')
       AND (want_rating IS NULL OR rank <= -want_rating)
$$;

-- A doctor without a next slot: he comes after all others, and a cursor passes him as any other.
CREATE FUNCTION users.never() RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT timestamptz '9999-12-31 23:59:59.999999+00'
$$;

-- One row a doctor who can be found: by what, and in which order.
CREATE TABLE users.card (
    doctor_id    bigint PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,     -- folded, as are the next three
    specialty    text COLLATE "C" NOT NULL,
    medical_id   text COLLATE "C" NOT NULL,
    city         text COLLATE "C",
    state        text COLLATE "C",
    zip          text COLLATE "C",              -- digits
    price        numeric(12,2) NOT NULL,
    rating_sum   bigint NOT NULL DEFAULT 0,     -- tenths; exact
    rating_count bigint NOT NULL DEFAULT 0,
    -- The mean below zero, so that the best comes first in an order that rises like all others.
    rank         float8 NOT NULL GENERATED ALWAYS AS
                 (CASE WHEN rating_count > 0 THEN -(rating_sum::float8 / (10 * rating_count)) ELSE 0 END) STORED
);
-- Each order has all that is filtered by in its index: thousands of doctors are looked at in a millisecond.
CREATE INDEX card_by_name ON users.card (left(name, 40), doctor_id)
    INCLUDE (name, specialty, medical_id, city, state, zip, rank);
CREATE INDEX card_by_price ON users.card (price, doctor_id)
    INCLUDE (name, specialty, medical_id, city, state, zip, rank);
CREATE INDEX card_by_rating ON users.card (rank, doctor_id)
    INCLUDE (name, specialty, medical_id, city, state, zip);

-- Whole values that many share: an index finds them by one list each, trigrams by one for each letter.
CREATE FUNCTION users.terms(specialty text, city text, state text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_remove(ARRAY['specialty:' || specialty, 'city:' || city, 'state:' || state], NULL)
$$;
-- The list of what is not sorted in yet is read by every search: it is to be short.
CREATE INDEX card_words ON users.card
    USING gin (name gin_trgm_ops, medical_id gin_trgm_ops, zip gin_trgm_ops, users.terms(specialty, city, state))
    WITH (gin_pending_list_limit = 64);

-- Every term that a card has or had: which of them a filter means.
CREATE TABLE users.term (term text COLLATE "C" PRIMARY KEY);

-- What changes with every booking stays apart from what is searched by words: an index of words is dear to
-- change.  The order of next slots has copies of all that is filtered by, as the other orders have.
CREATE TABLE users.practice (
    doctor_id      bigint PRIMARY KEY,
    total_patients bigint NOT NULL DEFAULT 0,   -- how many rows of `acquaintance`
    next_slot      timestamptz NOT NULL DEFAULT users.never(),
    name           text COLLATE "C" NOT NULL,
    specialty      text COLLATE "C" NOT NULL,
    medical_id     text COLLATE "C" NOT NULL,
    city           text COLLATE "C",
    state          text COLLATE "C",
    zip            text COLLATE "C",
    rank           float8 NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX practice_by_slot ON users.practice (next_slot, doctor_id)
    INCLUDE (name, specialty, medical_id, city, state, zip, rank);

-- Slots that are to come, as the newest fact told them.  One that is taken or dropped stays until its
-- time has passed: of two facts that changed places the older must be known by its version.  No index
-- knows whether a slot is free: a booking changes that, and so changes no index.
CREATE TABLE users.free_slot (
    slot_id   bigint PRIMARY KEY,
    doctor_id bigint NOT NULL,
    starts    timestamptz NOT NULL,
    ends      timestamptz NOT NULL,
    version   bigint NOT NULL,
    free      boolean NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX free_slot_of_doctor ON users.free_slot (doctor_id, starts);
CREATE INDEX free_slot_at ON users.free_slot (starts, doctor_id);

-- Who has or had an appointment with whom.
CREATE TABLE users.acquaintance (
    doctor_id  bigint NOT NULL,
    patient_id bigint NOT NULL,
    PRIMARY KEY (doctor_id, patient_id)
);
CREATE INDEX acquaintance_of_patient ON users.acquaintance (patient_id, doctor_id);

-- The copies of these doctors' cards become what the cards are.
CREATE FUNCTION users.card_copy(bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO users.practice AS p (doctor_id, name, specialty, medical_id, city, state, zip, rank)
    SELECT doctor_id, name, specialty, medical_id, city, state, zip, rank
      FROM users.card WHERE doctor_id = ANY ($1) ORDER BY doctor_id
        ON CONFLICT (doctor_id) DO UPDATE
       SET name = excluded.name, specialty = excluded.specialty, medical_id = excluded.medical_id,
           city = excluded.city, state = excluded.state, zip = excluded.zip, rank = excluded.rank
     WHERE (p.name, p.specialty, p.medical_id, p.city, p.state, p.zip, p.rank) IS DISTINCT FROM
           (excluded.name, excluded.specialty, excluded.medical_id, excluded.city, excluded.state, excluded.zip,
            excluded.rank);
    DELETE FROM users.practice AS p
     WHERE p.doctor_id = ANY ($1) AND NOT EXISTS (SELECT FROM users.card AS c WHERE c.doctor_id = p.doctor_id);
$$;

-- The cards of these users, if they are doctors, become what account, doctor and address say.
CREATE FUNCTION users.card_write(bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO users.card AS c (doctor_id, name, specialty, medical_id, city, state, zip, price)
    SELECT d.user_id, users.fold(a.full_name), users.fold(d.specialty), users.fold(d.medical_id), users.fold(p.city),
           upper(p.state), regexp_replace(p.zip, '\D', '', 'g'), d.price
      FROM users.doctor AS d JOIN users.account AS a ON a.id = d.user_id
      LEFT JOIN users.address AS p ON p.user_id = d.user_id
     WHERE d.user_id = ANY ($1)
     ORDER BY d.user_id
        ON CONFLICT (doctor_id) DO UPDATE
       SET name = excluded.name, specialty = excluded.specialty, medical_id = excluded.medical_id,
           city = excluded.city, state = excluded.state, zip = excluded.zip, price = excluded.price
     WHERE (c.name, c.specialty, c.medical_id, c.city, c.state, c.zip, c.price) IS DISTINCT FROM
           (excluded.name, excluded.specialty, excluded.medical_id, excluded.city, excluded.state, excluded.zip,
            excluded.price);
    DELETE FROM users.card AS c
     WHERE c.doctor_id = ANY ($1) AND NOT EXISTS (SELECT FROM users.doctor AS d WHERE d.user_id = c.doctor_id);
    -- In one order everywhere: two that add the same terms must not wait for each other.
    INSERT INTO users.term
    SELECT DISTINCT t FROM users.card AS c, unnest(users.terms(c.specialty, c.city, c.state)) AS t
     WHERE c.doctor_id = ANY ($1) ORDER BY t
        ON CONFLICT DO NOTHING;
    SELECT users.card_copy($1);
$$;

-- Whoever changes a user changes the card with it, in the same transaction, without knowing of it.
CREATE FUNCTION users.card_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'account' THEN
        PERFORM users.card_write(ARRAY(SELECT id FROM changed WHERE role = 'doctor'));
    ELSE
        PERFORM users.card_write(ARRAY(SELECT user_id FROM changed));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER card AFTER UPDATE ON users.account REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card_new AFTER INSERT ON users.doctor REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card AFTER UPDATE ON users.doctor REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card_gone AFTER DELETE ON users.doctor REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card_new AFTER INSERT ON users.address REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card AFTER UPDATE ON users.address REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();
CREATE TRIGGER card_gone AFTER DELETE ON users.address REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION users.card_follow();

-- What there is already.  Until now agendas and users share a database.
SELECT users.card_write(ARRAY(SELECT user_id FROM users.doctor));
INSERT INTO users.free_slot (slot_id, doctor_id, starts, ends, free, version)
SELECT s.id, s.doctor_id, s.starts, s.ends, true, batch.last_value
  FROM agenda.slot AS s, agenda.batch_id AS batch
 WHERE s.active AND s.starts > now()
   AND NOT EXISTS (SELECT FROM agenda.appointment AS p
                    WHERE p.slot_id = s.id AND p.status IN ('waiting_for_confirmation', 'confirmed', 'in_progress'));
INSERT INTO users.acquaintance SELECT DISTINCT doctor_id, patient_id FROM agenda.appointment;
UPDATE users.practice AS p
   SET total_patients = (SELECT count(*) FROM users.acquaintance AS a WHERE a.doctor_id = p.doctor_id),
       next_slot = coalesce((SELECT min(f.starts) FROM users.free_slot AS f
                              WHERE f.doctor_id = p.doctor_id AND f.free), users.never());

GRANT SELECT, INSERT, UPDATE, DELETE ON users.card, users.practice, users.free_slot TO healthmed_users;
GRANT SELECT, INSERT ON users.term, users.acquaintance TO healthmed_users;

-- A search has as many plans as there are filters; each is planned for the values it has.  Nor does any
-- statement keep a plan of the day on which a table was small.
ALTER ROLE healthmed_users SET plan_cache_mode = force_custom_plan;
ALTER ROLE healthmed_users SET jit = off;
