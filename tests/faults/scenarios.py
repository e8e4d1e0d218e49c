"""What is broken under load: a table, a row a scenario, a small function for each way to break and to mend.

A function gets the stack and its load, breaks something, and returns when it is mended.  Between the two it waits
until the load goes on: that is the point.
"""
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Callable, NamedTuple

from stack import BIN, ROOT, wait_until

TEST_BIN = os.environ.get("HEALTHMED_TEST_BIN", str(ROOT / "build" / "mutants" / "healthmed"))
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
POINTS = ("after_lock", "before_commit", "in_commit", "after_commit", "before_outcome")
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
    stack.environment["HEALTHMED_BIN"] = str(wrapper)
    try:
        stack.stack("start", name, check=False)     # it may die before it is well
    finally:
        del stack.environment["HEALTHMED_BIN"]


def state_of(pid):
    """Of a process: R, S, T (stopped), Z; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


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


def leader_frozen(stack, load):
    pid = stack.pid(leader(stack))
    load.mark()
    os.kill(pid, signal.SIGSTOP)
    try:
        load.go_on()
    finally:
        os.kill(pid, signal.SIGCONT)
    load.go_on()


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
    names = [f"nats{n}" for n in ("", "-2", "-3")]
    for name in names:
        stack.kill(name)
    time.sleep(1)                               # the platform notices
    starts = [threading.Thread(target=stack.stack, args=("start", name), kwargs={"check": False}) for name in names]
    for t in starts:
        t.start()
    for t in starts:
        t.join()
    stack.up()
    load.mark()
    load.go_on()


def stream_deleted(stack, load):
    load.mark()
    with stack.nats() as nats:
        nats.js("STREAM.DELETE.BOOKING")
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


def poisoned(stack, load):
    """Messages that are no commands, in mailboxes of those in demand; and a patient whom the database refuses."""
    bad = load.people["patient"][-2]
    stack.sql(f"ALTER TABLE agenda.appointment ADD CONSTRAINT planted CHECK (patient_id <> {bad.id}) NOT VALID")
    try:
        load.mark()
        with stack.nats() as nats:
            for doctor in load.hot:
                partition = load.partition_of(doctor)
                for body, headers in ((b"", {}), (b"\xdf\xff\xff\xff\xff", {"Healthmed-Call": "booking.book"})):
                    nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.{doctor}", body, headers)
                nats.stored("BOOKING", f"healthmed.v1.booking.{partition}.no-number", b"junk", {})
                answer = stack.post("/appointments", bad, schedule_id=load.slots[doctor][-1], doctor_id=doctor, key=str(uuid.uuid4()))
                assert (answer.status, answer.code) == (500, "failed"), answer
        load.go_on()
    finally:
        stack.sql("ALTER TABLE agenda.appointment DROP CONSTRAINT planted")
    load.go_on()


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
    """Everything but the proxy, one after the other."""
    load.mark()
    for name in [line.split()[0] for line in stack.stack("status", check=False).splitlines()[1:]]:
        if name not in ("proxy", primary(stack)):
            stack.stop(name)
            stack.start(name)
            load.go_on(2)
    primary_killed(stack, load)


# ---- the table ----

class Row(NamedTuple):
    name: str
    sentence: str
    bound: float | None                         # seconds that the longest gap may last
    fault: Callable
    needs: tuple = ()                           # root, faketime, history
    brief: bool = False                         # one of the selection of `make test`


SCENARIOS = [
    Row("calm", "nothing happens", 1, nothing),
    Row("gateway", "a gateway is killed", 1, killed("gateway"), brief=True),
    *(Row(f"actor-{d}", f"an actor of {d} is killed", 1, killed(f"actor-{d}"), brief=d == "appointments") for d in DOMAINS),
    Row("actor-booking", "an owner of mailboxes is killed", 2, killed("actor-booking"), brief=True),
    *(Row(f"crash-{p}", f"an owner dies {p.replace('_', ' ')}", 2, crashes_at(p), brief=p == "in_commit") for p in POINTS),
    Row("owner-frozen", "an owner freezes between read and commit, and wakes", 4, owner_frozen, brief=True),
    Row("clock-ahead", "the clock of an owner is ten minutes ahead", 2, clock_off(600), ("faketime",)),
    Row("clock-behind", "the clock of an owner is ten minutes behind", 2, clock_off(-600), ("faketime",)),
    Row("poison", "mailboxes are poisoned", 2, poisoned, brief=True),
    Row("redis", "Redis is killed", 1, killed("redis")),
    Row("standby", "a standby is killed", 2, standby_killed),
    Row("primary", "the primary is killed and a standby promoted", 5, primary_killed, brief=True),
    *(Row(f"nats{n}", f"NATS server {n[1:] or '1'} is killed", 10, killed(f"nats{n}")) for n in ("", "-2", "-3")),
    Row("nats-leader", "the leader of the mailboxes is killed, three times", 10, leader_killed(3)),
    Row("nats-frozen", "the leader of the mailboxes freezes, and wakes", None, leader_frozen),
    Row("nats-all", "all NATS servers are killed", None, cluster_killed),
    Row("stream-deleted", "the stream of the mailboxes is deleted", 10, stream_deleted),
    Row("bit-flipped", "a bit of the stream's file is flipped", 10, block_flipped),
    Row("restarts", "everything is restarted, one after the other", 10, restarted),
]
