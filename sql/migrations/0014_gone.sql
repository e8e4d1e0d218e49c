-- Whose account was erased stays known: what lies in a mailbox behind the erasure, however long, is refused.
DROP INDEX agenda.erased_age;
REVOKE DELETE ON agenda.erased FROM healthmed_booking;
