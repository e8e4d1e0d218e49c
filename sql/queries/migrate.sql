-- name: migrate_lock
-- Held until the session ends: of several, one migrates and the others find it done.
-- in: -
-- out: -
SELECT pg_advisory_lock(7309453271650);

-- name: migrate_known
-- in: -
-- out: migrate_known
SELECT to_regclass('public.migration') IS NOT NULL AS known;

-- name: migrate_table
-- in: -
-- out: -
CREATE TABLE public.migration (
    number     bigint PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,           -- SHA-256 of the text
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migrate_state
-- Each of this release: whether it was applied, and with this very text.  Those applied by a
-- newer release are not our business: its schema serves this one.
-- in: migrate_list
-- out: migrate_state
SELECT m.number, m.name, a.number IS NOT NULL AS applied,
       coalesce(a.checksum <> encode(sha256(convert_to(m.text, 'UTF8')), 'hex'), false) AS changed
  FROM unnest(:items.number::int8[], :items.name::text[], :items.text::text[]) AS m(number, name, text)
  LEFT JOIN public.migration a ON a.number = m.number
 ORDER BY m.number;

-- name: migrate_note
-- in: migrate_item
-- out: -
INSERT INTO public.migration (number, name, checksum)
VALUES (:number, :name, encode(sha256(convert_to(:text, 'UTF8')), 'hex'));
