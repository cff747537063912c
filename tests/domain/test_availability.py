"""A room's timeline: what shows where, which gaps are too short."""

from __future__ import annotations

import pytest

from app.domain.availability import free_minutes_on, load_window
from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan, busy_span
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import Span, local_day
from tests.domain.moments import TZ, WEDNESDAY, at, local, span
from tests.domain.painted_spans import StateSpan, availability_spans, free_spans

DAY = local_day(WEDNESDAY, TZ)
OPENING = [OpeningRule(weekday=day, opens_minute=600, closes_minute=1440) for day in range(7)]
POLICY = BookingPolicy(buffer_before_minutes=0, buffer_after_minutes=15)
EARLY = at("2026-03-10 12:00")


def booked(start: str, end: str, state: str = "reserved", policy: BookingPolicy = POLICY) -> BusySpan:
    core = span(start, end)
    return BusySpan(core, busy_span(policy, core), state)


def timeline(
    *,
    busy: list[BusySpan] | None = None,
    blocks: list[BlockSpan] | None = None,
    policy: BookingPolicy = POLICY,
    now: str = "2026-03-10 12:00",
    window: Span = DAY,
) -> list[StateSpan]:
    open_spans = opening_spans(OPENING, TZ, load_window(window, [policy]))
    return availability_spans(
        window,
        open_spans=open_spans,
        busy=busy or [],
        blocks=blocks or [],
        policy=policy,
        now=at(now),
        tz=TZ,
    )


def shown(spans: list[StateSpan]) -> list[tuple[str, str, str | None]]:
    """Return (local start, state, reason); the end of each is the start of the next."""
    return [(local(part.start_at)[6:], part.state, part.reason) for part in spans]


def test_a_day_with_every_state() -> None:
    busy = [
        booked("10:30", "12:00", "ended"),
        booked("12:30", "14:00", "in_use"),
        booked("16:00", "18:00", "held"),
        booked("18:15", "20:00", "reserved"),
    ]
    spans = timeline(busy=busy, blocks=[BlockSpan(span("22:00", "23:00"))], now="13:10")
    assert shown(spans) == [
        ("00:00", "closed", "closed"),
        ("10:00", "closed", "in_past"),
        ("10:30", "in_use", "ended"),
        ("12:00", "cleaning", "cleaning"),
        ("12:15", "closed", "in_past"),
        ("12:30", "in_use", "in_use"),
        ("14:00", "cleaning", "cleaning"),
        ("14:15", "closed", "off_step"),
        ("14:30", "free", None),
        ("15:45", "cleaning", "buffer"),
        ("16:00", "held", "held"),
        ("18:00", "cleaning", "cleaning"),
        ("18:15", "reserved", "reserved"),
        ("20:00", "cleaning", "cleaning"),
        ("20:15", "closed", "off_step"),
        ("20:30", "free", None),
        ("22:00", "blocked", "blocked"),
        ("23:00", "free", None),
    ]
    assert spans[0].start_at == DAY.start_at and spans[-1].end_at == DAY.end_at


@pytest.mark.parametrize(
    ("label", "next_start", "is_free"),
    [
        ("exactly one hour and the buffer", "13:15", True),
        ("a minute less", "13:14", False),
        ("room for less than the shortest length", "12:45", False),
    ],
)
def test_a_gap_is_free_only_when_a_booking_fits(label: str, next_start: str, is_free: bool) -> None:
    busy = [booked("10:00", "11:45"), booked(next_start, "15:00")]
    gap = next(part for part in timeline(busy=busy) if local(part.start_at) == "03-11 12:00")
    assert (gap.state, gap.reason) == (("free", None) if is_free else ("closed", "too_short"))


def test_a_gap_that_fits_only_off_the_grid_is_grey() -> None:
    # 12:10 to 13:20 is longer than an hour, but the only start on the grid is 12:30.
    busy = [booked("10:00", "11:55"), booked("13:35", "15:00")]
    gap = next(part for part in timeline(busy=busy) if local(part.start_at) == "03-11 12:10")
    assert (gap.state, gap.reason, local(gap.end_at)) == ("closed", "too_short", "03-11 13:20")


def test_the_windows_edge_does_not_make_a_gap_short() -> None:
    window = span("12:40", "13:10")
    assert shown(timeline(window=window)) == [("12:40", "free", None)]
    cramped = timeline(window=window, busy=[booked("10:00", "12:15"), booked("13:30", "15:00")])
    assert shown(cramped) == [("12:40", "closed", "too_short")]


@pytest.mark.parametrize(
    ("label", "now", "expected"),
    [
        ("on the grid", "12:00", [("10:00", "in_past"), ("12:00", "too_soon"), ("13:30", None)]),
        ("between two lines", "12:01", [("10:00", "in_past"), ("12:00", "too_soon"), ("14:00", None)]),
        (
            "the last moment before the next line",
            "12:29:59",
            [("10:00", "in_past"), ("12:00", "too_soon"), ("14:00", None)],
        ),
    ],
)
def test_past_and_lead_end_on_the_grid(label: str, now: str, expected: list[object]) -> None:
    spans = timeline(policy=BookingPolicy(min_lead_minutes=90), now=now, window=span("10:00", "23:00"))
    assert [(start, reason) for start, _, reason in shown(spans)] == expected


def test_too_far_begins_after_the_last_bookable_day() -> None:
    policy = BookingPolicy(max_ahead_days=1)
    spans = timeline(policy=policy, now="2026-03-10 12:00", window=span("20:00", "2026-03-12 14:00"))
    assert shown(spans) == [
        ("20:00", "free", None),
        ("00:00", "closed", "closed"),
        ("10:00", "closed", "too_far"),
    ]


def test_cleaning_is_not_cut_by_closing_time() -> None:
    spans = timeline(busy=[booked("21:00", "2026-03-12 00:00")], window=span("20:00", "2026-03-12 01:00"))
    assert shown(spans)[-2:] == [("00:00", "cleaning", "cleaning"), ("00:15", "closed", "closed")]


def test_neighbours_with_references_stay_apart() -> None:
    first, second = span("12:00", "13:00"), span("13:00", "14:00")
    named = [BusySpan(first, first, "reserved", "A1"), BusySpan(second, second, "reserved", "A2")]
    refs = [part.ref for part in timeline(busy=named) if part.state == "reserved"]
    assert refs == ["A1", "A2"]
    nameless = [BusySpan(first, first, "reserved"), BusySpan(second, second, "reserved")]
    assert len([part for part in timeline(busy=nameless) if part.state == "reserved"]) == 1


def test_free_minutes_of_a_day() -> None:
    free = free_spans(timeline(busy=[booked("12:00", "14:00")], window=span("10:00", "2026-03-12 12:00")))
    assert free_minutes_on(free, WEDNESDAY, TZ) == 105 + 570
    assert free_minutes_on(free, WEDNESDAY.replace(day=12), TZ) == 120
