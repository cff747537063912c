"""Alternatives to a refused span: the order in which they come, and that only accepted ones are offered."""

from __future__ import annotations

import pytest

from app.domain.alternatives import Alternative, FreeRoom, alternatives, nearby_window
from app.domain.booking_rules import BookingPolicy
from app.domain.slots import Span
from tests.domain.moments import TZ, at, local, span

POLICY = BookingPolicy(buffer_before_minutes=0, buffer_after_minutes=15)
EARLY = at("2026-03-10 12:00")


def room(room_id: int, *free: Span, policy: BookingPolicy = POLICY) -> FreeRoom:
    return FreeRoom(room_id, policy, lambda: free)


@pytest.mark.parametrize(
    ("label", "wanted", "rooms", "expected"),
    [
        (
            "earlier and later here, same time elsewhere",
            span("14:00", "16:00"),
            [room(1, span("10:00", "15:00"), span("17:00", "22:00")), room(2, span("10:00", "22:00"))],
            [(1, "13:00", "15:00"), (1, "17:00", "19:00"), (2, "14:00", "16:00")],
        ),
        (
            "only other rooms: same time first, then the nearest",
            span("14:00", "16:00"),
            [room(1), room(2, span("15:00", "22:00")), room(3, span("10:00", "22:00"))],
            [(3, "14:00", "16:00"), (3, "14:30", "16:30"), (2, "15:00", "17:00")],
        ),
        (
            "too short a wish is offered at the shortest length",
            span("14:00", "14:30"),
            [room(1, span("10:00", "22:00"))],
            [(1, "14:00", "15:00"), (1, "14:30", "15:30")],
        ),
        (
            "too long a wish is offered at the longest length",
            span("10:00", "2026-03-21 10:00"),
            [room(1, span("10:00", "23:00"))],
            [(1, "10:00", "22:00"), (1, "10:30", "22:30")],
        ),
        (
            "where the length fits nowhere the shortest does",
            span("14:00", "20:00"),
            [room(1, span("10:00", "11:30"))],
            [(1, "10:30", "11:30")],
        ),
        (
            "off the grid",
            span("14:10", "16:10"),
            [room(1, span("10:00", "22:00"))],
            [(1, "14:00", "16:00"), (1, "14:30", "16:30")],
        ),
        (
            "the refused span itself is no alternative",
            span("14:00", "16:00"),
            [room(1, span("14:00", "16:00"))],
            [(1, "14:00", "15:00"), (1, "14:30", "15:30")],
        ),
        (
            "a past wish is offered the next free time",
            span("2026-03-01 10:00", "2026-03-01 12:00"),
            [room(1, span("10:00", "22:00"))],
            [(1, "10:00", "12:00")],
        ),
        ("nothing free", span("14:00", "16:00"), [room(1), room(2)], []),
    ],
)
def test_alternatives(label: str, wanted: Span, rooms: list[FreeRoom], expected: list[object]) -> None:
    found = alternatives(wanted, 1, rooms, TZ)
    assert [
        (offer.room_id, local(offer.span.start_at)[6:], local(offer.span.end_at)[6:]) for offer in found
    ] == expected


def test_alternatives_stop_at_the_limit() -> None:
    rooms = [room(number, span("10:00", "22:00")) for number in range(1, 6)]
    assert len(alternatives(span("14:00", "16:00"), 1, rooms, TZ)) == 3
    first = alternatives(span("14:00", "16:00"), 1, rooms, TZ, limit=1)
    assert first == [Alternative(1, span("13:30", "15:30"))]


@pytest.mark.parametrize(
    ("label", "wanted", "first", "last"),
    [
        ("tomorrow", span("12:00", "14:00"), "03-10 12:00", "03-13 00:00"),
        (
            "long past is moved to now",
            span("2020-01-01 10:00", "2020-01-01 12:00"),
            "03-09 12:00",
            "03-12 00:00",
        ),
        (
            "ten years ahead is moved to the horizon",
            span("2036-01-01 10:00", "2036-01-01 12:00"),
            "03-23 23:00",
            "03-26 11:00",
        ),
    ],
)
def test_nearby_window(label: str, wanted: Span, first: str, last: str) -> None:
    window = nearby_window(POLICY, wanted, now=EARLY, tz=TZ)
    assert (local(window.start_at), local(window.end_at)) == (first, last)


def test_what_is_not_accepted_is_passed_over() -> None:
    """Prices from 16:00 to 18:00 only, and in the second room none at all."""
    priced = span("16:00", "18:00")
    rooms = [room(1, span("10:00", "22:00")), room(2, span("10:00", "22:00"))]

    found = alternatives(
        span("12:00", "13:00"),
        1,
        rooms,
        TZ,
        accepts=lambda offer: offer.room_id == 1 and priced.contains(offer.span),
    )

    assert found == [Alternative(1, span("16:00", "17:00"))]


def test_given_lengths_are_tried_in_their_order() -> None:
    asked: list[int] = []

    def accepts(offer: Alternative) -> bool:
        asked.append(offer.span.minutes)
        return offer.span.minutes == 200

    rooms = [FreeRoom(1, POLICY, lambda: (span("10:00", "14:00"),), (120, 200, 60))]
    found = alternatives(span("12:00", "14:00"), 1, rooms, TZ, accepts=accepts)

    assert found == [Alternative(1, span("10:30", "13:50"))]
    assert asked == sorted(asked, key=[120, 200, 60].index)


def test_nothing_more_is_asked_once_there_are_enough() -> None:
    asked: list[Alternative] = []
    rooms = [room(number, span("10:00", "22:00")) for number in range(1, 30)]

    alternatives(span("14:00", "16:00"), 1, rooms, TZ, accepts=lambda offer: asked.append(offer) is None)

    assert len(asked) == 3
