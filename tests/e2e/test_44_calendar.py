"""An appointment for one's calendar: read by a strict parser of RFC 5545, seen by its two sides alone."""
import re
from datetime import datetime, timedelta, timezone

import pytest

LINE = re.compile(rb"[^\r\n]{1,75}\r\n")
CONTENT = re.compile(r"([A-Z-]+)((?:;[A-Z-]+=[^\";:,]+)*):(.*)", re.S)
ONCE = {"UID", "DTSTAMP", "DTSTART", "DTEND", "STATUS", "SEQUENCE", "SUMMARY", "ORGANIZER", "CREATED",
        "LAST-MODIFIED", "CLASS"}


def parse(body):
    """The properties of the calendar and of its one event; fails on whatever RFC 5545 does not allow."""
    assert b"".join(LINE.findall(body)) == body                 # CR LF after each, 75 octets at most
    for line in LINE.findall(body):
        line.decode()                                           # no fold tears a character
    lines = body.decode().replace("\r\n ", "").removesuffix("\r\n").split("\r\n")
    assert lines[:1] + lines[-1:] == ["BEGIN:VCALENDAR", "END:VCALENDAR"]
    first, last = lines.index("BEGIN:VEVENT"), lines.index("END:VEVENT")
    assert last == len(lines) - 2
    outside, inside = ([CONTENT.fullmatch(line).groups() for line in part]
                       for part in (lines[1:first], lines[first + 1:last]))
    for _, _, value in inside:
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
    names = [name for name, _, _ in inside]
    assert all(names.count(name) == 1 for name in ONCE) and len(names) == len(set(names))
    return {n: v for n, _, v in outside}, {n: v for n, _, v in inside}


def text(value):
    assert not re.search(r"(?<!\\)(?:\\\\)*[;,]", value)
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)


def moment(value):
    return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def booked(stack):
    doctor, (slot,) = stack.doctor_with_slots(1, minutes=45)
    patient = stack.patient()
    answer = stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id)
    assert answer.status == 201, answer
    return doctor, patient, answer.json


def calendar(stack, id, user):
    answer = stack.get(f"/appointments/{id}/calendar.ics", user)
    assert answer.status == 200, answer
    return parse(answer.body)[1]


def test_both_sides_get_the_appointment_as_a_file_for_their_calendar(stack):
    doctor, patient, a = booked(stack)
    for user in (doctor, patient):
        answer = stack.get(f"/appointments/{a['id']}/calendar.ics", user)
        assert answer.status == 200, answer
        assert answer.headers["Content-Type"].replace(" ", "") == "text/calendar;charset=utf-8;method=PUBLISH"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="appointment-{a["id"]}.ics"'
        outside, event = parse(answer.body)
        assert (outside["VERSION"], outside["METHOD"]) == ("2.0", "PUBLISH") and outside["PRODID"]
        begins = datetime.fromisoformat(a["date_time"])
        assert moment(event["DTSTART"]) == begins
        assert moment(event["DTEND"]) == begins + timedelta(minutes=45)
        assert abs(moment(event["DTSTAMP"]) - datetime.now(timezone.utc)) < timedelta(minutes=5)
        assert (event["STATUS"], event["SEQUENCE"], event["CLASS"]) == ("TENTATIVE", "0", "PRIVATE")
        assert text(event["UID"]).startswith(f"appointment-{a['id']}@")


def test_it_says_nothing_personal(stack):
    doctor, patient, a = booked(stack)
    body = stack.get(f"/appointments/{a['id']}/calendar.ics", patient).body.decode()
    for person in (doctor, patient):
        for secret in (person.name, person.email, person.document_id):
            assert secret not in body


def test_a_change_keeps_the_uid_and_raises_the_sequence(stack):
    doctor, patient, a = booked(stack)
    before = calendar(stack, a["id"], patient)
    reason = "a cold; no, \\ flu\nand ção 😀 " + "ã" * 100
    assert stack.post(f"/appointments/{a['id']}/cancel", patient, reason=reason).status == 200
    after = calendar(stack, a["id"], doctor)
    assert after["UID"] == before["UID"]
    assert int(after["SEQUENCE"]) > int(before["SEQUENCE"])
    assert moment(after["DTSTAMP"]) >= moment(before["DTSTAMP"])
    assert after["STATUS"] == "CANCELLED"
    assert text(after["DESCRIPTION"]) == reason


@pytest.mark.parametrize("state,status", [
    ("waiting_for_confirmation", "TENTATIVE"), ("confirmed", "CONFIRMED"), ("in_progress", "CONFIRMED"),
    ("concluded", "CONFIRMED"), ("no_show", "CONFIRMED"), ("cancelled", "CANCELLED"),
])
def test_each_state_is_told_as_one_that_calendars_know(stack, state, status):
    doctor, _, id = stack.visit(state=state)
    assert calendar(stack, id, doctor)["STATUS"] == status


def test_another_s_appointment_is_not_there_and_nobody_is_nobody(stack):
    _, _, a = booked(stack)
    for user in (stack.patient(), stack.doctor()):
        theirs = stack.get(f"/appointments/{a['id']}/calendar.ics", user)
        absent = stack.get("/appointments/999999999/calendar.ics", user)
        assert (theirs.status, theirs.code) == (absent.status, absent.code) == (404, "not_found")
        assert theirs.json.keys() == absent.json.keys()
    assert stack.get(f"/appointments/{a['id']}/calendar.ics").status == 401
    assert stack.get("/appointments/x/calendar.ics", stack.patient()).status == 400
