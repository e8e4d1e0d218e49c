"""Who registers, logs in, and sees his own account."""
import re
import uuid

from stack import cpf

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


def test_ones_own_account_has_an_etag(stack):
    p = stack.patient()
    first = stack.get("/users/me", p)
    assert first.json["id"] == p.id and first.json["email"] == p.email
    tag = first.headers["ETag"]
    assert tag.startswith('"')
    again = stack.http("GET", "/users/me", token=p, headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
