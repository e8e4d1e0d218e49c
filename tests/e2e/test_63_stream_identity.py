"""A stream that is not the one the cursors remember: it is noticed, told once, and survived."""
import json
import shutil
import uuid

import pytest

from stack import Stack, wait_until


@pytest.fixture(scope="module")
def own():
    """A stack whose broker forgets."""
    with Stack() as stack:
        yield stack


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def accept(stack, patient, slot, doctor):
    """Books without waiting, as soon as the broker takes it: the id of the request."""
    def accepted():
        answer = book(stack, patient, slot, doctor, headers={"Prefer": "respond-async"})
        return answer.status == 202 and answer.json["request_id"]
    return wait_until(accepted, 10, "the broker takes it")


def status(stack, request_id, patient):
    def decided():
        told = stack.get(f"/appointments/requests/{request_id}", patient).json["status"]
        return told != "pending" and told
    return wait_until(decided, 10, f"{request_id} is decided")


def alarms(stack):
    """Why, of each alarm so far."""
    return [json.loads(line)["why"] for line in stack.log("actor-booking").splitlines() if '"stream_alarm"' in line]


def last_seq(stack):
    with stack.nats() as nats:
        return nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]


def set_back(stack, store):
    """The broker's files become what they were."""
    stack.stop("nats")
    shutil.rmtree(stack.run / "nats")
    shutil.copytree(store, stack.run / "nats")
    stack.start("nats")


@pytest.fixture
def store(own):
    """A copy of the broker's files, as they are now."""
    own.stop("nats")
    copy = own.dir / f"store-{uuid.uuid4().hex[:8]}"
    shutil.copytree(own.run / "nats", copy)
    own.up()
    yield copy
    own.up()


def test_a_recreated_stream_is_told_once_a_partition_also_where_nothing_new_comes(own):
    for _ in range(4):                      # commands in some partitions
        own.doctor_with_slots(1)
    own.stop("actor-booking")
    with own.nats() as nats:
        config = nats.js("STREAM.INFO.BOOKING")["config"]
        nats.js("STREAM.DELETE.BOOKING")
        nats.js("STREAM.CREATE.BOOKING", **config)
    used = own.sql("SELECT count(*) FROM agenda.cursor WHERE last_seq > 0")[0][0]
    before = len(alarms(own))
    own.start("actor-booking")
    wait_until(lambda: alarms(own)[before:] == ["recreated"] * used, 5, "each partition that was used is told")
    for _ in range(2):
        own.stop("actor-booking")
        own.start("actor-booking")
        wait_until(lambda: own.metric("actor-booking", "booking_partitions_owned") == 16, 5, "all are owned")
        doctor, slots = own.doctor_with_slots(1)
        assert book(own, own.patient(), slots[0], doctor).status == 201
    assert len(alarms(own)) == before + used
    own.verify()


def test_a_stream_that_was_set_back_is_noticed_and_what_was_decided_stays(own, store):
    """Its sequences end before the cursor's: what came after the copy is in the database alone."""
    doctor, slots = own.doctor_with_slots(3)
    patient, key = own.patient(), str(uuid.uuid4())
    first = book(own, patient, slots[0], doctor, key=key)
    assert first.status == 201
    ahead, before = last_seq(own), len(alarms(own))
    set_back(own, store)
    assert last_seq(own) < ahead
    own.up()
    assert "truncated" in wait_until(lambda: alarms(own)[before:], 10, "it is told")
    again = wait_until(lambda: (a := book(own, patient, slots[0], doctor, key=key)).status == 201 and a, 10, "it goes on")
    assert again.body == first.body
    assert book(own, patient, slots[1], doctor, headers={"Prefer": "wait=10"}).status == 201
    assert own.sql("SELECT count(*) FROM agenda.appointment WHERE doctor_id = %s", doctor.id) == [(2,)]
    own.verify()


def test_a_stream_that_was_set_back_and_filled_again_is_noticed_by_its_messages(own, store):
    """Its sequences are given a second time before the owner looks: the number is there, the message is another."""
    doctor, slots = own.doctor_with_slots(12, minutes=10)
    patient = own.patient()
    told = [book(own, patient, slot, doctor) for slot in slots[:3]]
    assert [a.status for a in told] == [201] * 3
    ahead = last_seq(own)
    own.stop("actor-booking")
    set_back(own, store)
    requests = []
    while last_seq(own) <= ahead:
        requests.append(accept(own, patient, slots[3 + len(requests) % 9], doctor))
    before = len(alarms(own))
    own.start("actor-booking")
    known = {"booked", "rejected"}          # of one slot each, the first is booked
    assert {status(own, id, patient) for id in requests} <= known
    assert alarms(own)[before:].count("another message") >= 1
    assert own.sql("SELECT count(*), count(DISTINCT slot_id) FROM agenda.appointment WHERE doctor_id = %s",
                   doctor.id) == [(3 + min(9, len(requests)),) * 2]
    own.verify()


def test_a_stream_whose_end_is_lost_is_noticed_while_its_owner_runs(own):
    """The file loses its last message, as after a crash of the machine; the number is not given again yet."""
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    ahead, before = last_seq(own), len(alarms(own))
    own.stop("nats")
    blocks = sorted((own.run / "nats" / "jetstream").glob("*/streams/BOOKING/msgs/*.blk"), key=lambda f: int(f.stem))
    block = [f for f in blocks if f.stat().st_size > 0][-1]
    block.write_bytes(block.read_bytes()[:-1])
    for index in block.parent.glob("*.idx"):
        index.unlink()
    own.start("nats")
    own.up()
    assert last_seq(own) < ahead
    assert wait_until(lambda: alarms(own)[before:], 10, "it is told") == ["truncated"]
    assert wait_until(lambda: (a := book(own, patient, slots[1], doctor)).status == 201 and a, 10, "it goes on")
    own.verify()


def test_a_stream_that_somebody_emptied_is_noticed_also_where_nothing_new_comes(own):
    doctor, slots = own.doctor_with_slots(2)
    patient, key = own.patient(), str(uuid.uuid4())
    first = book(own, patient, slots[0], doctor, key=key)
    assert first.status == 201
    own.stop("actor-booking")
    before = len(alarms(own))
    with own.nats() as nats:
        nats.js("STREAM.PURGE.BOOKING")
    used = own.sql("SELECT count(*) FROM agenda.cursor WHERE last_seq > 0")[0][0]
    own.start("actor-booking")
    wait_until(lambda: alarms(own)[before:] == ["truncated"] * used, 5, "each partition that was used is told")
    assert book(own, patient, slots[1], doctor, headers={"Prefer": "wait=10"}).status == 201
    again = book(own, patient, slots[0], doctor, key=key)
    assert (again.status, again.body) == (201, first.body)
    own.verify()
