"""Partitions go from one worker to another: the dead, the frozen, those that come and those that leave."""
import itertools
import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import psycopg2
import pytest

from stack import Stack, at_once, wait_until

pytestmark = pytest.mark.alone

WORKERS = ("actor-booking", "actor-booking-2")
DOCTORS, SLOTS = 64, 400


@pytest.fixture(scope="module")
def two():
    """Two workers, and a doctor of each partition, or nearly so."""
    with Stack("--workers", "2") as stack:
        made = json.loads(stack.seed("--doctors", DOCTORS, "--patients", 16, "--slots", SLOTS, "--minutes", 5))
        stack.patients = stack.tokens("patient", made["first_patient"], 16)
        stack.free = {made["first_doctor"] + d: iter(range(made["first_slot"] + d * SLOTS, made["first_slot"] + (d + 1) * SLOTS))
                      for d in range(DOCTORS)}
        for doctor in stack.free:
            book(stack, doctor, 0)
        stack.of_each = [d for (d,) in stack.sql("SELECT min(doctor_id) FROM agenda.request GROUP BY partition")]
        assert len(stack.of_each) >= 12
        yield stack


def book(stack, doctor, patient, prefer="wait=20"):
    return stack.http("POST", "/appointments", {"schedule_id": next(stack.free[doctor]), "doctor_id": doctor},
                      stack.patients[patient], {"Prefer": prefer})


def book_everywhere(stack):
    """One booking in each partition at once; all are decided."""
    answers = at_once(len(stack.of_each), lambda i: book(stack, stack.of_each[i], i))
    assert {getattr(a, "status", a) for a in answers} <= {201, 409}, answers        # a patient may be busy
    return time.monotonic()


def owned(stack, *names):
    return [stack.metric(name, "booking_partitions_owned") for name in names]


def even(stack):
    wait_until(lambda: owned(stack, *WORKERS) == [8, 8], 10, "each has half")


def test_a_dead_workers_partitions_are_decided_by_the_other_within_two_seconds(two, capsys):
    """From the kill to the outcome of a booking in the slowest of the partitions, several times."""
    took = []
    for i in range(6):
        even(two)
        victim = WORKERS[i % 2]
        begun = time.monotonic()
        os.kill(two.pid(victim), signal.SIGKILL)
        took.append(book_everywhere(two) - begun)
        two.start(victim)
    with capsys.disabled():
        print(f"\nfrom kill -9 of a worker to outcomes in all partitions: {' '.join(f'{t:.2f}' for t in took)} s")
    assert sorted(took)[len(took) // 2] < 2, took
    two.verify()


def test_a_frozen_owner_loses_its_partitions_within_three_seconds_and_changes_nothing_when_it_wakes(two, capsys):
    took = []
    for name in WORKERS:
        even(two)
        begun = time.monotonic()
        os.kill(two.pid(name), signal.SIGSTOP)
        try:
            took.append(book_everywhere(two) - begun)
        finally:
            os.kill(two.pid(name), signal.SIGCONT)
        assert book_everywhere(two)
    with capsys.disabled():
        print(f"\nfrom SIGSTOP of a worker to outcomes in all partitions: {' '.join(f'{t:.2f}' for t in took)} s")
    assert min(took) < 3, took
    even(two)
    two.verify()


@contextmanager
def held(stack, patient):
    """The test has the lock of a patient, until the block lets it go."""
    connection = psycopg2.connect(stack.env["DATABASE_URL"])
    try:
        connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (patient.id,))
        yield connection.rollback
    finally:
        connection.close()


def test_an_owner_that_is_frozen_between_reading_and_writing_commits_nothing(two):
    """It has read the agenda; another takes over, decides the same command, and is believed."""
    doctor, (slot,) = two.doctor_with_slots(1)
    patient, late = two.patient(), two.patient()
    even(two)
    with held(two, patient) as let_go:
        asked = two.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=slot, doctor_id=doctor.id)
        wait_until(lambda: two.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s",
                                   patient.id), 5, "the owner waits for the lock")
        frozen = [two.pid(name) for name in WORKERS]        # both: one of them is the owner
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        let_go()
    try:
        wait_until(lambda: two.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)], 5,
                   "both have lost their sessions, one of them in the middle of a transaction")
        assert two.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", slot) == [(0,)]
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    path = f"/appointments/requests/{asked.json['request_id']}"
    wait_until(lambda: two.get(path, patient).json["status"] == "booked", 10, "it is decided")
    answer = two.post("/appointments", late, headers={"Prefer": "wait=20"}, schedule_id=slot, doctor_id=doctor.id)
    assert answer.code == "slot_taken"
    assert two.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", slot) == [(1,)]
    two.verify()


def test_workers_come_and_go_under_a_load_and_the_order_of_each_doctor_has_no_gap(two):
    end, asked = threading.Event(), []

    def load(patient):
        for doctor in itertools.cycle(two.free):
            if end.is_set():
                return
            asked.append(book(two, doctor, patient, "respond-async").status)
            end.wait(0.01)
    clients = [threading.Thread(target=load, args=(p,)) for p in range(3)]
    for c in clients:
        c.start()
    try:
        names = [*WORKERS, "actor-booking-3"]
        for _ in range(2):
            two.stack("up", "--workers", 3)
            wait_until(lambda: sorted(owned(two, *names)) == [5, 5, 6], 10, "each has its share")
            two.kill("actor-booking-3")
            even(two)
            two.stop("actor-booking-2")
            wait_until(lambda: owned(two, "actor-booking") == [16], 10, "one has all")
            two.start("actor-booking-2")
            even(two)
    finally:
        end.set()
        for c in clients:
            c.join()
    assert set(asked) == {202} and len(asked) > 50, asked
    wait_until(lambda: " 0 pending" in two.verify(), 20, "all is decided")
