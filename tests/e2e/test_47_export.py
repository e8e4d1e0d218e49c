"""All that is kept about a person, in one document: every list, however long, and nobody else's."""
import pytest

from stack import at_once, wait_until


def exported(stack, user):
    answer = stack.get("/users/me/export", user)
    assert answer.status == 200, answer
    assert answer.headers["Content-Disposition"] == 'attachment; filename="healthmed-export.json"'
    return answer.json


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
    assert [(r["status"], r["code"]) for r in e["requests"]] == [("done", None), ("rejected", "invalid_transition")]
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
    assert not {"doctors", "files", "grants", "accesses"} & set(e)


def test_lists_of_many_pages_are_whole(stack):
    doctor = stack.doctor()
    made = stack.post("/schedules/recurring", doctor, weekdays=[1, 2, 3, 4, 5, 6, 7], duration_minutes=15,
                      starts_on="2027-03-01", ends_on="2027-03-07", **{"from": "08:00", "to": "18:00"})
    assert made.json["created"] == 280
    e = exported(stack, doctor)
    assert len(e["schedules"]) == 280
    times = [s["date_time_available"] for s in e["schedules"]]
    assert times == sorted(times) and len(set(times)) == 280


def test_who_is_nobody_gets_nothing_and_rooms_are_given_back(stack):
    patient = stack.patient()
    assert stack.get("/users/me/export").status == 401
    for _ in range(4):
        answers = at_once(12, lambda i: stack.get("/users/me/export", patient))
        assert {a.status for a in answers} <= {200, 429, 503}
        assert any(a.status == 200 for a in answers)
        assert all(a.headers["Retry-After"] for a in answers if a.status != 200)
    assert exported(stack, patient)["account"]["id"] == patient.id


@pytest.mark.slow
def test_texts_of_the_longest_kind_fit(stack):
    doctor, patient, visit = stack.visit()
    for i in range(12):
        text = chr(0x10000 + i) * 20000
        report = stack.post(f"/appointments/{visit}/medical-reports", doctor, comment=text).json
    for i in range(12):
        text = chr(0x10100 + i) * 20000
        assert stack.http("PUT", f"/appointments/{visit}/medical-reports/{report['id']}",
                          {"comment": text}, doctor).status == 200
    e = exported(stack, patient)
    assert len(e["reports"]) == 12
    assert [r["version"] for r in next(r for r in e["reports"] if r["report_id"] == report["id"])["items"]] == \
        list(range(1, 14))
