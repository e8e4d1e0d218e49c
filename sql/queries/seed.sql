-- name: seed_lock
-- Nobody draws a number while ours are taken: they are to be without gaps.
-- in: -
-- out: -
LOCK TABLE users.account, agenda.slot IN SHARE ROW EXCLUSIVE MODE;

-- name: seed_range
-- in: seed_size
-- out: seed_range
WITH first AS (
	SELECT greatest(coalesce((SELECT max(id) FROM users.account), 0),
	                coalesce(pg_sequence_last_value('users.account_id_seq'), 0)) + 1 AS account,
	       greatest(coalesce((SELECT max(id) FROM agenda.slot), 0),
	                coalesce(pg_sequence_last_value('agenda.slot_id_seq'), 0)) + 1 AS slot
), taken AS (
	SELECT CASE WHEN :accounts::int8 > 0
	            THEN setval('users.account_id_seq', account + :accounts::int8 - 1) END,
	       CASE WHEN :slots::int8 > 0
	            THEN setval('agenda.slot_id_seq', slot + :slots::int8 - 1) END,
	       account, slot
	  FROM first
)
SELECT account, slot FROM taken;

-- name: seed_people
-- Documents are CPF with right check digits: nine digits that are a permutation of the ids (none
-- is of one digit repeated, below 39 million), then the two remainders.
-- in: seed_people
-- out: -
WITH id AS (
	SELECT id, (id * 123456787 + 482915267) % 1000000000 AS base
	  FROM generate_series(:first::int8, :first::int8 + :n::int8 - 1) AS id
), one AS (
	SELECT id, lpad(base::text, 9, '0') AS nine, (SELECT sum((base / (10::int8 ^ (9 - i))::int8 % 10) * (11 - i))
	         FROM generate_series(1, 9) AS i)::int8 * 10 % 11 % 10 AS d1,
	       (SELECT sum((base / (10::int8 ^ (9 - i))::int8 % 10) * (12 - i)) FROM generate_series(1, 9) AS i)::int8 AS sum2
	  FROM id
), person AS (
	SELECT id, nine || d1 || ((sum2 + d1 * 2) * 10 % 11 % 10) AS cpf,
	       (ARRAY['Ana','Maria','João','José','Antônio','Francisca','Carlos','Paulo','Pedro','Lucas','Luiz',
	              'Marcos','Gabriel','Rafael','Juliana','Mariana','Beatriz','Larissa','Camila','Fernanda',
	              'Aline','Patrícia','Letícia','Bruna','Mateus','Gustavo','Felipe','Rodrigo','Thiago','Helena',
	              'Sofia'])[1 + id % 31]
	       || ' ' ||
	       (ARRAY['da Silva','dos Santos','Oliveira','Souza','Rodrigues','Ferreira','Alves','Pereira','Lima',
	              'Gomes','Costa','Ribeiro','Martins','Carvalho','Almeida','Lopes','Soares','Fernandes',
	              'Vieira','Barbosa','Rocha','Dias','Nascimento','Andrade','Moreira','Nunes','Marques',
	              'Machado','Mendes'])[1 + id / 31 % 29] AS name,
	       1 + id % 12 AS town
	  FROM one
), account AS (
	INSERT INTO users.account (id, full_name, email, password_hash, document_id, phone, role)
	SELECT id, name,
	       :role::text || id || '@example.org', :hash::text, cpf,
	       '+55' || (ARRAY[11,21,31,71,85,41,92,81,51,62,91,48])[town] || '9' || lpad((id % 100000000)::text, 8, '0'),
	       :role::text
	  FROM person
), address AS (
	INSERT INTO users.address (user_id, street, number, neighborhood, city, state, zip)
	SELECT id, (ARRAY['Rua das Flores','Avenida Brasil','Rua Sete de Setembro','Rua XV de Novembro',
	              'Avenida Getúlio Vargas','Rua Tiradentes','Rua São José'])[1 + id % 7], (1 + id % 1999)::text,
	       (ARRAY['Centro','Jardim América','Boa Vista','Santa Luzia','Vila Nova'])[1 + id % 5],
	       (ARRAY['São Paulo','Rio de Janeiro','Belo Horizonte','Salvador','Fortaleza','Curitiba','Manaus',
	              'Recife','Porto Alegre','Goiânia','Belém','Florianópolis'])[town],
	       (ARRAY['SP','RJ','MG','BA','CE','PR','AM','PE','RS','GO','PA','SC'])[town],
	       (ARRAY['01310','20040','30130','40020','60060','80010','69005','50010','90010','74003','66010','88010'])[town]
	       || '-' || lpad((id % 1000)::text, 3, '0')
	  FROM person
)
INSERT INTO users.doctor (user_id, medical_id, specialty, price)
SELECT id, lpad(id::text, 7, '0') || '-' || (ARRAY['SP','RJ','MG','BA','CE','PR','AM','PE','RS','GO','PA','SC'])[town],
       (ARRAY['Cardiologia','Dermatologia','Pediatria','Ortopedia','Ginecologia','Oftalmologia','Psiquiatria',
              'Neurologia','Endocrinologia','Clínica Geral','Urologia','Otorrinolaringologia'])[1 + id % 12],
       (100 + id * 37 % 50 * 10)::numeric(12,2)
  FROM person WHERE :role::text = 'doctor';

-- name: seed_slots
-- Slot k of doctor d is number d * each + k of all.  What a fact would tell of them is written at once.
-- in: seed_slots
-- out: -
WITH slot AS (
	INSERT INTO agenda.slot (id, doctor_id, starts, ends, created_at, updated_at)
	SELECT :first_slot::int8 + i, :first_doctor::int8 + i / :each::int8,
	       :starts::timestamptz + i % :each::int8 * make_interval(mins => :minutes::int4),
	       :starts::timestamptz + (i % :each::int8 + 1) * make_interval(mins => :minutes::int4), now(), now()
	  FROM generate_series(:begin::int8, :begin::int8 + :n::int8 - 1) AS i
	RETURNING id, doctor_id, starts, ends
)
INSERT INTO users.free_slot (slot_id, doctor_id, starts, ends, free, version)
SELECT id, doctor_id, starts, ends, true, 0 FROM slot WHERE starts > now();

-- name: seed_next
-- in: seed_people
-- out: -
UPDATE users.practice AS p
   SET next_slot = coalesce((SELECT f.starts FROM users.free_slot AS f
                              WHERE f.doctor_id = p.doctor_id AND f.free ORDER BY f.starts LIMIT 1), users.never())
 WHERE p.doctor_id >= :first::int8 AND p.doctor_id < :first::int8 + :n::int8;

-- name: seed_analyze
-- in: -
-- out: -
ANALYZE users.account, users.doctor, users.address, users.card, users.term, users.name_word,
        users.practice, users.free_slot, agenda.slot;
