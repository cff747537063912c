"""The blacklist: with a reason, audited, and it bars the next booking."""

from __future__ import annotations

import pytest

from app.models import AuditEntry, Customer
from app.services import customers
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop


def bar(shop: Shop, is_blacklisted: bool, reason: str, **values: object) -> None:
    actor = values.get("actor") or shop.cashier()
    customers.set_blacklist(
        shop.customer.id,
        is_blacklisted=is_blacklisted,
        reason=reason,
        actor=actor,  # type: ignore[arg-type]
        now=shop.now,
    )


def test_blacklist_bars_the_next_booking_until_it_ends(shop: Shop) -> None:
    kept = shop.paid_booking(3, 2)
    shop.cashier()
    bar(shop, True, " 多次爽约 ")

    assert [row.blacklist_reason for row in shop.rows(Customer)] == ["多次爽约"]
    assert shop.order(kept).status.value == "awaiting_use"
    with refused("blacklisted"):
        shop.book(8, 2)

    bar(shop, False, "已和解")

    assert shop.rows(Customer)[0].blacklist_reason == ""
    assert shop.book(8, 2)
    told = [
        (row.action, row.actor_name, row.reason) for row in shop.rows(AuditEntry) if row.entity == "customer"
    ]
    assert told == [("customer.blacklist", "林晓", "多次爽约"), ("customer.unblacklist", "林晓", "已和解")]


def test_the_same_again_leaves_no_entry(shop: Shop) -> None:
    bar(shop, True, "多次爽约")
    with unchanged():
        bar(shop, True, "多次爽约")


@pytest.mark.parametrize("reason", ["", "  "])
def test_blacklist_needs_a_reason(shop: Shop, reason: str) -> None:
    shop.cashier()
    with refused("invalid_field"):
        bar(shop, True, reason)


def test_customers_bar_nobody(shop: Shop) -> None:
    with refused("forbidden"):
        bar(shop, True, "x", actor=shop.guest)
