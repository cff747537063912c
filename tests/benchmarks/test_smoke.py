"""The benchmarks run: every contender answers as it should, in a size that says nothing about speed."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import parse, run, write_report
from benchmarks.report import Goal

TINY = ["--sizes", "200", "--seconds", "0.2", "--rounds", "1", "--clients", "2"]
FINE = {200, 201, 304, 409, 422}
# What can be counted instead of timed.
COUNTED = ("places won once", "neither 201 nor 409", "overlapping", "scans of all bookings", "other than 201")


def counted(goals: list[Goal]) -> dict[str, bool]:
    """Return the goals that have nothing to do with time, and whether they are reached."""
    return {goal.what: goal.is_reached for goal in goals if any(part in goal.what for part in COUNTED)}


@pytest.mark.parametrize(("engine", "contenders"), [("postgresql", [7, 6]), ("sqlite", [6, 5])])
def test_everybody_is_measured(engine: str, contenders: list[int]) -> None:
    result = run(parse(["availability", "create", "--engine", engine, *TINY]))

    assert [len(table.rows) for table in result.tables] == contenders
    rows = [row for table in result.tables for row in table.rows]
    assert [row for row in rows if not row.rate] == []
    assert {status for row in rows for status in row.statuses} <= FINE
    report = write_report(result, "0.1")
    assert "| P2 | ours ÷ stock FAB's POST, 2 clients | ≥ 3 × |" in report
    assert "not measured" in report, "bare SQL at 8 and 32 clients"


@pytest.mark.prove
def test_what_is_counted_is_reached_and_every_control_shows_what_is_looked_for() -> None:
    goals = counted(run(parse(["rivals", "sqlite", "plans", "growth", *TINY, "--clients", "32"])).goals)

    assert [what for what, is_reached in goals.items() if not is_reached] == []
    assert len(goals) == 4 * 3 + 2 + 2 + 2, "rivals, their controls, SQLite and plans with one control each"
