"""Runs scenarios and prints their table: `make faults`, `make faults SCENARIO=name`, `make faults LIST=1`.

All scenarios that can share one cluster do, as long as it comes back whole; one where a promise was broken is
thrown away.  What a scenario that failed has left is in FAULTS_DIR (build/faults): its journal and the logs.
"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from grounds import TEST_BIN, cluster, previous_commit  # noqa: E402
from load import Load  # noqa: E402
from oracle import judge  # noqa: E402
from scenarios import FAKETIME, SCENARIOS  # noqa: E402
from stack import ROOT  # noqa: E402

KEEP = Path(os.environ.get("FAULTS_DIR", ROOT / "build" / "faults"))
SLOWNESS = max(1, int(os.environ.get("STACK_PATIENCE", "30")) // 30)    # of a build whose processes run slower
HEAD = f"{'scenario':<25} {'requests':>8} {'accepted':>8} {'lost':>5} {'doubled':>7} {'order':>5} {'gap ms':>7} {'bound':>6}  took"


class Result:
    def __init__(self, row):
        self.row, self.verdict, self.trouble, self.gap, self.lane, self.took = row, None, "", 0.0, "", 0.0

    @property
    def wrong(self):
        """What is, in sentences."""
        found = self.verdict is not None and self.verdict.found
        if self.row.tests:
            return self.trouble
        if self.row.caught:
            return "" if found else f"the oracle has not noticed\n{self.trouble}"
        said = [self.trouble] if self.trouble else []
        said += [str(self.verdict)] if found else []
        if self.row.bound is not None and self.gap > self.row.bound * SLOWNESS:
            said.append(f"{self.lane} was silent for {self.gap:.2f} s: more than {self.row.bound} s")
        return "\n".join(said)

    def line(self):
        v, row = self.verdict, self.row
        counts = (f"{v.requests:>8} {v.accepted:>8} {len(v.lost):>5} {len(v.doubled):>7} {len(v.order):>5}"
                  if v else f"{'-':>8} {'-':>8} {'-':>5} {'-':>7} {'-':>5}")
        bound = "-" if row.bound is None else f"{row.bound * 1000:.0f}"
        word = "  WRONG" if self.wrong else "  caught, by tests" if row.tests else "  caught" if row.caught else ""
        return f"{row.name:<25} {counts} {self.gap * 1000:>7.0f} {bound:>6}  {self.took:.0f} s{word}"


def missing(row):
    """What this machine lacks for it, in words; None when nothing."""
    lacks = {"root": os.geteuid() != 0, "faketime": not Path(FAKETIME).exists(), "history": "history" in row.needs and not previous_commit()}
    return next((f"needs {what}" for what in row.needs if lacks[what]), None)


def judged(row, stack):
    """Runs it there, and has it judged when all is whole again."""
    result, begun, load = Result(row), time.monotonic(), Load(stack, patience=row.patience)
    try:
        with load:
            try:
                load.go_on(8)
                row.fault(stack, load)
            except Exception:
                load.patience = 5               # it will not be fulfilled
                raise
    except Exception as e:                      # it belongs in the table, and the others are still to run
        result.trouble = said(e)
    try:
        stack.up()
        result.gap, result.lane = load.gap()
        result.verdict = judge(load)
    except Exception as e:
        result.trouble = result.trouble or said(e)
    result.took = time.monotonic() - begun
    if result.wrong:
        keep(row, stack, load, result)
    return result


def said(e):
    at = traceback.extract_tb(e.__traceback__)[-1]
    return f"{type(e).__name__}: {e} ({Path(at.filename).name}:{at.lineno})"


def keep(row, stack, load, result):
    """What is needed to find out why."""
    place = KEEP / row.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copytree(stack.run / "logs", place / "logs")
    (place / "wrong").write_text(result.wrong + "\n")
    with (place / "journal").open("w") as f:
        for w in load.journal:
            f.write(json.dumps(w.journal()) + "\n")


def tested(row):
    """A control that no load drives for certain: the tests that notice it pass, and without the rule they fail."""
    result, begun = Result(row), time.monotonic()
    for rule, wanted in (("none", 0), (row.name.removeprefix("control-"), 1)):
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-c", ROOT / "tests" / "pytest.ini", "--rootdir", ROOT / "tests",
                               *(ROOT / "tests" / test for test in row.tests)], text=True, capture_output=True, check=False,
                              env={**os.environ, "HEALTHMED_BIN": TEST_BIN, "MUTANT": rule})
        if done.returncode != wanted:
            result.trouble = f"{' '.join(row.tests)} with MUTANT={rule}:\n{done.stdout[-2000:]}"
    result.took = time.monotonic() - begun
    return result


class Shared:
    """The cluster that scenarios share; anew when one has left it broken."""

    def __init__(self):
        self.stack = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def run(self, row):
        with contextlib.redirect_stdout(io.StringIO()):     # a Stack that does not start shows all its logs
            return self._run(row)

    def _run(self, row, again=True):
        try:
            if row.tests:
                self.leave()
                return tested(row)
            if row.ground is None:
                self.stack = self.stack or cluster().__enter__()
                result = judged(row, self.stack)
            else:
                self.leave()                    # two clusters are too much for two cores
                with row.ground() as stack:
                    stack.complaints = list     # of what is broken on purpose
                    result = judged(row, stack)
        except Exception as e:                  # the ground itself
            if again and "in use" in str(e):    # somebody else took a port between choice and start
                return self._run(row, again=False)
            result = Result(row)
            result.trouble = said(e)
        if result.wrong:
            self.leave()
        return result

    def leave(self):
        if self.stack is not None:
            self.stack.close(check=False)
        self.stack = None


def main():
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        for row in SCENARIOS:
            print(f"{row.name:<25} {row.sentence}{' (' + missing(row) + ')' if missing(row) else ''}")
        return 0
    unknown = set(wanted) - {row.name for row in SCENARIOS}
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))} (make faults LIST=1)")
    passed = failed = skipped = 0
    print(HEAD, flush=True)
    with Shared() as shared:
        for row in SCENARIOS:
            if row.name not in wanted if wanted else row.alone:
                continue
            if why := missing(row):
                print(f"{row.name:<25} skipped: {why}", flush=True)
                skipped += 1
                continue
            result = shared.run(row)
            print(result.line(), flush=True)
            if result.wrong:
                print("    " + result.wrong.replace("\n", "\n    "), flush=True)
            passed, failed = passed + (not result.wrong), failed + bool(result.wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
