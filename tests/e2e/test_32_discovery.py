"""Finding a doctor: every filter and order, pages that neither repeat nor hide anybody, and cards that follow what
happens in agendas, reviews and accounts."""
import json
import re
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlencode

import msgpack
import pytest

from stack import cpf, wait_until

SORTS = ("name", "price", "rating", "next_slot")
SHOWN = {"id", "full_name", "doctor", "address", "next_slot"}
AREA = {"neighborhood", "city", "state", "zip"}
CARD = {"medical_id", "specialty", "price", "avg_rating", "total_reviews", "total_patients"}
# name, specialty, price, medical id, city, state, zip; Tqx marks those of this file.
PEOPLE = {
    "joao": ("João Tqx da Conceição", "Cardiologia Tqx", 200, "771001-MG", "São Paulo Tqx", "SP", "01310-100"),
    "joana": ("JOANA TQX D'ÁVILA", "Cardiologia Pediátrica Tqx", 300, "771002-SP", "São Paulo Tqx", "SP", "01310-200"),
    "ana": ("Ana Tqx Júnior", "Dermatologia Tqx", 200, "771003-RJ", "Niterói Tqx", "RJ", "24020000"),
    "percent": ("Zeca Tqx 100% Alívio", "Acupuntura_Tqx", 150.50, "771004-RJ", "Niterói Tqx", "RJ", "24020-001"),
    "twin": ("Ana Tqx Júnior", "Dermatologia Tqx", 200, "771005-RJ", "Niterói Tqx", "RJ", "24020-002"),
    "homeless": ("Luís Tqx Muñoz", "Ortopedia Tqx", 999.99, "771006-AC", None, None, None),
}


def register(stack, name, specialty, price, medical_id, city, state, zip):
    address = city and {"street": "Rua Secreta Tqx", "number": "77", "neighborhood": "Centro", "city": city, "state": state, "zip": zip}
    tag = medical_id.replace("-", "")
    answer = stack.post("/users", full_name=name, email=f"private{tag}@test.example", password="a secret word", role="doctor",
                        document_id=cpf(), phone="+55 31 5550-0144", **({"address": address} if address else {}),
                        doctor={"medical_id": medical_id, "specialty": specialty, "price": price})
    assert answer.status == 201, answer
    return answer.json["id"]


@pytest.fixture(scope="module")
def clinic(stack):
    """The ids of PEOPLE, by their keys."""
    return {key: register(stack, *person) for key, person in PEOPLE.items()}


@pytest.fixture(scope="module")
def someone(stack):
    return stack.patient()


def search(stack, who, **filters):
    answer = stack.get("/users/doctors?" + urlencode(filters, quote_via=quote), who)
    assert answer.status == 200, (filters, answer)
    return answer


def found(stack, who, clinic, **filters):
    """Which of the clinic are found, in their order; others of the shared stack are passed over."""
    names = {id: key for key, id in clinic.items()}
    return [names[d["id"]] for d in search(stack, who, limit=100, **filters).json if d["id"] in names]


def pages(stack, who, limit, **filters):
    """The ids of one page after the other, by the Link of each."""
    path = "/users/doctors?" + urlencode({**filters, "limit": limit}, quote_via=quote)
    while path:
        answer = stack.get(path, who)
        assert answer.status == 200, answer
        yield [d["id"] for d in answer.json]
        link = re.search(r'</api/v1([^>]+)>; rel="next"', answer.headers.get("Link", ""))
        assert not link or len(answer.json) == limit
        path = link and link[1]


def in_days(days, clock="10:00"):
    return (datetime.now(timezone(timedelta(hours=-3))) + timedelta(days=days)).strftime(f"%Y-%m-%d {clock}")


def slot(stack, doctor, when, **more):
    answer = stack.post("/schedules", doctor, date_time_available=when, **more)
    assert answer.status == 201, answer
    return answer.json["id"]


def next_slot(stack, who, doctor):
    """As his own page and a search tell it, once both tell the same."""
    own = stack.get(f"/users/doctors/{doctor.id}", who).json["next_slot"]
    listed = [d["next_slot"] for d in search(stack, who, medical_id=doctor.medical_id).json if d["id"] == doctor.id]
    return own if [own] == listed else "two answers"


def becomes(stack, who, doctor, when, why, seconds=2):
    def told():
        value = next_slot(stack, who, doctor)
        return value is None if when is None else value == when
    wait_until(told, seconds, why)


def tell(stack, fact, *items):
    with stack.nats() as nats:
        nats.stored("EVENTS", f"healthmed.v1.events.{fact}.1", msgpack.packb({"items": [{"id": 1, "at": 1, **i} for i in items]}))


# ---- filters ----

@pytest.mark.parametrize("filters, keys", [
    ({"full_name": "joao"}, "joao"),
    ({"full_name": "JOÃO"}, "joao"),
    ({"full_name": "joão tqx"}, "joao"),
    ({"full_name": "conceicao"}, "joao"),
    ({"full_name": "nceiç"}, "joao"),
    ({"full_name": "  joao   conceicao "}, "joao"),
    ({"full_name": "conceicao joao"}, ""),                 # words stand in their order
    ({"full_name": "joa", "specialty": "tqx"}, "joana joao"),
    ({"full_name": "d'avila"}, "joana"),
    ({"full_name": "munoz"}, "homeless"),
    ({"full_name": "an tqx"}, "ana twin"),                  # two letters, where a word begins: not in Joana
    ({"specialty": "cardiologia tqx"}, "joana joao"),
    ({"specialty": "CARDIO", "full_name": "tqx"}, "joana joao"),
    ({"specialty": "pediatrica"}, "joana"),
    ({"city": "Sao Paulo Tqx"}, "joana joao"),
    ({"city": "são paulo tqx"}, "joana joao"),
    ({"city": "niteroi", "full_name": "tqx"}, "ana percent twin"),
    ({"city": "tqx"}, "ana joana joao percent twin"),
    ({"state": "rj", "full_name": "tqx"}, "ana percent twin"),
    ({"state": "R", "full_name": "tqx"}, ""),
    ({"zip": "01310-100", "full_name": "tqx"}, "joao"),
    ({"zip": "01310100", "full_name": "tqx"}, "joao"),
    ({"zip": "24020", "full_name": "tqx"}, "ana percent twin"),
    ({"zip": "none", "full_name": "tqx"}, ""),
    ({"medical_id": "771001-MG"}, "joao"),
    ({"medical_id": "771001-mg"}, "joao"),
    ({"medical_id": "77100", "full_name": "tqx"}, "ana homeless joana joao percent twin"),
    ({"specialty": "tqx", "city": "niteroi", "state": "RJ", "zip": "24020-002", "medical_id": "771005", "full_name": "ana"}, "twin"),
    ({"specialty": "cardiologia", "city": "niteroi tqx"}, ""),
    ({"full_name": "tqx 100%"}, "percent"),                 # a percent sign finds a percent sign
    ({"full_name": "%", "specialty": "tqx"}, "percent"),
    ({"full_name": "\uff05", "specialty": "tqx"}, "percent"),     # so does a wide one
    ({"specialty": "_tqx"}, "percent"),
    ({"full_name": "tq_"}, ""),
    ({"full_name": "t%x", "specialty": "tqx"}, ""),
    ({"full_name": "tqx\\"}, ""),
])
def test_a_filter_finds_whom_it_means(stack, someone, clinic, filters, keys):
    assert sorted(found(stack, someone, clinic, **filters)) == keys.split()


def test_without_a_filter_all_are_listed(stack, someone, clinic):
    everyone = [id for page in pages(stack, someone, 100) for id in page]
    assert set(clinic.values()) <= set(everyone) and len(everyone) == len(set(everyone))
    assert everyone == [id for page in pages(stack, someone, 100, sort="rating") for id in page]    # the best first
    assert someone.id not in everyone


# ---- order and pages ----

@pytest.fixture(scope="module")
def ranked(stack, clinic):
    """Means of 4.5, 4.5, 3.0 and none; next slots of two, one of them in both orders of ties."""
    tell(stack, "reviews.rated", *({"doctor_id": clinic[key], "rating_sum": total, "rating_count": count, "version": count}
                                   for key, total, count in (("joao", 45, 1), ("twin", 90, 2), ("ana", 90, 3))))
    hour = 3600 * 10**6
    soon = int(time.time()) * 10**6 + 100 * hour
    tell(stack, "booking.slots", *({"doctor_id": clinic[key], "slot_id": 10**12 + clinic[key], "starts": soon + wait * hour,
                                    "ends": soon + wait * hour + 1, "free": True, "version": 1}
                                   for key, wait in (("homeless", 1), ("twin", 2), ("ana", 2))))
    wait_until(lambda: stack.sql("SELECT count(*) FROM users.card AS c JOIN users.practice AS p USING (doctor_id) "
                                 "WHERE doctor_id = ANY (%s) AND (rating_count > 0 OR next_slot < users.never())",
                                 list(clinic.values())) == [(4,)])
    return clinic


@pytest.mark.parametrize("sort, keys", [
    ("name", "ana twin joana joao homeless percent"),
    ("price", "percent joao ana twin joana homeless"),
    ("rating", "joao twin ana joana percent homeless"),
    ("next_slot", "homeless ana twin joao joana percent"),
])
def test_each_order_is_the_one_it_says_and_its_pages_add_up_to_the_whole(stack, someone, ranked, sort, keys):
    expected = [ranked[key] for key in keys.split()]
    whole = [d["id"] for d in search(stack, someone, full_name="tqx", sort=sort).json]
    assert whole == expected
    for limit in (1, 2, 3, 4, 5, 6):
        assert [id for page in pages(stack, someone, limit, full_name="tqx", sort=sort) for id in page] == expected


@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_everybody_neither_repeat_nor_skip(stack, someone, ranked, sort):
    everyone = [id for page in pages(stack, someone, 99, sort=sort) for id in page]
    by_seven = [id for page in pages(stack, someone, 7, sort=sort) for id in page]
    assert by_seven == everyone and len(set(everyone)) == len(everyone)


def test_a_mean_is_exact_and_a_minimum_of_it_finds_who_has_it(stack, someone, ranked):
    numbers = {d["id"]: d["doctor"] for d in search(stack, someone, full_name="tqx").json}
    assert [numbers[ranked[key]]["avg_rating"] for key in ("joao", "twin", "ana", "joana")] == [4.5, 4.5, 3, None]
    assert [numbers[ranked[key]]["total_reviews"] for key in ("joao", "twin", "ana", "joana")] == [1, 2, 3, 0]
    for least, keys in ((4.5, ["joao", "twin"]), (4.51, []), (3, ["ana", "joao", "twin"]), ("1", ["ana", "joao", "twin"])):
        assert sorted(found(stack, someone, ranked, full_name="tqx", avg_rating=least)) == keys


def test_a_doctor_who_changes_between_two_pages_hides_nobody(stack, someone):
    ids = [register(stack, f"Paula Wvk {n}", "Geriatria Wvk", 100 + n, f"88{n:04}-MG", None, None, None) for n in range(6)]
    walk = pages(stack, someone, 2, full_name="wvk", sort="price")
    seen = next(walk)
    assert seen == ids[:2]
    token = stack.token("doctor", ids[1])
    assert stack.http("PUT", "/users/me", {"price": 1000}, token).status == 200     # the very one the cursor stands at
    seen += [id for page in walk for id in page]
    assert seen == [*ids, ids[1]]                   # who moved behind is met again; nobody else twice or not at all


# ---- availability ----

def test_only_slots_that_can_be_booked_make_a_doctor_available(stack, someone):
    doctor = stack.doctor("Rosa Jzp Disponível")
    free, taken, closed = (slot(stack, doctor, in_days(days), **more) for days, more in ((10, {}), (12, {}), (14, {"active": False})))
    assert stack.post("/appointments", stack.patient(), schedule_id=taken, doctor_id=doctor.id).status == 201

    def at(start=None, end=None):
        given = {"available_from": start, "available_to": end}
        return bool(search(stack, someone, full_name="jzp", **{k: v for k, v in given.items() if v}).json)

    wait_until(lambda: at(in_days(10), in_days(10)), 2, "a free slot is found at its very start")
    wait_until(lambda: not at(in_days(12), in_days(12)), 2, "a taken one is not")
    assert at(in_days(9)) and at(end=in_days(11)) and at(in_days(9), in_days(11))
    assert not at(in_days(10, "10:01")) and not at(end=in_days(10, "09:59")) and not at(in_days(14), in_days(14))
    assert not at("2020-01-01 00:00", in_days(0)) and not at(in_days(11), in_days(20))
    for path in (f"/users/doctors?full_name=jzp&available_from={quote(in_days(3))}&available_to={quote(in_days(2))}",):
        answer = stack.get(path, someone)
        assert answer.status == 422 and answer.json["errors"][0]["field"] == "available_to"
    assert free


def test_the_next_slot_follows_the_agenda(stack, someone):
    doctor, patient = stack.doctor("Rita Next"), stack.patient()
    becomes(stack, someone, doctor, None, "there is none")
    opened = {days: slot(stack, doctor, in_days(days)) for days in (5, 3, 4)}
    start = {days: in_days(days).replace(" ", "T") + ":00-03:00" for days in (2, 3, 4, 5)}
    becomes(stack, someone, doctor, start[3], "the first of those that were opened is the next")
    answer = stack.post("/appointments", patient, schedule_id=opened[3], doctor_id=doctor.id)
    assert answer.status == 201
    becomes(stack, someone, doctor, start[4], "one that is booked is not free")
    assert stack.post(f"/appointments/{answer.json['id']}/cancel", patient, reason="cannot come").status == 200
    becomes(stack, someone, doctor, start[3], "one that is cancelled is free again")
    assert stack.http("PUT", f"/schedules/{opened[5]}", {"date_time_available": in_days(2)}, doctor).status == 200
    becomes(stack, someone, doctor, start[2], "one was moved before it")
    assert stack.http("PUT", f"/schedules/{opened[5]}", {"active": False}, doctor).status == 200
    becomes(stack, someone, doctor, start[3], "that one was closed")
    assert stack.http("DELETE", f"/schedules/{opened[3]}", token=doctor).status == 204
    becomes(stack, someone, doctor, start[4], "one was deleted")
    assert stack.http("DELETE", f"/schedules/{opened[4]}", token=doctor).status == 204
    becomes(stack, someone, doctor, None, "none is left")


def test_a_next_slot_that_has_begun_is_followed_by_the_one_after_it(stack, someone):
    doctor = stack.doctor("Rui Passed")
    soon = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=3)
    slot(stack, doctor, soon.isoformat(), duration_minutes=1)
    slot(stack, doctor, in_days(6))
    zone = timezone(timedelta(hours=-3))
    becomes(stack, someone, doctor, soon.astimezone(zone).isoformat(), "it is the next")
    becomes(stack, someone, doctor, in_days(6).replace(" ", "T") + ":00-03:00", "it has begun", 8)
    wait_until(lambda: stack.sql("SELECT next_slot > now() FROM users.practice WHERE doctor_id = %s", doctor.id) == [(True,)], 5,
               "his place in the order is another")
    assert not any(d["id"] == doctor.id for d in search(stack, someone, full_name="rui passed", available_to=in_days(0, "23:59")).json)


def test_of_facts_that_come_late_or_twice_the_newest_counts(stack, someone):
    doctor, patients = stack.doctor("Olga Facts"), [stack.patient(), stack.patient()]
    starts = (int(time.time()) + 86400) * 10**6
    one = {"doctor_id": doctor.id, "slot_id": 2 * 10**12 + doctor.id, "starts": starts, "ends": starts + 1}
    tell(stack, "booking.slots", {**one, "free": False, "version": 5})
    tell(stack, "booking.slots", {**one, "free": True, "version": 4})           # told before, and overtaken
    tell(stack, "reviews.rated", {"doctor_id": doctor.id, "rating_sum": 80, "rating_count": 2, "version": 2})
    tell(stack, "reviews.rated", {"doctor_id": doctor.id, "rating_sum": 50, "rating_count": 1, "version": 1})
    for _ in range(2):
        tell(stack, "booking.booked", *({"doctor_id": doctor.id, "patient_id": p.id} for p in (*patients, patients[0])))
    tell(stack, "booking.unheard_of", {"doctor_id": doctor.id})
    tell(stack, "booking.slots", {**one, "slot_id": one["slot_id"] + 1, "free": True, "version": 6},
         {**one, "slot_id": one["slot_id"] + 1, "free": False, "version": 7})
    wait_until(lambda: stack.sql("SELECT max(version) FROM users.free_slot WHERE doctor_id = %s", doctor.id) == [(7,)])
    page = wait_until(lambda: (x := stack.get(f"/users/doctors/{doctor.id}", someone).json)["doctor"]["total_patients"] and x)
    assert page["next_slot"] is None
    assert page["doctor"] == {**page["doctor"], "total_patients": 2, "total_reviews": 2, "avg_rating": 4}


# ---- one doctor ----

def test_a_doctor_is_the_same_alone_and_in_a_list_under_both_names(stack, someone, clinic):
    listed = {d["id"]: d for d in search(stack, someone, full_name="tqx").json}
    for id in clinic.values():
        for path in (f"/users/doctors/{id}", f"/appointments/doctors/{id}"):
            assert stack.get(path, someone).json == listed[id]
    assert stack.get("/appointments/doctors?full_name=tqx&sort=name", someone).json == search(stack, someone, full_name="tqx", sort="name").json
    joao = listed[clinic["joao"]]
    assert joao["doctor"] == {**joao["doctor"], "medical_id": "771001-MG", "specialty": "Cardiologia Tqx", "price": 200}
    assert joao["address"] == {"neighborhood": "Centro", "city": "São Paulo Tqx", "state": "SP", "zip": "01310100"}
    assert listed[clinic["homeless"]]["address"] is None and listed[clinic["percent"]]["doctor"]["price"] == 150.5


def test_nothing_private_is_ever_shown(stack, someone, clinic):
    for answer in (search(stack, someone, full_name="tqx"), stack.get(f"/users/doctors/{clinic['joao']}", someone)):
        for doctor in answer.json if isinstance(answer.json, list) else [answer.json]:
            assert set(doctor) == SHOWN and set(doctor["doctor"]) == CARD and set(doctor["address"] or AREA) == AREA
        for private in (b"private", b"5550-0144", b"Secreta", b"document", b"email", b"phone", b"street"):
            assert private not in answer.body


def test_who_is_no_doctor_or_is_erased_is_not_there(stack, someone):
    doctor = stack.doctor("Gilda Gone", "Gonelogy")
    assert stack.get(f"/users/doctors/{doctor.id}", someone).status == 200
    assert stack.http("DELETE", "/users/me", token=doctor).status == 204
    for id in (doctor.id, someone.id, 1 << 62):
        assert stack.get(f"/users/doctors/{id}", someone).code == "not_found"
    wait_until(lambda: not search(stack, someone, specialty="gonelogy").json, 2, "he is not found")
    assert stack.get("/users/doctors/x", someone).status in (400, 404)


def test_what_a_doctor_changes_is_what_he_is_found_by(stack, someone):
    doctor = stack.doctor("Célia Antiga", "Oldology")
    assert [d["id"] for d in search(stack, someone, specialty="oldology").json] == [doctor.id]
    changed = stack.http("PUT", "/users/me", {
        "full_name": "Célia Nova Ygg", "specialty": "Newology", "price": 321.5, "medical_id": f"9{doctor.medical_id}",
        "address": {"street": "Rua B", "number": "2", "neighborhood": "Norte", "city": "Tefé Ygg", "state": "am", "zip": "69550-000"}},
        doctor)
    assert changed.status == 200, changed
    for filters in ({"full_name": "ygg"}, {"specialty": "newology"}, {"city": "tefe ygg"}, {"medical_id": f"9{doctor.medical_id}"},
                    {"state": "AM", "zip": "69550", "full_name": "celia"}):
        assert [d["id"] for d in search(stack, someone, **filters).json] == [doctor.id], filters
    wait_until(lambda: not search(stack, someone, specialty="oldology").json, 2, "what was before finds nobody")
    page = stack.get(f"/users/doctors/{doctor.id}", someone).json
    assert (page["full_name"], page["doctor"]["price"], page["address"]["city"]) == ("Célia Nova Ygg", 321.5, "Tefé Ygg")
    assert stack.http("PUT", "/users/me", {"address": None}, doctor).status == 200
    assert stack.get(f"/users/doctors/{doctor.id}", someone).json["address"] is None
    wait_until(lambda: not search(stack, someone, city="tefe ygg").json, 2, "nobody is there any more")


def traces(stack, *words):
    """What search keeps that holds one of these words."""
    return stack.sql("SELECT term FROM users.term WHERE term LIKE ANY (%s) UNION ALL SELECT place FROM users.name_word "
                     "WHERE word LIKE ANY (%s) OR place LIKE ANY (%s)", *[[f"%{w}%" for w in words]] * 3)


def test_of_who_is_erased_or_takes_another_name_no_word_stays(stack, someone):
    one, other = stack.doctor("Ivo Vzq Primeiro", "Vzqology"), stack.doctor("Ivo Vzq Segundo", "Vzqology")
    assert [d["id"] for d in search(stack, someone, full_name="vzq", sort="name").json] == [one.id, other.id]
    assert stack.http("PUT", "/users/me", {"full_name": "Ivo Outro Nome"}, one).status == 200
    assert not traces(stack, "primeiro") and traces(stack, "segundo", "vzqology")
    assert [d["id"] for d in search(stack, someone, full_name="vzq", sort="name", limit=99).json] == [other.id]
    assert stack.http("DELETE", "/users/me", token=other).status == 204
    assert not traces(stack, "segundo", "vzq ") and traces(stack, "vzqology")       # the first still has it
    assert stack.http("DELETE", "/users/me", token=one).status == 204
    assert not traces(stack, "vzq")


def test_a_seeded_doctor_is_found_as_any_other(stack, someone):
    seeded = json.loads(stack.seed("--doctors", 3, "--slots", 2))
    first = seeded["first_doctor"]
    page = stack.get(f"/users/doctors/{first}", someone).json
    assert page["next_slot"] and page["doctor"]["total_reviews"] == 0
    found_ids = [d["id"] for d in search(stack, someone, medical_id=page["doctor"]["medical_id"], available_to=in_days(2)).json]
    assert found_ids == [first]
    assert stack.sql("SELECT count(*) FROM users.free_slot WHERE doctor_id BETWEEN %s AND %s AND free", first, first + 2) == [(6,)]


# ---- one's own circle ----

def test_each_sees_with_whom_he_has_or_had_to_do(stack):
    patient = stack.patient("Vera Visits")
    doctors = [stack.doctor_with_slots(1, days=n) for n in (1, 2, 3)]
    for doctor, (free,) in doctors:
        booked = stack.post("/appointments", patient, schedule_id=free, doctor_id=doctor.id)
        assert booked.status == 201
    assert stack.post(f"/appointments/{booked.json['id']}/cancel", patient, reason="cannot come").status == 200
    wait_until(lambda: len(stack.get("/users/me/doctors", patient).json) == 3, 2, "all three are told")
    expected = [{"id": d.id, "full_name": d.name, "specialty": "Cardiologia"} for d, _ in doctors]
    assert stack.get("/users/me/doctors", patient).json == sorted(expected, key=lambda d: d["id"])
    first = stack.get("/users/me/doctors?limit=2", patient)
    rest = stack.get(re.search(r"</api/v1([^>]+)>", first.headers["Link"])[1], patient)
    assert first.json + rest.json == sorted(expected, key=lambda d: d["id"]) and "Link" not in rest.headers
    doctor = doctors[0][0]
    assert stack.get("/users/me/patients", doctor).json == [{"id": patient.id, "full_name": "Vera Visits", "phone": "+55 31 5550-0199"}]
    assert stack.get("/users/me/patients", stack.doctor()).json == [] and stack.get("/users/me/doctors", stack.patient()).json == []
    wait_until(lambda: stack.get("/users/me", doctor).json["doctor"]["total_patients"] == 1, 2, "he has one patient")
    assert stack.http("DELETE", "/users/me", token=patient).status == 204
    assert stack.get("/users/me/patients", doctor).json == []


def test_one_sees_ones_own_numbers(stack):
    doctor, patient = stack.doctor(), stack.patient()
    own = stack.get("/users/me", doctor).json["doctor"]
    assert set(own) == CARD and (own["avg_rating"], own["total_reviews"], own["total_patients"]) == (None, 0, 0)
    assert stack.get("/users/me", patient).json["doctor"] is None
    tell(stack, "reviews.rated", {"doctor_id": doctor.id, "rating_sum": 130, "rating_count": 3, "version": 3})
    wait_until(lambda: stack.get("/users/me", doctor).json["doctor"]["total_reviews"] == 3, 3, "the reviews are counted")
    assert stack.get("/users/me", doctor).json["doctor"]["avg_rating"] == 13 / 3


# ---- refusals ----

@pytest.mark.parametrize("path", ["/users/doctors", "/users/doctors/1", "/appointments/doctors", "/appointments/doctors/1", "/users/me/doctors"])
def test_searching_is_for_patients(stack, someone, path):
    doctor = stack.doctor()
    assert stack.get(path, doctor).status == 403 and stack.get(path).status == 401


def test_patients_of_ones_own_are_for_doctors(stack, someone):
    assert stack.get("/users/me/patients", someone).status == 403 and stack.get("/users/me/patients").status == 401


@pytest.mark.parametrize("query, status, field", [
    ("colour=red", 400, "colour"), ("fullname=x", 400, "fullname"), ("avg_rating=good", 400, "avg_rating"),
    ("avg_rating=nan", 400, "avg_rating"), ("avg_rating=6", 422, "avg_rating"), ("avg_rating=-1", 422, "avg_rating"),
    ("available_from=tomorrow", 400, "available_from"), ("available_to=2027-02-30%2010:00", 400, "available_to"),
    ("sort=beauty", 422, "sort"), ("limit=0", 422, "limit"), ("limit=101", 422, "limit"), ("limit=x", 400, "limit"),
    ("cursor=AAAA", 400, "cursor"), ("full_name=", 422, "full_name"), ("full_name=%ff", 422, "full_name"), ("full_name=" + "x" * 256, 422, "full_name"),
    ("state=SP&state=RJ", 422, "state"),
])
def test_a_question_that_cannot_be_is_refused(stack, someone, query, status, field):
    answer = stack.get(f"/users/doctors?{query}", someone)
    assert answer.status == status, answer
    assert [e["field"] for e in answer.json["errors"]] == [field]


def test_a_nul_is_no_character_of_a_question(stack, someone):
    for name in ("full_name", "specialty", "cursor"):
        assert stack.get(f"/users/doctors?{name}=a%00b", someone).code == "unreadable"


def test_a_cursor_is_good_for_its_own_order_alone(stack, someone, clinic):
    for sort in SORTS:
        link = search(stack, someone, full_name="tqx", limit=1, sort=sort).headers["Link"]
        cursor = re.search(r"cursor=([\w-]+)", link)[1]
        for other in SORTS:
            answer = stack.get(f"/users/doctors?full_name=tqx&sort={other}&cursor={cursor}", someone)
            assert answer.status == (200 if other == sort else 400)
        for spoiled in (cursor[:-1], cursor + "A", "A" * len(cursor), cursor[::-1]):
            assert stack.get(f"/users/doctors?sort={sort}&cursor={spoiled}", someone).code in ("unreadable", None)


@pytest.mark.parametrize("value", [
    "'", '"', "';DROP TABLE users.card;--", "\\", "\\\\%", "%%%", "____", "$1", ":full_name", "{}", "(", "[[:alpha:]]", ".*", "a" * 255,
    "ã" * 255, "👩‍⚕️" * 20, "\u202e", "\x01", "\u0301", "İ", "ß", "ﬀ", " ", "\t", "NULL", "-1", "\U0010ffff",
])
@pytest.mark.parametrize("name", ["full_name", "specialty", "city", "state", "zip", "medical_id"])
def test_hostile_values_find_nobody_and_break_nothing(stack, someone, clinic, name, value):
    for sort in ("name", "next_slot"):
        answer = stack.get("/users/doctors?" + urlencode({name: value, "sort": sort, "medical_id" if name == "specialty" else "specialty":
                                                          "no such thing"}, quote_via=quote), someone)
        assert answer.status == 200 and answer.json == [], answer
    assert stack.get("/users/doctors?" + urlencode({name: value}, quote_via=quote), someone).status == 200
