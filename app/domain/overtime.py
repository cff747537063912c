"""Overtime: how long guests have stayed beyond their booked end, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.booking_rules import BookingPolicy
from app.domain.calendar import PUBLIC_CALENDAR, DayCalendar
from app.domain.errors import NoPrice
from app.domain.money import half_up
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import TIME_KINDS, LineKind, QuoteLine, quote_span
from app.domain.slots import MINUTE, Span, floor_minute, span_or_none

# Whoever is still there by then has been forgotten rather than stayed.
MOST_MINUTES = 720


def minutes_over(booked_end_at: datetime, now: datetime) -> int:
    """Return the begun minutes since the booked end, 0 before it."""
    return max(0, -((booked_end_at - now) // MINUTE))


def billed_span(
    policy: BookingPolicy, booked_end_at: datetime, now: datetime, limit_at: datetime
) -> Span | None:
    """Return the time that is charged as overtime now; None within the grace minutes.

    Once they are over, the time counts from the booked end in begun units, at most up to *limit_at*, where
    the next guests' time or their cleaning begins.
    """
    over = minutes_over(booked_end_at, min(now, limit_at))
    if over <= policy.overtime_grace_minutes:
        return None
    return span_or_none(booked_end_at, min(unit_end_at(policy, booked_end_at, over), limit_at))


def unit_end_at(policy: BookingPolicy, booked_end_at: datetime, over_minutes: int) -> datetime:
    """Return the end of the billing unit that the last of *over_minutes* lies in."""
    units = -(-over_minutes // policy.overtime_unit_minutes)
    return booked_end_at + timedelta(minutes=units * policy.overtime_unit_minutes)


def follow_until(
    policy: BookingPolicy, booked_end_at: datetime, now: datetime, limit_at: datetime
) -> datetime | None:
    """Return until when a room stays in use whose guests do not leave; None when they have to.

    It is the end of the unit that the coming minute lies in, so that nobody books over them; never beyond
    *limit_at* or the longest overtime.
    """
    over = minutes_over(booked_end_at, floor_minute(now) + MINUTE)
    last_at = min(limit_at, booked_end_at + timedelta(minutes=MOST_MINUTES))
    end_at = min(unit_end_at(policy, booked_end_at, over), last_at)
    return end_at if end_at > now else None


def overtime_lines(
    policy: BookingPolicy,
    room: PricedRoom,
    span: Span,
    rules: Iterable[PriceRule],
    *,
    sold: Sequence[QuoteLine] = (),
    charged_fen: int = 0,
    calendar: DayCalendar = PUBLIC_CALENDAR,
) -> list[QuoteLine]:
    """Return the price of overtime: hourly rates times the policy's percent, never above its cap.

    Packages, minimum charges and discounts play no part. Time that has no price costs what the time *sold* to
    the order cost on average. Each line is rounded half up once. *charged_fen* is overtime that the cap
    counts too.
    """
    hourly = [rule for rule in rules if rule.kind == "hourly"]
    try:
        priced = quote_span(room, span, hourly, calendar=calendar).lines
        stretches = [line for line in priced if line.kind is LineKind.HOURLY]
    except NoPrice:
        stretches = [_average_line(span, sold)]
    lines = [
        QuoteLine(
            LineKind.OVERTIME,
            line.label,
            half_up((line.unit_fen or 0) * (line.minutes or 0) * policy.overtime_percent, 6000),
            line.rule_id,
            line.start_at,
            line.end_at,
            None,
            line.unit_fen,
        )
        for line in stretches
    ]
    return lines if policy.overtime_cap_fen is None else _capped(lines, policy.overtime_cap_fen - charged_fen)


def _average_line(span: Span, sold: Sequence[QuoteLine]) -> QuoteLine:
    timed = [line for line in sold if line.kind in TIME_KINDS]
    minutes = sum(line.minutes or 0 for line in timed)
    hour_fen = half_up(60 * sum(line.amount_fen for line in timed), minutes) if minutes else 0
    return QuoteLine(LineKind.HOURLY, "", 0, None, span.start_at, span.end_at, span.minutes, hour_fen)


def _capped(lines: list[QuoteLine], left_fen: int) -> list[QuoteLine]:
    """Cut the lines down to what is left of the cap, the last ones first."""
    kept = []
    for line in lines:
        kept.append(replace(line, amount_fen=max(0, min(line.amount_fen, left_fen))))
        left_fen -= kept[-1].amount_fen
    return kept
