"""All that is kept about a person, in one document: every list, however long, and nobody else's."""
import http.client
import json
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from test_46_files import pdf, upload

from openapi import document
from stack import BIN, at_once, wait_until

# What names a person, column by column, and where the document has it.
NAMES = r"(^|_)(user|patient|doctor|account|person|owner|reader|author|caller)(_id)?$"
TOLD = {
    "users.doctor.user_id": "account", "users.address.user_id": "account", "reviews.rating.doctor_id": "account",
    "users.session.user_id": "sessions",
    "users.acquaintance.patient_id": "doctors", "users.acquaintance.doctor_id": "patients",
    "agenda.slot.doctor_id": "schedules",
    "agenda.appointment.patient_id": "appointments", "agenda.appointment.doctor_id": "appointments",
    "agenda.move.patient_id": "moves", "agenda.move.doctor_id": "moves",
    "agenda.request.user_id": "requests",
    "reviews.review.patient_id": "reviews", "reviews.review.doctor_id": "reviews",
    "clinical.report.patient_id": "reports", "clinical.report.doctor_id": "reports",
    "clinical.file.patient_id": "files",
    "clinical.file_access.doctor_id": "grants_held",
    "audit.access.patient_id": "accesses", "audit.access.user_id": "accesses",
}
# Or with which words of its description it says that it has not.
NOT_TOLD = {
    "users.card.doctor_id": "cards", "users.practice.doctor_id": "cards", "users.free_slot.doctor_id": "free slots",
    "users.name_word.doctor_id": "cards",
    "users.ended.user_id": "numbers of ended sessions for an hour",
    "agenda.request.doctor_id": "the requests of others",
    "agenda.erased.user_id": "who has erased an account can ask nothing",
    "reviews.erased.user_id": "who has erased an account can ask nothing",
    "clinical.file_appointment.doctor_id": "whose an appointment is, beside the grants",
}


def exported(stack, user):
    answer = stack.get("/users/me/export", user)
    assert answer.status == 200, answer
    assert answer.headers["Content-Disposition"] == 'attachment; filename="healthmed-export.json"'
    return answer.json


def opened(stack, user):
    """The answer, of which only the head has been read."""
    at = urlsplit(stack.url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    connection.request("GET", "/api/v1/users/me/export", headers={"Authorization": f"Bearer {user.token}"})
    return connection.getresponse()


def a_long_life(stack, versions):
    """A patient with a report of that many versions, each of the longest."""
    doctor, patient, visit = stack.visit()
    report = stack.post(f"/appointments/{visit}/medical-reports", doctor, comment="Sinus rhythm.").json["id"]
    stack.sql("INSERT INTO clinical.report_version SELECT %s, v, repeat(%s, 20000), now() FROM generate_series(2, %s) AS v",
              report, "\U00010000", versions)
    stack.sql("UPDATE clinical.report SET version = %s WHERE id = %s", versions, report)
    return patient


def listed(stack, path, user):
    return stack.get(path, user).json


def test_a_patient_takes_everything_along(stack):
    doctor, patient, visit = stack.visit()
    report = stack.post(f"/appointments/{visit}/medical-reports", doctor, comment="Sinus rhythm.").json
    changed = stack.http("PUT", f"/appointments/{visit}/medical-reports/{report['id']}",
                         {"comment": "Sinus rhythm, no murmur."}, doctor).json
    review = stack.post(f"/appointments/{visit}/feedbacks", patient, rating=4.5, comment="On time.").json
    slot = stack.slots(doctor, days=3)[0]
    taken = stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id).json
    stack.post(f"/appointments/{taken['id']}/cancel", patient, reason="I travel")
    again = stack.post(f"/appointments/{taken['id']}/cancel", patient, reason="I travel")
    assert again.code == "invalid_transition"
    wait_until(lambda: listed(stack, "/users/me/doctors", patient), why="the doctor is known")

    e = exported(stack, patient)
    assert e["account"] == stack.get("/users/me", patient).json
    assert e["sessions"] == [] and e["exported_at"]
    assert e["doctors"] == listed(stack, "/users/me/doctors", patient)
    assert e["appointments"] == listed(stack, "/appointments", patient)
    assert {a["id"] for a in e["appointments"]} == {visit, taken["id"]}
    assert [(r["status"], r["code"]) for r in e["requests"]] == \
        [("booked", None), ("booked", None), ("done", None), ("rejected", "invalid_transition")]
    assert [r["id"] for r in e["reviews"]] == [review["id"]]
    assert [r["report_id"] for r in e["reports"]] == [report["id"]]
    assert [(r["version"], r["comment"]) for r in e["reports"][0]["items"]] == \
        [(1, "Sinus rhythm."), (2, changed["comment"])]
    assert e["files"] == [] and e["grants"] == []
    did = [(a["user_id"], a["action"], a["report_id"]) for a in e["accesses"]]
    assert did[:2] == [(doctor.id, "write", report["id"])] * 2
    assert "patients" not in e and "schedules" not in e


def test_a_doctor_takes_his_own_along_and_nothing_of_others(stack):
    doctor, patient, visit = stack.visit()
    stack.visit()
    stack.post(f"/appointments/{visit}/medical-reports", doctor, comment="Sinus rhythm.")
    wait_until(lambda: listed(stack, "/users/me/patients", doctor), why="the patient is known")
    e = exported(stack, doctor)
    assert [a["id"] for a in e["appointments"]] == [visit]
    assert [p["id"] for p in e["patients"]] == [patient.id]
    assert e["schedules"] == listed(stack, "/schedules", doctor)
    assert len(e["reports"]) == 1
    assert {(a["user_id"], a["patient_id"]) for a in e["accesses"]} == {(doctor.id, patient.id)}
    assert not {"doctors", "files", "grants"} & set(e)


def test_what_has_moved_away_is_told_to_both_sides_it_was_between(stack):
    first, second, patient = stack.doctor(), stack.doctor(), stack.patient()
    slots = {stack.slots(d)[0]: d for d in (first, second)}
    (a, b) = slots
    visit = stack.post("/appointments", patient, schedule_id=a, doctor_id=first.id).json
    assert stack.http("PUT", f"/appointments/{visit['id']}", {"schedule_id": b, "doctor_id": second.id}, patient).status == 200
    for user in (patient, first):
        (move,) = exported(stack, user)["moves"]
        assert (move["appointment_id"], move["schedule_id"], move["doctor_id"], move["patient_id"]) == \
            (visit["id"], a, first.id, patient.id)
        assert (move["date_time"], move["duration_minutes"]) == (visit["date_time"], 60)
    taken, left = (r["position"] for r in exported(stack, patient)["requests"])
    assert (move["taken_position"], move["left_position"]) == (taken, left)
    assert exported(stack, second)["moves"] == [] and exported(stack, first)["appointments"] == []


def test_every_column_that_names_somebody_is_in_the_document_or_said_not_to_be(stack):
    rows = stack.sql("""SELECT table_schema || '.' || table_name || '.' || column_name
                          FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
                         WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
                           AND column_name ~ %s""", NAMES)
    assert {column for (column,) in rows} == set(TOLD) | set(NOT_TOLD)
    operation = document().paths["/users/me/export"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(TOLD.values()) <= set(schema["properties"])
    said = " ".join(operation["description"].split())
    assert [words for words in NOT_TOLD.values() if words not in said] == []


def test_every_row_that_names_somebody_is_told_to_that_one(stack):
    doctor, patient, visit = stack.visit()
    for user in (doctor, patient):
        assert stack.post("/users/login", email=user.email, password=user.password).status == 200
    stack.post(f"/appointments/{visit}/medical-reports", doctor, comment="Sinus rhythm.")
    stack.post(f"/appointments/{visit}/feedbacks", patient, rating=4, comment="On time.")
    file = upload(stack, patient, pdf(), visit).json["id"]
    seen = stack.get(f"/appointments/{visit}/files/{file}", doctor).json
    assert stack.get(seen["path"].removeprefix("/api/v1")).status == 200
    slots = stack.slots(doctor, 2, days=4)
    moved = stack.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).json["id"]
    for slot in (slots[1], slots[0]):
        assert stack.http("PUT", f"/appointments/{moved}", {"schedule_id": slot, "doctor_id": doctor.id}, patient).status == 200
    wait_until(lambda: listed(stack, "/users/me/doctors", patient), why="the doctor is known")

    for user in (doctor, patient):
        told = exported(stack, user)
        for name in set(TOLD.values()) & set(told) - {"account"}:
            columns = [c.rsplit(".", 1) for c, of in TOLD.items() if of == name]
            (table,) = {t for t, _ in columns} if name not in ("doctors", "patients") else {"users.acquaintance"}
            names = " OR ".join(f"{c} = {user.id}" for t, c in columns)
            ((rows,),) = stack.sql(f"SELECT count(*) FROM {table} WHERE {names}")
            assert rows == len(told[name]) > 0, (user.role, name, told[name])


def test_lists_of_many_pages_are_whole(stack):
    doctor = stack.doctor()
    made = stack.post("/schedules/recurring", doctor, weekdays=[1, 2, 3, 4, 5, 6, 7], duration_minutes=15,
                      starts_on="2027-03-01", ends_on="2027-03-07", **{"from": "08:00", "to": "18:00"})
    assert made.json["created"] == 280
    e = exported(stack, doctor)
    assert len(e["schedules"]) == 280
    times = [s["date_time_available"] for s in e["schedules"]]
    assert times == sorted(times) and len(set(times)) == 280


def test_who_is_nobody_gets_nothing_and_many_at_once_get_all(stack):
    patient = stack.patient()
    assert stack.get("/users/me/export").status == 401
    answers = at_once(24, lambda i: stack.get("/users/me/export", patient))
    assert {a.status for a in answers} == {200}
    assert {a.json["account"]["id"] for a in answers} == {patient.id}


def test_no_document_is_too_long_and_none_takes_more_memory_than_another(stack):
    patient = a_long_life(stack, 500)

    def memory():
        return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{stack.pid('gateway')}/status", encoding="utf-8").read())[1])

    exported(stack, patient)
    before = memory()
    answer = stack.get("/users/me/export", patient)
    assert answer.status == 200 and answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert len(answer.body) > 38 << 20
    (report,) = answer.json["reports"]
    assert [v["version"] for v in report["items"]] == list(range(1, 501))
    assert {len(v["comment"]) for v in report["items"][1:]} == {20000}
    # AddressSanitizer keeps what was freed for a while.
    assert memory() - before < (8 << 10) or b"__asan_init" in Path(BIN).read_bytes()
    assert stack.http("HEAD", "/users/me/export", token=patient).body == b""
    assert stack.get("/users/me", patient).json == answer.json["account"]       # the connection has gone on


def test_a_document_that_breaks_off_is_seen_to_have_no_end(stack):
    patient = a_long_life(stack, 500)
    answer = opened(stack, patient)
    assert answer.status == 200
    begin = answer.read(1 << 20)
    stack.kill("actor-reports")
    try:
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
    finally:
        stack.start("actor-reports")
    with pytest.raises(ValueError, match="Unterminated|Expecting"):
        json.loads(begin + cut.value.partial)
    assert exported(stack, patient)["account"]["id"] == patient.id


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(stack):
    patient = a_long_life(stack, 500)
    for _ in range(8):
        answer = opened(stack, patient)
        answer.read(1000)
        answer.close()
    wait_until(lambda: stack.metric("gateway", "http_waiting") == 0, 20, "nobody is waited for")
    assert exported(stack, patient)["account"]["id"] == patient.id


def test_a_row_that_moves_while_the_document_is_written_is_in_it_once(stack):
    """The last rows of the list become its first, again and again: no page stays what it was."""
    doctor, patient = stack.doctor(), stack.patient()
    stack.sql("""INSERT INTO agenda.slot (doctor_id, starts, ends, created_at, updated_at)
                 SELECT %s, s, s + interval '15 minutes', now(), now()
                   FROM generate_series('2031-01-01'::timestamptz, '2031-01-11', interval '15 minutes') AS s""", doctor.id)
    stack.sql("""INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, created_at,
                                                 updated_at, granted_seq, granted_batch)
                 SELECT nextval('agenda.appointment_id'), id, doctor_id, %s, starts, ends, 'cancelled', now(), now(), 1, 1
                   FROM agenda.slot WHERE doctor_id = %s""", patient.id, doctor.id)
    ids = {name: {id for (id,) in stack.sql(f"SELECT id FROM agenda.{table} WHERE doctor_id = %s", doctor.id)}
           for name, table in (("schedules", "slot"), ("appointments", "appointment"))}
    assert {len(of) for of in ids.values()} == {961}
    ended = threading.Event()

    def move():
        while not ended.is_set():
            for table in ("slot", "appointment"):
                stack.sql(f"""UPDATE agenda.{table} SET starts = starts - interval '11 days', ends = ends - interval '11 days'
                               WHERE id IN (SELECT id FROM agenda.{table} WHERE doctor_id = %s
                                             ORDER BY starts DESC LIMIT 300)""", doctor.id)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for user in (doctor, patient) * 6:
            told = exported(stack, user)
            for name in {"schedules", "appointments"} & set(told):
                assert sorted(row["id"] for row in told[name]) == sorted(ids[name]), (user.role, name)
    finally:
        ended.set()
        mover.join()
