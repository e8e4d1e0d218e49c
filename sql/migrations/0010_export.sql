-- What one asked for and did not get, for the export of what is kept about a person.  Requests that were
-- booked are appointments, and cost no entry here.
CREATE INDEX request_of_user ON agenda.request (user_id, stream_time, stream_seq) WHERE status <> 'booked';
