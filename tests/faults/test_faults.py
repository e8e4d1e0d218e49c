"""A selection of what `make faults` does, of about three minutes: each name says what happens, and that it costs nothing."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run import Shared, missing  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared():
    with Shared() as shared:
        yield shared


def title(row):
    return row.sentence.replace(" ", "_").replace(",", "")


@pytest.mark.parametrize("row", [r for r in SCENARIOS if r.brief and not r.caught], ids=title)
def test_nothing_is_lost_and_nothing_done_twice_when(shared, row):
    if why := missing(row):
        pytest.skip(why)
    result = shared.run(row)
    assert not result.wrong, f"{result.line()}\n{result.wrong}"


@pytest.mark.parametrize("row", [r for r in SCENARIOS if r.brief and r.caught], ids=title)
def test_the_oracle_notices_what_happens(shared, row):
    result = shared.run(row)
    assert not result.wrong, f"{result.line()}\n{result.wrong}"
