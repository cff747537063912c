"""The timeline never contradicts a booking attempt: free is accepted, grey is refused."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.alternatives import FreeRoom, alternatives
from app.domain.availability import load_window
from app.domain.booking_rules import (
    BlockSpan,
    BookingPolicy,
    BusySpan,
    busy_span,
    check_place,
    check_span,
)
from app.domain.errors import DomainError
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import Span, span_of_minutes
from tests.domain.moments import TZ, at
from tests.domain.painted_spans import availability_spans, free_spans

FIRST = at("2026-03-11 00:00")
five_minutes = st.integers(min_value=0, max_value=2 * 288).map(lambda count: count * 5)


@st.composite
def policies(draw: st.DrawFn) -> BookingPolicy:
    shortest = draw(st.sampled_from([30, 60, 90]))
    return BookingPolicy(
        min_lead_minutes=draw(st.sampled_from([0, 10, 90])),
        max_ahead_days=draw(st.sampled_from([0, 1, 14])),
        min_minutes=shortest,
        max_minutes=shortest + draw(st.sampled_from([0, 60, 400])),
        start_step_minutes=draw(st.sampled_from([15, 30, 50])),
        length_step_minutes=draw(st.sampled_from([30, 45])),
        buffer_before_minutes=draw(st.sampled_from([0, 5])),
        buffer_after_minutes=draw(st.sampled_from([0, 15])),
    )


@st.composite
def openings(draw: st.DrawFn) -> list[OpeningRule]:
    opens = draw(st.sampled_from([0, 540, 600]))
    closes = draw(st.sampled_from([1080, 1440, 1560]))
    return [OpeningRule(weekday=day, opens_minute=opens, closes_minute=closes) for day in range(7)]


@st.composite
def bookings(draw: st.DrawFn) -> list[BusySpan]:
    """Draw bookings that keep clear of each other, made under other policies than today's."""
    taken: list[BusySpan] = []
    for _ in range(draw(st.integers(min_value=0, max_value=7))):
        core = span_of_minutes(
            FIRST + timedelta(minutes=draw(five_minutes)), draw(st.sampled_from([25, 60, 180]))
        )
        then = BookingPolicy(
            buffer_before_minutes=draw(st.sampled_from([0, 10])),
            buffer_after_minutes=draw(st.sampled_from([0, 20])),
        )
        busy = busy_span(then, core)
        if not any(other.busy.overlaps(busy) for other in taken):
            taken.append(BusySpan(core, busy, draw(st.sampled_from(["held", "reserved", "in_use"]))))
    return taken


blocks = st.lists(
    st.builds(
        lambda start, minutes: BlockSpan(span_of_minutes(FIRST + timedelta(minutes=start), minutes)),
        five_minutes,
        st.sampled_from([35, 240]),
    ),
    max_size=2,
)


@st.composite
def windows(draw: st.DrawFn) -> Span:
    start = FIRST + timedelta(minutes=draw(five_minutes))
    return span_of_minutes(start, draw(st.sampled_from([20, 300, 1440])))


def attempts(policy: BookingPolicy, window: Span) -> list[Span]:
    """Return every booking of an allowed length that touches the window, on and off the grid."""
    lengths = range(policy.min_minutes, policy.max_minutes + 1, policy.length_step_minutes)
    first = window.start_at - timedelta(minutes=policy.max_minutes)
    starts = range(0, window.minutes + policy.max_minutes, 5)
    tried = [
        span_of_minutes(first + timedelta(minutes=start), length) for start in starts for length in lengths
    ]
    return [wanted for wanted in tried if wanted.overlaps(window)]


@settings(max_examples=60, deadline=None)
@given(policies(), openings(), bookings(), blocks, windows(), st.integers(min_value=0, max_value=2000))
def test_free_is_accepted_and_grey_is_refused(
    policy: BookingPolicy,
    opening: list[OpeningRule],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    window: Span,
    now_minutes: int,
) -> None:
    now = FIRST + timedelta(minutes=now_minutes, seconds=17)
    open_spans = opening_spans(opening, TZ, load_window(window, [policy]))
    spans = availability_spans(
        window, open_spans=open_spans, busy=busy, blocks=barred, policy=policy, now=now, tz=TZ
    )
    grey = [Span(part.start_at, part.end_at) for part in spans if part.state != "free"]
    free = free_spans(spans)
    for wanted in attempts(policy, window):
        code = None
        try:
            check_span(policy, wanted, opening=opening, now=now, tz=TZ)
            check_place(policy, wanted, busy=busy, blocks=barred)
        except DomainError as refusal:
            code = refusal.code
        if any(part.overlaps(wanted) for part in grey):
            assert code is not None, f"{wanted} touches grey"
        elif any(part.contains(wanted) for part in free):
            assert code in (None, "off_step"), f"{wanted} lies in free"


@settings(max_examples=60, deadline=None)
@given(policies(), openings(), bookings(), blocks, windows(), st.randoms(use_true_random=False))
def test_a_timeline_is_whole_sorted_and_independent_of_order(
    policy: BookingPolicy,
    opening: list[OpeningRule],
    busy: list[BusySpan],
    barred: list[BlockSpan],
    window: Span,
    random,
) -> None:
    open_spans = opening_spans(opening, TZ, load_window(window, [policy]))
    rules = {"open_spans": open_spans, "policy": policy, "now": FIRST, "tz": TZ}
    spans = availability_spans(window, busy=busy, blocks=barred, **rules)
    assert (spans[0].start_at, spans[-1].end_at) == (window.start_at, window.end_at)
    for left, right in pairwise(spans):
        assert left.end_at == right.start_at
        assert (left.state, left.reason, left.ref) != (right.state, right.reason, right.ref)
    assert all((part.reason is None) is (part.state == "free") for part in spans)
    random.shuffle(busy)
    random.shuffle(barred)
    assert availability_spans(window, busy=busy, blocks=barred, **rules) == spans


@settings(max_examples=60, deadline=None)
@given(policies(), openings(), bookings(), windows(), five_minutes, st.integers(min_value=5, max_value=900))
def test_every_alternative_can_be_booked_and_none_is_missing(
    policy: BookingPolicy,
    opening: list[OpeningRule],
    busy: list[BusySpan],
    window: Span,
    start: int,
    minutes: int,
) -> None:
    open_spans = opening_spans(opening, TZ, load_window(window, [policy]))
    spans = availability_spans(window, open_spans=open_spans, busy=busy, policy=policy, now=FIRST, tz=TZ)
    wanted = span_of_minutes(FIRST + timedelta(minutes=start), minutes)
    free = free_spans(spans)
    offers = alternatives(wanted, 1, [FreeRoom(1, policy, lambda: free)], TZ)
    for offer in offers:
        check_span(policy, offer.span, opening=opening, now=FIRST, tz=TZ)
        check_place(policy, offer.span, busy=busy)
        assert offer.span != wanted
    bookable = [
        tried
        for tried in attempts(policy, window)
        if tried.minutes == policy.min_minutes and any(part.contains(tried) for part in free)
    ]
    on_grid = [tried for tried in bookable if _is_accepted(policy, tried, opening) and tried != wanted]
    assert offers or not on_grid


def _is_accepted(policy: BookingPolicy, wanted: Span, opening: list[OpeningRule]) -> bool:
    try:
        check_span(policy, wanted, opening=opening, now=FIRST, tz=TZ)
    except DomainError:
        return False
    return True
