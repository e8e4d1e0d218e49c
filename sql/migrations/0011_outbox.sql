-- How long a row of an outbox has waited; and those that no relay can read are set aside, so that they
-- are seen and the others go on:  SELECT id, created_at FROM agenda.outbox WHERE aside
ALTER TABLE users.outbox
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN aside boolean NOT NULL DEFAULT false;
ALTER TABLE agenda.outbox
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN aside boolean NOT NULL DEFAULT false;
ALTER TABLE reviews.outbox
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN aside boolean NOT NULL DEFAULT false;
ALTER TABLE clinical.reports_outbox
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN aside boolean NOT NULL DEFAULT false;
