"""Accounts: changes, sessions and their tokens, logout, erasure; at two gateways."""
import base64
import json
import os
import subprocess
import uuid

import msgpack
import pytest

from stack import LIKE_112233, ROOT, Stack, at_once, cpf, wait_until

ADDRESS = {"street": "Rua A", "number": "10", "neighborhood": "Centro", "city": "Recife", "state": "PE", "zip": "50010000"}


@pytest.fixture(scope="module")
def two():
    """Two gateways."""
    with Stack("--gateways", "2") as running:
        yield running


def login(stack, who, **more):
    answer = stack.http("POST", "/users/login", {"email": who.email, "password": who.password}, **more)
    assert answer.status == 200, answer
    return answer.json


def login_in_turn(stack, who):
    """On a slow machine the queue for passwords tells some to come later, as it would anybody."""
    def served():
        answer = stack.http("POST", "/users/login", {"email": who.email, "password": who.password})
        assert answer.status in (200, 429), answer
        return answer.status == 200 and answer.json
    return wait_until(served, 30, "there is room for a password")


def refresh(stack, token, key=None, **more):
    return stack.http("POST", "/users/token", {"refresh_token": token}, headers={"Idempotency-Key": key} if key else None,
                      **more)


def put(stack, token, body, key=None, **headers):
    head = {name.replace("_", "-"): value for name, value in headers.items()}
    return stack.http("PUT", "/users/me", body, token, {**head, **({"Idempotency-Key": key} if key else {})})


def me(stack, token, **more):
    return stack.http("GET", "/users/me", token=token, **more)


def refused(answer):
    return (answer.status, answer.code) == (401, "bad_token")


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def dump(stack):
    """All that is stored but clinical records, as text; bytes as hexadecimal."""
    return subprocess.run(["pg_dump", "--data-only", "--exclude-schema=clinical", stack.env["DATABASE_URL"]], check=True,
                          capture_output=True, text=True).stdout


def said(stack, *words):
    """Which of these words are stored somewhere, as text or in bytes."""
    kept = dump(stack)
    return [w for w in words if w in kept or w.encode().hex() in kept]


# ---- changes ----

def test_what_is_said_changes_and_the_rest_stays(stack):
    p = stack.patient()
    before = me(stack, p).json
    answer = put(stack, p, {"full_name": "Maria Oliveira Lima", "phone": "+55 81 5550-0100", "address": dict(ADDRESS, state="pe")})
    assert answer.status == 200, answer
    assert answer.json == {**before, "full_name": "Maria Oliveira Lima", "phone": "+55 81 5550-0100", "address": ADDRESS,
                           "updated_at": answer.json["updated_at"]}
    assert answer.json["updated_at"] > before["updated_at"]
    assert me(stack, p).json == answer.json
    assert put(stack, p, {"address": None}).json["address"] is None
    unchanged = me(stack, p).json
    assert put(stack, p, {}).json == unchanged


def test_a_doctor_changes_his_card_and_logs_in_by_it(stack):
    d = stack.doctor()
    other = f"{uuid.uuid4().hex[:9]}-SP"
    answer = put(stack, d, {"medical_id": other, "specialty": "Ortopedia", "price": 199.9})
    assert answer.json["doctor"]["medical_id"] == other and b'"price":199.90' in answer.body
    assert answer.json["doctor"]["specialty"] == "Ortopedia"
    assert stack.http("POST", "/users/login", {"medical_id": other, "password": d.password}).status == 200
    assert stack.http("POST", "/users/login", {"medical_id": d.medical_id, "password": d.password}).status == 401


@pytest.mark.parametrize("field,value,code", [
    ("full_name", None, "missing"), ("full_name", "x", "too_short"), ("full_name", "two\nlines", "malformed"),
    ("email", "nobody", "malformed"), ("email", None, "missing"), ("phone", "1", "too_short"), ("phone", None, "missing"),
    ("document_id", "11111111111", "malformed"), ("document_id", None, "missing"), ("password", None, "missing"),
    ("password", "short", "too_short"), ("price", 0.5, "too_small"), ("price", None, "missing"), ("price", 1.005, "malformed"),
    *[("medical_id", text, "malformed") for text in LIKE_112233],
    ("medical_id", "1", "too_short"), ("medical_id", None, "missing"), ("specialty", None, "missing"),
    ("specialty", "\t\t\t", "malformed"), ("address", {}, "missing"), ("address", "Rua A", "malformed"),
])
def test_a_change_out_of_its_bounds_names_the_field(stack, field, value, code):
    d = stack.doctor()
    answer = put(stack, d, {field: value, "current_password": d.password} if field == "password" else {field: value})
    assert (answer.status, answer.code) == (422, "invalid"), answer
    assert {(e["field"].split(".")[0], e["code"]) for e in answer.json["errors"]} == {(field, code)}


def test_the_fields_of_a_doctor_are_refused_of_a_patient(stack):
    p = stack.patient()
    for sent in ({"medical_id": "112233-MG"}, {"specialty": "Cardiologia"}, {"price": 100}, {"price": None}):
        answer = put(stack, p, sent)
        assert (answer.status, answer.code) == (422, "invalid"), answer
        assert [e["field"] for e in answer.json["errors"]] == list(sent)
    faults = put(stack, p, {"price": 100, "email": "nobody", "phone": None, "address": dict(ADDRESS, zip="x" * 8)})
    assert sorted(e["field"] for e in faults.json["errors"]) == ["address.zip", "email", "phone", "price"]


def test_what_belongs_to_another_account_is_a_conflict(stack):
    p, q, d, e = stack.patient(), stack.patient(), stack.doctor(), stack.doctor()
    for sent in ({"email": q.email.upper()}, {"document_id": q.document_id}):
        answer = put(stack, p, {"full_name": "Somebody Else", **sent})
        assert (answer.status, answer.code) == (409, "identity_in_use"), answer
    answer = put(stack, d, {"medical_id": e.medical_id.lower()})
    assert (answer.status, answer.code) == (409, "medical_id_in_use")
    assert me(stack, p).json["full_name"] == p.name
    assert put(stack, p, {"email": p.email.upper(), "document_id": p.document_id}).status == 200    # one's own


def test_of_two_that_take_one_address_at_once_one_gets_it(stack):
    people, free = [stack.patient() for _ in range(6)], f"{uuid.uuid4().hex[:12]}@test.example"
    answers = at_once(6, lambda i: put(stack, people[i], {"email": free}))
    assert sorted(a.status for a in answers) == [200] + [409] * 5


def test_a_change_that_relies_on_another_state_is_412(stack):
    p = stack.patient()
    tag = me(stack, p).headers["ETag"]
    first = put(stack, p, {"phone": "+55 81 1111"}, If_Match=tag)
    assert first.status == 200 and first.headers["ETag"] != tag
    late = put(stack, p, {"phone": "+55 81 2222"}, If_Match=tag)
    assert (late.status, late.code) == (412, "precondition_failed")
    assert put(stack, p, {"phone": "+55 81 3333"}, If_Match=first.headers["ETag"]).status == 200
    assert put(stack, p, {"phone": "+55 81 4444"}, If_Match="*").status == 200
    answer = stack.http("DELETE", "/users/me", token=p, headers={"If-Match": tag})
    assert (answer.status, answer.code) == (412, "precondition_failed")
    tag = me(stack, p).headers["ETag"]
    answers = at_once(8, lambda i: put(stack, p, {"phone": f"+55 81 555{i}"}, If_Match=tag))
    assert sorted(a.status for a in answers) == [200] + [412] * 7


def test_copies_of_a_change_have_one_effect_and_one_answer(stack):
    p, key = stack.patient(), uuid.uuid4().hex
    answers = at_once(8, lambda i: put(stack, p, {"phone": "+55 81 1111"}, key))
    assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
    put(stack, p, {"phone": "+55 81 2222"})
    assert put(stack, p, {"phone": "+55 81 1111"}, key).body == answers[0].body
    assert me(stack, p).json["phone"] == "+55 81 2222"
    assert put(stack, p, {"phone": "+55 81 3333"}, key).code == "key_reused"


def test_nobody_changes_anything_without_a_token(stack):
    assert put(stack, None, {"phone": "+55 81 1111"}).code == "no_token"
    assert stack.http("DELETE", "/users/me").code == "no_token"
    assert stack.http("POST", "/users/logout").code == "no_token"


# ---- the password ----

def test_a_password_changes_with_the_present_one_alone(stack):
    p = stack.patient()
    answer = put(stack, p, {"password": "another-one-2"})
    assert answer.status == 422 and answer.json["errors"][0]["field"] == "current_password"
    answer = put(stack, p, {"password": "another-one-2", "current_password": "not-that", "phone": "+55 81 9999"})
    assert (answer.status, answer.code) == (403, "wrong_password")
    assert me(stack, p).json["phone"] != "+55 81 9999"
    assert stack.http("POST", "/users/login", {"email": p.email, "password": p.password}).status == 200
    answer = put(stack, p, {"password": "another-one-2", "current_password": p.password})
    assert answer.status == 200 and "another-one-2" not in answer.body.decode()
    assert stack.http("POST", "/users/login", {"email": p.email, "password": p.password}).status == 401
    assert stack.http("POST", "/users/login", {"email": p.email, "password": "another-one-2"}).status == 200


def test_a_new_password_ends_the_other_sessions_and_not_ones_own(two):
    p = two.patient()
    mine, other = login(two, p), login(two, p)
    assert put(two, mine["token"], {"password": "another-one-2", "current_password": p.password}).status == 200
    for url in two.urls:
        wait_until(lambda: refused(me(two, other["token"], url=url)), 1, "the other session is refused")    # noqa: B023
        assert me(two, mine["token"], url=url).status == 200
    assert refused(refresh(two, other["refresh_token"]))
    assert refresh(two, mine["refresh_token"]).status == 200
    p.password = "another-one-2"
    fresh = login(two, p)
    assert [me(two, fresh["token"], url=url).status for url in two.urls] == [200, 200]


def test_guesses_at_the_current_password_are_429(stack):
    p = stack.patient()
    for _ in range(11):
        answer = put(stack, p, {"password": "another-one-2", "current_password": "guess-after-guess"})
    assert (answer.status, answer.code) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) >= 1


# ---- refresh tokens ----

def test_a_login_gives_a_refresh_token_that_gives_the_next(stack):
    d = stack.doctor()
    for name in ({"medical_id": d.medical_id}, {"email": d.email}, {"document_id": d.document_id}):
        first = stack.http("POST", "/auth/login", {**name, "password": d.password}).json
        assert set(first) == {"type", "token", "expires_in", "refresh_token"} and first["type"] == "Bearer"
        answer = refresh(stack, first["refresh_token"])
        assert answer.status == 200, answer
        assert set(answer.json) == set(first) and answer.json["refresh_token"] != first["refresh_token"]
        old, new = claims(first["token"]), claims(answer.json["token"])
        assert old["sid"] == new["sid"] and old["sub"] == new["sub"] == str(d.id) and new["role"] == "doctor"
        assert old["jti"] != new["jti"]
        assert me(stack, answer.json["token"]).json["id"] == d.id


def test_a_refresh_token_that_is_none_is_401(stack):
    p = stack.patient()
    good = login(stack, p)["refresh_token"]
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    for bad in (changed, "x", "A" * 64, good + "A", login(stack, p)["token"][:255], "%00", "ção"):
        assert refused(refresh(stack, bad)), bad
    assert stack.http("POST", "/users/token", {}).json["errors"][0]["field"] == "refresh_token"
    assert stack.http("POST", "/users/token", {"refresh_token": 7}).status == 422
    assert stack.http("GET", "/users/token").status == 405
    assert refresh(stack, good).status == 200


def test_a_refresh_token_that_comes_again_ends_the_session_for_both(two):
    p = two.patient()
    first, elsewhere = login(two, p), login(two, p)
    second = refresh(two, first["refresh_token"]).json
    third = refresh(two, second["refresh_token"]).json
    assert refused(refresh(two, first["refresh_token"]))
    assert refused(refresh(two, third["refresh_token"]))
    for url in two.urls:
        for token in (first["token"], third["token"]):
            wait_until(lambda: refused(me(two, token, url=url)), 1, "what the thief has is refused")        # noqa: B023
        assert me(two, elsewhere["token"], url=url).status == 200


def test_an_answer_that_was_lost_is_told_again(stack):
    first = login(stack, stack.patient())
    second = refresh(stack, first["refresh_token"]).json
    again = refresh(stack, first["refresh_token"])           # within the ten seconds that a retry has
    assert again.status == 200 and again.json["refresh_token"] == second["refresh_token"]
    assert refresh(stack, second["refresh_token"]).status == 200
    key, third = uuid.uuid4().hex, login(stack, stack.patient())
    one, two = (refresh(stack, third["refresh_token"], key) for _ in range(2))
    assert one.status == two.status == 200 and one.body == two.body
    fourth = refresh(stack, one.json["refresh_token"]).json
    assert refresh(stack, third["refresh_token"], key).body == one.body     # a copy is no second use
    assert refresh(stack, fourth["refresh_token"]).status == 200


def test_a_retry_that_comes_too_late_is_a_reuse(stack):
    p = stack.patient()
    first = login(stack, p)
    second = refresh(stack, first["refresh_token"]).json
    stack.sql("UPDATE users.session SET rotated_at = rotated_at - interval '11 s' WHERE user_id = %s", p.id)
    assert refused(refresh(stack, first["refresh_token"]))
    assert refused(refresh(stack, second["refresh_token"]))


def test_twenty_copies_of_a_refresh_at_once_are_one(two):
    p = two.patient()
    for key in (None, uuid.uuid4().hex):
        first = login(two, p)
        answers = at_once(20, lambda i: refresh(two, first["refresh_token"], key, url=two.urls[i % 2]))     # noqa: B023
        assert {a.status for a in answers} == {200}, answers
        assert len({a.json["refresh_token"] for a in answers}) == 1
        assert (len({a.body for a in answers}) == 1) == (key is not None)
        session = claims(first["token"])["sid"]
        assert two.sql("SELECT generation FROM users.session WHERE id = %s", session) == [(2,)]
        assert refresh(two, answers[0].json["refresh_token"]).status == 200


def test_a_session_that_nobody_used_is_over(stack):
    p = stack.patient()
    token = login(stack, p)["refresh_token"]
    stack.sql("UPDATE users.session SET expires_at = now() - interval '1 s' WHERE user_id = %s", p.id)
    assert refused(refresh(stack, token))
    wait_until(lambda: stack.sql("SELECT count(*) FROM users.session WHERE user_id = %s", p.id) == [(0,)], 15, "it is purged")


def test_with_one_session_too_many_the_oldest_ends():
    with Stack(HEALTHMED_SESSIONS_PER_USER="3") as few:
        p, other = few.patient(), few.patient()
        stays = login(few, other)
        first, *more = [login(few, p) for _ in range(3)]
        assert [me(few, s["token"]).status for s in (first, *more)] == [200] * 3
        last = login(few, p)
        wait_until(lambda: me(few, first["token"]).status == 401, 5, "the gateway has heard that it ended")
        assert refused(refresh(few, first["refresh_token"]))
        assert [me(few, s["token"]).status for s in (*more, last, stays)] == [200] * 4
        assert refresh(few, more[0]["refresh_token"]).status == 200
        assert me(few, p.token).status == 200                              # a token that is of no session
        rush = at_once(8, lambda i: login_in_turn(few, p))
        assert few.sql("SELECT count(*) FROM users.session WHERE user_id = %s", p.id) == [(3,)]
        newest = {s[0] for s in few.sql("SELECT id FROM users.session WHERE user_id = %s", p.id)}
        wait_until(lambda: sum(me(few, s["token"]).status == 200 for s in rush) == 3, 5, "all but three have ended")
        assert len(newest) == 3


def test_refreshes_of_one_address_are_limited_as_logins_are():
    with Stack(HEALTHMED_LIMIT_LOGINS="3") as few:
        answers = [refresh(few, "x") for _ in range(4)]
    assert [a.status for a in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_no_token_is_stored_and_none_is_logged(stack):
    p, key = stack.patient(), uuid.uuid4().hex
    first = stack.http("POST", "/users/login", {"email": p.email, "password": p.password}, headers={"Idempotency-Key": key}).json
    second = refresh(stack, first["refresh_token"], key).json
    stored = dump(stack)
    assert stack.sql("SELECT count(*) FROM users.session WHERE user_id = %s", p.id) == [(1,)]
    for token in (first["refresh_token"], second["refresh_token"], first["token"], second["token"]):
        raw = base64.urlsafe_b64decode(token.split(".")[-1] + "==")
        for form in (token, token.encode().hex(), raw.hex(), raw[-32:].hex()):
            assert form not in stored
        assert token not in stack.log("gateway") + stack.log("actor-users")


def test_copies_of_a_login_are_one_session(stack):
    p, key = stack.patient(), uuid.uuid4().hex
    one, two = (stack.http("POST", "/users/login", {"email": p.email, "password": p.password},
                           headers={"Idempotency-Key": key}) for _ in range(2))
    assert one.status == two.status == 200 and one.body == two.body
    assert stack.sql("SELECT count(*) FROM users.session WHERE user_id = %s", p.id) == [(1,)]
    q = stack.patient()                                                      # somebody else's key
    assert stack.http("POST", "/users/login", {"document_id": q.document_id, "password": q.password},
                      headers={"Idempotency-Key": key}).status == 200


# ---- logout ----

def test_a_logout_ends_its_session_at_all_gateways_within_a_second(two):
    p = two.patient()
    first, other = login(two, p), login(two, p)
    assert [me(two, first["token"], url=url).status for url in two.urls] == [200, 200]
    answer = two.http("POST", "/users/logout", token=first["token"])
    assert (answer.status, answer.body) == (204, b"")
    assert refused(me(two, first["token"]))                                  # at once where it was done
    wait_until(lambda: refused(me(two, first["token"], url=two.urls[1])), 1, "the other gateway refuses it too")
    assert 'error="invalid_token"' in me(two, first["token"]).headers["WWW-Authenticate"]
    assert refused(refresh(two, first["refresh_token"]))
    assert [me(two, other["token"], url=url).status for url in two.urls] == [200, 200]


def test_a_logout_may_name_a_refresh_token_and_be_repeated(stack):
    p, q = stack.patient(), stack.patient()
    first, second, foreign = login(stack, p), login(stack, p), login(stack, q)
    for token in (foreign["refresh_token"], "x", second["refresh_token"]):
        answer = stack.http("POST", "/users/logout", {"refresh_token": token}, first["token"], {"Idempotency-Key": token[:40]})
        assert answer.status == 204, answer
    assert refused(refresh(stack, first["refresh_token"])) and refused(refresh(stack, second["refresh_token"]))
    assert refresh(stack, foreign["refresh_token"]).status == 200
    answer = stack.http("POST", "/users/logout", {"refresh_token": "x"}, first["token"], {"Idempotency-Key": "x"})
    assert answer.status == 204
    assert refused(put(stack, first["token"], {"phone": "+55 81 1111"}))


def test_a_gateway_that_was_not_there_refuses_an_ended_session_too(two):
    p = two.patient()
    first = login(two, p)
    two.kill("gateway-2")
    assert two.http("POST", "/users/logout", token=first["token"]).status == 204
    two.start("gateway-2")
    assert refused(me(two, first["token"], url=two.urls[1]))
    two.stop("nats")
    two.up()
    assert me(two, p, url=two.urls[1]).status == 200
    assert refused(me(two, first["token"], url=two.urls[1]))


def test_what_ended_while_a_gateway_was_cut_off_is_asked_for(two):
    p = two.patient()
    first = login(two, p)
    two.stop("nats")
    # As if another gateway had ended it meanwhile, and the fact had gone by unheard.
    two.sql("INSERT INTO users.ended (user_id, from_session, to_session, ends) VALUES (%s, %s, %s, now() + interval '1 hour')",
            p.id, *[claims(first["token"])["sid"]] * 2)
    two.up()
    for url in two.urls:
        wait_until(lambda: refused(me(two, first["token"], url=url)), 1, "it has asked")                     # noqa: B023


def test_without_the_users_actor_a_new_gateway_waits_a_little_and_then_serves(two):
    doctor, (slot,) = two.doctor_with_slots(1)
    two.stop("actor-users")
    two.kill("gateway-2")
    try:
        started = subprocess.Popen([ROOT / "stack", "start", two.run, "gateway-2"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env={**os.environ, "STACK_PATIENCE": "13"})
        wait_until(lambda: ready(two) == 503, 5, "it listens, and is not ready")
        assert [s["id"] for s in two.http("GET", "/schedules", token=doctor, url=two.urls[1]).json] == [slot]
        wait_until(lambda: ready(two) == 200, 12, "it is ready all the same")
        started.wait(30)
    finally:
        two.start("actor-users")
    wait_until(lambda: ready(two, "?verbose") == 200, 5, "it has heard")


def ready(stack, query=""):
    try:
        return stack.admin("gateway-2", "/readyz" + query)[0]
    except OSError:
        return None


# ---- erasure ----

def test_nothing_personal_is_left_of_whoever_is_erased(two):
    name = f"Ana {uuid.uuid4().hex}"
    phone, document, medical_id = f"+55 81 {uuid.uuid4().int % 10**9:09d}", cpf(), f"{uuid.uuid4().hex[:9]}-MG"
    sent = {"full_name": name, "email": f"{uuid.uuid4().hex[:12]}@test.example", "password": "s3gredo-longo", "role": "doctor",
            "document_id": document, "phone": phone, "address": dict(ADDRESS, street=f"Rua {uuid.uuid4().hex}"),
            "doctor": {"medical_id": medical_id, "specialty": "Cardiologia", "price": 100}}
    made = two.http("POST", "/users", sent, headers={"Idempotency-Key": "erased-1"})
    assert made.status == 201
    by = {"email": sent["email"], "password": sent["password"]}
    first = two.http("POST", "/users/login", by, headers={"Idempotency-Key": "erased-2"}).json
    assert put(two, first["token"], {"full_name": name + " Lima"}, "erased-3").json["full_name"] == name + " Lima"
    words = [name, sent["email"], document, phone, medical_id, sent["address"]["street"]]
    assert said(two, *words) == words
    answer = two.http("DELETE", "/users/me", token=first["token"], headers={"Idempotency-Key": "erased-4"})
    assert (answer.status, answer.body) == (204, b"")
    assert said(two, *words) == []
    for url in two.urls:
        wait_until(lambda: refused(me(two, first["token"], url=url)), 1, "its tokens are refused")           # noqa: B023
    assert refused(refresh(two, first["refresh_token"]))
    assert two.http("POST", "/users/login", by).code == "bad_credentials"
    again = two.http("DELETE", "/users/me", token=first["token"], headers={"Idempotency-Key": "erased-4"})
    assert refused(again)
    anew = two.http("POST", "/users", sent, headers={"Idempotency-Key": "erased-5"})
    assert anew.status == 201 and anew.json["id"] != made.json["id"]
    assert two.sql("SELECT full_name, erased_at IS NOT NULL FROM users.account WHERE id = %s", made.json["id"]) == \
        [("erased", True)]


def a_reason():
    return f"asthma of {uuid.uuid4().hex} \u00b0cancelled_reason"          # the last is what its key looks like in bytes


def forgotten(stack, *who):
    wait_until(lambda: stack.sql("SELECT count(*) FROM agenda.erased WHERE forgotten AND user_id = ANY (%s)",
                                 [w.id for w in who]) == [(len(who),)], 20, "what they wrote is forgotten")


def outcomes(stack, appointment):
    rows = stack.sql("SELECT id::text, outcome FROM agenda.request WHERE appointment_id = %s", appointment)
    return {id: msgpack.unpackb(bytes(outcome)) for id, outcome in rows}


@pytest.mark.parametrize("who", ["patient", "doctor"])
def test_the_reasons_of_whoever_is_erased_go_everywhere_and_those_of_the_others_stay(stack, who):
    doctor, slots = stack.doctor_with_slots(4)
    patient = stack.patient()
    own, theirs, declined, reported = (stack.post("/appointments", patient, schedule_id=s, doctor_id=doctor.id).json["id"]
                                       for s in slots)
    words = {"patient": [a_reason(), a_reason()], "doctor": [a_reason(), a_reason()]}
    assert stack.post(f"/appointments/{reported}/confirm", doctor, confirmed=True).status == 200
    for id, by, path, body in (
            (own, patient, "cancel", {"reason": words["patient"][0]}),
            (reported, patient, "cancel", {"reason": words["patient"][1]}),
            (theirs, doctor, "cancel", {"reason": words["doctor"][0]}),
            (declined, doctor, "confirm", {"confirmed": False, "reason": words["doctor"][1]})):
        assert stack.post(f"/appointments/{id}/{path}", by, **body).json["cancelled_reason"] == body["reason"]
    # The doctor's report is answered with the appointment, and so with the patient's reason.
    assert stack.post(f"/appointments/{reported}/medical-reports", doctor, comment="Did not come.").status == 201
    assert said(stack, *sum(words.values(), [])) == sum(words.values(), [])

    leaver, stayer = {"patient": (patient, doctor), "doctor": (doctor, patient)}[who]
    unsaid, kept = {"patient": ((own, reported), (theirs, declined)), "doctor": ((theirs, declined), (own, reported))}[who]
    before = {id: stack.get(f"/appointments/{id}", stayer) for id in (*unsaid, *kept)}
    told = {id: outcomes(stack, id) for id in before}
    assert stack.http("DELETE", "/users/me", token=leaver).status == 204
    forgotten(stack, leaver)
    assert said(stack, *words[who]) == []
    for id in unsaid:
        now = stack.get(f"/appointments/{id}", stayer)
        assert now.json == {**before[id].json, "cancelled_reason": None, "updated_at": now.json["updated_at"]}
        assert now.json["updated_at"] > before[id].json["updated_at"] and now.headers["ETag"] != before[id].headers["ETag"]
        for outcome in told[id].values():
            outcome.get("appointment", {}).pop("cancelled_reason", None)
        assert outcomes(stack, id) == told[id]
    for id in kept:
        assert stack.get(f"/appointments/{id}", stayer).json == before[id].json
        assert outcomes(stack, id) == told[id]
    exported = {a["id"]: a["cancelled_reason"] for a in stack.get("/users/me/export", stayer).json["appointments"]}
    assert exported == {id: None if id in unsaid else before[id].json["cancelled_reason"] for id in before}
    stack.verify()


def test_an_erasure_that_is_told_again_changes_nothing(stack):
    doctor, patient, visit = stack.visit(state="waiting_for_confirmation")
    assert stack.post(f"/appointments/{visit}/cancel", patient, reason=a_reason()).status == 200
    for who in (patient, stack.patient()):                      # once the second is forgotten the first was looked at again
        assert stack.http("DELETE", "/users/me", token=who).status == 204
        forgotten(stack, who)
        before = stack.sql("SELECT to_jsonb(a), xmin::text FROM agenda.appointment AS a WHERE id = %s", visit)
        with stack.nats() as nats:
            at = nats.stored("EVENTS", f"healthmed.v1.events.users.erased.{patient.id}",
                             msgpack.packb({"items": [{"id": patient.id, "patient_id": patient.id, "at": 1}]}))
        wait_until(lambda: stack.sql("SELECT last_seq >= %s FROM agenda.position", at) == [(True,)], 10, "it is followed")   # noqa: B023
    assert stack.sql("SELECT to_jsonb(a), xmin::text FROM agenda.appointment AS a WHERE id = %s", visit) == before
    assert stack.get(f"/appointments/{visit}", doctor).json["cancelled_reason"] is None


def test_many_words_are_forgotten_in_parts_whoever_dies_in_between(two):
    """More appointments than one part takes, of one of them more answers; one of the answers nobody can read."""
    doctor, patient = two.doctor(), two.patient()
    word = a_reason()
    two.sql("""INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, cancelled_by,
                      cancelled_at, cancelled_reason, created_at, updated_at, granted_seq, granted_batch, freed_seq, freed_batch)
               SELECT nextval('agenda.appointment_id'), 1000000 + g, %s, %s, now(), now() + interval '1 hour', 'cancelled',
                      'patient', now(), %s, now(), now(), 0, 0, 0, 0
                 FROM generate_series(1, 700) AS g""", doctor.id, patient.id, word)
    first, last = two.sql("SELECT min(id), max(id) FROM agenda.appointment WHERE patient_id = %s", patient.id)[0]
    told = {"request_id": "x", "status": "done", "decided_at": 1,
            "appointment": {"id": first, "schedule_id": 1, "patient_id": patient.id, "doctor_id": doctor.id, "date_time": 1,
                            "duration_minutes": 60, "status": "cancelled", "cancelled_reason": word, "created_at": 1, "updated_at": 1}}
    many = """INSERT INTO agenda.request (id, doctor_id, user_id, body_hash, status, appointment_id, outcome, partition, stream_seq,
                                          stream_time, batch_id, decided_at)
              SELECT gen_random_uuid(), %s, %s, gen_random_uuid(), 'done', %s, %s, 0, 0, now(), 0, now() FROM generate_series(1, %s)"""
    two.sql(many, doctor.id, doctor.id, first, msgpack.packb(told), 600)
    two.sql(many, doctor.id, doctor.id, last, b"\xc1\xb0cancelled_reason" + word.encode(), 1)
    left = lambda: two.sql("SELECT count(*) FROM agenda.reason WHERE user_id = %s", patient.id)[0][0]                # noqa: E731
    assert left() == 700
    assert two.http("DELETE", "/users/me", token=patient).status == 204
    wait_until(lambda: said_by_some(two, first, word) < 600, 20, "a part is done")
    two.kill("actor-booking")
    assert left() > 0                                            # nothing is lost sight of before its answers are done
    two.start("actor-booking")
    forgotten(two, patient)
    assert left() == 0 and said(two, word) == []
    kept = {bytes(o) for (o,) in two.sql("SELECT DISTINCT outcome FROM agenda.request WHERE appointment_id = %s", last)}
    assert kept == {b""}
    del told["appointment"]["cancelled_reason"]
    assert list(outcomes(two, first).values()) == [told] * 600
    two.sql("DELETE FROM agenda.request WHERE doctor_id = %s", doctor.id)
    two.sql("DELETE FROM agenda.appointment WHERE doctor_id = %s", doctor.id)


def said_by_some(stack, appointment, word):
    return stack.sql("SELECT count(*) FROM agenda.request WHERE appointment_id = %s AND position(%s IN outcome) > 0",
                     appointment, word.encode())[0][0]


def test_a_doctor_who_is_erased_cannot_be_booked_any_more(two):
    doctor, (slot,) = two.doctor_with_slots(1)
    patient = two.patient()
    assert two.http("DELETE", "/users/me", token=doctor).status == 204
    two.kill("gateway-2")                            # a gateway that has met the doctor may remember him
    two.start("gateway-2")
    answer = two.http("POST", "/appointments", {"schedule_id": slot, "doctor_id": doctor.id}, patient, url=two.urls[1])
    assert (answer.status, answer.code) == (404, "not_found")


def test_what_was_planned_with_someone_erased_is_cancelled_and_what_took_place_stays(stack):
    doctor, slots = stack.doctor_with_slots(3)
    leaver, stayer = stack.patient(), stack.patient()
    booked = [stack.post("/appointments", p, schedule_id=s, doctor_id=doctor.id).json["id"]
              for p, s in zip((leaver, stayer, stayer), slots)]
    assert stack.http("DELETE", "/users/me", token=leaver).status == 204
    status = lambda who, id: stack.get(f"/appointments/{id}", who).json["status"]            # noqa: E731
    wait_until(lambda: status(doctor, booked[0]) == "cancelled", 5, "the patient's is cancelled")
    assert status(doctor, booked[1]) == "waiting_for_confirmation"
    again = stack.post("/appointments", stayer, schedule_id=slots[0], doctor_id=doctor.id)
    assert again.status == 201, again                                                        # its slot is free again
    assert stack.post(f"/appointments/{booked[2]}/cancel", stayer, reason="another day").status == 200
    before = stack.get(f"/appointments/{booked[2]}", stayer).json
    assert stack.http("DELETE", "/users/me", token=doctor).status == 204
    wait_until(lambda: status(stayer, booked[1]) == "cancelled", 5, "the doctor's is cancelled")
    assert stack.get(f"/appointments/{booked[2]}", stayer).json == before
    assert doctor.id not in [d["id"] for d in stack.get("/users/me/doctors", stayer).json]
    assert doctor.id not in [d["id"] for d in stack.get(f"/users/doctors?medical_id={doctor.medical_id}", stayer).json]
    stack.verify()


def test_a_patient_who_is_erased_is_listed_nowhere_and_still_counts(stack):
    doctor, patient, _ = stack.visit()
    total = lambda: stack.get(f"/users/doctors/{doctor.id}", other).json["doctor"]["total_patients"]      # noqa: E731
    other = stack.patient()
    wait_until(lambda: total() == 1, 5, "the patient is counted")
    assert stack.http("DELETE", "/users/me", token=patient).status == 204
    assert stack.get("/users/me/patients", doctor).json == [] and total() == 1
    assert stack.get("/users/me", doctor).json["doctor"]["total_patients"] == 1


def test_of_what_was_accepted_before_an_erasure_and_decided_with_it_nothing_remains():
    """Whichever of both is taken up first when the worker comes back."""
    with Stack() as own:
        doctor, slots = own.doctor_with_slots(7)
        gone, slots_of_gone = own.doctor_with_slots(4, days=2)
        leaver, stayer = own.patient(), own.patient()
        planned = [(leaver, doctor, slots.pop()), (stayer, gone, slots_of_gone.pop())]
        booked = [own.post("/appointments", p, schedule_id=s, doctor_id=d.id).json["id"] for p, d, s in planned]
        words = [a_reason(), a_reason()]
        own.kill("actor-booking")
        wait = {"Prefer": "respond-async"}
        before = own.sql("SELECT count(*) FROM agenda.request")[0][0]
        for who, id, word in zip((leaver, gone), booked, words):
            assert own.post(f"/appointments/{id}/cancel", who, headers=wait, reason=word).status == 202
        for slot in slots:
            assert own.post("/appointments", leaver, headers=wait, schedule_id=slot, doctor_id=doctor.id).status == 202
        for slot in slots_of_gone:
            assert own.post("/appointments", stayer, headers=wait, schedule_id=slot, doctor_id=gone.id).status == 202
        for who in (leaver, gone):
            assert own.http("DELETE", "/users/me", token=who).status == 204
        own.start("actor-booking")
        decided = lambda: own.sql("SELECT count(*) FROM agenda.request WHERE user_id > 0")[0][0] - before   # noqa: E731
        known = lambda: own.sql("SELECT count(*) FROM agenda.erased")                                     # noqa: E731
        wait_until(lambda: decided() == 11 and known() == [(2,)], 20, "all is decided, and both are known to be gone")
        wait_until(lambda: own.sql("""SELECT count(*) FROM agenda.appointment
                                       WHERE status <> 'cancelled' OR cancelled_by <> 'system' AND id <> ALL (%s)""",
                                   booked) == [(0,)], 20, "what was booked is cancelled")
        wait_until(lambda: own.sql("SELECT count(*) FROM agenda.slot WHERE doctor_id = %s AND active", gone.id) == [(0,)],
                   20, "no slot of the doctor's is left")
        forgotten(own, leaver, gone)
        assert said(own, *words) == []
        own.verify()


def test_an_erasure_is_told_without_a_name(stack):
    p = stack.patient()
    with stack.nats("reader") as nats:
        facts = nats.subscribe("healthmed.v1.events.users.>")
        nats.flush()
        assert stack.http("DELETE", "/users/me", token=p).status == 204
        heard = {m.subject: m.data for m in (facts.next(5), facts.next(5))}
    assert set(heard) == {f"healthmed.v1.events.users.{fact}.{p.id}" for fact in ("erased", "revoked")}
    for data in heard.values():
        assert not any(w.encode() in data for w in (p.name, p.email, p.document_id))
    assert b"patient_id" in heard[f"healthmed.v1.events.users.erased.{p.id}"]


def test_who_is_erased_six_times_at_once_is_erased_once(stack):
    p = stack.patient()
    answers_ = at_once(6, lambda i: stack.http("DELETE", "/users/me", token=p))
    assert {a.status for a in answers_} <= {204, 401, 404} and 204 in {a.status for a in answers_}
    assert stack.sql("SELECT count(*) FROM users.account WHERE id = %s AND erased_at IS NOT NULL", p.id) == [(1,)]


# ---- keys ----

def test_the_public_key_of_a_token_is_told(stack):
    token = login(stack, stack.patient())["token"]
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    answer = stack.http("GET", "//.well-known/jwks.json")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/jwk-set+json"
    (key,) = [k for k in answer.json["keys"] if k["kid"] == head["kid"]]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert set(key) == {"kty", "crv", "alg", "use", "kid", "x", "y"}
