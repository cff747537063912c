"""The benchmarks run: every contender answers as it should, in a size that says nothing about speed."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import parse, run, write_report

TINY = ["--sizes", "200", "--seconds", "0.2", "--rounds", "1", "--clients", "2"]
FINE = {200, 201, 304, 409, 422}


@pytest.mark.parametrize(("engine", "contenders"), [("postgresql", [7, 6]), ("sqlite", [6, 5])])
def test_weeks_and_bookings_are_measured(engine: str, contenders: list[int]) -> None:
    result = run(parse(["availability", "create", "--engine", engine, *TINY]))

    assert [len(table.rows) for table in result.tables] == contenders
    rows = [row for table in result.tables for row in table.rows]
    assert [row for row in rows if not row.rate] == []
    assert {status for row in rows for status in row.statuses} <= FINE
    report = write_report(result, "0.1")
    assert "| P2 | ours ÷ stock FAB's POST, 2 clients | ≥ 3 × |" in report
    assert "not measured" in report, "bare SQL at 8 and 32 clients"
