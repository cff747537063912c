"""The report: tables of what was measured, and each goal with what was reached beside it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.rounds import Row, Table

AT_LEAST, AT_MOST = "≥", "≤"


@dataclass(frozen=True)
class Goal:
    """A goal with its figure; `measured` is None where its contenders did not take part."""

    name: str
    what: str
    sign: str
    wanted: float
    measured: float | None
    unit: str = "×"

    @property
    def is_reached(self) -> bool:
        """Tell whether the figure was measured and is good enough."""
        if self.measured is None:
            return False
        return self.measured >= self.wanted if self.sign == AT_LEAST else self.measured <= self.wanted

    @property
    def verdict(self) -> str:
        """The result as a word."""
        if self.measured is None:
            return "not measured"
        return "reached" if self.is_reached else "**missed**"


def at_least(name: str, what: str, wanted: float, measured: float | None, unit: str = "×") -> Goal:
    """Return a goal that bigger figures reach."""
    return Goal(name, what, AT_LEAST, wanted, measured, unit)


def at_most(name: str, what: str, wanted: float, measured: float | None, unit: str = "×") -> Goal:
    """Return a goal that smaller figures reach."""
    return Goal(name, what, AT_MOST, wanted, measured, unit)


def ratio(above: float | None, below: float | None) -> float | None:
    """Return a ratio, or None where one of both is missing."""
    return above / below if above is not None and below else None


def rate_of(table: Table, name: str, clients: int) -> float | None:
    """Return a contender's operations a second, if it took part."""
    row = table.find(name, clients)
    return row.rate if row else None


def p50_of(table: Table, name: str, clients: int) -> float | None:
    """Return a contender's median in milliseconds, if it took part."""
    row = table.find(name, clients)
    return row.p50 if row else None


def show_table(table: Table) -> str:
    """Return a comparison as Markdown."""
    head = ("who", "clients", "per second", "slowest–fastest round", "p50 ms", "p99 ms", "client", "answers")
    return f"### {table.title}\n\n" + markdown(head, (_cells(row) for row in table.rows))


def _cells(row: Row) -> Sequence[str]:
    answers = ", ".join(f"{status}: {number}" for status, number in sorted(row.statuses.items()))
    spread = f"{_figure(row.slowest_rate)}–{_figure(row.fastest_rate)}"
    share = f"{row.client_share:.0%}" if row.client_share else ""
    return (
        row.name,
        str(row.clients),
        _figure(row.rate),
        spread,
        _figure(row.p50),
        _figure(row.p99),
        share,
        answers,
    )


def show_goals(goals: Sequence[Goal]) -> str:
    """Return goals with their results as Markdown."""
    rows = ((goal.name, goal.what, _wanted(goal), _measured(goal), goal.verdict) for goal in goals)
    return markdown(("goal", "what", "wanted", "measured", "result"), rows)


def _wanted(goal: Goal) -> str:
    return f"{goal.sign} {_with_unit(goal.wanted, goal.unit)}"


def _measured(goal: Goal) -> str:
    return "–" if goal.measured is None else _with_unit(goal.measured, goal.unit)


def _with_unit(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
    return f"{_figure(value)} {unit}".rstrip()


def _figure(value: float) -> str:
    """Three digits that count, thousands apart."""
    if value and abs(value) < 0.995:
        return f"{value:.2g}"
    return f"{value:,.0f}" if value >= 99.95 or value == int(value) else f"{value:.1f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def machine() -> str:
    """Return one line about the machine and what runs on it."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("gunicorn", "flask", "sqlalchemy", "psycopg"))
    python = platform.python_version()
    return (
        f"{os.cpu_count()} cores, Python {python}, {versions}, Flask-AppBuilder {version('flask-appbuilder')}"
    )


def load() -> str:
    """Return the load of the machine now: the average of a minute."""
    return f"{os.getloadavg()[0]:.1f}"
