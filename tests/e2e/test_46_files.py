"""Exams through HTTP: uploads and what is refused, who may read until when, links, and what lies in the stores."""
import hashlib
import http.client
import io
import json
import os
import re
import secrets
import socket
import subprocess
import time
import zipfile
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

import msgpack
import pytest

from fakes3 import S3
from stack import BIN, Stack, at_once, wait_until

MIB = 1 << 20


def pdf(size=2000, inside=b""):
    """A PDF of that many bytes; random, so that a copy of any part of it would be found."""
    head, tail = b"%PDF-1.7\n" + inside, b"\n%%EOF\n"
    filler = secrets.token_bytes(size - len(head) - len(tail)).replace(b"/", b"_")      # no name by chance
    return head + filler + tail


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("run.txt", "a second file")
    return out.getvalue()


def updated(first=b"", end=b"\n"):
    """A PDF of two pages' writing: linearised (the first part ends at its own %%EOF), then updated and saved once more."""
    stream = lambda n: b"%d 0 obj\n<< /Length 3000 >>\nstream\n" % n + secrets.token_bytes(3000).replace(b"/", b"_") + b"\nendstream\nendobj\n"     # noqa: E731
    table = lambda n, at: b"xref\n%d 1\n0000000015 00000 n \ntrailer\n<< /Size 9 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (n, at)    # noqa: E731
    return b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + first + stream(4) + table(4, 0) + end + stream(1) + stream(2) + table(0, 60) + end + \
        stream(7) + table(7, 9000) + end


def form(data, name="exam.pdf", kind="application/pdf", field="file", boundary="xXx"):
    """A body of multipart/form-data, and its header."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{quoted}"\r\n' + \
           (f"Content-Type: {kind}\r\n" if kind else "") + "\r\n"
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def upload(stack, patient, data, appointment=None, key=None, url=None, **how):
    body, head = form(data, **how)
    at = f"/appointments/{appointment}/files" if appointment else "/files"
    return stack.http("POST", at, body, patient, head | ({"Idempotency-Key": key} if key else {}), url=url)


def file_of(stack, patient, data=None, appointment=None, **how):
    answer = upload(stack, patient, data or pdf(), appointment, **how)
    assert answer.status == 201, answer
    return answer.json["id"]


def link(stack, reader, file, appointment=None):
    at = f"/appointments/{appointment}/files/{file}" if appointment else f"/files/{file}"
    answer = stack.get(at, reader)
    assert answer.status == 200, answer
    return answer.json["path"]


def follow(stack, path):
    return stack.http("GET", "/" + path)


def later(**delta):
    return (datetime.now(timezone.utc) + timedelta(**delta)).isoformat()


def grants(stack, patient, file):
    answer = stack.get(f"/files/{file}/access", patient)
    assert answer.status == 200, answer
    return answer.json


def granted(stack, patient, file, doctor, appointment, **delta):
    answer = stack.post(f"/files/{file}/access", patient, doctor_id=doctor.id, appointment_id=appointment,
                        expires_at=later(**(delta or {"days": 1})))
    assert answer.status == 201, answer
    return answer.json["id"]


# ---- uploads ----

def test_a_file_comes_back_byte_by_byte_with_its_name_size_and_hash(stack):
    patient, data = stack.patient(), pdf(200_000)
    answer = upload(stack, patient, data, name="exame do coração.pdf")
    assert answer.status == 201, answer
    file = answer.json
    assert answer.headers["Location"] == f"/api/v1/files/{file['id']}"
    assert set(file) == {"id", "file_name", "size", "sha256", "appointment_id", "created_at", "path"}
    assert (file["file_name"], file["size"], file["sha256"]) == ("exame do coração.pdf", len(data), hashlib.sha256(data).hexdigest())
    assert file["path"] is None and file["appointment_id"] is None
    read = stack.get(f"/files/{file['id']}", patient).json
    assert {**read, "path": None} == file
    got = follow(stack, read["path"])
    assert (got.status, got.body) == (200, data)
    assert got.headers["Content-Type"] == "application/pdf" and got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["Content-Disposition"] == \
        'attachment; filename="exame do cora__o.pdf"; filename*=UTF-8\'\'exame%20do%20cora%C3%A7%C3%A3o.pdf'


def test_ten_mebibytes_are_a_file_and_a_byte_more_is_not(stack):
    patient, data = stack.patient(), pdf(10 * MIB)
    file = file_of(stack, patient, data)
    assert follow(stack, link(stack, patient, file)).body == data
    for more in (1, 100_000, 4 * MIB):
        answer = upload(stack, patient, data[:-6] + b"x" * more + b"%%EOF\n")
        assert (answer.status, answer.code) == (413, "too_large"), more
    assert [f["id"] for f in stack.get("/files", patient).json] == [file]


def test_a_file_of_every_length_around_a_chunk_is_whole(stack):
    patient = stack.patient()
    for size in (65535, 65536, 65537, 131072):
        data = pdf(size)
        assert follow(stack, link(stack, patient, file_of(stack, patient, data))).body == data


NO_PLAIN_PDF = {
    "photo": (b"\xff\xd8\xff\xe0 a photo \xff\xd9", "must be a PDF"),
    "zip before": (b"PK\3\4" + pdf(), "must be a PDF"),
    "zip after": (pdf() + b"PK\3\4 and more", "must be a PDF and nothing after it"),
    "zip within": (pdf()[:-7] + b"PK\5\6" + b"\0" * 18 + b"\n%%EOF\n", "must be a PDF and no ZIP in it"),
    "zip far within": (pdf() + b"1 " + zipped() + b" " * 65_600 + b"\n%%EOF\n", "must be a PDF and nothing after it"),
    "zip in an update": (pdf() + b"1 0 obj\n" + zipped() + b" " * 70_000 + b"\nendobj\n%%EOF\n", "must be a PDF and no ZIP in it"),
    "7z after": (pdf() + b"7z\xbc\xaf\x27\x1c\0\4" + b"\n%%EOF\n", "must be a PDF and nothing after it"),
    "program after": (pdf() + b"1\nMZ\x90\0" + b"\n%%EOF\n", "must be a PDF and nothing after it"),
    "PostScript after": (pdf() + b"%!PS-Adobe-3.0" + b"\n%%EOF\n", "must be a PDF and nothing after it"),
    "cut off": (b"%PDF-1.7\n" + b"x" * 70_000, "must be a whole PDF: it does not end with %%EOF"),
    "script": (pdf(inside=b"<</S/JavaScript/JS(app.alert(1))>>"), "must be a PDF without scripts"),
    "escaped script": (pdf(inside=b"<</S/J#61vaScr#69pt>>"), "must be a PDF without scripts"),
    "program": (pdf(inside=b"/Launch "), "must be a PDF that starts no program"),
    "file": (pdf(inside=b"/EmbeddedFile "), "must be a PDF without files in it"),
    "two chunks": (pdf(65536 - 5)[:-7] + b"_" * 7 + b"/Launch " + pdf(), "must be a PDF that starts no program"),     # across two chunks
}


def test_what_is_no_plain_pdf_is_refused_and_nothing_of_it_stays(stack):
    patients = {name: stack.patient() for name in NO_PLAIN_PDF}
    for name, (data, why) in NO_PLAIN_PDF.items():
        answer = upload(stack, patients[name], data)
        assert (answer.status, answer.code) == (422, "invalid"), (name, answer)
        assert [(e["field"], e["message"]) for e in answer.json["errors"]] == [("file", why)], name
        assert stack.get("/files", patients[name]).json == [], name
    wait_until(lambda: stack.sql("SELECT count(*) FROM clinical.file WHERE patient_id = ANY (%s)",
                                 [p.id for p in patients.values()]) == [(0,)], 15, "they are swept")


def test_a_document_that_is_linearised_and_was_saved_again_is_taken_whole(stack):
    patient = stack.patient()
    for data in (updated(), updated(end=b"\r\n"), updated(first=b"9 0 obj\nstream\n" + zipped() + b"\0" * 140_000 + b"\nendstream\nendobj\n")):
        answer = upload(stack, patient, data)
        assert (answer.status, answer.json["size"]) == (201, len(data)), answer


@pytest.mark.parametrize("how, code", [
    ({"kind": "text/plain"}, "invalid"), ({"name": "a\x01b.pdf"}, "unreadable"), ({"name": "exam\u202efdp.exe"}, "invalid"),
    ({"name": "x" * 256}, "invalid"), ({"field": "document"}, "invalid"), ({"kind": "multipart/mixed; boundary=b"}, "unreadable"),
    ({"name": "..."}, "invalid"),
])
def test_a_form_that_is_wrong_is_refused_with_the_field(stack, how, code):
    answer = upload(stack, stack.patient(), pdf(), **how)
    assert answer.code == code and answer.status == {"invalid": 422, "unreadable": 400}[code], answer
    assert answer.json["errors"], answer


def test_names_are_files_names_and_nothing_else(stack):
    patient = stack.patient()
    for said, name in (("../../etc/passwd.pdf", "passwd.pdf"), ("C:\\exams\\x.pdf", "x.pdf"), ("", "document.pdf"),
                       ('say "ah".pdf', 'say "ah".pdf'), ("a\u2003b.pdf", "a\u2003b.pdf"), ("x" * 251 + ".pdf", "x" * 251 + ".pdf")):
        answer = upload(stack, patient, pdf(), name=said)
        assert (answer.status, answer.json.get("file_name")) == (201, name), answer
        got = follow(stack, link(stack, patient, answer.json["id"]))
        assert got.status == 200 and got.headers["Content-Disposition"].endswith("UTF-8''" + quote(name, safe="!#$&+-.^_`|~")), got.headers


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"--xXx", 400), (b"--xXx--", 422), (b"%PDF-1.7", 400), (form(b"")[0], 422), (form(pdf())[0][:-9], 400),
    (form(pdf())[0] + b"PK", 400), (form(pdf())[0].replace(b"exam", b"ex\0am"), 400),
    (form(pdf(), boundary="yYy")[0], 400), (form(pdf())[0][:-9] + b"\r\n" + form(pdf())[0], 422),
    (b"--xXx\r\nX: " + b"y" * 9000 + b"\r\n" + form(pdf())[0][7:], 400),
], ids=["nothing", "a boundary", "no part", "no form", "empty file", "no end", "more", "a NUL", "another boundary", "two files", "long headers"])
def test_a_body_that_is_no_form_of_one_file_is_told_so(stack, body, status):
    answer = stack.http("POST", "/files", body, stack.patient(), form(b"")[1])
    assert answer.status == status and answer.json["errors"], answer


def test_what_is_no_form_is_415_before_a_byte_of_it_is_read(stack):
    patient = stack.patient()
    for kind in ("application/pdf", "application/json", "multipart/mixed; boundary=xXx"):
        answer = stack.http("POST", "/files", form(pdf())[0], patient, {"Content-Type": kind})
        assert (answer.status, answer.code) == (415, "unsupported_media_type"), kind
    at = urlsplit(stack.url)
    with socket.create_connection((at.hostname, at.port), timeout=10) as s:
        s.sendall(f"POST /api/v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {patient.token}\r\nContent-Type: text/plain\r\n"
                  "Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert s.recv(1000).startswith(b"HTTP/1.1 415 ")


def test_twenty_uploads_at_once_are_twenty_files_or_are_told_to_come_again(stack):
    patient, files = stack.patient(), [pdf(MIB) for _ in range(20)]

    def send(i):
        answer = upload(stack, patient, files[i])
        assert answer.status not in (429, 503) or answer.headers["Retry-After"]
        return answer.status not in (429, 503) and answer

    answers = at_once(20, lambda i: wait_until(lambda: send(i), 30, "there is room"))
    assert [getattr(a, "status", a) for a in answers] == [201] * 20
    for data, answer in zip(files, answers):
        assert follow(stack, link(stack, patient, answer.json["id"])).body == data


def test_copies_with_one_key_are_one_file_also_when_they_come_at_once(stack):
    patient, data, key = stack.patient(), pdf(300_000), secrets.token_hex(8)
    answers = at_once(5, lambda i: upload(stack, patient, data, key=key)) + [upload(stack, patient, data, key=key)]
    assert {a.status for a in answers} == {201} and len({a.body for a in answers}) == 1, answers
    assert len(stack.get("/files", patient).json) == 1
    for other in ({"data": pdf(300_000)}, {"data": data, "name": "other.pdf"}):
        answer = upload(stack, patient, key=key, **other)
        assert (answer.status, answer.code) == (422, "key_reused"), answer
    assert upload(stack, stack.patient(), data, key=key).json["id"] != answers[0].json["id"]
    file = answers[0].json["id"]
    assert stack.http("DELETE", f"/files/{file}", None, patient).status == 204
    assert upload(stack, patient, data, key=key).body == answers[0].body        # the outcome it had
    wait_until(lambda: stack.sql("SELECT count(*) FROM clinical.file WHERE patient_id = %s", patient.id) == [(0,)], 15, "what was brought in vain goes")


def test_a_key_whose_file_was_refused_is_free_for_a_better_one(stack):
    patient, key = stack.patient(), secrets.token_hex(8)
    answers = at_once(4, lambda i: upload(stack, patient, b"no pdf", key=key))
    assert [(a.status, a.code) for a in answers] == [(422, "invalid")] * 4, answers
    assert upload(stack, patient, pdf(), key=key).status == 201


def test_an_upload_that_never_ended_is_swept_after_an_hour_and_not_before(stack):
    patient = stack.patient()
    with stack.nats("gateway") as nats:
        begun = [msgpack.unpackb(nats.request("healthmed.v1.files.begin", msgpack.packb({"size": 100_000}), {
            "Healthmed-User": str(patient.id), "Healthmed-Role": "patient", "Healthmed-Deadline": "5000"}).data)["id"] for _ in range(2)]
    stack.sql("UPDATE clinical.file SET created_at = now() - interval '61 minutes' WHERE id = %s", begun[0])
    wait_until(lambda: stack.sql("SELECT id FROM clinical.file WHERE patient_id = %s", patient.id) == [(begun[1],)], 15, "the old one is gone")
    assert stack.get(f"/files/{begun[1]}", patient).code == "not_found"


# ---- whose ----

def test_files_are_the_patients_and_nobody_elses(stack):
    patient, other, doctor = stack.patient(), stack.patient(), stack.doctor()
    file = file_of(stack, patient)
    later_, nothing = later(days=1), [("GET", f"/files/{file}"), ("DELETE", f"/files/{file}"), ("GET", f"/files/{file}/access"),
                                      ("GET", f"/files/{file}/reads"), ("DELETE", f"/files/{file}/access/1")]
    for method, path in nothing:
        assert (answer := stack.http(method, path, None, other)).code == "not_found", (method, path, answer)
        assert stack.http(method, path.replace(str(file), "999999999", 1), None, patient).code == "not_found"
        assert stack.http(method, path, None, doctor).code == "forbidden", (method, path)
        assert stack.http(method, path).code == "no_token"
    assert stack.http("PUT", f"/files/{file}/access", [], other).code == "not_found"
    _, third, appointment = stack.visit(patient=other, state="confirmed")
    owner = stack.sql("SELECT doctor_id FROM agenda.appointment WHERE id = %s", appointment)[0][0]
    body = {"doctor_id": owner, "appointment_id": appointment, "expires_at": later_}
    assert stack.post(f"/files/{file}/access", other, **body).code == "not_found"
    assert stack.get("/files", doctor).code == "forbidden" and upload(stack, doctor, pdf()).code == "forbidden"
    assert stack.get("/files", other).json == [] and third is other


def test_lists_come_in_pages(stack):
    patient = stack.patient()
    files = [file_of(stack, patient) for _ in range(5)]
    seen, path = [], "/files?limit=2"
    while path:
        answer = stack.get(path, patient)
        assert len(answer.json) <= 2
        seen += [f["id"] for f in answer.json]
        found = re.fullmatch(r'<(?:/api/v1)?([^>]*)>; rel="next"', answer.headers.get("Link") or "")
        path = found[1] if found else None
    assert seen == files


def test_a_removed_file_is_gone_with_all_that_was_stored_of_it(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient, appointment=appointment)
    mine, his = link(stack, patient, file), link(stack, doctor, file, appointment)
    assert stack.http("DELETE", f"/files/{file}", None, patient).status == 204
    for path in (mine, his):
        assert follow(stack, path).code == "not_found"
    assert stack.http("DELETE", f"/files/{file}", None, patient).code == "not_found"
    assert stack.sql("SELECT wrapped_key FROM clinical.file WHERE id = %s AND octet_length(wrapped_key) > 0", file) == []
    wait_until(lambda: stack.sql("SELECT (SELECT count(*) FROM clinical.file_chunk WHERE file_id = %s) + (SELECT count(*) FROM clinical.file "
                                 "WHERE id = %s)", file, file) == [(0,)], 15, "its rows are gone")


# ---- an appointment's files ----

def test_an_upload_at_an_appointment_lets_its_doctor_read_until_thirty_days_after_it(stack):
    doctor, patient, appointment = stack.visit(state="confirmed", days=3)
    data = pdf()
    answer = upload(stack, patient, data, appointment)
    assert answer.status == 201 and answer.json["appointment_id"] == appointment, answer
    file = answer.json["id"]
    assert answer.headers["Location"] == f"/api/v1/appointments/{appointment}/files/{file}"
    (grant,) = grants(stack, patient, file)
    ends = stack.sql("SELECT ends FROM agenda.appointment WHERE id = %s", appointment)[0][0]
    assert (grant["doctor_id"], grant["appointment_id"]) == (doctor.id, appointment)
    assert datetime.fromisoformat(grant["expires_at"]) == ends + timedelta(days=30)
    for reader in (patient, doctor):
        assert [f["id"] for f in stack.get(f"/appointments/{appointment}/files", reader).json] == [file]
        assert stack.get(f"/appointments/{appointment}/files/{file}", reader).json["appointment_id"] == appointment
        assert follow(stack, link(stack, reader, file, appointment)).body == data
    assert stack.get(f"/appointments/{appointment}/files/{file}/access", patient).json == [grant]
    assert stack.get("/files", patient).json[0]["id"] == file


def test_at_anothers_appointment_there_is_nothing(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file, stranger, colleague = file_of(stack, patient, appointment=appointment), stack.patient(), stack.doctor()
    base = f"/appointments/{appointment}/files"
    for who in (stranger, colleague):
        assert stack.get(base, who).code == "not_found" and stack.get(f"{base}/{file}", who).code == "not_found"
    assert upload(stack, stranger, pdf(), appointment).code == "not_found"
    assert upload(stack, patient, pdf(), 999999999).code == "not_found"
    assert upload(stack, doctor, pdf(), appointment).code == "forbidden"
    for method, path, body in (("DELETE", f"{base}/{file}", None), ("GET", f"{base}/{file}/access", None), ("PUT", f"{base}/{file}/access", [])):
        assert stack.http(method, path, body, stranger).code == "not_found", (method, path)
        assert stack.http(method, path, body, doctor).code == "forbidden", (method, path)
    loose = file_of(stack, patient)                     # of the same patient, but not of this appointment
    assert stack.get(f"{base}/{loose}", patient).code == "not_found" and stack.get(f"{base}/{loose}", doctor).code == "not_found"
    assert stack.http("DELETE", f"{base}/{loose}", None, patient).code == "not_found"
    assert stack.http("DELETE", f"{base}/{file}", None, patient).status == 204
    assert stack.get(f"/files/{file}", patient).code == "not_found"


def test_a_cancelled_appointment_takes_no_files_and_no_grants(stack):
    doctor, patient, appointment = stack.visit(state="cancelled")
    answer = upload(stack, patient, pdf(), appointment)
    assert (answer.status, answer.code) == (409, "invalid_transition"), answer
    assert stack.get("/files", patient).json == []
    file = file_of(stack, patient)
    answer = stack.post(f"/files/{file}/access", patient, doctor_id=doctor.id, appointment_id=appointment, expires_at=later(days=1))
    assert answer.status == 422 and [e["field"] for e in answer.json["errors"]] == ["appointment_id"], answer


# ---- grants ----

def test_a_grant_opens_a_file_to_the_doctor_of_the_appointment_alone(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file, other = file_of(stack, patient), stack.doctor()
    assert stack.get(f"/appointments/{appointment}/files", doctor).json == []
    answer = stack.post(f"/files/{file}/access", patient, doctor_id=other.id, appointment_id=appointment, expires_at=later(days=1))
    assert answer.status == 422 and [e["field"] for e in answer.json["errors"]] == ["doctor_id"], answer
    answer = stack.post(f"/files/{file}/access", patient, doctor_id=doctor.id, appointment_id=appointment, expires_at=later(hours=2))
    assert answer.status == 201 and set(answer.json) == {"id", "doctor_id", "appointment_id", "expires_at", "created_at"}, answer
    assert answer.headers["Location"] == f"/api/v1/files/{file}/access/{answer.json['id']}"
    assert [f["id"] for f in stack.get(f"/appointments/{appointment}/files", doctor).json] == [file]
    assert follow(stack, link(stack, doctor, file, appointment)).status == 200
    again = stack.post(f"/files/{file}/access", patient, doctor_id=doctor.id, appointment_id=appointment, expires_at=later(days=2))
    assert again.status == 201 and again.json["id"] == answer.json["id"] and again.json["expires_at"] > answer.json["expires_at"]


@pytest.mark.parametrize("change, field", [
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": None}, "expires_at"), ({"doctor_id": 0}, "doctor_id"),
    ({"doctor_id": None}, "doctor_id"), ({"appointment_id": None}, "appointment_id"),
])
def test_a_grant_that_makes_no_sense_is_refused_alone_and_in_a_list(stack, change, field):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient)
    want = {"doctor_id": doctor.id, "appointment_id": appointment, "expires_at": later(days=1), **change}
    want = {k: v for k, v in want.items() if v is not None}
    for method, body, at in (("POST", want, field), ("PUT", [want], f"items[0].{field}")):
        answer = stack.http(method, f"/files/{file}/access", body, patient)
        assert answer.status == 422 and [e["field"] for e in answer.json["errors"]] == [at], answer
    assert grants(stack, patient, file) == []


def test_another_patients_appointment_is_no_reason_for_a_grant(stack):
    doctor, _, appointment = stack.visit(state="confirmed")
    patient = stack.patient()
    file = file_of(stack, patient)
    want = {"doctor_id": doctor.id, "appointment_id": appointment, "expires_at": later(days=1)}
    assert stack.http("POST", f"/files/{file}/access", want, patient).code == "not_found"
    assert stack.http("PUT", f"/files/{file}/access", [want], patient).code == "not_found"


def test_a_list_replaces_what_was_granted(stack):
    patient = stack.patient()
    visits = [stack.visit(patient=patient, state="confirmed", days=d) for d in (1, 2, 3)]
    file = file_of(stack, patient)
    want = lambda i, days=1: {"doctor_id": visits[i][0].id, "appointment_id": visits[i][2], "expires_at": later(days=days)}      # noqa: E731
    put = lambda *wants: stack.http("PUT", f"/files/{file}/access", list(wants), patient)          # noqa: E731
    first = put(want(0), want(1))
    assert first.status == 200 and [g["doctor_id"] for g in first.json] == [visits[0][0].id, visits[1][0].id], first
    kept = first.json[1]["id"]
    second = put(want(1, 5), want(2))
    assert {g["doctor_id"] for g in grants(stack, patient, file)} == {visits[1][0].id, visits[2][0].id} and second.status == 200
    assert kept in {g["id"] for g in second.json}
    assert stack.get(f"/appointments/{visits[0][2]}/files", visits[0][0]).json == []
    twice = put(want(0), want(0, 2))
    assert twice.status == 422 and [e["field"] for e in twice.json["errors"]] == ["items[1].appointment_id"], twice
    assert {g["doctor_id"] for g in grants(stack, patient, file)} == {visits[1][0].id, visits[2][0].id}        # nothing was half done
    assert put().json == [] and grants(stack, patient, file) == []


def test_a_revoked_grant_cuts_off_a_link_that_was_issued_before(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient)
    access = granted(stack, patient, file, doctor, appointment)
    path = link(stack, doctor, file, appointment)
    assert follow(stack, path).status == 200
    assert stack.http("DELETE", f"/files/{file}/access/{access}", None, patient).status == 204
    assert (answer := follow(stack, path)).code == "not_found" and b"PDF" not in answer.body
    assert stack.get(f"/appointments/{appointment}/files/{file}", doctor).code == "not_found"
    assert stack.http("DELETE", f"/files/{file}/access/{access}", None, patient).code == "not_found"


def test_a_grant_that_expires_cuts_off_a_link_that_was_issued_before(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient)
    granted(stack, patient, file, doctor, appointment, seconds=2)
    path = link(stack, doctor, file, appointment)
    assert follow(stack, path).status == 200
    wait_until(lambda: follow(stack, path).code == "not_found", 5, "the grant is over")
    assert stack.get(f"/appointments/{appointment}/files", doctor).json == []
    assert follow(stack, link(stack, patient, file)).status == 200


def test_a_grant_that_ends_in_the_midst_of_a_download_ends_it(stack):
    """Each piece is asked for anew: who has the link and the first pieces gets no more."""
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient, pdf(200_000))
    access = granted(stack, patient, file, doctor, appointment)
    me = {"Healthmed-User": str(doctor.id), "Healthmed-Role": "doctor", "Healthmed-Deadline": "5000"}
    piece = lambda: nats.request("healthmed.v1.files.chunk", msgpack.packb({"file_id": file, "index": 1}), me)     # noqa: E731
    with stack.nats("gateway") as nats:
        assert len(msgpack.unpackb(piece().data)["bytes"]) == 65536
        assert stack.http("DELETE", f"/files/{file}/access/{access}", None, patient).status == 204
        assert piece().headers["Nats-Service-Error-Code"] == "not_found"


def test_a_cancelled_or_moved_appointment_ends_the_grants_to_its_former_doctor(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient, appointment=appointment)
    path = link(stack, doctor, file, appointment)
    colleague, (slot,) = stack.doctor_with_slots(1, days=4)
    moved = stack.http("PUT", f"/appointments/{appointment}", {"schedule_id": slot, "doctor_id": colleague.id}, patient)
    assert moved.status == 200, moved
    wait_until(lambda: follow(stack, path).code == "not_found", 5, "the former doctor's grant has ended")
    assert grants(stack, patient, file) == []
    granted(stack, patient, file, colleague, appointment)
    path = link(stack, colleague, file, appointment)
    assert follow(stack, path).status == 200
    assert stack.post(f"/appointments/{appointment}/cancel", patient, reason="well again").status == 200
    wait_until(lambda: follow(stack, path).code == "not_found", 5, "so has the next one's")
    assert [f["id"] for f in stack.get(f"/appointments/{appointment}/files", patient).json] == [file]
    ended = stack.sql("SELECT count(*) FROM audit.access WHERE file_id = %s AND role = 'system' AND action = 'revoke'", file)
    assert ended == [(2,)]


def test_what_an_upload_granted_moves_with_the_appointment_and_what_the_patient_set_stays(stack):
    doctor, patient, appointment = stack.visit(state="confirmed", days=2)
    uploaded, chosen = (file_of(stack, patient, appointment=appointment) for _ in range(2))
    granted(stack, patient, chosen, doctor, appointment, days=5)
    until = lambda file: [datetime.fromisoformat(g["expires_at"].replace("Z", "+00:00")) for g in grants(stack, patient, file)]     # noqa: E731
    ends = lambda: stack.sql("SELECT ends + interval '30 days' FROM agenda.appointment WHERE id = %s", appointment)[0][0]     # noqa: E731
    before, said = until(uploaded), until(chosen)
    assert before == [ends()] != said
    slot = stack.slots(doctor, 1, days=60)[0]
    moved = stack.http("PUT", f"/appointments/{appointment}", {"schedule_id": slot, "doctor_id": doctor.id}, patient)
    assert moved.status == 200, moved
    wait_until(lambda: until(uploaded) != before, 5, "the grant has moved")
    after = until(uploaded)
    assert after == [ends()] and after[0] > before[0] + timedelta(days=50) and until(chosen) == said
    late = {"id": appointment, "doctor_id": doctor.id, "at": int(time.time() * 1e6) - 3_600_000_000, "ends": int(before[0].timestamp() * 1e6)}
    with stack.nats() as nats:                          # older, and late; then a newer one of another, which is behind it
        nats.request(f"healthmed.v1.events.booking.rescheduled.{appointment}", msgpack.packb({"items": [late]}))
    marker = stack.visit(doctor=doctor, patient=patient, state="confirmed", days=8)[2]
    other = file_of(stack, patient, appointment=marker)
    assert stack.post(f"/appointments/{marker}/cancel", patient, reason="enough").status == 200
    wait_until(lambda: grants(stack, patient, other) == [], 5, "facts up to here are followed")
    assert until(uploaded) == after and until(chosen) == said


def test_facts_in_another_order_or_again_end_no_grant_that_should_stay(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient, appointment=appointment)
    at = int(time.time() * 1e6)
    tell = lambda fact, **f: nats.request(f"healthmed.v1.events.booking.{fact}.{appointment}", msgpack.packb({"items": [{"id": appointment, **f}]}))  # noqa: E731
    with stack.nats() as nats:
        tell("rescheduled", doctor_id=doctor.id, patient_id=patient.id, at=at)
        tell("rescheduled", doctor_id=doctor.id + 1000, patient_id=patient.id, at=at - 1000)     # older, and late
        tell("cancelled", doctor_id=doctor.id, patient_id=patient.id, at=at - 500)
        marker = stack.visit(doctor=doctor, patient=patient, state="confirmed", days=8)[2]
        other = file_of(stack, patient, appointment=marker)
        tell("cancelled", doctor_id=doctor.id, patient_id=patient.id, at=at)
    assert stack.post(f"/appointments/{marker}/cancel", patient, reason="enough").status == 200
    wait_until(lambda: grants(stack, patient, other) == [], 5, "facts up to here are followed")
    # The last of them was as new as what was known, and so believed.
    assert grants(stack, patient, file) == []


def test_an_erased_doctors_grants_end(stack):
    doctor, patient, appointment = stack.visit(state="concluded")
    file = file_of(stack, patient, appointment=appointment)
    assert len(grants(stack, patient, file)) == 1
    assert stack.http("DELETE", "/users/me", None, doctor).status == 204
    wait_until(lambda: grants(stack, patient, file) == [], 5, "they have ended")


# ---- who read ----

def test_every_read_by_a_doctor_is_on_the_record_and_shown_to_the_patient(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient, appointment=appointment)
    reads = lambda: [(r["reader_id"], r["role"], r["action"], r["appointment_id"]) for r in stack.get(f"/files/{file}/reads", patient).json]     # noqa: E731
    assert reads() == []
    stack.get(f"/appointments/{appointment}/files", doctor)
    path = link(stack, doctor, file, appointment)
    follow(stack, path)
    follow(stack, path)
    seen = (doctor.id, "doctor", "see", appointment)
    assert reads() == [seen, seen] + [(doctor.id, "doctor", "read", appointment)] * 2
    follow(stack, link(stack, patient, file))
    assert reads()[4:] == [(patient.id, "patient", "read", None)]
    page = stack.get(f"/files/{file}/reads?limit=2", patient)
    assert len(page.json) == 2 and 'rel="next"' in page.headers["Link"]
    assert stack.sql("SELECT action FROM audit.access WHERE file_id = %s AND role = 'patient' ORDER BY id", file) == [("write",), ("grant",), ("read",)]
    assert stack.get(f"/files/{file}/reads", stack.patient()).code == "not_found"


def test_a_doctor_who_is_refused_leaves_no_read_behind(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file = file_of(stack, patient)
    assert stack.get(f"/appointments/{appointment}/files/{file}", doctor).code == "not_found"
    assert stack.get(f"/files/{file}/reads", patient).json == []


# ---- links ----

def test_a_link_that_was_changed_or_is_over_opens_nothing(stack):
    doctor, patient, appointment = stack.visit(state="confirmed")
    file, other = file_of(stack, patient, appointment=appointment), file_of(stack, patient)
    path = link(stack, doctor, file, appointment)
    expires = int(re.search(r"expires=(\d+)", path)[1])
    assert 290 <= expires - time.time() <= 301
    assert re.fullmatch(rf"/api/v1/files/{file}/content\?reader={doctor.id}&role=doctor&session=\d+&expires=\d+&signature=[\w-]{{22}}", path)
    for changed in (path.replace(f"/{file}/", f"/{other}/"), path.replace(f"reader={doctor.id}", f"reader={patient.id}"), path.replace("session=0", "session=1"),
                    path.replace("role=doctor", "role=patient"), path.replace(f"={expires}", f"={expires + 1}"),
                    path.replace(f"={expires}", "=1"), path[:-22] + "A" * 22, path[:-1], path + "A"):
        answer = follow(stack, changed)
        assert (answer.status, answer.code) == (403, "bad_link"), changed
    for broken in (path.split("?")[0], path.replace("role=doctor", "role=admin"), path + "&x=1", path.replace("reader=", "reader=x")):
        assert follow(stack, broken).status in (400, 422), broken
    assert follow(stack, path).status == 200


def test_a_link_needs_no_token_and_is_never_logged():
    with Stack(HEALTHMED_LOG_LEVEL="debug") as loud:
        patient, data = loud.patient(), pdf(100_000)
        file = file_of(loud, patient, data, name="a secret of mine.pdf")
        path = link(loud, patient, file)
        assert follow(loud, path).body == data
        follow(loud, path[:-3] + "xxx")
        logs = "".join(f.read_text(errors="replace") for f in (loud.run / "logs").glob("*.log"))
    assert "files/{file_id}/content" in logs            # the route is
    for secret in (path, re.search(r"signature=(\S+)", path)[1], "a secret of mine", data[1000:1020].hex()):
        assert secret not in logs


# ---- what lies in the stores ----

def test_a_stored_file_that_was_tampered_with_is_an_error_and_no_byte_of_it_is_told(stack):
    patient, data = stack.patient(), pdf(200_000)
    swap = "UPDATE clinical.file_chunk AS a SET sealed = b.sealed FROM clinical.file_chunk AS b WHERE a.file_id = %s AND a.index = {} " \
           "AND b.file_id = {} AND b.index = {}"
    donor = file_of(stack, patient, data)
    for damage in ("UPDATE clinical.file_chunk SET sealed = set_byte(sealed, 50, get_byte(sealed, 50) # 1) WHERE file_id = %s AND index = 3",
                   "UPDATE clinical.file_chunk SET sealed = set_byte(sealed, 0, get_byte(sealed, 0) # 128) WHERE file_id = %s AND index = 0",
                   "DELETE FROM clinical.file_chunk WHERE file_id = %s AND index = 2",
                   "UPDATE clinical.file_chunk SET sealed = substr(sealed, 1, 1000) WHERE file_id = %s AND index = 1",
                   swap.format(1, "a.file_id", 2), swap.format(1, donor, 1),
                   "UPDATE clinical.file SET size = size - 65536 WHERE id = %s", "UPDATE clinical.file SET size = 131072 WHERE id = %s",
                   "UPDATE clinical.file SET sha256 = decode(repeat('00', 32), 'hex') WHERE id = %s",
                   f"UPDATE clinical.file SET wrapped_key = (SELECT wrapped_key FROM clinical.file WHERE id = {donor}) WHERE id = %s"):
        file = file_of(stack, patient, data)
        path = link(stack, patient, file)
        stack.sql(damage, file)
        answer = follow(stack, path)
        assert (answer.status, answer.code) == (500, "internal"), damage
        assert data[:8] not in answer.body and data[100:120] not in answer.body
    assert follow(stack, link(stack, patient, donor)).body == data


def test_nothing_of_the_plaintext_is_in_the_database(stack):
    patient, data = stack.patient(), pdf(200_000)
    file_of(stack, patient, data)
    for table in ("file", "file_chunk", "file_access", "files_idempotency"):
        for at in (0, 1000, 65536, 131072, 199_000):
            sought = data[at:at + 12]
            assert stack.sql(f"SELECT count(*) FROM clinical.{table} AS t WHERE position(%s::bytea IN convert_to(t::text, 'UTF8')) > 0 "
                             f"OR position(%s IN t::text) > 0", sought, sought.hex()) == [(0,)], (table, at)


def test_master_keys_rotate_while_files_stay_readable():
    with Stack() as own:
        patient, data = own.patient(), pdf()
        old = file_of(own, patient, data)
        secret = own.run / "secrets" / "files-master-keys"
        assert secret.stat().st_mode & 0o777 == 0o600
        first, added = secret.read_text().strip(), "k2:" + "A" * 43
        secret.write_text(f"{added},{first}\n")
        own.stop("actor-files")
        own.start("actor-files")
        new = file_of(own, patient, data)
        assert own.sql("SELECT master FROM clinical.file WHERE id IN (%s, %s) ORDER BY id", old, new) == [(first.split(":")[0],), ("k2",)]
        for file in (old, new):
            assert follow(own, link(own, patient, file)).body == data
        secret.write_text(f"{added}\n")                 # the old one was taken away too early
        own.stop("actor-files")
        own.start("actor-files")
        assert follow(own, link(own, patient, old)).code == "internal"
        assert follow(own, link(own, patient, new)).body == data


def test_without_a_key_or_a_whole_s3_the_actor_refuses_to_start():
    base = {k: v for k, v in os.environ.items() if not k.startswith("HEALTHMED_")} | {
        "HEALTHMED_REQUEST_KEY": "x" * 32, "HEALTHMED_CLINICAL_DATABASE_URL": "postgresql:///x"}
    key = {"HEALTHMED_FILES_MASTER_KEYS": "a:" + "A" * 43}
    for more, why in (({}, "HEALTHMED_FILES_MASTER_KEYS is not set"), ({"HEALTHMED_FILES_MASTER_KEYS": "a:short"}, "43 characters"),
                      ({**key, "HEALTHMED_FILES_STORE": "s3"}, "HEALTHMED_S3_ENDPOINT"), ({**key, "HEALTHMED_FILES_STORE": "disk"}, "postgres or s3"),
                      ({**key, "HEALTHMED_S3_ENDPOINT": "https://a/b"}, "https://host"), ({**key, "HEALTHMED_S3_BUCKET": "a/b"}, "bucket")):
        done = subprocess.run([BIN, "actor", "files"], env={**base, **more}, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode != 0 and why in done.stderr, (more, done)


@pytest.fixture(scope="module")
def clouds():
    """A stack whose files lie in a (fake) S3."""
    with S3() as s3, Stack(**s3.environment) as stack:
        yield stack, s3


def test_in_s3_files_are_objects_that_are_signed_sealed_and_removed(clouds):
    stack, s3 = clouds
    patient, data = stack.patient(), pdf(200_000)
    file = file_of(stack, patient, data)
    assert sorted(s3.objects) == [f"/files/{file}/{i}" for i in range(4)] and s3.refused == []
    assert stack.sql("SELECT count(*) FROM clinical.file_chunk WHERE file_id = %s", file) == [(0,)]
    for at in range(0, 199_000, 20_000):
        assert not any(data[at:at + 12] in o for o in s3.objects.values())
    assert follow(stack, link(stack, patient, file)).body == data
    assert stack.http("DELETE", f"/files/{file}", None, patient).status == 204
    wait_until(lambda: not s3.objects, 15, "the objects are gone")
    assert upload(stack, patient, b"no pdf").status == 422
    wait_until(lambda: not s3.objects and stack.sql("SELECT count(*) FROM clinical.file") == [(0,)], 15, "refused ones too")
    assert s3.refused == []


def test_an_object_that_was_tampered_with_is_an_error(clouds):
    stack, s3 = clouds
    patient, data = stack.patient(), pdf(200_000)
    for damage in (lambda o, at: o.update({at: o[at][:-1] + bytes([o[at][-1] ^ 1])}), lambda o, at: o.pop(at),
                   lambda o, at: o.update({at: o[at[:-1] + "0"]}), lambda o, at: o.update({at: o[at] + b"x" * 100_000})):
        file = file_of(stack, patient, data)
        path = link(stack, patient, file)
        damage(s3.objects, f"/files/{file}/2")
        answer = follow(stack, path)
        assert answer.status in (500, 503) and data[100:120] not in answer.body and answer.code in ("internal", "unavailable")


def test_while_s3_is_away_files_are_503_and_the_rest_goes_on(clouds):
    stack, s3 = clouds
    patient, data = stack.patient(), pdf(100_000)
    file = file_of(stack, patient, data)
    path = link(stack, patient, file)
    s3.stop()
    try:
        for answer in (upload(stack, patient, pdf()), follow(stack, path)):
            assert (answer.status, answer.code) == (503, "unavailable") and answer.headers["Retry-After"], answer
        assert stack.get(f"/files/{file}", patient).status == 200
        assert stack.http("DELETE", f"/files/{file}", None, patient).status == 204
    finally:
        s3.start()
    wait_until(lambda: f"/files/{file}/0" not in s3.objects, 20, "what was removed meanwhile is gone")
    assert follow(stack, link(stack, patient, file_of(stack, patient, data))).body == data


def test_an_s3_that_does_not_know_the_key_is_503(clouds):
    stack, s3 = clouds
    right, s3.secret = s3.secret, "another"
    try:
        assert upload(stack, stack.patient(), pdf()).code == "unavailable" and s3.refused
    finally:
        s3.secret = right
        s3.refused.clear()


# ---- what goes away, what takes its time ----

def test_without_the_actor_files_are_503_and_the_gateway_says_so(stack):
    patient = stack.patient()
    file = file_of(stack, patient)
    path = link(stack, patient, file)
    stack.stop("actor-files")
    try:
        for answer in (upload(stack, patient, pdf()), follow(stack, path), stack.get("/files", patient)):
            assert answer.code == "unavailable", answer
        assert '"name":"files","well":false' in stack.admin("gateway", "/readyz?verbose")[1]
    finally:
        stack.start("actor-files")
    assert follow(stack, path).status == 200


def stalled(stack, patient):
    """An upload that never goes on."""
    at = urlsplit(stack.url)
    s = socket.create_connection((at.hostname, at.port), timeout=10)
    s.sendall(f"POST /api/v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {patient.token}\r\nContent-Type: "
              "multipart/form-data; boundary=xXx\r\nContent-Length: 1000000\r\n\r\n--xXx\r\n".encode())
    return s


def test_nobody_takes_so_many_rooms_that_others_find_none(stack):
    greedy, other, slow = stack.patient(), stack.patient(), []

    def one_more():
        slow.append(stalled(stack, greedy))
        answer = upload(stack, greedy, pdf())
        return answer.status == 429 and answer

    try:
        answer = wait_until(one_more, 9, "he has his share")
        assert answer.code == "too_many_requests" and answer.headers["Retry-After"]
        assert upload(stack, other, pdf()).status == 201
        assert stack.get("/users/me/export", other).status == 200
    finally:
        for s in slow:
            s.close()
    wait_until(lambda: upload(stack, greedy, pdf()).status == 201, 5, "his rooms are free again")


def test_a_link_ends_with_the_session_that_asked_for_it(stack):
    patient = stack.patient()
    id = upload(stack, patient, pdf()).json["id"]
    login = lambda: stack.post("/users/login", email=patient.email, password=patient.password).json["token"]   # noqa: E731
    mine, another = login(), login()
    path = stack.get(f"/files/{id}", mine).json["path"]
    kept = stack.get(f"/files/{id}", another).json["path"]
    assert follow(stack, path).status == 200
    assert stack.post("/users/logout", mine).status == 204
    wait_until(lambda: follow(stack, path).code == "bad_link", 5, "the link is over")
    assert follow(stack, kept).status == 200
    assert stack.http("DELETE", "/users/me", token=another).status == 204
    wait_until(lambda: follow(stack, kept).code == "bad_link", 5, "the other link is over, too")


def test_files_that_come_too_slowly_leave_rooms_for_others_only_until_their_time_is_over(stack):
    """Uploads that never go on take all rooms: one more is told to come again, all else goes on."""
    patient, slow = stack.patient(), []

    def one_more():
        """Another that never goes on; the answer to one that would."""
        slow.append(stalled(stack, stack.patient()))
        answer = upload(stack, patient, pdf())
        return answer.status == 503 and answer

    try:
        answer = wait_until(one_more, 20, "all rooms are taken")
        assert answer.code == "unavailable" and answer.headers["Retry-After"]
        assert stack.get("/files", patient).status == 200
    finally:
        for s in slow:
            s.close()
    wait_until(lambda: upload(stack, patient, pdf()).status == 201, 5, "the rooms are free again")


def test_a_file_is_not_kept_by_a_client_that_was_gone_before_its_end(stack):
    patient, at = stack.patient(), urlsplit(stack.url)
    body, head = form(pdf(MIB))
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest("POST", "/api/v1/files")
    for name, value in (head | {"Authorization": f"Bearer {patient.token}", "Content-Length": str(len(body))}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[:500_000])
    connection.close()
    assert json.loads(stack.get("/files", patient).body) == []


# ---- what a change relies on ----

def tagged(stack, method, path, token, etag, body=None):
    return stack.http(method, path, body, token, {"If-Match": etag})


def test_the_tag_of_a_file_stays_whatever_link_it_comes_with(stack):
    doctor, patient, visit = stack.visit(state="confirmed")
    made = upload(stack, patient, pdf(), visit)
    file, at = made.json["id"], f"/files/{made.json['id']}"
    tags = {made.headers["ETag"]}
    for path in (at, f"/appointments/{visit}/files/{file}"):
        first = stack.get(path, patient)
        second = wait_until(lambda path=path, first=first: (a := stack.get(path, patient)).json["path"] != first.json["path"] and a,
                            why="there is another link")
        tags |= {first.headers["ETag"], second.headers["ETag"]}
    assert len(tags) == 1
    assert stack.get(at, patient, If_None_Match=made.headers["ETag"]).status == 304


@pytest.mark.parametrize("door", ["", "/appointments/{visit}"])
def test_a_file_is_deleted_and_its_grants_are_replaced_only_as_they_were_read(stack, door):
    doctor, patient, visit = stack.visit(state="confirmed")
    made = upload(stack, patient, pdf(), visit)
    path = door.format(visit=visit) + f"/files/{made.json['id']}"
    access, stale = path + "/access", '"AAAAAAAAAAAAAAAAAAAAAA"'
    before = stack.get(access, patient)
    until = [{"doctor_id": doctor.id, "appointment_id": visit, "expires_at": "2027-12-01 10:00"}]
    assert tagged(stack, "PUT", access, patient, stale, until).code == "precondition_failed"
    assert stack.get(access, patient, If_None_Match=before.headers["ETag"]).status == 304
    after = tagged(stack, "PUT", access, patient, before.headers["ETag"], until)
    assert after.status == 200 and after.json == stack.get(access, patient).json != before.json
    assert after.headers["ETag"] == stack.get(access, patient).headers["ETag"] != before.headers["ETag"]
    assert tagged(stack, "PUT", access, patient, before.headers["ETag"], []).code == "precondition_failed"
    rush = at_once(6, lambda i: tagged(stack, "PUT", access, patient, after.headers["ETag"], []))
    assert sorted(a.status for a in rush) == [200] + [412] * 5
    assert stack.get(access, patient).json == []
    assert tagged(stack, "DELETE", path, patient, stale).code == "precondition_failed"
    assert tagged(stack, "DELETE", path, patient, made.headers["ETag"]).status == 204
    assert stack.get(path, patient).status == 404


def test_a_page_that_is_not_all_of_a_list_has_no_tag(stack):
    patient, doctor = stack.patient(), stack.doctor()
    file = file_of(stack, patient)
    slots = stack.slots(doctor, 2)
    for slot in slots:
        visit = stack.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id).json["id"]
        assert stack.post(f"/files/{file}/access", patient, doctor_id=doctor.id, appointment_id=visit,
                          expires_at="2027-12-01 10:00").status == 201
    first = stack.get(f"/files/{file}/access?limit=1", patient)
    second = stack.get(re.search("<(.+)>", first.headers["Link"])[1].removeprefix("/api/v1"), patient)
    assert len(first.json) == len(second.json) == 1 and "Link" not in second.headers
    assert not {"ETag"} & (set(first.headers) | set(second.headers))
    assert stack.get(f"/files/{file}/access?limit=2", patient).headers["ETag"]


@pytest.mark.parametrize("name, saved", [("scan", "scan.pdf"), ("Scan.PDF", "Scan.PDF"), (".pdf", ".pdf.pdf"),
                                         ("exam.exe", "exam.exe.pdf"), ("raio-x do tórax", "raio-x do t_rax.pdf")])
def test_what_is_saved_is_called_what_it_is(stack, name, saved):
    patient = stack.patient()
    made = upload(stack, patient, pdf(), name=name)
    assert made.json["file_name"] == name
    got = follow(stack, link(stack, patient, made.json["id"]))
    assert f'filename="{saved}"' in got.headers["Content-Disposition"]
    assert got.headers["Content-Disposition"].lower().endswith(".pdf")
