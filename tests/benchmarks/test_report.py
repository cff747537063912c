"""Goals, medians and the reading of PostgreSQL's log."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.__main__ import parse_size
from benchmarks.load import Sample
from benchmarks.plans import read_log
from benchmarks.report import at_least, at_most, show_goals
from benchmarks.rounds import Contender, Options, compare, summary

LOG = """\
2026-03-04 04:00:00.000 UTC [7] LOG:  statement: BEGIN
2026-03-04 04:00:00.001 UTC [7] LOG:  execute _pg3_0: SELECT 1
\t FROM bookings
2026-03-04 04:00:00.001 UTC [7] DETAIL:  Parameters: $1 = '1'
2026-03-04 04:00:00.002 UTC [7] LOG:  duration: 0.031 ms  plan:
\t{
\t  "Query Text": "SELECT 1 FROM bookings",
\t  "Plan": {"Node Type": "Aggregate", "Shared Hit Blocks": 9, "Shared Read Blocks": 2,
\t    "Plans": [{"Node Type": "NODE", "Relation Name": "bookings"}]}
\t}
2026-03-04 04:00:00.003 UTC [7] LOG:  statement: COMMIT
"""


def test_log_of_the_database_is_read() -> None:
    seen = read_log(LOG.replace("NODE", "Index Scan"), 2)

    assert seen.asked == ["BEGIN", "SELECT 1 FROM bookings", "COMMIT"]
    assert (seen.scans, seen.buffers) == (0, 11)
    assert (seen.round_trips, seen.statements) == (1.5, 0.5)


def test_scan_of_the_whole_table_is_seen() -> None:
    assert read_log(LOG.replace("NODE", "Seq Scan"), 1).scans == 1


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (at_least("P1", "a", 8, 8.0), "reached"),
        (at_least("P1", "a", 8, 7.9), "**missed**"),
        (at_most("P4", "a", 1.3, 1.3), "reached"),
        (at_most("P4", "a", 1.3, 1.31), "**missed**"),
        (at_most("P9", "a", 0, 0, ""), "reached"),
        (at_least("P2", "a", 0.25, None, "%"), "not measured"),
    ],
)
def test_goal_is_judged(goal, verdict: str) -> None:
    assert show_goals([goal]).splitlines()[-1].endswith(f"| {verdict} |")


def test_row_is_the_median_of_its_rounds() -> None:
    rounds = [Sample(1, [0.001] * number, Counter({200: number})) for number in (10, 90, 30)]

    row = summary("ours", 8, rounds)

    assert (row.rate, row.slowest_rate, row.fastest_rate) == (30, 10, 90)
    assert (row.p50, row.statuses) == (pytest.approx(1.0), Counter({200: 130}))


def test_contenders_take_turns() -> None:
    turns = []

    def contender(name: str) -> Contender:
        def measure(clients: int, seconds: float) -> Sample:
            turns.append((name, clients))
            return Sample(1, [0.001], Counter({200: 1}))

        return Contender(name, measure)

    options = Options(seconds=1, rounds=2, clients=(1,), only=("a", "b"))
    compare("title", [contender("a"), contender("b"), contender("c")], options)

    # A warm-up, then the rounds.
    assert turns == [("a", 1), ("b", 1)] * 3


@pytest.mark.parametrize(("text", "size"), [("10k", 10_000), ("1M", 1_000_000), ("200", 200)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size
