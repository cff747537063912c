"""Which spans a policy accepts, in which order it refuses, and what leaving costs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.booking_rules import (
    BlockSpan,
    BookingPolicy,
    BusySpan,
    FeePreview,
    FeeStep,
    busy_span,
    cancel_fee,
    check_customer_limits,
    check_place,
    check_span,
    fee_steps_of,
)
from app.domain.errors import CustomerLimit, DomainError
from app.domain.opening import OpeningRule
from app.domain.slots import Span
from tests.domain.moments import TZ, at, local, span

NOW = at("09:10:40")
OPENING = [OpeningRule(weekday=day, opens_minute=480, closes_minute=1560) for day in range(7)]
POLICY = BookingPolicy(
    min_lead_minutes=60, max_ahead_days=14, buffer_before_minutes=5, buffer_after_minutes=15
)
STEPS = (FeeStep(120, 0), FeeStep(0, 30), FeeStep(None, 100))


def refusal_of(wanted: Span, policy: BookingPolicy = POLICY, **flags: bool) -> tuple[str, str] | None:
    """Return (code, rule) of the refusal, None when accepted."""
    try:
        check_span(policy, wanted, opening=OPENING, now=NOW, tz=TZ, **flags)
    except DomainError as refusal:
        assert refusal.data is not None and "limit" in refusal.data
        return refusal.code, refusal.data["rule"]
    return None


@pytest.mark.parametrize(
    ("label", "wanted", "expected"),
    [
        ("accepted", span("12:00", "14:00"), None),
        ("the minute before now", span("09:09", "12:09"), ("in_past", "start_at")),
        ("yesterday, ten years long", span("2026-03-10 10:00", "2036-03-10 10:00"), ("in_past", "start_at")),
        (
            "tomorrow, ten years long",
            span("2026-03-12 10:00", "2036-03-12 10:00"),
            ("too_long", "max_minutes"),
        ),
        ("longest", span("12:00", "2026-03-12 00:00"), None),
        ("a minute too long", span("12:00", "2026-03-12 00:01"), ("too_long", "max_minutes")),
        ("shortest", span("12:00", "13:00"), None),
        ("a minute too short", span("12:00", "12:59"), ("too_short", "min_minutes")),
        ("too short before too soon", span("09:30", "10:00"), ("too_short", "min_minutes")),
        ("this very minute", span("09:10", "11:10"), ("too_soon", "min_lead_minutes")),
        ("a step before the lead", span("10:00", "12:00"), ("too_soon", "min_lead_minutes")),
        ("first step after the lead", span("10:30", "12:00"), None),
        ("last day, until midnight", span("2026-03-25 22:00", "2026-03-26 00:00"), None),
        (
            "last day, past midnight",
            span("2026-03-25 22:30", "2026-03-26 00:30"),
            ("too_far", "max_ahead_days"),
        ),
        ("ten years ahead", span("2036-03-11 12:00", "2036-03-11 14:00"), ("too_far", "max_ahead_days")),
        (
            "too far before off step",
            span("2027-03-11 12:07", "2027-03-11 14:00"),
            ("too_far", "max_ahead_days"),
        ),
        ("start off the grid", span("12:10", "14:10"), ("off_step", "start_step_minutes")),
        ("length off the grid", span("12:00", "13:45"), ("off_step", "length_step_minutes")),
        ("seconds", span("12:00:01", "14:00:01"), ("off_step", "start_step_minutes")),
        (
            "off step before closed",
            span("2026-03-12 02:10", "2026-03-12 04:10"),
            ("off_step", "start_step_minutes"),
        ),
        ("past midnight until closing", span("23:00", "2026-03-12 02:00"), None),
        ("runs past closing", span("23:00", "2026-03-12 02:30"), ("closed", "opening_hours")),
        ("starts before opening", span("2026-03-12 07:30", "2026-03-12 09:00"), ("closed", "opening_hours")),
        ("closed all along", span("2026-03-12 03:00", "2026-03-12 05:00"), ("closed", "opening_hours")),
    ],
)
def test_check_span(label: str, wanted: Span, expected: tuple[str, str] | None) -> None:
    assert refusal_of(wanted) == expected


def test_closed_says_what_is_open() -> None:
    with pytest.raises(DomainError) as refusal:
        check_span(POLICY, span("23:00", "2026-03-12 02:30"), opening=OPENING, now=NOW, tz=TZ)
    (part,) = (refusal.value.data or {})["limit"]
    assert local(datetime.fromisoformat(part["end_at"])) == "03-12 02:00"


@pytest.mark.parametrize(
    ("label", "wanted", "flags", "expected"),
    [
        ("walk-in now", span("09:10", "11:47"), {"is_walk_in": True}, None),
        ("walk-in a minute ago", span("09:09", "11:09"), {"is_walk_in": True}, ("in_past", "start_at")),
        ("walk-in too long", span("09:10", "22:10"), {"is_walk_in": True}, ("too_long", "max_minutes")),
        (
            "walk-in into closing",
            span("22:10", "2026-03-12 02:10"),
            {"is_walk_in": True},
            ("closed", "opening_hours"),
        ),
        ("session of its own length", span("10:45", "11:10"), {"is_session": True}, None),
        (
            "session keeps the lead",
            span("09:45", "11:00"),
            {"is_session": True},
            ("too_soon", "min_lead_minutes"),
        ),
        ("voucher of its own length", span("10:30", "11:15"), {"is_voucher": True}, None),
        (
            "voucher keeps the grid",
            span("10:45", "12:00"),
            {"is_voucher": True},
            ("off_step", "start_step_minutes"),
        ),
        ("walk-in with a voucher", span("09:10", "09:35"), {"is_walk_in": True, "is_voucher": True}, None),
        (
            "seconds even then",
            span("09:10:50", "11:00"),
            {"is_walk_in": True},
            ("off_step", "start_step_minutes"),
        ),
    ],
)
def test_check_span_of_other_ways_to_book(
    label: str, wanted: Span, flags: dict[str, bool], expected: tuple[str, str] | None
) -> None:
    assert refusal_of(wanted, **flags) == expected


def test_length_steps_count_from_the_shortest_length() -> None:
    policy = BookingPolicy(min_minutes=90, max_minutes=240, length_step_minutes=60)
    lengths = [minutes for minutes in range(30, 301, 30) if refusal_of(_from_noon(minutes), policy) is None]
    assert lengths == [90, 150, 210]
    assert [policy.fit_length(minutes) for minutes in (10, 90, 149, 150, 1000)] == [90, 90, 90, 150, 210]


def _from_noon(minutes: int) -> Span:
    return Span(at("12:00"), at("12:00") + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("label", "taken", "code"),
    [
        ("before", span("08:00", "09:00"), None),
        ("right before, both buffers between", span("09:40", "11:40"), None),
        ("a minute nearer", span("09:41", "11:41"), "room_taken"),
        ("overlapping the start", span("11:00", "12:30"), "room_taken"),
        ("inside", span("12:30", "13:00"), "room_taken"),
        ("same", span("12:00", "14:00"), "room_taken"),
        ("around", span("11:00", "15:00"), "room_taken"),
        ("overlapping the end", span("13:30", "15:00"), "room_taken"),
        ("right after, both buffers between", span("14:20", "16:00"), None),
        ("a minute nearer after", span("14:19", "16:00"), "room_taken"),
        ("after", span("17:00", "18:00"), None),
    ],
)
def test_check_place_keeps_both_buffers(label: str, taken: Span, code: str | None) -> None:
    busy = [BusySpan(taken, busy_span(POLICY, taken), "held")]
    assert _place_refusal(span("12:00", "14:00"), busy, []) == code


@pytest.mark.parametrize(
    ("label", "block", "code"),
    [
        ("right before", span("10:00", "12:00"), None),
        ("overlapping", span("11:00", "12:01"), "blocked"),
        ("right after, cleaning runs into it", span("14:00", "15:00"), None),
    ],
)
def test_check_place_blocks_bar_the_guests_time(label: str, block: Span, code: str | None) -> None:
    assert _place_refusal(span("12:00", "14:00"), [], [BlockSpan(block)]) == code


def _place_refusal(wanted: Span, busy: list[BusySpan], blocks: list[BlockSpan]) -> str | None:
    try:
        check_place(POLICY, wanted, busy=busy, blocks=blocks)
    except DomainError as refusal:
        return refusal.code
    return None


def test_busy_span_is_not_cut_by_closing_time() -> None:
    assert busy_span(POLICY, span("23:00", "2026-03-12 02:00")) == span("22:55", "2026-03-12 02:15")


@pytest.mark.parametrize(
    ("label", "open_holds", "bookings_that_day", "rule"),
    [
        ("below both", 4, 9, None),
        ("holds reached", 5, 0, "max_open_holds"),
        ("bookings reached", 0, 10, "max_bookings_per_day"),
        ("both reached", 9, 19, "max_open_holds"),
    ],
)
def test_customer_limits(label: str, open_holds: int, bookings_that_day: int, rule: str | None) -> None:
    try:
        check_customer_limits(POLICY, open_holds=open_holds, bookings_that_day=bookings_that_day)
        refused = None
    except CustomerLimit as refusal:
        refused = (refusal.data or {})["rule"]
    assert refused == rule


@pytest.mark.parametrize(
    ("label", "now", "fee_fen", "step"),
    [
        ("long before", "2026-03-01 12:00", 0, STEPS[0]),
        ("exactly two hours", "10:00", 0, STEPS[0]),
        ("a second less", "10:00:01", 1500, STEPS[1]),
        ("at the start", "12:00", 1500, STEPS[1]),
        ("a second after the start", "12:00:01", 4999, STEPS[2]),
        ("long after", "2026-03-12 12:00", 4999, STEPS[2]),
    ],
)
def test_cancel_fee(label: str, now: str, fee_fen: int, step: FeeStep) -> None:
    for steps in (STEPS, STEPS[::-1]):
        assert cancel_fee(steps, 4999, at("12:00"), at(now)) == FeePreview(fee_fen, 4999 - fee_fen, step)


@pytest.mark.parametrize(
    ("label", "steps", "now", "fee_fen"),
    [
        ("empty scale is free", (), "13:00", 0),
        ("no step for so little notice takes all", (FeeStep(120, 0),), "11:00", 1000),
        ("step without minutes catches the rest", (FeeStep(120, 0), FeeStep(None, 50)), "11:00", 500),
        ("cheaper of two equal notices", (FeeStep(60, 40), FeeStep(60, 20)), "10:00", 200),
    ],
)
def test_cancel_fee_of_odd_scales(label: str, steps: tuple[FeeStep, ...], now: str, fee_fen: int) -> None:
    assert cancel_fee(steps, 1000, at("12:00"), at(now)).fee_fen == fee_fen


@pytest.mark.parametrize(
    ("paid_fen", "percent", "fee_fen"), [(1, 50, 1), (101, 50, 51), (333, 30, 100), (5, 30, 2)]
)
def test_cancel_fee_rounds_half_up(paid_fen: int, percent: int, fee_fen: int) -> None:
    assert cancel_fee((FeeStep(None, percent),), paid_fen, at("12:00"), at("13:00")).fee_fen == fee_fen


fee_steps = st.builds(
    FeeStep,
    st.one_of(st.none(), st.integers(min_value=0, max_value=3000)),
    st.integers(min_value=0, max_value=100),
)


@given(
    st.lists(fee_steps, max_size=5),
    st.integers(min_value=0, max_value=10**7),
    st.integers(-4000, 4000),
    st.randoms(),
)
def test_fee_and_refund_always_add_up(steps: list[FeeStep], paid_fen: int, notice: int, random) -> None:
    now = at("12:00") - timedelta(minutes=notice)
    preview = cancel_fee(steps, paid_fen, at("12:00"), now)
    assert preview.fee_fen + preview.refund_fen == paid_fen
    assert 0 <= preview.fee_fen <= paid_fen
    random.shuffle(steps)
    assert cancel_fee(steps, paid_fen, at("12:00"), now) == preview


def test_fee_steps_from_rows() -> None:
    rows = [{"minutes_before": 120, "fee_percent": 0}, {"minutes_before": None, "fee_percent": 100}]
    assert fee_steps_of(rows) == (FeeStep(120, 0), FeeStep(None, 100))
