"""Room state over time: free and grey spans with their reasons.

*Free* is a promise in both directions. A booking of an allowed length on the policy's steps that lies wholly
inside one free span is accepted by `check_span` and `check_place`; a booking that touches a grey span is
refused by them. (Walk-ins, sessions and vouchers bring their own starts or lengths and stand aside.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan
from app.domain.slots import (
    Span,
    local_day,
)
from app.domain.timelines import (
    MINUTE_US,
    Barred,
    LocalClock,
    Taken,
    grey_useless,
    ground,
    instant_of,
    paint,
    rules_at,
    us_of,
)

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
    rules = rules_at(policy, now, tz)
    base = ground(us_of(wide.start_at), us_of(wide.end_at), _tuples(open_spans), rules)
    runs = grey_useless(
        paint(
            base,
            map(_taken, busy),
            map(_barred, blocks),
            before=policy.buffer_before_minutes * MINUTE_US,
            after=policy.buffer_after_minutes * MINUTE_US,
        ),
        policy,
        LocalClock(tz, wide),
    )
    return [
        StateSpan(
            max(instant_of(start), window.start_at),
            min(instant_of(end), window.end_at),
            STATES.get(reason, reason),
            None if reason == "free" else reason,
            None if ref is None else str(ref),
        )
        for start, end, reason, ref in runs
        if instant_of(start) < window.end_at and window.start_at < instant_of(end)
    ]


def _tuples(spans: Iterable[Span]) -> list[tuple[int, int]]:
    return [(us_of(span.start_at), us_of(span.end_at)) for span in spans]


def _taken(busy: BusySpan) -> Taken:
    return (
        us_of(busy.busy.start_at),
        us_of(busy.core.start_at),
        us_of(busy.core.end_at),
        us_of(busy.busy.end_at),
        str(busy.state),
        busy.ref,
    )


def _barred(block: BlockSpan) -> Barred:
    return us_of(block.span.start_at), us_of(block.span.end_at), block.ref


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
