"""Medical reports: written by the doctor of an appointment, read by its two sides, every access on the record."""
import uuid

import msgpack
import pytest

from stack import at_once

FIELDS = {"id", "appointment_id", "doctor_id", "patient_id", "version", "comment", "created_at", "updated_at"}
TEXT = "Sinus rhythm.\nNo murmur; rest, and come back in a month."


def at(appointment, report=None):
    return f"/appointments/{appointment}/medical-reports" + (f"/{report}" if report else "")


def write(stack, doctor, appointment, comment=TEXT, **more):
    return stack.post(at(appointment), doctor, comment=comment, **more)


def rewrite(stack, doctor, report, comment, etag=None, key=None):
    headers = {k: v for k, v in (("If-Match", etag), ("Idempotency-Key", key)) if v}
    return stack.http("PUT", at(report["appointment_id"], report["id"]), {"comment": comment}, doctor, headers)


def written(stack, state="confirmed", comment=TEXT):
    """A doctor, a patient and a report."""
    doctor, patient, id = stack.visit(state=state)
    answer = write(stack, doctor, id, comment)
    assert answer.status == 201, answer
    return doctor, patient, answer.json


def accesses(stack, report):
    """Who did what with it, in that order."""
    return stack.sql("SELECT user_id, role, action, patient_id, appointment_id FROM audit.access"
                     " WHERE report_id = %s ORDER BY id", report["id"])


@pytest.mark.parametrize("state", ["confirmed", "in_progress", "concluded"])
def test_a_doctor_writes_a_report_and_both_sides_read_it(stack, state):
    doctor, patient, id = stack.visit(state=state)
    answer = write(stack, doctor, id)
    assert answer.status == 201, answer
    r = answer.json
    assert set(r) == FIELDS
    assert (r["appointment_id"], r["doctor_id"], r["patient_id"], r["version"], r["comment"]) == \
        (id, doctor.id, patient.id, 1, TEXT)
    assert answer.headers["Location"] == "/api/v1" + at(id, r["id"])
    for user in (doctor, patient):
        assert stack.get(at(id), user).json == [r]
        read = stack.get(at(id, r["id"]), user)
        assert read.json == r and read.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("state", ["cancelled", "no_show"])
def test_once_it_was_confirmed_reports_are_begun_and_changed_whatever_came_of_it(stack, state):
    doctor, patient, id = stack.visit(state="confirmed")
    early = write(stack, doctor, id).json
    end = ("cancel", {"reason": "a cold"}) if state == "cancelled" else ("no-show", {})
    assert stack.post(f"/appointments/{id}/{end[0]}", doctor, **end[1]).json["status"] == state
    late = write(stack, doctor, id)
    assert late.status == 201, late
    for report in (early, late.json):
        assert rewrite(stack, doctor, report, TEXT + " So it was.").json["version"] == 2
    assert {r["version"] for r in stack.get(at(id), patient).json} == {2}


@pytest.mark.parametrize("state", ["waiting_for_confirmation", "cancelled"])
def test_before_it_is_confirmed_nothing_is_written(stack, state):
    doctor, _, id = stack.visit(state=state)
    answer = write(stack, doctor, id)
    assert (answer.status, answer.code) == (409, "not_confirmed")
    assert stack.get(at(id), doctor).json == []


def test_with_a_report_an_appointment_keeps_its_doctor(stack):
    doctor, patient, r = written(stack)
    other, (slot,) = stack.doctor_with_slots(1, days=3)
    answer = stack.http("PUT", f"/appointments/{r['appointment_id']}", {"schedule_id": slot, "doctor_id": other.id}, patient)
    assert (answer.status, answer.code) == (409, "has_report")


def test_a_report_that_was_attested_and_not_written_is_finished_by_the_same_key(stack):
    """Between the two the appointment stays with its doctor: the agenda errs on the side of the report."""
    doctor, patient, id = stack.visit(state="confirmed")
    slot, key = stack.slots(doctor, days=5)[0], str(uuid.uuid4())
    assert write(stack, doctor, id, " \n \t  ").status == 422          # what cannot be a report attests nothing
    assert stack.sql("SELECT reported_at FROM agenda.appointment WHERE id = %s", id) == [(None,)]
    stack.stop("actor-reports")
    try:
        assert write(stack, doctor, id, key=key).status in (503, 504)
        moved = stack.http("PUT", f"/appointments/{id}", {"schedule_id": slot, "doctor_id": doctor.id}, patient)
        assert (moved.status, moved.code) == (409, "has_report")
    finally:
        stack.start("actor-reports")
    assert write(stack, doctor, id, key=key).status == 201
    assert len(stack.get(at(id), patient).json) == 1


def test_what_a_report_must_not_be(stack):
    doctor, _, r = written(stack)
    for body, code in (({}, "missing"), ({"comment": "four"}, "too_short"), ({"comment": "x" * 20001}, "too_long"),
                       ({"comment": None}, "missing"), ({"comment": 7}, "malformed"), ({"comment": " \n\t \n "}, "invalid")):
        for answer in (stack.http("POST", at(r["appointment_id"]), body, doctor),
                       stack.http("PUT", at(r["appointment_id"], r["id"]), body, doctor)):
            assert answer.status == 422, (body, answer)
            assert [(e["field"], e["code"]) for e in answer.json["errors"]] == [("comment", code)], (body, answer)
    assert stack.get(at(r["appointment_id"]), doctor).json == [r]


def test_the_longest_report_fits_whatever_it_is_written_in(stack):
    doctor, patient, r = written(stack)
    for letter in ("x", "ç", "€", "😀", "\n", "\x01"):      # the body has its letters as they are, then escaped
        text = letter * 19999 + "."
        answer = rewrite(stack, doctor, r, text)
        assert answer.status == 200, (letter, answer)
        raw = ('{"comment":"' + text + '"}').encode() if letter >= " " else None
        if raw:
            assert stack.http("POST", at(r["appointment_id"]), raw, doctor).status == 201, letter
        assert stack.get(at(r["appointment_id"], r["id"]), patient).json["comment"] == text


def test_a_change_is_a_further_version_and_the_old_ones_stay(stack):
    doctor, patient, r = written(stack)
    path = at(r["appointment_id"], r["id"])
    texts = [TEXT] + [f"{TEXT} Version {n}." for n in (2, 3)]
    stamps = [r["updated_at"]]
    for n, text in enumerate(texts[1:], 2):
        answer = rewrite(stack, doctor, r, text)
        assert answer.status == 200, answer
        assert (answer.json["version"], answer.json["comment"], answer.json["created_at"]) == (n, text, r["created_at"])
        assert stack.get(path, patient).json == answer.json
        stamps.append(answer.json["updated_at"])
    assert stamps == sorted(set(stamps))
    for user in (doctor, patient):
        for n, text in enumerate(texts, 1):
            old = stack.get(f"{path}?version={n}", user).json
            assert (old["version"], old["comment"], old["updated_at"]) == (n, text, stamps[n - 1])
        assert stack.get(f"{path}?version=4", user).code == "not_found"
        assert stack.get(f"{path}?version=0", user).status == 422
        assert [x["version"] for x in stack.get(at(r["appointment_id"]), user).json] == [3]


def test_several_reports_of_one_appointment_come_in_pages_the_latest_first(stack):
    doctor, patient, r = written(stack)
    id, all = r["appointment_id"], [r]
    for n in range(4):
        all.insert(0, write(stack, doctor, id, f"Report number {n}").json)
    assert stack.get(at(id), patient).json == all
    pages, page = [], stack.get(at(id) + "?limit=2", patient)
    while True:
        pages.append(page.json)
        if "Link" not in page.headers:
            break
        page = stack.get(page.headers["Link"].split("<")[1].split(">")[0].split("/api/v1", 1)[1], patient)
    assert pages == [all[:2], all[2:4], all[4:]]


def test_a_page_of_large_reports_ends_where_it_is_full_and_goes_on(stack):
    doctor, patient, r = written(stack, comment="😀" * 20000)
    id = r["appointment_id"]
    written_ids = {r["id"]} | {write(stack, doctor, id, "😀" * 20000).json["id"] for _ in range(7)}
    seen, page = [], stack.get(at(id), patient)
    while True:
        assert page.status == 200 and page.json
        seen += [x["id"] for x in page.json]
        assert {len(x["comment"]) for x in page.json} == {20000}
        if "Link" not in page.headers:
            break
        page = stack.get(page.headers["Link"].split("<")[1].split(">")[0].split("/api/v1", 1)[1], patient)
    assert seen == sorted(written_ids, reverse=True)
    assert len(accesses(stack, {"id": r["id"]})) == 2          # written, and read once: not when it did not fit


def test_the_patient_reads_and_never_writes(stack):
    doctor, patient, r = written(stack)
    id = r["appointment_id"]
    assert write(stack, patient, id).status == 403
    assert rewrite(stack, patient, r, "I am well.").status == 403
    assert stack.get(at(id), doctor).json == [r]
    assert stack.get(at(id)).status == 401


def test_another_s_report_is_not_there(stack):
    doctor, patient, r = written(stack)
    id, absent = r["appointment_id"], {**r, "appointment_id": 999999999}
    stranger, rival = stack.patient(), stack.doctor()
    _, _, elsewhere = stack.visit(rival, stranger, state="confirmed")
    for user in (stranger, rival):
        for path in (at(id), at(id, r["id"]), at(id, r["id"]) + "?version=1", at(elsewhere, r["id"]), at(999999999)):
            answer = stack.get(path, user)
            assert (answer.status, answer.code) == (404, "not_found"), (path, answer)
    for theirs, nothing in ((write(stack, rival, id), write(stack, rival, 999999999)),
                            (rewrite(stack, rival, r, "Quite another."), rewrite(stack, rival, absent, "Quite another."))):
        assert (theirs.status, theirs.code) == (nothing.status, nothing.code) == (404, "not_found")
        assert {**theirs.json, "trace_id": 0} == {**nothing.json, "trace_id": 0}
    assert rewrite(stack, rival, {**r, "appointment_id": elsewhere}, "Quite another.").status == 404
    assert stack.get(at(id, r["id"]), patient).json == r
    assert accesses(stack, r) == [(doctor.id, "doctor", "write", patient.id, id), (patient.id, "patient", "read", patient.id, id)]


def test_a_gateway_that_names_another_doctor_s_appointment_is_refused(stack):
    """Whoever may publish requests still cannot write in the name of another doctor."""
    doctor, patient, r = written(stack)
    rival = stack.doctor()
    body = {"appointment_id": r["appointment_id"], "comment": TEXT, "doctor_id": doctor.id, "patient_id": patient.id}
    head = {"Healthmed-User": str(rival.id), "Healthmed-Role": "doctor", "Healthmed-Deadline": "5000"}
    with stack.nats("gateway") as nats:
        answer = nats.request("healthmed.v1.reports.write", msgpack.packb(body), head)
        assert answer.headers["Nats-Service-Error-Code"] == "not_found"
        change = {k: body[k] for k in ("appointment_id", "comment")} | {"report_id": r["id"]}
        answer = nats.request("healthmed.v1.reports.rewrite", msgpack.packb(change), head)
        assert answer.headers["Nats-Service-Error-Code"] == "not_found"
    assert stack.sql("SELECT count(*) FROM clinical.report WHERE appointment_id = %s", r["appointment_id"]) == [(1,)]


def test_every_access_is_on_the_record(stack):
    doctor, patient, r = written(stack)
    id = r["appointment_id"]
    expected = [(doctor.id, "doctor", "write", patient.id, id)]

    def by(user, action):
        expected.append((user.id, user.role, action, patient.id, id))
        assert accesses(stack, r) == expected

    stack.get(at(id, r["id"]), patient)
    by(patient, "read")
    stack.get(at(id), doctor)
    by(doctor, "read")
    stack.get(at(id, r["id"]) + "?version=1", doctor)
    by(doctor, "read")
    rewrite(stack, doctor, r, "On second thoughts.")
    by(doctor, "write")
    stack.get(at(id, r["id"]) + "?version=9", doctor)           # there was nothing to see
    assert rewrite(stack, doctor, r, "Too late.", etag='"another"').status == 412
    assert accesses(stack, r) == expected
    for n in (1, 2):
        write(stack, doctor, id, f"Report number {n}")
    stack.get(at(id) + "?limit=2", patient)                     # the first report is on the next page
    assert accesses(stack, r) == expected


def test_the_record_is_only_ever_added_to(stack):
    rights = stack.sql("SELECT has_table_privilege('healthmed_reports', 'audit.access', p) FROM unnest(ARRAY['INSERT',"
                       "'UPDATE', 'DELETE', 'TRUNCATE']) AS p")
    assert rights == [(True,), (False,), (False,), (False,)]
    rights = stack.sql("SELECT has_table_privilege('healthmed_reports', 'clinical.report_version', p) FROM"
                       " unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p")
    assert set(rights) == {(False,)}
    for role in ("booking", "users", "schedules", "appointments", "reviews"):
        assert stack.sql("SELECT has_schema_privilege(%s, 'clinical', 'USAGE')", "healthmed_" + role) == [(False,)]


def test_if_match_lets_one_of_ten_changes_at_once_through(stack):
    doctor, patient, r = written(stack)
    path = at(r["appointment_id"], r["id"])
    etag = stack.get(path, doctor).headers["ETag"]
    answers = at_once(10, lambda i: rewrite(stack, doctor, r, f"The version of writer {i}", etag))
    assert sorted(a.status for a in answers) == [200] + [412] * 9
    assert {a.code for a in answers if a.status == 412} == {"precondition_failed"}
    winner = next(a for a in answers if a.status == 200)
    assert winner.json["version"] == 2 and stack.get(path, patient).json == winner.json
    again = rewrite(stack, doctor, r, "A further version", winner.headers["ETag"])
    assert (again.status, again.json["version"]) == (200, 3)
    assert rewrite(stack, doctor, r, "Whatever it is", "*").json["version"] == 4
    assert stack.sql("SELECT count(*) FROM clinical.report_version WHERE report_id = %s", r["id"]) == [(4,)]


def test_ten_changes_at_once_without_a_condition_are_ten_versions(stack):
    doctor, _, r = written(stack)
    answers = at_once(10, lambda i: rewrite(stack, doctor, r, f"The version of writer {i}"))
    assert sorted(a.json["version"] for a in answers) == list(range(2, 12))


def test_copies_at_once_are_one_report_and_one_version(stack):
    doctor, _, id = stack.visit(state="confirmed")
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    answers = at_once(20, lambda i: write(stack, doctor, id, key=key))
    assert {a.status for a in answers} == {201} and len({a.body for a in answers}) == 1
    r = answers[0].json
    assert write(stack, doctor, id, "Something else.", key=key).code == "key_reused"
    answers = at_once(20, lambda i: rewrite(stack, doctor, r, "Once more.", key=other))
    assert {a.status for a in answers} == {200} and {a.json["version"] for a in answers} == {2}
    assert len(accesses(stack, r)) == 2


def test_the_fact_tells_that_it_was_written_and_not_what(stack):
    doctor, patient, id = stack.visit(state="confirmed")
    with stack.nats("reader") as nats:
        facts = nats.subscribe("healthmed.v1.events.reports.written.>")
        r = write(stack, doctor, id).json
        message = facts.next(timeout=5)
    (fact,) = msgpack.unpackb(message.data)["items"]
    assert {k: fact[k] for k in ("id", "appointment_id", "doctor_id", "patient_id", "version")} == \
        {"id": r["id"], "appointment_id": id, "doctor_id": doctor.id, "patient_id": patient.id, "version": 1}
    assert all(isinstance(v, int) for v in fact.values())


def test_the_text_is_in_no_log_and_no_stream(stack):
    secret = "Zyxomma-" + uuid.uuid4().hex
    with stack.nats() as nats:
        everything = nats.subscribe("healthmed.v1.events.>"), nats.subscribe("healthmed.v1.booking.>")
        doctor, patient, r = written(stack, comment=secret)
        assert rewrite(stack, doctor, r, secret + " again").json["version"] == 2
        assert write(stack, doctor, r["appointment_id"], secret, key="x" * 65).status == 400
        assert rewrite(stack, doctor, r, secret, etag='"another"').status == 412
        assert stack.get(at(r["appointment_id"]), patient).status == 200
        told = [m for heard in everything for m in heard.all(1)]
    assert {m.subject.split(".")[2] for m in told} == {"events", "booking"}
    assert not any(secret.encode() in m.data for m in told)
    for log in (stack.run / "logs").glob("*.log"):
        assert secret not in log.read_text(errors="replace"), log.name
