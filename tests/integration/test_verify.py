"""`healthmed verify` finds what it is there to find: each broken promise, planted by hand."""
import time

import pytest

from stack import Stack, wait_until

TABLES = ("slot", "appointment", "move", "request", "cursor", "dead_letter")
APPOINTMENT = ("id, slot_id, doctor_id, patient_id, starts, ends, status, created_at, updated_at,"
               " granted_seq, granted_batch")


class History:
    """A small true history: won, refused, cancelled, won again; moved, and what was left booked again."""

    def __init__(self, stack):
        self.doctor, self.slots = stack.doctor_with_slots(5)
        self.other, self.others = stack.doctor_with_slots(1)
        self.first, self.second = stack.patient(), stack.patient()
        self.won = self._book(stack, self.first, self.slots[0], 201)
        self.refused = self._book(stack, self.second, self.slots[0], 409)
        second = self._book(stack, self.second, self.slots[1], 201)
        assert stack.post(f"/appointments/{second['id']}/cancel", self.second, reason="a cold").status == 200
        self.again = self._book(stack, self.first, self.slots[1], 201)
        self.moved = self._book(stack, self.second, self.slots[3], 201)
        assert stack.http("DELETE", f"/schedules/{self.slots[3]}", token=self.doctor).code == "slot_booked"
        move = {"schedule_id": self.slots[4], "doctor_id": self.doctor.id}
        assert stack.http("PUT", f"/appointments/{self.moved['id']}", move, self.second).status == 200
        self.left = self._book(stack, self.first, self.slots[3], 201)

    def _book(self, stack, patient, slot, status):
        answer = stack.post("/appointments", patient, schedule_id=slot, doctor_id=self.doctor.id)
        assert answer.status == status, answer
        return answer.json


@pytest.fixture(scope="module")
def own():
    with Stack() as stack:
        stack.history = History(stack)
        yield stack


@pytest.fixture
def planted(own):
    """The stack, brought back to its true history afterwards."""
    own.sql("DROP SCHEMA IF EXISTS kept CASCADE")
    own.sql("CREATE SCHEMA kept")
    for t in TABLES:
        own.sql(f"CREATE TABLE kept.{t} AS TABLE agenda.{t}")
    indexes = own.sql("SELECT indexdef FROM pg_indexes WHERE schemaname = 'agenda' AND indexname LIKE '%%once'")
    yield own
    for t in TABLES:
        own.sql(f"DELETE FROM agenda.{t}")
        own.sql(f"INSERT INTO agenda.{t} SELECT * FROM kept.{t}")
    for (definition,) in indexes:
        own.sql(definition.replace("CREATE UNIQUE INDEX ", "CREATE UNIQUE INDEX IF NOT EXISTS "))
    own.verify()


def broken(stack, *names):
    """verify exits 1 and names these checks."""
    done = stack.healthmed("verify", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for name in names:
        assert f"FAIL {name}" in done.stdout, done.stdout
    return done.stdout


def test_a_true_history_has_no_violation(own):
    assert "verify: no violation" in own.verify()


def test_a_lost_request_is_found(planted):
    lost = planted.sql("DELETE FROM agenda.request WHERE status = 'rejected' RETURNING id")[0][0]
    assert lost in broken(planted, "lost requests")


def test_two_outcomes_of_one_request_are_found(planted):
    planted.sql("INSERT INTO agenda.request SELECT gen_random_uuid(), doctor_id, user_id, slot_id, body_hash, status,"
                " code, appointment_id, blocked_by, outcome, partition, stream_seq, stream_time, batch_id, decided_at"
                " FROM agenda.request WHERE status = 'rejected'")
    broken(planted, "two outcomes")


def test_a_slot_booked_twice_is_found(planted):
    planted.sql("DROP INDEX agenda.appointment_slot_once")
    planted.sql(f"INSERT INTO agenda.appointment ({APPOINTMENT}) SELECT id + 1000, slot_id, doctor_id, patient_id + 1000,"
                " starts, ends, status, created_at, updated_at, granted_seq + 1, granted_batch + 1"
                " FROM agenda.appointment WHERE id = %s", planted.history.won["id"])
    broken(planted, "slot booked twice")


def test_a_patient_in_two_places_is_found(planted):
    planted.sql(f"INSERT INTO agenda.appointment ({APPOINTMENT}) SELECT id + 1000, %s, %s, patient_id,"
                " starts + interval '30 minutes', ends + interval '30 minutes', status, created_at, updated_at,"
                " granted_seq + 1, granted_batch + 1 FROM agenda.appointment WHERE id = %s",
                planted.history.others[0], planted.history.other.id, planted.history.won["id"])
    broken(planted, "patient in two places")


def test_a_jumped_queue_is_found(planted):
    """The later request has the slot, as if it had been the earlier one."""
    planted.sql("UPDATE agenda.request AS r SET stream_seq = o.stream_seq, stream_time = o.stream_time"
                "  FROM agenda.request AS o, agenda.request AS w"
                " WHERE w.appointment_id = %s AND w.status = 'booked'"
                "   AND ((r.id = w.id AND o.blocked_by = w.appointment_id)"
                "     OR (r.blocked_by = w.appointment_id AND o.id = w.id))", planted.history.won["id"])
    planted.sql("UPDATE agenda.appointment AS a SET granted_seq = r.stream_seq FROM agenda.request AS r"
                " WHERE r.appointment_id = a.id AND r.status = 'booked'")
    broken(planted, "queue jumped")


def test_a_cursor_ahead_of_the_work_is_found(planted):
    h = planted.history
    planted.stop("actor-booking")
    try:
        answer = planted.post("/appointments", h.second, headers={"Prefer": "respond-async"},
                              schedule_id=h.slots[2], doctor_id=h.doctor.id)
        assert answer.status == 202, answer
        with planted.nats() as nats:
            last = nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]
        partition = planted.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", h.doctor.id)[0][0]
        planted.sql("UPDATE agenda.cursor SET last_seq = %s, last_request = gen_random_uuid() WHERE partition = %s",
                    last, partition)
        broken(planted, "lost requests", "cursor ahead of the work")
        planted.sql("UPDATE agenda.cursor SET last_seq = %s WHERE partition = %s", last + 1000, partition)
        broken(planted, "cursor beyond the stream")
        planted.sql("UPDATE agenda.cursor AS c SET last_seq = k.last_seq, last_request = k.last_request"
                    " FROM kept.cursor AS k WHERE k.partition = c.partition")
    finally:
        planted.start("actor-booking")
    url = answer.json["request_id"]
    wait_until(lambda: planted.get(f"/appointments/requests/{url}", h.second).json["status"] == "booked", 10,
               "the request is decided after all")
    for t in TABLES:                            # that is true history now
        planted.sql(f"DROP TABLE kept.{t}")
        planted.sql(f"CREATE TABLE kept.{t} AS TABLE agenda.{t}")


def test_a_false_blocker_is_found(planted):
    planted.sql("UPDATE agenda.request SET blocked_by = %s WHERE code = 'slot_taken'", planted.history.again["id"])
    broken(planted, "refused for a false reason")


def test_a_blocker_that_was_already_gone_is_found(planted):
    """Freed before the refusal: the slot was free, and the refusal wrong."""
    planted.sql("UPDATE agenda.appointment SET status = 'cancelled', cancelled_by = 'patient', cancelled_at = now(),"
                " freed_seq = granted_seq, freed_batch = granted_batch WHERE id = %s", planted.history.won["id"])
    broken(planted, "refused for a false reason")


def test_a_slot_granted_before_it_was_left_is_found(planted):
    planted.sql("UPDATE agenda.move AS m SET freed_batch = a.granted_batch + 1 FROM agenda.appointment AS a"
                " WHERE m.appointment_id = %s AND a.id = %s", planted.history.moved["id"], planted.history.left["id"])
    broken(planted, "slot booked twice")


def test_a_patient_in_two_places_before_one_of_them_was_left_is_found(planted):
    planted.sql("UPDATE agenda.move AS m SET starts = a.starts, ends = a.ends, patient_id = a.patient_id"
                "  FROM agenda.appointment AS a WHERE a.id = %s", planted.history.again["id"])
    broken(planted, "patient in two places")


def test_a_move_that_did_not_happen_is_found(planted):
    """The request says so, and the appointment is where it was."""
    planted.sql("UPDATE agenda.appointment AS a SET slot_id = m.slot_id, starts = m.starts, ends = m.ends,"
                " granted_seq = m.granted_seq, granted_batch = m.granted_batch, status = 'concluded', freed_seq = m.freed_seq,"
                " freed_batch = m.freed_batch FROM agenda.move AS m WHERE m.appointment_id = a.id")
    planted.sql("DELETE FROM agenda.move")
    broken(planted, "booked, and not there")


def test_a_move_that_nobody_asked_for_is_found(planted):
    planted.sql("UPDATE agenda.request SET moved = NULL WHERE moved")
    broken(planted, "there, and never asked for")


def test_a_slot_left_for_no_other_is_found(planted):
    planted.sql("UPDATE agenda.move SET freed_seq = freed_seq - 1, freed_batch = freed_batch")
    broken(planted, "there, and never asked for")


def test_an_appointment_that_is_over_and_still_holds_its_slot_is_found(planted):
    planted.sql("UPDATE agenda.appointment SET status = 'concluded' WHERE id = %s", planted.history.left["id"])
    broken(planted, "there, and never asked for")


def test_a_slot_that_was_said_to_be_booked_and_was_not_is_found(planted):
    planted.sql("UPDATE agenda.request SET blocked_by = %s WHERE code = 'slot_booked'", planted.history.left["id"])
    broken(planted, "refused for a false reason")


def test_an_outcome_without_its_effect_is_found(planted):
    planted.sql("DELETE FROM agenda.appointment WHERE id = %s", planted.history.again["id"])
    broken(planted, "booked, and not there")


def plant_refusal(stack, code, slot, blocker):
    """A refusal that never was, in a sequence and batch of its own."""
    stack.sql("INSERT INTO agenda.request (id, doctor_id, user_id, slot_id, body_hash, status, code, blocked_by, outcome,"
              " partition, stream_seq, stream_time, batch_id, decided_at) SELECT gen_random_uuid(), doctor_id, user_id, %s,"
              " body_hash, 'rejected', %s, %s, outcome, partition, stream_seq + 1000, stream_time + interval '1 hour',"
              " batch_id + 1000, decided_at FROM agenda.request WHERE appointment_id = %s AND status = 'booked'",
              slot, code, blocker, stack.history.won["id"])


def test_a_patient_who_was_busy_at_another_hour_is_found(planted):
    plant_refusal(planted, "patient_busy", planted.history.slots[2], planted.history.won["id"])
    broken(planted, "refused for another slot")


def test_a_patient_who_was_busy_at_that_hour_is_no_violation(planted):
    plant_refusal(planted, "patient_busy", planted.history.slots[0], planted.history.won["id"])
    planted.verify()


def test_a_refusal_about_a_slot_that_was_edited_since_is_not_judged(planted):
    h = planted.history
    plant_refusal(planted, "patient_busy", h.slots[2], h.won["id"])
    broken(planted, "refused for another slot")
    plant_refusal(planted, None, h.slots[2], None)
    planted.sql("UPDATE agenda.request SET status = 'done', stream_seq = stream_seq + 1, batch_id = batch_id + 1"
                " WHERE status = 'rejected' AND code IS NULL")
    planted.verify()


def test_a_slot_that_was_said_to_be_inactive_and_is_active_is_found(planted):
    plant_refusal(planted, "slot_inactive", planted.history.slots[2], None)
    broken(planted, "refused for another slot")


def test_a_cancel_that_was_told_and_changed_nothing_is_found(planted):
    planted.sql("DROP INDEX agenda.appointment_patient_once")
    planted.sql("UPDATE agenda.appointment SET status = 'waiting_for_confirmation', freed_seq = NULL, freed_batch = NULL,"
                " cancelled_by = NULL, cancelled_at = NULL, cancelled_reason = NULL, slot_id = 100000"
                " WHERE status = 'cancelled'")
    broken(planted, "ended, and goes on")


def test_a_slot_that_was_freed_though_nobody_asked_for_that_is_found(planted):
    planted.sql("UPDATE agenda.appointment SET freed_seq = freed_seq + 1 WHERE status = 'cancelled'")
    broken(planted, "freed, and nobody asked")


def test_a_clock_that_was_set_back_is_no_violation(planted):
    planted.sql("UPDATE agenda.request SET stream_time = stream_time - interval '1 minute'"
                " WHERE stream_seq = (SELECT max(stream_seq) FROM agenda.request)")
    planted.verify()


def test_what_it_depends_on_being_away_is_69_and_a_wrong_option_2(own):
    begun = time.monotonic()
    own.stop("nats")
    try:
        done = own.healthmed("verify", check=False)
        assert done.returncode == 69 and "NATS" in done.stderr, done.stderr
        assert time.monotonic() - begun < 20
    finally:
        own.up()
    assert own.healthmed("verify", "--wrong", check=False).returncode == 2
