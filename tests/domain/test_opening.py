"""Opening hours as spans: nights, whole days, exceptions and changing clocks."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.opening import OpeningRule, is_open_at, opening_spans
from app.domain.slots import Span, local_day
from tests.domain.moments import NEW_YORK, TZ, WEDNESDAY, at, local, span

WEEK = span("2026-03-09 00:00", "2026-03-16 00:00")
EVERY_DAY_10_TO_26 = [OpeningRule(weekday=day, opens_minute=600, closes_minute=1560) for day in range(7)]
ALWAYS = [OpeningRule(weekday=day) for day in range(7)]


def shown(spans: list[Span]) -> list[tuple[str, str]]:
    return [(local(part.start_at), local(part.end_at)) for part in spans]


def test_a_night_runs_past_midnight_into_the_window() -> None:
    assert shown(opening_spans(EVERY_DAY_10_TO_26, TZ, local_day(WEDNESDAY, TZ))) == [
        ("03-11 00:00", "03-11 02:00"),
        ("03-11 10:00", "03-12 00:00"),
    ]


def test_whole_days_merge_into_one_span() -> None:
    assert opening_spans(ALWAYS, TZ, WEEK) == [WEEK]


def test_several_openings_of_one_day() -> None:
    rules = [
        OpeningRule(weekday=2, opens_minute=1080, closes_minute=1380),
        OpeningRule(weekday=2, opens_minute=540, closes_minute=720),
    ]
    assert shown(opening_spans(rules, TZ, WEEK)) == [
        ("03-11 09:00", "03-11 12:00"),
        ("03-11 18:00", "03-11 23:00"),
    ]


def test_a_full_two_days_from_one_row() -> None:
    rules = [OpeningRule(on_date=WEDNESDAY, opens_minute=0, closes_minute=2880)]
    assert shown(opening_spans(rules, TZ, WEEK)) == [("03-11 00:00", "03-13 00:00")]


@pytest.mark.parametrize(
    ("label", "dated", "expected"),
    [
        (
            "closed day keeps the night before",
            [OpeningRule(on_date=WEDNESDAY, is_closed=True)],
            [("03-11 00:00", "03-11 02:00")],
        ),
        (
            "shorter day",
            [OpeningRule(on_date=WEDNESDAY, opens_minute=840, closes_minute=1080)],
            [("03-11 00:00", "03-11 02:00"), ("03-11 14:00", "03-11 18:00")],
        ),
        (
            "closed wins over other rows of the date",
            [OpeningRule(on_date=WEDNESDAY), OpeningRule(on_date=WEDNESDAY, is_closed=True)],
            [("03-11 00:00", "03-11 02:00")],
        ),
        (
            "another date changes nothing",
            [OpeningRule(on_date=date(2026, 3, 13), is_closed=True)],
            [("03-11 00:00", "03-11 02:00"), ("03-11 10:00", "03-12 00:00")],
        ),
    ],
)
def test_dated_rows_replace_the_weekday(
    label: str, dated: list[OpeningRule], expected: list[tuple[str, str]]
) -> None:
    day = local_day(WEDNESDAY, TZ)
    assert shown(opening_spans([*EVERY_DAY_10_TO_26, *dated], TZ, day)) == expected
    assert shown(opening_spans([*dated, *reversed(EVERY_DAY_10_TO_26)], TZ, day)) == expected


def test_no_rows_means_closed() -> None:
    assert opening_spans([], TZ, WEEK) == []


@pytest.mark.parametrize(
    ("label", "moment", "is_open"),
    [
        ("a minute before opening", "09:59", False),
        ("at opening", "10:00", True),
        ("23:59", "23:59", True),
        ("midnight", "2026-03-12 00:00", True),
        ("a minute before closing", "2026-03-12 01:59", True),
        ("at closing", "2026-03-12 02:00", False),
    ],
)
def test_is_open_at(label: str, moment: str, is_open: bool) -> None:
    assert is_open_at(EVERY_DAY_10_TO_26, TZ, at(moment)) is is_open


@pytest.mark.parametrize(("on", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25)])
def test_a_whole_day_follows_the_clock(on: date, hours: int) -> None:
    assert [part.minutes for part in opening_spans(ALWAYS, NEW_YORK, local_day(on, NEW_YORK))] == [hours * 60]
