"""Everything that touches a room at once, over HTTP, while workers and sweepers are killed."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from scripts.processes import wait_until
from tests.races.checks import Finding, find_faults
from tests.races.clients import PROCESSES, Racers
from tests.races.conftest import Report
from tests.races.history import History
from tests.races.mixed import live
from tests.races.tally import Row, Tally
from tests.races.trouble import Trouble
from tests.races.web import Site
from tests.races.world import is_calm, open_shop, read_history

CALM_SECONDS = 60
# Attempts of each process: one small race for every test run, and the parts of the full proof.
SIZES = [pytest.param(120, id="ci", marks=pytest.mark.races)]
SIZES += [pytest.param(2440, id=f"full-{part}", marks=pytest.mark.prove) for part in range(1, 5)]
# The control goes on until both have seen it: who looks at the rooms meanwhile, and who checks afterwards.
CONTROL_COUNT, CONTROL_ROUNDS = 40, 8
_names = (f"mixed{number}" for number in count())


def attack(site: Site, racers: Racers, count: int, folder: Path) -> tuple[History, Trouble]:
    """Let eight processes live in a new shop while others are killed; what is known of it afterwards."""
    folder.mkdir(exist_ok=True)
    world = open_shop(site, folder / "notebook")
    name = next(_names)
    with site.sweeping() as sweeper:
        with Trouble(site, racers, sweeper) as trouble:
            runs = racers.race(live, [(world, name, number, count) for number in range(PROCESSES)])
        wait_until(lambda: is_calm(site), CALM_SECONDS)
    return read_history(site, [attempt for run in runs for attempt in run]), trouble


@pytest.mark.parametrize("count", SIZES)
def test_nothing_is_booked_twice_or_lost(
    site: Site, racers: Racers, count: int, request: pytest.FixtureRequest, tally: Tally, tmp_path: Path
) -> None:
    history, trouble = attack(site, racers, count, tmp_path)

    faults = find_faults(history)
    tally.rows.append(row_of(request.node.name, history, trouble, faults))
    assert not faults, in_words(faults)
    assert trouble.overlaps == 0
    assert trouble.kills >= len(history.attempts) // 100


@pytest.mark.races
def test_without_protection_it_is_found(
    bare_site: Site, racers: Racers, report: Report, tmp_path: Path
) -> None:
    for number in range(CONTROL_ROUNDS):
        history, trouble = attack(bare_site, racers, CONTROL_COUNT, tmp_path / str(number))
        faults = find_faults(history)
        if trouble.overlaps and "two winners" in {fault.check for fault in faults}:
            report(f"after {len(history.attempts)} attempts {trouble.overlaps} overlaps, {in_words(faults)}")
            return
    pytest.fail("nobody noticed")


def row_of(name: str, history: History, trouble: Trouble, faults: list[Finding]) -> Row:
    """Count a race."""
    answers = Counter((each.status, each.code) for each in history.attempts)
    lost = sum(fault.check == "lost" for fault in faults)
    return Row(name, answers, trouble.kills, trouble.overlaps, lost, len(faults))


def in_words(faults: list[Finding]) -> str:
    """Return how many faults of each kind there are, and the first of each."""
    counts = Counter(fault.check for fault in faults)
    shown = [fault for check in counts for fault in [each for each in faults if each.check == check][:8]]
    return f"{dict(counts)}\n" + "\n".join(f"{fault.check}: {fault.text}" for fault in shown)
