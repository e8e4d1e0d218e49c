"""A private Health&Med for tests: servers and processes of its own, in a folder of its own.

    def test_a_patient_books_a_free_slot(stack):
        doctor, slots = stack.doctor_with_slots(3)
        patient = stack.patient()
        answer = stack.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id)
        assert answer.status == 201, answer
        assert answer.json["status"] == "waiting_for_confirmation"
        assert stack.sql("SELECT count(*) FROM agenda.appointment WHERE slot_id = %s", slots[0]) == [(1,)]

    def test_a_killed_worker_loses_nothing(stack):
        stack.kill("actor-booking")
        ...
        stack.start("actor-booking")
        wait_until(lambda: ..., 5, "the request is decided")
        stack.verify()

The fixture `stack` is shared by a session, so that tests make doctors and patients of their own
and bring back whatever they kill.  A test that needs another shape makes one for itself:

    with Stack("--gateways", "2", HEALTHMED_LIMIT_LOGINS="3") as stack: ...
"""
import http.client
import itertools
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from natsclient import Nats
from openapi import document

ROOT = Path(__file__).resolve().parent.parent
BIN = os.environ.get("HEALTHMED_BIN", str(ROOT / "build" / "healthmed"))
REPORT = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread|Memory)Sanitizer|: runtime error: |Assertion .* failed")
TRACE = re.compile(r"\b[0-9a-f]{32}\b")
UNLIMITED = {"HEALTHMED_LIMIT_REGISTRATIONS": "1000000", "HEALTHMED_LIMIT_LOGINS": "1000000",
             "HEALTHMED_LIMIT_REQUESTS": "100000000"}


def wait_until(what, seconds=5, why="the condition holds"):
    """Calls `what` until it is true, and returns that; fails after the deadline."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"waited {seconds} s in vain until {why}"
        time.sleep(0.02)
    return value


class Answer:
    """What HTTP answered; .json is None when the body is no JSON."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        try:
            self.json = json.loads(self.body)
        except ValueError:
            self.json = None

    @property
    def code(self):
        """The stable word of a problem."""
        return self.json.get("code") if isinstance(self.json, dict) else None

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class User:
    """Somebody with a token: pass it wherever a token is wanted."""

    def __init__(self, id, token, role, **more):
        self.id, self.token, self.role = id, token, role
        self.__dict__.update(more)


class Stack:
    def __init__(self, *options, **environment):
        self.dir = Path(tempfile.mkdtemp(prefix="healthmed-"))
        self.dir.chmod(0o711)                   # PostgreSQL runs as another user when we are root
        self.run = self.dir / "run"
        self.options, self.environment = options, environment
        self.script = ROOT / "stack"
        self.reports = []
        self._local, self._people = threading.local(), itertools.count(1)

    # ---- life ----

    def __enter__(self):
        try:
            self.stack("up", "--no-demo", "--listen", "127.0.0.1:0", *self.options)
        except BaseException:
            print(self.tails())
            self.close(check=False)
            raise
        self.env = dict(line.split("=", 1) for line in shlex.split((self.run / "env").read_text(), comments=True))
        self.url = self.env["HTTP_URL"]
        self.urls = self.env["HTTP_URLS"].split()
        return self

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    def close(self, check=True):
        """Stops and removes everything; fails when a sanitizer or an assertion has spoken meanwhile."""
        self.stack("down", check=False)
        reports = self.complaints()
        if reports and (keep := os.environ.get("STACK_KEEP_LOGS")):
            shutil.copytree(self.run / "logs", Path(keep) / self.dir.name, dirs_exist_ok=True)
        self.stack("clean", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not (check and reports), "\n".join(reports)

    def stack(self, command, *arguments, check=True):
        """The script ./stack with our folder; its output."""
        done = subprocess.run([self.script, command, self.run, *map(str, arguments)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, **UNLIMITED, "HEALTHMED_BIN": BIN, **self.environment})
        assert done.returncode == 0 or not check, f"stack {command}: {done.stdout}"
        return done.stdout

    def up(self):
        """Starts what is missing."""
        return self.stack("up")

    def start(self, name):
        """Starts one component, e.g. actor-booking, and waits until it is well."""
        self.stack("start", name)

    def stop(self, name):
        """Ends one component in good order."""
        self.stack("stop", name)

    def kill(self, name):
        """SIGKILL; it stays dead until start or up."""
        self.stack("kill", name)

    def promote(self, name):
        """Makes a standby of a cluster the primary."""
        self.stack("promote", name)

    def pid(self, name):
        return int((self.run / "pids" / f"{name}.pid").read_text())

    def log(self, name):
        """All that a component wrote."""
        return (self.run / "logs" / f"{name}.log").read_text(errors="replace")

    def tails(self, failure="", lines=15):
        """The end of every log, for the report of a failure, after what any of them says of the traces it names."""
        logs = {f.name: f.read_text(errors="replace").splitlines(True) for f in sorted((self.run / "logs").glob("*.log"))}
        traces = TRACE.findall(failure)
        return "".join([line for log in logs.values() for line in log if any(t in line for t in traces)]
                       + [f"--- {name}\n" + "".join(log[-lines:]) for name, log in logs.items()])

    def complaints(self):
        """Reports of sanitizers and failed assertions in the logs, each with what follows it."""
        found = []
        for f in sorted((self.run / "logs").glob("*.log")):
            lines = f.read_text(errors="replace").splitlines()
            at = [i for i, line in enumerate(lines) if REPORT.search(line)]
            if at:
                found.append(f"{f.name}:\n" + "\n".join(lines[at[0]:at[0] + 40]))
        return found

    # ---- HTTP ----

    def http(self, method, path, body=None, token=None, headers=None, url=None, timeout=40):
        """A request beneath /api/v1 (or at a path that begins with //: from the root) over a connection
        that this thread keeps.  `body`: bytes as they are, anything else as JSON; `token`: text or a User."""
        url = url or self.url
        head = dict(headers or {})
        if token is not None:
            head.setdefault("Authorization", "Bearer " + getattr(token, "token", token))
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            head.setdefault("Content-Type", "application/json")
        path = path[1:] if path.startswith("//") else "/api/v1" + path
        kept = self._local.__dict__.setdefault("connections", {})
        for fresh in (False, True):
            connection = kept.get(url)
            if connection is None or fresh:
                at = urlsplit(url)
                connection = kept[url] = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)
                fresh = True
            try:
                connection.request(method, path, body, head)
                answer = Answer(connection.getresponse())
                if answer.headers.get("Connection", "").lower() == "close":
                    connection.close()
                document().check(method, path, answer)
                return answer
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.pop(url, None)             # a kept connection that the server had closed
                connection.close()
                if fresh:
                    raise

    def get(self, path, token=None, **headers):
        return self.http("GET", path, token=token, headers=_header_names(headers))

    def post(self, path, token=None, key=None, headers=None, **body):
        """POST of a JSON object; `key` is the Idempotency-Key."""
        head = dict(headers or {})
        if key is not None:
            head["Idempotency-Key"] = key
        return self.http("POST", path, body, token, head)

    def admin(self, name, path="/metrics"):
        """GET at the admin address of a process: text."""
        ports = dict(line.split("=") for line in (self.run / "ports").read_text().split())
        connection = http.client.HTTPConnection("127.0.0.1", int(ports[f"{name}-admin"]), timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def metric(self, name, metric):
        """The sum of a metric of a process over its labels (healthmed_ may be left out)."""
        pattern = re.compile(rf"^(?:healthmed_)?{metric}(?:\{{[^}}]*\}})? (\S+)", re.M)
        return sum(float(v) for v in pattern.findall(self.admin(name)[1]))

    # ---- people and agendas ----

    def tokens(self, role, first, count, lifetime=3600):
        """Tokens of the users first, first+1, …; nobody needs to have registered."""
        out = self.healthmed("token", "--role", role, "--first", first, "--count", count, "--lifetime", lifetime)
        return out.split()

    def token(self, role, user, lifetime=3600):
        return self.tokens(role, user, 1, lifetime)[0]

    def patient(self, name="Maria Oliveira"):
        """A registered patient, with password and document."""
        return self._person("patient", name)

    def doctor(self, name="Carlos Pereira", specialty="Cardiologia", price=200):
        medical_id = f"{secrets.randbelow(10**9):09d}-MG"
        return self._person("doctor", name, doctor={"medical_id": medical_id, "specialty": specialty, "price": price})

    def doctor_with_slots(self, count=1, days=1, minutes=60):
        """A doctor and the ids of that many slots of his, one after the other, from so many days ahead."""
        doctor = self.doctor()
        return doctor, self.slots(doctor, count, days, minutes)

    def slots(self, doctor, count=1, days=1, minutes=60):
        at = (datetime.now(timezone.utc) + timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
        ids = []
        for i in range(count):
            answer = self.post("/schedules", doctor, duration_minutes=minutes,
                               date_time_available=(at + timedelta(minutes=minutes * i)).isoformat())
            assert answer.status == 201, answer
            ids.append(answer.json["id"])
        return ids

    def visit(self, doctor=None, patient=None, state="concluded", days=1):
        """An appointment brought into that state; its doctor, its patient and its id."""
        steps = {"waiting_for_confirmation": (), "confirmed": ("confirm",), "in_progress": ("confirm", "start"),
                 "concluded": ("confirm", "start", "conclude"), "no_show": ("confirm", "no-show"), "cancelled": ("cancel",)}
        bodies = {"confirm": {"confirmed": True}, "cancel": {"reason": "a cold"}}
        doctor, patient = doctor or self.doctor(), patient or self.patient()
        (slot,) = self.slots(doctor, 1, days)
        answer = self.post("/appointments", patient, schedule_id=slot, doctor_id=doctor.id)
        assert answer.status == 201, answer
        for step in steps[state]:
            done = self.post(f"/appointments/{answer.json['id']}/{step}", doctor, **bodies.get(step, {}))
            assert done.status == 200, (step, done)
        return doctor, patient, answer.json["id"]

    def _person(self, role, name, **more):
        password, document, tag = secrets.token_hex(8), cpf(), secrets.token_hex(6)
        answer = self.post("/users", full_name=name, email=f"{tag}@test.example", password=password, role=role,
                           document_id=document, phone="+55 31 5550-0199", **more)
        assert answer.status == 201, answer
        id = answer.json["id"]
        return User(id, self.token(role, id), role, name=name, email=f"{tag}@test.example", password=password,
                    document_id=document, medical_id=more.get("doctor", {}).get("medical_id"))

    # ---- behind the scenes ----

    def healthmed(self, *arguments, check=True):
        """The command line with the environment of DIR/env; its output, or with check=False the process."""
        done = subprocess.run([self.env["HEALTHMED_BIN"], *map(str, arguments)], text=True, capture_output=True, check=False,
                              env={**_without_healthmed(), **self.env})
        assert not check or done.returncode == 0, f"healthmed {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
        return done.stdout if check else done

    def verify(self):
        """Fails with the offending rows when a promise is broken."""
        return self.healthmed("verify")

    def seed(self, *arguments):
        """`healthmed seed` with these arguments."""
        return self.healthmed("seed", *arguments)

    def sql(self, statement, *values):
        """One statement as the owner of the database; the rows, if it has any."""
        connection = psycopg2.connect(self.env["DATABASE_URL"])
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def nats(self, user="admin"):
        """A connection as admin, gateway, actor or reader."""
        return Nats((self.run / "secrets" / f"nats-{user}.url").read_text().strip(),
                    inbox="_INBOX_reader" if user == "reader" else "_INBOX")


def at_once(count, call):
    """call(0), call(1) … in threads that begin together; what they returned, in that order."""
    results, gate = [None] * count, threading.Barrier(count)

    def one(i):
        gate.wait(30)
        try:
            results[i] = call(i)
        except Exception as e:                  # shown by whoever looks at the results
            results[i] = e

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


LIKE_112233 = ["112233-MG ", " 112233-MG", "112233 -MG", "112233-MG\u00a0", "112233\u200b-MG", "112233\u2010MG"]


def cpf():
    """A random document number with right check digits."""
    digits = [secrets.randbelow(10) for _ in range(9)]
    for n in (10, 11):
        rest = sum(d * (n - i) for i, d in enumerate(digits)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits)) if len(set(digits)) > 1 else cpf()


def _header_names(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _without_healthmed():
    return {k: v for k, v in os.environ.items() if not k.startswith("HEALTHMED_")}
