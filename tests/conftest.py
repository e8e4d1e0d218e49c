"""Fixtures of all Python tests, and the counts that tests/run adds up."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stack import BIN, Stack  # noqa: E402

if lane := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):    # modules run side by side
    first = 20000 + 1000 * (int(lane) % 12)
    os.environ["STACK_PORTS"] = f"{first}-{first + 999}"


@pytest.fixture(scope="session")
def stack():
    """A whole Health&Med, shared by the session; see stack.py for what it can do."""
    with Stack() as running:
        yield running


@pytest.fixture(scope="module")
def servers():
    """PostgreSQL (migrated), NATS and Redis alone."""
    with Stack("--only", "postgres,nats,redis") as running:
        yield running


@pytest.fixture(scope="session")
def tables():
    """The tables of routes, calls, messages and errors, as tests/tables.c prints them."""
    program = Path(BIN).parent / "tests" / "tables"
    return json.loads(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the ends of the logs of the stacks it used."""
    report = (yield).get_result()
    if report.failed and call.when != "teardown":
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Stack):
                report.sections.append(("logs", value.tails(report.longreprtext)))


def pytest_terminal_summary(terminalreporter):
    """Names what was skipped, and why; leaves the counts for tests/run."""
    stats = terminalreporter.stats
    for report in stats.get("skipped", []):
        terminalreporter.write_line(f"skipped: {report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
    if path := os.environ.get("TESTS_COUNTS"):
        count = [sum(len(stats.get(k, [])) for k in keys)
                 for keys in (("passed", "xpassed"), ("failed", "error"), ("skipped", "xfailed"))]
        Path(path).write_text(" ".join(map(str, count)) + "\n")
