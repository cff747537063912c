"""Kinds of days, with exchanged working days and years that nobody has published."""

from __future__ import annotations

from datetime import date

import pytest

from app.domain.calendar import PUBLIC_CALENDAR, DayCalendar, DayKind, day_kind, is_year_known


@pytest.mark.parametrize(
    ("label", "on", "kind"),
    [
        ("plain Wednesday", date(2026, 3, 11), DayKind.WEEKDAY),
        ("plain Saturday", date(2026, 3, 14), DayKind.WEEKEND),
        ("National Day, a Thursday", date(2026, 10, 1), DayKind.HOLIDAY),
        ("Saturday inside the holiday", date(2026, 10, 3), DayKind.HOLIDAY),
        ("day off in exchange", date(2026, 2, 23), DayKind.HOLIDAY),
        ("Saturday worked in exchange", date(2026, 10, 10), DayKind.WEEKDAY),
        ("Sunday worked in exchange", date(2026, 1, 4), DayKind.WEEKDAY),
        ("29 February", date(2024, 2, 29), DayKind.WEEKDAY),
        ("31 December", date(2026, 12, 31), DayKind.WEEKDAY),
        ("New Year of an unknown year counts as its weekday", date(2031, 1, 1), DayKind.WEEKDAY),
        ("weekend of an unknown year", date(2031, 1, 4), DayKind.WEEKEND),
    ],
)
def test_day_kind(label: str, on: date, kind: DayKind) -> None:
    assert day_kind(on) is kind


def test_an_override_wins_and_makes_the_day_known() -> None:
    calendar = DayCalendar({date(2031, 1, 1): DayKind.HOLIDAY, date(2026, 10, 1): DayKind.WEEKDAY})
    assert calendar.day_kind(date(2031, 1, 1)) is DayKind.HOLIDAY
    assert calendar.day_kind(date(2026, 10, 1)) is DayKind.WEEKDAY
    assert calendar.is_known(date(2031, 1, 1))
    assert not calendar.is_known(date(2031, 1, 2))


def test_known_years() -> None:
    assert is_year_known(2026)
    assert not is_year_known(2031)
    assert PUBLIC_CALENDAR.is_known(date(2026, 12, 31))
