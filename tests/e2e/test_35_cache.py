"""What is read often is kept in Redis, for a moment: never somebody else's, never longer than told, never needed."""
import os
import signal
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest

from stack import Stack, wait_until

ENTRY_SECONDS = 2           # no entry lives longer


@pytest.fixture(scope="module")
def own():
    with Stack(HEALTHMED_GATEWAY_KEEP_MS="0") as stack:     # what a gateway keeps never gets as far as Redis
        yield stack


def redis(stack, *command):
    url = urlsplit(stack.env["REDIS_URL"])
    return subprocess.run(["redis-cli", "-p", str(url.port), *command], text=True, capture_output=True, check=True,
                          env={**os.environ, "REDISCLI_AUTH": url.password}).stdout.strip()


def rename(stack, who, name, **headers):
    answer = stack.http("PUT", "/users/me", {"full_name": name}, who, headers)
    assert answer.status == 200 and answer.json["full_name"] == name, answer


def kept_reads(doctor, slot_doctor, patient):
    """Each read that may come from the cache, and who asks it."""
    return {"me": ("/users/me", patient), "own doctor": ("/users/me", doctor), "page": (f"/users/doctors/{doctor.id}", patient),
            "search": (f"/users/doctors?medical_id={doctor.medical_id}", patient),
            "slots": (f"/doctors/{slot_doctor.id}/slots", patient)}


@pytest.fixture
def people(own):
    doctor, slots = own.doctor_with_slots(2, days=3)
    patient = own.patient("Kept Patient")
    wait_until(lambda: own.get(f"/users/doctors/{doctor.id}", patient).json["next_slot"], 5, "the card knows of the slots")
    return doctor, slots, patient


def test_a_second_read_is_answered_by_the_cache(own, people):
    doctor, _, patient = people
    for name, (path, who) in kept_reads(doctor, doctor, patient).items():
        actor = "actor-schedules" if name == "slots" else "actor-users"

        def hit(path=path, who=who, actor=actor):
            first, hits = own.get(path, who), own.metric(actor, "cache_hits_total")
            second = own.get(path, who)
            return second.body == first.body and second.status == 200 and own.metric(actor, "cache_hits_total") > hits

        wait_until(hit, 15, f"{name} is kept")      # not just after a change, which keeps it away for a while


def test_one_reads_what_one_wrote_also_beside_a_hundred_readers(own):
    """A reader that took the old row just before a change must not put it back after it."""
    patient, over, wrong = own.patient("Before All"), threading.Event(), []

    def read():
        while not over.is_set():
            own.get("/users/me", patient)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for thread in readers:
        thread.start()
    try:
        for n in range(40):
            rename(own, patient, f"Change {n:03}")
            for _ in range(3):
                told = own.get("/users/me", patient).json["full_name"]
                if told != f"Change {n:03}":
                    wrong.append((n, told))
    finally:
        over.set()
        for thread in readers:
            thread.join()
    assert not wrong


def test_a_change_is_seen_by_all_at_once(own, people):
    doctor, _, patient = people
    for n in range(10):
        assert own.get(f"/users/doctors/{doctor.id}", patient).status == 200
        rename(own, doctor, f"Doctor Number {n}")
        assert own.get(f"/users/doctors/{doctor.id}", patient).json["full_name"] == f"Doctor Number {n}"
    assert own.http("DELETE", "/users/me", token=doctor).status == 204
    assert own.get(f"/users/doctors/{doctor.id}", patient).code == "not_found"


def test_nobody_is_served_what_is_kept_of_another(own, people):
    """Entries under foreign keys, garbage, and half an entry: the key is in the entry, and is compared."""
    doctor, _, patient = people
    other = own.patient("Somebody Else")
    for key, foreign, read in ((f"me:{patient.id}", f"me:{other.id}", ("/users/me", other)),
                               (f"doctor:{doctor.id}", f"me:{other.id}", ("/users/me", other)),
                               (f"me:{doctor.id}", f"doctor:{doctor.id}", (f"/users/doctors/{doctor.id}", patient))):
        redis(own, "FLUSHALL")
        for path, who in (("/users/me", patient), ("/users/me", doctor), (f"/users/doctors/{doctor.id}", patient)):
            assert own.get(path, who).status == 200
        redis(own, "RENAME", key, foreign)
        redis(own, "PERSIST", foreign)
        answer = own.get(*read)
        assert answer.json["id"] == (other.id if read[1] is other else doctor.id)
        assert read[1] is other or not {"email", "phone", "document_id"} & set(answer.json)
    for garbage in ("", "\n", f"me:{other.id}\n", f"me:{other.id}\n\x7f\x7f", f"me:{patient.id}\n\x81", "x" * 100_000):
        redis(own, "SET", f"me:{other.id}", garbage)
        assert own.get("/users/me", other).json["full_name"] == "Somebody Else"
    redis(own, "DEL", f"me:{other.id}")
    redis(own, "LPUSH", f"me:{other.id}", "a list")
    assert own.get("/users/me", other).json["full_name"] == "Somebody Else"
    redis(own, "FLUSHALL")


def test_whoever_may_not_read_is_refused_whatever_is_kept(own, people):
    doctor, _, patient = people
    for path in (f"/users/doctors/{doctor.id}", f"/users/doctors?medical_id={doctor.medical_id}"):
        for _ in range(2):
            assert own.get(path, patient).status == 200
        assert own.get(path, doctor).status == 403 and own.get(path).status == 401 and own.get(path, "no.such.token").status == 401


def test_what_nobody_tells_is_seen_within_the_life_of_an_entry(own, people):
    """Somebody changes the database by hand: no fact, no fence."""
    doctor, slots, patient = people
    for name, (path, who) in kept_reads(doctor, doctor, patient).items():
        assert own.get(path, who).status == 200, name
    own.sql("UPDATE users.account SET full_name = full_name || ' Silently' WHERE id IN (%s, %s)", doctor.id, patient.id)
    own.sql("UPDATE agenda.slot SET active = false WHERE id = %s", slots[0])
    for path, who in (("/users/me", patient), ("/users/me", doctor), (f"/users/doctors/{doctor.id}", patient),
                      (f"/users/doctors?medical_id={doctor.medical_id}", patient)):
        wait_until(lambda path=path, who=who: b"Silently" in own.get(path, who).body, ENTRY_SECONDS + 1, f"{path} is read anew")
    wait_until(lambda: [s["id"] for s in own.get(f"/doctors/{doctor.id}/slots", patient).json] == [slots[1]], ENTRY_SECONDS + 1,
               "the slots are read anew")
    for key in redis(own, "KEYS", "*").split():
        assert 0 <= int(redis(own, "PTTL", key)) + 2 <= 10_002      # -2: it is gone meanwhile; never -1, for ever


def test_without_redis_everything_is_read_and_changed_as_with_it(own, people):
    doctor, slots, patient = people
    before = {name: own.get(*read).json for name, read in kept_reads(doctor, doctor, patient).items()}
    own.kill("redis")
    try:
        for _ in range(3):
            assert {name: own.get(*read).json for name, read in kept_reads(doctor, doctor, patient).items()} == before
        rename(own, patient, "Without Redis")
        assert own.get("/users/me", patient).json["full_name"] == "Without Redis"
        assert own.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).status == 201
        wait_until(lambda: [s["id"] for s in own.get(f"/doctors/{doctor.id}/slots", patient).json] == [slots[1]], 2, "it is taken")
    finally:
        own.start("redis")
    hits = own.metric("actor-users", "cache_hits_total")
    wait_until(lambda: own.get("/users/me", patient).json["full_name"] == "Without Redis" and
               own.metric("actor-users", "cache_hits_total") > hits, 15, "it is used again")


def test_a_frozen_redis_costs_little_and_what_it_held_is_soon_forgotten(own, people):
    doctor, _, patient = people
    pid = own.pid("redis")
    wait_until(lambda: redis(own, "EXISTS", f"me:{patient.id}") == "1" or own.get("/users/me", patient) is None, 15, "it is kept")
    os.kill(pid, signal.SIGSTOP)
    try:
        for n in range(12):                         # more than there are threads to find it out
            began = time.monotonic()
            for path, who in kept_reads(doctor, doctor, patient).values():
                assert own.get(path, who).status == 200
            rename(own, patient, f"While Frozen {n}")
            assert own.get("/users/me", patient).json["full_name"] == f"While Frozen {n}"
            assert time.monotonic() - began < 5
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: own.get("/users/me", patient).json["full_name"] == "While Frozen 11", ENTRY_SECONDS + 1,
               "what was kept before is gone")


def test_a_redis_that_forgets_everything_changes_nothing(own, people):
    doctor, _, patient = people
    before = {name: own.get(*read).json for name, read in kept_reads(doctor, doctor, patient).items()}
    for _ in range(5):
        redis(own, "FLUSHALL")
        assert {name: own.get(*read).json for name, read in kept_reads(doctor, doctor, patient).items()} == before
