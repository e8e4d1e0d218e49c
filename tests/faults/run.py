"""Runs scenarios and prints their table: `make faults`, `make faults SCENARIO=name`, `make faults LIST=1`.

All scenarios that can share one cluster do, as long as it comes back whole; one where a promise was broken is
thrown away.  What a scenario that failed has left is in FAULTS_DIR (build/faults): its journal and the logs.
"""
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from load import Load  # noqa: E402
from oracle import judge  # noqa: E402
from scenarios import FAKETIME, SCENARIOS  # noqa: E402
from stack import ROOT, Stack  # noqa: E402

KEEP = Path(os.environ.get("FAULTS_DIR", ROOT / "build" / "faults"))
SLOWNESS = max(1, int(os.environ.get("STACK_PATIENCE", "30")) // 30)    # of a build whose processes run slower
HEAD = f"{'scenario':<22} {'requests':>8} {'accepted':>8} {'lost':>5} {'doubled':>7} {'order':>5} {'gap ms':>7} {'bound':>6}  took"


class Result:
    def __init__(self, row):
        self.row, self.verdict, self.trouble, self.gap, self.lane, self.took = row, None, "", 0.0, "", 0.0

    @property
    def wrong(self):
        """What is, in sentences."""
        said = [self.trouble] if self.trouble else []
        if self.verdict is not None and self.verdict.found:
            said.append(str(self.verdict))
        bound = self.row.bound
        if bound is not None and self.gap > bound * SLOWNESS:
            said.append(f"{self.lane} was silent for {self.gap:.2f} s: more than {bound} s")
        return "\n".join(said)

    def line(self):
        v, row = self.verdict, self.row
        counts = (f"{v.requests:>8} {v.accepted:>8} {len(v.lost):>5} {len(v.doubled):>7} {len(v.order):>5}"
                  if v else f"{'-':>8} {'-':>8} {'-':>5} {'-':>7} {'-':>5}")
        bound = "-" if row.bound is None else f"{row.bound * 1000:.0f}"
        return f"{row.name:<22} {counts} {self.gap * 1000:>7.0f} {bound:>6}  {self.took:.0f} s{'  WRONG' if self.wrong else ''}"


def missing(row):
    """What this machine lacks for it, in words; None when nothing."""
    lacks = {"root": os.geteuid() != 0, "faketime": not Path(FAKETIME).exists()}
    return next((f"needs {what}" for what in row.needs if lacks[what]), None)


def whole(stack):
    """Starts what is missing; fails when it does not come to be well."""
    stack.up()


def run(row, stack):
    result, begun = Result(row), time.monotonic()
    load = None
    try:
        load = Load(stack)
        with load:
            load.go_on(8)
            row.fault(stack, load)
        whole(stack)
        result.gap, result.lane = load.gap()
        result.verdict = judge(load)
    except Exception as e:                      # it belongs in the table, and the others are still to run
        result.trouble = "".join(traceback.format_exception_only(e)).strip() + "\n" + traceback.format_exc(limit=-2)
    result.took = time.monotonic() - begun
    if result.wrong and load is not None:
        keep(row, stack, load, result)
    return result


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


class Grounds:
    """The cluster that scenarios share, anew when one has left it broken."""

    def __init__(self):
        self.stack = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def run(self, row):
        if self.stack is None:
            self.stack = Stack("--cluster").__enter__()
        result = run(row, self.stack)
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
            print(f"{row.name:<22} {row.sentence}{' (' + missing(row) + ')' if missing(row) else ''}")
        return 0
    unknown = set(wanted) - {row.name for row in SCENARIOS}
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))} (make faults LIST=1)")
    passed = failed = skipped = 0
    print(HEAD, flush=True)
    with Grounds() as grounds:
        for row in SCENARIOS:
            if wanted and row.name not in wanted:
                continue
            if why := missing(row):
                print(f"{row.name:<22} skipped: {why}", flush=True)
                skipped += 1
                continue
            result = grounds.run(row)
            print(result.line(), flush=True)
            if result.wrong:
                print("    " + result.wrong.replace("\n", "\n    "), flush=True)
            passed, failed = passed + (not result.wrong), failed + bool(result.wrong)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
