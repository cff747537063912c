"""Spans, sets of spans and the local start grid."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidField
from app.domain.slots import (
    Span,
    clip,
    grid_ceil,
    grid_floor,
    is_on_grid,
    local_dates,
    local_day,
    local_instant,
    local_minute,
    merge,
    span_of_minutes,
    subtract,
)
from tests.domain.moments import NEW_YORK, TZ, at, span

BASE = datetime(2026, 3, 10, 16, tzinfo=UTC)
minutes = st.integers(min_value=0, max_value=3000)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Draw a span of whole minutes within about two days."""
    start = draw(minutes)
    return span_of_minutes(BASE + timedelta(minutes=start), draw(st.integers(min_value=1, max_value=600)))


def minutes_of(parts: list[Span]) -> set[int]:
    """Return the covered minutes one by one: the slow, obvious model of a set of spans."""
    return {
        minute
        for part in parts
        for minute in range(
            (part.start_at - BASE) // timedelta(minutes=1), (part.end_at - BASE) // timedelta(minutes=1)
        )
    }


@pytest.mark.parametrize(
    ("label", "other", "is_overlapping"),
    [
        ("before", span("08:00", "09:00"), False),
        ("right before", span("09:00", "10:00"), False),
        ("overlapping the start", span("09:00", "10:01"), True),
        ("same start, shorter", span("10:00", "10:30"), True),
        ("inside", span("10:30", "11:00"), True),
        ("same", span("10:00", "12:00"), True),
        ("around", span("09:00", "13:00"), True),
        ("overlapping the end", span("11:59", "13:00"), True),
        ("right after", span("12:00", "13:00"), False),
        ("after", span("13:00", "14:00"), False),
    ],
)
def test_overlaps(label: str, other: Span, is_overlapping: bool) -> None:
    ours = span("10:00", "12:00")
    assert ours.overlaps(other) is is_overlapping
    assert other.overlaps(ours) is is_overlapping
    assert (ours.intersect(other) is not None) is is_overlapping


def test_has_its_start_but_not_its_end() -> None:
    assert span("10:00", "12:00").has(at("10:00"))
    assert not span("10:00", "12:00").has(at("12:00"))


@pytest.mark.parametrize(
    ("label", "start", "end", "field"),
    [
        ("empty", at("10:00"), at("10:00"), "end_at"),
        ("end before start", at("10:00"), at("09:59"), "end_at"),
        ("first year", datetime(1, 1, 1, tzinfo=UTC), at("10:00"), "start_at"),
        ("last year", at("10:00"), datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "end_at"),
    ],
)
def test_span_refuses(label: str, start: datetime, end: datetime, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        Span(start, end)
    assert list(refusal.value.errors or {}) == [field]


def test_span_refuses_naive_instants() -> None:
    with pytest.raises(ValueError, match="aware"):
        Span(datetime(2026, 3, 11, 10), at("12:00"))


def test_minutes_are_elapsed_where_clocks_change() -> None:
    # New York loses the hour from 2:00 to 3:00 on 8 March 2026.
    assert span("2026-03-08 01:00", "2026-03-08 04:00", NEW_YORK).minutes == 120


def test_equal_spans_of_different_zones_are_equal() -> None:
    assert Span(at("10:00"), at("12:00")) == Span(
        at("10:00").astimezone(UTC), at("12:00").astimezone(NEW_YORK)
    )


def test_whole_minutes() -> None:
    assert span("10:00", "12:00").is_whole_minutes
    assert not span("10:00:30", "12:00").is_whole_minutes
    assert not span("10:00", "12:00:00.000001").is_whole_minutes


@given(st.lists(spans(), max_size=6))
def test_merge_keeps_the_minutes_and_leaves_gaps(parts: list[Span]) -> None:
    merged = merge(parts)
    assert minutes_of(merged) == minutes_of(parts)
    assert all(left.end_at < right.start_at for left, right in pairwise(merged))


@given(st.lists(spans(), max_size=6), st.lists(spans(), max_size=6))
def test_subtract_is_set_difference(parts: list[Span], taken: list[Span]) -> None:
    assert minutes_of(subtract(parts, taken)) == minutes_of(parts) - minutes_of(taken)


@given(st.lists(spans(), max_size=6), spans())
def test_clip_is_set_intersection(parts: list[Span], window: Span) -> None:
    assert minutes_of(clip(parts, window)) == minutes_of(parts) & minutes_of([window])


@pytest.mark.parametrize(
    ("label", "moment", "step", "floor", "ceil"),
    [
        ("on the grid", "10:30", 30, "10:30", "10:30"),
        ("a second after", "10:30:01", 30, "10:30", "11:00"),
        ("a minute before", "10:59", 30, "10:30", "11:00"),
        ("last step of the day", "23:31", 30, "23:30", "2026-03-12 00:00"),
        ("step that does not divide a day starts anew", "23:25", 50, "23:20", "2026-03-12 00:00"),
        ("whole day", "10:00", 1440, "00:00", "2026-03-12 00:00"),
    ],
)
def test_grid(label: str, moment: str, step: int, floor: str, ceil: str) -> None:
    assert grid_floor(at(moment), step, TZ) == at(floor)
    assert grid_ceil(at(moment), step, TZ) == at(ceil)


@given(minutes, st.integers(min_value=1, max_value=1440), st.sampled_from([TZ, NEW_YORK]))
def test_grid_neighbours_are_on_the_grid(offset: int, step: int, tz) -> None:
    # The two days from 7 March 2026 hold New York's change of clocks.
    moment = datetime(2026, 3, 7, 12, tzinfo=UTC) + timedelta(minutes=offset)
    before, after = grid_floor(moment, step, tz), grid_ceil(moment, step, tz)
    assert before <= moment <= after
    assert is_on_grid(before, step, tz) and is_on_grid(after, step, tz)
    assert (before == after) is is_on_grid(moment, step, tz)


@pytest.mark.parametrize(
    ("label", "on", "minute", "expected"),
    [
        ("midnight", date(2026, 3, 11), 0, "2026-03-11 00:00"),
        ("23:59", date(2026, 3, 11), 1439, "2026-03-11 23:59"),
        ("end of the day", date(2026, 3, 11), 1440, "2026-03-12 00:00"),
        ("next day's end", date(2026, 3, 11), 2880, "2026-03-13 00:00"),
        ("into 29 February", date(2028, 2, 28), 1500, "2028-02-29 01:00"),
        ("over the year's end", date(2026, 12, 31), 1500, "2027-01-01 01:00"),
    ],
)
def test_local_instant(label: str, on: date, minute: int, expected: str) -> None:
    assert local_instant(on, minute, TZ) == at(expected)


def test_local_day_where_clocks_change() -> None:
    assert local_day(date(2026, 3, 8), NEW_YORK).minutes == 23 * 60
    assert local_day(date(2026, 11, 1), NEW_YORK).minutes == 25 * 60


def test_local_dates_leave_out_the_day_that_only_begins_at_the_end() -> None:
    assert list(local_dates(span("22:00", "2026-03-12 00:00"), TZ)) == [date(2026, 3, 11)]
    assert len(list(local_dates(span("22:00", "2026-03-12 00:01"), TZ))) == 2


def test_local_minute_is_the_stores_own() -> None:
    assert local_minute(datetime(2026, 3, 10, 16, 5, tzinfo=UTC), TZ) == 5
