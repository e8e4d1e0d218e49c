"""What clients of the former system send still works: the requests of web/healthmed.postman_collection.json.

The collection is for people with Postman; here the same requests are sent, its variables filled in and
its own expectations checked, of which only the forms below are understood.
"""
import json
import re
import secrets
from datetime import datetime, timedelta

import pytest

from stack import ROOT, cpf

COLLECTION = json.loads((ROOT / "web" / "healthmed.postman_collection.json").read_text())
STATUS = re.compile(r'pm\.test\("\d+", \(\) => pm\.response\.to\.have\.status\((\d+)\)\);')
KEEPS = re.compile(r'pm\.collectionVariables\.set\("(\w+)", pm\.response\.json\(\)(\S+)\);')
EXPECTS = re.compile(r'pm\.test\("[^"]+", \(\) => pm\.expect\(pm\.response\.json\(\)(\S+)\)\.to\.eql\((.*)\)\);')


def value(json_, path):
    """What JavaScript finds at .doctor.price, [0].id or .length of an answer."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        json_ = json_[int(index)] if index else len(json_) if name == "length" else json_[name]
    return json_


def send(stack, item, variables):
    """One request of the collection; what it keeps goes to the variables."""
    fill = lambda text: re.sub(r"\{\{(\w+)\}\}", lambda m: str(variables[m[1]]), text)      # noqa: E731
    request = item["request"]
    headers = {h["key"]: fill(h["value"]) for h in request["header"]}
    body = fill(request["body"]["raw"]).encode() if "body" in request else None
    path = request["url"].removeprefix("{{base}}")
    assert path != request["url"] and path.startswith("/"), request["url"]
    answer = stack.http(request["method"], "/" + fill(path), body, headers=headers)
    for line in item["event"][0]["script"]["exec"]:
        if found := STATUS.fullmatch(line):
            assert answer.status == int(found[1]), (item["name"], answer)
        elif found := KEEPS.fullmatch(line):
            variables[found[1]] = value(answer.json, found[2])
        else:
            path, expected = EXPECTS.fullmatch(line).groups()
            assert value(answer.json, path) == json.loads(expected), (item["name"], path, answer)
    return answer


@pytest.fixture(scope="module")
def variables():
    return {**{v["key"]: v["value"] for v in COLLECTION["variable"]}, "tag": f"{secrets.randbelow(10**9):09d}",
            "day": (datetime.now() + timedelta(days=400)).strftime("%Y-%m-%d"),
            "doctorDocument": cpf(), "patientDocument": cpf()}


def test_the_former_clients_requests_succeed_one_after_the_other(stack, variables):
    sent = 0
    for folder in COLLECTION["item"]:
        for item in folder["item"]:
            send(stack, item, variables)
            sent += 1
    assert sent >= 20
    stack.verify()


def test_each_of_its_services_is_asked_under_its_former_address():
    urls = [item["request"]["url"] for folder in COLLECTION["item"] for item in folder["item"]]
    for service in ("user-service", "scheduler-service", "appointment-service"):
        assert any(u.startswith(f"{{{{base}}}}/{service}/api/v1/") for u in urls), service
    assert sum(u.endswith("/health") for u in urls) == 5


def test_a_former_client_hears_of_a_slot_that_another_has_taken(stack, variables):
    doctor, (slot,) = stack.doctor_with_slots(1)
    book = lambda who: stack.http("POST", "//appointment-service/api/v1/appointments", token=who,   # noqa: E731
                                  body={"schedule_id": slot, "doctor_id": doctor.id})
    assert book(stack.patient()).status == 201
    answer = book(stack.patient())
    assert (answer.status, answer.code) == (409, "slot_taken")
