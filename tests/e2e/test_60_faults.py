"""What must not matter: killed workers, messages that are none, a stream that is lost."""
import base64
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from datetime import datetime, timezone

import pytest

from stack import BIN, Stack, at_once, wait_until

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def own():
    """A stack to be broken."""
    with Stack() as stack:
        yield stack


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def outcome(stack, request_id, patient, seconds=10):
    """The decided state of a request."""
    def decided():
        answer = stack.get(f"/appointments/requests/{request_id}", patient)
        assert answer.status == 200, answer
        return answer.json if answer.json["status"] != "pending" else None
    return wait_until(decided, seconds, f"{request_id} is decided")


def partition_of(stack, doctor):
    return stack.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]


@pytest.mark.slow       # its seconds are those of a build without ThreadSanitizer
def test_ten_kills_of_the_worker_during_a_load_lose_nothing(own):
    """Every 201 and 202 ends in exactly one outcome; the first booking after a restart within 2 s."""
    doctors = [own.doctor_with_slots(60, days=1 + i, minutes=20) for i in range(4)]
    first_doctor, first_slots = own.doctor_with_slots(10, days=6, minutes=20)
    people, first = [own.patient() for _ in range(8)], own.patient()
    work = [(doctor, slot) for k in range(60) for doctor, slots in doctors for slot in [slots[k]]]
    answers, lock, end = [], threading.Lock(), threading.Event()

    def client(i):
        while not end.is_set():
            with lock:
                if not work:
                    return
                doctor, slot = work.pop(0)
            key = str(uuid.uuid4())
            answer = own.http("POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor.id}, people[i],
                              {"Idempotency-Key": key, "Prefer": "wait=3"})
            with lock:
                answers.append((people[i], answer))

    clients = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for c in clients:
        c.start()
    try:
        for slot in first_slots:
            own.kill("actor-booking")
            # Asked while the worker is dead; timed from the first line of the new process.
            booked, at = at_once(2, lambda i, slot=slot: own.start("actor-booking") if i else (own.post(
                "/appointments", first, headers={"Prefer": "wait=20"}, schedule_id=slot, doctor_id=first_doctor.id),
                datetime.now(timezone.utc)))[0]
            begun = [json.loads(line)["time"] for line in own.log("actor-booking").splitlines() if '"event":"starting"' in line][-1]
            took = (at - datetime.fromisoformat(begun.replace("Z", "+00:00"))).total_seconds()
            assert booked.status == 201 and 0 < took < 2, (booked, took)
    finally:
        end.set()
        for c in clients:
            c.join()
    statuses = {a.status for _, a in answers}
    assert statuses <= {201, 202, 409, 504}, statuses
    for patient, answer in answers:
        if answer.status == 201:
            assert own.get(f"/appointments/{answer.json['id']}", patient).status == 200
        elif answer.status == 202:
            assert outcome(own, answer.json["request_id"], patient)["status"] in ("booked", "rejected")
    assert sum(a.status in (201, 202) for _, a in answers) > 20
    wait_until(lambda: " 0 pending" in own.verify(), 10, "nothing is pending")


def test_messages_that_are_no_commands_become_dead_letters_and_the_partition_goes_on(own):
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    partition = partition_of(own, doctor)
    subject = f"healthmed.v1.booking.{partition}.{doctor.id}"
    dead = own.sql("SELECT count(*) FROM agenda.dead_letter")[0][0]
    with own.nats() as nats:
        last = nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]
        real = nats.js("STREAM.MSG.GET.BOOKING", last_by_subj=subject)["message"]
        nats.stored("BOOKING", subject, b"\xdf\xff\xff\xff\xff", {"Healthmed-Call": "booking.book"})
        nats.stored("BOOKING", subject, b"", {})
        nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.{10**15}", b"junk", {})
        nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.not-a-number", b"junk", {})
        assert nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"] == last + 4 and real
    begun = time.monotonic()
    assert book(own, patient, slots[1], doctor).status == 201
    assert time.monotonic() - begun < 2
    assert own.sql("SELECT count(*) FROM agenda.dead_letter")[0][0] == dead + 4
    listed = wait_until(lambda: (out := own.healthmed("dead-letters", "ls")).count("\n") >= 5 and out, 5,
                        "the letters are in the stream")
    assert "no request id" in listed and "foreign subject" in listed
    own.verify()


def test_an_answer_goes_to_inboxes_alone_and_a_malformed_one_costs_no_connection(own):
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    subject = f"healthmed.v1.booking.{partition_of(own, doctor)}.{doctor.id}"
    before = own.log("actor-booking").count("bus_error")
    with own.nats() as admin, own.nats("gateway") as gateway:
        real = admin.js("STREAM.MSG.GET.BOOKING", last_by_subj=subject)["message"]
        headers = dict(line.split(": ", 1) for line in base64.b64decode(real["hdrs"]).decode().split("\r\n")[1:] if line)
        heard = admin.subscribe("healthmed.v1.events.planted.>")
        for inbox in ("a b c d e", "", "x", "_INBOX.>", "_INBOX.a..b", "_INBOX.a.", "_INBOX.a b",
                      "$JS.API.STREAM.INFO.BOOKING", "healthmed.v1.events.planted.x.1", "healthmed.v1.forbidden"):
            gateway.publish(subject, base64.b64decode(real["data"]), {**headers, "Healthmed-Inbox": f"{inbox} 5"})
        gateway.flush()
        assert book(own, patient, slots[1], doctor).status == 201
        assert heard.all() == []
    assert own.log("actor-booking").count("bus_error") == before
    assert own.metric("actor-booking", "bus_reconnects_total") == 0
    own.verify()


def test_a_truncated_command_of_a_patient_fails_and_its_copies_hear_the_same(own):
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    own.stop("actor-booking")
    try:
        answer = own.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=slots[0],
                          doctor_id=doctor.id)
        assert answer.status == 202, answer
        with own.nats() as nats:
            raw = nats.js("STREAM.MSG.GET.BOOKING",
                          seq=nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"])["message"]
            headers = dict(line.split(": ", 1) for line in base64.b64decode(raw["hdrs"]).decode().split("\r\n")[1:] if line)
            body = base64.b64decode(raw["data"])
            nats.js("STREAM.MSG.DELETE.BOOKING", seq=raw["seq"])
            nats.stored("BOOKING", raw["subject"], body[:-1], headers)
    finally:
        own.start("actor-booking")
    told = outcome(own, answer.json["request_id"], patient)
    assert (told["status"], told["code"], told["appointment_id"]) == ("failed", "failed", None)
    own.verify()


def test_a_command_the_database_refuses_is_found_by_bisecting_and_the_others_are_decided(own):
    doctor, slots = own.doctor_with_slots(12, minutes=10)
    people = [own.patient() for _ in range(12)]
    bad = people[5]
    own.sql(f"ALTER TABLE agenda.appointment ADD CONSTRAINT planted CHECK (patient_id <> {bad.id})")
    own.stop("actor-booking")
    try:
        pending = [own.post("/appointments", p, headers={"Prefer": "respond-async"}, schedule_id=slot,
                            doctor_id=doctor.id) for p, slot in zip(people, slots)]
        assert {a.status for a in pending} == {202}
    finally:
        own.start("actor-booking")
    try:
        told = [outcome(own, a.json["request_id"], p)["status"] for a, p in zip(pending, people)]
        assert told == ["booked"] * 5 + ["failed"] + ["booked"] * 6
    finally:
        own.sql("ALTER TABLE agenda.appointment DROP CONSTRAINT planted")
    own.verify()


def test_an_outage_of_the_database_judges_nothing(own):
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    own.stop("postgres")
    try:
        answer = own.post("/appointments", patient, headers={"Prefer": "wait=1"}, schedule_id=slots[1],
                          doctor_id=doctor.id)
        assert answer.status == 202, answer
    finally:
        own.start("postgres")
        own.up()
    assert outcome(own, answer.json["request_id"], patient)["status"] == "booked"
    own.verify()


def test_a_stream_deleted_and_recreated_is_alarmed_and_nothing_is_decided_twice(own):
    doctor, slots = own.doctor_with_slots(3)
    patient = own.patient()
    key = str(uuid.uuid4())
    first = own.post("/appointments", patient, key=key, schedule_id=slots[0], doctor_id=doctor.id)
    assert first.status == 201
    before = own.sql("SELECT count(*) FROM agenda.appointment")[0][0]
    alarms = own.metric("actor-booking", "booking_stream_alarms_total")
    with own.nats() as nats:
        config = nats.js("STREAM.INFO.BOOKING")["config"]
        nats.js("STREAM.DELETE.BOOKING")
        nats.js("STREAM.CREATE.BOOKING", **config)
    again = own.post("/appointments", patient, key=key, headers={"Prefer": "wait=10"}, schedule_id=slots[0],
                     doctor_id=doctor.id)
    assert (again.status, again.body) == (201, first.body)
    assert book(own, patient, slots[1], doctor, headers={"Prefer": "wait=10"}).status == 201   # it was behind just now
    assert own.metric("actor-booking", "booking_stream_alarms_total") > alarms
    assert own.sql("SELECT count(*) FROM agenda.appointment")[0][0] == before + 1
    own.verify()


def test_what_lies_in_a_stream_that_nobody_has_met_yet_is_pending(own):
    """Its sequence is one that the cursor passed, in another stream."""
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    own.stop("actor-booking")
    try:
        with own.nats() as nats:
            config = nats.js("STREAM.INFO.BOOKING")["config"]
            nats.js("STREAM.DELETE.BOOKING")
            nats.js("STREAM.CREATE.BOOKING", **config)
        answer = wait_until(lambda: (a := book(own, patient, slots[1], doctor, headers={"Prefer": "respond-async"})).status == 202 and a,
                            10, "the stream is back")
        assert "1 messages, 1 pending" in own.verify()
    finally:
        own.start("actor-booking")
    assert outcome(own, answer.json["request_id"], patient)["status"] == "booked"
    wait_until(lambda: " 0 pending" in own.verify(), 10, "nothing is pending")


def test_a_stream_that_is_only_deleted_is_made_again(own):
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    with own.nats() as nats:
        nats.js("STREAM.DELETE.BOOKING")

    def booked():
        answer = book(own, patient, slots[0], doctor, headers={"Prefer": "wait=10"})
        assert answer.status in (201, 503), answer
        return answer.status == 201
    wait_until(booked, 10, "bookings go on")
    own.verify()


def test_a_stream_that_could_lose_commands_is_not_worked_on_until_it_is_mended(own):
    doctor, slots = own.doctor_with_slots(1)
    with own.nats() as nats:
        right = nats.js("STREAM.INFO.BOOKING")["config"]
        nats.js("STREAM.UPDATE.BOOKING", **{**right, "max_age": 10**15, "max_bytes": right["max_bytes"] * 2})
        try:
            own.kill("actor-booking")
            own.environment["STACK_PATIENCE"] = "1"     # to be well it waits in vain
            own.stack("start", "actor-booking", check=False)
            del own.environment["STACK_PATIENCE"]
            wait_until(lambda: "breaks promises" in own.log("actor-booking"), 30, "it says what is wrong")
            status, told = own.admin("actor-booking", "/readyz?verbose")
            assert status == 503 and "stream BOOKING breaks promises: its max_age is 1000000000000000, and must be 0" in told
        finally:
            nats.js("STREAM.UPDATE.BOOKING", **{**right, "max_bytes": right["max_bytes"] * 2})
        own.up()
        assert book(own, own.patient(), slots[0], doctor).status == 201
        assert nats.js("STREAM.INFO.BOOKING")["config"]["max_bytes"] == right["max_bytes"], "the size is the configured one"
    own.verify()


def test_reused_sequences_are_noticed(own):
    """The file of the stream loses its end: the server forgets the last message, and gives its number again."""
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    own.stop("actor-booking")
    with own.nats() as nats:
        before = nats.js("STREAM.INFO.BOOKING")
    own.stop("nats")
    blocks = sorted((own.run / "nats" / "jetstream").glob("*/streams/BOOKING/msgs/*.blk"), key=lambda f: int(f.stem))
    block = [f for f in blocks if f.stat().st_size > 0][-1]
    block.write_bytes(block.read_bytes()[:-1])
    for index in block.parent.glob("*.idx"):
        index.unlink()
    own.start("nats")
    with own.nats() as nats:
        after = nats.js("STREAM.INFO.BOOKING")
    assert after["created"] == before["created"] and after["state"]["last_seq"] < before["state"]["last_seq"]
    alarms = own.log("actor-booking").count('"why":"another message"')
    answer = wait_until(lambda: (a := book(own, patient, slots[1], doctor, headers={"Prefer": "respond-async"})).status == 202 and a,
                        10, "the gateway is back")
    with own.nats() as nats:                    # another message has the number that the cursor remembers
        assert nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"] >= before["state"]["last_seq"]
    own.up()
    assert outcome(own, answer.json["request_id"], patient)["status"] == "booked"
    assert own.log("actor-booking").count('"why":"another message"') == alarms + 1
    own.verify()


def test_a_frozen_owner_loses_its_partitions_and_commits_nothing_when_it_wakes(own):
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    pid = own.pid("actor-booking")
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = own.post("/appointments", patient, headers={"Prefer": "wait=0"}, schedule_id=slots[1],
                          doctor_id=doctor.id)
        assert answer.status == 202
        wait_until(lambda: own.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)], 4,
                   "the frozen owner lost its session")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert outcome(own, answer.json["request_id"], patient)["status"] == "booked"
    own.verify()


def test_a_worker_that_comes_gets_its_share_and_gives_it_back(own):
    def owned(name):
        return own.metric(name, "booking_partitions_owned")
    assert owned("actor-booking") == 16
    own.stack("up", "--workers", 2)
    try:
        wait_until(lambda: owned("actor-booking") == owned("actor-booking-2") == 8, 5, "each has half")
        doctor, slots = own.doctor_with_slots(8)
        patient = own.patient()
        assert all(book(own, patient, slot, doctor).status == 201 for slot in slots)
    finally:
        own.kill("actor-booking-2")
    wait_until(lambda: owned("actor-booking") == 16, 3, "the survivor has all")
    own.verify()


def test_what_was_decided_long_ago_leaves_the_stream_but_never_the_cursors_message():
    with Stack(HEALTHMED_BOOKING_KEEP_S="1") as stack:
        doctor, slots = stack.doctor_with_slots(5)
        patient = stack.patient()
        last = [book(stack, patient, slot, doctor) for slot in slots][-1]
        assert last.status == 201
        stack.stop("actor-booking")
        time.sleep(1.1)                         # they grow older than is kept
        stack.start("actor-booking")
        with stack.nats() as nats:
            wait_until(lambda: nats.js("STREAM.INFO.BOOKING")["state"]["messages"] == 1, 10, "one message is left")
        assert stack.metric("actor-booking", "booking_stream_alarms_total") == 0
        stack.stop("actor-booking")
        stack.start("actor-booking")            # the remembered message is still there to be recognised
        assert stack.post(f"/appointments/{last.json['id']}/cancel", patient, reason="moved away").status == 200
        assert stack.metric("actor-booking", "booking_stream_alarms_total") == 0
        stack.verify()


def test_processes_whose_login_is_refused_end_in_order_and_come_back(own):
    port = dict(line.split("=") for line in (own.run / "ports").read_text().split())["nats"]
    strangers = own.dir / "strangers.conf"
    strangers.write_text(f"listen: 127.0.0.1:{port}\nauthorization {{ user: somebody, password: else }}\n")
    programs = [p.stem for p in (own.run / "pids").glob("*.pid") if p.stem.startswith(("gateway", "actor-"))]
    secrets = own.run / "secrets"
    settings = {"PATH": os.environ["PATH"], "HEALTHMED_ADMIN_LISTEN": "127.0.0.1:0", "HEALTHMED_HTTP_LISTEN": "127.0.0.1:0",
                "HEALTHMED_REQUEST_KEY_FILE": str(secrets / "request-key"), "HEALTHMED_JWT_PUBLIC_KEYS": str(own.run / "keys"),
                "HEALTHMED_AGENDA_DATABASE_URL_FILE": str(secrets / "database.url")}
    watched = []
    for role, *command in (("gateway", "gateway"), ("actor", "actor", "schedules")):
        others = ("HEALTHMED_AGENDA",) if role == "gateway" else ("HEALTHMED_HTTP", "HEALTHMED_JWT")
        one = {k: v for k, v in settings.items() if not k.startswith(others)}
        one |= {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}       # what sanitizers may pass over
        one["HEALTHMED_NATS_URL_FILE"] = str(secrets / f"nats-{role}.url")
        log = own.dir / f"watched-{role}"
        with log.open("w") as out:
            watched.append(subprocess.Popen([BIN, *command], env=one, stdout=out, stderr=out))
        wait_until(lambda log=log: '"started"' in log.read_text(), 10, f"{role} has started")
    own.stop("nats")
    server = subprocess.Popen(["nats-server", "-c", str(strangers)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    try:
        for name in programs:
            wait_until(lambda name=name: not alive(own, name), 30, f"{name} has ended")
        assert [process.wait(30) for process in watched] == [69, 69], "which is told to whoever started them"
    finally:
        for process in (server, *watched):
            process.kill()
            process.wait()
    own.up()
    doctor, slots = own.doctor_with_slots()
    assert book(own, own.patient(), slots[0], doctor).status == 201


def alive(stack, name):
    """Whether that process runs; a zombie does not."""
    try:
        return "State:\tZ" not in open(f"/proc/{stack.pid(name)}/status").read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_was_decided_long_ago_leaves_the_stream_also_under_a_load_that_never_ends():
    with Stack(HEALTHMED_BOOKING_KEEP_S="1") as stack:
        doctor, slots = stack.doctor_with_slots(1)
        patient, end = stack.patient(), threading.Event()

        def load():
            while not end.is_set():
                stack.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=slots[0],
                           doctor_id=doctor.id)
                time.sleep(0.02)                # the worker is never left without work for long
        client = threading.Thread(target=load)
        client.start()
        try:
            stack.stop("actor-booking")
            with stack.nats() as nats:
                last = nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]
                time.sleep(1.1)                 # what is there grows older than is kept
                stack.start("actor-booking")
                wait_until(lambda: nats.js("STREAM.INFO.BOOKING")["state"]["first_seq"] >= last, 10,
                           "the oldest are gone")
        finally:
            end.set()
            client.join()
        assert stack.metric("actor-booking", "booking_stream_alarms_total") == 0
