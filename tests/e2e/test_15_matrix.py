"""Every route, whatever it is for: every role, method, address, and everything that cannot be read.

All of it is made from the tables of routes, calls and messages (tests/tables.c), so that a new route is
tried as soon as it has its row.
"""
import os
import re
import signal
import string
import threading
import uuid
from contextlib import contextmanager

import pytest
from test_46_files import pdf, upload

from openapi import document
from stack import ROOT, Stack, at_once, cpf, wait_until

BASES = ("", "/user-service", "/scheduler-service", "/appointment-service")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
NOBODY = 10**9                                  # users from here on have tokens and no account
INT64_MAX = 2**63 - 1
OWN = ["/" + path for path in re.findall(r'\{ "(/[^"]+)", OWN_', (ROOT / "web" / "router.c").read_text())]     # by the gateway alone


@pytest.fixture(scope="module")
def routes(tables):
    """The rows, each with its call and its fields."""
    rows = []
    for route in tables["routes"]:
        call = tables["calls"][route["call"]]
        rows.append({**route, **call, "who": route["only"], "fields": tables["messages"][call["req"]]})
    assert len(rows) >= 14
    return rows


@pytest.fixture(scope="module")
def people(stack, routes):
    """role -> a token for each route: what one route does to a login is not the next one's business."""
    return {role: dict(zip((name(r) for r in routes), stack.tokens(role, first, len(routes))))
            for role, first in (("patient", NOBODY), ("doctor", 2 * NOBODY))}


def name(route):
    return f"{route['method']} {route['path']}"


def address(route, value="987654321"):
    return re.sub(r"\{\w+\}", value, route["path"])


def empty(route):
    return {} if route["method"] in ("POST", "PUT") else None


def allowed(people, route):
    """A token of somebody who may."""
    return people["doctor" if "doctor" in route["who"] else "patient"][name(route)]


def fields(route, *of):
    """Those that this route takes: a call may serve several, of which not each names all; a form is no JSON."""
    return [f for f in route["fields"] if f["from"] in of and (f["from"] != "PATH" or "{%s}" % f["name"] in route["path"])
            and not (f["from"] == "BODY" and route["via"] == "UPLOAD")]


# ---- who may ----

def test_without_a_token_every_route_but_the_public_ones_is_401(stack, routes):
    for route in routes:
        answer = stack.http(route["method"], address(route), empty(route))
        if route["auth"] == "TOKEN":
            assert (answer.status, answer.code) == (401, "no_token"), (name(route), answer)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        else:
            assert answer.code == "invalid", (name(route), answer)


def test_every_role_is_let_through_or_not_as_the_call_says(stack, routes, people):
    for route in routes:
        for role, tokens in people.items():
            answer = stack.http(route["method"], address(route), empty(route), tokens[name(route)])
            if route["auth"] == "TOKEN" and role not in route["who"]:
                assert (answer.status, answer.code) == (403, "forbidden"), (name(route), role, answer)
            else:
                assert answer.status not in (401, 403) and answer.status < 500, (name(route), role, answer)


def test_a_token_that_is_over_or_of_another_key_opens_nothing(stack, routes):
    over = {role: stack.token(role, NOBODY, lifetime=1) for role in ("patient", "doctor")}
    with Stack("--only", "nats") as other:      # another installation, with keys of its own
        foreign = {role: other.token(role, NOBODY) for role in ("patient", "doctor")}
    for role in over:
        wait_until(lambda role=role: stack.get("/appointments", over[role]).code == "bad_token", 5, "it is over")
    for route in routes:
        for role in ("patient", "doctor"):
            for token in (over[role], foreign[role]):
                answer = stack.http(route["method"], address(route), empty(route), token)
                if route["auth"] == "TOKEN":
                    assert (answer.status, answer.code) == (401, "bad_token"), (name(route), role, answer)
                    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
                else:
                    assert answer.code == "invalid", (name(route), answer)


# ---- whose it is ----

def world(stack):
    """Two people and one of everything between them, by the names that addresses have for it."""
    doctor, patient, visit = stack.visit(days=1)
    report = stack.post(f"/appointments/{visit}/medical-reports", doctor, comment="Sinus rhythm.").json["id"]
    review = stack.post(f"/appointments/{visit}/feedbacks", patient, rating=4, comment="On time.").json["id"]
    file = upload(stack, patient, pdf(), visit).json["id"]
    booked, free = stack.slots(doctor, 2, days=3)
    asked = stack.post("/appointments", patient, headers={"Prefer": "respond-async"}, schedule_id=booked, doctor_id=doctor.id)
    waiting = wait_until(lambda: stack.get(f"/appointments/requests/{asked.json['request_id']}", patient).json["appointment_id"])
    return {"doctor": doctor, "patient": patient, "appointment": waiting, "schedule": free, "appointment_id": visit,
            "report_id": report, "review_id": review, "file_id": file, "request_id": asked.json["request_id"],
            "doctor_id": doctor.id, "access_id": stack.get(f"/files/{file}/access", patient).json[0]["id"]}


def whole(stack, w):
    """All that its owners can see of a world."""
    v = w["appointment_id"]
    seen = [stack.get(path, w["patient"]).json for path in (
        "/appointments", "/users/me/reviews", "/files", f"/files/{w['file_id']}/access", f"/files/{w['file_id']}/reads",
        f"/appointments/{v}/medical-reports", f"/appointments/{v}/files")]
    links = {"path": None}
    return [[{**row, **links} if "path" in row else row for row in rows] for rows in seen] + \
        [stack.get("/schedules", w["doctor"]).json]


def sides(route):
    """Who of a world can ask for what is in it: the request is the patient's."""
    return ["patient"] if "{request_id}" in route["path"] else route["who"]


def said(route, own):
    """A body that would do, of somebody's own."""
    grant = {"doctor_id": own["doctor_id"], "appointment_id": own["appointment_id"], "expires_at": "2027-12-01 10:00"}
    person = {"full_name": "Ana Lúcia", "email": "ana@test.example", "password": "s3gredo!!", "document_id": cpf(), "role": "patient",
              "phone": "+55 31 5550-0199"}
    slot = {"schedule_id": own["schedule"], "doctor_id": own["doctor_id"]}
    weekly = {"weekdays": [1], "from": "08:00", "to": "09:00", "duration_minutes": 60, "starts_on": "2027-05-01", "ends_on": "2027-05-31"}
    return {"users.register": person, "users.login": {"password": "s3gredo!!", "email": "ana@test.example"},
            "users.refresh": {"refresh_token": "x"}, "booking.open": {"date_time_available": "2027-04-01 10:00"},
            "booking.recur": weekly, "booking.book": slot, "reviews.rate": {"rating": 5}, "booking.edit": {"active": False}, "booking.confirm": {"confirmed": True}, "booking.cancel": {"reason": "a cold"},
            "booking.reschedule": slot,
            "reviews.give": {"rating": 1, "comment": "Not mine."}, "reports.write": {"comment": "Not mine."},
            "reports.rewrite": {"comment": "Not mine."}, "files.grant": grant,
            "files.replace": []}.get(route["call"], empty(route))


def here(route, w):
    """The address of what is in that world."""
    kind = {"id": "schedule" if route["path"].startswith("/schedules") else "appointment"}
    return re.sub(r"\{(\w+)\}", lambda m: str(w[kind.get(m[1], m[1])]), route["path"])


def test_what_is_somebody_elses_is_not_there_on_any_route_and_stays_as_it_is(stack, routes):
    """Every address with an id in it: all ids another's, and each of them alone among one's own."""
    mine, theirs = world(stack), world(stack)
    before, tried = whole(stack, theirs), set()
    for route in routes:
        names = [n for n in re.findall(r"\{(\w+)\}", route["path"]) if n != "doctor_id"]
        if not names or route["via"] == "DOWNLOAD":
            continue
        for others in [tuple(names)] + [(n,) for n in names if len(names) > 1]:
            path = here(route, {**mine, **{k: theirs[k] for n in others for k in ((n,) if n != "id" else ("schedule", "appointment"))}})
            for role in route["who"]:
                if route["via"] == "UPLOAD":
                    answer = upload(stack, mine[role], pdf(), theirs["appointment_id"])
                else:
                    answer = stack.http(route["method"], path, said(route, mine), mine[role])
                assert (answer.status, answer.code) == (404, "not_found"), (name(route), others, role, answer)
                tried.add((route["method"], route["path"], role))
    assert len(tried) >= 50
    assert whole(stack, theirs) == before
    assert stack.sql("SELECT * FROM audit.access WHERE patient_id = %s AND user_id IN (%s, %s)", theirs["patient"].id,
                     mine["patient"].id, mine["doctor"].id) == []


# ---- what is so, and what was ----

def test_what_was_read_and_is_still_so_is_304_and_what_a_change_does_not_rely_on_any_more_412(stack, routes):
    w, seen = world(stack), {304: 0, 412: 0}
    for route in routes:
        operation = document().operation(route["method"], "/api/v1" + route["path"].replace("{request_id}", "x")) or {}
        headers = {p["name"] for p in operation.get("parameters", ())}
        for role in sides(route):
            if "If-None-Match" in headers:
                def is_still_so(path=here(route, w), user=w[role]):     # facts about it may still be on their way
                    tag = stack.get(path, user).headers["ETag"]
                    again = stack.get(path, user, If_None_Match=tag)
                    return (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
                wait_until(is_still_so, why=f"{name(route)} is 304 to a {role}")
                seen[304] += 1
            if "If-Match" in headers:
                answer = stack.http(route["method"], here(route, w), said(route, w), w[role], {"If-Match": '"of-another-day"'})
                assert (answer.status, answer.code) == (412, "precondition_failed"), (name(route), role, answer)
                seen[412] += 1
    assert seen[304] >= 20 and seen[412] >= 18, seen


def test_whoever_does_not_wait_is_told_where_the_outcome_will_be(stack, routes):
    w, tried = world(stack), 0
    for route in (r for r in routes if r["via"].startswith("MAILBOX")):
        for role in sides(route):
            answer = stack.http(route["method"], here(route, w), said(route, w), w[role], {"Prefer": "respond-async"})
            assert answer.status == 202 and answer.headers["Preference-Applied"] == "respond-async", (name(route), answer)
            assert answer.headers["Location"] == f"/api/v1/appointments/requests/{answer.json['request_id']}", name(route)
            wait_until(lambda path=answer.headers["Location"], role=role: stack.get(path.removeprefix("/api/v1"), w[role]).json["status"] != "pending",
                       why="it is decided")
            tried += 1
    assert tried >= 12


def otherwise(body):
    """The same, but for its first field."""
    field, value = next(iter(body.items()))
    change = {bool: lambda v: not v, int: lambda v: v + 1, list: lambda v: [2], str: lambda v: v.replace("10:00", "11:00") + ("" if ":" in v else "x")}
    return {**body, field: change[type(value)](value)}


def test_a_key_that_comes_back_with_another_body_is_refused_on_every_route_that_has_one(stack, routes):
    w, tried = world(stack), set()
    for route in (r for r in routes if r["tx"] == "WRITE" and r["via"] != "UPLOAD"):
        body = {"phone": "+55 31 5550-0188"} if route["call"] == "users.update" else said(route, w)
        if not body or not isinstance(body, dict):
            continue
        for role in route["who"]:
            key = {"Idempotency-Key": uuid.uuid4().hex}
            first = stack.http(route["method"], here(route, w), body, w.get(role), key)
            if first.status >= 300 and not route["via"].startswith("MAILBOX"):
                continue                        # of what was refused nothing is kept, but by mailboxes
            assert stack.http(route["method"], here(route, w), body, w.get(role), key).body == first.body or first.status >= 400, name(route)
            again = stack.http(route["method"], here(route, w), otherwise(body), w.get(role), key)
            assert (again.status, again.code) == (422, "key_reused"), (name(route), role, first, again)
            tried.add(route["call"])
    assert {"users.register", "users.update", "booking.open", "booking.recur", "booking.edit", "booking.book", "booking.reschedule",
            "booking.confirm", "booking.cancel", "reports.write", "reports.rewrite", "files.grant"} <= tried, tried
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert stack.http("PUT", "/users/me", {"phone": "+55 31 5550-0177"}, w["doctor"], key).status == 200
    assert stack.http("DELETE", "/users/me", None, w["doctor"], key).code == "key_reused", "and nobody is erased"
    assert stack.get("/users/me", w["doctor"]).status == 200


def test_what_is_no_text_in_an_address_is_told_so(stack, routes, people):
    for route in routes:
        for field in fields(route, "PATH"):
            if field["kind"] == "TEXT":
                path = re.sub(r"\{\w+\}", "%ff", route["path"])
                answer = stack.http(route["method"], path, empty(route), allowed(people, route))
                assert (answer.status, faults(answer)) == (422, {(field["name"], "not_utf8")}), (name(route), answer)


# ---- when it cannot be ----

def test_an_address_that_asks_too_often_is_429_on_every_route(routes):
    with Stack(HEALTHMED_LIMIT_REQUESTS="1") as few:
        few.get("/appointments")
        for method, path in [(route["method"], address(route)) for route in routes] + [("GET", path) for path in OWN]:
            answer = few.http(method, path, {} if method in ("POST", "PUT") else None)
            assert (answer.status, answer.code) == (429, "too_many_requests"), (method, path, answer)
            assert int(answer.headers["Retry-After"]) >= 1


ACTORS = ("users", "schedules", "appointments", "booking", "reviews", "reports", "files")


@contextmanager
def frozen(own):
    """No actor moves, and the log acknowledges nothing."""
    with own.nats() as nats:
        config = nats.js("STREAM.INFO.BOOKING")["config"]
        nats.js("STREAM.UPDATE.BOOKING", **{**config, "no_ack": True})
        for actor in ACTORS:
            os.kill(own.pid(f"actor-{actor}"), signal.SIGSTOP)
        yield
        nats.js("STREAM.UPDATE.BOOKING", **config)


@contextmanager
def dead(own):
    """No actor is there."""
    for actor in ACTORS:
        own.kill(f"actor-{actor}")
    yield


@contextmanager
def mad(own):
    """Whoever is asked answers what is no message."""
    with own.nats() as nats:
        asked = nats.subscribe("healthmed.v1.*.*")

        def babble():
            while (question := asked.messages.get()) is not None:
                nats.publish(question.reply, b"\xc1")
        babbler = threading.Thread(target=babble)
        babbler.start()
        yield
        asked.messages.put(None)
        babbler.join()


@contextmanager
def alone(own):
    """No broker is there."""
    own.stop("nats")
    yield


LOSSES = (                                      # one after the other: nothing comes back
    (frozen, 504, 504), (dead, 503, 202),       # a command is kept where nobody needs to be asked whose it is
    (mad, 500, 202), (alone, 503, 503),
)


def ask(stack, route, w, role):
    if route["via"] == "UPLOAD":
        return upload(stack, w[role], pdf(), w["appointment_id"] if "appointment" in route["path"] else None)
    if route["via"] == "DOWNLOAD":
        return stack.http("GET", "/" + w["link"])
    return stack.http(route["method"], here(route, w), said(route, w), w.get(role), {"Prefer": "respond-async"})


def test_while_actors_are_frozen_dead_or_mad_or_the_broker_is_away_every_route_says_so_or_keeps_what_is_asked(routes):
    with Stack() as own:
        w = world(own)
        w["link"] = own.get(f"/files/{w['file_id']}", w["patient"]).json["path"]
        every = [(route, role) for route in routes for role in sides(route)]
        for loss, status, kept in LOSSES:
            with loss(own):
                answers = at_once(len(every), lambda i: ask(own, every[i][0], w, every[i][1]))
            for (route, role), answer in zip(every, answers):
                expected = kept if route["via"] in ("MAILBOX_OWN", "MAILBOX_NAMED") else status
                assert answer.status == expected, (loss.__name__, name(route), role, answer)
                assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1, name(route)


@contextmanager
def refused(stack, doctor):
    """The database takes no change of that doctor's agenda."""
    stack.sql("CREATE FUNCTION agenda.planted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
              f" IF {doctor.id} IN (OLD.doctor_id, NEW.doctor_id) THEN RAISE check_violation; END IF; RETURN NULL; END$$")
    for table in ("slot", "appointment"):
        stack.sql(f"CREATE TRIGGER planted AFTER INSERT OR UPDATE OR DELETE ON agenda.{table} FOR EACH ROW EXECUTE FUNCTION agenda.planted()")
    try:
        yield
    finally:
        stack.sql("DROP FUNCTION agenda.planted() CASCADE")


def test_a_change_that_cannot_be_written_has_failed_on_every_route_of_an_agenda(stack, routes):
    w = world(stack)
    before, failed = whole(stack, w), set()
    with refused(stack, w["doctor"]):
        for route in (r for r in routes if r["via"].startswith("MAILBOX")):
            for role in sides(route):
                answer = stack.http(route["method"], here(route, w), said(route, w), w[role])
                assert (answer.status, answer.code) in ((500, "failed"), (409, "invalid_transition")), (name(route), role, answer)
                failed |= {route["call"]} if answer.status == 500 else set()
    assert failed >= {f"booking.{verb}" for verb in ("open", "recur", "edit", "drop", "book", "reschedule", "confirm", "cancel")}
    assert whole(stack, w) == before
    stack.healthmed("dead-letters", "drop", "--all")


# ---- methods and addresses ----

def test_every_other_method_is_405_and_allow_names_those_there_are(stack, routes):
    known = {}
    for route in routes:
        known.setdefault(address(route), set()).update({"GET", "HEAD"} if route["method"] == "GET" else {route["method"]})
    known |= {path: {"GET", "HEAD"} for path in OWN}
    assert "//docs" in known and "/users/me" in known
    for path, methods in known.items():
        for method in set(METHODS) - methods:
            answer = stack.http(method, path)
            assert answer.status == 405 and (method == "HEAD" or answer.code == "method_not_allowed"), (method, path, answer)
            assert {m.strip() for m in answer.headers["Allow"].split(",")} == methods, (method, path)


@pytest.mark.parametrize("base", BASES)
def test_every_route_answers_under_every_base_path(stack, routes, base):
    for route in routes:
        known = stack.http(route["method"], address(route), empty(route))
        answer = stack.http(route["method"], f"/{base}/api/v1{address(route)}", empty(route))
        assert (answer.status, answer.code) == (known.status, known.code) and answer.status in (401, 422), (name(route), answer)
        nowhere = stack.http(route["method"], f"/{base}/api/v1{address(route)}/nothing/at/all", empty(route))
        assert (nowhere.status, nowhere.code) == (404, "not_found"), (name(route), nowhere)
        assert stack.http(route["method"], f"/{base}/api/v1{address(route)}/", empty(route)).code == "not_found", name(route)


@pytest.mark.parametrize("base", ("/appointment-creator-service", "/review-processor-service", "/another-service"))
def test_no_route_answers_under_a_service_that_had_none(stack, routes, base):
    for route in routes:
        answer = stack.http(route["method"], f"/{base}/api/v1{address(route)}", empty(route))
        assert (answer.status, answer.code) == (404, "not_found"), (name(route), answer)


# ---- what cannot be read ----

def test_an_unknown_parameter_is_400_on_every_route(stack, routes, people):
    for route in routes:
        answer = stack.http(route["method"], address(route) + "?frm=1", empty(route), allowed(people, route))
        assert (answer.status, answer.code) == (400, "unreadable"), (name(route), answer)
        assert "frm" in {e["field"] for e in answer.json["errors"]}, name(route)


def test_a_body_of_another_type_is_415_and_one_where_none_belongs_400(stack, routes, people):
    for route in routes:
        send = lambda body, kind: stack.http(route["method"], address(route), body, allowed(people, route),     # noqa: E731
                                             {"Content-Type": kind})
        if route["method"] in ("GET", "DELETE"):
            answer = send(b"{}", "application/json")
            assert (answer.status, answer.code) == (400, "unreadable"), (name(route), answer)
            continue
        for kind in ("text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"):
            answer = send(b"{}", kind)
            assert (answer.status, answer.code) == (415, "unsupported_media_type"), (name(route), kind, answer)
            assert [e["field"] for e in answer.json["errors"]] == ["Content-Type"], name(route)


def test_a_body_that_is_packed_is_415_and_one_in_chunks_411_on_every_route(stack, routes, people):
    for route in routes:
        if route["method"] in ("GET", "DELETE"):
            continue
        send = lambda body, **head: stack.http(route["method"], address(route), body, allowed(people, route),     # noqa: E731
                                               {k.replace("_", "-"): v for k, v in head.items()})
        answer = send(b"\x1f\x8b", Content_Encoding="gzip")
        assert (answer.status, answer.code) == (415, "unsupported_media_type"), (name(route), answer)
        assert [e["field"] for e in answer.json["errors"]] == ["Content-Encoding"], name(route)
        answer = send(b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
        assert (answer.status, answer.code) == (411, "length_required"), (name(route), answer)


def test_a_body_that_is_too_large_or_no_json_is_refused_on_every_route(stack, routes, people):
    w = world(stack)
    for route in routes:
        if route["via"] == "UPLOAD":            # whose visit it is is asked first
            answer = stack.http("POST", here(route, w), bytes(11 << 20), w["patient"], {"Content-Type": "multipart/form-data; boundary=b"})
            assert (answer.status, answer.code) == (413, "too_large"), (name(route), answer)
        if route["method"] not in ("POST", "PUT") or route["via"] == "UPLOAD":
            continue
        send = lambda body: stack.http(route["method"], address(route), body, allowed(people, route))       # noqa: E731
        assert send(b'{"a":"' + b"x" * 300000 + b'"}').code == "too_large", name(route)
        for body in (b'{"a":', b"7", b'{"a":1,"a":2}', b'{"a":"\xff"}'):
            assert send(body).code == "unreadable", (name(route), body)


def test_a_key_that_is_none_is_400_wherever_one_is_heeded(stack, routes, people):
    tried = 0
    for route in routes:
        if route["tx"] != "WRITE" or route["method"] == "GET":
            continue
        for key in ("", "x" * 65, "a b", "caf\xe9"):
            answer = stack.http(route["method"], address(route), empty(route), allowed(people, route), {"Idempotency-Key": key})
            assert (answer.status, answer.code) == (400, "unreadable"), (name(route), key)
            assert "Idempotency-Key" in {e["field"] for e in answer.json["errors"]}
        tried += 1
    assert tried >= 4


# ---- fields ----

def faults(answer):
    return {(e["field"], e["code"]) for e in answer.json["errors"] or ()} if answer.json else set()


def test_an_id_in_an_address_is_a_positive_number(stack, routes, people):
    tried = 0
    for route in routes:
        for field in fields(route, "PATH"):
            if field["kind"] != "INT":
                continue
            for value, code, word in (("abc", "unreadable", "malformed"), ("1.5", "unreadable", "malformed"), ("0", "invalid", "too_small"),
                                      ("-1", "invalid", "too_small"), ("9" * 30, "unreadable", "malformed")):
                path = re.sub(r"\{\w+\}", "987654321", route["path"].replace("{" + field["name"] + "}", value))
                answer = stack.http(route["method"], path, empty(route), allowed(people, route))
                assert (answer.code == code or answer.code == "unreadable") and (field["name"], word) in faults(answer), (name(route), value, answer)
            tried += 1
    assert tried >= 4


def test_every_parameter_is_held_to_its_kind_and_limits(stack, routes, people):
    tried = 0
    for route in routes:
        for field in fields(route, "QUERY"):
            for value, word in beyond(field, True):
                answer = stack.http("GET", f"{address(route)}?{field['name']}={value}", None, allowed(people, route))
                assert answer.status in (400, 422) and (field["name"], word) in faults(answer), (name(route), field["name"], value, answer)
                tried += 1
    assert tried >= 20


def test_every_field_that_is_missing_is_named_at_once(stack, routes, people):
    tried = 0
    for route in routes:
        required = {(f["name"], "missing") for f in fields(route, "BODY") if f["required"] and f["kind"] != "BYTES"}
        if not required or route["method"] not in ("POST", "PUT"):
            continue
        for body in ({}, None, {field: None for field, _ in required}):
            answer = stack.http(route["method"], address(route), body, allowed(people, route))
            assert (answer.status, answer.code) == (422, "invalid") and required <= faults(answer), (name(route), body, answer)
        tried += 1
    assert tried >= 5


def test_every_field_is_held_to_its_kind_and_limits(stack, tables, routes, people):
    """One level down too: what an object or the items of a list have."""
    tried = 0
    for route in routes:
        of = [(f["name"], f, (lambda v, f=f: {f["name"]: v})) for f in fields(route, "BODY")]
        for path, field, wrap in list(of):
            for inner in tables["messages"].get(field.get("of"), ()):
                if inner["from"] == "BODY":
                    listed = field["kind"] == "LIST"
                    of.append((f"{path}[0].{inner['name']}" if listed else f"{path}.{inner['name']}", inner,
                               lambda v, i=inner, w=wrap, listed=listed: w([{i["name"]: v}] if listed else {i["name"]: v})))
        for path, field, wrap in of:
            for value, word in beyond(field, False):
                answer = stack.http(route["method"], address(route), wrap(value), allowed(people, route))
                assert answer.status in (400, 422) and (path, word) in faults(answer), (name(route), path, value, answer)
                tried += 1
    assert tried >= 60


def beyond(field, query):
    """(value, the word of its fault): what a field must not be.  Of a query, text; of a body, JSON."""
    kind, low, high = field["kind"], field["min"], field["max"]
    text = lambda n: (string.ascii_lowercase * (n // 26 + 1))[:n]       # noqa: E731
    if kind in ("INT", "MONEY", "RATING", "REAL"):
        unit = {"MONEY": 100, "RATING": 10}.get(kind, 1)
        yield "x", "malformed"
        if low > 0 or kind == "INT":
            yield low / unit - 1 if kind != "INT" else low - 1, "too_small"
        if high != INT64_MAX:
            yield high // unit + 1, "too_large"
        if not query:
            yield True, "malformed"
            yield [], "malformed"
    elif kind == "TEXT":
        if low > 1:
            yield text(low - 1), "too_short"
        if high <= 20000:
            yield text(high + 1), "too_long"
        if not query:
            yield 7, "malformed"
            yield {}, "malformed"
    elif kind == "BOOL":
        yield "maybe", "malformed"
    elif kind == "ENUM":
        yield "no-such-word", "not_allowed"
    elif kind in ("TIME", "TIMES"):
        yield "soon", "malformed"
        yield "2027-02-30%2010:00" if query else "2027-02-30 10:00", "malformed"
    elif kind == "DATE":
        yield "2027-02-30", "malformed"
    elif kind == "CLOCK":
        yield "25:00", "malformed"
    elif kind in ("OBJECT", "LIST", "INTS") and not query:
        yield 7, "malformed"
        yield "x", "malformed"
