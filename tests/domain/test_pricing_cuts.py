"""Cutting a stay into parts: where prices add up exactly, where by roundings, and where they must not.

Hourly prices without minimum, day cap and discount add up: a cut changes a sum by at most one fen, and by
none where a line ends anyway or where the rate is whole fen a minute. Minimum, cap, package, session
and discount look at the whole stay; what they promise instead is tested as such.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import LineKind, Quote, quote_span
from app.domain.slots import Span, span_of_minutes
from tests.domain.moments import TZ
from tests.domain.test_pricing_properties import hourly_rules, wanted_spans, without_limits

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
MINUTE = timedelta(minutes=1)
cut_minutes = st.lists(st.integers(min_value=1, max_value=1559), min_size=1, max_size=6, unique=True)


def parts_of(wanted: Span, cuts: list[int]) -> list[Span]:
    """Return the parts of a span, cut so many minutes after its start."""
    inner = sorted(cut for cut in cuts if cut < wanted.minutes)
    bounds = [wanted.start_at + cut * MINUTE for cut in [0, *inner, wanted.minutes]]
    return [Span(start, end) for start, end in pairwise(bounds)]


def totals(spans: list[Span], rules: list[PriceRule]) -> int:
    return sum(quote_span(ROOM, span, rules).total_fen for span in spans)


@settings(max_examples=80, deadline=None)
@given(hourly_rules(), wanted_spans(), cut_minutes)
def test_each_cut_inside_a_line_moves_the_sum_by_at_most_one_fen(
    rules: list[PriceRule], wanted: Span, cuts: list[int]
) -> None:
    plain = without_limits(rules)
    whole = quote_span(ROOM, wanted, plain)
    parts = parts_of(wanted, cuts)
    line_ends = {line.end_at for line in whole.lines}
    inside = [part.end_at for part in parts[:-1] if part.end_at not in line_ends]

    assert abs(totals(parts, plain) - whole.total_fen) <= len(inside)


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), wanted_spans(), cut_minutes)
def test_rates_of_whole_fen_a_minute_add_up_exactly(
    rules: list[PriceRule], wanted: Span, cuts: list[int]
) -> None:
    even = [
        PriceRule(
            **{name: getattr(rule, name) for name in PriceRule.__slots__}
            | {"amount_fen": rule.amount_fen // 60 * 60}
        )
        for rule in without_limits(rules)
    ]

    assert totals(parts_of(wanted, cuts), even) == quote_span(ROOM, wanted, even).total_fen


@settings(max_examples=60, deadline=None)
@given(hourly_rules(), wanted_spans())
def test_minutes_bought_one_by_one_name_the_same_rules(rules: list[PriceRule], wanted: Span) -> None:
    """However a stay is cut, each minute is priced by the rule that prices it in the whole."""
    short = span_of_minutes(wanted.start_at, min(wanted.minutes, 90))
    whole = quote_span(ROOM, short, rules)
    for line in whole.lines:
        if line.minutes and line.start_at:
            for offset in (0, line.minutes - 1):
                one = quote_span(ROOM, span_of_minutes(line.start_at + offset * MINUTE, 1), rules)
                assert one.lines[0].rule_id == line.rule_id


@st.composite
def packages(draw: st.DrawFn) -> list[PriceRule]:
    """Draw one or two packages that may begin at any time."""
    return [
        PriceRule(
            200 + number,
            f"Package {number}",
            draw(st.integers(min_value=0, max_value=30000)),
            kind="package",
            package_minutes=draw(st.sampled_from([60, 120, 240])),
            priority=draw(st.integers(min_value=-1, max_value=3)),
        )
        for number in range(draw(st.integers(min_value=1, max_value=2)))
    ]


def package_of(quote: Quote) -> int | None:
    return next((line.rule_id for line in quote.lines if line.kind is LineKind.PACKAGE), None)


@settings(max_examples=100, deadline=None)
@given(hourly_rules(), packages(), wanted_spans(), st.integers(min_value=1, max_value=600))
def test_a_longer_stay_costs_less_only_where_another_package_begins_to_fit(
    rules: list[PriceRule], extra: list[PriceRule], wanted: Span, more_minutes: int
) -> None:
    short = quote_span(ROOM, wanted, [*rules, *extra])
    long = quote_span(ROOM, wanted.widened(0, more_minutes), [*rules, *extra])

    assert long.total_fen >= short.total_fen or package_of(long) not in (None, package_of(short))


@contextmanager
def process_zone(name: str) -> Iterator[None]:
    """Run the block as a process whose own time zone is *name*."""
    before = os.environ.get("TZ")
    try:
        os.environ["TZ"] = name
        time.tzset()
        yield
    finally:
        os.environ.pop("TZ", None)
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@settings(max_examples=40, deadline=None)
@given(hourly_rules(), packages(), wanted_spans())
def test_the_zone_of_the_machine_plays_no_part(
    rules: list[PriceRule], extra: list[PriceRule], wanted: Span
) -> None:
    quotes = []
    for name in ("UTC", "Asia/Shanghai", "America/New_York"):
        with process_zone(name):
            quotes.append(quote_span(ROOM, wanted, [*rules, *extra]))

    assert quotes[0] == quotes[1] == quotes[2]
