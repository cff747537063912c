"""Counts what came of races, for the table at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

COLUMNS = ("attempts", "done", "409", "422", "503", "cut off", "kills", "overlaps", "lost", "faults")


@dataclass(slots=True)
class Row:
    """One race: how many attempts came to which status and code, and what was found afterwards.

    Status 0 is an attempt whose connection was cut off by a kill and that nobody repeated.
    """

    race: str
    answers: Counter[tuple[int, str]]
    kills: int = 0
    overlaps: int = 0
    lost: int = 0
    faults: int = 0

    def __add__(self, other: Row) -> Row:
        numbers = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("answers", "kills", "overlaps", "lost", "faults")
        }
        return Row("together", **numbers)

    @property
    def attempts(self) -> int:
        return sum(self.answers.values())

    def of_status(self, *statuses: int) -> int:
        return sum(count for (status, _), count in self.answers.items() if status in statuses)

    def codes(self) -> str:
        """Return the refusals by status and code, the most frequent first."""
        refused = Counter({key: count for key, count in self.answers.items() if key[1]})
        return ", ".join(f"{status} {code} {count:,}" for (status, code), count in refused.most_common())

    def cells(self) -> tuple[str, ...]:
        counts = (self.of_status(200, 201), *(self.of_status(status) for status in (409, 422, 503, 0)))
        numbers = (self.attempts, *counts, self.kills, self.overlaps, self.lost, self.faults)
        return (self.race, *(f"{number:,}" for number in numbers))


@dataclass(slots=True)
class Tally:
    """The races of a run."""

    rows: list[Row] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the table, with its sum and the codes of all refusals; nothing without races."""
        if not self.rows:
            return []
        total = sum(self.rows, Row("together", Counter()))
        table = [("race", *COLUMNS), *(row.cells() for row in (*self.rows, total))]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return [*(_line(cells, widths) for cells in table), f"refused: {total.codes()}"]


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
