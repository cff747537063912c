"""Kinds of days: weekdays, weekends and public holidays with their exchanged working days (调休)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from chinese_calendar.constants import holidays, workdays

NO_OVERRIDES: Mapping[date, DayKind] = {}
KNOWN_YEARS = frozenset(on.year for on in holidays)


class DayKind(StrEnum):
    """What a date counts as when prices are looked up."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True)
class DayCalendar:
    """The public calendar with the owner's own dates on top."""

    overrides: Mapping[date, DayKind] = field(default_factory=dict)

    def day_kind(self, on: date) -> DayKind:
        """Return the kind of a date; never fails, see `is_known`."""
        return day_kind(on, self.overrides)

    def is_known(self, on: date) -> bool:
        """Tell whether the kind is certain: the owner set it or the holidays of the year are published."""
        return on in self.overrides or is_year_known(on.year)


PUBLIC_CALENDAR = DayCalendar()


def day_kind(on: date, overrides: Mapping[date, DayKind] = NO_OVERRIDES) -> DayKind:
    """Return the kind of a date: the override, else the public calendar, else Monday to Friday and weekend.

    A weekend day that is worked in exchange for a holiday is a weekday; every day off that belongs to a
    holiday, whichever weekday it is, is a holiday. In a year without published holidays only the weekday
    counts (`is_year_known` tells).
    """
    if on in overrides:
        return overrides[on]
    if on in holidays:
        return DayKind.HOLIDAY
    if on in workdays or on.weekday() < 5:
        return DayKind.WEEKDAY
    return DayKind.WEEKEND


def is_year_known(year: int) -> bool:
    """Tell whether the public holidays of this year are in the calendar that is installed."""
    return year in KNOWN_YEARS
