-- A page of doctors costs little whatever is asked, and in whatever order.

-- Words that many cards share, each as a card has it: what a filter means of the specialties, cities and words
-- of names that there are.  A term goes with the last card that has it: nothing of who was erased stays here.
DROP INDEX users.card_words;
DROP FUNCTION users.terms(text, text, text);
DROP TABLE users.term;
CREATE TABLE users.term (
    filter  text COLLATE "C",
    term    text COLLATE "C",
    doctors bigint NOT NULL,
    PRIMARY KEY (filter, term)
);
CREATE FUNCTION users.terms(name text, specialty text, city text) RETURNS TABLE (filter text, term text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'specialty', specialty
    UNION ALL SELECT 'city', city WHERE city IS NOT NULL
    UNION SELECT 'name', ' ' || word FROM regexp_split_to_table(btrim(name), ' ') AS word
$$;

-- Who has a word in his name, in the order of names: names that hold a word stand together in no other order.
CREATE TABLE users.name_word (
    word      text COLLATE "C",             -- as in `term`
    place     text COLLATE "C",             -- left(name, 40)
    doctor_id bigint,
    PRIMARY KEY (word, place, doctor_id)
);
-- The longest word of what was asked: fewer have it in their names.
CREATE FUNCTION users.longest(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT word FROM regexp_split_to_table(btrim(users.fold($1)), ' ') AS word ORDER BY length(word) DESC LIMIT 1
$$;

-- Prices depend on the specialty: within one they are in order here.
CREATE INDEX card_by_specialty ON users.card (specialty, price, doctor_id)
    INCLUDE (name, medical_id, city, state, zip, rank);
-- What finds a few; of an index each, because the planner is to choose the one that finds the fewest.
CREATE INDEX card_of_city ON users.card (city, specialty);
CREATE INDEX card_of_state ON users.card (state);
CREATE INDEX card_of_zip ON users.card (zip);
-- The list of what is not sorted in yet is read by every search: it is to be short.
CREATE INDEX card_of_name ON users.card USING gin (name gin_trgm_ops) WITH (gin_pending_list_limit = 64);
CREATE INDEX card_of_medical_id ON users.card USING gin (medical_id gin_trgm_ops)
    WITH (gin_pending_list_limit = 64);

-- What a card is to say.
CREATE VIEW users.card_due AS
    SELECT d.user_id AS doctor_id, users.fold(a.full_name) AS name, users.fold(d.specialty) AS specialty,
           users.fold(d.medical_id) AS medical_id, users.fold(p.city) AS city, upper(p.state) AS state,
           regexp_replace(p.zip, '\D', '', 'g') AS zip, d.price
      FROM users.doctor AS d JOIN users.account AS a ON a.id = d.user_id
      LEFT JOIN users.address AS p ON p.user_id = d.user_id;

-- The cards of these users, if they are doctors, become what account, doctor and address say.
CREATE OR REPLACE FUNCTION users.card_write(bigint[]) RETURNS void LANGUAGE sql AS $$
    -- Those terms alone whose number changes, in one order everywhere: two that change the same must not wait
    -- for each other.
    INSERT INTO users.term AS t (filter, term, doctors)
    SELECT e.filter, e.term, sum(e.n)
      FROM (SELECT w.filter, w.term, 1 AS n
              FROM users.card_due AS c, users.terms(c.name, c.specialty, c.city) AS w WHERE c.doctor_id = ANY ($1)
             UNION ALL
            SELECT w.filter, w.term, -1
              FROM users.card AS c, users.terms(c.name, c.specialty, c.city) AS w WHERE c.doctor_id = ANY ($1)) AS e
     GROUP BY e.filter, e.term HAVING sum(e.n) <> 0 ORDER BY e.filter, e.term
        ON CONFLICT (filter, term) DO UPDATE SET doctors = t.doctors + excluded.doctors;
    DELETE FROM users.term AS t USING users.card AS c, users.terms(c.name, c.specialty, c.city) AS w
     WHERE c.doctor_id = ANY ($1) AND t.filter = w.filter AND t.term = w.term AND t.doctors = 0;
    DELETE FROM users.name_word AS n USING users.card AS c, users.terms(c.name, c.specialty, c.city) AS w
     WHERE c.doctor_id = ANY ($1) AND w.filter = 'name' AND n.word = w.term AND n.place = left(c.name, 40)
       AND n.doctor_id = c.doctor_id
       AND NOT EXISTS (SELECT FROM users.card_due AS d WHERE d.doctor_id = c.doctor_id AND d.name = c.name);
    INSERT INTO users.card AS c (doctor_id, name, specialty, medical_id, city, state, zip, price)
    SELECT doctor_id, name, specialty, medical_id, city, state, zip, price
      FROM users.card_due WHERE doctor_id = ANY ($1) ORDER BY doctor_id
        ON CONFLICT (doctor_id) DO UPDATE
       SET name = excluded.name, specialty = excluded.specialty, medical_id = excluded.medical_id,
           city = excluded.city, state = excluded.state, zip = excluded.zip, price = excluded.price
     WHERE (c.name, c.specialty, c.medical_id, c.city, c.state, c.zip, c.price) IS DISTINCT FROM
           (excluded.name, excluded.specialty, excluded.medical_id, excluded.city, excluded.state, excluded.zip,
            excluded.price);
    DELETE FROM users.card AS c
     WHERE c.doctor_id = ANY ($1) AND NOT EXISTS (SELECT FROM users.doctor AS d WHERE d.user_id = c.doctor_id);
    INSERT INTO users.name_word (word, place, doctor_id)
    SELECT w.term, left(c.name, 40), c.doctor_id
      FROM users.card AS c, users.terms(c.name, c.specialty, c.city) AS w
     WHERE c.doctor_id = ANY ($1) AND w.filter = 'name' ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING;
    SELECT users.card_copy($1);
$$;

GRANT SELECT ON users.card_due TO healthmed_users;
GRANT SELECT, INSERT, UPDATE, DELETE ON users.term, users.name_word TO healthmed_users;

-- What there is already.
INSERT INTO users.term
SELECT w.filter, w.term, count(*) FROM users.card AS c, users.terms(c.name, c.specialty, c.city) AS w GROUP BY 1, 2;
INSERT INTO users.name_word
SELECT w.term, left(c.name, 40), c.doctor_id FROM users.card AS c, users.terms(c.name, c.specialty, c.city) AS w
 WHERE w.filter = 'name' ORDER BY 1, 2, 3;
