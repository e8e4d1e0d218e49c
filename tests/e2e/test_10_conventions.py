"""What holds for every route: probes, errors, tokens, headers, hostile requests."""
import os
import re
import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest

from stack import ROOT, Stack, User, wait_until

PREFIXES = ("", "/user-service", "/scheduler-service", "/appointment-service")


@pytest.mark.parametrize("prefix", PREFIXES + ("/appointment-creator-service", "/review-processor-service"))
def test_health_answers_everywhere(stack, prefix):
    answer = stack.http("GET", f"/{prefix}/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_a_gateway_lives_and_is_ready_and_names_what_it_depends_on(stack):
    assert stack.http("GET", "//livez").status == 200
    assert stack.http("GET", "//readyz").json["status"] == "ok"
    checks = stack.http("GET", "//readyz?verbose").json["checks"]
    assert {c["name"] for c in checks} >= {"nats", "users", "schedules", "appointments", "booking"}
    assert all(c["well"] for c in checks)


def test_a_dead_actor_shows_in_the_verbose_probe_alone():
    with Stack() as stack:
        stack.kill("actor-schedules")
        wait_until(lambda: stack.http("GET", "//readyz?verbose").status == 503, 5, "the probe notices")
        verbose = stack.http("GET", "//readyz?verbose").json
        assert [c["name"] for c in verbose["checks"] if not c["well"]] == ["schedules"]
        assert stack.http("GET", "//readyz").status == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_base_path_serves_the_same_routes(stack, prefix):
    assert stack.http("GET", f"/{prefix}/api/v1/users/me").status == 401


def rows():
    """(method, path, auth, call) of the route table."""
    text = (ROOT / "web" / "routes.c").read_text()
    return re.findall(r'\{ "(\w+)",\s+"([^"]+)",\s+AUTH_(\w+),\s+\d+, CALL_(\w+)', text)


def roles():
    """call -> roles, of the call tables."""
    found = {}
    for file in (ROOT / "broker" / "msg").glob("*.h"):
        for domain, verb, who in re.findall(r"X\((\w+),\s*(\w+),\s*\w+,\s*([A-Z_ |]+?),\s*TX_", file.read_text()):
            found[f"{domain}_{verb}"] = {w.strip().removeprefix("ROLE_").lower() for w in who.split("|")}
    return found


def test_every_role_on_every_route_is_let_through_or_not_as_its_call_says(stack):
    who = roles()
    tokens = {"patient": stack.token("patient", 10**9), "doctor": stack.token("doctor", 10**9 + 1)}
    assert len(rows()) >= 13
    for method, path, auth, call in rows():
        path = re.sub(r"\{\w+\}", "987654321", path)
        body = {} if method in ("POST", "PUT") else None
        bare = stack.http(method, path, body)
        assert (bare.status == 401) == (auth == "TOKEN"), (method, path, bare)
        for role, token in tokens.items():
            answer = stack.http(method, path, body, token)
            allowed = role in who[call] or "public" in who[call]
            assert (answer.status == 403) == (not allowed), (method, path, role, answer)
            assert answer.code != "forbidden" or answer.status == 403
            assert answer.status not in (401, 500) or auth == "PUBLIC", (method, path, role, answer)


def test_a_problem_has_its_form(stack):
    answer = stack.get("/users/me")
    assert answer.status == 401 and answer.code == "no_token"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert set(answer.json) == {"type", "title", "status", "detail", "code", "trace_id", "errors"}
    assert answer.json["trace_id"] == answer.headers["X-Request-Id"]


def test_a_token_that_is_wrong_expired_or_of_another_key_is_401(stack):
    good = stack.token("patient", 1)
    head, body, signature = good.split(".")
    short = stack.token("patient", 1, lifetime=1)
    other = signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")
    for token in ("x", "a.b.c", f"{head}.{body}.", f"{head}.{body}.{other}", f"{head}.{body[:-2]}.{signature}"):
        answer = stack.get("/users/me", token)
        assert (answer.status, answer.code) == (401, "bad_token"), token
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    wait_until(lambda: stack.get("/users/me", short).code == "bad_token", 4, "a token expires")


def test_a_trace_is_taken_over_and_told(stack):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = stack.http("GET", "/users/me", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.headers["X-Request-Id"] == trace == answer.json["trace_id"]
    assert re.fullmatch("[0-9a-f]{32}", stack.get("/users/me").headers["X-Request-Id"])


def test_addresses_and_methods_that_are_none(stack):
    assert stack.get("/nothing").code == "not_found"
    answer = stack.http("DELETE", "/appointments")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {m.strip() for m in answer.headers["Allow"].split(",")} >= {"GET", "POST"}


def test_bodies_that_cannot_be_read(stack):
    patient = stack.patient()
    head = {"Content-Type": "text/plain"}
    answer = stack.http("POST", "/appointments", b"{}", patient, head)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    for body in (b"{", b"[]", b"7", b'{"schedule_id":1,"schedule_id":2}', b'{"schedule_id":"\xff"}'):
        answer = stack.http("POST", "/appointments", body, patient)
        assert (answer.status, answer.code) == (400, "unreadable"), body
    large = b'{"schedule_id":1,"doctor_id":"' + b"x" * 70000 + b'"}'
    answer = stack.http("POST", "/appointments", large, patient)
    assert (answer.status, answer.code) == (413, "too_large")


def test_every_fault_is_told_at_once_and_400_outranks_422(stack):
    answer = stack.post("/users", full_name="Jo", role="king", doctor=[], price=1)
    assert (answer.status, answer.code) == (422, "invalid")
    faults = {e["field"]: e["code"] for e in answer.json["errors"]}
    assert faults["full_name"] == "too_short" and faults["email"] == "missing"
    assert {"role", "doctor", "password", "document_id", "phone"} <= set(faults)
    assert all(set(e) == {"field", "code", "message"} for e in answer.json["errors"])
    answer = stack.post("/appointments", stack.patient(), schedule_id=0, date_time="soon")
    assert (answer.status, answer.code) == (400, "unreadable")
    assert {e["field"] for e in answer.json["errors"]} == {"schedule_id", "doctor_id", "date_time"}


def test_an_unknown_query_parameter_is_400(stack):
    doctor = stack.doctor()
    answer = stack.get("/schedules?activ=true", doctor)
    assert (answer.status, answer.code) == (400, "unreadable")
    assert answer.json["errors"][0]["field"] == "activ"
    assert stack.get("/schedules?limit=101", doctor).status == 422
    assert stack.get("/schedules?limit=ten", doctor).status == 400


def test_an_idempotency_key_is_1_to_64_visible_characters(stack):
    patient = stack.patient()
    for key in ("x" * 65, "a b"):
        answer = stack.post("/appointments", patient, key=key, schedule_id=1, doctor_id=1)
        assert (answer.status, answer.code) == (400, "unreadable"), key


def test_limits_of_an_address_are_kept_and_say_when_to_come_back():
    with Stack(HEALTHMED_LIMIT_LOGINS="3", HEALTHMED_LIMIT_REGISTRATIONS="2") as stack:
        body = {"email": "nobody@test.example", "password": "wrong-password"}
        answers = [stack.http("POST", "/users/login", body) for _ in range(4)]
        assert [a.status for a in answers] == [401, 401, 401, 429]
        assert answers[3].code == "too_many_requests" and int(answers[3].headers["Retry-After"]) >= 1
        assert [stack.post("/users").status for _ in range(3)] == [422, 422, 429]


def raw(stack, text):
    """The first answer to bytes as they are, and whether the connection was closed after it."""
    at = urlsplit(stack.url)
    with socket.create_connection((at.hostname, at.port), 10) as s:
        s.sendall(text)
        s.settimeout(10)
        data = b""
        while True:
            more = s.recv(65536)
            data += more
            if not more:
                return data, True
            if b"Connection: close" not in data and b"\r\n\r\n" in data:
                return data, False


@pytest.mark.parametrize("name,text", [
    ("two lengths", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ("length and chunks", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two hosts", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a signed length", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}"),
    ("a NUL in the path", b"GET /api/v1/users%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("bare line feeds", b"GET /health HTTP/1.1\nHost: a\n\n"),
])
def test_an_ambiguous_request_is_400_and_ends_its_connection(stack, name, text):
    data, closed = raw(stack, text)
    assert data.startswith(b"HTTP/1.1 400"), (name, data[:200])
    assert closed


def test_origins_are_answered_as_configured():
    with Stack(HEALTHMED_CORS_ORIGINS="https://clinic.example") as stack:
        ask = {"Origin": "https://clinic.example", "Access-Control-Request-Method": "POST"}
        answer = stack.http("OPTIONS", "/appointments", headers=ask)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://clinic.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        other = stack.http("OPTIONS", "/appointments", headers={**ask, "Origin": "https://evil.example"})
        assert other.headers.get("Access-Control-Allow-Origin") is None
        assert stack.http("GET", "/users/me").headers.get("Access-Control-Allow-Origin") is None


def test_a_gateway_that_is_told_to_end_cuts_no_request():
    with Stack() as stack:
        doctor, slots = stack.doctor_with_slots(60, minutes=10)
        people = [stack.patient() for _ in range(6)]
        answers, failures, ended = [], [], threading.Event()

        def client(i):
            for slot in slots[i::6]:
                try:
                    answers.append(stack.post("/appointments", people[i], schedule_id=slot, doctor_id=doctor.id))
                except OSError as e:
                    if not ended.is_set():      # refused, before anything was sent, is what a proxy expects
                        failures.append(e)
                    return
        clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for c in clients:
            c.start()
        wait_until(lambda: len(answers) > 5, 5, "the load runs")
        ended.set()
        gateway = stack.pid("gateway")
        os.kill(gateway, signal.SIGTERM)
        for c in clients:
            c.join()
        wait_until(lambda: not os.path.exists(f"/proc/{gateway}"), 10, "the gateway is gone")
        assert not failures
        assert {a.status for a in answers} == {201}
        booked = stack.sql("SELECT count(*) FROM agenda.appointment")[0][0]
        assert booked == len(answers)
        stack.up()
        stack.verify()


def test_user_who_does_not_exist_any_more_is_not_found(stack):
    ghost = User(10**12, stack.token("patient", 10**12), "patient")
    assert stack.get("/users/me", ghost).code == "not_found"
