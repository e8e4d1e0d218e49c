"""What a worker holds while it decides, seen from outside: the test itself holds a lock, and looks who waits."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from stack import Stack, wait_until


@pytest.fixture(scope="module")
def own():
    """A stack whose one worker is made to wait."""
    with Stack() as stack:
        yield stack


@contextmanager
def transaction(stack):
    """A cursor of a transaction that stays open as long as the block; releases its locks in any case."""
    connection = psycopg2.connect(stack.env["DATABASE_URL"])
    try:
        yield connection.cursor()
    finally:
        connection.close()


def lock(cursor, *people):
    for person in people:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (person.id,))


def ask(stack, patient, slot, doctor):
    """Books without waiting for the outcome: the id of the request."""
    answer = stack.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=slot,
                        doctor_id=doctor.id)
    assert answer.status == 202, answer
    return answer.json["request_id"]


def status(stack, request_id, patient, seconds=10):
    """The status of a request once it is decided."""
    def decided():
        answer = stack.get(f"/appointments/requests/{request_id}", patient)
        assert answer.status == 200, answer
        return answer.json["status"] if answer.json["status"] != "pending" else None
    return wait_until(decided, seconds, f"{request_id} is decided")


def await_waiter(stack, person):
    """Until the worker waits for the lock of somebody."""
    wait_until(lambda: stack.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
                                 person.id), 5, f"the worker waits for patient {person.id}")


def test_a_patient_is_decided_about_by_one_worker_at_a_time(own):
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    with transaction(own) as other:
        lock(other, patient)
        request = ask(own, patient, slots[0], doctor)
        await_waiter(own, patient)
        assert own.get(f"/appointments/requests/{request}", patient).json["status"] == "pending"
    assert status(own, request, patient) == "booked"


def test_the_patients_of_a_batch_are_locked_in_one_order_whichever_came_first(own):
    doctor, slots = own.doctor_with_slots(3)
    low, high, before = own.patient(), own.patient(), own.patient()
    assert low.id < high.id
    with transaction(own) as first, transaction(own) as held, transaction(own) as probe:
        lock(first, before)
        lock(held, low)
        requests = [(before, ask(own, before, slots[0], doctor))]
        await_waiter(own, before)
        requests += [(p, ask(own, p, s, doctor)) for p, s in ((high, slots[1]), (low, slots[2]))]
        first.connection.rollback()             # now both are taken, as one batch
        await_waiter(own, low)
        probe.execute("SELECT pg_try_advisory_xact_lock(%s)", (high.id,))
        assert probe.fetchone() == (True,), "the worker holds the higher one and waits for the lower"
    assert [status(own, request, patient) for patient, request in requests] == ["booked"] * 3


def test_a_statement_that_is_cancelled_is_no_verdict(own):
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    with transaction(own) as other:
        lock(other, patient)
        request = ask(own, patient, slots[0], doctor)
        await_waiter(own, patient)
        assert own.sql("SELECT pg_cancel_backend(pid) FROM pg_locks"
                       " WHERE locktype = 'advisory' AND NOT granted AND objid = %s", patient.id) == [(True,)]
        wait_until(lambda: '"sqlstate":"57014"' in own.log("actor-booking"), 5, "the batch has failed")
    assert status(own, request, patient) == "booked"


def test_a_worker_whose_cursor_another_has_moved_reads_anew_before_it_commits(own):
    """It believes to have decided what the database knows nothing of: going on would lose that for good."""
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    forgotten = ask(own, patient, slots[0], doctor)
    assert status(own, forgotten, patient) == "booked"
    partition = own.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]
    assert '"cursor moved"' not in own.log("actor-booking")
    with transaction(own) as other:
        other.execute("SELECT FROM agenda.cursor WHERE partition = %s FOR UPDATE", (partition,))
        request = ask(own, patient, slots[1], doctor)
        wait_until(lambda: own.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'healthmed_booking'"
                                   " AND wait_event_type = 'Lock'"), 5, "the worker waits for its cursor")
        other.execute("DELETE FROM agenda.request WHERE slot_id = %s AND status = 'booked'", (slots[0],))
        other.execute("DELETE FROM agenda.appointment WHERE slot_id = %s", (slots[0],))
        other.execute("""UPDATE agenda.cursor SET (last_seq, last_time, last_request) =
                             (SELECT stream_seq, stream_time, id FROM agenda.request
                               WHERE partition = %s ORDER BY stream_seq DESC LIMIT 1)
                          WHERE partition = %s""", (partition, partition))
        other.connection.commit()
    assert status(own, request, patient) == "booked"
    assert status(own, forgotten, patient) == "booked"
    own.verify()
    assert f'"partition":{partition},"why":"cursor moved"' in own.log("actor-booking")


def test_a_move_waits_for_the_mailbox_that_it_leaves(own):
    """Both cursors are locked: numbers of batches order what becomes free there and who has it next."""
    def partition(doctor):
        return own.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]

    former, (old,) = own.doctor_with_slots(1)
    doctor, (new,) = own.doctor_with_slots(1)
    while partition(doctor) == partition(former):
        doctor, (new,) = own.doctor_with_slots(1)
    patient = own.patient()
    id = own.post("/appointments", patient, schedule_id=old, doctor_id=former.id).json["id"]
    with transaction(own) as other:
        other.execute("SELECT FROM agenda.cursor WHERE partition = %s FOR UPDATE", (partition(former),))
        answer = own.http("PUT", f"/appointments/{id}", {"schedule_id": new, "doctor_id": doctor.id}, patient,
                          {"Prefer": "respond-async"})
        assert answer.status == 202, answer
        wait_until(lambda: own.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'healthmed_booking'"
                                   " AND wait_event_type = 'Lock'"), 5, "the worker waits for the other cursor")
        assert own.get(f"/appointments/{id}", patient).json["doctor_id"] == former.id
    assert status(own, answer.json["request_id"], patient) == "done"
    assert own.get(f"/appointments/{id}", patient).json["doctor_id"] == doctor.id


def test_the_promises_hold_after_all_this(own):
    own.verify()


@contextmanager
def in_the_middle(stack):
    """Within the block whatever is decided cannot be written yet: all was read for it, nothing is committed."""
    with transaction(stack) as other:
        other.execute("LOCK TABLE agenda.request IN SHARE MODE")
        yield


def waiting(stack):
    """How many sessions of the mailbox wait for a lock."""
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'healthmed_booking' AND wait_event_type = 'Lock'")[0][0]


@pytest.mark.parametrize("who", ["patient", "doctor"])
def test_an_erasure_waits_for_what_is_being_decided_and_ends_that_too(own, who):
    doctor, (slot,) = own.doctor_with_slots(1)
    patient = own.patient()
    leaver = {"patient": patient, "doctor": doctor}[who]
    with in_the_middle(own):
        ask(own, patient, slot, doctor)
        wait_until(lambda: waiting(own) == 1, 5, "the worker has decided and cannot write")
        assert own.http("DELETE", "/users/me", token=leaver).status == 204
        wait_until(lambda: waiting(own) == 2, 5, "the erasure waits for it")
        assert own.sql("SELECT user_id FROM agenda.erased WHERE user_id = %s", leaver.id) == []
    found = "SELECT status::text, cancelled_by FROM agenda.appointment WHERE slot_id = %s"
    wait_until(lambda: own.sql(found, slot) == [("cancelled", "system")], 10, "it is cancelled")
    if who == "doctor":
        wait_until(lambda: own.sql("SELECT active FROM agenda.slot WHERE id = %s", slot) == [(False,)], 10, "the slot is closed")
    own.verify()


@pytest.mark.parametrize("who", ["patient", "doctor"])
def test_an_erasure_waits_for_a_reason_that_is_being_given_and_forgets_that_too(own, who):
    doctor, patient, visit = own.visit(state="waiting_for_confirmation")
    leaver = {"patient": patient, "doctor": doctor}[who]
    with in_the_middle(own):
        asked = own.post(f"/appointments/{visit}/cancel", leaver, headers={"Prefer": "respond-async"}, reason="a long story")
        assert asked.status == 202
        wait_until(lambda: waiting(own) == 1, 5, "the worker has decided and cannot write")
        assert own.http("DELETE", "/users/me", token=leaver).status == 204
        wait_until(lambda: waiting(own) == 2, 5, "the erasure waits for it")
    found = """SELECT a.cancelled_by, a.cancelled_reason, bool_or(position('long story' IN r.outcome) > 0)
                 FROM agenda.appointment AS a JOIN agenda.request AS r ON r.appointment_id = a.id
                WHERE a.id = %s GROUP BY a.id"""
    wait_until(lambda: own.sql(found, visit) == [(who, None, False)], 10, "it was cancelled, and nobody knows why")
    own.verify()


def test_a_report_that_is_being_attested_does_not_bring_back_a_reason_that_is_forgotten(own):
    """The appointment was read with its reason, is written with it, and told with it."""
    doctor, patient, visit = own.visit(state="confirmed")
    assert own.post(f"/appointments/{visit}/cancel", patient, reason="a long story").status == 200
    with ThreadPoolExecutor() as pool:
        with in_the_middle(own):
            report = pool.submit(own.post, f"/appointments/{visit}/medical-reports", doctor, comment="Did not come.")
            wait_until(lambda: waiting(own) == 1, 5, "the worker has decided and cannot write")
            own.sql("INSERT INTO agenda.erased (user_id) VALUES (%s)", patient.id)
            wait_until(lambda: waiting(own) == 2, 5, "who forgets waits for it")
        assert report.result().status == 201
    found = """SELECT a.cancelled_reason, a.reported_at IS NOT NULL, count(*), bool_or(position('long story' IN r.outcome) > 0)
                 FROM agenda.appointment AS a JOIN agenda.request AS r ON r.appointment_id = a.id
                WHERE a.id = %s GROUP BY a.id"""
    wait_until(lambda: own.sql(found, visit) == [(None, True, 4, False)], 10, "the report stays, the reason does not")
    own.verify()
