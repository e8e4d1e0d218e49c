"""Who registers, logs in, and sees his own account."""
import re
import uuid

import pytest

from stack import LIKE_112233, at_once, cpf, wait_until

ADDRESS = {"street": "Rua A", "number": "10", "neighborhood": "Centro", "city": "Belo Horizonte", "state": "mg",
           "zip": "30110-000"}


def body(**more):
    return {"full_name": "Lúcia Araújo", "email": f"{uuid.uuid4().hex[:12]}@Test.example", "password": "s3gredo-longo",
            "role": "patient", "document_id": cpf(), "phone": "+55 31 5550-0100", **more}


def doctor(**more):
    return body(role="doctor", doctor={"medical_id": f"{uuid.uuid4().hex[:9]}-MG", "specialty": "Cardiologia",
                                       "price": 150.1}, **more)


def register(stack, sent, path="/users"):
    return stack.http("POST", path, sent)


def test_a_patient_registers_and_is_told_everything_but_the_password(stack):
    sent = body(address=ADDRESS)
    answer = register(stack, sent)
    assert answer.status == 201, answer
    assert set(answer.json) == {"id", "full_name", "email", "document_id", "phone", "role", "doctor", "address",
                                "created_at", "updated_at"}
    assert answer.json["doctor"] is None and answer.json["address"]["state"] == "MG"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?-03:00", answer.json["created_at"])
    assert sent["password"] not in answer.body.decode()
    stored = stack.sql("SELECT password_hash FROM users.account WHERE id = %s", answer.json["id"])[0][0]
    assert stored.startswith("$argon2id$")


def test_a_doctor_registers_with_an_exact_price(stack):
    answer = register(stack, doctor(), "/auth/register")
    assert answer.status == 201, answer
    assert answer.json["doctor"]["price"] == 150.1 and b'"price":150.10' in answer.body


def test_masks_of_documents_are_taken_off_and_a_cnpj_may_have_letters(stack):
    d = cpf()
    masked = f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"
    assert register(stack, body(document_id=masked)).json["document_id"] == d
    answer = register(stack, body(document_id="12.ABC.345/01DE-35"))     # the Receita's own example
    assert answer.status in (201, 409), answer
    for wrong in ("11111111111", d[:-1] + str((int(d[-1]) + 1) % 10), "12ABC34501DE36"):
        answer = register(stack, body(document_id=wrong))
        assert (answer.status, answer.code) == (422, "invalid"), wrong
        assert answer.json["errors"][0]["field"] == "document_id"


def test_what_belongs_to_a_role_is_required_of_it_and_refused_to_the_other(stack):
    assert register(stack, body(role="doctor")).json["errors"][0]["field"] == "doctor"
    patient = {**doctor(), "role": "patient"}
    assert register(stack, patient).json["errors"][0]["field"] == "doctor"
    cheap = doctor()
    cheap["doctor"]["price"] = 0.99
    assert register(stack, cheap).json["errors"][0]["field"] == "doctor.price"
    cheap["doctor"]["price"] = 1.005
    assert register(stack, cheap).status in (400, 422)


@pytest.mark.parametrize("field,value,code", [
    ("full_name", "x" * 4, "too_short"), ("full_name", "x" * 256, "too_long"), ("full_name", "     ", "malformed"),
    ("full_name", "two\nlines", "malformed"), ("full_name", 12345, "malformed"), ("full_name", None, "missing"),
    ("email", "nobody", "malformed"), ("email", "a@b", "malformed"), ("email", "a b@test.example", "malformed"),
    ("email", "a@-test.example", "malformed"), ("email", "a@test..example", "malformed"),
    ("email", "x" * 65 + "@test.example", "malformed"), ("email", "a@" + "x" * 254 + ".br", "too_long"),
    ("password", "x" * 7, "too_short"), ("password", "x" * 129, "too_long"), ("password", ["x"], "malformed"),
    ("phone", "1234", "too_short"), ("phone", "x" * 256, "too_long"),
    ("document_id", "1" * 10, "too_short"), ("document_id", "00000000000", "malformed"),
    ("role", "admin", "not_allowed"), ("role", "Patient", "not_allowed"), ("role", 1, "not_allowed"),
    ("doctor.medical_id", "1-MG", "too_short"), *[("doctor.medical_id", text, "malformed") for text in LIKE_112233],
    ("doctor.specialty", "x", "too_short"),
    ("doctor.price", 0, "too_small"), ("doctor.price", -5, "too_small"), ("doctor.price", 1e13, "malformed"),
    ("doctor.price", 10**10, "too_large"), ("doctor.price", 99.999, "malformed"), ("doctor.price", "100", "malformed"),
    ("doctor.price", None, "missing"),
    ("address.state", "M1", "malformed"), ("address.state", "MGX", "too_long"), ("address.zip", "30110-00x", "malformed"),
    ("address.zip", "3011000", "too_short"), ("address.street", "", "too_short"), ("address.number", "x" * 21, "too_long"),
    ("address.city", None, "missing"),
])
def test_a_field_out_of_its_bounds_is_named(stack, field, value, code):
    sent = doctor(address=dict(ADDRESS))
    at, name = (sent[field.split(".")[0]], field.split(".")[1]) if "." in field else (sent, field)
    at[name] = value
    answer = register(stack, sent)
    assert (answer.status, answer.code) == (422, "invalid"), answer
    assert [(e["field"], e["code"]) for e in answer.json["errors"]] == [(field, code)]


def test_the_very_bounds_are_inside(stack):
    sent = doctor(full_name="É" * 255, password="ç" * 128, phone="12345", address=dict(ADDRESS, number="x" * 20))
    sent["doctor"].update(specialty="ab", price=9999999999.99)
    answer = register(stack, sent)
    assert answer.status == 201, answer
    assert answer.json["full_name"] == "É" * 255 and b'"price":9999999999.99' in answer.body
    sent = doctor(full_name="12345", password="x" * 8)
    sent["doctor"]["price"] = 1
    answer = register(stack, sent)
    assert answer.status == 201 and b'"price":1.00' in answer.body, answer


def test_faults_of_all_parts_are_told_at_once(stack):
    sent = doctor(email="nobody", document_id="11111111111", phone="a\tb\tc", address=dict(ADDRESS, state="1!", zip="x" * 8))
    answer = register(stack, sent)
    assert sorted(e["field"] for e in answer.json["errors"]) == ["address.state", "address.zip", "document_id", "email", "phone"]
    limits = register(stack, {"full_name": "ab", "email": "x", "password": "1", "document_id": "111.111.111-11", "phone": "1",
                              "role": "doctor"})
    assert sorted(e["field"] for e in limits.json["errors"]) == ["doctor", "document_id", "email", "full_name", "password", "phone"]


def test_text_comes_back_as_it_was_sent(stack):
    sent = body(full_name="Zoë \"O'Neil\" \\ </script> 😀 ; DROP TABLE", phone="%00 {} $1 :name")
    told = register(stack, sent)
    assert told.status == 201 and told.json["full_name"] == sent["full_name"] and told.json["phone"] == sent["phone"]
    assert stack.get("/users/me", stack.token("patient", told.json["id"])).json == told.json
    assert told.headers["Location"] == "/api/v1/users/me"


def test_what_a_client_may_not_say_is_passed_over(stack):
    sent = body(id=1, created_at="2020-01-01T00:00:00Z", password_hash="x", avg_rating=5)
    answer = register(stack, sent)
    assert answer.status == 201 and answer.json["id"] != 1
    assert not answer.json["created_at"].startswith("2020")


def test_of_registrations_of_one_email_at_once_one_succeeds(stack):
    same = f"{uuid.uuid4().hex[:12]}@test.example"

    def ask(i):     # each with a key of its own, also where the queue for passwords has no room at first
        return wait_until(lambda: (a := register(stack, body(email=same))).status != 429 and a, 30)

    answers = at_once(8, ask)
    assert sorted((a.status, a.code) for a in answers if a.status != 201) == [(409, "identity_in_use")] * 7


def test_a_refused_registration_leaves_its_key_free_or_says_the_same(stack):
    taken, head = stack.patient(), {"Idempotency-Key": "refused-once"}
    sent = body(email=taken.email)
    first, again = (stack.http("POST", "/users", sent, headers=head) for _ in range(2))
    assert (first.status, first.code) == (again.status, again.code) == (409, "identity_in_use")


def test_an_account_in_use_is_a_conflict_that_does_not_say_which_part(stack):
    first = body()
    assert register(stack, first).status == 201
    by_email = register(stack, body(email=first["email"].upper()))
    by_document = register(stack, body(document_id=first["document_id"]))
    assert by_email.status == by_document.status == 409
    assert by_email.code == by_document.code == "identity_in_use"
    assert by_email.json["title"] == by_document.json["title"]
    one = doctor()
    assert register(stack, one).status == 201
    other = doctor()
    other["doctor"]["medical_id"] = one["doctor"]["medical_id"].upper()
    assert register(stack, other).code == "medical_id_in_use"


def test_a_key_makes_a_registration_one_and_another_body_is_refused(stack):
    sent, head = body(), {"Idempotency-Key": "register-once"}
    first = stack.http("POST", "/users", sent, headers=head)
    again = stack.http("POST", "/users", sent, headers=head)
    assert first.status == again.status == 201 and first.body == again.body
    other = stack.http("POST", "/users", {**sent, "phone": "+55 31 5550-0999"}, headers=head)
    assert (other.status, other.code) == (422, "key_reused")
    assert stack.http("POST", "/users", body(), headers=head).status == 201     # somebody else's key


def test_one_logs_in_by_each_name_and_the_token_works(stack):
    d = stack.doctor()
    for name in ({"email": d.email.upper()}, {"document_id": d.document_id}, {"medical_id": d.medical_id}):
        answer = stack.http("POST", "/auth/login", {**name, "password": d.password})
        assert answer.status == 200, answer
        assert set(answer.json) == {"type", "token", "expires_in", "refresh_token"}
        assert answer.json["type"] == "Bearer" and answer.json["expires_in"] > 0
        assert stack.get("/users/me", answer.json["token"]).json["id"] == d.id


def test_a_wrong_password_and_an_unknown_account_are_told_alike(stack):
    p = stack.patient()
    wrong = stack.http("POST", "/users/login", {"email": p.email, "password": "not-the-password"})
    nobody = stack.http("POST", "/users/login", {"email": "nobody@test.example", "password": "not-the-password"})
    assert wrong.status == nobody.status == 401
    assert wrong.code == nobody.code == "bad_credentials"
    strip = lambda a: {k: v for k, v in a.json.items() if k != "trace_id"}     # noqa: E731
    assert strip(wrong) == strip(nobody)


def test_many_wrong_passwords_for_one_account_are_429(stack):
    p = stack.patient()
    for _ in range(50):
        answer = stack.http("POST", "/users/login", {"email": p.email, "password": "guess-after-guess"})
        if answer.status == 429:
            break
        assert answer.status == 401
    assert (answer.status, answer.code) == (429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_login_needs_exactly_one_name(stack):
    assert stack.http("POST", "/users/login", {"password": "x" * 8}).status == 422
    both = {"email": "a@test.example", "document_id": "1", "password": "x" * 8}
    assert stack.http("POST", "/users/login", both).status == 422
    assert stack.http("POST", "/users/login", {"email": "a@test.example"}).json["errors"][0]["field"] == "password"


def test_a_document_logs_in_with_and_without_its_mask(stack):
    p = stack.patient()
    d = p.document_id
    for name in (d, f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"):
        answer = stack.http("POST", "/users/login", {"document_id": name, "password": p.password})
        assert answer.status == 200, answer
        assert stack.get("/users/me", answer.json["token"]).json["id"] == p.id
    for name in ({"document_id": "0"}, {"medical_id": d}, {"email": "' OR 1=1 --"}):
        assert stack.http("POST", "/users/login", {**name, "password": p.password}).code == "bad_credentials"


def test_guesses_at_an_account_that_does_not_exist_are_limited_alike(stack):
    nobody = {"email": f"{uuid.uuid4().hex}@test.example", "password": "guess-after-guess"}
    p = stack.patient()
    somebody = {"email": p.email, "password": "guess-after-guess"}
    statuses = [[stack.http("POST", "/users/login", who).status for _ in range(11)] for who in (nobody, somebody)]
    assert statuses[0] == statuses[1] and statuses[0][0] == 401 and statuses[0][-1] == 429
    right = stack.http("POST", "/users/login", {"email": p.email, "password": p.password})
    assert right.status == 429                              # the right one hides among the guesses


def test_guesses_are_counted_by_the_account_whichever_of_its_names_they_use(stack):
    d = stack.doctor()
    names = [("email", d.email), ("document_id", d.document_id), ("medical_id", d.medical_id)]
    nobody = [("email", f"{uuid.uuid4().hex}@test.example"), ("document_id", cpf()), ("medical_id", "000000000-XX")]

    def login(name, password):
        return stack.http("POST", "/users/login", {name[0]: name[1], "password": password})

    def guess(names, times):
        return [login(names[i % len(names)], "guess-after-guess").status for i in range(times)]

    assert guess(names, 9) == [401] * 9 and login(names[2], d.password).status == 200       # in time: all is forgotten
    assert guess(names, 10) == guess(nobody, 10) == [401] * 10
    for name in names:                                      # too late, and no name shows that it is one of his
        answer, another = login(name, d.password), login(nobody[0], d.password)
        assert (answer.status, answer.code) == (another.status, another.code) == (401, "bad_credentials")


def test_logs_and_metrics_name_nobody(stack):
    sent = doctor(address=ADDRESS)
    made = register(stack, sent)
    assert made.status == 201
    register(stack, {**sent, "full_name": ""})
    register(stack, sent)
    stack.http("POST", "/users/login", {"email": sent["email"], "password": sent["password"]})
    stack.http("POST", "/users/login", {"email": sent["email"], "password": "another-" + sent["password"]})
    token = stack.token("doctor", made.json["id"])
    stack.get("/users/me", token)
    words = [sent["full_name"], sent["email"], sent["password"], sent["document_id"], token, sent["doctor"]["medical_id"]]
    for name in ("gateway", "actor-users"):
        said = stack.log(name) + stack.admin(name)[1]
        assert not [w for w in words if w in said], name


def test_without_the_users_actor_its_routes_are_503_and_the_others_go_on(stack):
    doctor_, patient = stack.doctor_with_slots(1), stack.patient()
    d, (slot,) = doctor_
    stack.stop("actor-users")
    try:
        for answer in (stack.get("/users/me", patient), register(stack, body()),
                       stack.http("POST", "/users/login", {"email": patient.email, "password": patient.password})):
            assert (answer.status, answer.code) == (503, "unavailable"), answer
            assert int(answer.headers["Retry-After"]) >= 1
        assert [s["id"] for s in stack.get("/schedules", d).json] == [slot]
    finally:
        stack.start("actor-users")
    assert stack.get("/users/me", patient).status == 200


def test_ones_own_account_has_an_etag(stack):
    p = stack.patient()
    first = stack.get("/users/me", p)
    assert first.json["id"] == p.id and first.json["email"] == p.email
    tag = first.headers["ETag"]
    assert tag.startswith('"')
    again = stack.http("GET", "/users/me", token=p, headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == tag
    for match in ("*", f'"x", {tag}', f"W/{tag}"):
        assert stack.http("GET", "/users/me", token=p, headers={"If-None-Match": match}).status == 304, match
    assert stack.http("GET", "/users/me", token=p, headers={"If-None-Match": '"x"'}).json == first.json
    assert stack.get("/users/me", stack.patient()).headers["ETag"] != tag
