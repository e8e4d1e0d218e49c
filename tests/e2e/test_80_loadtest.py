"""The load tests: a scenario runs from end to end, and what is not kept is told by the exit status."""
import json
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from stack import BIN, ROOT

BUILD = Path(BIN).parent
LITTLE = """
about: One second, to see what becomes of it.
data: {{doctors: 2, patients: 20, booked: 20}}
traffic:
  patients:
    connections: 4
    steps: [20 x 1]
    mix: {{book: 1, slots: 1}}
    {more}
objectives:
  - {objective}
"""


def run(results, scenario):
    return subprocess.run([ROOT / "loadtest" / "run", str(scenario), "--build", BUILD, "--results", results],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300)


@pytest.fixture
def little(tmp_path):
    """Runs a little scenario with that objective; the process and its summary, if it came to one."""
    def go(objective, more=""):
        path = tmp_path / "little.yaml"
        path.write_text(LITTLE.format(objective=objective, more=more))
        done = run(tmp_path, path)
        found = [json.loads(p.read_text()) for p in tmp_path.glob("*-little/summary.json")]
        return done, found[0] if found else None
    return go


def test_smoke_runs_from_end_to_end_and_leaves_figures_and_a_report(tmp_path):
    done = run(tmp_path, "smoke")
    assert done.returncode == 0, done.stdout
    (folder,) = tmp_path.glob("*-smoke")
    found = json.loads((folder / "summary.json").read_text())
    asked = found["results"]
    assert asked["patients"]["answered"] == 300 and asked["services"]["answered"] == 150     # 3 s of 100/s and of 50/s
    assert asked["patients"]["errors"] == asked["services"]["errors"] == found["verify"] == 0
    assert found["appointments"] == asked["patients"]["kinds"]["book"]["status"]["201"]
    assert {o["objective"] for o in found["objectives"] if o["met"]} >= {"patients.errors == 0", "services.errors == 0"}
    assert re.search(r"^patients +1 s .* not as expected$", done.stdout, re.M), "no progress was shown"
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 4 and "all objectives kept" in page
    assert not re.search(r"<script|<link|src=|url\(|https?://", page), "the report needs something else"


def test_an_objective_that_is_missed_makes_the_run_fail(little):
    done, found = little("patients.p50_ms <= 0")
    assert done.returncode == 1 and "MISSED  patients.p50_ms <= 0" in done.stdout, done.stdout
    assert [o["met"] for o in found["objectives"]] == [False] and found["verify"] == 0


def test_who_asks_as_fast_as_he_is_answered_has_no_planned_rate(little):
    done, found = little("patients.rate > 20", "steps: [max x 1]")
    assert done.returncode == 0 and found["results"]["patients"]["closed_loop"], done.stdout


def test_an_answer_that_was_not_expected_counts_against_the_objectives(little):
    done, found = little("patients.errors == 0", "expect: {book: [418]}")
    assert done.returncode == 1 and found["results"]["patients"]["errors"] == found["appointments"] > 0, done.stdout


@pytest.mark.parametrize("objective, more, why", [
    ("patients.errors == 0", "conections: 3", "knows no 'conections'"),
    ("patients.errors == 0", "steps: [20]", "'20' is not of the form"),
    ("patients.errors == 0", "mix: {boking: 1}", "knows no 'boking'"),
    ("patients.errors == 0", "steps: [max x 1, 5 x 1]", "in one step"),
    ("patients.errors", "", "'patients.errors' is no comparison"),
])
def test_a_scenario_with_a_mistake_is_refused_before_anything_starts(little, objective, more, why):
    done, found = little(objective, more)
    assert done.returncode == 2 and why in done.stdout and found is None, done.stdout


@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://192.0.2.1:8080", "nats://a:b@192.0.2.1:4222", "http://[2001:db8::1]:80"])
@pytest.mark.parametrize("told", [[], ["--allow-remote"], ["--yes-really"]])
def test_a_machine_that_is_not_this_one_is_loaded_only_when_told_twice(url, told):
    done = subprocess.run([BUILD / "loadtest" / "load", "--url", url, *told], text=True, capture_output=True,
                          check=False, timeout=20)
    assert done.returncode == 2 and "is not this machine" in done.stderr


def test_what_waits_for_a_server_that_stalls_counts_from_its_planned_time():
    """Ten requests a second on one connection, the first of which is answered after a second: those behind it
    have waited, and the percentiles say so."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        for i in range(20):
            while not client.recv(65536).endswith(b"\r\n\r\n"):
                pass
            if i == 0:
                threading.Event().wait(1)       # the stall itself
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    done = subprocess.run([BUILD / "loadtest" / "load", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}",
                           "--mix", "appointments", "--connections", "1", "--rate", "10", "--seconds", "2", "--quiet"],
                          text=True, capture_output=True, check=False, timeout=60)
    thread.join()
    found = json.loads(done.stdout)
    assert found["answered"] == 20 and found["errors"] == 0, found
    assert found["latency_us"]["max"] >= 1_000_000
    # Those planned at 0.1 s … 0.9 s wait for the rest of that second: a quarter of all waits for half of it or longer.
    assert found["latency_us"]["p90"] >= 700_000 and found["latency_us"]["p75"] >= 400_000, found
