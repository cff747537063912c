"""Prices at the edges of minutes, days, nights, months, years and of what is known of holidays."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.domain.calendar import KNOWN_YEARS, DayCalendar, DayKind
from app.domain.price_rules import PricedRoom, PriceRule
from app.domain.pricing import Quote, quote_span
from app.domain.slots import Span
from tests.domain.moments import TZ, at, local

ROOM = PricedRoom(id=7, room_type_id=3, tz=TZ)
DAYS = [
    PriceRule(1, "Weekday", 2800, day_kind="weekday"),
    PriceRule(2, "Weekend", 4000, day_kind="weekend"),
    PriceRule(3, "Holiday", 6000, day_kind="holiday"),
]
# Each night band is the price of the day on which it begins, until six in the morning.
NIGHT = {"priority": 1, "band_start_minute": 22 * 60, "band_end_minute": 6 * 60}
NIGHTS = [
    PriceRule(11, "Weekday night", 2000, day_kind="weekday", **NIGHT),
    PriceRule(12, "Holiday night", 5000, day_kind="holiday", **NIGHT),
]
# The first year whose public holidays are not published yet, in the calendar that is installed.
NEXT = max(KNOWN_YEARS) + 1
Lines = list[tuple[str, str, int]]


def lines(quote: Quote) -> Lines:
    """Return (start, name of the rule, amount) of the time lines."""
    return [(local(line.start_at), line.label, line.amount_fen) for line in quote.lines if line.start_at]


# Source of the days: the State Council's calendar of 2026; National Day is 1 to 7 October.
EDGES: list[tuple[str, str, str, Lines]] = [
    ("last minute of a day", "2026-03-11 23:58", "2026-03-11 23:59", [("03-11 23:58", "Weekday", 47)]),
    ("until midnight", "2026-03-11 23:59", "2026-03-12 00:00", [("03-11 23:59", "Weekday", 47)]),
    (
        "a minute on each side of midnight",
        "2026-03-11 23:59",
        "2026-03-12 00:01",
        [("03-11 23:59", "Weekday", 47), ("03-12 00:00", "Weekday", 47)],
    ),
    ("24 h from midnight", "2026-03-11 00:00", "2026-03-12 00:00", [("03-11 00:00", "Weekday", 67200)]),
    (
        "24 h from the afternoon",
        "2026-03-11 15:00",
        "2026-03-12 15:00",
        [("03-11 15:00", "Weekday", 25200), ("03-12 00:00", "Weekday", 42000)],
    ),
    (
        "24 h from Friday into the weekend",
        "2026-03-13 12:00",
        "2026-03-14 12:00",
        [("03-13 12:00", "Weekday", 33600), ("03-14 00:00", "Weekend", 48000)],
    ),
    (
        "overnight into a holiday",
        "2026-09-30 23:00",
        "2026-10-01 08:00",
        [("09-30 23:00", "Weekday", 2800), ("10-01 00:00", "Holiday", 48000)],
    ),
    (
        "overnight out of a holiday",
        "2026-10-07 23:00",
        "2026-10-08 08:00",
        [("10-07 23:00", "Holiday", 6000), ("10-08 00:00", "Weekday", 22400)],
    ),
    (
        "overnight into a worked Saturday",
        "2026-10-09 23:00",
        "2026-10-10 08:00",
        [("10-09 23:00", "Weekday", 2800), ("10-10 00:00", "Weekday", 22400)],
    ),
    (
        "overnight from a worked Saturday into Sunday",
        "2026-10-10 23:00",
        "2026-10-11 08:00",
        [("10-10 23:00", "Weekday", 2800), ("10-11 00:00", "Weekend", 32000)],
    ),
    (
        "29 February, from the day before to the day after",
        "2024-02-28 22:00",
        "2024-03-01 01:00",
        [
            ("02-28 22:00", "Weekday", 5600),
            ("02-29 00:00", "Weekday", 67200),
            ("03-01 00:00", "Weekday", 2800),
        ],
    ),
    (
        "no 29 February",
        "2026-02-28 23:00",
        "2026-03-01 01:00",
        [("02-28 23:00", "Weekday", 2800), ("03-01 00:00", "Weekend", 4000)],
    ),
    (
        "year end into a holiday",
        "2025-12-31 23:00",
        "2026-01-01 01:00",
        [("12-31 23:00", "Weekday", 2800), ("01-01 00:00", "Holiday", 6000)],
    ),
]


@pytest.mark.parametrize(("label", "start", "end", "expected"), EDGES, ids=[row[0] for row in EDGES])
def test_day_prices_at_the_edges(label: str, start: str, end: str, expected: Lines) -> None:
    quote = quote_span(ROOM, Span(at(start), at(end)), DAYS)

    assert lines(quote) == expected
    assert quote.total_fen == sum(amount for _, _, amount in expected)


NIGHT_EDGES: list[tuple[str, str, str, Lines]] = [
    (
        "overnight into a holiday keeps the price of its evening until six",
        "2026-09-30 23:00",
        "2026-10-01 08:00",
        [
            ("09-30 23:00", "Weekday night", 2000),
            ("10-01 00:00", "Weekday night", 12000),
            ("10-01 06:00", "Holiday", 12000),
        ],
    ),
    (
        "overnight out of a holiday keeps it too",
        "2026-10-07 23:00",
        "2026-10-08 08:00",
        [
            ("10-07 23:00", "Holiday night", 5000),
            ("10-08 00:00", "Holiday night", 30000),
            ("10-08 06:00", "Weekday", 5600),
        ],
    ),
    (
        "booked after midnight it is still the night of the day before",
        "2026-10-01 00:00",
        "2026-10-01 01:00",
        [("10-01 00:00", "Weekday night", 2000)],
    ),
    (
        "a minute on each side of six",
        "2026-10-01 05:59",
        "2026-10-01 06:01",
        [("10-01 05:59", "Weekday night", 33), ("10-01 06:00", "Holiday", 100)],
    ),
]


@pytest.mark.parametrize(
    ("label", "start", "end", "expected"), NIGHT_EDGES, ids=[row[0] for row in NIGHT_EDGES]
)
def test_night_bands_at_the_edges(label: str, start: str, end: str, expected: Lines) -> None:
    assert lines(quote_span(ROOM, Span(at(start), at(end)), [*DAYS, *NIGHTS])) == expected


UNKNOWN: list[tuple[str, str, str, list[int]]] = [
    ("last day that is known", f"{NEXT - 1}-12-31 10:00", f"{NEXT}-01-01 00:00", []),
    ("one minute beyond", f"{NEXT - 1}-12-31 10:00", f"{NEXT}-01-01 00:01", [NEXT]),
    ("first day beyond", f"{NEXT}-01-01 00:00", f"{NEXT}-01-01 01:00", [NEXT]),
    ("two unknown years", f"{NEXT}-12-31 23:00", f"{NEXT + 1}-01-01 01:00", [NEXT, NEXT + 1]),
    ("29 February of an unknown year", "2096-02-29 10:00", "2096-02-29 11:00", [2096]),
]


@pytest.mark.parametrize(("label", "start", "end", "years"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_what_is_not_known_is_told_and_never_refused(
    label: str, start: str, end: str, years: list[int]
) -> None:
    quote = quote_span(ROOM, Span(at(start), at(end)), DAYS)

    assert [(warning.code, warning.detail) for warning in quote.warnings] == [
        ("holidays_unknown", str(year)) for year in years
    ]
    assert quote.total_fen > 0


def test_after_the_data_end_the_day_of_the_week_decides() -> None:
    """The first fortnight of that year has working days and weekends, and no holiday at all."""
    for offset in range(14):
        start = at(f"{NEXT}-01-01 10:00") + timedelta(days=offset)
        quote = quote_span(ROOM, Span(start, start + timedelta(hours=1)), DAYS)
        assert quote.total_fen == (2800 if start.weekday() < 5 else 4000)


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("owner says holiday", DayKind.HOLIDAY, 6000),
        ("owner says weekend", DayKind.WEEKEND, 4000),
        ("owner says weekday", DayKind.WEEKDAY, 2800),
    ],
)
def test_owner_fills_in_what_is_not_known(label: str, kind: DayKind, expected: int) -> None:
    calendar = DayCalendar({date(NEXT, 1, 1): kind})
    wanted = Span(at(f"{NEXT}-01-01 10:00"), at(f"{NEXT}-01-01 11:00"))

    quote = quote_span(ROOM, wanted, DAYS, calendar=calendar)

    assert (quote.total_fen, quote.warnings) == (expected, ())


def test_every_day_of_the_year_has_24_hours_in_shanghai() -> None:
    """No clock ever jumps there, so each local day is one line of 1440 minutes."""
    for offset in range(365):
        start = at("2026-01-01 00:00") + timedelta(days=offset)
        quote = quote_span(ROOM, Span(start, start + timedelta(days=1)), DAYS)
        assert [(line.minutes, local(line.start_at)[6:]) for line in quote.lines if line.start_at] == [
            (1440, "00:00")
        ]
