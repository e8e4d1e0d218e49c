"""Reviews: of visits that took place, once each, by the patient alone; and the exact rating they add up to."""
import uuid
from concurrent.futures import ThreadPoolExecutor

import msgpack
import psycopg2
import pytest

from stack import at_once, wait_until

FIELDS = {"id", "appointment_id", "doctor_id", "patient_id", "rating", "comment", "created_at"}
VOICE = {"id", "rating", "comment", "created_at"}
SAID = "Attentive, and on time."


def review(stack, patient, appointment, rating=4.5, comment=SAID, **more):
    return stack.post(f"/appointments/{appointment}/feedbacks", patient, rating=rating, comment=comment, **more)


def rating(stack, doctor):
    """The sum of tenths, and how many."""
    return (stack.sql("SELECT tenths, count FROM reviews.rating WHERE doctor_id = %s", doctor.id) or [(0, 0)])[0]


def counted(stack, doctor, tenths, count, seconds=5):
    wait_until(lambda: rating(stack, doctor) == (tenths, count), seconds, f"{count} reviews are {tenths} tenths")


@pytest.mark.parametrize("address", ["feedbacks", "feedback"])
def test_a_concluded_visit_is_reviewed_and_within_a_second_it_counts(stack, address):
    doctor, patient, id = stack.visit()
    answer = stack.post(f"/appointments/{id}/{address}", patient, rating=4.5, comment=SAID)
    assert answer.status == 202, answer
    assert set(answer.json) == FIELDS
    r = answer.json
    assert (r["appointment_id"], r["doctor_id"], r["patient_id"]) == (id, doctor.id, patient.id)
    assert (r["rating"], r["comment"]) == (4.5, SAID)
    counted(stack, doctor, 45, 1, seconds=1)
    for user in (patient, doctor):
        assert stack.get(f"/appointments/{id}/{address}", user).json == [r]
        assert stack.get(f"/appointments/{id}/{address}/{r['id']}", user).json == r
        assert stack.get("/users/me/reviews", user).json == [r]
        assert stack.get(f"/users/me/reviews/{r['id']}", user).json == r


@pytest.mark.parametrize("value,seen", [("1", 1), ("1.0", 1), ("4.7", 4.7), ("5", 5), ("4.50", None)])
def test_a_rating_has_at_most_one_decimal(stack, value, seen):
    _, patient, id = stack.visit()
    body = b'{"rating":' + value.encode() + b',"comment":"well enough"}'
    answer = stack.http("POST", f"/appointments/{id}/feedbacks", body, patient)
    if seen is None:
        assert answer.status in (202, 400, 422)
        if answer.status == 202:
            assert answer.json["rating"] == 4.5         # the same number
    else:
        assert (answer.status, answer.json["rating"]) == (202, seen), answer


def test_what_a_review_must_not_say(stack):
    _, patient, id = stack.visit()

    def faults(**body):
        answer = stack.post(f"/appointments/{id}/feedbacks", patient, **body)
        return answer.status, {e["field"]: e["code"] for e in answer.json["errors"]}

    assert faults() == (422, {"rating": "missing", "comment": "missing"})
    assert faults(rating=0.9, comment="four") == (422, {"rating": "too_small", "comment": "too_short"})
    assert faults(rating=5.1, comment="x" * 256) == (422, {"rating": "too_large", "comment": "too_long"})
    assert faults(rating=4, comment=" \n\t  ")[0] == 422
    status, fields = faults(rating=4.55, comment=SAID)
    assert status in (400, 422) and set(fields) == {"rating"}
    assert faults(rating="good", comment=SAID)[0] in (400, 422)
    assert review(stack, patient, id, comment="ç" * 255, doctor_id=1, patient_id=1, status="concluded").status == 202


@pytest.mark.parametrize("state", ["waiting_for_confirmation", "confirmed", "in_progress", "cancelled", "no_show"])
def test_only_what_took_place_is_reviewed(stack, state):
    _, patient, id = stack.visit(state=state)
    answer = review(stack, patient, id)
    assert (answer.status, answer.code) == (409, "not_concluded")
    assert stack.get(f"/appointments/{id}/feedbacks", patient).json == []


def test_it_is_reviewed_once(stack):
    doctor, patient, id = stack.visit()
    assert review(stack, patient, id, 5).status == 202
    answer = review(stack, patient, id, 1)
    assert (answer.status, answer.code) == (409, "already_reviewed")
    counted(stack, doctor, 50, 1)


def test_another_s_visit_is_not_there_and_a_doctor_reviews_nobody(stack):
    doctor, patient, id = stack.visit()
    r = review(stack, patient, id).json
    stranger, rival = stack.patient(), stack.doctor()
    absent = stack.post("/appointments/999999999/feedbacks", stranger, rating=1, comment=SAID)
    theirs = review(stack, stranger, id, 1)
    assert (theirs.status, theirs.code) == (absent.status, absent.code) == (404, "not_found")
    for user in (stranger, rival):
        for path in (f"/appointments/{id}/feedbacks", f"/appointments/{id}/feedbacks/{r['id']}",
                     f"/users/me/reviews/{r['id']}"):
            assert (stack.get(path, user).status, stack.get(path, user).code) == (404, "not_found"), path
        assert stack.get("/users/me/reviews", user).json == []
    _, _, other = stack.visit(doctor, patient, days=2)
    assert stack.get(f"/appointments/{other}/feedbacks/{r['id']}", patient).status == 404      # of another visit
    for path, body in ((f"/appointments/{id}/feedbacks", {"rating": 5, "comment": SAID}),
                       (f"/users/doctors/{doctor.id}/ratings", {"rating": 5})):
        assert stack.post(path, doctor, **body).status == 403
        assert stack.post(path, None, **body).status == 401
    assert stack.get(f"/users/doctors/{doctor.id}/reviews", doctor).status == 403
    assert stack.get("/users/me/reviews").status == 401


def test_a_gateway_that_located_somebody_else_s_visit_is_refused(stack):
    """Whoever may publish requests still cannot review in the name of another patient."""
    _, _, id = stack.visit()
    stranger = stack.patient()
    body = {"appointment_id": id, "rating": 10, "comment": SAID, "doctor_id": 1, "patient_id": stranger.id + 1,
            "status": "concluded"}
    with stack.nats("gateway") as nats:
        answer = nats.request("healthmed.v1.reviews.give", msgpack.packb(body),
                              {"Healthmed-User": str(stranger.id), "Healthmed-Role": "patient",
                               "Healthmed-Deadline": "5000"})
    assert answer.headers["Nats-Service-Error-Code"] == "not_found"


def test_fifty_copies_at_once_are_one_review(stack):
    doctor, patient, id = stack.visit()
    key = str(uuid.uuid4())
    answers = at_once(50, lambda i: review(stack, patient, id, 4, key=key))
    assert {a.status for a in answers} == {202} and len({a.body for a in answers}) == 1
    assert stack.post(f"/appointments/{id}/feedbacks", patient, key=key, rating=1, comment=SAID).code == "key_reused"
    counted(stack, doctor, 40, 1)
    doctor, patient, id = stack.visit()
    answers = at_once(50, lambda i: review(stack, patient, id, 3))
    assert sorted(a.status for a in answers) == [202] + [409] * 49
    assert {a.code for a in answers if a.status == 409} == {"already_reviewed"}
    counted(stack, doctor, 30, 1)


def test_many_reviews_at_once_are_an_exact_sum(stack):
    doctor = stack.doctor()
    visits = [stack.visit(doctor, days=1 + i)[1:] for i in range(24)]
    tenths = [10 + 7 * i % 41 for i in range(len(visits))]
    answers = at_once(len(visits), lambda i: review(stack, *visits[i], tenths[i] / 10))
    assert {a.status for a in answers} == {202}, answers
    counted(stack, doctor, sum(tenths), len(tenths))
    assert stack.sql("SELECT sum(rating) * 10, count(*) FROM reviews.review WHERE doctor_id = %s", doctor.id) == \
        [(sum(tenths), len(tenths))]


def test_a_rating_reviews_the_latest_visit_without_a_review(stack):
    doctor, patient, first = stack.visit(days=1)
    _, _, second = stack.visit(doctor, patient, days=2)
    stack.visit(doctor, patient, state="confirmed", days=3)
    stack.visit(None, patient, days=4)                         # at somebody else's
    path = f"/users/doctors/{doctor.id}/ratings"
    assert stack.post(path, patient, rating=0).status == 422
    for expected, value in ((second, 5), (first, 3.5)):
        answer = stack.post(path, patient, rating=value)
        assert answer.status == 202, answer
        assert (answer.json["appointment_id"], answer.json["rating"], answer.json["comment"]) == (expected, value, None)
    answer = stack.post(path, patient, rating=1)
    assert (answer.status, answer.code) == (409, "nothing_to_review")
    assert stack.post(path, stack.patient(), rating=5).code == "nothing_to_review"
    assert stack.post("/users/doctors/999999999/ratings", patient, rating=5).status == 404
    counted(stack, doctor, 85, 2)


def test_a_visit_before_thousands_that_have_a_review_can_be_rated(stack):
    doctor, patient, _ = stack.visit()
    path, rows, first = f"/users/doctors/{doctor.id}/ratings", 4000, 10 ** 15
    assert stack.post(path, patient, rating=5).status == 202
    stack.sql("INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, created_at,"
              " updated_at, granted_seq, granted_batch) SELECT %s - i, i, %s, %s, t, t + interval '1 h', 'concluded', t, t, 0, 0"
              " FROM generate_series(1, %s) AS i, LATERAL (SELECT now() - i * interval '1 d') AS at (t)",
              first, doctor.id, patient.id, rows)
    try:
        stack.sql("INSERT INTO reviews.review (appointment_id, doctor_id, patient_id, rating, counted)"
                  " SELECT %s - i, %s, %s, 5, true FROM generate_series(1, %s) AS i", first, doctor.id, patient.id, rows - 1)
        assert stack.post(path, patient, rating=1).json["appointment_id"] == first - rows
        assert stack.post(path, patient, rating=1).code == "nothing_to_review"
    finally:
        stack.sql("DELETE FROM reviews.review WHERE appointment_id > %s", first - rows)     # that one was given, and counts
        stack.sql("DELETE FROM agenda.appointment WHERE id >= %s", first - rows)


def test_a_copy_hears_what_the_first_was_told_whatever_happened_since(stack):
    """What the gateway finds out, the state and the visits, is no part of what the client said."""
    doctor, patient, id = stack.visit(state="in_progress")
    keys = [str(uuid.uuid4()) for _ in range(3)]
    assert review(stack, patient, id, key=keys[0]).code == "not_concluded"
    assert stack.post(f"/appointments/{id}/conclude", doctor).status == 200
    assert review(stack, patient, id, key=keys[0]).code == "not_concluded"
    rate = lambda key: stack.post(f"/users/doctors/{doctor.id}/ratings", patient, rating=4, key=key)    # noqa: E731
    first = rate(keys[1])
    stack.visit(doctor, patient, days=2)
    again = rate(keys[1])
    assert (first.status, again.status, again.body) == (202, 202, first.body)
    assert rate(keys[2]).json["appointment_id"] != first.json["appointment_id"]
    counted(stack, doctor, 80, 2)


def test_ratings_at_once_are_no_more_than_the_visits(stack):
    doctor, patient, _ = stack.visit(days=1)
    for days in (2, 3):
        stack.visit(doctor, patient, days=days)
    answers = at_once(12, lambda i: stack.post(f"/users/doctors/{doctor.id}/ratings", patient, rating=4))
    assert sorted(a.status for a in answers) == [202] * 3 + [409] * 9
    assert len({a.json["appointment_id"] for a in answers if a.status == 202}) == 3
    counted(stack, doctor, 120, 3)


def test_what_others_say_of_a_doctor_does_not_tell_who(stack):
    doctor = stack.doctor()
    given = []
    for i in range(5):
        _, patient, id = stack.visit(doctor, days=1 + i)
        given.insert(0, review(stack, patient, id, 1 + i, f"number {i}").json)
    reader, path = stack.patient(), f"/users/doctors/{doctor.id}/reviews"
    seen = stack.get(path, reader)
    assert seen.status == 200 and [set(v) for v in seen.json] == [VOICE] * 5
    assert seen.json == [{k: g[k] for k in ("id", "rating", "comment", "created_at")} for g in given]
    assert "rel=\"next\"" not in seen.headers.get("Link", "")

    pages, page = [], stack.get(path + "?limit=2", reader)
    while True:
        pages.append([v["id"] for v in page.json])
        if "Link" not in page.headers:
            break
        page = stack.get(page.headers["Link"].split("<")[1].split(">")[0].split("/api/v1", 1)[1], reader)
    assert pages == [[g["id"] for g in given[i:i + 2]] for i in (0, 2, 4)]
    assert stack.get(path + "?cursor=nonsense", reader).status == 400
    assert stack.get(path + "?limit=101", reader).status == 422
    assert stack.get(path + "?patient=1", reader).status == 400
    assert stack.get(f"/users/doctors/{stack.doctor().id}/reviews", reader).json == []
    for nobody in (999999999, reader.id):                       # a patient is no doctor
        assert stack.get(f"/users/doctors/{nobody}/reviews", reader).code == "not_found"


def test_received_and_sent_come_in_pages(stack):
    doctor = stack.doctor()
    patient = stack.patient()
    given = []
    for i in range(3):
        _, _, id = stack.visit(doctor, patient, days=1 + i)
        given.insert(0, review(stack, patient, id, 5).json)
    for user in (doctor, patient):
        page = stack.get("/users/me/reviews?limit=2", user)
        assert page.json == given[:2]
        rest = page.headers["Link"].split("<")[1].split(">")[0].split("/api/v1", 1)[1]
        assert stack.get(rest, user).json == given[2:]


def test_a_doctor_s_card_shows_the_exact_mean_within_a_second(stack):
    doctor, reader, values = stack.doctor(), stack.patient(), [5, 4.5, 1.3]
    for i, value in enumerate(values):
        _, patient, id = stack.visit(doctor, days=1 + i)
        assert review(stack, patient, id, value).status == 202
        wait_until(lambda n=i + 1: stack.get(f"/users/doctors/{doctor.id}", reader).json["doctor"]["total_reviews"] == n,
                   1, "the card has it")
    card = stack.get(f"/users/doctors/{doctor.id}", reader).json["doctor"]
    assert abs(card["avg_rating"] - sum(values) / 3) < 1e-12


def test_who_follows_is_told_absolute_numbers(stack):
    doctor = stack.doctor()
    with stack.nats("reader") as nats:
        facts = nats.subscribe("healthmed.v1.events.reviews.>")
        told = {}
        for i, value in enumerate((5, 3.5)):
            _, patient, id = stack.visit(doctor, days=1 + i)
            r = review(stack, patient, id, value).json
            kinds = set()
            while kinds != {"given", "rated"}:
                message = facts.next(timeout=5)
                for f in msgpack.unpackb(message.data)["items"]:
                    if f["doctor_id"] == doctor.id:
                        kind = message.subject.split(".")[4]
                        told[kind] = f
                        kinds.add(kind)
            assert {k: told["given"][k] for k in ("id", "doctor_id", "patient_id", "appointment_id")} == \
                {"id": r["id"], "doctor_id": doctor.id, "patient_id": patient.id, "appointment_id": id}
    assert (told["rated"]["rating_sum"], told["rated"]["rating_count"], told["rated"]["version"]) == (85, 2, 2)


def test_a_follower_killed_while_it_counts_leaves_a_review_to_be_counted_once(stack):
    """Between given and rated: marked as counted, the rating not yet raised, nothing committed."""
    doctor, patient, id = stack.visit()
    _, other, another = stack.visit(doctor, days=2)
    assert review(stack, patient, id, 5).status == 202
    counted(stack, doctor, 50, 1)
    with psycopg2.connect(stack.env["DATABASE_URL"]) as owner, owner.cursor() as cursor:
        cursor.execute("LOCK TABLE reviews.rating IN EXCLUSIVE MODE")
        assert review(stack, other, another, 2).status == 202
        wait_until(lambda: stack.sql("SELECT count(*) FROM pg_locks WHERE relation = 'reviews.rating'::regclass"
                                     " AND NOT granted") != [(0,)], 15, "the follower is at the rating")
        stack.kill("actor-reviews")
        assert rating(stack, doctor) == (50, 1)
    stack.start("actor-reviews")
    counted(stack, doctor, 70, 2, seconds=20)
    assert stack.sql("SELECT sum(rating) * 10, count(*) FROM reviews.review WHERE counted AND doctor_id = %s",
                     doctor.id) == [(70, 2)]


def test_reviews_given_while_the_pool_is_killed_again_and_again_count_once(stack):
    doctor, tenths = stack.doctor(), 0
    visits = [stack.visit(doctor, days=1 + i) for i in range(4)]
    for i, (_, patient, id) in enumerate(visits):
        assert review(stack, patient, id, 2 + i).status == 202
        tenths += 20 + 10 * i
        stack.kill("actor-reviews")
        stack.start("actor-reviews")
    counted(stack, doctor, tenths, len(visits), seconds=20)


def test_a_stream_of_facts_made_anew_counts_nothing_twice(stack):
    doctor, patient, id = stack.visit()
    review(stack, patient, id, 5)
    counted(stack, doctor, 50, 1)
    with stack.nats() as nats:
        config, state = (nats.js("STREAM.INFO.EVENTS")[part] for part in ("config", "state"))
        facts = [nats.message("EVENTS", seq) for seq in range(state["first_seq"], state["last_seq"] + 1)]
        nats.js("STREAM.DELETE.EVENTS")
        nats.js("STREAM.CREATE.EVENTS", **config)
        for fact in facts:                      # and everything is told again
            nats.stored("EVENTS", fact.subject, fact.data)
    assert any(fact.subject.startswith("healthmed.v1.events.reviews.given.") for fact in facts)
    _, patient, id = stack.visit(doctor, days=2)
    review(stack, patient, id, 2)
    counted(stack, doctor, 70, 2, seconds=20)
    assert stack.sql("SELECT doctor_id, tenths, count FROM reviews.rating EXCEPT SELECT doctor_id, sum(rating) * 10,"
                     " count(*) FROM reviews.review WHERE counted GROUP BY doctor_id") == []


def test_what_no_fact_tells_is_counted_all_the_same(stack):
    """The fact of a review may be lost with its stream; the rating is not."""
    doctor, patient, id = stack.visit()
    stack.sql("INSERT INTO reviews.review (appointment_id, doctor_id, patient_id, rating) VALUES (%s, %s, %s, 4.5)",
              id, doctor.id, patient.id)
    counted(stack, doctor, 45, 1, seconds=30)


def erased(stack, patient):
    with stack.nats() as nats:
        return nats.stored("EVENTS", f"healthmed.v1.events.users.erased.{patient.id}",
                           msgpack.packb({"items": [{"id": patient.id, "patient_id": patient.id, "at": 0}]}))


def followed(stack, at):
    wait_until(lambda: stack.sql("SELECT last_seq >= %s FROM reviews.position", at) == [(True,)], 10, "it is followed")


def test_who_has_gone_takes_the_words_along_and_leaves_the_numbers(stack):
    doctor, patient, id = stack.visit()
    _, other, another = stack.visit(doctor, days=2)
    review(stack, patient, id, 4)
    review(stack, other, another, 5)
    counted(stack, doctor, 90, 2)
    erased(stack, patient)
    reader = stack.patient()

    def said():
        return [(v["rating"], v["comment"]) for v in stack.get(f"/users/doctors/{doctor.id}/reviews", reader).json]

    wait_until(lambda: said() == [(5, SAID), (4, None)])
    assert rating(stack, doctor) == (90, 2)


def test_words_that_come_behind_an_erasure_are_not_kept(stack):
    """Its gateway had not heard of it yet."""
    doctor, patient, id = stack.visit()
    followed(stack, erased(stack, patient))
    assert review(stack, patient, id, 4).json["comment"] is None
    counted(stack, doctor, 40, 1)


def test_an_erasure_waits_for_words_that_are_being_written_and_takes_them_along(stack):
    doctor, patient, id = stack.visit()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'healthmed_reviews' AND wait_event = %s"
    connection = psycopg2.connect(stack.env["DATABASE_URL"])
    with ThreadPoolExecutor() as pool:
        try:
            connection.cursor().execute("LOCK TABLE reviews.outbox IN SHARE MODE")
            given = pool.submit(review, stack, patient, id, 4)
            wait_until(lambda: stack.sql(waits, "relation")[0][0] > 0 and
                       stack.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = %s",
                                 stack.sql("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0])[0][0] > 0,
                       5, "the words are written and not committed")
            at = erased(stack, patient)
            wait_until(lambda: stack.sql(waits, "advisory") == [(1,)], 5, "the erasure waits for them")
        finally:
            connection.close()
        assert given.result().json["comment"] == SAID
    followed(stack, at)
    assert stack.sql("SELECT rating, comment FROM reviews.review WHERE appointment_id = %s", id) == [(4, None)]
    counted(stack, doctor, 40, 1)


def test_an_erased_doctor_is_nowhere_any_more_however_long_the_gateway_has_known_him(stack):
    doctor, patient = stack.doctor(), stack.patient()
    paths = (f"/users/doctors/{doctor.id}/reviews", f"/doctors/{doctor.id}/slots")
    assert {stack.get(path, patient).status for path in paths} == {200}
    assert stack.http("DELETE", "/users/me", token=doctor).status == 204
    wait_until(lambda: {stack.get(path, patient).status for path in paths} == {404}, 10, "the gateway has forgotten")
    assert stack.post(f"/users/doctors/{doctor.id}/ratings", patient, rating=5).status == 404
