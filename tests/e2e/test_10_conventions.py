"""What holds for every route: probes, errors, tokens, headers, hostile requests."""
import base64
import gzip
import json
import os
import re
import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest

from stack import Stack, User, at_once, wait_until

PREFIXES = ("", "/user-service", "/scheduler-service", "/appointment-service")
ORIGIN = "https://clinic.example"


@pytest.fixture(scope="module")
def own():
    """A stack whose processes are killed here."""
    with Stack(HEALTHMED_CORS_ORIGINS=ORIGIN) as running:
        yield running


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


def test_a_dead_actor_shows_in_the_verbose_probe_alone(own):
    own.kill("actor-schedules")
    try:
        wait_until(lambda: own.http("GET", "//readyz?verbose").status == 503, 5, "the probe notices")
        verbose = own.http("GET", "//readyz?verbose").json
        assert [c["name"] for c in verbose["checks"] if not c["well"]] == ["schedules"]
        assert own.http("GET", "//readyz").status == own.http("GET", "//livez").status == 200
    finally:
        own.start("actor-schedules")
    assert own.http("GET", "//readyz?verbose").status == 200


def test_public_keys_are_told_and_nothing_private(stack):
    keys = stack.http("GET", "//.well-known/jwks.json").json["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"kty", "crv", "alg", "use", "kid", "x", "y"}
        assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_base_path_serves_the_same_people_and_pages(stack, prefix):
    base = f"/{prefix}/api/v1"
    assert stack.http("GET", base + "/users/me").status == 401
    doctor, slots = stack.doctor_with_slots(2)
    names = {"email": doctor.email, "password": doctor.password}
    for alias in ("/users/login", "/auth/login"):
        token = stack.http("POST", base + alias, names).json["token"]
    page = stack.http("GET", base + "/schedules?limit=1", token=token)
    assert [s["id"] for s in page.json] == slots[:1]
    link = re.fullmatch(r'<([^>]*)>; rel="next"', page.headers["Link"])[1]
    assert link.startswith(f"{prefix}/api/v1/schedules?limit=1&cursor=")
    assert [s["id"] for s in stack.http("GET", "/" + link, token=token).json] == slots[1:]


def test_head_is_get_without_the_body(stack):
    patient = stack.patient()
    whole, head = stack.get("/users/me", patient), stack.http("HEAD", "/users/me", token=patient)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == whole.headers[name]


def test_no_answer_may_be_kept_by_a_proxy_or_guessed_about_by_a_browser(stack):
    for answer in (stack.get("/users/me", stack.patient()), stack.get("/users/me"), stack.get("/nothing")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


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


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_that_somebody_made_himself_is_401(stack, own):
    good = stack.token("patient", 1)
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    forged = [
        ".".join((part({**header, "alg": "none"}), body, "")),
        ".".join((part({**header, "alg": "none"}), body, signature)),
        ".".join((part({**header, "alg": "HS256"}), body, signature)),
        ".".join((part({**header, "kid": "../../etc/passwd"}), body, signature)),
        ".".join((head, part({**claims, "role": "doctor"}), signature)),
        ".".join((head, part({**claims, "sub": "2"}), signature)),
        own.token("patient", 1),                                    # of another installation
        ".".join((deep := base64.urlsafe_b64encode(b"[" * 1500).decode(), body, signature)),
        ".".join((head, deep, signature)),
    ]
    for token in forged:
        answer = stack.get("/users/me", token)
        assert (answer.status, answer.code) == (401, "bad_token"), token


def test_what_is_no_bearer_token_is_none(stack):
    token = stack.patient().token
    for value in ("", "Bearer", "Basic eDp5", token, f"Token {token}"):
        answer = stack.http("GET", "/users/me", headers={"Authorization": value})
        assert (answer.status, answer.code) == (401, "no_token"), value
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert stack.http("GET", "/users/me", headers={"Authorization": f"bearer {token}"}).status == 200


def test_a_trace_is_taken_over_and_told(stack):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = stack.http("GET", "/users/me", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.headers["X-Request-Id"] == trace == answer.json["trace_id"]
    assert re.fullmatch("[0-9a-f]{32}", stack.get("/users/me").headers["X-Request-Id"])
    assert len({stack.get("/users/me").headers["X-Request-Id"] for _ in range(20)}) == 20
    for wrong in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", f"00-{trace}", "x" * 300, f"00-{trace.upper()}-00f067aa0ba902b7-01"):
        told = stack.http("GET", "/users/me", headers={"traceparent": wrong}).headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{32}", told) and told != trace, wrong


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
    hostile = (b"\xef\xbb\xbf{}", b"{} {}", b'{"schedule_id":NaN,"doctor_id":1}', b'{"schedule_id":1e999e9,"doctor_id":1}', b'{"a":' * 3000, b"[" * 60000,
               b'{"a":"\\ud800"}', b'{"a\\u0000b":1}', b'{"a":"\\u0000"}', b"{'schedule_id':1}", b'{"schedule_id":01}', b"\x00")
    for body in hostile:
        answer = stack.http("POST", "/appointments", body, patient)
        assert (answer.status, answer.code) in ((400, "unreadable"), (413, "too_large")), (body[:40], answer)
    large = b'{"schedule_id":1,"doctor_id":"' + b"x" * 300000 + b'"}'
    answer = stack.http("POST", "/appointments", large, patient)
    assert (answer.status, answer.code) == (413, "too_large")


def test_a_body_that_is_packed_or_in_chunks_is_told_what_it_must_be(stack):
    patient = stack.patient()
    for encoding in ("gzip", "br", "identity, gzip", "gzip, identity"):
        answer = stack.http("POST", "/appointments", gzip.compress(b"{}"), patient, {"Content-Encoding": encoding})
        assert (answer.status, answer.code, answer.headers["Accept-Encoding"]) == (415, "unsupported_media_type", "identity"), encoding
        assert [e["field"] for e in answer.json["errors"]] == ["Content-Encoding"]
    assert stack.http("POST", "/appointments", {}, patient, {"Content-Encoding": "identity"}).status == 422
    answer = stack.http("POST", "/appointments", b"2\r\n{}\r\n0\r\n\r\n", patient, {"Transfer-Encoding": "chunked"})
    assert (answer.status, answer.code, answer.headers["Connection"]) == (411, "length_required", "close")
    assert "Content-Length" in answer.json["title"]


def test_a_number_of_any_form_is_exact_or_a_fault_of_its_field(stack):
    doctor, (slot, other) = stack.doctor_with_slots(2)
    patient = stack.patient()
    book = lambda id: stack.http("POST", "/appointments", f'{{"schedule_id":{id},"doctor_id":{doctor.id}e0}}'.encode(), patient)    # noqa: E731
    assert book(f"{slot}.0").status == 201
    assert book(f"{other}0e-1").status == 201
    for beyond in (2**63, -2**63 - 1, "9" * 400, "1e999", "-1e999", f"{other}.5", "1e16"):
        answer = book(beyond)
        assert (answer.status, answer.code) == (422, "invalid"), (beyond, answer)
        assert [(e["field"], e["code"]) for e in answer.json["errors"]] == [("schedule_id", "malformed")], beyond
    answer = stack.http("PUT", "/users/me", b'{"price":99999999999999999999,"full_name":"Jo"}', doctor)
    assert {(e["field"], e["code"]) for e in answer.json["errors"]} == {("price", "malformed"), ("full_name", "too_short")}


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
    with Stack(HEALTHMED_LIMIT_LOGINS="3", HEALTHMED_LIMIT_REGISTRATIONS="2", HEALTHMED_LIMIT_REQUESTS="40") as stack:
        body = {"email": "nobody@test.example", "password": "wrong-password"}
        answers = [stack.http("POST", "/users/login", body) for _ in range(4)]
        assert [a.status for a in answers] == [401, 401, 401, 429]
        assert answers[3].code == "too_many_requests" and int(answers[3].headers["Retry-After"]) >= 1
        assert [stack.post("/users").status for _ in range(3)] == [422, 422, 429]
        assert stack.get("/users/me").status == 401                 # other routes go on
        answers = [stack.get("/users/me") for _ in range(50)]
        assert [a.status for a in answers[:30]] == [401] * 30
        assert answers[-1].code == "too_many_requests" and int(answers[-1].headers["Retry-After"]) >= 1
        assert stack.admin("gateway", "/livez")[0] == 200           # probes of the admin address are not counted


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
    ("a bare line feed", b"GET /health HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    ("an odd encoding", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n"),
    ("a length with letters", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 5abc\r\n\r\n{}   "),
    ("a negative length", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("a list of lengths", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}"),
    ("an endless length", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    ("a folded line", b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    ("a space before the colon", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}"),
    ("no host", b"GET /health HTTP/1.1\r\n\r\n"),
    ("two keys", b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}"),
    ("two tokens", b"GET /api/v1/users/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    ("no request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("a method of its own", b"FOO /health HTTP/1.1\r\nHost: a\r\n\r\n"),
])
def test_an_ambiguous_request_is_400_and_ends_its_connection(stack, name, text):
    smuggled = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    data, closed = raw(stack, text + smuggled)
    assert data.startswith(b"HTTP/1.1 400"), (name, data[:200])
    assert closed and data.count(b"HTTP/1.1 ") == 1 and b'"code":"unreadable"' in data


def test_an_endless_address_or_header_is_refused_and_the_gateway_goes_on(stack):
    for text in (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
                 b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 2000 + b"\r\n"):
        try:
            data, closed = raw(stack, text)
        except ConnectionError:                 # closed before all had come
            continue
        assert closed and (data == b"" or data.startswith(b"HTTP/1.1 4")), data[:100]
    assert stack.http("GET", "//health").status == 200


def test_two_requests_at_once_on_a_connection_are_answered_in_order(stack):
    one = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    at = urlsplit(stack.url)
    with socket.create_connection((at.hostname, at.port), 10) as s:
        s.sendall(one + one + last)
        data = b""
        while more := s.recv(65536):
            data += more
    assert re.findall(rb"HTTP/1\.1 (\d+)", data) == [b"200", b"200", b"404"]


def test_origins_are_answered_as_configured(stack, own):
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = own.http("OPTIONS", "/appointments", headers=ask)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    for evil in ("https://evil.example", ORIGIN + ".evil.example", "null", ORIGIN.upper()):
        other = own.http("OPTIONS", "/appointments", headers={**ask, "Origin": evil})
        assert other.headers.get("Access-Control-Allow-Origin") is None, evil
    assert own.http("GET", "/users/me").headers.get("Access-Control-Allow-Origin") is None
    assert own.http("GET", "/users/me", headers={"Origin": ORIGIN}).headers["Access-Control-Allow-Origin"] == ORIGIN
    assert stack.http("OPTIONS", "/appointments", headers=ask).status == 405         # none by default


def test_user_who_does_not_exist_any_more_is_not_found(stack):
    ghost = User(10**12, stack.token("patient", 10**12), "patient")
    assert stack.get("/users/me", ghost).code == "not_found"


def test_a_gateway_that_is_told_to_end_cuts_no_request(own):
    doctor, slots = own.doctor_with_slots(60, minutes=10)
    people = [own.patient() for _ in range(6)]
    answers, failures, ended = [], [], threading.Event()

    def client(i):
        for slot in slots[i::6]:
            try:
                answers.append(own.post("/appointments", people[i], schedule_id=slot, doctor_id=doctor.id))
            except OSError as e:
                if not ended.is_set():      # refused, before anything was sent, is what a proxy expects
                    failures.append(e)
                return
    clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
    for c in clients:
        c.start()
    wait_until(lambda: len(answers) > 5, 5, "the load runs")
    ended.set()
    gateway = own.pid("gateway")
    os.kill(gateway, signal.SIGTERM)
    for c in clients:
        c.join()
    wait_until(lambda: not os.path.exists(f"/proc/{gateway}"), 10, "the gateway is gone")
    assert not failures
    assert {a.status for a in answers} == {201}
    booked = own.sql("SELECT count(*) FROM agenda.appointment")[0][0]
    assert booked == len(answers)
    own.up()
    own.verify()


def test_requests_that_wait_and_bodies_half_sent_are_answered_by_a_gateway_that_ends(own):
    doctor, slots = own.doctor_with_slots(5, days=40)
    people = [own.patient() for _ in range(5)]
    at, gateway, worker = urlsplit(own.url), own.pid("gateway"), own.pid("actor-booking")
    answers = [None] * 4
    body = json.dumps({"schedule_id": slots[4], "doctor_id": doctor.id}).encode()
    head = (f"POST /api/v1/appointments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {people[4].token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()

    def wait(i):
        answers[i] = own.http("POST", "/appointments", {"schedule_id": slots[i], "doctor_id": doctor.id}, people[i])

    waiting = [threading.Thread(target=wait, args=(i,)) for i in range(4)]
    os.kill(worker, signal.SIGSTOP)
    try:
        with socket.create_connection((at.hostname, at.port), 10) as half:
            half.sendall(head + body[:5])
            for w in waiting:
                w.start()
            wait_until(lambda: own.metric("gateway", "http_waiting") == 4, 5, "four wait for their outcomes")
            os.kill(gateway, signal.SIGTERM)
            wait_until(lambda: "draining" in own.log("gateway").splitlines()[-1], 5, "the gateway drains")
            assert own.admin("gateway", "/readyz")[0] == 503        # nobody new is sent there
            os.kill(worker, signal.SIGCONT)
            half.sendall(body[5:])
            data = b""
            while more := half.recv(65536):
                data += more
        for w in waiting:
            w.join()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert data.startswith(b"HTTP/1.1 201") and data.endswith(b"}"), data[:300]
    assert [a.status for a in answers] == [201] * 4, answers
    wait_until(lambda: not os.path.exists(f"/proc/{gateway}"), 10, "the gateway is gone")
    assert '"stopped"' in own.log("gateway")
    own.up()
    own.verify()


def test_a_hundred_requests_that_never_end_do_not_stop_a_gateway(stack):
    """Who sends half a request line has a thread for a while, and no more than that."""
    at = urlsplit(stack.url)
    held = [socket.create_connection((at.hostname, at.port), 10) for _ in range(100)]
    try:
        for s in held:
            s.sendall(b"POST /api/v1/users HTT")
        assert {a.status for a in at_once(20, lambda i: stack.http("GET", "//health"))} == {200}
    finally:
        for s in held:
            s.close()
