"""Live room state: what is free, what is not and why, for customers and for the board."""

from __future__ import annotations

import calendar as months
import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, func, select

from app.domain.availability import (
    StateSpan,
    availability_spans,
    free_minutes_on,
    free_spans,
    load_window,
    room_state_at,
)
from app.domain.errors import InvalidField, NotFound
from app.domain.opening import opening_spans
from app.domain.slots import MINUTE, Span, clip, local_day
from app.models import BookingPolicy, OpeningHours, Room, RoomBlock, Store
from app.services.room_rules import (
    Occupancy,
    RoomRules,
    load_occupancy,
)
from app.services.store_config import load_price_book, load_room, load_store_rooms
from app.services.unit_of_work import session

MAX_WINDOW_DAYS = 31


def get_store_availability(
    store_id: int, *, from_at: datetime, to_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return `{version, rooms: [{room_id, state, spans}]}` of a store; raises NotFound, InvalidField.

    `state` is that of this moment, whatever the window. Nothing tells who booked.
    """
    window = _window(from_at, to_at)
    check_store(store_id)
    # Read before the rooms, so that a change in between makes the next poll see it.
    version = get_state_version(store_id, now=now)
    return {"version": version, "rooms": _answers(load_store_rooms(store_id), window, now)}


def get_room_availability(
    room_id: int, *, from_at: datetime, to_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return `{version, room_id, state, spans}` of one room."""
    window = _window(from_at, to_at)
    room = load_room(room_id)
    version = get_state_version(room.store_id, now=now)
    return {"version": version} | _answers([room], window, now)[0]


def _answers(rooms: Sequence[RoomRules], window: Span, now: datetime) -> list[dict[str, Any]]:
    timelines = paint_rooms(rooms, window, now=now)
    states = present_states(rooms, now=now)
    return [_room_answer(room, states[room.room_id], timelines[room.room_id]) for room in rooms]


def check_store(store_id: int) -> None:
    """Raise NotFound unless the store exists and is in service."""
    if session().scalar(select(Store.id).where(Store.id == store_id, Store.is_active)) is None:
        raise NotFound()


def _sum_of(column: Any, owner: Any) -> Any:
    return select(func.sum(column)).where(owner == bindparam("store")).scalar_subquery()


def _marks_of(model: Any) -> Any:
    """Rows without a version of their own: how many there are and which is the newest."""
    marks = func.count(model.id) + func.coalesce(func.max(model.id), 0)
    return select(marks).where(model.store_id == bindparam("store")).scalar_subquery()


# Made once: building it costs more than the database takes to answer it.
_VERSION_PARTS = select(
    _sum_of(Room.state_version, Room.store_id),
    _sum_of(Room.version, Room.store_id),
    _sum_of(BookingPolicy.version, BookingPolicy.store_id),
    _marks_of(OpeningHours),
    _marks_of(RoomBlock),
)


def get_state_version(store_id: int, *, now: datetime) -> str:
    """Return a text that changes whenever the answer for a store may change.

    Counted changes of its rooms, edits of its rules, and the present minute, because lead times and run-out
    holds change the picture without anybody writing.
    """
    parts = session().execute(_VERSION_PARTS, {"store": store_id}).one()
    minute = int(now.timestamp()) // 60
    text = ":".join(str(part or 0) for part in (*parts, minute))
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def paint_rooms(
    rooms: Sequence[RoomRules], window: Span, *, now: datetime, occupancy: Occupancy | None = None
) -> dict[int, list[StateSpan]]:
    """Return the timeline of each room; the bookings and blocks of all rooms are read in one go."""
    if not rooms:
        return {}
    wide = load_window(window, (room.policy for room in rooms))
    if occupancy is None:
        occupancy = load_occupancy([room.room_id for room in rooms], wide, now=now)
    # The rooms of a store share their opening hours.
    open_spans = {room.opening: opening_spans(room.opening, room.tz, wide) for room in rooms}
    return {room.room_id: _paint(room, window, occupancy, open_spans[room.opening], now) for room in rooms}


def _paint(
    room: RoomRules, window: Span, occupancy: Occupancy, open_spans: list[Span], now: datetime
) -> list[StateSpan]:
    busy, blocks = occupancy[room.room_id]
    own = load_window(window, [room.policy])
    return availability_spans(
        window,
        open_spans=clip(open_spans, own),
        busy=[taken for taken in busy if taken.busy.overlaps(own)],
        blocks=[block for block in blocks if block.span.overlaps(own)],
        policy=room.policy,
        now=now,
        tz=room.tz,
    )


def _window(from_at: datetime, to_at: datetime) -> Span:
    window = Span(from_at, to_at)
    if window.end_at - window.start_at > timedelta(days=MAX_WINDOW_DAYS):
        raise InvalidField.of("to", _l("At most 31 days can be shown at once."))
    return window


def _room_answer(room: RoomRules, state: str, spans: list[StateSpan]) -> dict[str, Any]:
    return {
        "room_id": room.room_id,
        "state": state,
        "spans": [
            {
                "start_at": span.start_at.astimezone(room.tz),
                "end_at": span.end_at.astimezone(room.tz),
                "state": span.state,
                "reason": span.reason,
            }
            for span in spans
        ],
    }


def present_states(rooms: Sequence[RoomRules], *, now: datetime) -> dict[int, str]:
    """Return what each room is at this moment; lead times and horizons play no part."""
    moment = Span(now, now + MINUTE)
    occupancy = load_occupancy([room.room_id for room in rooms], moment, now=now)
    return {room.room_id: _present_state(room, occupancy, now) for room in rooms}


def _present_state(room: RoomRules, occupancy: Occupancy, now: datetime) -> str:
    busy, blocks = occupancy[room.room_id]
    open_spans = opening_spans(room.opening, room.tz, Span(now, now + MINUTE))
    return room_state_at(now, open_spans=open_spans, busy=busy, blocks=blocks)


def get_room_calendar(room_id: int, *, month: str, now: datetime) -> list[dict[str, Any]]:
    """Return `[{date, free_minutes, price_from_fen}]` for a month (``YYYY-MM``) of store-local days."""
    room = load_room(room_id)
    first = _first_of_month(month)
    days = months.monthrange(first.year, first.month)[1]
    book = load_price_book(room.store_id)
    whole = Span(local_day(first, room.tz).start_at, local_day(first.replace(day=days), room.tz).end_at)
    spans = paint_rooms([room], whole, now=now)[room_id]
    free = free_spans(spans)
    return [
        {
            "date": on,
            "free_minutes": free_minutes_on(free, on, room.tz),
            "price_from_fen": book.price_from_fen(room.priced_room, first_on=on, days=1),
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
