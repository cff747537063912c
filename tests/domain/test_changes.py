"""Rules of changing: limits of customers, what is held beside a booking, what unused time is worth."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.booking_rules import BookingPolicy
from app.domain.changes import (
    check_change,
    extension_lines,
    line_label,
    missing_parts,
    never_below_zero,
    unused_fen,
)
from app.domain.errors import ChangeNotAllowed
from app.domain.price_rules import PriceRule
from app.domain.pricing import LineKind, QuoteLine, quote_span
from app.domain.slots import Span, merge
from tests.domain.moments import TZ
from tests.domain.test_pricing_properties import ROOM, hourly_rules, wanted_spans
from tests.factories import NOW

MINUTE = timedelta(minutes=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(minutes: int) -> object:
    return NOW + minutes * MINUTE


def span(start: int, end: int) -> Span:
    return Span(NOW + start * MINUTE, NOW + end * MINUTE)


def hourly(start: int, end: int, amount_fen: int, rule_id: int = 1) -> QuoteLine:
    part = span(start, end)
    return QuoteLine(LineKind.HOURLY, "r", amount_fen, rule_id, part.start_at, part.end_at, part.minutes)


LIMITS = [
    ("first change in time", 0, 61, None),
    ("on the deadline", 0, 60, None),
    ("a minute late", 0, 59, "change_deadline_minutes"),
    ("after the start", 0, -5, "change_deadline_minutes"),
    ("last change", 1, 90, None),
    ("one too many", 2, 90, "change_max_count"),
]


@pytest.mark.parametrize(("label", "count", "notice", "rule"), LIMITS, ids=[row[0] for row in LIMITS])
def test_limits_of_customers(label: str, count: int, notice: int, rule: str | None) -> None:
    policy = BookingPolicy(change_max_count=2, change_deadline_minutes=60)
    start_at = NOW + notice * MINUTE
    if rule is None:
        check_change(policy, change_count=count, start_at=start_at, now=NOW)
        return
    with pytest.raises(ChangeNotAllowed) as caught:
        check_change(policy, change_count=count, start_at=start_at, now=NOW)
    assert (caught.value.data or {})["rule"] == rule


PARTS = [
    ("longer", (0, 60), (0, 90), [(60, 90)]),
    ("earlier and longer", (60, 120), (30, 180), [(30, 60), (120, 180)]),
    ("shorter", (0, 120), (30, 60), []),
    ("elsewhere", (0, 60), (120, 180), [(120, 180)]),
    ("touching", (0, 60), (60, 120), [(60, 120)]),
    ("overlapping", (0, 60), (30, 90), [(60, 90)]),
]


@pytest.mark.parametrize(("label", "own", "wanted", "parts"), PARTS, ids=[row[0] for row in PARTS])
def test_only_what_is_missing_is_held(
    label: str, own: tuple[int, int], wanted: tuple[int, int], parts: list[tuple[int, int]]
) -> None:
    assert missing_parts(span(*wanted), span(*own)) == [span(*part) for part in parts]
    assert missing_parts(span(*wanted), None) == [span(*wanted)]


SPANS = st.tuples(st.integers(0, 300), st.integers(1, 300)).map(lambda pair: span(pair[0], sum(pair)))


@given(SPANS, SPANS)
def test_own_time_and_missing_parts_cover_what_is_wanted(own: Span, wanted: Span) -> None:
    parts = missing_parts(wanted, own)
    assert len(parts) <= 2
    assert all(wanted.contains(part) and not part.overlaps(own) for part in parts)
    shared = own.intersect(wanted)
    assert merge([*parts, *([shared] if shared else [])]) == [wanted]


UNUSED = [
    ("nothing used", -10, 12000),
    ("half used", 60, 6000),
    ("in the middle of a step", 61, 3000),
    ("less than a step left", 91, 0),
    ("all used", 120, 0),
    ("overstayed", 150, 0),
]


@pytest.mark.parametrize(("label", "left", "fen"), UNUSED, ids=[row[0] for row in UNUSED])
def test_unused_whole_steps(label: str, left: int, fen: int) -> None:
    policy = BookingPolicy(length_step_minutes=30, early_refund_percent=100)
    lines = [hourly(0, 120, 12000), QuoteLine(LineKind.CHANGE_FEE, "", 900)]
    assert unused_fen(lines, span(0, 120), NOW + left * MINUTE, policy) == fen


def test_unused_time_is_scaled_to_what_was_charged() -> None:
    policy = BookingPolicy(early_refund_percent=50)
    lines = [hourly(0, 60, 6000), hourly(60, 120, 12000, 2), QuoteLine(LineKind.DISCOUNT, "half", -9000)]
    assert unused_fen(lines, span(0, 120), NOW + 60 * MINUTE, policy) == 3000
    voucher = [*lines, QuoteLine(LineKind.VOUCHER, "v", -9000)]
    assert unused_fen(voucher, span(0, 120), NOW, policy) == 0
    assert unused_fen(lines, span(0, 120), NOW, BookingPolicy()) == 0


@given(st.integers(0, 240), st.integers(0, 100), st.integers(0, 50000), st.integers(0, 50000))
def test_unused_time_is_never_worth_more_than_was_charged(
    left: int, percent: int, first: int, second: int
) -> None:
    policy = BookingPolicy(early_refund_percent=percent)
    lines = [hourly(0, 120, first), hourly(120, 240, second, 2)]
    earlier = unused_fen(lines, span(0, 240), NOW + left * MINUTE, policy)
    later = unused_fen(lines, span(0, 240), NOW + (left + 1) * MINUTE, policy)
    assert 0 <= later <= earlier <= first + second


CAPPED = [("hourly", 6000), ("day_cap", -3000)]


@pytest.mark.parametrize(
    ("label", "others", "expected"),
    [
        ("cap and minimum", [], [*CAPPED, ("minimum", -1000)]),
        ("given back before", [QuoteLine(LineKind.MINIMUM, "r", -1000, 1)], CAPPED),
        ("paid by a voucher", [QuoteLine(LineKind.VOUCHER, "v", -13000)], CAPPED),
    ],
)
def test_extension_fills_minimum_and_day_cap(
    label: str, others: list[QuoteLine], expected: list[Any]
) -> None:
    rule = PriceRule(1, "r", 6000, day_cap_fen=15000, minimum_fen=9000)
    sold = [hourly(0, 120, 12000), QuoteLine(LineKind.MINIMUM, "r", 1000, 1), *others]
    quoted = [hourly(120, 180, 6000), QuoteLine(LineKind.MINIMUM, "r", 3000, 1)]
    lines = extension_lines(quoted, sold, [rule], SHANGHAI)
    assert [(line.kind, line.amount_fen) for line in lines] == expected


@settings(max_examples=150, deadline=None)
@given(hourly_rules(), wanted_spans(), st.lists(st.integers(1, 1500), max_size=3))
def test_staying_on_never_costs_more_than_booking_it_all_at_once(
    rules: list[PriceRule], wanted: Span, cuts: list[int]
) -> None:
    bounds = [0, *sorted({cut for cut in cuts if cut < wanted.minutes}), wanted.minutes]
    sold: list[QuoteLine] = []
    for start, end in pairwise(bounds):
        part = Span(wanted.start_at + start * MINUTE, wanted.start_at + end * MINUTE)
        quoted = quote_span(ROOM, part, rules).lines
        sold += extension_lines(quoted, sold, rules, TZ) if sold else quoted

    # Each cut may round one line more.
    whole = quote_span(ROOM, wanted, rules).total_fen
    assert sum(line.amount_fen for line in sold) <= whole + len(bounds) - 2


def test_reductions_that_stay_never_make_a_total_negative() -> None:
    lines = never_below_zero([hourly(0, 60, 3000), QuoteLine(LineKind.ADJUSTMENT, "sorry", -5000)])
    assert sum(line.amount_fen for line in lines) == 0
    assert never_below_zero(lines) == lines


def test_lines_without_a_rule_are_called_by_their_kind() -> None:
    assert str(line_label("change_fee", "")) == "Change fee"
    assert str(line_label("adjustment", "unused_time")) == "Unused time given back"
    assert line_label("hourly", "Evening") == "Evening"
