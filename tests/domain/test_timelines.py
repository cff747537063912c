"""Painting against a painter that looks at every minute on its own, and how long a painting holds."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.availability import STATES, load_window
from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import MINUTE, Span, floor_minute, grid_ceil, span_of_minutes
from app.domain.timelines import MINUTE_US, LocalClock, instant_of, present_state, rules_at, us_of
from tests.domain.moments import TZ, at, span
from tests.domain.painted_spans import availability_spans
from tests.domain.test_availability_properties import FIRST, blocks, bookings, openings, policies, windows

NEW_YORK = ZoneInfo("America/New_York")
ORDER = (
    "in_use", "reserved", "held", "ended", "blocked", "cleaning", "closed", "in_past", "too_soon", "too_far",
    "buffer",
)  # fmt: skip


def reasons_at(
    moment: Span,
    open_spans: list[Span],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    policy: BookingPolicy,
    now_us: int,
) -> set[str]:
    """Everything that holds in one minute, straight from the rules."""
    now = instant_of(now_us)
    found = {taken.state for taken in busy if taken.core.overlaps(moment)}
    found |= {"cleaning" for taken in busy if taken.busy.overlaps(moment)}
    found |= {"blocked" for block in barred if block.span.overlaps(moment)}
    if not any(part.overlaps(moment) for part in open_spans):
        found.add("closed")
    rules = rules_at(policy, now, TZ)
    if us_of(moment.start_at) < rules.past_until:
        found.add("in_past")
    elif us_of(moment.start_at) < rules.soon_until:
        found.add("too_soon")
    if us_of(moment.start_at) >= rules.far_from:
        found.add("too_far")
    margin = (policy.buffer_after_minutes, policy.buffer_before_minutes)
    if any(taken.busy.widened(*margin).overlaps(moment) for taken in busy):
        found.add("buffer")
    return found


def painted_by_minutes(
    window: Span,
    open_spans: list[Span],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    policy: BookingPolicy,
    now_us: int,
) -> list[str]:
    """The reason of every minute of the window, gaps that are of no use greyed; slow and plain."""
    wide = load_window(window, [policy])
    minutes = [span_of_minutes(wide.start_at + MINUTE * n, 1) for n in range(wide.minutes)]
    shown = []
    for minute in minutes:
        held = reasons_at(minute, open_spans, busy, barred, policy, now_us)
        shown.append(next((reason for reason in ORDER if reason in held), "free"))
    for reason, group in groupby(list(enumerate(shown)), key=lambda pair: pair[1]):
        places = [place for place, _ in group]
        if reason != "free":
            continue
        start, end = minutes[places[0]].start_at, minutes[places[-1]].end_at
        first = grid_ceil(start, policy.start_step_minutes, TZ)
        fits = first + timedelta(minutes=policy.min_minutes) <= end
        for place in places:
            if not fits:
                shown[place] = "too_short"
            elif minutes[place].start_at < first:
                shown[place] = "off_step"
    return [reason for minute, reason in zip(minutes, shown, strict=True) if window.contains(minute)]


def expanded(window: Span, policy: BookingPolicy, **rest: object) -> list[str]:
    """The reason of every minute of what is really painted."""
    spans = availability_spans(window, policy=policy, tz=TZ, **rest)
    assert all(part.state == STATES.get(part.reason or "free", part.reason or "free") for part in spans)
    return [part.reason or "free" for part in spans for _ in range(Span(part.start_at, part.end_at).minutes)]


@settings(max_examples=80, deadline=None)
@given(policies(), openings(), bookings(), blocks, windows(), st.integers(min_value=0, max_value=3000))
def test_every_minute_shows_what_the_rules_say(
    policy: BookingPolicy,
    opening: list[OpeningRule],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    window: Span,
    now_minutes: int,
) -> None:
    now = FIRST + timedelta(minutes=now_minutes, seconds=17)
    open_spans = opening_spans(opening, TZ, load_window(window, [policy]))
    painted = expanded(window, policy, open_spans=open_spans, busy=busy, blocks=barred, now=now)
    assert painted == painted_by_minutes(window, open_spans, busy, barred, policy, us_of(now))


@settings(max_examples=60, deadline=None)
@given(policies(), openings(), bookings(), blocks, windows(), st.integers(min_value=0, max_value=2000))
def test_a_window_is_a_cut_of_a_wider_one(
    policy: BookingPolicy,
    opening: list[OpeningRule],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    window: Span,
    wider: int,
) -> None:
    whole = window.widened(wider, wider)
    open_spans = opening_spans(opening, TZ, load_window(whole, [policy]))
    rest = {"open_spans": open_spans, "busy": busy, "blocks": barred, "now": FIRST}
    cut = expanded(whole, policy, **rest)[wider : wider + window.minutes]
    assert cut == expanded(window, policy, **rest)


@settings(max_examples=100, deadline=None)
@given(policies(), st.integers(min_value=0, max_value=3 * 86400), st.sampled_from([TZ, NEW_YORK]), st.data())
def test_rules_hold_until_they_say(
    policy: BookingPolicy, seconds: int, tz: ZoneInfo, data: st.DataObject
) -> None:
    # In these days the clocks of New York are put forward.
    now = at("2026-03-07 00:00") + timedelta(seconds=seconds)
    rules = rules_at(policy, now, tz)

    def said(us: int) -> tuple[int, int, int]:
        found = rules_at(policy, instant_of(us), tz)
        return found.past_until, found.soon_until, found.far_from

    first = said(us_of(now))
    inside = data.draw(st.integers(min_value=us_of(now), max_value=rules.until - 1))
    assert said(inside) == said(rules.until - 1) == first
    # Where clocks jump it only says when to ask again, at the next minute.
    assert said(rules.until) != first or rules.until == us_of(floor_minute(now)) + MINUTE_US


@pytest.mark.parametrize(
    ("label", "now", "state", "until"),
    [
        ("before opening", "09:00", "closed", "10:00"),
        ("free until somebody comes", "10:00", "free", "11:55"),
        ("a buffer before the guests", "11:55", "cleaning", "12:00"),
        ("guests", "12:00", "reserved", "14:00"),
        ("their last moment", "13:59:59", "reserved", "14:00"),
        ("cleaning", "14:00", "cleaning", "14:15"),
        ("free until a block", "14:15", "free", "16:00"),
        ("blocked", "16:30", "blocked", "17:00"),
        ("free until closing", "17:00", "free", "22:00"),
        ("closed beyond what is known", "23:00", "closed", "24:00"),
    ],
)
def test_the_present_is_sure_until_its_next_edge(label: str, now: str, state: str, until: str) -> None:
    core, busy = span("12:00", "14:00"), span("11:55", "14:15")
    taken = [(*map(us_of, (busy.start_at, core.start_at, core.end_at, busy.end_at)), "reserved", "A")]
    block, hours = span("16:00", "17:00"), span("10:00", "22:00")
    barred = [(us_of(block.start_at), us_of(block.end_at), "B")]
    open_spans = [(us_of(hours.start_at), us_of(hours.end_at))]
    known_until = us_of(at("2026-03-12 00:00"))
    end = known_until if until == "24:00" else us_of(at(until))
    assert present_state(taken, barred, open_spans, us_of(at(now)), known_until) == (state, end)


def test_guests_who_came_early_use_the_room() -> None:
    core, busy = span("12:00", "14:00"), span("11:55", "14:15")
    edges = tuple(map(us_of, (busy.start_at, core.start_at, core.end_at, busy.end_at)))
    known_until = us_of(at("2026-03-12 00:00"))
    for moment in ("11:50", "11:57"):
        found = present_state([(*edges, "in_use", "A")], [], [], us_of(at(moment)), known_until)
        assert found == ("in_use", us_of(core.end_at))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([TZ, NEW_YORK, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]),
    st.integers(min_value=0, max_value=400 * 1440),
    st.integers(min_value=0, max_value=10 * 1440 * 60),
    st.sampled_from([1, 15, 30, 50, 60, 720]),
)
def test_arithmetic_tells_the_time_as_the_calendar_does(
    tz: ZoneInfo, start: int, seconds: int, step: int
) -> None:
    over = span_of_minutes(at("2026-01-01 00:00") + MINUTE * start, 10 * 1440)
    clock, moment = LocalClock(tz, over), over.start_at + timedelta(seconds=seconds)
    assert clock.text(us_of(moment)) == moment.astimezone(tz).isoformat(timespec="seconds")
    assert clock.ceil(us_of(moment), step) == us_of(grid_ceil(moment, step, tz))


def test_old_clocks_that_differed_by_seconds() -> None:
    over = span_of_minutes(at("0103-01-01 00:00"), 1440)
    assert LocalClock(TZ, over).text(us_of(over.start_at)) == "0103-01-01T00:00:00+08:05:43"
