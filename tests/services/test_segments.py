"""Segments of customers: set by staff, asked by discounts, in quotes and bookings alike."""

from __future__ import annotations

import pytest

from app.domain.actor import Actor
from app.models import AuditEntry, Customer
from app.services import changes, customers, quotes
from tests.services.counter import refused
from tests.services.shop import Shop
from tests.services.test_price_books import add_discount


def belongs(shop: Shop, segment: str) -> None:
    customers.set_segment(shop.customer.id, segment=segment, actor=shop.cashier(), now=shop.now)


def quoted_fen(shop: Shop, actor: Actor | None) -> int:
    return int(quotes.quote_booking(shop.request(), actor=actor, now=shop.now)["total_fen"])


@pytest.mark.parametrize(
    ("segment", "expected_fen"),
    [
        pytest.param("老客", 10800, id="named by the rule"),
        pytest.param(" 老客 ", 10800, id="with blanks around it"),
        pytest.param("新客", 12000, id="another"),
        pytest.param("", 12000, id="none"),
    ],
)
def test_quote_and_booking_give_the_discount_of_the_segment(
    shop: Shop, segment: str, expected_fen: int
) -> None:
    add_discount("老客九折", off_percent=10, segment="老客")
    belongs(shop, segment)

    assert quoted_fen(shop, shop.guest) == expected_fen
    assert quoted_fen(shop, shop.another_guest()) == quoted_fen(shop, None) == 12000
    no = shop.book()
    assert shop.order(no).total_fen == expected_fen
    preview = changes.preview_change(
        no_paid(shop, no), changes.ChangeRequest(start_at=shop.at(5)), actor=shop.guest, now=shop.now
    )
    assert preview["total_fen"] == expected_fen


def no_paid(shop: Shop, no: str) -> str:
    shop.pay(no)
    return no


def test_segments_are_audited_once(shop: Shop) -> None:
    belongs(shop, "老客")
    belongs(shop, "老客")
    (entry,) = [row for row in shop.rows(AuditEntry) if row.action == "customer.segment"]
    assert (entry.before, entry.after) == ({"segment": None}, {"segment": "老客"})


def test_senseless_segments_change_nothing(shop: Shop) -> None:
    shop.cashier()
    with refused("invalid_field"):
        belongs(shop, "长" * 33)
    with refused("forbidden"):
        customers.set_segment(shop.customer.id, segment="老客", actor=shop.guest, now=shop.now)
    assert shop.rows(Customer)[0].segment is None
