-- The export reads a doctor's slots by a key that no change touches: what moves meanwhile is not left out.  A
-- booking does not write slots, so it pays nothing for this.  Appointments get no such index, which every booking
-- and every step of one would write: their ids are sorted out of the indexes that are there.
CREATE INDEX slot_steady ON agenda.slot (doctor_id, id);
