"""A doctor's agenda: slots by the dozen and by a rule, changed and deleted, and never under somebody's feet."""
from collections import Counter
from datetime import datetime, timedelta, timezone

import msgpack
import pytest

from stack import Stack, at_once, wait_until

CLINIC = timezone(timedelta(hours=-3))


def day(ahead):
    return datetime.now(CLINIC).date() + timedelta(days=ahead)


def at(ahead, hour, minute=0):
    return datetime.combine(day(ahead), datetime.min.time(), CLINIC).replace(hour=hour, minute=minute)


def put(stack, path, who, key=None, headers=None, **body):
    head = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
    return stack.http("PUT", path, body, who, head)


def delete(stack, path, who, key=None, headers=None):
    return stack.http("DELETE", path, token=who, headers={**(headers or {}), **({"Idempotency-Key": key} if key else {})})


def book(stack, patient, slot, doctor, **more):
    return stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id, **more)


def rule(first, last, **more):
    return {"weekdays": [1, 2, 3, 4, 5, 6, 7], "from": "08:00", "to": "10:00", "duration_minutes": 60,
            "starts_on": str(first), "ends_on": str(last), **more}


# ---- several at once ----

def test_several_times_in_one_request_are_several_slots(stack):
    doctor = stack.doctor()
    answer = stack.post("/schedules", doctor, date_time_available=f"{day(3)} 10:00;11:00; 12:30;{day(4)} 09:00",
                        duration_minutes=30, active=False)
    assert answer.status == 201, answer
    assert [s["date_time_available"] for s in answer.json] == \
        [x.isoformat() for x in (at(3, 10), at(3, 11), at(3, 12, 30), at(4, 9))]
    assert {(s["duration_minutes"], s["active"], s["booked"]) for s in answer.json} == {(30, False, False)}
    assert stack.get("/schedules", doctor).json == answer.json
    assert "Location" not in answer.headers


def test_of_several_times_all_become_slots_or_none(stack):
    doctor = stack.doctor()
    assert stack.post("/schedules", doctor, date_time_available=f"{day(3)} 11:00").status == 201
    many = ";".join(f"{day(5)} {h:02}:{m:02}" for h in range(24) for m in range(0, 60, 5))
    for times, status, code in ((f"{day(3)} 09:00;10:30", 409, "slot_overlap"), (f"{day(3)} 13:00;13:59", 409, "slot_overlap"),
                                (f"{day(3)} 13:00;2020-01-01 10:00", 422, "slot_past"), (f"{day(3)} 13:00;25:00", 400, "unreadable"),
                                ("11:00", 400, "unreadable"), (f"{day(3)} 13:00;", 400, "unreadable"), (many, 422, "invalid")):
        answer = stack.post("/schedules", doctor, date_time_available=times, duration_minutes=5 if times == many else 60)
        assert (answer.status, answer.code) == (status, code), (times[:40], answer)
    assert len(stack.get("/schedules", doctor).json) == 1


def test_copies_of_a_request_for_several_slots_hear_the_same_list(stack):
    doctor = stack.doctor()
    answers = at_once(6, lambda _: stack.post("/schedules", doctor, key="several", date_time_available=f"{day(3)} 10:00;11:00;12:00"))
    assert {a.status for a in answers} == {201} and len({a.body for a in answers}) == 1
    assert len(stack.get("/schedules", doctor).json) == 3


# ---- by a rule ----

def test_a_rule_opens_the_slots_of_its_days_and_hours(stack):
    doctor = stack.doctor()
    monday = day(7) + timedelta(days=-day(7).weekday())
    answer = stack.post("/schedules/recurring", doctor, **rule(monday, monday + timedelta(days=13), weekdays=[1, 3]))
    assert (answer.status, answer.json) == (201, {"created": 8, "skipped": []}), answer
    slots = stack.get("/schedules", doctor).json
    days = [monday + timedelta(days=d) for d in (0, 2, 7, 9)]
    assert [s["date_time_available"] for s in slots] == [f"{d}T{h:02}:00:00-03:00" for d in days for h in (8, 9)]
    assert {(s["duration_minutes"], s["active"]) for s in slots} == {(60, True)}
    again = stack.post("/schedules/recurring", doctor, **rule(monday, monday + timedelta(days=13), weekdays=[1, 3]))
    assert again.json["created"] == 0
    assert Counter(s["reason"] for s in again.json["skipped"]) == {"overlap": 8}
    assert again.json["skipped"][0]["date_time"] == slots[0]["date_time_available"]


def test_a_rule_skips_what_is_past_what_is_taken_and_holidays_if_asked(stack):
    doctor = stack.doctor()
    assert stack.post("/schedules", doctor, date_time_available="2027-04-22 08:30", duration_minutes=20).status == 201
    answer = stack.post("/schedules/recurring", doctor, **rule("2027-04-20", "2027-04-22", skip_holidays=True))
    assert answer.json == {"created": 3, "skipped": [
        {"date_time": "2027-04-21T08:00:00-03:00", "reason": "holiday"},       # Tiradentes
        {"date_time": "2027-04-21T09:00:00-03:00", "reason": "holiday"},
        {"date_time": "2027-04-22T08:00:00-03:00", "reason": "overlap"}]}
    without = stack.post("/schedules/recurring", doctor, **rule("2027-04-21", "2027-04-21", skip_holidays=False))
    assert without.json == {"created": 2, "skipped": []}
    friday = stack.post("/schedules/recurring", doctor, **rule("2027-03-26", "2027-03-26", skip_holidays=True))
    assert [s["reason"] for s in friday.json["skipped"]] == ["holiday", "holiday"]         # Good Friday
    yesterday = stack.post("/schedules/recurring", doctor, **rule(day(-1), day(-1)))
    assert [s["reason"] for s in yesterday.json["skipped"]] == ["past", "past"]


@pytest.mark.parametrize("wrong,status,field", [
    ({"weekdays": []}, 422, "weekdays"), ({"weekdays": [0]}, 422, "weekdays"), ({"weekdays": [8]}, 422, "weekdays"),
    ({"weekdays": ["1"]}, 422, "weekdays"), ({"weekdays": 1}, 422, "weekdays"), ({"from": "8:00"}, 400, "from"),
    ({"from": "10:00"}, 422, "to"), ({"to": "24:01"}, 400, "to"), ({"to": "08:59"}, 422, "duration_minutes"),
    ({"duration_minutes": 0}, 422, "duration_minutes"), ({"starts_on": "2027-02-30"}, 400, "starts_on"),
    ({"starts_on": "2027-01-02", "ends_on": "2027-01-01"}, 422, "ends_on"),
    ({"starts_on": "2027-01-01", "ends_on": "2028-01-02"}, 422, "ends_on"),                      # 367 days
    ({"starts_on": "2027-01-01", "ends_on": "2027-12-31", "from": "00:00", "to": "24:00"}, 422, "ends_on"),     # 8,760 slots
])
def test_a_rule_that_makes_no_sense_is_refused(stack, wrong, status, field):
    doctor = stack.token("doctor", 10**9)
    answer = stack.post("/schedules/recurring", doctor, **rule("2027-01-01", "2027-01-31", **wrong))
    assert answer.status == status, answer
    assert [e["field"] for e in answer.json["errors"]] == [field]


def test_all_that_is_wrong_with_a_rule_is_told_at_once(stack):
    answer = stack.post("/schedules/recurring", stack.token("doctor", 10**9), weekdays=[], duration_minutes=5, starts_on="2027-02-01",
                        ends_on="2027-01-01", **{"from": "12:00", "to": "08:00"})
    assert {e["field"] for e in answer.json["errors"]} == {"weekdays", "to", "ends_on"}, answer
    nothing = stack.post("/schedules/recurring", stack.token("doctor", 10**9), **rule("2027-01-01", "2027-01-01", weekdays=[1]))
    assert [e["field"] for e in nothing.json["errors"]] == ["weekdays"]         # a Friday


def test_a_year_of_slots_is_one_request_and_its_copies_hear_the_same(stack):
    doctor = stack.doctor()
    year = rule(day(1), day(366), **{"from": "06:00", "to": "17:00"})
    first = stack.post("/schedules/recurring", doctor, key="year", **year)
    assert (first.status, first.json) == (201, {"created": 366 * 11, "skipped": []}), first
    assert stack.post("/schedules/recurring", doctor, key="year", **year).body == first.body
    again = stack.post("/schedules/recurring", doctor, **year)
    assert again.status == 201 and len(again.json["skipped"]) == 366 * 11
    assert stack.sql("SELECT count(*) FROM agenda.slot WHERE doctor_id = %s", doctor.id) == [(366 * 11,)]


# ---- one slot ----

def test_a_slot_is_read_by_its_doctor_alone(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    answer = stack.get(f"/schedules/{slot}", doctor)
    assert answer.status == 200 and [answer.json] == stack.get("/schedules", doctor).json
    assert answer.headers["ETag"]
    assert stack.get(f"/schedules/{slot}", stack.doctor()).code == "not_found"
    assert stack.get(f"/schedules/{10**12}", doctor).code == "not_found"
    assert stack.get(f"/schedules/{slot}", stack.patient()).code == "forbidden"
    book(stack, stack.patient(), slot, doctor)
    assert stack.get(f"/schedules/{slot}", doctor).json["booked"] is True


def test_a_slot_is_changed_in_any_of_its_parts(stack):
    doctor, slots = stack.doctor_with_slots(2)
    before = stack.get(f"/schedules/{slots[0]}", doctor).json
    answer = put(stack, f"/schedules/{slots[0]}", doctor, active=False)
    assert answer.status == 200, answer
    assert answer.json == {**before, "active": False, "updated_at": answer.json["updated_at"]}
    assert answer.json["updated_at"] > before["updated_at"]
    assert stack.get(f"/schedules/{slots[0]}", doctor).json == answer.json
    moved = put(stack, f"/schedules/{slots[0]}", doctor, date_time_available=at(9, 10).isoformat(), active=True,
                duration_minutes=45)
    assert (moved.json["date_time_available"], moved.json["duration_minutes"], moved.json["active"]) == \
        (at(9, 10).isoformat(), 45, True)
    assert moved.json["created_at"] == before["created_at"]
    assert put(stack, f"/schedules/{slots[0]}", doctor).status == 200       # nothing said, nothing changed
    assert book(stack, stack.patient(), slots[0], doctor, date_time=before["date_time_available"]).code == "slot_changed"
    assert book(stack, stack.patient(), slots[0], doctor, date_time=at(9, 10).isoformat()).status == 201


def test_a_slot_goes_nowhere_where_there_is_no_room_or_no_time(stack):
    doctor, slots = stack.doctor_with_slots(2, days=2)
    second = stack.get(f"/schedules/{slots[1]}", doctor).json["date_time_available"]
    path = f"/schedules/{slots[0]}"
    assert put(stack, path, doctor, date_time_available=second).code == "slot_overlap"
    assert put(stack, path, doctor, duration_minutes=61).code == "slot_overlap"
    assert put(stack, path, doctor, duration_minutes=60).status == 200
    past = put(stack, path, doctor, date_time_available="2020-01-01 10:00")
    assert (past.status, past.code) == (422, "slot_past")
    assert put(stack, path, doctor, date_time_available="soon").status == 400
    assert put(stack, path, doctor, duration_minutes=0).status == 422
    other = stack.doctor()
    for method in (lambda: put(stack, path, other, active=False), lambda: delete(stack, path, other)):
        assert (method().status, method().code) == (404, "not_found")
    assert put(stack, f"/schedules/{10**12}", doctor, active=False).code == "not_found"
    assert delete(stack, path, stack.patient()).code == "forbidden"


def test_a_deleted_slot_is_gone_and_its_time_is_free(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    when = stack.get(f"/schedules/{slot}", doctor).json["date_time_available"]
    gone = delete(stack, f"/schedules/{slot}", doctor, key="away")
    assert (gone.status, gone.body) == (204, b"")
    assert stack.get(f"/schedules/{slot}", doctor).code == "not_found"
    assert delete(stack, f"/schedules/{slot}", doctor).code == "not_found"
    assert delete(stack, f"/schedules/{slot}", doctor, key="away").status == 204            # as it was told
    assert book(stack, stack.patient(), slot, doctor).code == "not_found"
    assert stack.post("/schedules", doctor, date_time_available=when).status == 201


def test_a_slot_that_somebody_has_stays_until_it_is_free(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    patient = stack.patient()
    id = book(stack, patient, slot, doctor).json["id"]
    for change in (lambda: put(stack, f"/schedules/{slot}", doctor, active=False),
                   lambda: put(stack, f"/schedules/{slot}", doctor, duration_minutes=30),
                   lambda: delete(stack, f"/schedules/{slot}", doctor)):
        answer = change()
        assert (answer.status, answer.code) == (409, "slot_booked"), answer
    assert stack.post(f"/appointments/{id}/cancel", patient, reason="a cold").status == 200
    assert delete(stack, f"/schedules/{slot}", doctor).status == 204
    assert stack.get(f"/appointments/{id}", patient).json["schedule_id"] == slot            # what was, was
    stack.verify()


def test_a_change_that_relies_on_what_is_no_longer_so_is_412(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    path = f"/schedules/{slot}"
    tag = stack.get(path, doctor).headers["ETag"]
    first = put(stack, path, doctor, active=False, headers={"If-Match": tag})
    assert first.status == 200
    for late in (put(stack, path, doctor, active=True, headers={"If-Match": tag}), delete(stack, path, doctor, headers={"If-Match": tag})):
        assert (late.status, late.code) == (412, "precondition_failed")
    assert first.headers["ETag"] == stack.get(path, doctor).headers["ETag"]
    assert delete(stack, path, stack.doctor(), headers={"If-Match": tag}).status == 404     # not even that it changed
    assert delete(stack, path, doctor, headers={"If-Match": f'"other", {first.headers["ETag"]}'}).status == 204


def test_a_key_changes_a_slot_once(stack):
    doctor, (slot,) = stack.doctor_with_slots(1)
    answers = at_once(8, lambda _: put(stack, f"/schedules/{slot}", doctor, key="once", duration_minutes=30))
    assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
    assert put(stack, f"/schedules/{slot}", doctor, key="once", duration_minutes=31).code == "key_reused"


# ---- at the same time ----

def test_a_slot_is_booked_or_taken_away_and_never_both(stack):
    doctor, slots = stack.doctor_with_slots(24, minutes=10, days=2)
    people = [stack.patient() for _ in range(4)]
    seen = Counter()
    for i, slot in enumerate(slots):
        away = (lambda slot=slot: delete(stack, f"/schedules/{slot}", doctor)) if i % 2 else \
            (lambda slot=slot: put(stack, f"/schedules/{slot}", doctor, active=False))
        done = at_once(2, lambda k, slot=slot, away=away, i=i: away() if k else book(stack, people[i % 4], slot, doctor))
        booked, gone = done
        if booked.status == 201:
            assert gone.code == "slot_booked", (booked, gone)
        else:
            assert booked.code == ("not_found" if i % 2 else "slot_inactive") and gone.status in (200, 204), (booked, gone)
        seen[booked.status] += 1
    live = stack.sql("SELECT count(*) FROM agenda.appointment AS a LEFT JOIN agenda.slot AS s ON s.id = a.slot_id"
                     " WHERE a.doctor_id = %s AND (s.id IS NULL OR NOT s.active)", doctor.id)
    assert live == [(0,)], seen
    stack.verify()


@pytest.fixture(scope="module")
def own():
    """A stack whose worker is stopped, so that what comes meanwhile is one batch."""
    with Stack() as stack:
        yield stack


def outcomes(stack, requests):
    """What became of requests, each with its owner, once all are decided."""
    def told():
        found = [stack.get(f"/appointments/requests/{r.json['request_id']}", who).json for who, r in requests]
        return found if all(f["status"] != "pending" for f in found) else None
    return [(f["status"], f["code"]) for f in wait_until(told, 15, "all are decided")]


def test_slots_of_one_batch_exchange_their_times(own):
    doctor, slots = own.doctor_with_slots(3, days=3)
    a, b, c = (own.get(f"/schedules/{s}", doctor).json["date_time_available"] for s in slots)
    free = at(12, 10).isoformat()
    own.stop("actor-booking")
    try:
        ask = lambda slot, **body: (doctor, put(own, f"/schedules/{slot}", doctor, headers={"Prefer": "respond-async"}, **body))   # noqa: E731
        requests = [ask(slots[0], date_time_available=free), ask(slots[1], date_time_available=a),
                    ask(slots[2], date_time_available=b), ask(slots[0], date_time_available=c),
                    (doctor, own.post("/schedules", doctor, headers={"Prefer": "respond-async"}, date_time_available=free)),
                    (doctor, delete(own, f"/schedules/{slots[2]}", doctor, headers={"Prefer": "respond-async"}))]
        assert {r.status for _, r in requests} == {202}
    finally:
        own.start("actor-booking")
    assert outcomes(own, requests) == [("done", None)] * 6
    now = {s["id"]: s["date_time_available"] for s in own.get("/schedules", doctor).json}
    assert now.pop(max(now)) == free
    assert now == {slots[0]: c, slots[1]: a}


def test_a_slot_that_moves_within_its_batch_is_refused_to_a_patient_who_is_busy_then(own):
    doctor, slots = own.doctor_with_slots(1, days=6)
    other, taken = own.doctor_with_slots(1, days=7)
    patient, later = own.patient(), {"Prefer": "respond-async"}
    assert book(own, patient, taken[0], other).status == 201
    then = datetime.fromisoformat(own.get(f"/schedules/{taken[0]}", other).json["date_time_available"]) + timedelta(minutes=30)
    own.stop("actor-booking")
    try:
        requests = [(doctor, put(own, f"/schedules/{slots[0]}", doctor, headers=later, date_time_available=then.isoformat())),
                    (patient, book(own, patient, slots[0], doctor, headers=later))]
        assert {r.status for _, r in requests} == {202}
    finally:
        own.start("actor-booking")
    assert outcomes(own, requests) == [("done", None), ("rejected", "patient_busy")]


def test_facts_tell_of_each_slot_where_it_stands_after_the_batch(own):
    doctor, slots = own.doctor_with_slots(3, days=5)
    patient = own.patient()
    with own.nats() as nats:
        facts = nats.subscribe("healthmed.v1.events.booking.>")
        states = {}

        def last(slot):
            for m in facts.all(0.05):
                if m.subject.split(".")[4] == "slots":
                    for item in msgpack.unpackb(m.data)["items"]:
                        if item["version"] > states.get(item["slot_id"], {"version": 0})["version"]:
                            states[item["slot_id"]] = item
            return states.get(slot, {})

        def free(slot):
            return last(slot).get("free")

        id = book(own, patient, slots[0], doctor).json["id"]
        wait_until(lambda: free(slots[0]) is False, 5, "it is taken")
        assert put(own, f"/appointments/{id}", patient, schedule_id=slots[1], doctor_id=doctor.id).status == 200
        wait_until(lambda: free(slots[0]) and free(slots[1]) is False, 5, "they have changed places")
        assert put(own, f"/schedules/{slots[0]}", doctor, duration_minutes=30).status == 200
        wait_until(lambda: last(slots[0])["ends"] - last(slots[0])["starts"] == 30 * 60 * 10**6, 5, "its end is told")
        assert free(slots[0]) is True and last(slots[0])["doctor_id"] == doctor.id
        assert delete(own, f"/schedules/{slots[0]}", doctor).status == 204
        wait_until(lambda: free(slots[0]) is False, 5, "it is gone")
        assert put(own, f"/schedules/{slots[2]}", doctor, active=False).status == 200
        wait_until(lambda: free(slots[2]) is False, 5, "it is closed")
        assert own.post(f"/appointments/{id}/cancel", doctor, reason="ill").status == 200
        wait_until(lambda: free(slots[1]) is True, 5, "it is free")


def test_the_promises_hold_after_all_this(own, stack):
    own.verify()
    stack.verify()
