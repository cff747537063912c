"""The lines of an order, read and rewritten as the quote lines they came from, with their sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from app.domain.changes import QUOTED_KINDS, never_below_zero
from app.domain.pricing import LineKind, QuoteLine, total_lines
from app.domain.states import ChangeKind
from app.models import Order, OrderLine
from app.services.order_log import add_lines
from app.services.unit_of_work import change_rows, session

_INSTANTS = ("start_at", "end_at")


def lines_of(order: Order) -> list[QuoteLine]:
    """Return the lines of an order as they are now, each with the version of its rule."""
    rows = session().scalars(
        select(OrderLine).where(OrderLine.order_id == order.id).order_by(OrderLine.position)
    )
    return [_line(row) for row in rows]


def _line(row: OrderLine) -> QuoteLine:
    return QuoteLine(
        LineKind.of(row.kind),
        row.label,
        row.amount_fen,
        row.rule_id,
        row.start_at,
        row.end_at,
        row.minutes,
        row.unit_fen,
        row.rule_version,
    )


def versioned(lines: Iterable[QuoteLine], versions: Mapping[int, int]) -> list[QuoteLine]:
    """Return the lines, each with the version of the price rule that made it."""
    return [
        replace(line, rule_version=line.rule_version or versions.get(line.rule_id or 0)) for line in lines
    ]


def merge_lines(kind: ChangeKind, old: Iterable[QuoteLine], new: Iterable[QuoteLine]) -> list[QuoteLine]:
    """Return the lines of an order after a change: an extension adds, others replace what was quoted."""
    kept = list(old)
    if kind is ChangeKind.EXTENSION:
        return [*kept, *new]
    fresh = list(new)
    quoted = [line for line in fresh if line.kind in QUOTED_KINDS]
    added = [line for line in fresh if line.kind not in QUOTED_KINDS]
    return never_below_zero([*quoted, *(line for line in kept if line.kind not in QUOTED_KINDS), *added])


def write_lines(order: Order, lines: Sequence[QuoteLine]) -> dict[str, int]:
    """Make these the lines of a locked order and return its new sums by column."""
    change_rows(delete(OrderLine).where(OrderLine.order_id == order.id))
    session().expire(order, ["lines"])
    add_lines(order, lines)
    totals = total_lines((line.kind, line.amount_fen) for line in lines)
    return asdict(totals)


def to_json(lines: Iterable[QuoteLine]) -> list[dict[str, Any]]:
    """Return lines in the form in which a pending change keeps them."""
    return [_plain(line) for line in lines]


def _plain(line: QuoteLine) -> dict[str, Any]:
    values = asdict(line) | {"kind": line.kind.value}
    for name in _INSTANTS:
        values[name] = values[name] and values[name].isoformat()
    return values


def from_json(rows: Iterable[Mapping[str, Any]]) -> list[QuoteLine]:
    """Return the lines that a change keeps."""
    return [_parsed(row) for row in rows]


def _parsed(row: Mapping[str, Any]) -> QuoteLine:
    values: dict[str, Any] = dict(row) | {"kind": LineKind.of(row["kind"])}
    for name in _INSTANTS:
        values[name] = values[name] and datetime.fromisoformat(values[name])
    return QuoteLine(**values)
