"""Counts what came of the cells of the fault matrix, for the table at the end of a run."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields


@dataclass(slots=True)
class Row:
    """What one cell left: counts, and money in fen."""

    cell: str
    orders: int = 0
    callbacks: int = 0
    credits: int = 0
    refunds: int = 0
    paid_fen: int = 0
    refunded_fen: int = 0
    lost: int = 0
    stuck: int = 0
    wrong: int = 0


@dataclass(slots=True)
class Tally:
    """The cells of a run."""

    rows: list[Row] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the table with its sum."""
        numbers = [astuple(row)[1:] for row in self.rows]
        total = (f"{len(self.rows)} cells", *(sum(column) for column in zip(*numbers, strict=True)))
        table = [tuple(named.name for named in fields(Row)), *(astuple(row) for row in self.rows), total]
        shown = [[str(value) for value in row] for row in table]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        return [_line(row, widths) for row in shown]


def _line(row: list[str], widths: list[int]) -> str:
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
