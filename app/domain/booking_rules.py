"""Booking rules: which spans a policy accepts, what a booking occupies, and what leaving it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.errors import (
    Blocked,
    Closed,
    CustomerLimit,
    InPast,
    OffStep,
    RoomTaken,
    RuleRefused,
    TooFar,
    TooLong,
    TooShort,
    TooSoon,
)
from app.domain.money import percent_of
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import Span, floor_minute, is_on_grid, local_date, local_instant


@dataclass(frozen=True, slots=True)
class FeeStep:
    """Part of a fee scale: `minutes_before` the start or more costs `fee_percent`; None is after it."""

    minutes_before: int | None
    fee_percent: int


@dataclass(frozen=True, slots=True)
class FeePreview:
    """What leaving costs: `step` is the one that decided, None where the scale has none for this notice."""

    fee_fen: int
    refund_fen: int
    step: FeeStep | None


@dataclass(frozen=True, slots=True)
class BookingPolicy:
    """The booking rules of a store or of one room; lengths and leads are minutes.

    Starts lie on a grid of `start_step_minutes` from local midnight; allowed lengths are `min_minutes` and
    every `length_step_minutes` more, up to `max_minutes`.
    """

    id: int = 0
    version: int = 1
    min_lead_minutes: int = 0
    max_ahead_days: int = 14
    min_minutes: int = 60
    max_minutes: int = 720
    start_step_minutes: int = 30
    length_step_minutes: int = 30
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 15
    hold_minutes: int = 15
    max_open_holds: int = 5
    max_bookings_per_day: int = 10
    requires_confirmation: bool = False
    confirm_deadline_minutes: int = 10
    check_in_early_minutes: int = 15
    cancel_steps: tuple[FeeStep, ...] = ()
    change_steps: tuple[FeeStep, ...] = ()
    change_max_count: int = 3
    change_deadline_minutes: int = 0
    has_overtime: bool = False
    overtime_grace_minutes: int = 10
    overtime_unit_minutes: int = 30
    overtime_percent: int = 100
    overtime_cap_fen: int | None = None
    no_show_release_minutes: int | None = None
    no_show_refund_percent: int = 0
    early_refund_percent: int = 0
    refund_window_days: int = 7

    def earliest_start_at(self, now: datetime) -> datetime:
        """Return the first instant at which a booking made now may start (the grid aside)."""
        return floor_minute(now) + timedelta(minutes=self.min_lead_minutes)

    def horizon_at(self, now: datetime, tz: ZoneInfo) -> datetime:
        """Return the instant by which a booking made now must have ended.

        That is the local midnight after the last bookable day, so a night that runs into a day which cannot
        be booked yet waits until it can.
        """
        return local_instant(local_date(now, tz) + timedelta(days=self.max_ahead_days + 1), 0, tz)

    def fit_length(self, minutes: int) -> int:
        """Return the longest allowed length that is not above *minutes*, at least the shortest one."""
        wanted = min(minutes, self.max_minutes) - self.min_minutes
        return self.min_minutes + max(0, wanted // self.length_step_minutes) * self.length_step_minutes


@dataclass(frozen=True, slots=True)
class BusySpan:
    """A booking that occupies its room.

    `core` is the time of the guests, `busy` adds the booking's own buffers; `state` is held, reserved, in_use
    or ended; `ref` (an order number, say) is handed through for staff screens.
    """

    core: Span
    busy: Span
    state: str
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """A period in which a room is out of use; `ref` is handed through for staff screens."""

    span: Span
    ref: str | None = None


def fee_steps_of(rows: Iterable[Mapping[str, Any]]) -> tuple[FeeStep, ...]:
    """Return the fee scale that is kept as rows of ``{"minutes_before": 120, "fee_percent": 0}``."""
    return tuple(FeeStep(row["minutes_before"], row["fee_percent"]) for row in rows)


def busy_span(policy: BookingPolicy, span: Span) -> Span:
    """Return what a booking of *span* occupies: itself and the buffers, which closing time does not cut."""
    return span.widened(policy.buffer_before_minutes, policy.buffer_after_minutes)


def check_span(
    policy: BookingPolicy,
    span: Span,
    *,
    opening: Iterable[OpeningRule],
    now: datetime,
    tz: ZoneInfo,
    is_walk_in: bool = False,
    is_session: bool = False,
    is_voucher: bool = False,
) -> None:
    """Refuse a span that the rules do not allow; the first refusal in this order wins.

    in_past (the start lies before the present minute), too_long, too_short, too_soon, too_far, off_step,
    closed. So ten years from tomorrow are too long rather than too far, and yesterday is past whatever its
    length. An end that is not after its start never gets here: Span refuses it as invalid_field.

    *opening* are the store's rows of opening hours. A walk-in by staff may start now: lead and steps are
    not asked. A session (场次) brings its own start and length: lengths and steps are not asked. A voucher
    brings the length of its package: lengths are not asked. `data` of a refusal names the `rule` (a field of
    the policy, start_at or opening_hours) and its `limit`: the field's value, the earliest start, or the
    parts of the span that are open.
    """
    _check_past(span, now)
    if not (is_session or is_voucher):
        _check_length(policy, span)
    if not is_walk_in and span.start_at < policy.earliest_start_at(now):
        raise _refusal(TooSoon, "min_lead_minutes", policy.min_lead_minutes)
    if span.end_at > policy.horizon_at(now, tz):
        raise _refusal(TooFar, "max_ahead_days", policy.max_ahead_days)
    if not (is_walk_in or is_session) and not is_on_grid(span.start_at, policy.start_step_minutes, tz):
        raise _refusal(OffStep, "start_step_minutes", policy.start_step_minutes)
    if not (is_walk_in or is_session or is_voucher):
        _check_length_step(policy, span)
    if not span.is_whole_minutes:
        raise _refusal(OffStep, "start_step_minutes", 1)
    hours = opening_spans(opening, tz, span)
    if hours != [span]:
        raise _refusal(Closed, "opening_hours", [span_data(part) for part in hours])


def check_place(
    policy: BookingPolicy, span: Span, *, busy: Iterable[BusySpan], blocks: Iterable[BlockSpan] = ()
) -> None:
    """Refuse a span whose room is blocked (Blocked) or already occupied (RoomTaken).

    Buffers count on both sides: the one of the new booking may touch but not enter the one of another. A
    block bars the guests' time only; cleaning may run into it.
    """
    for block in blocks:
        if block.span.overlaps(span):
            raise _refusal(Blocked, "room_block", span_data(block.span))
    wanted = busy_span(policy, span)
    for taken in busy:
        if taken.busy.overlaps(wanted):
            raise RoomTaken(data={"rule": "room_taken", "limit": span_data(taken.busy)})


def check_customer_limits(policy: BookingPolicy, *, open_holds: int, bookings_that_day: int) -> None:
    """Raise CustomerLimit when a customer has as many unpaid holds, or bookings of the day, as allowed."""
    if open_holds >= policy.max_open_holds:
        raise _refusal(CustomerLimit, "max_open_holds", policy.max_open_holds)
    if bookings_that_day >= policy.max_bookings_per_day:
        raise _refusal(CustomerLimit, "max_bookings_per_day", policy.max_bookings_per_day)


def cancel_fee(steps: Sequence[FeeStep], paid_fen: int, start_at: datetime, now: datetime) -> FeePreview:
    """Return fee and refund of leaving a booking now; both add up to *paid_fen*, the fee is rounded half up.

    The step with the longest notice that is still kept decides; exactly on its minute counts as kept. With
    less notice than any step asks for, the step without minutes decides, and where there is none all is lost.
    An empty scale is free.
    """
    if not steps:
        return FeePreview(0, paid_fen, None)
    step = _step_at(steps, start_at - now)
    fee = percent_of(paid_fen, step.fee_percent if step else 100)
    return FeePreview(fee, paid_fen - fee, step)


def _step_at(steps: Sequence[FeeStep], notice: timedelta) -> FeeStep | None:
    kept = [
        (step.minutes_before, -step.fee_percent, step)
        for step in steps
        if step.minutes_before is not None and notice >= timedelta(minutes=step.minutes_before)
    ]
    if kept:
        # Of two steps of the same notice the cheaper one counts, in whatever order they were entered.
        return max(kept, key=lambda entry: entry[:2])[2]
    last = [step for step in steps if step.minutes_before is None]
    return min(last, key=lambda step: step.fee_percent, default=None)


def _check_past(span: Span, now: datetime) -> None:
    present = floor_minute(now)
    if span.start_at < present:
        raise _refusal(InPast, "start_at", present.isoformat())


def _check_length(policy: BookingPolicy, span: Span) -> None:
    length = span.end_at - span.start_at
    if length > timedelta(minutes=policy.max_minutes):
        raise _refusal(TooLong, "max_minutes", policy.max_minutes)
    if length < timedelta(minutes=policy.min_minutes):
        raise _refusal(TooShort, "min_minutes", policy.min_minutes)


def _check_length_step(policy: BookingPolicy, span: Span) -> None:
    over = (span.end_at - span.start_at) - timedelta(minutes=policy.min_minutes)
    if over % timedelta(minutes=policy.length_step_minutes):
        raise _refusal(OffStep, "length_step_minutes", policy.length_step_minutes)


def _refusal(kind: type[RuleRefused], rule: str, limit: Any) -> RuleRefused:
    return kind(data={"rule": rule, "limit": limit})


def span_data(span: Span) -> dict[str, str]:
    """Return a span as the data of refusals carry it."""
    return {"start_at": span.start_at.isoformat(), "end_at": span.end_at.isoformat()}
