"""Painting what is not kept: the rooms of a store over whole local days, read and laid out in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from app.domain.availability import STATES, load_window
from app.domain.booking_rules import BookingPolicy
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import Span, local_date, local_day
from app.domain.timelines import (
    LocalClock,
    Rules,
    ground,
    instant_of,
    present_state,
    rules_at,
    timeline,
    us_of,
)
from app.extensions import is_writing
from app.services.occupancy import MOMENT, read_use
from app.services.painted_rooms import Kept, Key, PaintedRoom, write_room
from app.services.room_rules import Occupied, RoomRules, load_uses, occupied_by
from app.services.store_config import StoreConfig
from app.services.unit_of_work import in_unit_of_work

OpenTime = Sequence[tuple[int, int]]
Ground = list[tuple[int, int, str]]

kept_rooms: Kept[Key, PaintedRoom] = Kept()


def find_paintings(
    connection: Connection,
    config: StoreConfig,
    state_versions: Mapping[int, int],
    window: Span,
    *,
    now: datetime,
) -> dict[int, PaintedRoom]:
    """Return a painting of each room in *state_versions* that covers the window; at most one statement.

    The versions are those that the database named just now. Whoever is writing gets paintings of its own,
    because what it sees may still be undone.
    """
    rooms = [room for room in config.rooms if room.room_id in state_versions]
    days = _days_of(window, config.tz)
    if not may_keep():
        return _paint(connection, config, rooms, state_versions, days, now)
    key = _key_of(days, config.tz)
    moment = us_of(now)
    found: dict[int, PaintedRoom | None] = {
        room.room_id: kept_rooms.find(
            (room.room_id, *key), (config.version, state_versions[room.room_id]), moment
        )
        for room in rooms
    }
    missing = [room for room in rooms if found[room.room_id] is None]
    if missing:
        for room_id, painted in _paint(connection, config, missing, state_versions, days, now).items():
            kept_rooms.keep((room_id, *key), painted)
            found[room_id] = painted
    return {room_id: painted for room_id, painted in found.items() if painted is not None}


def may_keep() -> bool:
    """Tell whether what is kept may be used and added to: what a writer sees may still be undone."""
    return not (in_unit_of_work() or is_writing())


def _days_of(window: Span, tz: ZoneInfo) -> Span:
    last_on = local_date(window.end_at - timedelta.resolution, tz)
    return Span(local_day(local_date(window.start_at, tz), tz).start_at, local_day(last_on, tz).end_at)


def _key_of(days: Span, tz: ZoneInfo) -> tuple[int, int]:
    return local_date(days.start_at, tz).toordinal(), local_date(days.end_at, tz).toordinal()


def _paint(
    connection: Connection,
    config: StoreConfig,
    rooms: Sequence[RoomRules],
    state_versions: Mapping[int, int],
    days: Span,
    now: datetime,
) -> dict[int, PaintedRoom]:
    wide = load_window(days, (room.policy for room in rooms))
    is_present_inside = days.start_at <= now < days.end_at
    ids = [room.room_id for room in rooms]
    uses = read_use(connection, ids, wide, now=now, present_ids=() if is_present_inside else ids)
    open_time = _open_time(config.opening, config.tz, wide)
    present = days if is_present_inside else Span(now, now + MOMENT)
    present_open = open_time if is_present_inside else _open_time(config.opening, config.tz, present)
    clock = _clock(config.tz, wide)
    grounds = _Grounds(open_time, wide, now, config.tz)
    found: dict[int, PaintedRoom] = {}
    for room in rooms:
        use, (rules, base) = uses[room.room_id], grounds.of(room.policy)
        state, sure_until = present_state(
            use.taken, use.barred, present_open, us_of(now), us_of(present.end_at)
        )
        found[room.room_id] = write_room(
            timeline(base, use.taken, use.barred, room.policy, clock),
            clock,
            versions=(config.version, state_versions[room.room_id]),
            since=us_of(now),
            until=min(sure_until, rules.until, use.lapses or sure_until),
            state=STATES.get(state, state),
        )
    return found


class FreeTime:
    """When the rooms of one store are free in a window, a room painted when it is asked for.

    What occupies them is read at once, in one statement; `except_order_id` counts as not there.
    """

    def __init__(
        self,
        rooms: Sequence[RoomRules],
        window: Span,
        *,
        now: datetime,
        except_order_id: int | None = None,
    ) -> None:
        ids = [room.room_id for room in rooms]
        first = rooms[0]
        self._start, self._end = us_of(window.start_at), us_of(window.end_at)
        wide = load_window(window, (room.policy for room in rooms))
        self._uses = load_uses(ids, wide, now=now, except_order_id=except_order_id)
        self._clock = _clock(first.tz, wide)
        self._grounds = _Grounds(_open_time(first.opening, first.tz, wide), wide, now, first.tz)
        self._free: dict[int, tuple[Span, ...]] = {}

    def of(self, room: RoomRules) -> tuple[Span, ...]:
        """Return the free spans of a room, clipped to the window."""
        if room.room_id not in self._free:
            self._free[room.room_id] = tuple(self._find(room))
        return self._free[room.room_id]

    def occupied(self, room: RoomRules) -> Occupied:
        """Return what occupies a room in and around the window."""
        return occupied_by(self._uses[room.room_id])

    def _find(self, room: RoomRules) -> Iterator[Span]:
        _, base = self._grounds.of(room.policy)
        use = self._uses[room.room_id]
        for start, end, reason, _ in timeline(base, use.taken, use.barred, room.policy, self._clock):
            if reason == "free" and start < self._end and self._start < end:
                yield Span(instant_of(max(start, self._start)), instant_of(min(end, self._end)))


class _Grounds:
    """What time and opening say, once for all rooms of one policy."""

    def __init__(self, open_time: OpenTime, wide: Span, now: datetime, tz: ZoneInfo) -> None:
        self._open_time, self._wide, self._now, self._tz = open_time, wide, now, tz
        self._made: dict[BookingPolicy, tuple[Rules, Ground]] = {}

    def of(self, policy: BookingPolicy) -> tuple[Rules, Ground]:
        made = self._made.get(policy)
        if made is None:
            rules = rules_at(policy, self._now, self._tz)
            start, end = us_of(self._wide.start_at), us_of(self._wide.end_at)
            made = self._made[policy] = rules, ground(start, end, self._open_time, rules)
        return made


@lru_cache(maxsize=16)
def _clock(tz: ZoneInfo, wide: Span) -> LocalClock:
    return LocalClock(tz, wide)


@lru_cache(maxsize=128)
def _open_time(opening: tuple[OpeningRule, ...], tz: ZoneInfo, wide: Span) -> OpenTime:
    return tuple((us_of(span.start_at), us_of(span.end_at)) for span in opening_spans(opening, tz, wide))
