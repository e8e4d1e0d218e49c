"""Where scenarios take place: a cluster that many share, or one of their own, made in a special way.

A ground is a context manager that gives a running Stack.  What it needs of the machine it takes on entering and
gives back on leaving: networks and small disks, as root.
"""
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from stack import ROOT, Stack

TEST_BIN = os.environ.get("MUTANTS_BIN", str(ROOT / "build" / "mutants" / "healthmed"))
PREVIOUS = Path(os.environ.get("FAULTS_PREVIOUS", ROOT / "build" / "previous"))
NATS = ("nats", "nats-2", "nats-3")


def run(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def cluster(**environment):
    return Stack("--cluster", **environment)


def mutant(rule):
    """One server of each, two workers, and one rule of the mailbox switched off."""
    return lambda: Stack("--workers", "2", HEALTHMED_BIN=TEST_BIN, MUTANT=rule)


@contextlib.contextmanager
def apart():
    """A cluster whose third NATS server is in a network of its own, at the end of a cable: stack.cable."""
    name = f"healthmed-{os.getpid()}"
    cable, here, there = f"hm{os.getpid()}", "169.254.77.1", "169.254.77.2"
    shims = tempfile.mkdtemp(prefix="healthmed-path-")
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", name)
        run("ip", "addr", "add", f"{here}/30", "dev", cable)
        run("ip", "link", "set", cable, "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{there}/30", "dev", "cable"), ("link", "set", "cable", "up")):
            run("ip", "-n", name, *words)
        shim = Path(shims) / "nats-server"
        shim.write_text(f'#!/bin/sh\n[ "$NATS_NAME" = nats-3 ] || exec {shutil.which("nats-server")} "$@"\n'
                        f'exec nsenter --net=/run/netns/{name} {shutil.which("nats-server")} "$@"\n')
        shim.chmod(0o755)
        with cluster(STACK_HOSTS=f"nats-3={there}", PATH=f"{shims}:{os.environ['PATH']}") as stack:
            stack.cable, stack.network, stack.here = cable, name, here
            yield stack
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)     # and the cable with it
        shutil.rmtree(shims)


@contextlib.contextmanager
def small_disk():
    """A cluster whose NATS servers share a small disk: stack.disk."""
    stack = cluster()
    disk = stack.dir / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=192m,mode=711", "healthmed", disk)
    stack.run.mkdir()
    try:
        for name in NATS:
            (disk / name).mkdir()
            (stack.run / name).symlink_to(disk / name)
        stack.disk = disk
        with stack:
            yield stack
    finally:
        run("umount", "-l", disk)
        shutil.rmtree(stack.dir, ignore_errors=True)


def previous_commit():
    """Of the release before this one: the last tag, or what the file `previous` names; None without a history."""
    def known(*words):
        done = subprocess.run(["git", "-C", ROOT, *words], check=False, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None
    recorded = (Path(__file__).parent / "previous").read_text().split()[0]
    return known("describe", "--tags", "--abbrev=0", "HEAD^") or known("rev-parse", "--verify", "--quiet", f"{recorded}^{{commit}}")


def build_previous():
    """The program and ./stack of the release before this one, once."""
    commit = previous_commit()
    stamp = PREVIOUS / "commit"
    if not stamp.exists() or stamp.read_text() != commit:
        shutil.rmtree(PREVIOUS, ignore_errors=True)
        PREVIOUS.mkdir(parents=True)
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", PREVIOUS], input=archive, check=True)
        clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "HEALTHMED_BIN")}
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", PREVIOUS, "all"], check=True, env=clean)
        stamp.write_text(commit)
    return PREVIOUS


@contextlib.contextmanager
def former_release():
    """A cluster as the release before this one starts it; whatever is started later is of this one."""
    place = build_previous()
    stack = cluster(HEALTHMED_BIN=str(place / "build" / "healthmed"))
    stack.script, script = place / "stack", stack.script
    with stack:
        stack.script = script
        del stack.environment["HEALTHMED_BIN"]
        yield stack
