"""The nearest places that are free instead of a refused one, tried until enough of them are accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import chain, islice
from zoneinfo import ZoneInfo

from app.domain.booking_rules import BookingPolicy
from app.domain.slots import MINUTE, Span, grid_ceil, grid_floor, span_of_minutes

NEARBY = timedelta(hours=24)
MOST = 3


@dataclass(frozen=True, slots=True)
class FreeRoom:
    """A room in which alternatives may be offered; `free` finds its free spans, when it is tried.

    `lengths` are the minutes to try, the best first; without any they follow from the policy: the longest
    allowed length that is not above the wanted one, then the shortest.
    """

    room_id: int
    policy: BookingPolicy
    free: Callable[[], Sequence[Span]]
    lengths: tuple[int, ...] = ()

    def lengths_for(self, minutes: int) -> tuple[int, ...]:
        """Return the lengths to try instead of *minutes*, each once."""
        return tuple(
            dict.fromkeys(self.lengths or (self.policy.fit_length(minutes), self.policy.min_minutes))
        )


@dataclass(frozen=True, slots=True)
class Alternative:
    """A place that is free instead of a refused one."""

    room_id: int
    span: Span


Accepts = Callable[[Alternative], bool]


def accept_all(_: Alternative) -> bool:
    """Accept every place."""
    return True


def nearby_window(policy: BookingPolicy, wanted: Span, *, now: datetime, tz: ZoneInfo) -> Span:
    """Return the time in which alternatives to a refused span are looked for.

    That is 24 hours to both sides of its start, moved to what can be booked when it is past or too far.
    """
    last_at = policy.horizon_at(now, tz) - timedelta(minutes=policy.min_minutes)
    centre = min(max(wanted.start_at, now), last_at)
    return Span(centre - NEARBY, centre + NEARBY + timedelta(minutes=policy.max_minutes))


def alternatives(
    wanted: Span,
    room_id: int | None,
    rooms: Sequence[FreeRoom],
    tz: ZoneInfo,
    *,
    accepts: Accepts = accept_all,
    limit: int = MOST,
) -> list[Alternative]:
    """Return up to *limit* free places for a refused span, the most fitting first.

    First the nearest earlier and later start in the same room and the first other room at the same time, then
    the nearest starts of the other rooms in the order of *rooms*. A shorter length is only tried in a room
    where a longer one fits nowhere. *accepts* decides about everything that free time does not tell, such as
    prices; it is asked as seldom as possible. So the answer is empty only when no room has a free span in
    which a place is accepted.
    """
    refused = Alternative(room_id, wanted) if room_id is not None else None

    def is_offered(offer: Alternative) -> bool:
        return offer != refused and accepts(offer)

    own = [room for room in rooms if room.room_id == room_id]
    others = [room for room in rooms if room.room_id != room_id]
    found = _by_distance(chain.from_iterable(_best_in(room, wanted, tz, is_offered) for room in own), wanted)
    found = [*found, *_twins(others, wanted, tz, is_offered)][:limit]
    if len(found) < limit:
        more = (offer for offer in _elsewhere(others, wanted, tz, is_offered) if offer not in found)
        found += islice(more, limit - len(found))
    return found


def _by_distance(offers: Iterable[Alternative], wanted: Span) -> list[Alternative]:
    return sorted(offers, key=lambda offer: _distance(offer, wanted))


def _distance(offer: Alternative, wanted: Span) -> timedelta:
    return abs(offer.span.start_at - wanted.start_at)


def _best_in(room: FreeRoom, wanted: Span, tz: ZoneInfo, accepts: Accepts) -> list[Alternative]:
    """Return the nearest accepted start up to the wanted one and the nearest after it, in one room."""
    for minutes in room.lengths_for(wanted.minutes):
        earlier = next(filter(accepts, _earlier(room, wanted.start_at, minutes, tz)), None)
        later = next(filter(accepts, _later(room, wanted.start_at, minutes, tz)), None)
        if found := [offer for offer in (earlier, later) if offer is not None]:
            return found
    return []


def _twins(rooms: Sequence[FreeRoom], wanted: Span, tz: ZoneInfo, accepts: Accepts) -> Iterator[Alternative]:
    """Yield the first other room at the same time, if there is one."""
    for room in rooms:
        if grid_floor(wanted.start_at, room.policy.start_step_minutes, tz) != wanted.start_at:
            continue
        left = next((gap.end_at for gap in room.free() if gap.has(wanted.start_at)), wanted.start_at)
        for minutes in room.lengths_for(wanted.minutes):
            twin = Alternative(room.room_id, span_of_minutes(wanted.start_at, minutes))
            if twin.span.end_at <= left and accepts(twin):
                yield twin
                return


def _elsewhere(
    rooms: Sequence[FreeRoom], wanted: Span, tz: ZoneInfo, accepts: Accepts
) -> Iterator[Alternative]:
    """Yield accepted starts in rooms, the nearest first, at most one on each side in each room."""
    empty = list(rooms)
    for step in range(max((len(room.lengths_for(wanted.minutes)) for room in rooms), default=0)):
        used: set[tuple[int, bool]] = set()
        sides = [
            side
            for room in empty
            if step < len(lengths := room.lengths_for(wanted.minutes))
            for side in (
                _earlier(room, wanted.start_at, lengths[step], tz),
                _later(room, wanted.start_at, lengths[step], tz),
            )
        ]
        for offer in merge(*sides, key=lambda offer: _distance(offer, wanted)):
            side_of = (offer.room_id, offer.span.start_at > wanted.start_at)
            if side_of not in used and accepts(offer):
                used.add(side_of)
                yield offer
        taken = {room_id for room_id, _ in used}
        empty = [room for room in empty if room.room_id not in taken]


def _earlier(room: FreeRoom, at: datetime, minutes: int, tz: ZoneInfo) -> Iterator[Alternative]:
    """Yield the starts on the grid up to *at*, the last one first, that leave room for *minutes*."""
    length, step = timedelta(minutes=minutes), room.policy.start_step_minutes
    for gap in reversed(room.free()):
        if gap.start_at > at:
            continue
        start_at = grid_floor(min(at, gap.end_at - length), step, tz)
        while start_at >= gap.start_at:
            yield Alternative(room.room_id, span_of_minutes(start_at, minutes))
            start_at = grid_floor(start_at - MINUTE, step, tz)


def _later(room: FreeRoom, at: datetime, minutes: int, tz: ZoneInfo) -> Iterator[Alternative]:
    """Yield the starts on the grid after *at*, the first one first, that leave room for *minutes*."""
    length, step = timedelta(minutes=minutes), room.policy.start_step_minutes
    for gap in room.free():
        if gap.end_at <= at:
            continue
        start_at = grid_ceil(max(at + MINUTE, gap.start_at), step, tz)
        while start_at + length <= gap.end_at:
            yield Alternative(room.room_id, span_of_minutes(start_at, minutes))
            start_at = grid_ceil(start_at + MINUTE, step, tz)
