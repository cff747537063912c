"""Opening hours: weekly rows and dated exceptions turned into spans of open time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.slots import Span, clip, dates_between, local_date, local_instant, merge


@dataclass(frozen=True, slots=True)
class OpeningRule:
    """One row of opening hours.

    Either `weekday` (0 Monday … 6 Sunday) or `on_date` says when it counts. Minutes run from local midnight
    of that day; `closes_minute` may pass midnight (up to 2880), 0–1440 is the whole day. `is_closed` closes
    the day, whatever its other rows say.
    """

    weekday: int | None = None
    on_date: date | None = None
    opens_minute: int = 0
    closes_minute: int = 1440
    is_closed: bool = False


def opening_spans(rules: Iterable[OpeningRule], tz: ZoneInfo, window: Span) -> list[Span]:
    """Return the open time inside *window* as sorted, disjoint spans; touching hours become one span.

    Rows of a date replace the weekday rows of that date. A night that began the day before stays open until
    its own closing time. A day without any row is closed.
    """
    rows = list(rules)
    # A row may reach to the end of the following day, so the day before the window counts too.
    first_on = local_date(window.start_at, tz) - timedelta(days=1)
    days = dates_between(first_on, local_date(window.end_at, tz))
    return clip(merge(span for on in days for span in _spans_of_day(rows, on, tz)), window)


def is_open_at(rules: Iterable[OpeningRule], tz: ZoneInfo, at: datetime) -> bool:
    """Tell whether the instant lies in open time."""
    return bool(opening_spans(rules, tz, Span(at, at + timedelta.resolution)))


def rules_of_day(rules: Iterable[OpeningRule], on: date) -> list[OpeningRule]:
    """Return the rows that decide about one date: its own, else those of its weekday; none when closed."""
    rows = list(rules)
    dated = [row for row in rows if row.on_date == on]
    counting = dated or [row for row in rows if row.on_date is None and row.weekday == on.weekday()]
    if any(row.is_closed for row in counting):
        return []
    return sorted(counting, key=lambda row: (row.opens_minute, row.closes_minute))


def _spans_of_day(rules: list[OpeningRule], on: date, tz: ZoneInfo) -> list[Span]:
    return [
        Span(local_instant(on, row.opens_minute, tz), local_instant(on, row.closes_minute, tz))
        for row in rules_of_day(rules, on)
        if row.opens_minute < row.closes_minute
    ]
