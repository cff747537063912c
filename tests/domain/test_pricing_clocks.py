"""Prices in the nights when clocks are put forward or back: each minute costs what its local time says."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calendar import PUBLIC_CALENDAR
from app.domain.price_rules import PricedRoom, PriceRule, ranked_at
from app.domain.pricing import Quote, price_pieces, quote_span
from app.domain.slots import Span, local_date, span_of_minutes
from tests.domain.moments import NEW_YORK, at

MINUTE = timedelta(minutes=1)
HAVANA, LORD_HOWE = ZoneInfo("America/Havana"), ZoneInfo("Australia/Lord_Howe")
# Noon before a change: at 02:00 by an hour, at midnight by an hour, at 02:00 by half an hour.
NIGHTS = [
    at("2026-03-07 12:00", NEW_YORK),
    at("2026-10-31 12:00", NEW_YORK),
    at("2026-03-07 12:00", HAVANA),
    at("2026-10-31 12:00", HAVANA),
    at("2026-10-03 12:00", LORD_HOWE),
    at("2026-04-04 12:00", LORD_HOWE),
]
quarters = st.integers(0, 95).map(lambda count: count * 15)
# Half of the edges fall into the hours that are skipped or come twice.
edges = quarters | st.sampled_from([0, 30, 60, 90, 105, 120, 150, 165, 180, 1380, 1410])


@st.composite
def rules(draw: st.DrawFn) -> list[PriceRule]:
    bands = draw(st.lists(st.tuples(edges, edges, st.integers(0, 2)), max_size=5))
    floor = PriceRule(99, "Floor", 1100, priority=-9)
    return [
        PriceRule(
            number,
            f"Rule {number}",
            2000 + number,
            band_start_minute=start,
            band_end_minute=end,
            priority=rank,
        )
        for number, (start, end, rank) in enumerate(bands)
    ] + [floor]


def lines_of(quote: Quote) -> list[tuple[int | None, int | None]]:
    return [(line.rule_id, line.minutes) for line in quote.lines if line.minutes]


@settings(max_examples=150, deadline=None)
@given(rules(), st.sampled_from(NIGHTS), st.integers(0, 1440), st.integers(1, 900))
def test_every_minute_has_the_price_of_its_local_time(
    found: list[PriceRule], night: object, start: int, minutes: int
) -> None:
    assert isinstance(night, type(NIGHTS[0])) and isinstance(night.tzinfo, ZoneInfo)
    tz = night.tzinfo
    wanted = span_of_minutes(night.astimezone(NEW_YORK) + start * MINUTE, minutes)
    each = [wanted.start_at + count * MINUTE for count in range(minutes)]
    model = [(local_date(one, tz), ranked_at(found, one, tz, PUBLIC_CALENDAR)[0].id) for one in each]

    quote = quote_span(PricedRoom(7, 3, tz), wanted, found)

    assert lines_of(quote) == [(key[1], len(list(run))) for key, run in groupby(model)]


# A band that ends within the hour in question, at ¥60; the rest of the day costs ¥30.
NIGHT = PriceRule(1, "Night", 6000, band_start_minute=22 * 60, band_end_minute=90, priority=1)
DAY = PriceRule(2, "Day", 3000)
CHANGES = [
    # 01:30 comes once; 02:00 to 03:00 is skipped.
    ("forward", "2026-03-08 00:00", "2026-03-08 04:00", [(1, 90), (2, 90)]),
    # 01:00 to 02:00 comes twice, so the band's last half hour does too.
    ("back", "2026-11-01 00:00", "2026-11-01 04:00", [(1, 90), (2, 30), (1, 30), (2, 150)]),
]


@pytest.mark.parametrize(("label", "start", "end", "expected"), CHANGES, ids=[row[0] for row in CHANGES])
def test_band_that_ends_in_the_hour_of_the_change(
    label: str, start: str, end: str, expected: list[tuple[int, int]]
) -> None:
    quote = quote_span(PricedRoom(7, 3, NEW_YORK), Span(at(start, NEW_YORK), at(end, NEW_YORK)), [NIGHT, DAY])

    assert lines_of(quote) == expected
    assert quote.total_fen == sum(minutes * (100 if rule == 1 else 50) for rule, minutes in expected)


@pytest.mark.parametrize(("on", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)])
def test_day_cap_counts_the_local_day_however_long_it_is(on: str, hours: int) -> None:
    capped = PriceRule(2, "Day", 3000, day_cap_fen=50000)
    room = PricedRoom(7, 3, NEW_YORK)
    midnight = at(f"{on} 00:00", NEW_YORK)
    wanted = span_of_minutes(midnight - 60 * MINUTE, 60 + hours * 60 + 30)

    quote = quote_span(room, wanted, [capped])

    # The hour before and the half hour after belong to other days, which are far from their caps.
    assert quote.total_fen == 3000 + 50000 + 1500
    assert lines_of(quote) == [(2, 60), (2, hours * 60), (2, 30)]
    assert len(price_pieces(room, wanted, [capped])) >= 3
