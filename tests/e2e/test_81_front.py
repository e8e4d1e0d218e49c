"""The proxies in front, and what is kept apart so that it cannot hold up the rest."""
import json
import subprocess
from pathlib import Path

import pytest
from stack import BIN, Stack, at_once, wait_until

LOAD = Path(BIN).parent / "loadtest" / "load"


@pytest.fixture(scope="module")
def front():
    with Stack("--front") as stack:
        yield stack


@pytest.fixture(scope="module")
def seeded(front):
    """Numbers of what was seeded, and a file with tokens of the patients."""
    made = json.loads(front.seed("--doctors", 1, "--patients", 400, "--slots", 400, "--minutes", 5, "--password", "a-password-1"))
    made["tokens"] = front.tokens("patient", made["first_patient"], 400)
    (front.dir / "tokens").write_text("\n".join(made["tokens"]))
    (front.dir / "logins").write_text("".join(
        json.dumps({"email": f"patient{made['first_patient'] + i}@example.org", "password": "a-password-1"}) + "\n" for i in range(400)))
    return made


def load(front, seeded, *arguments, url=None):
    """The generator, started."""
    return subprocess.Popen([LOAD, "--url", url or front.url, "--tokens", front.dir / "tokens", "--logins", front.dir / "logins",
                             "--first-doctor", str(seeded["first_doctor"]), "--first-slot", str(seeded["first_slot"]),
                             "--slots", "400", "--seconds", "60", "--quiet", *arguments], stdout=subprocess.PIPE, text=True)


def found(process):
    return json.loads(process.communicate(timeout=120)[0])


def read(front, token):
    answer = front.get("/appointments", token)
    assert answer.status == 200, answer


def test_one_proxy_of_three_is_killed_and_the_others_go_on(front, seeded):
    token = seeded["tokens"][0]
    front.kill("proxy-2")
    assert at_once(20, lambda _: read(front, token)) == [None] * 20      # each by a connection of its own
    front.up()
    lines = front.stack("status").splitlines()
    assert sum(line.startswith("proxy") and " well" in line for line in lines) == 3, lines


def test_reads_pass_by_while_changes_wait_for_a_mailbox_that_stands_still(front, seeded):
    """As many bookings as the proxies let through wait for their outcome; the reads do not wait with them."""
    front.stop("actor-booking")
    try:
        bookings = load(front, seeded, "--connections", "300", "--count", "300", "--expect", "book:202:503")
        wait_until(lambda: front.metric("gateway", "http_waiting") >= 200, 20, "the bookings wait")
        for token in seeded["tokens"][:50]:
            read(front, token)
        assert bookings.poll() is None, "all bookings were answered before the reads"
        waited = found(bookings)                # those that the proxies kept meanwhile are told to come again
        assert waited["errors"] == 0 and waited["status"]["202"] >= 200, waited["status"]
    finally:
        front.start("actor-booking")


def test_a_storm_of_logins_is_refused_in_part_and_the_others_are_served_meanwhile(front, seeded):
    """A queue of 64, in which nobody waits for long: of two hundred at once most are told to come later."""
    token = seeded["tokens"][0]
    logins = load(front, seeded, "--mix", "login", "--connections", "200", "--count", "2000", "--expect", "login:200:429")
    served = 0
    while logins.poll() is None:
        read(front, token)
        served += 1
    storm = found(logins)
    assert storm["errors"] == 0 and storm["answered"] == 2000, storm
    assert storm["status"]["429"] > 1000 and storm["status"]["200"] >= 1, storm["status"]
    assert served >= 5
    front.http("POST", "/users/login", {"email": f"patient{seeded['first_patient']}@example.org", "password": "a-password-1"})


def test_a_login_that_is_refused_for_now_says_when_to_come_back(front, seeded):
    logins = load(front, seeded, "--mix", "login", "--connections", "200", "--count", "2000", "--expect", "login:200:429")
    refused = None
    while refused is None and logins.poll() is None:
        answer = front.post("/users/login", email="nobody@example.org", password="a-password-2")
        assert answer.status in (401, 429), answer
        refused = answer if answer.status == 429 else None
    found(logins)
    assert refused.code == "too_many_requests" and int(refused.headers["Retry-After"]) >= 1
