"""Quotes: the same rules and the same price as the booking, and sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.extensions import db
from app.models import BookingSession, PriceKind, PriceRule
from app.services import quotes
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def quote(shop: Shop, *args: Any, **values: Any) -> dict[str, Any]:
    return quotes.quote_booking(shop.request(*args, **values), actor=None, now=shop.now)


def test_quote_saves_nothing_and_equals_the_order(shop: Shop) -> None:
    factories.make_price(shop.store, 9000, priority=5, band_start_minute=16 * 60, band_end_minute=24 * 60)

    with unchanged():
        quoted = quote(shop, 3, 2)

    assert [(line["kind"], line["minutes"], line["amount_fen"]) for line in quoted["lines"]] == [
        ("hourly", 60, 6000),
        ("hourly", 60, 9000),
    ]
    assert quoted["lines"][0]["start_at"].isoformat() == "2026-03-04T15:00:00+08:00"
    assert quoted["policy"]["cancel_steps"][1]["fee_percent"] == 30
    order = shop.order(shop.book(3, 2))
    sums = ("base_fen", "extra_fen", "discount_fen", "total_fen")
    assert {name: quoted[name] for name in sums} == {name: getattr(order, name) for name in sums}
    assert [(line.label, line.rule_id) for line in order.lines] == [
        (line["label"], line["rule_id"]) for line in quoted["lines"]
    ]


REFUSALS: list[tuple[str, dict[str, Any], float, float, str]] = [
    ("past", {}, -1, 2, "in_past"),
    ("end before start", {}, 3, -1, "invalid_field"),
    ("ten years", {}, 3, 87600, "too_long"),
    ("too short", {}, 3, 0.5, "too_short"),
    ("too soon", {"min_lead_minutes": 240}, 3, 2, "too_soon"),
    ("too far", {"max_ahead_days": 1}, 60, 2, "too_far"),
    ("off step", {}, 3.2, 2, "off_step"),
    ("closed", {"hours": [(day, 600, 840) for day in range(7)]}, 3, 2, "closed"),
]


@pytest.mark.parametrize(
    ("label", "policy", "start", "hours", "code"), REFUSALS, ids=[row[0] for row in REFUSALS]
)
def test_quote_refuses_as_a_booking_does(
    make_shop: MakeShop, label: str, policy: dict[str, Any], start: float, hours: float, code: str
) -> None:
    shop = make_shop(**policy)

    with refused(code) as quoted:
        quote(shop, start, hours)
    with refused(code) as booked:
        shop.book(start, hours)
    assert quoted.value.data == booked.value.data


def test_quote_does_not_ask_for_customer_limits(make_shop: MakeShop) -> None:
    shop = make_shop(max_open_holds=1)
    shop.book(3, 1)
    shop.customer.is_blacklisted = True
    db.session.commit()

    assert quotes.quote_booking(shop.request(5, 1), actor=shop.guest, now=shop.now)["total_fen"] == 6000


@pytest.fixture
def evening(shop: Shop) -> BookingSession:
    """18:00 to 02:00 for ¥200."""
    row = BookingSession(store=shop.store, name="通宵场", start_minute=18 * 60, length_minutes=8 * 60)
    db.session.add(row)
    db.session.commit()
    price = {"name": "通宵", "amount_fen": 20000, "kind": PriceKind.SESSION, "session_id": row.id}
    db.session.add(PriceRule(store=shop.store, **price))
    db.session.commit()
    return row


def test_session_is_one_flat_line_over_midnight(shop: Shop, evening: BookingSession) -> None:
    no = shop.book(6, end_at=None, session_id=evening.id)

    order, booking = shop.order(no), shop.booking(no)
    assert (booking.start_at, booking.end_at) == (shop.at(6), shop.at(14))
    assert [(line.kind, line.minutes, line.amount_fen) for line in order.lines] == [("session", 480, 20000)]
    assert shop.order(shop.book(30, end_at=shop.at(38), session_id=evening.id)).total_fen == 20000


def test_session_refused(shop: Shop, evening: BookingSession) -> None:
    with refused("off_step") as caught:
        quote(shop, 5, end_at=None, session_id=evening.id)
    assert caught.value.data is not None
    assert (caught.value.data["rule"], caught.value.data["limit"]) == ("session", "2026-03-04T18:00:00+08:00")
    assert caught.value.data["alternatives"]
    with refused("invalid_field"):
        quote(shop, 6, 2, session_id=evening.id)
    elsewhere = factories.make_room()
    with refused("invalid_field"):
        quote(shop, 6, end_at=None, session_id=evening.id, room_id=elsewhere.id)
    evening.is_active = False
    db.session.commit()
    with refused("invalid_field"):
        quote(shop, 6, end_at=None, session_id=evening.id)
