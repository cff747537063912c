"""Availability: what is shown free can be booked, what is grey cannot, and nothing tells who booked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.errors import DomainError
from app.extensions import db
from app.models import RoomBlock
from app.services import availability, quotes, stays
from tests import factories
from tests.services.counter import refused
from tests.services.shop import HOUR, Shop, read_room, read_store

MakeShop = Callable[..., Shop]


def spans(
    shop: Shop, start: float, end: float, *, at: datetime | None = None
) -> list[tuple[float, float, str]]:
    """The room's timeline as (hours from now, hours from now, reason or free)."""
    answer = read_room(shop.room.id, from_at=shop.at(start), to_at=shop.at(end), now=at or shop.now)
    return [
        (
            (datetime.fromisoformat(span["start_at"]) - shop.now) / HOUR,
            (datetime.fromisoformat(span["end_at"]) - shop.now) / HOUR,
            span["reason"] or span["state"],
        )
        for span in answer["spans"]
    ]


def block(shop: Shop, start: float, end: float) -> None:
    where = {"store_id": shop.store.id, "room_id": shop.room.id}
    db.session.add(RoomBlock(start_at=shop.at(start), end_at=shop.at(end), **where))
    db.session.commit()


def test_every_state_is_painted(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=30, max_ahead_days=1)
    used = shop.paid_booking(0, 2)
    stays.check_in(used, actor=shop.guest, now=shop.now)
    shop.paid_booking(4, 2)
    shop.book(8, 2)
    block(shop, 12, 13)

    assert spans(shop, -2, 38) == [
        (-2, 0, "in_past"),
        (0, 2, "in_use"),
        (2, 2.5, "cleaning"),
        (2.5, 3.5, "free"),
        (3.5, 4, "buffer"),
        (4, 6, "reserved"),
        (6, 6.5, "cleaning"),
        (6.5, 7.5, "free"),
        (7.5, 8, "buffer"),
        (8, 10, "held"),
        (10, 10.5, "cleaning"),
        (10.5, 12, "free"),
        (12, 13, "blocked"),
        (13, 36, "free"),
        (36, 38, "too_far"),
    ]


def test_state_is_that_of_this_moment(shop: Shop) -> None:
    no = shop.paid_booking(0, 2)
    stays.check_in(no, actor=shop.guest, now=shop.now)
    window = {"from_at": shop.at(48), "to_at": shop.at(50)}

    answer = read_store(shop.store.id, **window, now=shop.at(1))

    assert [(room["room_id"], room["state"]) for room in answer["rooms"]] == [(str(shop.room.id), "in_use")]
    later = read_store(shop.store.id, **window, now=shop.at(3))
    assert later["rooms"][0]["state"] == "free"


def test_stale_holds_are_free_before_any_job(shop: Shop) -> None:
    shop.book(4, 2)

    assert (4, 6, "held") in spans(shop, 3, 7, at=shop.at(minutes=14))
    assert spans(shop, 3, 7, at=shop.at(minutes=15)) == [(3, 7, "free")]


def test_nothing_tells_who_booked(shop: Shop) -> None:
    no = shop.paid_booking(4, 2)
    answer = read_store(shop.store.id, from_at=shop.now, to_at=shop.at(24), now=shop.now)

    assert set(answer["rooms"][0]["spans"][0]) == {"start_at", "end_at", "state", "reason"}
    assert no not in str(answer)


def test_version_follows_what_happens(shop: Shop) -> None:
    def version(at: datetime = shop.now) -> str:
        return str(read_store(shop.store.id, from_at=shop.now, to_at=shop.at(24), now=at)["version"])

    other = factories.make_room()
    first = version()
    read_store(other.store_id, from_at=shop.now, to_at=shop.at(24), now=shop.now)
    assert version() == first
    seen = {first, version(shop.at(minutes=1))}
    no = shop.book(4, 2)
    seen.add(version())
    shop.pay(no)
    seen.add(version())
    block(shop, 8, 9)
    seen.add(version())
    assert len(seen) == 5


WINDOWS = [
    ("backwards", 5, 3, "invalid_field"),
    ("empty", 3, 3, "invalid_field"),
    ("more than 31 days", 0, 31 * 24 + 1, "invalid_field"),
    ("ten years", 0, 87600, "invalid_field"),
]


@pytest.mark.parametrize(("label", "start", "end", "code"), WINDOWS, ids=[row[0] for row in WINDOWS])
def test_windows_refused(shop: Shop, label: str, start: float, end: float, code: str) -> None:
    with refused(code):
        spans(shop, start, end)


def test_unknown_places(shop: Shop) -> None:
    window = {"from_at": shop.now, "to_at": shop.at(1)}
    with refused("not_found"):
        read_store(4711, **window, now=shop.now)
    with refused("not_found"):
        read_room(4711, **window, now=shop.now)
    shop.store.is_active = False
    db.session.commit()
    with refused("not_found"):
        read_store(shop.store.id, **window, now=shop.now)
    with refused("not_found"):
        read_room(shop.room.id, **window, now=shop.now)
    with refused("not_found"):
        availability.get_room_calendar(shop.room.id, month="2026-03", now=shop.now)


def test_calendar_counts_free_minutes_of_each_day(make_shop: MakeShop) -> None:
    shop = make_shop(max_ahead_days=2)
    shop.paid_booking(24, 4)

    days = availability.get_room_calendar(shop.room.id, month="2026-03", now=shop.now)

    assert len(days) == 31
    minutes = {day["date"].day: day["free_minutes"] for day in days}
    # It is noon on the 4th; four hours of the 5th are taken; the 7th is too far.
    assert [minutes[day] for day in (3, 4, 5, 6, 7)] == [0, 720, 1200, 1440, 0]
    assert days[0]["price_from_fen"] == 6000


@pytest.mark.parametrize("month", ["2026-13", "2026", "x", "1999-12", "3000-01", "2026-1"])
def test_calendar_refuses_what_is_no_month(shop: Shop, month: str) -> None:
    with refused("invalid_field"):
        availability.get_room_calendar(shop.room.id, month=month, now=shop.now)


POLICIES: list[tuple[str, dict[str, Any]]] = [
    ("plain", {}),
    ("buffers", {"buffer_before_minutes": 15, "buffer_after_minutes": 30}),
    ("lead", {"min_lead_minutes": 100, "max_ahead_days": 1}),
    ("hours", {"hours": [(day, 600, 1560) for day in range(7)], "start_step_minutes": 60}),
    ("long", {"min_minutes": 180, "length_step_minutes": 60}),
]


def can_be_booked(shop: Shop, start_at: datetime, minutes: int, now: datetime) -> bool:
    """What a booking would say: a quote refuses by every rule that a booking checks."""
    request = quotes.BookingRequest(shop.room.id, start_at, start_at + timedelta(minutes=minutes))
    try:
        quotes.quote_booking(request, actor=None, now=now)
    except DomainError:
        return False
    return True


@pytest.mark.parametrize(("label", "policy"), POLICIES, ids=[row[0] for row in POLICIES])
def test_free_is_a_promise_and_grey_a_refusal(
    make_shop: MakeShop, label: str, policy: dict[str, Any]
) -> None:
    shop = make_shop(**policy)
    now = shop.at(minutes=10)
    for start, hours in ((4, 3), (10, 4), (26, 3)):
        if can_be_booked(shop, shop.at(start), int(hours * 60), shop.now):
            shop.paid_booking(start, hours)
    block(shop, 15, 16)
    free = [(start, end) for start, end, reason in spans(shop, 0, 48, at=now) if reason == "free"]
    shortest = policy.get("min_minutes", 60)
    step = policy.get("start_step_minutes", 30)

    wrong = []
    for minute in range(0, 40 * 60, step):
        start = minute / 60
        is_free = any(a <= start and start + shortest / 60 <= b for a, b in free)
        if is_free != can_be_booked(shop, shop.at(start), shortest, now):
            wrong.append((start, is_free))

    assert free and wrong == []
