"""Slots: a doctor opens and lists them, patients see what is free."""
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from stack import wait_until

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
    assert stack.get("/schedules?cursor=nonsense", doctor).status == 400


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
    assert stack.get("/doctors/999999999/slots", patient).json == []
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
