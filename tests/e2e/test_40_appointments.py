"""A booking: what is granted, what is refused and how, and who sees it."""
import os
import signal
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest

from stack import Stack, at_once, cpf, wait_until

FIELDS = {"id", "schedule_id", "patient_id", "doctor_id", "date_time", "duration_minutes", "status", "started_at",
          "ended_at", "confirmed_at", "cancelled_by", "cancelled_at", "cancelled_reason", "created_at", "updated_at"}


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=getattr(doctor, "id", doctor), **more)


def slot_time(stack, doctor, slot):
    return next(s for s in stack.get("/schedules", doctor).json if s["id"] == slot)["date_time_available"]


def test_a_free_slot_is_granted(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    patient = stack.patient()
    answer = book(stack, patient, slot, doctor, date_time=slot_time(stack, doctor, slot))
    assert answer.status == 201, answer
    assert set(answer.json) == FIELDS
    a = answer.json
    assert (a["schedule_id"], a["patient_id"], a["doctor_id"], a["status"]) == \
        (slot, patient.id, doctor.id, "waiting_for_confirmation")
    assert a["cancelled_by"] is None and a["duration_minutes"] == 60
    assert answer.headers["Location"] == f"/api/v1/appointments/{a['id']}"
    assert stack.get(f"/appointments/{a['id']}", patient).json == a
    assert stack.get(f"/appointments/{a['id']}", doctor).json == a


def test_every_refusal_has_its_word(stack):
    doctor, slots = stack.doctor_with_slots(3)
    other, others = stack.doctor_with_slots(1)
    patient, late = stack.patient(), stack.patient()
    assert book(stack, patient, slots[0], doctor).status == 201

    def refused(who, slot, whom, **more):
        answer = book(stack, who, slot, whom, **more)
        assert "blocked_by" not in answer.body.decode()
        return answer.status, answer.code

    assert refused(late, slots[0], doctor) == (409, "slot_taken")
    assert refused(patient, others[0], other) == (409, "patient_busy")          # at the same hour
    assert refused(late, slots[1], doctor, date_time="2031-01-01 10:00") == (409, "slot_changed")
    assert refused(late, others[0], doctor) == (404, "not_found")               # another doctor's slot
    assert refused(late, 10**12, doctor) == (404, "not_found")
    assert refused(late, slots[1], 10**12) == (404, "not_found")                # no such doctor
    assert refused(late, slots[1], late) == (404, "not_found")                  # a patient is no doctor
    closed = stack.post("/schedules", doctor, active=False, date_time_available="2031-01-01 10:00").json["id"]
    assert refused(late, closed, doctor) == (409, "slot_inactive")
    stack.sql("UPDATE agenda.slot SET starts = now() - interval '2 hours', ends = now() - interval '1 hour'"
              " WHERE id = %s", slots[2])
    assert refused(late, slots[2], doctor) == (422, "slot_past")


def test_a_patient_is_busy_while_an_appointment_lasts_and_not_a_minute_longer(stack):
    """An hour from `at`; then slots of half an hour around it, at other doctors."""
    at = (datetime.now(timezone.utc) + timedelta(days=5)).replace(minute=0, second=0, microsecond=0)
    patient = stack.patient()

    def slot(minutes, duration):
        doctor = stack.doctor()
        made = stack.post("/schedules", doctor, duration_minutes=duration,
                          date_time_available=(at + timedelta(minutes=minutes)).isoformat())
        return doctor, made.json["id"]

    doctor, id = slot(0, 60)
    first = book(stack, patient, id, doctor)
    assert first.status == 201
    for minutes, duration in ((-29, 30), (0, 30), (15, 30), (59, 30), (-30, 120)):
        doctor, id = slot(minutes, duration)
        assert book(stack, patient, id, doctor).code == "patient_busy", minutes
    for minutes in (-30, 60):
        doctor, id = slot(minutes, 30)
        assert book(stack, patient, id, doctor).status == 201, minutes
    assert stack.post(f"/appointments/{first.json['id']}/cancel", patient, reason="a cold").status == 200
    doctor, id = slot(10, 30)
    assert book(stack, patient, id, doctor).status == 201       # free again
    stack.verify()


def test_who_says_too_much_or_too_little_of_a_booking(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    patient = stack.patient()

    def faults(**body):
        answer = stack.post("/appointments", patient, **body)
        return answer.status, {e["field"]: e["code"] for e in answer.json["errors"]}

    assert faults() == (422, {"schedule_id": "missing", "doctor_id": "missing"})
    assert faults(schedule_id=None, doctor_id=0) == (422, {"schedule_id": "missing", "doctor_id": "too_small"})
    assert faults(schedule_id="1", doctor_id=1.5) == (422, {"schedule_id": "malformed", "doctor_id": "malformed"})
    assert faults(schedule_id=slot, doctor_id=doctor.id, date_time="soon") == (400, {"date_time": "malformed"})
    answer = book(stack, patient, slot, doctor, patient_id=doctor.id, status="concluded")       # not his to say
    assert (answer.json["patient_id"], answer.json["status"]) == (patient.id, "waiting_for_confirmation")


@pytest.mark.parametrize("prefer,applied", [
    ("wait=3", "wait=3"), ("wait=31", "wait=30"), ("wait=-1", None), ("wait=x", None), ("wait=", None),
    ("return=minimal", None), ("return=minimal, WAIT=2", "wait=2"), ("respond-async, wait=2", "wait=2"),
])
def test_a_preference_that_is_understood_is_told(stack, prefer, applied):
    doctor, (slot,) = stack.doctor_with_slots(1)
    answer = book(stack, stack.patient(), slot, doctor, headers={"Prefer": prefer})
    assert (answer.status, answer.headers.get("Preference-Applied")) == (201, applied)


def test_an_unknown_doctor_is_refused_before_publishing(stack):
    patient = stack.patient()
    with stack.nats() as nats:
        before = nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"]
        assert book(stack, patient, 1, 10**12).status == 404
        assert nats.js("STREAM.INFO.BOOKING")["state"]["last_seq"] == before


def test_a_key_means_one_booking_whatever_comes_after(stack):
    doctor, slots = stack.doctor_with_slots(2)
    other, others = stack.doctor_with_slots(1, days=3)
    patient, key = stack.patient(), str(uuid.uuid4())
    first = book(stack, patient, slots[0], doctor, key=key)
    assert first.status == 201
    assert stack.post(f"/appointments/{first.json['id']}/cancel", patient, reason="a cold").status == 200
    again = book(stack, patient, slots[0], doctor, key=key)
    assert (again.status, again.body) == (201, first.body)          # the outcome as it was told
    for slot, whom in ((slots[1], doctor), (others[0], other)):
        answer = book(stack, patient, slot, whom, key=key)
        assert (answer.status, answer.code) == (422, "key_reused")
    somebody = stack.patient()
    assert book(stack, somebody, slots[1], doctor, key=key).status == 201       # a key is its user's
    assert stack.sql("SELECT count(*) FROM agenda.appointment WHERE doctor_id IN (%s, %s)", doctor.id, other.id) == [(2,)]


def test_a_key_for_many_doctors_at_once_is_one_booking(stack):
    patient, key = stack.patient(), str(uuid.uuid4())
    doctors = [stack.doctor_with_slots(1, days=10 + i) for i in range(6)]
    answers = at_once(6, lambda i: book(stack, patient, doctors[i][1][0], doctors[i][0], key=key))
    assert Counter((a.status, a.code) for a in answers) == {(201, None): 1, (422, "key_reused"): 5}
    assert stack.sql("SELECT count(*) FROM agenda.appointment WHERE patient_id = %s", patient.id) == [(1,)]
    stack.verify()


def test_a_key_repeats_refusals_and_cancellations_too(stack):
    doctor, slots = stack.doctor_with_slots(2)
    winner, patient = stack.patient(), stack.patient()
    won = book(stack, winner, slots[0], doctor).json
    refusals = [book(stack, patient, slots[0], doctor, key="late")]
    path = f"/appointments/{won['id']}/cancel"
    done = [stack.post(path, winner, key="go", reason="a cold") for _ in range(2)]
    assert [d.status for d in done] == [200, 200] and done[0].body == done[1].body
    refusals.append(book(stack, patient, slots[0], doctor, key="late"))         # free by now: told is told
    assert [(r.status, r.code) for r in refusals] == [(409, "slot_taken")] * 2
    for answer in (stack.post(path, winner, key="go", reason="another"), book(stack, winner, slots[1], doctor, key="go"),
                   book(stack, patient, slots[1], doctor, key="late")):
        assert (answer.status, answer.code) == (422, "key_reused")
    assert book(stack, patient, slots[0], doctor, key="later").status == 201
    stack.verify()


def test_an_etag_tells_when_an_appointment_has_changed(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    patient = stack.patient()
    id = book(stack, patient, slot, doctor).json["id"]
    first = stack.get(f"/appointments/{id}", patient)
    ask = lambda: stack.http("GET", f"/appointments/{id}", token=patient, headers={"If-None-Match": first.headers["ETag"]})  # noqa: E731
    assert (ask().status, ask().body) == (304, b"")
    stack.post(f"/appointments/{id}/cancel", doctor, reason="ill")
    changed = ask()
    assert changed.status == 200 and changed.json["status"] == "cancelled"
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_either_side_cancels_and_only_once_and_nobody_else(stack):
    doctor, slots = stack.doctor_with_slots(2)
    patient = stack.patient()
    mine = [book(stack, patient, slot, doctor).json["id"] for slot in slots]
    cancel = lambda who, id, **more: stack.post(f"/appointments/{id}/cancel", who, **more)      # noqa: E731
    for stranger in (stack.patient(), stack.doctor()):
        assert cancel(stranger, mine[0], reason="not mine").code == "not_found"
    assert cancel(patient, 10**12, reason="none").code == "not_found"
    assert cancel(patient, mine[0]).status == 422
    assert cancel(patient, mine[0], reason="x" * 256).status == 422
    done = cancel(patient, mine[0], reason="viagem à família")
    assert done.status == 200
    assert (done.json["status"], done.json["cancelled_by"], done.json["cancelled_reason"]) == \
        ("cancelled", "patient", "viagem à família")
    again = cancel(patient, mine[0], reason="again")
    assert (again.status, again.code) == (409, "invalid_transition")
    assert cancel(doctor, mine[1], reason="ill").json["cancelled_by"] == "doctor"
    assert book(stack, stack.patient(), slots[0], doctor).status == 201         # the slot is free again
    stack.verify()


def test_a_list_has_ones_own_appointments_filtered_and_paged(stack):
    doctor, slots = stack.doctor_with_slots(5, minutes=20)
    patient = stack.patient()
    ids = [book(stack, patient, slot, doctor).json["id"] for slot in slots]
    stack.post(f"/appointments/{ids[1]}/cancel", patient, reason="a cold")
    listed = lambda who, q="": [a["id"] for a in stack.get("/appointments" + q, who).json]      # noqa: E731
    assert sorted(listed(patient)) == sorted(listed(doctor)) == ids
    assert listed(stack.patient()) == []
    assert listed(patient, "?status=cancelled") == [ids[1]]
    assert listed(patient, "?status=schedule_in_analysis") == listed(patient, "?status=re_schedule_in_analysis") == []
    assert stack.get("/appointments?status=booked", patient).status == 422
    first = stack.get("/appointments?limit=2", patient)
    seen, link = [a["id"] for a in first.json], first.headers["Link"]
    while link:
        page = stack.http("GET", link[1:link.index(">")].removeprefix("/api/v1"), token=patient)
        seen, link = seen + [a["id"] for a in page.json], page.headers.get("Link")
    assert sorted(seen) == ids and len(seen) == 5


def test_filters_of_time_and_every_word_of_status(stack):
    doctor, slots = stack.doctor_with_slots(6, minutes=60, days=4)
    patient = stack.patient()
    booked = [book(stack, patient, slot, doctor).json for slot in slots]
    words = ["waiting_for_confirmation", "confirmed", "in_progress", "concluded", "cancelled", "no_show"]
    steps = {"confirmed": ["confirm"], "in_progress": ["confirm", "start"], "concluded": ["confirm", "start", "conclude"],
             "cancelled": ["cancel"], "no_show": ["confirm", "no-show"]}
    for a, word in zip(booked, words):
        for step in steps.get(word, []):
            more = {"confirm": {"confirmed": True}, "cancel": {"reason": "I travel"}}.get(step, {})
            assert stack.post(f"/appointments/{a['id']}/{step}", doctor, **more).status == 200
    listed = lambda q: [a["id"] for a in stack.get("/appointments?" + q, patient).json]     # noqa: E731
    for a, word in zip(booked, words):
        assert listed(f"status={word}") == [a["id"]]
    ids = [a["id"] for a in booked]
    at = [quote(a["date_time"]) for a in booked]
    assert listed(f"from={at[2]}") == ids[2:] and listed(f"to={at[2]}") == ids[:3]
    assert listed(f"from={at[1]}&to={at[3]}&limit=2") == ids[1:3]
    assert listed("from=" + quote(booked[4]["date_time"][:16].replace("T", " "))) == ids[4:]
    assert stack.get(f"/appointments?from={at[3]}&to={at[1]}", patient).json["errors"][0]["field"] == "to"
    assert stack.get("/appointments?from=monday", patient).status == 400
    assert stack.get("/appointments?status=confirmed&status=cancelled", patient).json["errors"][0]["code"] == "given_twice"
    for who in (patient, doctor):
        seen, path = [], "/appointments?limit=4"
        while path:
            page = stack.get(path, who)
            seen += [a["id"] for a in page.json]
            link = page.headers.get("Link")
            path = link[1:link.index(">")].removeprefix("/api/v1") if link else None
        assert seen == ids
    for a in booked[1:]:
        answer = stack.post(f"/appointments/{a['id']}/cancel", patient, reason="late")
        assert (answer.status, answer.code) == ((200, None) if a is booked[1] else (409, "invalid_transition"))


@pytest.mark.parametrize("id,status", [("x", 400), ("1x", 400), ("1.0", 400), ("9223372036854775808", 400), ("0", 422),
                                       ("-1", 422), ("9223372036854775807", 404)])
def test_an_id_is_a_positive_whole_number(stack, id, status):
    patient = stack.patient()
    assert stack.get(f"/appointments/{id}", patient).status == status
    assert stack.post(f"/appointments/{id}/cancel", patient, reason="a cold").status == status


@pytest.mark.parametrize("id", ["x", "1", "%20", "A" * 43, "A" * 44, "A" * 4000, "..%2F..%2Fusers", "%C3%A9", "null"])
def test_a_request_id_that_is_none_is_not_found(stack, id):
    assert stack.get(f"/appointments/requests/{id}", stack.token("patient", 1)).code == "not_found"


def test_an_appointment_of_others_and_one_that_is_not_there_look_the_same(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    id = book(stack, stack.patient(), slot, doctor).json["id"]
    stranger = stack.patient()
    a, b = stack.get(f"/appointments/{id}", stranger), stack.get(f"/appointments/{10**12}", stranger)
    strip = lambda x: {k: v for k, v in x.json.items() if k != "trace_id"}      # noqa: E731
    assert a.status == b.status == 404 and strip(a) == strip(b)
    assert stack.get(f"/appointments/{id}", stack.token("doctor", stranger.id)).status == 404


@pytest.fixture(scope="module")
def own():
    with Stack(HEALTHMED_BOOKING_MAX_BYTES="1048576") as stack:
        yield stack


def test_who_does_not_wait_is_told_where_to_look(own):
    doctor, slots = own.doctor_with_slots(3)
    patient = own.patient()
    book(own, patient, slots[2], doctor)                # its partition is known, and how far it is
    own.stop("actor-booking")
    try:
        answers = [book(own, patient, slot, doctor, headers={"Prefer": prefer})
                   for slot, prefer in ((slots[0], "respond-async"), (slots[1], "wait=1"))]
        for answer in answers:
            assert answer.status == 202, answer
            assert set(answer.json) == {"request_id", "status", "message", "ahead"}
            assert answer.json["status"] == "pending"
            assert answer.headers["Location"] == "/api/v1/appointments/requests/" + answer.json["request_id"]
        assert answers[0].headers["Preference-Applied"] == "respond-async"
        path = "/appointments/requests/" + answers[1].json["request_id"]
        told = own.get(path, patient).json
        assert set(told) == {"request_id", "status", "code", "appointment_id", "ahead", "requested_at", "decided_at"}
        assert told["status"] == "pending" and told["appointment_id"] is None
        assert own.get(path, own.patient()).status == 404
        assert own.get(path, own.token("doctor", doctor.id)).status == 404
        assert own.get("/appointments/requests/AAAA", patient).status == 404
        tampered = answers[1].json["request_id"][:-2] + ("AA" if answers[1].json["request_id"][-2:] != "AA" else "BB")
        assert own.get("/appointments/requests/" + tampered, patient).status == 404
    finally:
        own.start("actor-booking")
    wait_until(lambda: own.get(path, patient).json["status"] == "booked", 10, "it is decided")
    told = own.get(path, patient).json
    assert own.get(f"/appointments/{told['appointment_id']}", patient).status == 200
    assert told["requested_at"] <= told["decided_at"]
    refused = book(own, own.patient(), slots[1], doctor, key="refused")
    assert refused.code == "slot_taken"
    rows = own.sql("SELECT status::text, code FROM agenda.request WHERE status = 'rejected'")
    assert rows == [("rejected", "slot_taken")]


def test_a_refusal_that_nobody_waited_for_is_told_by_its_request(own):
    doctor, (slot,) = own.doctor_with_slots(1)
    winner, late = own.patient(), own.patient()
    own.stop("actor-booking")
    try:
        first, second = (book(own, who, slot, doctor, headers={"Prefer": "respond-async"}) for who in (winner, late))
        cancel = book(own, winner, slot, doctor, key="again", headers={"Prefer": "respond-async"})
        copies = [book(own, late, slot, doctor, key="k", headers={"Prefer": "respond-async"}) for _ in range(2)]
        assert {a.status for a in (first, second, cancel, *copies)} == {202}
        assert copies[0].json["request_id"] == copies[1].json["request_id"] != second.json["request_id"]
    finally:
        own.start("actor-booking")
    told = lambda a, who: own.get("/appointments/requests/" + a.json["request_id"], who).json   # noqa: E731
    wait_until(lambda: told(copies[1], late)["status"] != "pending", 10, "all are decided")
    assert (told(first, winner)["status"], told(first, winner)["code"]) == ("booked", None)
    for answer, who in ((second, late), (cancel, winner), (copies[0], late)):
        t = told(answer, who)
        assert (t["status"], t["code"], t["appointment_id"]) == ("rejected", "slot_taken", None)
        assert t["requested_at"] <= t["decided_at"]
    own.verify()


def test_what_is_not_known_to_be_accepted_is_504_and_the_same_key_tells(own):
    """Stored, but never acknowledged, and nobody there to decide."""
    doctor, (slot,) = own.doctor_with_slots(1)
    patient, key = own.patient(), str(uuid.uuid4())
    own.stop("actor-booking")
    try:
        with own.nats() as nats:
            config = nats.js("STREAM.INFO.BOOKING")["config"]
            nats.js("STREAM.UPDATE.BOOKING", **{**config, "no_ack": True})
            try:
                answer = book(own, patient, slot, doctor, key=key, headers={"Prefer": "respond-async"})
            finally:
                nats.js("STREAM.UPDATE.BOOKING", **config)
        assert (answer.status, answer.code) == (504, "outcome_unknown"), answer
        path = answer.headers["Location"].removeprefix("/api/v1")
        assert own.get(path, patient).json["status"] == "pending"
    finally:
        own.start("actor-booking")
    assert book(own, patient, slot, doctor, key=key).status == 201
    assert own.get(path, patient).json["status"] == "booked"
    own.verify()


def test_actors_that_are_frozen_are_504_and_a_registration_says_that_it_does_not_know(own):
    patient, key = own.patient(), str(uuid.uuid4())
    sent = {"full_name": "Rosa Lima", "email": f"{key}@test.example", "password": "s3gredo-longo", "role": "patient",
            "document_id": cpf(), "phone": "+55 31 5550-0100"}
    register = lambda: own.post("/users", key=key, **sent)      # noqa: E731
    frozen = [own.pid(name) for name in ("actor-users", "actor-appointments", "actor-schedules")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        asked = [register, lambda: own.get("/users/me", patient), lambda: own.get("/appointments", patient),
                 lambda: own.get("/doctors/1/slots", patient)]
        answers = at_once(4, lambda i: asked[i]())
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert [(a.status, a.code) for a in answers] == [(504, "outcome_unknown")] + [(504, "timeout")] * 3
    final = wait_until(lambda: (a := register()).status != 503 and a, 10, "the broker knows them again")
    assert final.status == 201 and register().body == final.body
    wait_until(lambda: {ask().status for ask in asked[1:]} <= {200, 404}, 10, "all are served again")
    assert own.sql("SELECT count(*) FROM users.account WHERE email = %s", sent["email"]) == [(1,)]


def test_a_broker_that_is_away_is_503_at_once_and_nothing_is_accepted(own):
    doctor, slots = own.doctor_with_slots(2)
    patient = own.patient()
    assert book(own, patient, slots[0], doctor).status == 201
    own.stop("nats")
    try:
        begun = time.monotonic()
        answer = book(own, patient, slots[1], doctor)
        assert (answer.status, answer.code) == (503, "unavailable"), answer
        assert int(answer.headers["Retry-After"]) >= 1
        assert own.get("/appointments", patient).status == 503
        assert time.monotonic() - begun < 3
        assert own.http("GET", "//livez").status == 200
    finally:
        own.up()
    wait_until(lambda: book(own, patient, slots[1], doctor).status in (201, 409), 10, "bookings go on")
    own.verify()


def test_a_broker_that_is_silent_is_504_and_the_same_key_tells(own):
    doctor, slots = own.doctor_with_slots(2)
    patient, key = own.patient(), str(uuid.uuid4())
    assert book(own, patient, slots[0], doctor).status == 201
    pid = own.pid("nats")
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = book(own, patient, slots[1], doctor, key=key, headers={"Prefer": "wait=1"})
        assert (answer.status, answer.code) in ((504, "outcome_unknown"), (503, "unavailable")), answer
        if answer.status == 504:
            assert answer.headers["Location"].startswith("/api/v1/appointments/requests/")
        read = own.get("/appointments", patient)
        assert (read.status, read.code) in ((504, "timeout"), (503, "unavailable")), read
    finally:
        os.kill(pid, signal.SIGCONT)
    final = wait_until(lambda: (a := book(own, patient, slots[1], doctor, key=key)).status == 201 and a, 20, "the key tells")
    assert final.json["schedule_id"] == slots[1]
    assert own.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", slots[1]) == [(1,)]
    own.verify()


def test_an_actor_that_is_away_is_503_and_the_others_go_on(own):
    doctor, (slot,) = own.doctor_with_slots(1)
    patient = own.patient()
    own.stop("actor-appointments")
    try:
        assert own.get("/appointments", patient).code == "unavailable"
        assert book(own, patient, slot, doctor).status == 201
    finally:
        own.start("actor-appointments")
    assert len(own.get("/appointments", patient).json) == 1


def test_a_full_stream_refuses_and_loses_nothing(own):
    doctor, slots = own.doctor_with_slots(1)
    patient = own.patient()
    filler = f"healthmed.v1.booking.99.{doctor.id}"     # no owner reads there
    with own.nats() as nats:
        while True:
            try:
                nats.stored("BOOKING", filler, b"x" * 60000)
            except Exception as e:
                assert "maximum bytes" in str(e) or "resource" in str(e), e
                break
        while True:
            try:
                nats.stored("BOOKING", filler, b"")
            except Exception:
                break
        answer = book(own, patient, slots[0], doctor)
        assert (answer.status, answer.code) == (503, "unavailable"), answer
        nats.js("STREAM.PURGE.BOOKING", filter=filler)
    assert book(own, patient, slots[0], doctor).status == 201
    own.verify()


def test_an_internal_error_says_nothing_of_the_inside(own):
    patient = own.patient()
    own.sql("ALTER TABLE agenda.appointment RENAME TO hidden")
    try:
        answer = own.get("/appointments", patient)
        assert answer.status in (500, 503) and answer.code in ("internal", "unavailable")
        assert "hidden" not in answer.body.decode() and "agenda" not in answer.body.decode()
    finally:
        own.sql("ALTER TABLE agenda.hidden RENAME TO appointment")
    wait_until(lambda: own.get("/appointments", patient).status == 200, 10, "reads go on")


def test_times_are_the_clinics(stack):
    doctor = stack.doctor()
    at = (datetime.now() + timedelta(days=400)).strftime("%Y-%m-%d") + " 08:30"
    slot = stack.post("/schedules", doctor, date_time_available=at).json
    assert slot["date_time_available"] == at.replace(" ", "T") + ":00-03:00"
    answer = book(stack, stack.patient(), slot["id"], doctor, date_time=at)
    assert answer.status == 201 and answer.json["date_time"] == slot["date_time_available"]


def test_a_key_that_comes_back_with_another_body_or_doctor_is_rejected_also_to_who_only_asks(stack):
    doctor, slots = stack.doctor_with_slots(2)
    other, others = stack.doctor_with_slots(1, days=3)
    patient, key = stack.patient(), "the-same-key"

    def ask(slot, of):
        answer = stack.post("/appointments", patient, key=key, headers={"Prefer": "respond-async"}, schedule_id=slot,
                            doctor_id=of.id)
        assert answer.status == 202, answer
        return answer.json["request_id"]

    def told(request_id):
        answer = wait_until(lambda: (a := stack.get(f"/appointments/requests/{request_id}", patient)).json["status"]
                            != "pending" and a, 5, "it is decided")
        return answer.json["status"], answer.json["code"], answer.json["appointment_id"]

    first = ask(slots[0], doctor)
    booked = told(first)
    assert booked[0] == "booked"
    for slot, of in ((slots[1], doctor), (others[0], other)):
        again = ask(slot, of)
        assert again != first
        assert told(again) == ("rejected", "key_reused", None)
    assert ask(slots[0], doctor) == first and told(first) == booked
