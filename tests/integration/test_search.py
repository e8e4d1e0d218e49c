"""What a search costs in PostgreSQL when there are many doctors: what the actor's own statements did is read from
plans that the server logs (auto_explain), among 100,000 doctors with 2,000,000 slots to come."""
import itertools
import json
import math
import re
import struct
import time
from base64 import urlsafe_b64encode
from urllib.parse import quote, urlencode

import msgpack
import psycopg2
import pytest

from stack import ROOT, Stack, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.plans]
DOCTORS, SLOTS_OF_EACH = 100_000, 20
BIG = {"account", "doctor", "address", "card", "practice", "free_slot", "name_word", "term"}
PLAN = re.compile(r"duration: (\S+) ms  plan:\n((?:\t[^\n]*\n)+)")
# Few specialties and cities have most of the doctors, and some words never stand together.
PEOPLE = """
INSERT INTO users.account (id, full_name, email, password_hash, document_id, phone, role)
SELECT g, (ARRAY['Ana','Maria','João','José','Antônio','Luís','Inês','Caetano','Zuleica','Wilza'])[1 + floor(10 * random() ^ 2)]
       || ' ' || (ARRAY['da Silva','dos Santos','Oliveira','Souza','Gonçalves','Ferreira','Brandão','Lima','Araújo','Xavier'])
                 [1 + floor(10 * random() ^ 2)] || ' ' || (ARRAY['Neto','Filho','Júnior','Costa','Prado'])[1 + g % 5],
       'd' || g || '@test.example', '!', lpad(g::text, 11, '0'), '+55 31 5550-0199', 'doctor'
  FROM generate_series(1, DOCTORS) AS g;
INSERT INTO users.address (user_id, street, number, neighborhood, city, state, zip)
SELECT g, 'Rua A', '1', 'Centro', 'Cidade ' || town, (ARRAY['SP','RJ','MG','BA','AC'])[1 + town / 40],
       lpad((town * 100)::text, 5, '0') || '-' || lpad((g % 1000)::text, 3, '0')
  FROM (SELECT g, floor(200 * random() ^ 3)::int AS town FROM generate_series(1, DOCTORS) AS g) AS p;
INSERT INTO users.doctor (user_id, medical_id, specialty, price)
SELECT g, lpad(g::text, 7, '0') || '-MG', CASE WHEN kind = 0 THEN 'Otorrinolaringologia' ELSE 'Área nº ' || kind END,
       100 + kind * 10 + floor(random() * 40)
  FROM (SELECT g, floor(40 * random() ^ 2)::int AS kind FROM generate_series(1, DOCTORS) AS g) AS p;
UPDATE users.card SET rating_count = 1 + doctor_id % 50, rating_sum = (1 + doctor_id % 50) * (10 + doctor_id % 40)
 WHERE doctor_id % 2 = 0;
SELECT users.card_copy(ARRAY(SELECT doctor_id FROM users.card));
INSERT INTO users.free_slot (slot_id, doctor_id, starts, ends, free, version)
SELECT g * EACH + k, g, at, at + interval '30 minutes', random() < 0.7, 1
  FROM generate_series(1, DOCTORS) AS g, generate_series(0, EACH - 1) AS k,
       LATERAL (SELECT date_trunc('day', now()) + make_interval(days => 1 + abs(hashint8(g * 32 + k)) % 60, hours => 11 + k % 9)) AS t (at);
UPDATE users.practice AS p SET next_slot = coalesce((SELECT min(starts) FROM users.free_slot AS f
                                                      WHERE f.doctor_id = p.doctor_id AND f.free), users.never());
SELECT setval('users.account_id_seq', DOCTORS);
"""
SORTS = ("name", "price", "rating", "next_slot")
MS = 3
FILTERS = {
    "nothing": {},
    "a common specialty": {"specialty": "otorrinolaringologia"},
    "a part of many specialties": {"specialty": "area"},
    "a rare specialty": {"specialty": "area nº 39"},
    "a part of some specialties": {"specialty": "area nº 1"},
    "a common city": {"city": "cidade 0"},
    "a rare city": {"city": "Cidade 199"},
    "a common state": {"state": "SP"},
    "a rare state": {"state": "ac"},
    "a common name": {"full_name": "maria"},
    "a rare name": {"full_name": "wilza xavier"},
    "a common surname": {"full_name": "xavier"},
    "a part of common names": {"full_name": "aria"},
    "a short name": {"full_name": "jo"},
    "a short name of nobody": {"full_name": "qx"},
    "a name of nobody": {"full_name": "qqwwrr"},
    "a city of nobody": {"city": "nowhere"},
    "a zip": {"zip": "00100-001"},
    "a part of a zip": {"zip": "001"},
    "a medical id": {"medical_id": "0050000-MG"},
    "a part of a medical id": {"medical_id": "5000"},
    "a low rating": {"avg_rating": 2},
    "a high rating": {"avg_rating": 4.75},
    "a rating of nobody": {"avg_rating": 5},
    "specialty and name": {"specialty": "otorrino", "full_name": "maria"},
    "specialty, city and state": {"specialty": "area nº 7", "city": "cidade 12", "state": "SP"},
    "a city in another state": {"city": "cidade 12", "state": "RJ"},
    "a common specialty and a name of nobody": {"specialty": "otorrinolaringologia", "full_name": "qqwwrr"},
    "city and rating": {"city": "cidade 3", "avg_rating": 4.5},
    "the dearest specialty": {"specialty": "area nº 38"},
    "a month": {"available_from": "{20}", "available_to": "{50}"},
    "half an hour": {"available_from": "{20} 10:00", "available_to": "{20} 10:30"},
    "a time when nobody is free": {"available_from": "{300}"},
    "a morning and a specialty": {"available_from": "{20} 08:00", "available_to": "{20} 12:00", "specialty": "area nº 30"},
    "everything": {"full_name": "maria", "specialty": "otorrino", "city": "cidade 0", "state": "SP", "zip": "000",
                   "medical_id": "00", "avg_rating": 1, "available_from": "{1}", "available_to": "{60}"},
}


@pytest.fixture(scope="module")
def many():
    with Stack() as stack:
        postgres = psycopg2.connect(stack.env["DATABASE_URL"].replace("healthmed@", "postgres@"))
        postgres.autocommit = True
        with postgres.cursor() as cursor:
            cursor.execute(PEOPLE.replace("DOCTORS", str(DOCTORS)).replace("EACH", str(SLOTS_OF_EACH)))
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("ALTER ROLE healthmed_users SET session_preload_libraries = 'auto_explain'")
            for name, value in (("min_duration", 0), ("analyze", 1), ("buffers", 1), ("timing", 0), ("format", "json")):
                cursor.execute(f"ALTER ROLE healthmed_users SET auto_explain.log_{name} = '{value}'")
        stack.stop("actor-users")
        stack.start("actor-users")
        stack.someone = stack.token("patient", DOCTORS + 1)
        yield stack


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


class Cost:
    """What the statements of one request did, but for the sample where one is taken: its time is told apart."""

    def __init__(self, log):
        plans = [(float(ms), p["Plan"], p["Query Text"].lstrip("(")) for ms, p in
                 ((ms, json.loads(text)) for ms, text in PLAN.findall(log))
                 if re.search(r"users\.(card|practice|term|free_slot)", p["Query Text"])]
        self.sample = sum(ms for ms, _, text in plans if text.startswith("WITH sample"))
        self.plans = [(ms, plan) for ms, plan, text in plans if text.startswith("SELECT")]
        every = [n for _, plan in self.plans for n in nodes(plan)]
        self.ms = sum(ms for ms, _ in self.plans)
        self.blocks = sum(p["Shared Hit Blocks"] + p["Shared Read Blocks"] for _, p in self.plans)
        self.rows = int(sum(n["Actual Rows"] * n["Actual Loops"] for n in every if "Relation Name" in n))
        self.scanned = {n["Relation Name"] for n in every if n["Node Type"] == "Seq Scan"} & BIG


def ask(stack, path):
    """One request, and what it cost."""
    log = stack.run / "logs" / "postgres.log"
    before = log.stat().st_size
    answer = stack.get(path, stack.someone)
    assert answer.status == 200, answer
    with log.open(errors="replace") as f:
        f.seek(before)
        return answer, Cost(f.read())


def dated(stack, value):
    """ "{20} 10:00" is ten o'clock in twenty days."""
    if isinstance(value, str) and value.startswith("{"):
        days, clock = value[1:].split("}")
        (day,), = stack.sql("SELECT to_char(now() + make_interval(days => %s), 'YYYY-MM-DD')", int(days))
        return f"{day}{clock or ' 00:00'}"
    return value


def page(stack, filters, tries):
    """A page without help of the cache; the quickest of some that lie apart, because others work on this machine too."""
    best = None
    for n in range(tries):
        limit = 50 - n % 30
        time.sleep(min(n / 50, 0.5))
        answer, cost = ask(stack, "/users/doctors?" + urlencode({**filters, "limit": limit}, quote_via=quote))
        if best is None or cost.ms < best[1].ms:
            best = answer, cost
        if best[1].ms <= MS:
            break
    return best


def check(answer, cost, what, most=math.inf):
    print(f"\n{what:60} {len(answer.json):3} doctors {cost.ms:6.2f} ms + {cost.sample:4.2f} {cost.rows:6} rows {cost.blocks:6} blocks")
    assert cost.plans and not cost.scanned
    assert cost.rows <= 30_000 and cost.blocks <= 15_000
    assert cost.ms <= most


def seek(stack, name, more, what):
    """One filter is answered in three milliseconds; of several the counts are bounded, and the time is told."""
    one = len({k.split("_")[0] for k in FILTERS[name]}) <= 1
    filters = {k: dated(stack, v) for k, v in FILTERS[name].items()}
    check(*page(stack, {**filters, **more}, tries=100 if one else 5), what, MS if one else math.inf)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", FILTERS)
def test_a_page_costs_little_whatever_is_asked(many, name, sort):
    seek(many, name, {"sort": sort}, f"{name}, by {sort}")


DEEP = {"name": "left(name, 40)", "price": "(price * 100)::bigint", "rating": "rank",
        "next_slot": "(extract(epoch FROM next_slot) * 1000000)::bigint"}


def behind(stack, sort, share):
    """A cursor that stands behind so many of all doctors."""
    key, doctor = stack.sql(f"SELECT {DEEP[sort]}, doctor_id FROM users.{'practice' if sort == 'next_slot' else 'card'} "
                            f"ORDER BY 1, 2 OFFSET {int(DOCTORS * share)} LIMIT 1")[0]
    raw = struct.pack(">Bq", SORTS.index(sort), doctor) + (
        key.encode() if sort == "name" else struct.pack(">d" if sort == "rating" else ">q", key))
    return urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("share", [0.45, 0.9])
@pytest.mark.parametrize("sort", SORTS)
def test_a_page_far_behind_costs_no_more_than_the_first(many, sort, share):
    cursor = behind(many, sort, share)
    for name in FILTERS:
        seek(many, name, {"sort": sort, "cursor": cursor}, f"{name}, by {sort}, behind {share:.0%}")


SOME = {"full_name": ("maria", "jo"), "specialty": ("otorrino", "area nº 30"), "city": ("cidade 0", "cidade 12"),
        "state": ("SP", "AC"), "zip": ("000", "00100"), "medical_id": ("00", "5000"), "avg_rating": (2, 4.75),
        "span": (("{20}", "{50}"), ("{20} 10:00", "{20} 10:30"))}


@pytest.mark.parametrize("pair", itertools.combinations(SOME, 2), ids="-".join)
def test_two_filters_together_cost_little_in_every_order(many, pair):
    """Counts bound what a page may touch; the milliseconds are told."""
    cursors = [(sort, share, share and behind(many, sort, share)) for sort in SORTS for share in (0, 0.5)]
    for values in itertools.product(*(SOME[name] for name in pair)):
        filters = dict(zip(pair, values))
        if span := filters.pop("span", None):
            filters |= {"available_from": dated(many, span[0]), "available_to": dated(many, span[1])}
        for sort, share, cursor in cursors:
            check(*page(many, {**filters, "sort": sort, **({"cursor": cursor} if cursor else {})}, tries=3),
                  f"{' and '.join(map(str, values))}, by {sort}, behind {share:.0%}")


def test_facts_of_a_batch_cost_little(many):
    """Bookings come by the thousand a second: what 256 of them cost is told, and bounded in blocks."""
    facts = [{"id": n, "doctor_id": n, "patient_id": 10**6 + n, "slot_id": n * SLOTS_OF_EACH, "at": 0,
              "starts": 4 * 10**15, "ends": 4 * 10**15 + 10**9, "free": False, "version": 2} for n in range(1, 257)]
    log = many.run / "logs" / "postgres.log"
    before = log.stat().st_size
    with many.nats() as nats:
        for fact in ("booked", "slots"):
            nats.publish(f"healthmed.v1.events.booking.{fact}.1", msgpack.packb({"items": facts}))
    wait_until(lambda: many.sql("SELECT count(*) FROM users.acquaintance")[0][0] == 256 and
               many.sql("SELECT count(*) FROM users.free_slot WHERE version = 2")[0][0] == 256)
    with log.open(errors="replace") as f:
        f.seek(before)
        told = [(float(ms), json.loads(text)) for ms, text in PLAN.findall(f.read())]
    applied = [(ms, p["Plan"]) for ms, p in told if "unnest" in p["Query Text"]]
    print(f"256 bookings: {sum(ms for ms, _ in applied):.2f} ms")
    assert len(applied) == 3                    # statements, however many facts
    for _, plan in applied:
        assert not {n.get("Relation Name") for n in nodes(plan) if n["Node Type"] == "Seq Scan"} & BIG
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 256 * 60


def test_what_was_there_before_cards_is_on_them_after_the_migration(servers):
    """A database of the release before: doctors with and without an address, slots of every kind, visits."""
    owner = servers.env["DATABASE_URL"]
    migrations = sorted((ROOT / "sql" / "migrations").glob("*.sql"))
    at = next(i for i, m in enumerate(migrations) if m.name.startswith("0007"))
    postgres = psycopg2.connect(owner.replace("healthmed@", "postgres@"))
    postgres.autocommit = True
    with postgres.cursor() as cursor:
        cursor.execute("CREATE DATABASE before OWNER healthmed")
    postgres.close()
    connection = psycopg2.connect(owner.replace("/healthmed?", "/before?"))
    with connection, connection.cursor() as cursor:
        for migration in migrations[:at]:
            cursor.execute(migration.read_text())
        cursor.execute("""
            INSERT INTO users.account (id, full_name, email, password_hash, document_id, phone, role)
            SELECT g, 'João ' || g, 'm' || g, '!', 'm' || g, 'p', CASE WHEN g < 4 THEN 'doctor' ELSE 'patient' END
              FROM generate_series(1, 5) AS g;
            INSERT INTO users.doctor SELECT g, 'M-' || g, 'Clínica', 100 + g FROM generate_series(1, 3) AS g;
            INSERT INTO users.address VALUES (1, 's', '1', 'n', 'São José', 'SC', '88000-100');
            INSERT INTO agenda.slot (id, doctor_id, starts, ends, active, created_at, updated_at)
            SELECT id, doctor, now() + hours * interval '1 hour', now() + hours * interval '1 hour' + interval '30 minutes', active, now(), now()
              FROM (VALUES (1, 1, 5, true), (2, 1, 3, true), (3, 1, 2, false), (4, 1, -9, true), (5, 2, 4, true), (6, 2, 8, true))
                   AS s (id, doctor, hours, active);
            INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, created_at, updated_at,
                                            granted_seq, granted_batch)
            SELECT id, slot_id, doctor_id, patient, now() + id * interval '1 hour', now() + (id + 1) * interval '1 hour',
                   status::agenda.appointment_status, now(), now(), 1, 1
              FROM (VALUES (1, 2, 1, 4, 'confirmed'), (2, 5, 2, 4, 'cancelled'), (3, 4, 1, 5, 'concluded'), (4, 6, 2, 4, 'waiting_for_confirmation'))
                   AS a (id, slot_id, doctor_id, patient, status);
            SELECT setval('agenda.batch_id', 77)""")
        cursor.execute(migrations[at].read_text())
        cursor.execute("SELECT doctor_id, name, specialty, city, state, zip FROM users.card ORDER BY 1")
        assert cursor.fetchall() == [(1, " joao 1", " clinica", " sao jose", "SC", "88000100"), (2, " joao 2", " clinica", None, None, None),
                                     (3, " joao 3", " clinica", None, None, None)]
        cursor.execute("SELECT slot_id, free, version FROM users.free_slot ORDER BY 1")
        assert cursor.fetchall() == [(1, True, 77), (5, True, 77)]
        cursor.execute("SELECT p.doctor_id, total_patients, s.id FROM users.practice AS p LEFT JOIN agenda.slot AS s ON s.doctor_id = p.doctor_id "
                       "AND s.starts = p.next_slot ORDER BY 1")
        assert cursor.fetchall() == [(1, 2, 1), (2, 1, 5), (3, 0, None)]
        cursor.execute("SELECT * FROM users.acquaintance ORDER BY 1, 2")
        assert cursor.fetchall() == [(1, 4), (1, 5), (2, 4)]
        for migration in migrations[at + 1:]:
            cursor.execute(migration.read_text())
        cursor.execute("SELECT filter, term, doctors FROM users.term ORDER BY 1, 2")
        assert cursor.fetchall() == [("city", " sao jose", 1), ("name", " 1", 1), ("name", " 2", 1), ("name", " 3", 1),
                                     ("name", " joao", 3), ("specialty", " clinica", 3)]
        cursor.execute("SELECT word, place, doctor_id FROM users.name_word WHERE doctor_id = 1 ORDER BY 1")
        assert cursor.fetchall() == [(" 1", " joao 1", 1), (" joao", " joao 1", 1)]
    connection.close()
