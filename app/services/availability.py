"""Live room state: what is free, what is not and why, for customers and for the board."""

from __future__ import annotations

import calendar as months
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection, Select, and_, bindparam, select

from app.domain.availability import STATES, free_minutes_on
from app.domain.errors import InvalidField, NotFound
from app.domain.opening import opening_spans
from app.domain.slots import MINUTE, Span, local_day
from app.domain.timelines import present_state, us_of
from app.extensions import current_scope
from app.models import Room, Store
from app.services.occupancy import MOMENT, Use, read_use
from app.services.painted_rooms import Kept, PaintedRoom
from app.services.painting import FreeTime, find_paintings, kept_rooms, may_keep
from app.services.room_rules import RoomRules
from app.services.store_config import config_at, load_room_config
from app.services.unit_of_work import reading

MAX_WINDOW_DAYS = 31

Painted = Mapping[int, PaintedRoom]
Piece = bytes | memoryview

_STORES, _ROOMS = Store.__table__, Room.__table__
_VERSIONS = select(
    _STORES.c.id.label("store_id"),
    _STORES.c.config_version,
    _ROOMS.c.id.label("room_id"),
    _ROOMS.c.state_version,
)
_OF_STORE = _VERSIONS.outerjoin_from(
    _STORES, _ROOMS, and_(_ROOMS.c.store_id == _STORES.c.id, _ROOMS.c.is_active)
).where(_STORES.c.id == bindparam("store"), _STORES.c.is_active)
_OF_ROOM = _VERSIONS.join_from(_ROOMS, _STORES, _STORES.c.id == _ROOMS.c.store_id).where(
    _ROOMS.c.id == bindparam("room"), _ROOMS.c.is_active, _STORES.c.is_active
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Availability as JSON with its entity tag; no body where the copy that the client has still holds."""

    tag: str
    body: bytes | None


def read_store_availability(
    store_id: int, *, from_at: datetime, to_at: datetime, now: datetime, known: Iterable[str] = ()
) -> Answer:
    """Return `{version, rooms: [{room_id, state, spans}]}` of a store; raises NotFound, InvalidField.

    `state` is that of this moment, whatever the window. Nothing tells who booked. *known* are the tags that
    the client has: one that still holds costs a single statement, everything else at most two.
    """
    return _read(_OF_STORE, {"store": store_id}, _window(from_at, to_at), now, known, _rooms_json)


def read_room_availability(
    room_id: int, *, from_at: datetime, to_at: datetime, now: datetime, known: Iterable[str] = ()
) -> Answer:
    """Return `{version, room_id, state, spans}` of one room, as `read_store_availability` does."""
    return _read(_OF_ROOM, {"room": room_id}, _window(from_at, to_at), now, known, _room_json)


def _read(
    statement: Select[Any],
    which: dict[str, int],
    window: Span,
    now: datetime,
    known: Iterable[str],
    pieces: Callable[[Painted, Span], Iterable[Piece]],
) -> Answer:
    with reading() as connection:
        # Read before the bookings, so that a change in between makes the next poll see it.
        seen = _look(connection, statement, which)
        for tag in known:
            if _still_holds(tag, seen.mark, window, now):
                return Answer(tag, None)
        key = (pieces.__name__, *which.values(), window)
        answer = kept_answers.find(key, seen.versions, us_of(now)) if may_keep() else None
        if answer is None:
            config = config_at(seen.store_id, seen.config_version)
            painted = find_paintings(connection, config, seen.state_versions, window, now=now)
            answer = _write(seen, painted, window, now, pieces)
            if may_keep():
                kept_answers.keep(key, answer)
    return Answer(_tag(seen.mark, answer.since, answer.until, window), answer.body)


def forget_kept() -> None:
    """Forget everything that this process keeps of rooms; it is made again when it is asked for."""
    kept_answers.clear()
    kept_rooms.clear()


def _write(
    seen: _Seen,
    painted: Painted,
    window: Span,
    now: datetime,
    pieces: Callable[[Painted, Span], Iterable[Piece]],
) -> _Written:
    since = max((room.since for room in painted.values()), default=us_of(now))
    until = min((room.until for room in painted.values()), default=us_of(now + MOMENT))
    head = f'{{"version":"{seen.mark}.{until:x}",'.encode()
    return _Written(seen.versions, since, until, b"".join((head, *pieces(painted, window), b"}")))


@dataclass(frozen=True, slots=True)
class _Written:
    """An answer of some versions, right while `since` <= now < `until` (microseconds)."""

    versions: tuple[int, int]
    since: int
    until: int
    body: bytes

    def holds(self, versions: tuple[int, int], now: int) -> bool:
        """Tell whether this is what would be answered now."""
        return self.versions == versions and self.since <= now < self.until

    @property
    def size(self) -> int:
        """How many bytes it takes up."""
        return len(self.body)


# What is asked again word for word: a screen that polls, many customers who look at one store.
kept_answers: Kept[tuple[Any, ...], _Written] = Kept(16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The versions that the database names: of the store's configuration and of each room's time."""

    store_id: int
    config_version: int
    state_versions: dict[int, int]

    @property
    def versions(self) -> tuple[int, int]:
        """Change with anything: rooms only count up, and which there are is configuration."""
        return self.config_version, sum(self.state_versions.values())

    @property
    def mark(self) -> str:
        """The versions as clients are told them."""
        text = f"{self.versions[0]}:{self.versions[1]}"
        return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def _look(connection: Connection, statement: Select[Any], which: dict[str, int]) -> _Seen:
    rows = connection.execute(statement, which).all()
    if not rows or not current_scope().allows(rows[0].store_id):
        raise NotFound()
    states = {row.room_id: row.state_version for row in rows if row.room_id is not None}
    return _Seen(rows[0].store_id, rows[0].config_version, states)


def _tag(mark: str, since: int, until: int, window: Span) -> str:
    """The tag says itself until when its answer holds, so nothing but versions is looked at for it again."""
    return f"{mark}.{since:x}.{until:x}.{us_of(window.start_at):x}.{us_of(window.end_at):x}"


def _still_holds(tag: str, mark: str, window: Span, now: datetime) -> bool:
    if not tag.startswith(mark):
        return False
    try:
        since, until = (int(part, 16) for part in tag.split(".")[1:3])
    except ValueError:
        return False
    return since <= us_of(now) < until and tag == _tag(mark, since, until, window)


def _rooms_json(painted: Painted, window: Span) -> Iterator[Piece]:
    start, end = us_of(window.start_at), us_of(window.end_at)
    yield b'"rooms":['
    head = b"{"
    for room_id, room in painted.items():
        yield head + b'"room_id":"%d","state":"%s","spans":[' % (room_id, room.state.encode())
        yield from room.spans(start, end)
        yield b"]}"
        head = b",{"
    yield b"]"


def _room_json(painted: Painted, window: Span) -> Iterator[Piece]:
    for room_id, room in painted.items():
        yield b'"room_id":"%d","state":"%s","spans":[' % (room_id, room.state.encode())
        yield from room.spans(us_of(window.start_at), us_of(window.end_at))
        yield b"]"


def _window(from_at: datetime, to_at: datetime) -> Span:
    window = Span(from_at, to_at)
    if window.end_at - window.start_at > timedelta(days=MAX_WINDOW_DAYS):
        raise InvalidField.of("to", _l("At most 31 days can be shown at once."))
    return window


def present_states(rooms: Sequence[RoomRules], *, now: datetime) -> dict[int, str]:
    """Return what each room is at this moment; lead times and horizons play no part."""
    ids = [room.room_id for room in rooms]
    with reading() as connection:
        uses = read_use(connection, [], Span(now, now + MINUTE), now=now, present_ids=ids)
    return {room.room_id: _present_state(room, uses[room.room_id], now) for room in rooms}


def _present_state(room: RoomRules, use: Use, now: datetime) -> str:
    hours = opening_spans(room.opening, room.tz, Span(now, now + MINUTE))
    open_time = [(us_of(span.start_at), us_of(span.end_at)) for span in hours]
    reason, _ = present_state(use.taken, use.barred, open_time, us_of(now), us_of(now + MINUTE))
    return STATES.get(reason, reason)


def get_room_calendar(room_id: int, *, month: str, now: datetime) -> list[dict[str, Any]]:
    """Return `[{date, free_minutes, price_from_fen}]` for a month (``YYYY-MM``) of store-local days."""
    config = load_room_config(room_id)
    room = config.room(room_id)
    first = _first_of_month(month)
    days = months.monthrange(first.year, first.month)[1]
    whole = Span(local_day(first, room.tz).start_at, local_day(first.replace(day=days), room.tz).end_at)
    free = FreeTime([room], whole, now=now).of(room)
    return [
        {
            "date": on,
            "free_minutes": free_minutes_on(free, on, room.tz),
            "price_from_fen": config.book.price_from_fen(room.priced_room, first_on=on, days=1),
        }
        for on in (first + timedelta(days=offset) for offset in range(days))
    ]


def _first_of_month(month: str) -> date:
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        first = date.min
    if not 2000 <= first.year <= 2999:
        raise InvalidField.of("month", _l("Write the month as YYYY-MM."))
    return first
