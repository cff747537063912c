"""Room state over time: free and grey spans with their reasons.

*Free* is a promise in both directions. A booking of an allowed length on the policy's steps that lies wholly
inside one free span is accepted by `check_span` and `check_place`; a booking that touches a grey span is
refused by them. (Walk-ins, sessions and vouchers bring their own starts or lengths and stand aside.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan
from app.domain.slots import (
    Span,
    grid_ceil,
    grid_floor,
    local_day,
    subtract,
)

# What shows where several things hold at once: the guests first, then what keeps the room from being used.
RANKS = {
    "in_use": 0,
    "reserved": 1,
    "held": 2,
    "ended": 3,
    "blocked": 4,
    "cleaning": 5,
    "closed": 6,
    "in_past": 7,
    "too_soon": 8,
    "too_far": 9,
    "buffer": 10,
    "free": 11,
}
# The reasons that are more exact than their state.
STATES = {
    "ended": "in_use",
    "in_past": "closed",
    "too_soon": "closed",
    "too_far": "closed",
    "too_short": "closed",
    "off_step": "closed",
    "buffer": "cleaning",
}


@dataclass(frozen=True, slots=True)
class StateSpan:
    """One stretch of a room's timeline.

    `state` is free, held, reserved, in_use, cleaning, blocked or closed. `reason` is None when free, else the
    state itself or, more exactly: ended (an earlier use), in_past, too_soon, too_far, too_short (a gap in
    which no allowed booking fits), off_step (what comes before a gap's first start on the grid), closed
    (opening hours), buffer (kept clear by the buffers that a new booking would need). `ref` is that of the
    booking or block, for staff screens only.
    """

    start_at: datetime
    end_at: datetime
    state: str
    reason: str | None = None
    ref: str | None = None


class _Layer(NamedTuple):
    """Something that holds from start to end; the smallest rank shows."""

    start_at: datetime
    end_at: datetime
    reason: str
    ref: str | None


def load_window(window: Span, policies: Iterable[BookingPolicy]) -> Span:
    """Return the time for which opening, bookings and blocks must be loaded to paint *window*.

    It is wider because a gap that reaches over the window's edge may be long enough for a booking.
    """
    reach = max((_reach_minutes(policy) for policy in policies), default=0)
    return window.widened(reach, reach)


def availability_spans(
    window: Span,
    *,
    open_spans: Sequence[Span],
    busy: Iterable[BusySpan],
    blocks: Iterable[BlockSpan] = (),
    policy: BookingPolicy,
    now: datetime,
    tz: ZoneInfo,
) -> list[StateSpan]:
    """Return one room's timeline over *window*: sorted, without gaps, clipped; neighbours always differ.

    *open_spans*, *busy* and *blocks* are those that overlap `load_window(window, [policy])`. The past and the
    lead time end on the start grid, so that the answer stays the same between two grid lines.
    """
    wide = load_window(window, [policy])
    taken = list(busy)
    layers = [*_occupancy(wide, open_spans, taken, blocks), *_time_rules(wide, policy, now, tz)]
    layers += _margins(policy, taken)
    return [
        StateSpan(
            max(start_at, window.start_at),
            min(end_at, window.end_at),
            STATES.get(reason, reason),
            None if reason == "free" else reason,
            ref,
        )
        for start_at, end_at, reason, ref in _only_usable_gaps(_paint(wide, layers), policy, tz)
        if start_at < window.end_at and window.start_at < end_at
    ]


def room_state_at(
    at: datetime, *, open_spans: Sequence[Span], busy: Iterable[BusySpan], blocks: Iterable[BlockSpan] = ()
) -> str:
    """Return what the room is at one instant, lead times aside: free means that nobody uses or blocks it."""
    moment = Span(at, at + timedelta.resolution)
    reason = _paint(moment, _occupancy(moment, open_spans, busy, blocks))[0].reason
    return STATES.get(reason, reason)


def free_spans(spans: Iterable[StateSpan]) -> tuple[Span, ...]:
    """Return the free stretches of a timeline."""
    return tuple(Span(span.start_at, span.end_at) for span in spans if span.state == "free")


def free_minutes_on(free: Iterable[Span], on: date, tz: ZoneInfo) -> int:
    """Return how many free minutes lie in one local day, for the month calendar."""
    day = local_day(on, tz)
    return sum(part.minutes for span in free if (part := span.intersect(day)))


def _reach_minutes(policy: BookingPolicy) -> int:
    buffers = policy.buffer_before_minutes + policy.buffer_after_minutes
    return policy.min_minutes + policy.start_step_minutes + buffers


def _occupancy(
    window: Span, open_spans: Iterable[Span], busy: Iterable[BusySpan], blocks: Iterable[BlockSpan]
) -> Iterator[_Layer]:
    for taken in busy:
        yield _Layer(taken.core.start_at, taken.core.end_at, str(taken.state), taken.ref)
        yield _Layer(taken.busy.start_at, taken.busy.end_at, "cleaning", taken.ref)
    for block in blocks:
        yield _Layer(block.span.start_at, block.span.end_at, "blocked", block.ref)
    for shut in subtract([window], open_spans):
        yield _Layer(shut.start_at, shut.end_at, "closed", None)


def _time_rules(window: Span, policy: BookingPolicy, now: datetime, tz: ZoneInfo) -> Iterator[_Layer]:
    step = policy.start_step_minutes
    past_until = grid_floor(now, step, tz)
    yield _Layer(window.start_at, past_until, "in_past", None)
    yield _Layer(past_until, grid_ceil(policy.earliest_start_at(now), step, tz), "too_soon", None)
    yield _Layer(policy.horizon_at(now, tz), window.end_at, "too_far", None)


def _margins(policy: BookingPolicy, busy: Iterable[BusySpan]) -> Iterator[_Layer]:
    """Yield where a new booking may not be because its own buffers would enter what is occupied."""
    before = timedelta(minutes=policy.buffer_before_minutes)
    after = timedelta(minutes=policy.buffer_after_minutes)
    for taken in busy:
        yield _Layer(taken.busy.start_at - after, taken.busy.end_at + before, "buffer", None)


def _paint(window: Span, layers: Iterable[_Layer]) -> list[_Layer]:
    """Lay the layers over each other and return what shows, without gaps, over the whole of *window*."""
    base = _Layer(window.start_at, window.end_at, "free", None)
    inside = [layer for layer in layers if _is_inside(layer, window)]
    ordered = sorted(
        [base, *inside], key=lambda layer: (layer.start_at, RANKS[layer.reason], layer.ref or "")
    )
    cuts = {at for layer in ordered for at in layer[:2] if window.start_at < at < window.end_at}
    shown: list[_Layer] = []
    holding: list[tuple[int, int]] = []
    upcoming = 0
    bounds = sorted(cuts | {window.start_at, window.end_at})
    for start_at, end_at in pairwise(bounds):
        while upcoming < len(ordered) and ordered[upcoming].start_at <= start_at:
            heappush(holding, (RANKS[ordered[upcoming].reason], upcoming))
            upcoming += 1
        # The base layer never ends before the window does, so the heap is never empty.
        while ordered[holding[0][1]].end_at <= start_at:
            heappop(holding)
        _, _, reason, ref = ordered[holding[0][1]]
        if shown and shown[-1][2:] == (reason, ref):
            shown[-1] = _Layer(shown[-1].start_at, end_at, reason, ref)
        else:
            shown.append(_Layer(start_at, end_at, reason, ref))
    return shown


def _is_inside(layer: _Layer, window: Span) -> bool:
    return layer.start_at < layer.end_at and layer.start_at < window.end_at and layer.end_at > window.start_at


def _only_usable_gaps(shown: Iterable[_Layer], policy: BookingPolicy, tz: ZoneInfo) -> Iterator[_Layer]:
    """Grey what is free but of no use: gaps too short for a booking, what precedes a gap's first start."""
    shortest = timedelta(minutes=policy.min_minutes)
    for run in shown:
        if run.reason != "free":
            yield run
            continue
        first = _first_start(run, policy, tz)
        if first + shortest > run.end_at:
            yield run._replace(reason="too_short")
            continue
        if first > run.start_at:
            yield run._replace(end_at=first, reason="off_step")
        yield run._replace(start_at=first)


def _first_start(gap: _Layer | Span, policy: BookingPolicy, tz: ZoneInfo) -> datetime:
    return grid_ceil(gap.start_at, policy.start_step_minutes, tz)
