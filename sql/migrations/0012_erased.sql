-- Whose account was erased, for as long as something of theirs may still be on its way through the mailbox.
CREATE TABLE agenda.erased (
    user_id bigint PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erased_age ON agenda.erased (at);
GRANT SELECT, INSERT, DELETE ON agenda.erased TO healthmed_booking;
