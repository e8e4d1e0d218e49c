"""What is away for a while: PostgreSQL, room in the log, the broker.  What was accepted is decided later, the rest is refused."""
import os
import shutil
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from natsclient import Timeout
from stack import Stack, at_once, wait_until

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def own():
    """A stack with a small log."""
    with Stack(HEALTHMED_BOOKING_MAX_BYTES="1048576") as stack:
        yield stack


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def status(stack, request_id, patient):
    return stack.get(f"/appointments/requests/{request_id}", patient).json["status"]


def programs(stack):
    return [p.stem for p in (stack.run / "pids").glob("*.pid") if p.stem.startswith(("gateway", "actor-"))]


def all_live(stack):
    return {stack.admin(name, "/livez")[0] for name in programs(stack)} == {200}


def test_while_postgresql_is_away_bookings_fill_the_log_and_all_of_them_are_decided_when_it_is_back(own):
    """Until the log is full: what does not fit is refused, and nobody who was told 202 is forgotten."""
    doctor, slots = own.doctor_with_slots(20, minutes=10)
    people = [own.patient() for _ in range(4)]
    assert book(own, people[0], slots[0], doctor).status == 201     # the gateway has met the doctor
    stranger = own.doctor()
    own.stop("postgres")
    try:
        begun = time.monotonic()
        assert {own.get(path, people[0]).status for path in ("/appointments", "/users/me", f"/doctors/{doctor.id}/slots")} == {503}
        assert book(own, people[0], slots[0], stranger).status == 503, "whether he exists, nobody knows"
        assert time.monotonic() - begun < 5, "at once, not after the ten seconds of a read"
        assert all_live(own)
        accepted, refused = [], []

        def client(i):
            for n in range(100000):
                answer = book(own, people[i], slots[n % 20], doctor, headers={"Prefer": "respond-async"})
                (accepted if answer.status == 202 else refused).append((people[i], answer))
                if answer.status != 202:
                    return
        at_once(4, client)
        assert {(a.status, a.code) for _, a in refused} == {(503, "unavailable")}, "the log is full"
        assert len(accepted) > 500
    finally:
        own.start("postgres")
        own.up()
    wait_until(lambda: " 0 pending" in own.verify(), 60, "all is decided")
    told = own.sql("SELECT count(*) FROM agenda.request WHERE doctor_id = %s AND slot_id IS NOT NULL"
                   " AND status IN ('booked', 'rejected') AND user_id = ANY (%s)", doctor.id, [p.id for p in people])
    assert told == [(1 + len(accepted),)], "each of them has an outcome"
    assert own.sql("SELECT count(DISTINCT slot_id), count(*) FROM agenda.appointment WHERE doctor_id = %s", doctor.id) == [(20, 20)]
    wait_until(lambda: book(own, people[0], slots[0], doctor).code == "slot_taken", 30, "what is decided gives way to what comes")
    wait_until(lambda: status(own, accepted[-1][1].json["request_id"], accepted[-1][0]) != "pending", 10, "and can be asked for")


def test_the_process_lives_and_answers_while_the_broker_is_away(own):
    patient = own.patient()
    own.stop("nats")
    try:
        assert all_live(own)
        assert {own.http("GET", path).status for path in ("//livez", "//health", "//openapi.json", "//.well-known/jwks.json")} == {200}
        answers = at_once(20, lambda i: own.get("/users/me", patient))
        assert {(a.status, a.code) for a in answers} == {(503, "unavailable")}
    finally:
        own.up()
    wait_until(lambda: own.get("/users/me", patient).status == 200, 10, "it goes on")


@contextmanager
def on_a_small_disk(stack, megabytes):
    """The broker's files on a file system of that size; gives the folder."""
    store, kept = stack.run / "nats", stack.dir / "kept"
    stack.stop("nats")
    store.rename(kept)
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", store], check=True)
    try:
        shutil.copytree(kept, store, dirs_exist_ok=True)
        stack.up()
        yield store
    finally:
        stack.stop("nats")
        shutil.rmtree(kept)
        shutil.copytree(store, kept)
        subprocess.run(["umount", store], check=True)
        store.rmdir()
        kept.rename(store)
        stack.up()


def fill(path):
    """A file that takes all there is."""
    with path.open("wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a file system")
def test_a_full_disk_of_the_broker_refuses_at_once_and_nothing_that_was_accepted_is_missing(own):
    """The server acknowledges nothing any more, and says that it is well; the first who wait find out."""
    doctor, slots = own.doctor_with_slots(36, minutes=10)
    people = [own.patient() for _ in range(36)]
    with on_a_small_disk(own, 16) as store:
        assert book(own, people[0], slots[0], doctor).status == 201
        fill(store / "filler")
        with own.nats() as nats, pytest.raises(Timeout):        # what is left of the last page
            nats.stored("BOOKING", f"healthmed.v1.booking.99.{doctor.id}", b"x" * 60000, timeout=1)
        answers = [book(own, people[1], slots[1], doctor, headers={"Prefer": "wait=1"}, key="once")]
        assert (answers[0].status, answers[0].code) == (504, "outcome_unknown"), answers
        answers = at_once(32, lambda i: book(own, people[2 + i], slots[2 + i], doctor))
        told = Counter(a.status for a in answers)
        assert set(told) <= {503, 504} and told[503] >= 16, "a few at a time try for a second, the others hear at once"
        assert own.get("/appointments", people[0]).status == 200, "reads go on"
        assert own.http("GET", "//readyz").status == 200 and own.http("GET", "//readyz?verbose").status == 503
        (store / "filler").unlink()
        own.kill("nats")                        # this release of the server has to be started anew, and does not end by itself
        own.up()
        assert wait_until(lambda: (a := book(own, people[1], slots[1], doctor, key="once")).status == 201 and a, 10, "it goes on")
        assert book(own, people[34], slots[34], doctor).status == 201
    own.verify()
