"""A cluster: any one of its parts goes away, and it goes on."""
import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from stack import ROOT, Stack, wait_until

pytestmark = [pytest.mark.alone, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster():
    with Stack("--cluster", HEALTHMED_LIMIT_LOGINS="5", CLUSTER="1") as stack:      # as make passes it on
        yield stack


class Patients:
    """Some who book one slot after the other through the proxy, until told to stop.  As clients should,
    they ask again, with the same key, when they were told nothing or that it is not known."""

    def __init__(self, stack, count=3, slots=1000):
        made = json.loads(stack.seed("--doctors", count, "--patients", count, "--slots", slots, "--minutes", 5))
        self.stack, self.lock, self.end = stack, threading.Lock(), threading.Event()
        self.told, self.failures = [], []
        tokens = stack.tokens("patient", made["first_patient"], count)
        self.threads = [threading.Thread(target=self._life, args=(
            token, made["first_doctor"] + i, range(made["first_slot"] + i * slots, made["first_slot"] + (i + 1) * slots)))
            for i, token in enumerate(tokens)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for t in self.threads:
            t.join()

    def _life(self, token, doctor, slots):
        for slot in slots:
            key = str(uuid.uuid4())
            while not self.end.is_set():
                answer = self._ask(token, key, schedule_id=slot, doctor_id=doctor)
                if answer is not None and answer.status < 500:
                    with self.lock:
                        self.told.append((token, answer))
                    break
                self.end.wait(0.05)
            if self.end.wait(0.1):
                return

    def _ask(self, token, key, **body):
        try:
            answer = self.stack.post("/appointments", token, key=key, headers={"Prefer": "wait=2"}, **body)
        except (OSError, http.client.HTTPException) as e:
            answer = None
            self.failures.append(repr(e))
        else:
            if answer.status >= 500:
                self.failures.append(repr(answer))
        return answer

    def go_on(self, seconds):
        """Bookings are told 201 again, twice each of them, within that time."""
        before = len(self.told)
        wait_until(lambda: sum(a.status == 201 for _, a in self.told[before:]) >= 2 * len(self.threads), seconds,
                   f"bookings go on ({self.failures[-3:]})")

    def lost(self):
        """What was told as booked or accepted, and is not there."""
        return [a for token, a in self.told if not self._is_there(token, a)]

    def _is_there(self, token, answer):
        if answer.status == 201:
            return self.stack.get(f"/appointments/{answer.json['id']}", token).status == 200
        state = wait_until(lambda: (s := self.stack.get(f"/appointments/requests/{answer.json['request_id']}", token).json)
                           and s["status"] != "pending" and s, 10, "it is decided")
        return state["status"] == "booked"


def judge(cluster, patients):
    """Everybody was told 201 or 202 in the end, and all of that is there."""
    assert {a.status for _, a in patients.told} <= {201, 202}, [a for _, a in patients.told if a.status not in (201, 202)]
    assert patients.lost() == []
    wait_until(lambda: " 0 pending" in cluster.verify(), 10, "nothing is pending")


def primary(cluster):
    return (cluster.run / "primary").read_text().strip() if (cluster.run / "primary").exists() else "postgres"


def nats_leader(cluster, stream="BOOKING"):
    """The server that leads a stream, that of the mailboxes if none is named."""
    with cluster.nats() as nats:
        return nats.js(f"STREAM.INFO.{stream}")["cluster"]["leader"]


def await_calm(cluster):
    """Until each server has all of the mailboxes again: before that, they may still change their leader."""
    def replicas():
        with cluster.nats() as nats:
            return nats.js("STREAM.INFO.BOOKING")["cluster"]["replicas"]
    wait_until(lambda: all(r["current"] and not r.get("offline") for r in replicas()), 30, "the mailboxes are calm")


def await_well(stack):
    """Until every component is well; their names."""
    def lines():
        return [line.split(maxsplit=4) for line in stack.stack("status", check=False).splitlines()[1:]]
    wait_until(lambda: all(state[4:] and state[4].split(",")[0] == "well" for state in lines()), 15, "all are well")
    return [state[0] for state in lines()]


def test_all_is_well_and_there_are_two_or_three_of_each(cluster):
    names = await_well(cluster)
    assert [sum(n == kind or n.startswith(kind + "-") for n in names)
            for kind in ("postgres", "nats", "gateway", "actor-users", "actor-booking", "proxy")] == [3, 3, 2, 2, 2, 3]
    assert sorted(p.stem for p in (cluster.run / "pids").glob("*.pid")) == sorted(names)
    with cluster.nats() as nats:
        assert [nats.js(f"STREAM.INFO.{s}")["config"]["num_replicas"] for s in ("BOOKING", "EVENTS", "DEAD_LETTERS")] == [3] * 3


def login_from(cluster, address, **headers):
    """The status of an unreadable login that comes to the proxy from that address."""
    at = urlsplit(cluster.url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10, source_address=(address, 0))
    connection.request("POST", "/api/v1/users/login", b"{}", {"Content-Type": "application/json", **headers})
    status = connection.getresponse().status
    connection.close()
    return status


@contextlib.contextmanager
def proxy_of(configuration, tmp_path):
    """A proxy without gateways: where it listens."""
    (tmp_path / "haproxy.cfg").write_text(configuration)
    at, admin = free_address(), free_address()
    proxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", tmp_path / "haproxy.cfg"],
                             env={"PATH": os.environ["PATH"] + ":/usr/sbin", "LISTEN": "%s:%d" % at,
                                  "ADMIN": "%s:%d" % admin})
    try:
        wait_until(lambda: listens(at), 5, "it listens")
        yield at
    finally:
        proxy.kill()
        proxy.wait()


def test_a_body_that_does_not_come_is_a_problem_of_the_proxy(tmp_path):
    """With its own configuration, but for a patience of a second."""
    text = (ROOT / "web" / "haproxy.cfg").read_text().replace("timeout http-request 60s", "timeout http-request 1s")
    with proxy_of(text, tmp_path) as at, socket.create_connection(at, timeout=10) as connection:
        connection.sendall(b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        told = json.loads(answer.read())
    assert (answer.status, told["status"], told["code"]) == (408, 408, "unreadable")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_connection_of_a_while_ends_with_an_answer(tmp_path):
    """With the configuration of the proxies, but for a while of a second: so that connections even out among them."""
    text = (ROOT / "web" / "haproxy.cfg").read_text()
    assert text.count("ge 120 }") == 1
    with proxy_of(text.replace("ge 120 }", "ge 1 }"), tmp_path) as at:
        connection = http.client.HTTPConnection(*at, timeout=10)

        def ended():
            connection.request("GET", "/api/v1/users/me")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 503, "there is no gateway behind it"
            return answer.headers["Connection"] == "close"
        assert not ended(), "it has just begun"
        wait_until(ended, 5, "an answer ends it")


def free_address():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()


def listens(at):
    with socket.socket() as s:
        return s.connect_ex(at) == 0


def test_the_limits_behind_the_proxy_are_those_of_each_client(cluster):
    """Each of the two gateways takes five logins of an address, whatever the client says of it."""
    wait_until(lambda: login_from(cluster, "127.0.0.2") == 429 and login_from(cluster, "127.0.0.2") == 429, 5,
               "the first address has had enough")
    assert login_from(cluster, "127.0.0.3") == 422
    answers = [login_from(cluster, "127.0.0.4", **{"X-Forwarded-For": f"192.0.2.{i}"}) for i in range(12)]
    assert answers.count(422) == 10


def test_the_leader_of_the_mailboxes_may_be_killed(cluster):
    with Patients(cluster) as patients:
        patients.go_on(20)
        leader = nats_leader(cluster)
        cluster.kill(leader)
        patients.go_on(20)
        cluster.start(leader)
        patients.go_on(10)
    judge(cluster, patients)


def test_without_a_majority_of_the_brokers_reads_go_on_or_are_refused_and_nothing_accepted_is_missing(cluster):
    """Two of three are gone: no stream has a leader.  Each answer comes within its deadline, and all processes live."""
    doctor, slots = cluster.doctor_with_slots(4)
    patient, key = cluster.patient(), str(uuid.uuid4())
    assert cluster.post("/appointments", patient, schedule_id=slots[0], doctor_id=doctor.id).status == 201
    gone = ("nats-2", "nats-3")
    for name in gone:
        cluster.kill(name)
    told = []
    try:
        for prefer in ("wait=1", "wait=1", "respond-async"):
            begun = time.monotonic()
            answer = cluster.post("/appointments", patient, key=key, headers={"Prefer": prefer}, schedule_id=slots[1], doctor_id=doctor.id)
            told.append((answer.status, answer.code, time.monotonic() - begun))
            assert (answer.status, answer.code) in ((504, "outcome_unknown"), (503, "unavailable")), answer
        assert max(seconds for *_, seconds in told) < 15, told
        assert {cluster.admin(name, "/livez")[0] for name in ("gateway", "gateway-2", "actor-booking", "actor-users")} == {200}
        wait_until(lambda: cluster.get("/appointments", patient).status == 200, 15, "a read needs no stream")
    finally:
        for name in gone:
            cluster.start(name)
    answer = wait_until(lambda: (a := cluster.post("/appointments", patient, key=key, headers={"Prefer": "wait=5"}, schedule_id=slots[1],
                                                   doctor_id=doctor.id)).status == 201 and a, 40, "the key tells")
    assert cluster.sql("SELECT id FROM agenda.appointment WHERE slot_id = %s", slots[1]) == [(answer.json["id"],)]
    wait_until(lambda: " 0 pending" in cluster.verify(), 10, "nothing is pending")


def streams_of(cluster, server, what="last_seq"):
    """Of each stream, the last message that this server has, or how many."""
    account, = json.loads(cluster.admin(server, "/jsz?accounts=true&streams=true")[1])["account_details"]
    return {s["name"]: s["state"][what] for s in account["stream_detail"]}


def test_a_broker_that_comes_back_is_well_when_it_has_what_it_missed(cluster):
    """The next one may go then.  The server itself says that it is well while it still fetches."""
    await_calm(cluster)
    name = next(n for n in ("nats-2", "nats-3") if n != nats_leader(cluster, "EVENTS"))
    cluster.kill(name)
    with cluster.nats() as nats:
        for n in range(800):
            nats.stored("EVENTS", f"healthmed.v1.events.nobody.noticed.{n}", b"\x80" + bytes(30000))
    missed = streams_of(cluster, "nats")
    cluster.start(name)
    has = streams_of(cluster, name)
    assert {stream: seq for stream, seq in missed.items() if has[stream] < seq} == {}


def test_a_broker_whose_files_were_damaged_gets_its_copies_anew(cluster):
    """It leaves out what it cannot read, and calls itself well."""
    await_calm(cluster)
    name = next(n for n in ("nats-2", "nats-3") if n != nats_leader(cluster, "EVENTS"))
    assert streams_of(cluster, name)["EVENTS"] > 800, "what the test before this one has stored"
    cluster.stop(name)
    block = min((cluster.run / name / "jetstream").glob("*/streams/EVENTS/msgs/*.blk"), key=lambda f: int(f.stem))
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 0x10
    block.write_bytes(data)
    for index in block.parent.glob("*.idx"):    # as after a crash: without it all is read and checked
        index.unlink()
    assert f"{name} has damaged files (EVENTS has " in cluster.stack("start", name)
    with cluster.nats() as nats:
        whole = nats.js("STREAM.INFO.EVENTS")["state"]
    assert streams_of(cluster, name, "messages")["EVENTS"] == whole["messages"]
    await_well(cluster)


def test_a_gateway_may_be_killed(cluster):
    """The proxy repeats at the other one what was under way and has a key: no patient notices."""
    await_calm(cluster)
    with Patients(cluster) as patients:
        patients.go_on(10)
        cluster.kill("gateway")
        patients.go_on(5)
        cluster.start("gateway")
        patients.go_on(5)
    assert patients.failures == []
    judge(cluster, patients)


def test_whoever_has_no_key_is_told_that_the_outcome_is_not_known_when_a_gateway_dies(cluster):
    doctor, slots = cluster.doctor_with_slots(1)
    patient = cluster.patient()
    workers, gateways = ("actor-booking", "actor-booking-2"), ("gateway", "gateway-2")
    for name in workers:
        cluster.stop(name)
    with ThreadPoolExecutor() as pool:
        booking = pool.submit(cluster.post, "/appointments", patient, headers={"Prefer": "wait=20"},
                              schedule_id=slots[0], doctor_id=doctor.id)
        wait_until(lambda: sum(cluster.metric(name, "http_waiting") for name in gateways) == 1, 5, "a gateway waits")
        for name in gateways:
            cluster.kill(name)
        answer = booking.result()
    assert (answer.status, answer.code) == (504, "outcome_unknown")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert cluster.post("/appointments", patient).code == "unavailable", "no gateway is left"
    for name in workers + gateways:
        cluster.start(name)
    wait_until(lambda: len(cluster.get("/appointments", patient).json) == 1, 10, "it was accepted, and is decided")


def test_the_primary_may_be_lost_and_a_standby_promoted(cluster):
    with Patients(cluster) as patients:
        patients.go_on(10)
        cluster.kill("postgres")
        cluster.promote("postgres-2")
        patients.go_on(10)
        cluster.start("postgres")               # it comes back as a standby
        patients.go_on(10)
    judge(cluster, patients)
    assert primary(cluster) == "postgres-2"
    assert cluster.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(2,)]


def test_only_a_standby_that_has_everything_is_promoted(cluster):
    """One that was away may lack what the other confirmed."""
    one, other = [n for n in ("postgres", "postgres-2", "postgres-3") if n != primary(cluster)]
    cluster.stop(one)
    assert f"{one} does not run" in cluster.stack("promote", other, check=False)
    assert f"no standby '{primary(cluster)}'" in cluster.stack("promote", primary(cluster), check=False)
    cluster.start(one)
    await_well(cluster)


def test_a_commit_that_no_standby_has_confirmed_is_told_to_nobody(cluster):
    """The primary dies while the commit waits for a standby, and has it when it is back: alone."""
    doctor, slots = cluster.doctor_with_slots(1)
    patient, first = cluster.patient(), primary(cluster)
    others = [n for n in ("postgres", "postgres-2", "postgres-3") if n != first]
    for name in others:
        cluster.stop(name)
    with ThreadPoolExecutor() as pool:
        booking = pool.submit(cluster.post, "/appointments", patient, headers={"Prefer": "wait=7"},
                              schedule_id=slots[0], doctor_id=doctor.id)
        wait_until(lambda: cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")[0][0], 5,
                   "a commit waits for a standby")
        cluster.kill(first)
        cluster.start(first)
        assert cluster.sql("SELECT status::text FROM agenda.request WHERE doctor_id = %s AND slot_id = %s"
                           " AND appointment_id IS NOT NULL", doctor.id, slots[0]) == [("booked",)]
        answer = booking.result()
    assert answer.status == 202, answer
    for name in others:
        cluster.start(name)
    wait_until(lambda: cluster.get(f"/appointments/requests/{answer.json['request_id']}", patient).json["status"] == "booked",
               10, "it is confirmed and told")
    cluster.verify()


def test_the_data_of_one_server_do_not_become_a_cluster(stack):
    assert "is of one server, not of a cluster" in stack.stack("up", "--cluster", check=False)
    await_well(stack)
