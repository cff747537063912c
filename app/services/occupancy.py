"""What occupies rooms, in one statement on both engines however many bookings there are.

A room's occupying bookings never overlap, so in the order of their ends at most one reaches over the end of
a window: the first that ends after it. Hence nothing beyond that row of the index is read, neither the future
of a room behind a window nor its past before it. States stand in the text of the statement because the
partial index `ix_bookings_room_busy` is only found by them; on PostgreSQL it has every column asked for.
SQLite keeps no figures of its own to choose by and would read every booking of a state, so it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, TextClause, bindparam, text

from app.domain.slots import Span
from app.domain.timelines import Barred, Taken
from app.models.bookings import OCCUPYING
from app.models.types import UtcDateTime

# How far the blocks of a moment are looked at: what it is may last that long.
MOMENT = timedelta(days=1)

_OCCUPYING = f"{OCCUPYING} AND (state <> 'held' OR hold_expires_at > :now)"
_MICROSECONDS = {
    "postgresql": "CAST(date_part('epoch', {0}) * 1000000 AS bigint)",
    # Stored in one width, the fraction of the second being the last six digits.
    "sqlite": "CAST(strftime('%s', {0}) AS integer) * 1000000 + CAST(substr({0}, 21) AS integer)",
}
_IDS = {
    "postgresql": "= ANY(CAST(:{0} AS integer[]))",
    "sqlite": "IN (SELECT value FROM json_each(:{0}))",
}
_FIRST_AFTER = {
    "postgresql": """
SELECT first.* FROM unnest(CAST(:{rooms} AS integer[])) AS room(id) CROSS JOIN LATERAL (
    SELECT {columns}, busy_from_at FROM bookings
    WHERE room_id = room.id AND {occupying} AND busy_until_at > :{after} ORDER BY busy_until_at LIMIT 1
) AS first""",
    "sqlite": """
SELECT {columns}, busy_from_at FROM bookings WHERE id IN (
    SELECT (
        SELECT id FROM bookings INDEXED BY ix_bookings_room_busy
        WHERE room_id = room.value AND {occupying} AND busy_until_at > :{after} ORDER BY busy_until_at LIMIT 1
    ) FROM json_each(:{rooms}) AS room
)""",
}
_STATEMENT = """
SELECT {columns} FROM bookings {by_index}
WHERE room_id {rooms} AND {occupying} AND busy_until_at > :from_at AND busy_until_at <= :to_at
UNION ALL
SELECT {names} FROM ({reaching_over}) AS reaching WHERE busy_from_at < :to_at
UNION ALL
SELECT {names} FROM ({present}) AS present
UNION ALL
SELECT room_id, 'blocked', id, {start}, {start}, {end}, {end}, NULL FROM room_blocks
WHERE room_id {rooms} AND end_at > :from_at AND start_at < :to_at
   OR room_id {present_rooms} AND end_at > :now AND start_at < :present_until
"""
# What comes back for a booking; a block has its two ends twice.
_INSTANTS = {
    "busy_from": "busy_from_at",
    "used_from": "start_at",
    "used_until": "end_at",
    "busy_until": "busy_until_at",
    "lapses_at": "hold_expires_at",
}
_NAMES = f"room_id, state, order_id, {', '.join(_INSTANTS)}"


@dataclass(slots=True)
class Use:
    """What occupies one room, sorted; `lapses` is when the first of its holds runs out (microseconds)."""

    taken: list[Taken] = field(default_factory=list)
    barred: list[Barred] = field(default_factory=list)
    lapses: int | None = None


def read_use(
    connection: Connection,
    room_ids: Sequence[int],
    span: Span,
    *,
    now: datetime,
    present_ids: Iterable[int] = (),
) -> dict[int, Use]:
    """Return what occupies each room in *span*; a hold that has run out no longer does.

    *present_ids* are rooms of which the present is wanted as well: the first booking that ends after now and
    the blocks of the next day. References are the ids of orders and blocks.
    """
    dialect = connection.dialect.name
    rows = connection.execute(
        _statement(dialect),
        {
            "rooms": _ids(dialect, room_ids),
            "present_rooms": _ids(dialect, present_ids),
            "from_at": span.start_at,
            "to_at": span.end_at,
            "now": now,
            "present_until": now + MOMENT,
        },
    )
    return _by_room(rows.all(), {*room_ids, *present_ids})


def _ids(dialect: str, wanted: Iterable[int]) -> list[int] | str:
    return list(wanted) if dialect == "postgresql" else orjson.dumps(list(wanted)).decode()


def _by_room(rows: Iterable[Any], room_ids: Iterable[int]) -> dict[int, Use]:
    found = {room_id: Use() for room_id in room_ids}
    for room_id, state, ref, busy_from, used_from, used_until, busy_until, lapses_at in rows:
        use = found[room_id]
        if state == "blocked":
            use.barred.append((busy_from, busy_until, ref))
            continue
        use.taken.append((busy_from, used_from, used_until, busy_until, state, ref))
        if state == "held" and (use.lapses is None or lapses_at < use.lapses):
            use.lapses = lapses_at
    for use in found.values():
        use.taken.sort()
        use.barred.sort()
    return found


@cache
def _statement(dialect: str) -> TextClause:
    """Made once: building it costs more than the database takes to answer it."""
    instant = _MICROSECONDS[dialect].format
    instants = (f"{instant(column)} AS {name}" for name, column in _INSTANTS.items())
    columns = f"room_id, state, order_id, {', '.join(instants)}"
    first = _FIRST_AFTER[dialect]
    statement = _STATEMENT.format(
        columns=columns,
        names=_NAMES,
        by_index="INDEXED BY ix_bookings_room_busy" if dialect == "sqlite" else "",
        start=instant("start_at"),
        end=instant("end_at"),
        occupying=_OCCUPYING,
        rooms=_IDS[dialect].format("rooms"),
        present_rooms=_IDS[dialect].format("present_rooms"),
        reaching_over=first.format(columns=columns, occupying=_OCCUPYING, rooms="rooms", after="to_at"),
        present=first.format(columns=columns, occupying=_OCCUPYING, rooms="present_rooms", after="now"),
    )
    parameters = ("from_at", "to_at", "now", "present_until")
    return text(statement).bindparams(*(bindparam(name, type_=UtcDateTime) for name in parameters))
