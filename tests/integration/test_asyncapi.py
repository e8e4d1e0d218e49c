"""broker/asyncapi.yaml says what the tables in the code say, and what the running system does."""
import json
import re

import msgpack
import pytest
import yaml

from stack import ROOT

BROKER = ROOT / "broker"
TABLES = "".join(f.read_text() for f in sorted((BROKER / "msg").glob("*.h")))
FIELD = re.compile(r"F\(T,\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*([^,]+),\s*([^,]+),\s*(\w+|-)\)")
CALL = re.compile(r"X\((\w+),\s*(\w+),\s*(\w+),\s*[A-Z_ |]+?,\s*TX_\w+,\s*(\w+),")
TYPE = {"INT": "integer", "TIME": "integer", "MONEY": "integer", "DATE": "integer", "BOOL": "boolean",
        "CLOCK": "integer", "RATING": "integer", "REAL": "number", "INTS": "array", "TIMES": "array",
        "TEXT": "string", "FORM": "string", "BYTES": "string", "ENUM": "string", "LIST": "array", "OBJECT": None}


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load((BROKER / "asyncapi.yaml").read_text())


def declared():
    """message -> its fields, of the tables."""
    bodies = dict(re.findall(r"#define ([A-Z_]+)\(F, T\)((?:[^\n]*\\\n)+[^\n]*)", TABLES))
    return {name: FIELD.findall(bodies[table]) for name, table in re.findall(r"MSG_DECLARE\((\w+),\s*(\w+)\)", TABLES)}


def resolve(document, ref):
    node = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_reference_leads_somewhere(document):
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                assert resolve(document, node["$ref"]) is not None
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)
    assert document["asyncapi"].startswith("3.")
    walk(document)


def test_every_schema_has_the_fields_of_its_message(document):
    schemas, messages = document["components"]["schemas"], declared()
    compared = 0
    for name, schema in schemas.items():
        if name not in messages:
            assert name.endswith("Headers") or name == "discovery", name
            continue
        compared += 1
        fields = messages[name]
        assert list(schema["properties"] or {}) == [f[2] for f in fields], name
        assert schema.get("required", []) == [f[2] for f in fields if f[3] == "REQ"], name
        for _, kind, field, *_ in fields:
            assert schema["properties"][field].get("type") == TYPE[kind], (name, field)
    assert compared >= 20


def test_every_request_has_its_channel_and_every_command_is_in_the_mailbox(document):
    addresses = {c["address"] for c in document["channels"].values()}
    calls = CALL.findall(TABLES)
    assert len(calls) >= 13
    mailbox = set(document["channels"]["mailbox"]["messages"])
    for domain, verb, _, via in calls:
        if via.startswith("MAILBOX"):
            assert f"{domain}_{verb}_req" in mailbox
        else:
            assert f"healthmed.v1.{domain}.{verb}" in addresses
    assert len(mailbox) == sum(via.startswith("MAILBOX") for *_, via in calls)
    for subjects in re.findall(r'"(healthmed\.v1\.[^"]+)",', (BROKER / "stream.h").read_text()):
        assert any(a.startswith(subjects.rstrip("*>.")) for a in addresses), subjects


def test_every_word_of_an_enum_is_told(document):
    texts = "".join(f.read_text() for f in (BROKER / "msg").glob("*.c"))
    for macro, words in re.findall(r"#define (\w+)\s+((?:[^\n]*\\\n)*[^\n]*)", texts):
        texts = texts.replace(macro, words)
    words = {name: re.findall(r'"([^"]+)"', body)
             for name, body in re.findall(r"const char \*const (\w+)_names\[\] = \{(.*?)NULL", texts, re.S)}
    compared = 0
    for name, fields in declared().items():
        for _, kind, field, *_, of in fields:
            if kind == "ENUM" and name in document["components"]["schemas"]:
                assert document["components"]["schemas"][name]["properties"][field]["enum"] == words[of], (name, field)
                compared += 1
    assert compared >= 6


def test_every_header_is_told_with_those_it_travels_with(document):
    schemas = document["components"]["schemas"]
    told = {h for name, schema in schemas.items() if name.endswith("Headers") for h in schema["properties"]}
    assert told == set(re.findall(r'#define WIRE_\w+\s+"([\w-]+)"', (BROKER / "wire.h").read_text()))
    commands = [f"{domain}.{verb}" for domain, verb, _, via in CALL.findall(TABLES) if via.startswith("MAILBOX")]
    assert schemas["CommandHeaders"]["properties"]["Healthmed-Call"]["enum"] == commands


def test_answers_and_refusals_of_the_running_system_are_as_documented(document, stack):
    schemas, patient = document["components"]["schemas"], stack.patient()
    me = {"Healthmed-User": str(patient.id), "Healthmed-Role": "patient", "Healthmed-Deadline": "2000"}
    with stack.nats() as nats:
        account = nats.request("healthmed.v1.users.me", msgpack.packb({}), me)
        unknown = nats.request("healthmed.v1.appointments.get", msgpack.packb({"id": 1 << 40}), me)
        faulty = nats.request("healthmed.v1.appointments.get", msgpack.packb({}), me)
    user, schema = msgpack.unpackb(account.data), schemas["users_user"]
    assert user["id"] == patient.id and set(schema["required"]) <= set(user) <= set(schema["properties"])
    assert not set(account.headers) & set(schemas["ReplyHeaders"]["properties"])
    assert unknown.headers["Nats-Service-Error-Code"] == "not_found" and unknown.headers["Nats-Service-Error"]
    assert [f["field"] for f in json.loads(faulty.headers["Healthmed-Faults"])] == ["id"]
    assert unknown.data == faulty.data == b""
    assert set(faulty.headers) <= set(schemas["ReplyHeaders"]["properties"])


def test_facts_of_the_running_system_are_as_documented(document, stack):
    schema = document["components"]["schemas"]["fact"]
    with stack.nats() as nats:
        facts = nats.subscribe("healthmed.v1.events.>")
        doctor, (slot,) = stack.doctor_with_slots(1)
        assert stack.post("/appointments", stack.patient(), schedule_id=slot, doctor_id=doctor.id).status == 201
        kinds = set()
        while "booking.booked" not in kinds:
            message = facts.next(timeout=5)
            kinds.add(".".join(message.subject.split(".")[3:5]))
            for fact in msgpack.unpackb(message.data)["items"]:
                assert set(schema["required"]) <= set(fact) <= set(schema["properties"])
                assert all(isinstance(v, int) for v in fact.values())       # ids and times, nothing personal
        assert kinds >= {"users.registered", "booking.opened", "booking.booked"}


def test_the_pools_are_found_by_discovery(document, stack):
    schema = document["components"]["schemas"]["discovery"]
    for verb in document["channels"]["discovery"]["parameters"]["verb"]["enum"]:
        with stack.nats() as nats:
            inbox = nats.subscribe("_INBOX.discovery")
            nats.publish(f"$SRV.{verb}", b"", reply="_INBOX.discovery")
            found = [json.loads(m.data) for m in inbox.all(1)]
        assert {pool["name"] for pool in found} >= {"users", "schedules", "appointments", "booking", "reviews", "reports", "files"}
        for pool in found:
            assert set(schema["required"]) <= set(pool) <= set(schema["properties"])
            assert pool["type"] == f"io.nats.micro.v1.{verb.lower()}_response"
            assert pool["type"] in schema["properties"]["type"]["enum"]
