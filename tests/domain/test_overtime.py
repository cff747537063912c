"""Overtime: minutes, units, grace, limit, price and cap."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.booking_rules import BookingPolicy
from app.domain.overtime import MOST_MINUTES, billed_span, follow_until, minutes_over, overtime_lines
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import LineKind, QuoteLine
from app.domain.slots import Span
from tests.factories import NOW

MINUTE = timedelta(minutes=1)
FAR = NOW + timedelta(days=1)
ROOM = PricedRoom(1, 1, ZoneInfo("Asia/Shanghai"))
POLICY = BookingPolicy(overtime_grace_minutes=10, overtime_unit_minutes=30, overtime_percent=150)


def at(minutes: float) -> datetime:
    return NOW + minutes * MINUTE


def test_begun_minutes_count() -> None:
    assert [minutes_over(NOW, at(minutes)) for minutes in (-5, 0, 0.5, 1, 1.01)] == [0, 0, 1, 1, 2]


BILLED = [
    ("before the end", -1, None),
    ("at the end", 0, None),
    ("the last of the grace", 10, None),
    ("just over the grace", 10.01, 30),
    ("a whole unit", 30, 30),
    ("a second more", 30.01, 60),
    ("cut by who follows", 100, 75),
]


@pytest.mark.parametrize(("label", "now", "minutes"), BILLED, ids=[row[0] for row in BILLED])
def test_billed_time(label: str, now: float, minutes: int | None) -> None:
    found = billed_span(POLICY, NOW, at(now), at(75))
    assert found == (None if minutes is None else Span(NOW, at(minutes)))


FOLLOWS = [
    ("at the end", 0, 600, 30),
    ("within the first unit", 29, 600, 30),
    ("as the unit ends", 30, 600, 60),
    ("up to who follows", 70, 75, 75),
    ("nobody can stay", 0, 0, None),
    ("who follows is there", 80, 75, None),
    ("after the longest overtime", MOST_MINUTES, 9999, None),
]


@pytest.mark.parametrize(("label", "now", "limit", "until"), FOLLOWS, ids=[row[0] for row in FOLLOWS])
def test_room_follows_until(label: str, now: int, limit: int, until: int | None) -> None:
    assert follow_until(POLICY, NOW, at(now), at(limit)) == (None if until is None else at(until))


@given(st.integers(0, 60), st.integers(1, 120), st.integers(0, 800), st.integers(0, 800))
def test_room_is_kept_beyond_now_and_never_beyond_the_limit(
    grace: int, unit: int, now: int, limit: int
) -> None:
    policy = BookingPolicy(overtime_grace_minutes=grace, overtime_unit_minutes=unit)
    until = follow_until(policy, NOW, at(now), at(limit))
    assert (until is None) == (limit <= now or now >= MOST_MINUTES)
    if until is not None:
        assert at(now) < until <= at(limit)
    billed = billed_span(policy, NOW, at(now), at(limit))
    assert billed is None or billed.end_at <= at(limit)
    later = billed_span(policy, NOW, at(now + 1), at(limit))
    assert billed is None or (later is not None and later.end_at >= billed.end_at)


def rule(amount_fen: int, **values: object) -> PriceRule:
    return PriceRule(int(values.pop("id", 1)), "Evening", amount_fen, **values)  # type: ignore[call-overload,arg-type]


def amounts(policy: BookingPolicy, minutes: int, *rules: PriceRule, **values: object) -> list[int]:
    lines = overtime_lines(policy, ROOM, Span(NOW, at(minutes)), rules, **values)  # type: ignore[arg-type]
    assert all(line.kind is LineKind.OVERTIME and line.minutes is None for line in lines)
    return [line.amount_fen for line in lines]


def test_price_is_the_hourly_one_times_the_percent_rounded_once() -> None:
    assert amounts(POLICY, 30, rule(6000)) == [4500]
    # 7777 fen × 31 min × 1.5 = 6027.175
    assert amounts(POLICY, 31, rule(7777)) == [6027]
    assert amounts(BookingPolicy(overtime_percent=0), 30, rule(6000)) == [0]


def test_packages_minimum_and_midnight() -> None:
    package = rule(100, id=2, kind="package", package_minutes=60, priority=9)
    assert amounts(POLICY, 60, rule(6000, minimum_fen=99999), package) == [9000]
    # From noon on: 12 hours to midnight, a line for each day.
    assert amounts(POLICY, 13 * 60, rule(6000)) == [108000, 9000]


def test_cap_cuts_the_last_lines() -> None:
    policy = BookingPolicy(overtime_percent=150, overtime_cap_fen=110000)
    assert amounts(policy, 13 * 60, rule(6000)) == [108000, 2000]
    assert amounts(policy, 13 * 60, rule(6000), charged_fen=100000) == [10000, 0]
    assert amounts(policy, 60, rule(6000), charged_fen=120000) == [0]


def test_time_without_a_price_costs_the_average() -> None:
    sold = [
        QuoteLine(LineKind.SESSION, "Night", 24000, 1, NOW, at(240), 240),
        QuoteLine(LineKind.VOUCHER, "v", -24000),
    ]
    assert amounts(POLICY, 30, sold=sold) == [4500]
    assert amounts(POLICY, 30) == [0]
