"""The life of an appointment: confirmed or not, moved, begun, ended; by whom, from where, and once."""
import base64
import struct
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

import msgpack
import pytest

from stack import Stack, at_once, wait_until


def put(stack, path, who, key=None, headers=None, **body):
    head = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
    return stack.http("PUT", path, body, who, head)


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def move(stack, patient, id, slot, doctor, **more):
    return put(stack, f"/appointments/{id}", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def step(stack, who, id, what, **more):
    return stack.post(f"/appointments/{id}/{what}", who, **more)


def confirm(stack, doctor, id, **more):
    return step(stack, doctor, id, "confirm", **{"confirmed": True, **more})


@pytest.fixture
def visit(stack):
    """A doctor with three slots, a patient, and what he has booked."""
    doctor, slots = stack.doctor_with_slots(3, minutes=30)
    patient = stack.patient()
    return doctor, slots, patient, book(stack, patient, slots[0], doctor).json["id"]


# ---- a visit ----

def test_a_visit_is_confirmed_begun_and_concluded(stack, visit):
    doctor, slots, patient, id = visit
    seen = [stack.get(f"/appointments/{id}", patient).json]
    for what, status, field in (("confirm", "confirmed", "confirmed_at"), ("start", "in_progress", "started_at"),
                                ("conclude", "concluded", "ended_at")):
        answer = confirm(stack, doctor, id) if what == "confirm" else step(stack, doctor, id, what)
        assert (answer.status, answer.json["status"]) == (200, status), answer
        assert seen[-1][field] is None and answer.json[field] is not None
        assert answer.json["updated_at"] > seen[-1]["updated_at"]
        assert answer.json == stack.get(f"/appointments/{id}", patient).json
        seen.append(answer.json)
    assert [a["id"] for a in stack.get("/appointments?status=concluded", patient).json] == [id]
    stack.verify()


def test_a_doctor_declines_in_either_way(stack, visit):
    doctor, slots, patient, id = visit
    no = confirm(stack, doctor, id, confirmed=False, reason="férias")
    assert (no.json["status"], no.json["cancelled_by"], no.json["cancelled_reason"]) == ("cancelled", "doctor", "férias")
    second = book(stack, patient, slots[0], doctor).json["id"]                              # the slot is free
    no = put(stack, f"/appointments/{second}/confirmation", doctor, confirmed=False)
    assert no.json["status"] == "cancelled" and no.json["cancelled_reason"]                 # a default sentence
    third = book(stack, patient, slots[0], doctor).json["id"]
    assert put(stack, f"/appointments/{third}/confirmation", doctor, confirmed=True).json["status"] == "confirmed"
    for body, field in (({}, "confirmed"), ({"confirmed": "yes"}, "confirmed"), ({"confirmed": True, "reason": ""}, "reason"),
                        ({"confirmed": False, "reason": "x" * 256}, "reason")):
        answer = step(stack, doctor, third, "confirm", **body)
        assert (answer.status, [e["field"] for e in answer.json["errors"]]) == (422, [field])


def test_who_did_not_come_is_noted(stack, visit):
    doctor, slots, patient, id = visit
    assert step(stack, doctor, id, "no-show").code == "invalid_transition"
    confirm(stack, doctor, id)
    assert step(stack, doctor, id, "no-show").json["status"] == "no_show"
    assert stack.get("/appointments?status=no_show", doctor).json[0]["id"] == id
    stack.verify()


STATES = ("waiting_for_confirmation", "confirmed", "in_progress", "concluded", "cancelled", "no_show")
ALLOWED = {"confirm": {"waiting_for_confirmation"}, "decline": {"waiting_for_confirmation", "confirmed"},
           "cancel": {"waiting_for_confirmation", "confirmed"}, "move": {"waiting_for_confirmation", "confirmed"},
           "start": {"confirmed"}, "conclude": {"in_progress"}, "no-show": {"confirmed"}}


@pytest.mark.parametrize("state", STATES)
def test_from_each_state_only_its_steps_are_taken(stack, state):
    doctor, slots = stack.doctor_with_slots(2 * len(ALLOWED), minutes=10)
    patient = stack.patient()
    for i, what in enumerate(ALLOWED):
        id = book(stack, patient, slots[i], doctor).json["id"]
        for before in {"confirmed": ["confirm"], "in_progress": ["confirm", "start"], "no_show": ["confirm", "no-show"],
                       "concluded": ["confirm", "start", "conclude"], "cancelled": ["cancel"]}.get(state, []):
            assert step(stack, doctor, id, before, confirmed=True, reason="ill").status == 200
        if what == "move":
            answer = move(stack, patient, id, slots[len(ALLOWED) + i], doctor)
        else:
            answer = step(stack, doctor, id, "confirm" if what == "decline" else what, confirmed=what == "confirm", reason="ill")
        wanted = (200, None) if state in ALLOWED[what] else (409, "invalid_transition")
        assert (answer.status, answer.code) == wanted, (what, answer)


def test_neither_another_nor_the_other_side_takes_a_step(stack, visit):
    doctor, slots, patient, id = visit
    for what in ("confirm", "start", "conclude", "no-show"):
        assert step(stack, stack.doctor(), id, what, confirmed=True).code == "not_found", what
        assert step(stack, patient, id, what, confirmed=True).code == "forbidden", what
        assert step(stack, doctor, 10**12, what, confirmed=True).code == "not_found", what
    assert move(stack, stack.patient(), id, slots[1], doctor).code == "not_found"
    assert move(stack, doctor, id, slots[1], doctor).code == "forbidden"
    assert stack.get(f"/appointments/{id}", patient).json["status"] == "waiting_for_confirmation"


def test_copies_of_a_step_at_once_are_one(stack, visit):
    doctor, slots, patient, id = visit
    answers = at_once(10, lambda _: confirm(stack, doctor, id, key="yes"))
    assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
    without = at_once(10, lambda _: step(stack, doctor, id, "start"))
    assert Counter((a.status, a.code) for a in without) == {(200, None): 1, (409, "invalid_transition"): 9}
    assert confirm(stack, doctor, id, key="yes").body == answers[0].body                    # told is told
    assert confirm(stack, doctor, id, key="yes", confirmed=False).code == "key_reused"


def test_a_step_that_relies_on_what_is_no_longer_so_is_412(stack, visit):
    doctor, slots, patient, id = visit
    path = f"/appointments/{id}"
    tag = stack.get(path, patient).headers["ETag"]
    assert confirm(stack, doctor, id, headers={"If-Match": tag}).status == 200
    for late in (step(stack, doctor, id, "start", headers={"If-Match": tag}),
                 step(stack, patient, id, "cancel", reason="a cold", headers={"If-Match": tag}),
                 move(stack, patient, id, slots[1], doctor, headers={"If-Match": tag}),
                 confirm(stack, doctor, id, headers={"If-Match": tag})):                    # before the state is looked at
        assert (late.status, late.code) == (412, "precondition_failed"), late
    assert step(stack, stack.doctor(), id, "start", headers={"If-Match": tag}).status == 404
    assert step(stack, doctor, id, "start", headers={"If-Match": "*"}).status == 200
    now = stack.get(path, patient).headers["ETag"]
    assert step(stack, doctor, id, "conclude", headers={"If-Match": now}).status == 200


# ---- moved ----

def test_an_appointment_moves_to_another_slot_and_its_own_is_free(stack, visit):
    doctor, slots, patient, id = visit
    confirm(stack, doctor, id)
    before = stack.get(f"/appointments/{id}", patient).json
    answer = move(stack, patient, id, slots[1], doctor)
    assert answer.status == 200, answer
    a = answer.json
    assert (a["id"], a["schedule_id"], a["status"], a["confirmed_at"]) == (id, slots[1], "waiting_for_confirmation", None)
    assert a["created_at"] == before["created_at"] and a["updated_at"] > before["updated_at"]
    assert a["date_time"] == stack.get(f"/schedules/{slots[1]}", doctor).json["date_time_available"]
    assert stack.get(f"/appointments/{id}", doctor).json == a
    assert [s["booked"] for s in stack.get("/schedules", doctor).json] == [False, True, False]
    assert book(stack, stack.patient(), slots[0], doctor).status == 201
    stack.verify()


def test_an_appointment_moves_to_another_doctor(stack, visit):
    doctor, slots, patient, id = visit
    confirm(stack, doctor, id)
    other, others = stack.doctor_with_slots(2, minutes=30)      # at the same time: its own does not count
    answer = move(stack, patient, id, others[0], other)
    assert (answer.status, answer.json["doctor_id"], answer.json["status"]) == (200, other.id, "waiting_for_confirmation")
    assert stack.get(f"/appointments/{id}", doctor).code == "not_found"
    assert confirm(stack, doctor, id).code == "not_found"
    assert confirm(stack, other, id).status == 200
    assert [a["id"] for a in stack.get("/appointments", other).json] == [id] and stack.get("/appointments", doctor).json == []
    back = move(stack, patient, id, slots[2], doctor, key="back")
    assert back.json["doctor_id"] == doctor.id
    assert move(stack, patient, id, slots[2], doctor, key="back").body == back.body
    stack.verify()


def test_a_move_that_cannot_be_changes_nothing_and_says_why(stack, visit):
    doctor, slots, patient, id = visit
    other, others = stack.doctor_with_slots(1, days=2)
    late = stack.patient()
    assert book(stack, late, slots[1], doctor).status == 201
    assert book(stack, patient, slots[2], doctor).status == 201
    clash = stack.post("/schedules", other, duration_minutes=5,
                       date_time_available=stack.get(f"/schedules/{slots[2]}", doctor).json["date_time_available"]).json["id"]
    closed = stack.post("/schedules", doctor, active=False, date_time_available="2031-01-01 10:00").json["id"]
    refused = lambda slot, whom, **more: (lambda a: (a.status, a.code))(move(stack, patient, id, slot, whom, **more))    # noqa: E731
    before = stack.get(f"/appointments/{id}", patient).json
    assert refused(slots[1], doctor) == (409, "slot_taken")
    assert refused(clash, other) == (409, "patient_busy")       # by another of his own
    assert refused(closed, doctor) == (409, "slot_inactive")
    assert refused(others[0], other, date_time="2031-01-01 10:00") == (409, "slot_changed")
    assert refused(others[0], doctor) == (404, "not_found")     # another doctor's
    assert refused(10**12, doctor) == (404, "not_found")
    assert move(stack, patient, id, others[0], late).code == "not_found"                    # no doctor
    assert put(stack, f"/appointments/{id}", patient).status == 422
    stack.sql("UPDATE agenda.slot SET starts = now() - interval '2 hours', ends = now() - interval '1 hour' WHERE id = %s", others[0])
    assert refused(others[0], other) == (422, "slot_past")
    assert stack.get(f"/appointments/{id}", patient).json == before
    same = move(stack, patient, id, slots[0], doctor)           # there already
    assert (same.status, same.json) == (200, before)
    stack.verify()


def test_with_a_report_an_appointment_does_not_move(stack, visit):
    doctor, slots, patient, id = visit
    confirm(stack, doctor, id)
    stack.sql("UPDATE agenda.appointment SET reported_at = now() WHERE id = %s", id)
    answer = move(stack, patient, id, slots[1], doctor)
    assert (answer.status, answer.code) == (409, "has_report")


def test_of_many_who_move_into_one_slot_one_has_it(stack):
    doctor, slots = stack.doctor_with_slots(9, minutes=10)
    people = [stack.patient() for _ in range(8)]
    ids = [book(stack, p, s, doctor).json["id"] for p, s in zip(people, slots)]
    answers = at_once(8, lambda i: move(stack, people[i], ids[i], slots[8], doctor))
    assert Counter((a.status, a.code) for a in answers) == {(200, None): 1, (409, "slot_taken"): 7}
    stack.verify()


def test_a_slot_that_is_left_goes_to_one_of_those_who_want_it(stack):
    for i in range(6):
        doctor, slots = stack.doctor_with_slots(1, days=2 + i)
        other, others = stack.doctor_with_slots(1, days=2 + i)
        patient, rest = stack.patient(), [stack.patient() for _ in range(3)]
        id = book(stack, patient, slots[0], doctor).json["id"]
        answers = at_once(4, lambda k, p=patient, r=rest, i=id, d=doctor, s=slots, o=other, os=others:
                          book(stack, r[k], s[0], d) if k < 3 else move(stack, p, i, os[0], o))
        assert answers[3].status == 200, answers
        assert sum(a.status == 201 for a in answers[:3]) <= 1
        assert {a.code for a in answers[:3] if a.status != 201} <= {"slot_taken"}
    stack.verify()


@pytest.fixture(scope="module")
def two():
    """Two gateways and two workers: partitions have different owners."""
    with Stack("--gateways", "2", "--workers", "2") as stack:
        yield stack


def test_patients_who_move_crosswise_between_doctors_never_deadlock(two):
    a, b = two.doctor_with_slots(12, days=2, minutes=10), two.doctor_with_slots(12, days=3, minutes=10)
    people = [two.patient() for _ in range(8)]
    ids = [book(two, p, (a, b)[i % 2][1][i], (a, b)[i % 2][0]).json["id"] for i, p in enumerate(people)]

    def one(i):
        seen = Counter()
        for k in range(12):
            doctor, slots = (a, b)[(i + k) % 2]
            seen[move(two, people[i], ids[i], slots[(3 * i + k) % 12], doctor).status] += 1
        return seen

    seen = sum(at_once(8, one), Counter())
    assert set(seen) <= {200, 409} and seen[200] > 8, seen
    assert sum(two.metric(w, "booking_retries_total") for w in ("actor-booking", "actor-booking-2")) == 0
    two.verify()


# ---- what nobody asks for ----

def let_time_pass(stack, id):
    """Moves an appointment and its slot an hour into the past."""
    stack.sql("UPDATE agenda.slot SET starts = now() - interval '1 hour', ends = now() - interval '59 minutes'"
              " WHERE id = (SELECT slot_id FROM agenda.appointment WHERE id = %s)", id)
    stack.sql("UPDATE agenda.appointment SET starts = now() - interval '1 hour', ends = now() - interval '59 minutes'"
              " WHERE id = %s", id)


def test_what_nobody_confirmed_before_its_time_expires(stack, visit):
    doctor, slots, patient, id = visit
    confirmed = book(stack, patient, slots[1], doctor).json["id"]
    confirm(stack, doctor, confirmed)
    let_time_pass(stack, id)
    assert confirm(stack, doctor, id).code in ("slot_past", "invalid_transition")
    told = wait_until(lambda: (a := stack.get(f"/appointments/{id}", patient).json)["status"] == "cancelled" and a, 15, "it expires")
    assert (told["cancelled_by"], bool(told["cancelled_reason"]), bool(told["cancelled_at"])) == ("system", True, True)
    assert stack.get(f"/appointments/{confirmed}", patient).json["status"] == "confirmed"
    assert stack.sql("SELECT count(*) FROM agenda.request WHERE appointment_id = %s AND user_id = 0", id) == [(1,)]
    stack.verify()


def erased(stack, id, **of):
    with stack.nats() as nats:
        nats.stored("EVENTS", f"healthmed.v1.events.users.erased.{id}", msgpack.packb({"items": [{"id": id, "at": 1, **of}]}))


def test_once_its_time_has_come_a_patient_neither_cancels_nor_moves_it(stack, visit):
    doctor, slots, patient, id = visit
    confirm(stack, doctor, id)
    let_time_pass(stack, id)
    late = stack.post(f"/appointments/{id}/cancel", patient, reason="I did not come")
    moved = stack.http("PUT", f"/appointments/{id}", {"schedule_id": slots[1], "doctor_id": doctor.id}, patient)
    assert (late.status, late.code) == (moved.status, moved.code) == (422, "slot_past")
    assert step(stack, doctor, id, "no-show").json["status"] == "no_show"


def test_of_a_patient_who_is_gone_the_appointments_end(stack, visit):
    doctor, slots, patient, id = visit
    other, others = stack.doctor_with_slots(1, days=3)
    second = book(stack, patient, others[0], other).json["id"]
    confirm(stack, other, second)
    over = book(stack, patient, slots[1], doctor).json["id"]
    step(stack, patient, over, "cancel", reason="a cold")
    for _ in range(2):                          # facts may come again
        erased(stack, patient.id, patient_id=patient.id)
        for a, whose in ((id, doctor), (second, other)):
            told = wait_until(lambda a=a, whose=whose: (x := stack.get(f"/appointments/{a}", whose).json)["cancelled_by"] and x, 15,
                              "it is cancelled")
            assert told["cancelled_by"] == "system" and told["cancelled_reason"]
    assert stack.get(f"/appointments/{over}", doctor).json["cancelled_by"] == "patient"
    assert stack.get(f"/schedules/{others[0]}", other).json["booked"] is False
    stack.verify()


def test_of_a_doctor_who_is_gone_nothing_can_be_booked_any_more(stack, visit):
    doctor, slots, patient, id = visit
    erased(stack, doctor.id, doctor_id=doctor.id)
    wait_until(lambda: stack.get(f"/appointments/{id}", patient).json["cancelled_by"] == "system", 15, "it is cancelled")
    wait_until(lambda: not any(s["active"] for s in stack.get("/schedules", doctor).json), 15, "all slots are closed")
    assert book(stack, patient, slots[0], doctor).code == "not_found"
    stack.verify()


def told(stack, doctor, call, role, user, body):
    """What becomes of a command that nobody let in."""
    nonce = uuid.uuid4()
    request = base64.urlsafe_b64encode(struct.pack(">Q", doctor.id) + nonce.bytes + bytes(8)).rstrip(b"=").decode()
    head = {"Healthmed-Call": call, "Healthmed-Request": request, "Healthmed-Role": role}
    with stack.nats() as nats:
        partition = stack.sql("SELECT partition FROM agenda.request WHERE doctor_id = %s LIMIT 1", doctor.id)[0][0]
        nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.{doctor.id}", msgpack.packb(body),
                    {**head, **({"Healthmed-User": str(user)} if user else {})})
    return wait_until(lambda: stack.sql("SELECT status::text, code FROM agenda.request WHERE id = %s", str(nonce)), 5,
                      "it is decided")[0]


def test_what_is_asked_by_and_of_somebody_who_is_gone_is_refused_however_late_it_comes(stack, visit):
    """Accepted before the erasure was heard of, it lies in the mailbox behind all that the erasure ends."""
    doctor, slots, patient, _ = visit
    gone, gone_slots = stack.doctor_with_slots(1, days=3)
    leaver = stack.patient()
    erased(stack, gone.id, doctor_id=gone.id)
    erased(stack, leaver.id, patient_id=leaver.id)
    wait_until(lambda: stack.sql("SELECT active FROM agenda.slot WHERE id = %s", gone_slots[0]) == [(False,)] and
               stack.sql("SELECT user_id FROM agenda.erased WHERE user_id = %s", leaver.id), 10, "both are known to be gone")
    at = int((datetime.now(timezone.utc) + timedelta(days=9)).timestamp()) * 1000000
    again = {"doctor_id": gone.id, "id": gone_slots[0], "active": True}
    for who, call, role, user, body in (
            (gone, "booking.open", "doctor", gone, {"doctor_id": gone.id, "date_time_available": [at]}),
            (gone, "booking.edit", "doctor", gone, again),
            (gone, "booking.book", "patient", patient, {"schedule_id": gone_slots[0], "doctor_id": gone.id}),
            (doctor, "booking.book", "patient", leaver, {"schedule_id": slots[1], "doctor_id": doctor.id})):
        assert told(stack, who, call, role, user.id, body) == ("rejected", "not_found"), call
    assert not stack.sql("SELECT id FROM agenda.slot WHERE doctor_id = %s AND active", gone.id)
    assert not stack.sql("SELECT id FROM agenda.appointment WHERE %s IN (doctor_id, patient_id) OR %s IN (doctor_id, patient_id)",
                         gone.id, leaver.id)
    assert book(stack, patient, slots[1], doctor).status == 201
    stack.verify()


def test_a_command_of_the_system_is_not_for_anybody_else(stack, visit):
    """Neither a route leads there, nor does a role help, nor the system's role to what patients do."""
    doctor, slots, patient, id = visit

    def ask(call, role, user, body):
        return told(stack, doctor, call, role, user, body)

    at = {"id": id, "doctor_id": doctor.id}
    assert ask("booking.revoke", "patient", patient.id, at) == ("rejected", "forbidden")
    assert ask("booking.close", "doctor", doctor.id, {"doctor_id": doctor.id}) == ("rejected", "forbidden")
    assert ask("booking.cancel", "system", 0, {**at, "reason": "no"}) == ("rejected", "forbidden")
    assert ask("booking.expire", "system", 0, at) == ("rejected", "invalid_transition")     # its time has not come
    assert ask("booking.attest", "doctor", doctor.id, at) == ("rejected", "not_confirmed")
    confirm(stack, doctor, id)
    assert ask("booking.attest", "doctor", doctor.id, at) == ("done", None)
    assert move(stack, patient, id, slots[1], doctor).code == "has_report"
    assert ask("booking.revoke", "system", 0, at) == ("done", None)
    assert stack.get(f"/appointments/{id}", patient).json["cancelled_by"] == "system"
    stack.verify()


# ---- all at once ----

def test_a_batch_of_everything_is_decided_in_the_order_of_its_arrival(two):
    doctor, slots = two.doctor_with_slots(6, days=4, minutes=30)
    other, others = two.doctor_with_slots(3, days=4, minutes=30)
    ana, rui, eva = (two.patient() for _ in range(3))
    mine = book(two, ana, slots[0], doctor).json["id"]
    his = book(two, rui, slots[1], doctor).json["id"]
    wait = {"Prefer": "respond-async"}
    for worker in ("actor-booking", "actor-booking-2"):
        two.stop(worker)
    try:
        asked = [
            (doctor, confirm(two, doctor, mine, headers=wait), "done"),
            (ana, move(two, ana, mine, others[0], other, headers=wait), "done"),
            (eva, book(two, eva, slots[0], doctor, headers=wait), "booked"),                # just left
            (rui, move(two, rui, his, slots[0], doctor, headers=wait), "slot_taken"),
            (rui, move(two, rui, his, slots[2], doctor, headers=wait), "done"),
            (doctor, two.http("DELETE", f"/schedules/{slots[1]}", token=doctor, headers=wait), "done"),
            (doctor, two.http("DELETE", f"/schedules/{slots[2]}", token=doctor, headers=wait), "slot_booked"),
            (doctor, two.post("/schedules/recurring", doctor, headers=wait, weekdays=[1, 2, 3, 4, 5, 6, 7], duration_minutes=20,
                              starts_on="2031-01-01", ends_on="2031-01-09", **{"from": "08:00", "to": "12:00"}), "done"),
            (rui, step(two, rui, his, "cancel", reason="a cold", headers=wait), "done"),
            (doctor, step(two, doctor, his, "start", headers=wait), "invalid_transition"),
            (rui, book(two, rui, slots[2], doctor, headers=wait), "booked"),
            (ana, book(two, ana, slots[3], doctor, headers=wait), "booked"),
        ]
        assert {a.status for _, a, _ in asked} == {202}, asked
    finally:
        for worker in ("actor-booking", "actor-booking-2"):
            two.start(worker)

    def told():
        found = [two.get(f"/appointments/requests/{a.json['request_id']}", who).json for who, a, _ in asked]
        return found if all(f["status"] != "pending" for f in found) else None

    found = wait_until(told, 15, "all are decided")
    assert [f["code"] or f["status"] for f in found] == [want for *_, want in asked]
    assert two.get(f"/appointments/{mine}", ana).json["doctor_id"] == other.id
    assert len(two.get("/schedules?from=2031-01-01T00:00:00Z&limit=100", doctor).json) == 100
    two.verify()
