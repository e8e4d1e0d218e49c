"""What the database refuses, loses or forgets in the middle of a batch: nothing accepted pays for it."""
import json
import time
import uuid
from contextlib import contextmanager

import psycopg2
import pytest

from stack import Stack, at_once, wait_until

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def own():
    """A stack whose database is made to fail."""
    with Stack() as stack:
        yield stack


@contextmanager
def trigger(stack, table, body, each="STATEMENT", when="BEFORE INSERT"):
    """A trigger of the agenda, for as long as the block."""
    stack.sql(f"CREATE FUNCTION agenda.planted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} RETURN NEW; END$$")
    stack.sql(f"CREATE TRIGGER planted {when} ON agenda.{table} FOR EACH {each} EXECUTE FUNCTION agenda.planted()")
    try:
        yield
    finally:
        stack.sql("DROP FUNCTION agenda.planted() CASCADE")


def ask(stack, patient, slot, doctor):
    """Books without waiting for the outcome: the id of the request."""
    answer = stack.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=slot,
                        doctor_id=doctor.id)
    assert answer.status == 202, answer
    return answer.json["request_id"]


def status(stack, request_id, patient):
    return stack.get(f"/appointments/requests/{request_id}", patient).json["status"]


def failures(stack):
    return [json.loads(line) for line in stack.log("actor-booking").splitlines() if '"batch_failed"' in line]


def partition_of(stack, doctor):
    return stack.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]


def test_a_session_that_dies_in_the_write_of_a_batch_tells_nobody_what_did_not_come_true(own):
    """Every few requests the server ends the worker's session, before the commit: each 201 is there."""
    rounds, many = 6, 16
    doctor = own.doctor()
    people = [own.patient() for _ in range(many)]
    slots = own.slots(doctor, rounds * many, minutes=10)
    own.sql("CREATE SEQUENCE agenda.fired; GRANT USAGE ON SEQUENCE agenda.fired TO healthmed_booking")
    lost = own.log("actor-booking").count('"batch_failed"')
    told = []
    with trigger(own, "request", "IF nextval('agenda.fired') % 11 = 0 THEN"
                                 " PERFORM pg_terminate_backend(pg_backend_pid()); END IF;", each="ROW"):
        for r in range(rounds):
            told += at_once(many, lambda i, at=r * many: own.post("/appointments", people[i], key=str(uuid.uuid4()),
                                                                  schedule_id=slots[at + i], doctor_id=doctor.id))
    assert own.log("actor-booking").count('"batch_failed"') >= lost + 5, "sessions were lost"
    wait_until(lambda: " 0 pending" in own.verify(), 20, "all is decided")
    there = {id: (patient, slot) for id, patient, slot in
             own.sql("SELECT id, patient_id, slot_id FROM agenda.appointment WHERE doctor_id = %s", doctor.id)}
    assert {a.status for a in told} <= {201, 202}, told
    for i, answer in enumerate(told):
        if answer.status == 201:
            assert there.get(answer.json["id"]) == (people[i % many].id, slots[i]), answer
    assert len(there) == rounds * many


def test_a_full_disk_under_256_commands_is_no_verdict_however_often_they_are_tried(own):
    seeded = json.loads(own.seed("--doctors", 4, "--patients", 256, "--slots", 64))
    tokens = own.tokens("patient", seeded["first_patient"], 256)
    slots = own.sql("SELECT id, doctor_id FROM agenda.slot WHERE id >= %s ORDER BY id", seeded["first_slot"])
    own.stop("actor-booking")
    accepted = [own.http("POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor}, token,
                         {"Prefer": "respond-async"}).status for token, (slot, doctor) in zip(tokens, slots)]
    assert accepted == [202] * 256
    before = len(failures(own))
    full = "RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';"
    with trigger(own, "request", full):
        own.environment["STACK_PATIENCE"] = "1"     # it is not well while nothing can be written
        own.stack("start", "actor-booking", check=False)
        del own.environment["STACK_PATIENCE"]
        wait_until(lambda: len(failures(own)) > before + 60, 20, "it has tried many times")
        assert "the database takes nothing" in own.admin("actor-booking", "/readyz?verbose")[1]
    assert {(f["sqlstate"], f["poison"]) for f in failures(own)[before:]} == {("53100", False)}
    wait_until(lambda: own.sql("SELECT count(*) FROM agenda.request WHERE doctor_id >= %s AND status = 'booked'",
                               seeded["first_doctor"]) >= [(256,)], 10, "all are booked")
    assert own.admin("actor-booking", "/readyz")[0] == 200
    assert own.sql("SELECT count(*) FROM agenda.dead_letter") == [(0,)]
    own.verify()


def test_a_verdict_that_cannot_be_stored_is_tried_with_rests(own):
    """Even the dead letter is refused, for a while: the worker must not turn like mad."""
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    before = len(failures(own))
    with trigger(own, "cursor", "RAISE EXCEPTION 'no' USING ERRCODE = '23514';", when="BEFORE UPDATE"):
        request = ask(own, patient, slots[0], doctor)
        wait_until(lambda: len(failures(own)) > before + 3, 5, "it tries again")
        tries, begun = len(failures(own)), time.monotonic()
        time.sleep(1)                               # what is counted is what happens meanwhile
        assert (len(failures(own)) - tries) / (time.monotonic() - begun) < 40
    wait_until(lambda: own.sql("SELECT count(*) FROM agenda.dead_letter WHERE code = 'not storable'") == [(1,)], 5,
               "it is a dead letter")
    assert status(own, request, patient) == "pending"   # nobody could be told anything
    own.verify()


def test_what_was_not_done_because_a_cursor_moved_is_not_stepped_over_by_the_rest_of_the_batch():
    """A batch with a poisonous command is halved; of the first half one partition's cursor has moved."""
    with Stack() as stack:
        doctors = {}
        while len(doctors) < 3:
            doctor, slots = stack.doctor_with_slots(4)
            doctors.setdefault(partition_of(stack, doctor), (doctor, slots))
        (pa, (a, a_slots)), (_, (b, b_slots)), (_, (c, c_slots)) = doctors.items()
        before, first, second, third, bad = [stack.patient() for _ in range(5)]
        stack.sql(f"ALTER TABLE agenda.appointment ADD CONSTRAINT planted CHECK (patient_id <> {bad.id})")
        holds = [psycopg2.connect(stack.env["DATABASE_URL"]) for _ in range(3)]

        def waits(patient):
            wait_until(lambda: stack.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
                                         patient.id), 5, "the worker waits for somebody")
        try:
            for hold, patient in zip(holds, (before, second)):
                hold.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (patient.id,))
            ask(stack, before, c_slots[0], c)
            waits(before)
            asked = [(p, ask(stack, p, slot, d)) for p, slot, d in (
                (first, b_slots[0], b), (second, a_slots[0], a), (third, b_slots[1], b), (bad, b_slots[2], b))]
            holds[0].rollback()
            waits(second)                           # now all four are one batch, which has the cursors

            def move():
                cursor = holds[2].cursor()
                cursor.execute("LOCK TABLE agenda.cursor IN EXCLUSIVE MODE")
                cursor.execute("""UPDATE agenda.cursor SET (last_seq, last_time, last_request) =
                                      (SELECT stream_seq, stream_time, id FROM agenda.request
                                        WHERE partition = %s ORDER BY stream_seq DESC OFFSET 1 LIMIT 1)
                                   WHERE partition = %s""", (pa, pa))
                holds[2].commit()

            def free():
                wait_until(lambda: stack.sql("SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock'"
                                             " AND relation = 'agenda.cursor'::regclass"), 5, "the mover waits")
                holds[1].rollback()
            at_once(2, lambda i: (move, free)[i]())
            wait_until(lambda: status(stack, asked[3][1], bad) == "failed", 10, "the poisonous one is found")
            told = wait_until(lambda: (now := [status(stack, id, p) for p, id in asked]) and "pending" not in now and now,
                              5, "all are decided")
            assert told == ["booked", "booked", "booked", "failed"]
            assert '"cursor moved"' in stack.log("actor-booking")
            stack.verify()
        finally:
            for hold in holds:
                hold.close()
