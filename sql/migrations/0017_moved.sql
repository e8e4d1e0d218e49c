-- An upload's own grant lasts until a while after its appointment, and moves with it: as the appointment was
-- then.  NULL: until when is what the patient said.
ALTER TABLE clinical.file_access ADD COLUMN as_of timestamptz;
