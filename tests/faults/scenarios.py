"""What is broken under load: a table, a row a scenario, a small function for each way to break and to mend.

A function gets the stack and its load, breaks something, and returns when it is mended.  Between the two it waits
until the load goes on: that is the point.
"""
import base64
import contextlib
import json
import os
import random
import signal
import struct
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Callable, NamedTuple

import msgpack
import psycopg2

import grounds
from grounds import NATS, TEST_BIN
from load import Asker, Wish, partition_of
from growth import Sampler
from natsclient import ApiError, Timeout
from stack import BIN, ROOT, wait_until

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
POINTS = ("after_lock", "before_commit", "in_commit", "after_commit", "before_outcome")
GATEWAY_THREADS = 480                           # a few less than it has
DOMAINS = ("users", "schedules", "appointments", "reviews", "reports", "files")


# ---- tools ----

def primary(stack):
    file = stack.run / "primary"
    return file.read_text().strip() if file.exists() else "postgres"


def standbys(stack):
    return [n for n in ("postgres", "postgres-2", "postgres-3") if n != primary(stack)]


def leader(stack):
    """The server that leads the stream of the mailboxes."""
    def found():
        try:
            with stack.nats() as nats:
                return nats.js("STREAM.INFO.BOOKING")["cluster"].get("leader")
        except Exception:                       # one that is ending, or has no leader yet
            return None
    return wait_until(found, 30, "BOOKING has a leader")


def start_as(stack, name, binary, **environment):
    """Starts a component with another program, or with more in its environment."""
    wrapper = stack.dir / f"{name}-as"
    settings = "".join(f"export {k}='{v}'\n" for k, v in environment.items())
    wrapper.write_text(f"#!/bin/sh\n{settings}exec '{binary}' \"$@\"\n")
    wrapper.chmod(0o755)
    usual = stack.environment.copy()
    stack.environment["HEALTHMED_BIN"] = str(wrapper)
    try:
        stack.stack("start", name, check=False)     # it may die before it is well
    finally:
        stack.environment = usual


def tests_of(rule):
    """Those of processes that tests/mutants.txt names for a rule."""
    lines = [line.split() for line in (ROOT / "tests" / "mutants.txt").read_text().splitlines()]
    return tuple(test for name, *tests in lines if name == rule for test in tests if ".py" in test)


def components(stack):
    return [line.split()[0] for line in stack.stack("status", check=False).splitlines()[1:]]


def state_of(pid):
    """Of a process: R, S, T (stopped), Z; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def outsider(stack):
    """The token of somebody of whom the journal does not know."""
    return stack.token("patient", json.loads(stack.seed("--patients", 1))["first_patient"])


def asked(stack, who, doctor, slot, key):
    """What is told who does not wait for the outcome of a booking."""
    return stack.post("/appointments", who, key=key, headers={"Prefer": "respond-async"}, schedule_id=slot, doctor_id=doctor)


# ---- faults ----

def nothing(stack, load):
    load.go_on(40)


def killed(name):
    def fault(stack, load):
        load.mark()
        stack.kill(name)
        load.go_on()
        stack.start(name)
        load.go_on()
    return fault


def leader_killed(times):
    def fault(stack, load):
        load.mark()
        for _ in range(times):
            name = leader(stack)
            stack.kill(name)
            load.go_on()
            stack.start(name)
            load.go_on(5)
    return fault


def primary_killed(stack, load):
    """The gap counts from the command that promotes a standby."""
    former, heir = primary(stack), standbys(stack)[0]
    stack.kill(former)
    load.mark()
    stack.promote(heir)
    load.go_on()
    stack.start(former)
    load.go_on()


def standby_killed(stack, load):
    killed(standbys(stack)[0])(stack, load)


def frozen(name, times=15, seconds=45):
    def fault(stack, load):
        pid = stack.pid(name)
        load.mark()
        os.kill(pid, signal.SIGSTOP)
        try:
            load.go_on(times, seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        load.go_on()
    return fault


def leader_frozen(stack, load):
    """Others keep sending it a share of what is asked, until they miss it."""
    frozen(leader(stack), times=3, seconds=120)(stack, load)


def owner_frozen(stack, load):
    """Between what it reads and what it commits; when it wakes, others have gone on."""
    stack.stop("actor-booking")
    start_as(stack, "actor-booking", TEST_BIN, FREEZE="before_commit 20")
    pid = stack.pid("actor-booking")
    wait_until(lambda: state_of(pid) == "T", 20, "the owner is frozen")
    load.mark()
    load.go_on()
    os.kill(pid, signal.SIGCONT)
    load.go_on()
    stack.stop("actor-booking")
    stack.start("actor-booking")
    load.go_on(5)


def crashes_at(point):
    def fault(stack, load):
        stack.stop("actor-booking")
        load.mark()
        for passes in (1, 7, 23):
            start_as(stack, "actor-booking", TEST_BIN, CRASH=f"{point} {passes}")
            pid = stack.pid("actor-booking")
            wait_until(lambda pid=pid: state_of(pid) in (None, "Z"), 30, f"it died at {point}")
            stack.stop("actor-booking")         # forget it
            load.go_on(5)
        stack.start("actor-booking")
        load.go_on()
    return fault


def cluster_killed(stack, load):
    for name in NATS:
        stack.kill(name)
    load.mark()
    stack.up()
    load.go_on()


def stream_deleted(stack, load):
    """Sequences begin anew, far below what the cursors remember.  Whoever asks again hides what was overlooked there:
    so somebody is told 202 and trusts in that, and the journal does not know of him.  `verify` does."""
    load.go_on(40)
    somebody, doctor, key = outsider(stack), load.hot[0], str(uuid.uuid4())
    load.mark()
    with stack.nats() as nats:
        nats.js("STREAM.DELETE.BOOKING")
    wait_until(lambda: asked(stack, somebody, doctor, load.slots[doctor][-1], key).status == 202, 20, "it is accepted")
    load.go_on()


def block_flipped(stack, load):
    """A bit of the stream's file on the disk of its leader, in the midst of it."""
    name = leader(stack)
    load.mark()
    stack.kill(name)
    blocks = [f for f in (stack.run / name / "jetstream").glob("*/streams/BOOKING/msgs/*.blk") if f.stat().st_size > 0]
    block = max(blocks, key=lambda f: int(f.stem))
    data = bytearray(block.read_bytes())
    data[len(data) * 2 // 3] ^= 0x10
    block.write_bytes(data)
    for index in block.parent.glob("*.idx"):
        index.unlink()
    load.go_on()
    stack.start(name)
    load.go_on()
    if leader(stack) != name:                   # and when it leads
        stack.kill(leader(stack))
        load.go_on()
        stack.up()
        load.go_on()


def workers(stack):
    return [name for name in components(stack) if name.startswith("actor-booking")]


def poisoned(stack, load):
    """Messages that are no commands, in mailboxes of those in demand; and a patient whom the database refuses, in
    one batch with somebody else: the workers are held until all are there."""
    bad, good, pids = load.people["patient"][-2], outsider(stack), [stack.pid(name) for name in workers(stack)]
    stack.sql(f"ALTER TABLE agenda.appointment ADD CONSTRAINT planted CHECK (patient_id <> {bad.id}) NOT VALID")
    load.mark()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with stack.nats() as nats:
            for doctor in load.hot:
                subject = f"healthmed.v1.booking.{partition_of(doctor)}"
                nats.stored("BOOKING", f"{subject}.{doctor}", b"", {})
                nats.stored("BOOKING", f"{subject}.{doctor}", b"\xdf\xff\xff\xff\xff", {"Healthmed-Call": "booking.book"})
                nats.stored("BOOKING", f"{subject}.no-number", b"junk", {})
        wishes = [(who, doctor, load.slots[doctor][slot]) for doctor in load.hot for who, slot in ((bad, -1), (good, -2))]
        told = [(who, asked(stack, who, doctor, slot, str(uuid.uuid4())).json) for who, doctor, slot in wishes]
        load.poisoned = len(load.hot)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for who, pending in told:
        path = f"/appointments/requests/{pending['request_id']}"
        wait_until(lambda who=who, path=path: stack.get(path, who).json["status"] != "pending", 10, "it is decided")
    stack.sql("ALTER TABLE agenda.appointment DROP CONSTRAINT planted")
    load.go_on()


def in_a_foreign_name(stack, load):
    """A gateway that has gone mad tells a mailbox that somebody cancels what somebody else has booked."""
    load.mark()
    (patient, stranger), doctor = load.people["patient"][-4:-2], load.hot[0]
    booked = load.wish_to_book(patient, doctor, load.slots[doctor][-1])
    load.fulfil(booked)
    nonce = uuid.uuid4()
    request = base64.urlsafe_b64encode(struct.pack(">Q", doctor) + nonce.bytes + bytes(8)).rstrip(b"=").decode()
    with stack.nats() as nats:
        nats.stored("BOOKING", f"healthmed.v1.booking.{partition_of(doctor)}.{doctor}",
                    msgpack.packb({"id": booked.told.json["id"], "doctor_id": doctor, "reason": "a cold"}),
                    {"Healthmed-Call": "booking.cancel", "Healthmed-Request": request, "Healthmed-Role": "patient",
                     "Healthmed-User": str(stranger.id)})
    wait_until(lambda: stack.sql("SELECT id FROM agenda.request WHERE id = %s", str(nonce)), 10, "it is decided")
    load.go_on()


def apart(stack, load):
    """Two doctors whose mailboxes two workers own."""
    owner = dict(stack.sql("SELECT objid::integer, pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7002 AND granted"))
    one = load.hot[0]
    return one, next(d for d in load.doctors if owner[partition_of(d)] != owner[partition_of(one)])


def swapped(stack, load):
    """Two patients move to each other's doctor, and two others ask for the slots that they leave.  Each worker has
    one of both, and reads all before the other writes any: it is held twice, the first time with something else in
    hand until it has these two commands before it, the second time with them in hand."""
    one, two = apart(stack, load)
    ana, rui, eva, ivo = load.people["patient"][-6:-2]
    doctors, slots, wish = {d.id: d for d in load.people["doctor"]}, load.slots, load.wish_to_book
    with load.hushed(), RequestsLocked(stack) as first, RequestsLocked(stack) as second:
        homes = wish(ana, one, slots[one][-1]), wish(rui, two, slots[two][-1])
        load.fulfil(*homes)
        plugs = [Wish(doctors[d], "edit", "PUT", f"/schedules/{slots[d][-1]}", {"active": True}, load.lane(d), slots[d][-1], d)
                 for d in (one, two)]
        wishes = [Wish(home.who, "reschedule", "PUT", f"/appointments/{home.told.json['id']}",
                       {"schedule_id": slots[to][-2], "doctor_id": to}, load.lane(to), slots[to][-2], to, home.told.json["id"])
                  for home, to in zip(homes, (two, one))]
        wishes += [wish(eva, one, slots[one][-1]), wish(ivo, two, slots[two][-1])]
        askers = [threading.Thread(target=load.fulfil, args=some) for some in (plugs, wishes)]
        first.start()
        first.join()
        for asking, some in zip(askers, (plugs, wishes)):
            asking.start()
            wait_until(lambda some=some: all(w.tries and w.tries[0].heard for w in some), 10, "they are accepted")
        second.start()
        wait_until(lambda: waiting(stack, "healthmed") == 1, 5, "the second lock is next")
        first.release()
        second.join()
        wait_until(lambda: waiting(stack, "healthmed_booking") == 2, 5, "both workers are held")
        second.release()
        for asking in askers:
            asking.join()
    load.go_on()


class RequestsLocked:
    """Once it is there, workers decide and cannot write what they decided."""

    def __init__(self, stack):
        self.connection = psycopg2.connect(stack.env["DATABASE_URL"])
        self.locking = threading.Thread(target=self.connection.cursor().execute, args=("LOCK TABLE agenda.request IN SHARE MODE",))
        self.start, self.join, self.release = self.locking.start, self.locking.join, self.connection.close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


def waiting(stack, user):
    """How many sessions of a user wait for a lock."""
    return stack.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'", user)[0][0]


def clock_off(seconds):
    def fault(stack, load):
        stack.stop("actor-booking")
        load.mark()
        start_as(stack, "actor-booking", BIN, LD_PRELOAD=FAKETIME, FAKETIME=f"{seconds:+d}", FAKETIME_DONT_FAKE_MONOTONIC="1")
        load.go_on(40)
        stack.kill("actor-booking")
        stack.start("actor-booking")
        load.go_on()
    return fault


def restarted(stack, load):
    """Everything, one after the other."""
    load.mark()
    for name in components(stack):
        if name != primary(stack):
            stack.stop(name)
            stack.start(name)
            load.go_on(2)
    primary_killed(stack, load)


def lead(stack, name):
    """Has that server lead the stream of the mailboxes."""
    def led():
        if leader(stack) == name:
            return True
        with contextlib.suppress(ApiError, Timeout), stack.nats() as nats:
            nats.js("STREAM.LEADER.STEPDOWN.BOOKING")
        time.sleep(0.5)                         # the others vote
        return False
    wait_until(led, 60, f"{name} leads")


def cut_off(command, mend):
    """The leader, by what these commands of `ip` do to its network."""
    def fault(stack, load):
        words = {"network": stack.network, "cable": stack.cable, "here": stack.here}
        lead(stack, "nats-3")
        load.go_on(5)
        load.mark()
        grounds.run("ip", *command.format(**words).split())
        load.go_on()
        grounds.run("ip", *mend.format(**words).split())
        load.go_on()
        lead(stack, "nats-3")
        load.go_on()
    return fault


def disk_full(stack, load):
    """Nothing more can be written, for a while; whoever was hurt is restarted when there is room again."""
    ballast = stack.disk / "ballast"
    with ballast.open("wb") as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass
    refused = time.monotonic() + 8
    wait_until(lambda: time.monotonic() > refused or not load.lanes_alive(2), 10)
    ballast.unlink()
    for name in NATS:
        stack.stop(name)
        stack.start(name)
    load.mark()
    load.go_on()


def upgraded(stack, load):
    """First the schema, then one process after the other."""
    stack.env["HEALTHMED_BIN"] = BIN
    stack.healthmed("migrate")
    load.go_on(10)
    load.mark()
    for name in components(stack):
        if name.startswith(("actor", "gateway", "nats")):
            stack.stop(name)
            stack.start(name)
            load.go_on(2)
    load.go_on()


def commits_alone(stack, load):
    """A control: commits that no standby has are answered, and then the primary is lost."""
    former = primary(stack)
    as_root = ["psql", "-h", str((stack.run / "postgres").resolve()), "-p", "5432", "-U", "postgres", "-qAtX"]
    for statement in ("ALTER SYSTEM SET synchronous_commit = local", "SELECT pg_reload_conf()"):
        grounds.run(*as_root, "-c", statement)
    for name in standbys(stack):
        stack.kill(name)
    load.go_on()
    stack.kill(former)
    for name in standbys(stack):
        stack.start(name)
    for name in standbys(stack):                # the one that has all that the other has
        if "is the primary" in stack.stack("promote", name, check=False):
            break
    load.go_on()


def cancelled(stack, load):
    """Statements of the booking workers, once each batch that waits for its cursors."""
    load.mark()
    for _ in range(6):
        with contextlib.closing(psycopg2.connect(stack.env["DATABASE_URL"])) as other:
            other.cursor().execute("SELECT FROM agenda.cursor FOR UPDATE")
            wait_until(lambda: stack.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                         " AND usename = 'healthmed_booking'"), 5, "a worker waits")
        load.go_on(2)


def warm_up(stack, load):
    """Every thread of the gateways has served somebody who has had as much as anybody will have, so that it has touched
    the memory that it needs."""
    asker, patient, doctor = Asker(), load.people["patient"][-3], load.hot[0]
    for _ in range(50):
        booked = load.wish_to_book(patient, doctor, load.slots[doctor][-1])
        load.fulfil(booked)
        id = booked.told.json["id"]
        load.fulfil(Wish(patient, "cancel", "POST", f"/appointments/{id}/cancel", {"reason": "a cold"}, booked.lane, None, doctor, id))
    for gateway in stack.urls:
        for path in ("/appointments", f"/doctors/{load.hot[0]}/slots"):
            tries = [asker.send(Wish(patient, "read", "GET", path), gateway, n) for n in range(GATEWAY_THREADS)]
            for n, t in enumerate(tries):
                asker.hear(t, n)
    asker.close()


def storm(stack, load):
    """A fault every twenty seconds, drawn by chance, for ten minutes."""
    rnd, began = random.Random(), time.monotonic()
    seconds, every = int(os.environ.get("STORM_SECONDS", "600")), 20
    gales = [killed(name) for name in components(stack) if name.startswith(("gateway", "actor", "proxy", "redis", "nats"))]
    gales += [standby_killed, primary_killed, leader_frozen, cancelled]
    warm_up(stack, load)
    with Sampler(stack) as sampler:
        for n in range(seconds // every):
            rnd.choice(gales)(stack, load)
            left = began + (n + 1) * every - time.monotonic()
            load.go_on(2)
            load.stopped.wait(max(0, left))
            print(f"    {n + 1} of {seconds // every} faults, {len(load.journal)} wishes", file=sys.stderr, flush=True)
    growing = sampler.report()
    assert not growing, "grows: " + ", ".join(growing)


# ---- the table ----

class Row(NamedTuple):
    name: str
    sentence: str
    bound: float | None                         # seconds that the longest gap may last
    fault: Callable
    needs: tuple = ()                           # root, faketime, history
    brief: bool = False                         # one of the selection of `make test`
    ground: Callable | None = None              # its own; None: the cluster that all share
    caught: bool = False                        # a control: something is wrong, and the oracle must say so
    alone: bool = False                         # only when it is asked for
    tests: tuple = ()                           # which drive it instead of a load, and notice it
    patience: int = 60                          # seconds until a wish without an outcome is a lost one


SCENARIOS = [
    Row("calm", "nothing happens", 1, nothing),
    Row("gateway", "a gateway is killed", 1, killed("gateway"), brief=True),
    Row("reader-frozen", "an actor of appointments freezes, and wakes", 12, frozen("actor-appointments")),
    Row("proxy", "a proxy is killed", 1, killed("proxy-2")),
    *(Row(f"actor-{d}", f"an actor of {d} is killed", 1, killed(f"actor-{d}"), brief=d == "appointments") for d in DOMAINS),
    Row("actor-booking", "an owner of mailboxes is killed", 2, killed("actor-booking"), brief=True),
    *(Row(f"crash-{p}", f"an owner dies {p.replace('_', ' ')}", 2, crashes_at(p), brief=p == "in_commit") for p in POINTS),
    Row("owner-frozen", "an owner freezes between read and commit, and wakes", 4, owner_frozen, brief=True),
    Row("clock-ahead", "the clock of an owner is ten minutes ahead", 2, clock_off(600), ("faketime",)),
    Row("clock-behind", "the clock of an owner is ten minutes behind", 2, clock_off(-600), ("faketime",)),
    Row("poison", "mailboxes are poisoned", 2, poisoned, brief=True),
    Row("cancelled", "statements of the owners are cancelled", 2, cancelled),
    Row("foreign-name", "a gateway goes mad and asks in a foreign name", 2, in_a_foreign_name),
    Row("swapped", "two move to each other's doctor, others to where they were", 2, swapped),
    Row("redis", "Redis is killed", 1, killed("redis")),
    Row("standby", "a standby is killed", 2, standby_killed),
    Row("primary", "the primary is killed and a standby promoted", 5, primary_killed, brief=True),
    *(Row(f"nats{n}", f"NATS server {n[1:] or '1'} is killed", 10, killed(f"nats{n}")) for n in ("", "-2", "-3")),
    Row("nats-leader", "the leader of the mailboxes is killed, three times", 10, leader_killed(3)),
    Row("nats-frozen", "the leader of the mailboxes freezes, and wakes", None, leader_frozen),
    Row("nats-all", "all NATS servers are killed", None, cluster_killed),
    Row("stream-deleted", "the stream of the mailboxes is deleted", 10, stream_deleted),
    Row("bit-flipped", "a bit of the stream's file is flipped", 20, block_flipped),
    Row("restarts", "everything is restarted, one after the other", 10, restarted),
    Row("nats-apart", "the cable of the mailboxes' leader is cut", None,
        cut_off("link set {cable} down", "link set {cable} up"), ("root",), ground=grounds.apart),
    Row("nats-mute", "what the mailboxes' leader says gets lost, and what it is told does not", None,
        cut_off("-n {network} route add blackhole {here}/32", "-n {network} route del blackhole {here}/32"), ("root",), ground=grounds.apart),
    Row("disk-full", "the disk of the NATS servers is full", None, disk_full, ("root",), ground=grounds.small_disk),
    Row("upgrade", "the release before this one is replaced by this one", None, upgraded, ("history",), ground=grounds.former_release),
    Row("storm", "a fault every twenty seconds, for ten minutes", None, storm, alone=True),
    Row("calm-alone", "nothing happens, on one server of each and a build for tests", 1, nothing, ground=grounds.mutant("none")),
    Row("control-commits", "commits are answered that no standby has", None, commits_alone, ground=grounds.cluster, caught=True, patience=10),
    *(Row(f"control-{rule}", f"without the rule {rule}", None, fault, ground=grounds.mutant(rule), caught=True, patience=8,
          brief=rule in ("slot_once", "request_once"))
      for rule, fault in {
          "doctor_of_command": nothing, "slot_once": nothing, "patient_once": nothing, "slot_time": nothing,
          "slot_booked": nothing, "transition": nothing, "has_report": nothing, "request_once": nothing,
          "body_of_request": nothing, "patient_locks": nothing, "cursor_identity": stream_deleted, "bisect": poisoned,
          "retry_outage": cancelled, "owner_of_command": in_a_foreign_name, "former_cursor": swapped}.items()),
    *(Row(f"control-{rule}", f"without the rule {rule}", None, None, caught=True, tests=tests_of(rule))
      for rule in ("gone", "cursor_fence", "lock_order")),
]
