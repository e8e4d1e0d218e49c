"""Many at once: first come, first served, and everybody is told the one truth."""
import json
import uuid
from collections import Counter

import pytest

from stack import Stack, at_once, cpf, wait_until

pytestmark = pytest.mark.alone
PATIENT = {"Prefer": "wait=30"}         # where a mailbox is behind, who does not say so is told 202


@pytest.fixture(scope="module")
def two():
    """Two gateways and two workers."""
    with Stack("--gateways", "2", "--workers", "2", HEALTHMED_GATEWAY_THREADS="800") as stack:
        yield stack


def patients(stack, count):
    """Tokens of that many patients who exist."""
    seeded = json.loads(stack.seed("--doctors", 0, "--patients", count, "--slots", 0))
    first = seeded["first_patient"]
    return stack.tokens("patient", first, count)


def test_of_300_patients_for_one_slot_one_has_it(two):
    doctor, (slot,) = two.doctor_with_slots(1)
    tokens = patients(two, 300)
    answers = at_once(300, lambda i: two.http("POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor.id},
                                              tokens[i], PATIENT, url=two.urls[i % 2]))
    assert Counter((a.status, a.code) for a in answers) == {(201, None): 1, (409, "slot_taken"): 299}
    two.verify()


def test_of_600_requests_for_50_slots_the_earliest_of_each_slot_wins(two):
    doctor, slots = two.doctor_with_slots(50, minutes=10)
    tokens = patients(two, 600)
    answers = at_once(600, lambda i: two.http("POST", "/appointments",
                                              {"schedule_id": slots[i % 50], "doctor_id": doctor.id}, tokens[i], PATIENT,
                                              url=two.urls[i % 2]))
    assert Counter(a.status for a in answers) == {201: 50, 409: 550}
    rows = two.sql("SELECT slot_id, status::text, stream_seq FROM agenda.request"
                   " WHERE doctor_id = %s AND status IN ('booked', 'rejected')", doctor.id)
    for slot in slots:
        of_slot = sorted((seq, status) for s, status, seq in rows if s == slot)
        assert len(of_slot) == 12
        assert [status for _, status in of_slot] == ["booked"] + ["rejected"] * 11
    two.verify()


def test_twenty_copies_over_two_gateways_are_one_request(two):
    doctor, (slot,) = two.doctor_with_slots(1)
    patient, key = two.patient(), str(uuid.uuid4())
    answers = at_once(20, lambda i: two.http("POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor.id},
                                             patient, {"Idempotency-Key": key, **PATIENT}, url=two.urls[i % 2]))
    assert {a.status for a in answers} == {201}
    assert len({a.body for a in answers}) == 1
    assert two.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", slot) == [(1,)]
    two.verify()


def test_twenty_registrations_with_one_key_are_one_account(two):
    body = {"full_name": "Ana Souza", "email": f"{uuid.uuid4().hex[:12]}@test.example", "password": "s3gredo-longo",
            "role": "patient", "document_id": cpf(), "phone": "+55 31 5550-0100"}

    def register(i):
        def ask():
            return two.http("POST", "/users", body, headers={"Idempotency-Key": "once"}, url=two.urls[i % 2])
        # On a slow machine the queue for passwords tells some to come later, as it would anybody.
        return wait_until(lambda: (a := ask()).status != 429 and a, 30, "there is room for a password")

    answers = at_once(20, register)
    assert {a.status for a in answers} == {201}, answers
    assert len({a.body for a in answers}) == 1
    assert two.sql("SELECT count(*) FROM users.account WHERE email = %s", body["email"]) == [(1,)]


def test_patients_who_book_crosswise_at_two_doctors_never_deadlock(two):
    """Two patients, two doctors, both orders, again and again: the locks are taken in one order."""
    a, b = two.doctor_with_slots(20, days=2), two.doctor_with_slots(20, days=3)
    people = [two.patient(), two.patient()]

    def one(i):
        doctor, slots = (a, b)[i % 2]
        return two.post("/appointments", people[(i // 2) % 2], schedule_id=slots[i // 4], doctor_id=doctor.id)

    answers = at_once(80, one)
    assert {x.status for x in answers} <= {201, 409}, answers
    assert Counter(x.status for x in answers)[201] == 40
    assert sum(two.metric(w, "booking_retries_total") for w in ("actor-booking", "actor-booking-2")) == 0
    two.verify()
