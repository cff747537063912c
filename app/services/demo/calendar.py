"""When guests of the example chain come: how many, at what hour, for how long, planned how far ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from math import exp
from random import Random

from sqlalchemy import select

from app.domain.booking_rules import busy_span
from app.domain.calendar import DayKind, day_kind
from app.domain.opening import opening_spans
from app.domain.slots import Span, local_instant, span_of_minutes
from app.models import BookingSession
from app.services.demo.campaigns import DemoCampaign
from app.services.demo.people import Guest
from app.services.demo.stores import Shops
from app.services.room_rules import RoomRules
from app.services.store_config import load_store_rooms
from app.services.unit_of_work import session

HISTORY_DAYS = 90
FUTURE_DAYS = 13

# Guests a day and room before the season, the room and the store are counted in.
DEMAND = {DayKind.WEEKDAY: 1.45, DayKind.WEEKEND: 2.7, DayKind.HOLIDAY: 2.9}
FRIDAY_DEMAND = 2.1
STORE_FACTOR = (1.1, 1.0, 0.95)
TYPE_FACTOR = {"小包": 1.15, "中包": 1.1, "大包": 0.95, "豪华包": 0.85, "VIP": 0.7}
START_HOURS = (9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
WEEKDAY_HOURS = (1, 2, 2, 3, 7, 8, 4, 3, 4, 10, 13, 9, 5, 3, 2)
WEEKEND_HOURS = (2, 4, 4, 5, 12, 13, 8, 5, 5, 10, 12, 9, 6, 4, 3)
LENGTHS = (60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 600)
LENGTH_WEIGHTS = (1, 2, 9, 5, 15, 6, 24, 5, 14, 9, 3, 4, 1)

DESK_SHARE, OWN_SHARE, WALK_IN_SHARE = 0.22, 0.06, 0.14
SESSION_SHARE, NIGHT_SHARE = 0.4, 0.1
TRIES = 3


class Way(StrEnum):
    """How a visit comes about."""

    BOOKED = "booked"
    WALK_IN = "walk_in"
    # A voucher redeemed at the desk, or locked into a booking of its owner.
    DESK = "desk"
    OWN = "own"


@dataclass
class Visit:
    """Somebody in a room at a time; `rng` decides everything else about it, always in the same way."""

    room: RoomRules
    span: Span
    way: Way
    rng: Random
    session_id: int | None = None
    campaign: DemoCampaign | None = None
    guest: Guest | None = None


@dataclass
class Plan:
    """Every visit of the period, sorted by start, with the rules of the rooms."""

    rooms: dict[int, RoomRules]
    visits: list[Visit] = field(default_factory=list)


@dataclass(frozen=True)
class _Session:
    id: int
    start_minute: int
    length_minutes: int


def plan_visits(shops: Shops, campaigns: list[DemoCampaign], today: date) -> Plan:
    """Return visits from 90 days ago to 13 days ahead; opening hours, buffers and blocks are respected."""
    plan = Plan({})
    for index, store_id in enumerate(shops.store_ids):
        sessions = _load_sessions(store_id)
        for room in load_store_rooms(store_id):
            plan.rooms[room.room_id] = room
            diary = _Diary(room, shops, index, sessions, campaigns, today)
            plan.visits.extend(diary.visits())
    plan.visits.sort(key=lambda visit: (visit.span.start_at, visit.room.room_id))
    return plan


def _load_sessions(store_id: int) -> list[_Session]:
    rows = session().execute(
        select(BookingSession.id, BookingSession.start_minute, BookingSession.length_minutes)
        .where(BookingSession.store_id == store_id)
        .order_by(BookingSession.id)
    )
    return [_Session(*row) for row in rows]


class _Diary:
    """Fills one room day by day."""

    def __init__(
        self,
        room: RoomRules,
        shops: Shops,
        store_index: int,
        sessions: list[_Session],
        campaigns: list[DemoCampaign],
        today: date,
    ) -> None:
        self._room, self._sessions, self._today = room, sessions, today
        self._is_quiet = room.room_id in shops.quiet_room_ids
        self._campaigns = [each for each in campaigns if each.covers(store_index, room.room_type)]
        self._factor = STORE_FACTOR[store_index] * TYPE_FACTOR[room.room_type]
        self._blocks = shops.blocks.get(room.room_id, [])
        self._taken: list[Span] = []

    def visits(self) -> Iterator[Visit]:
        """Yield the room's visits, day by day."""
        for offset in range(-HISTORY_DAYS, FUTURE_DAYS + 1):
            if offset > 0 and self._is_quiet:
                break
            on = self._today + timedelta(days=offset)
            for number in range(self._count(on, offset)):
                rng = Random(f"visit:{self._today}:{self._room.room_id}:{on}:{number}")
                visit = self._place(on, rng)
                if visit is not None:
                    self._taken = [*self._taken[-12:], busy_span(self._room.policy, visit.span)]
                    yield visit

    def _count(self, on: date, offset: int) -> int:
        rng = Random(f"count:{self._today}:{self._room.room_id}:{on}")
        kind = day_kind(on)
        demand = FRIDAY_DEMAND if kind is DayKind.WEEKDAY and on.weekday() == 4 else DEMAND[kind]
        growth = 0.9 + 0.2 * min(offset + HISTORY_DAYS, HISTORY_DAYS) / HISTORY_DAYS
        return poisson(rng, demand * growth * self._factor)

    def _place(self, on: date, rng: Random) -> Visit | None:
        """Return a visit that fits into the day, or None after a few tries."""
        for _ in range(TRIES):
            visit = self._draw(on, rng)
            if self._fits(visit.span):
                return visit
        return None

    def _draw(self, on: date, rng: Random) -> Visit:
        room, share = self._room, rng.random()
        if self._sessions and share < SESSION_SHARE:
            each = rng.choice(self._sessions)
            start_at = local_instant(on, each.start_minute, room.tz)
            span = span_of_minutes(start_at, each.length_minutes)
            return Visit(room, span, Way.BOOKED, rng, session_id=each.id)
        if self._sessions and share < SESSION_SHARE + NIGHT_SHARE:
            return Visit(room, span_of_minutes(local_instant(on, 1380, room.tz), 480), Way.BOOKED, rng)
        hours = WEEKDAY_HOURS if day_kind(on) is DayKind.WEEKDAY else WEEKEND_HOURS
        minute = rng.choices(START_HOURS, hours)[0] * 60 + rng.choice((0, 30))
        return self._draw_hourly(on, minute, rng)

    def _draw_hourly(self, on: date, minute: int, rng: Random) -> Visit:
        room, share = self._room, rng.random()
        at_desk = minute + rng.randrange(25)
        if self._campaigns and share < DESK_SHARE + OWN_SHARE:
            campaign = rng.choice(self._campaigns)
            is_own = share < OWN_SHARE
            start_at = local_instant(on, minute if is_own else at_desk, room.tz)
            span = span_of_minutes(start_at, campaign.minutes)
            return Visit(room, span, Way.OWN if is_own else Way.DESK, rng, campaign=campaign)
        length = max(rng.choices(LENGTHS, LENGTH_WEIGHTS)[0], room.policy.min_minutes)
        is_walk_in = share > 1 - WALK_IN_SHARE
        start_at = local_instant(on, at_desk if is_walk_in else minute, room.tz)
        return Visit(room, span_of_minutes(start_at, length), Way.WALK_IN if is_walk_in else Way.BOOKED, rng)

    def _fits(self, span: Span) -> bool:
        busy = busy_span(self._room.policy, span)
        if any(busy.overlaps(taken) for taken in (*self._taken, *self._blocks)):
            return False
        return opening_spans(self._room.opening, self._room.tz, span) == [span]


def poisson(rng: Random, mean: float) -> int:
    """Return how often something of this mean happens."""
    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
