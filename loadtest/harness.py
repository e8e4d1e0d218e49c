"""harness.py - what the benchmark and the load tests share: a private stack, and looks at the machine.

Must not know what is measured.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / os.environ.get("B", "build")
RESULTS = HERE / "results"
TICK = os.sysconf("SC_CLK_TCK")
EXIT_AWAY = 69


class Broken(Exception):
    """Says in one line why there is no figure."""


class Away(Broken):
    """What is to be measured does not start."""


def say(text=""):
    print(text, flush=True)


def run(argv, env=None, **more):
    """Runs it to its end; what it prints is the value."""
    done = subprocess.run([str(a) for a in argv], env=env, text=True, capture_output=True, **more)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Broken(f"{Path(argv[0]).name} ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout


# ---- the stack ---------------------------------------------------------------------------


class Stack:
    """One private stack: its folder, its environment, its processes."""

    def __init__(self, build=BUILD, options=(), settings=None):
        self.folder = Path(tempfile.mkdtemp(prefix="healthmed-load."))
        self.folder.chmod(0o711)                # PostgreSQL runs as another user when we are root
        self.binary = build / "healthmed"
        self.load = build / "loadtest" / "load"
        self.options, self.settings = options, settings or {}
        self.env = {}

    def call(self, *argv, **more):
        limits = ("REGISTRATIONS", "LOGINS", "REQUESTS")    # all requests come from one address
        env = {k: v for k, v in os.environ.items() if not k.startswith("HEALTHMED_")}
        env.update({f"HEALTHMED_LIMIT_{name}": "1000000000" for name in limits})
        env.update({k: str(v) for k, v in self.settings.items()})
        env["HEALTHMED_BIN"] = str(self.binary)
        return subprocess.run([ROOT / "stack", argv[0], self.folder, *argv[1:]], env=env,
                              stdout=sys.stderr, check=False, **more).returncode

    def up(self):
        if self.call("up", "--no-demo", "--listen", "127.0.0.1:0", *self.options):
            raise Away("the stack does not start: see above")
        script = f'set -a; . "{self.folder}/env"; exec env -0'
        pairs = run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}).split("\0")
        self.env = dict(os.environ, **dict(p.split("=", 1) for p in pairs if "=" in p))

    def down(self, keep=False):
        self.call("down")
        if keep:
            say(f"kept: {self.folder}")
            return
        self.call("clean")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database, user=None):
        """The URL of another database on the same server, by the same way."""
        u = urlsplit(self.env["DATABASE_URL"])
        place = u.netloc if user is None else f"{user}@{u.netloc.rpartition('@')[2]}"
        # By hand: urlunsplit drops the // before an empty host.
        return f"{u.scheme}://{place}/{database}" + (f"?{u.query}" if u.query else "")

    @property
    def database(self):
        return urlsplit(self.env["DATABASE_URL"]).path.lstrip("/")

    def healthmed(self, *argv, database=None):
        env = dict(self.env)
        if database:
            env["DATABASE_URL"] = env["HEALTHMED_DATABASE_URL"] = self.url(database)
        return run([self.binary, *argv], env=env)


    def seed(self, *argv, database=None):
        """`healthmed seed`: the numbers of what it made."""
        return json.loads(self.healthmed("seed", *argv, database=database))

    def tokens(self, first, count):
        """A file with the tokens of these patients, a line each."""
        path = self.folder / f"tokens-{first}"
        path.write_text(self.healthmed("token", "--role", "patient", "--first", first, "--count", count,
                                       "--lifetime", 86400))
        return path

    def verify(self):
        """The exit status of `healthmed verify`, which says by itself what is wrong."""
        return subprocess.run([self.binary, "verify"], env=self.env, stdout=sys.stderr, check=False).returncode


def sql(stack, database, text, user=None):
    return run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", stack.url(database, user),
                *(word for statement in text.split(";") for word in ("-c", statement)
                  if statement.strip())], env=stack.env).strip()


def fsync_rate(folder, seconds=0.5):
    """How often a second this disk takes 8 kB for good."""
    fd = os.open(folder / "fsync", os.O_CREAT | os.O_WRONLY, 0o600)
    began, n = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        os.pwrite(fd, b"\0" * 8192, 0)
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    os.unlink(folder / "fsync")
    return n / (time.monotonic() - began)


# ---- CPU, from /proc ---------------------------------------------------------------------


def stat_of(pid):
    """Its parent, and what it and the children it has waited for have used, in seconds."""
    try:
        field = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(field[1]), sum(map(int, field[11:15])) / TICK


def cpu_by_process(stack):
    every = {int(p.name): stat_of(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()}
    every = {pid: s for pid, s in every.items() if s}
    children = {}
    for pid, (parent, _) in every.items():
        children.setdefault(parent, []).append(pid)

    def family(pid):
        return every[pid][1] + sum(family(child) for child in children.get(pid, ()))

    roots = {f.stem: int(f.read_text()) for f in Path(stack.env["PIDS_DIR"]).glob("*.pid")}
    return {name: family(pid) for name, pid in sorted(roots.items()) if pid in every}


def memory_by_process(stack):
    """The most that each has had in memory, in MiB."""
    found = {}
    for f in sorted(Path(stack.env["PIDS_DIR"]).glob("*.pid")):
        try:
            lines = Path(f"/proc/{int(f.read_text())}/status").read_text().splitlines()
        except (OSError, ValueError):
            continue
        found.update({f.stem: int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")})
    return found


def machine(stack):
    model = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], text=True,
                            capture_output=True, check=False).stdout.strip()
    return {"commit": commit or None, "processor": model[0] if model else None,
            "cores": os.cpu_count(), "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "kernel": os.uname().release,
            "postgresql": sql(stack, stack.database, "SHOW server_version"),
            "load_average_before": os.getloadavg()[0],
            "fdatasync_per_s": round(fsync_rate(stack.folder))}


def results_folder(name, under=RESULTS):
    """A new folder for what this run measured."""
    folder = under / (time.strftime("%Y%m%dT%H%M%S") + "-" + name)
    folder.mkdir(parents=True)
    return folder


def interrupted(*_):
    raise KeyboardInterrupt


@contextmanager
def running(stack, keep=False):
    """A stack for as long as it is needed; also who is told to end stops it first."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        stack.up()
        yield stack
    finally:
        stack.down(keep)


