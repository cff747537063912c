"""A room's painted time with spans, policies and words, as tests want to read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.domain.availability import STATES, load_window
from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan
from app.domain.slots import Span
from app.domain.timelines import Barred, LocalClock, Taken, ground, instant_of, rules_at, timeline, us_of


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
    runs = timeline(base, map(_taken, busy), map(_barred, blocks), policy, LocalClock(tz, wide))
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
