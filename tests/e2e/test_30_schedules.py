"""Slots: a doctor opens and lists them, patients see what is free."""
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest

from stack import at_once, wait_until

CLINIC = timezone(timedelta(hours=-3))


def tomorrow(hour, days=1):
    day = datetime.now(CLINIC) + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def open_slot(stack, doctor, at, **more):
    return stack.post("/schedules", doctor, date_time_available=at, **more)


def test_a_doctor_opens_a_slot_in_either_form_of_time(stack):
    doctor = stack.doctor()
    answer = open_slot(stack, doctor, tomorrow(9).strftime("%Y-%m-%d %H:%M"))
    assert answer.status == 201, answer
    assert set(answer.json) == {"id", "doctor_id", "date_time_available", "duration_minutes", "active", "booked",
                                "created_at", "updated_at"}
    assert answer.json["date_time_available"] == tomorrow(9).isoformat()
    assert (answer.json["duration_minutes"], answer.json["active"], answer.json["booked"]) == (60, True, False)
    utc = tomorrow(10).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    second = open_slot(stack, doctor, utc, active=False, duration_minutes=15)
    assert second.json["date_time_available"] == tomorrow(10).isoformat()
    assert (second.json["duration_minutes"], second.json["active"]) == (15, False)


def test_a_slot_in_the_past_one_that_overlaps_and_one_that_makes_no_sense(stack):
    doctor = stack.doctor()
    assert open_slot(stack, doctor, tomorrow(9).isoformat()).status == 201
    past = open_slot(stack, doctor, "2020-01-01 10:00")
    assert (past.status, past.code) == (422, "slot_past")
    overlap = open_slot(stack, doctor, (tomorrow(9) + timedelta(minutes=59)).isoformat())
    assert (overlap.status, overlap.code) == (409, "slot_overlap")
    assert open_slot(stack, doctor, tomorrow(10).isoformat()).status == 201          # it only touches
    assert open_slot(stack, stack.doctor(), tomorrow(9).isoformat()).status == 201   # another doctor's day
    assert open_slot(stack, doctor, "tomorrow").status == 400
    assert open_slot(stack, doctor, tomorrow(11).isoformat(), duration_minutes=0).status == 422
    assert stack.post("/schedules", doctor).json["errors"][0]["field"] == "date_time_available"


@pytest.mark.parametrize("more,status,field,code", [
    ({"date_time_available": "2031-02-30 10:00"}, 400, "date_time_available", "malformed"),
    ({"date_time_available": "2031-01-04 24:00"}, 400, "date_time_available", "malformed"),
    ({"date_time_available": "2031-01-04"}, 400, "date_time_available", "malformed"),
    ({"date_time_available": "04/01/2031 10:00"}, 400, "date_time_available", "malformed"),
    ({"date_time_available": "2031-01-04T10:00:00+25:00"}, 400, "date_time_available", "malformed"),
    ({"date_time_available": 1799150400}, 422, "date_time_available", "malformed"),
    ({"date_time_available": None}, 422, "date_time_available", "missing"),
    ({"duration_minutes": 0}, 422, "duration_minutes", "too_small"),
    ({"duration_minutes": 1441}, 422, "duration_minutes", "too_large"),
    ({"duration_minutes": 12.5}, 422, "duration_minutes", "malformed"),
    ({"duration_minutes": "60"}, 422, "duration_minutes", "malformed"),
    ({"active": "yes"}, 422, "active", "malformed"),
])
def test_what_makes_no_slot_is_named(stack, more, status, field, code):
    answer = stack.post("/schedules", stack.token("doctor", 10**9), **{"date_time_available": "2031-01-04 10:00", **more})
    assert (answer.status, [(e["field"], e["code"]) for e in answer.json["errors"]]) == (status, [(field, code)]), answer


def test_a_slot_may_be_the_last_there_is(stack):
    doctor = stack.doctor()
    answer = open_slot(stack, doctor, "9999-12-31 20:30", duration_minutes=1440)
    assert answer.status == 201, answer
    assert stack.post("/appointments", stack.patient(), schedule_id=answer.json["id"], doctor_id=doctor.id).status == 201


def test_of_slots_opened_at_once_for_one_time_there_is_one(stack):
    doctor = stack.doctor()
    answers = at_once(12, lambda i: open_slot(stack, doctor, (tomorrow(9) + timedelta(minutes=i)).isoformat()))
    assert sorted((a.status, a.code) for a in answers if a.status != 201) == [(409, "slot_overlap")] * 11
    assert len(stack.get("/schedules", doctor).json) == 1


def test_a_slot_that_is_not_waited_for_is_told_as_done(stack):
    doctor = stack.doctor()
    answer = stack.post("/schedules", doctor, headers={"Prefer": "respond-async"}, date_time_available=tomorrow(9).isoformat())
    assert answer.status in (201, 202), answer          # an outcome that is there already need not be hidden
    if answer.status == 202:
        path = answer.headers["Location"].removeprefix("/api/v1")
        told = wait_until(lambda: (a := stack.get(path, doctor).json)["status"] != "pending" and a, 5, "it is decided")
        assert (told["status"], told["code"], told["appointment_id"]) == ("done", None, None)
        assert stack.get(path, stack.doctor()).code == "not_found"
    assert len(stack.get("/schedules", doctor).json) == 1


def test_a_key_opens_one_slot(stack):
    doctor = stack.doctor()
    at = tomorrow(9).isoformat()
    first = stack.post("/schedules", doctor, key="one", date_time_available=at)
    again = stack.post("/schedules", doctor, key="one", date_time_available=at)
    assert first.status == again.status == 201 and first.body == again.body
    other = stack.post("/schedules", doctor, key="one", date_time_available=tomorrow(12).isoformat())
    assert (other.status, other.code) == (422, "key_reused")


def pages(stack, path, token):
    """All items of a list, following Link."""
    items = []
    while path:
        answer = stack.http("GET", path, token=token)
        assert answer.status == 200, answer
        items += answer.json
        link = re.fullmatch(r'<(/api/v1)?([^>]*)>; rel="next"', answer.headers.get("Link") or "")
        path = link[2] if link else None
    return items


def test_pages_give_every_slot_once_and_in_order(stack):
    doctor, slots = stack.doctor_with_slots(11, minutes=10)
    got = pages(stack, "/schedules?limit=3", doctor)
    assert [s["id"] for s in got] == slots
    assert pages(stack, "/schedules?limit=100", doctor) == got
    for limit in (1, 10, 11):
        assert pages(stack, f"/schedules?limit={limit}", doctor) == got
    assert stack.get("/schedules?limit=11", doctor).headers.get("Link") is None      # nothing is left
    for wrong in ("nonsense", "A" * 64, "%ff"):
        assert stack.get(f"/schedules?cursor={wrong}", doctor).status in (400, 422), wrong
    for query, status in (("limit=0", 422), ("limit=101", 422), ("limit=x", 400), ("limit=", 400), ("limit=1&limit=2", 422)):
        answer = stack.get(f"/schedules?{query}", doctor)
        assert (answer.status, answer.json["errors"][0]["field"]) == (status, "limit"), query


def test_a_page_of_another_doctor_leads_into_ones_own_list(stack):
    doctor, slots = stack.doctor_with_slots(3, minutes=10)
    other, others = stack.doctor_with_slots(3, minutes=10)
    link = stack.get("/schedules?limit=1", doctor).headers["Link"]
    cursor = re.search(r"cursor=([^&>]*)", link)[1]
    assert {s["id"] for s in stack.get(f"/schedules?cursor={cursor}", other).json} <= set(others)
    assert [s["id"] for s in stack.get(f"/schedules?cursor={cursor}", doctor).json] == slots[1:]


def test_slots_that_come_and_go_meanwhile_make_no_other_one_appear_twice(stack):
    doctor, slots = stack.doctor_with_slots(6, minutes=10, days=3)
    patient = stack.patient()
    path, seen = f"/doctors/{doctor.id}/slots?limit=2", []
    while path:
        answer = stack.get(path, patient)
        seen += [s["id"] for s in answer.json]
        if len(seen) == 2:                              # one before, one after where we are
            assert stack.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).status == 201
            assert stack.slots(doctor, 1, days=2)
        link = re.fullmatch(r'<(/api/v1)?([^>]*)>; rel="next"', answer.headers.get("Link") or "")
        path = link[2] if link else None
    assert seen == slots


def test_filters_of_a_schedule(stack):
    doctor = stack.doctor()
    for hour in (9, 10, 11):
        assert open_slot(stack, doctor, tomorrow(hour).isoformat(), active=hour != 10).status == 201
    first = stack.get("/schedules", doctor).json[0]
    patient = stack.patient()
    assert stack.post("/appointments", patient, schedule_id=first["id"], doctor_id=doctor.id).status == 201
    hours = lambda q: [int(s["date_time_available"][11:13]) for s in stack.get(f"/schedules?{q}", doctor).json]  # noqa: E731
    assert hours("active=false") == [10]
    assert hours("booked=true") == [9] and hours("booked=false") == [10, 11]
    assert hours("from=" + quote(tomorrow(10).isoformat())) == [10, 11]
    assert hours("to=" + quote(tomorrow(10).strftime("%Y-%m-%d %H:%M")))[0] == 9
    assert stack.get("/schedules?from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", doctor).status == 422


def test_patients_see_free_slots_only_and_see_them_go_and_come(stack):
    doctor, slots = stack.doctor_with_slots(3)
    patient = stack.patient()
    hidden = open_slot(stack, doctor, tomorrow(9, days=9).isoformat(), active=False).json["id"]
    free = lambda: [s["id"] for s in stack.get(f"/doctors/{doctor.id}/slots", patient).json]     # noqa: E731
    wait_until(lambda: free() == slots, 3, "all open slots are free")
    assert hidden not in free()
    booked = stack.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).json
    wait_until(lambda: free() == slots[1:], 3, "the booked one is gone")
    assert stack.post(f"/appointments/{booked['id']}/cancel", patient, reason="travelling").status == 200
    wait_until(lambda: free() == slots, 3, "it is free again")
    assert stack.get(f"/doctors/{doctor.id}/slots?limit=2", doctor).headers["Link"].endswith('rel="next"')
    assert stack.get("/doctors/999999999/slots", patient).status == 404
    assert stack.get(f"/doctors/{patient.id}/slots", patient).status == 404
    assert stack.get("/doctors/x/slots", patient).status == 400


def test_free_slots_are_the_same_without_redis(stack):
    doctor, slots = stack.doctor_with_slots(2)
    patient = stack.patient()
    stack.kill("redis")
    try:
        for _ in range(3):
            assert [s["id"] for s in stack.get(f"/doctors/{doctor.id}/slots", patient).json] == slots
    finally:
        stack.start("redis")


def test_a_doctor_sees_his_own_slots_only(stack):
    doctor, slots = stack.doctor_with_slots(1)
    assert [s["id"] for s in stack.get("/schedules", doctor).json] == slots
    assert stack.get("/schedules", stack.doctor()).json == []
