"""Orders as their owners see them: facts, next steps, lists; nobody else's are there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.actor import SYSTEM
from app.extensions import db
from app.services import cancellations, orders, stays
from app.services.cursors import after_id, page_of
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop


def shown(shop: Shop, no: str, hours: float = 0) -> dict[str, Any]:
    return orders.get_order(no, customer_id=shop.customer.id, now=shop.at(hours))


def test_order_shows_everything_of_a_paid_booking(shop: Shop) -> None:
    no = shop.book(3, 2, note="靠窗")
    payment_no = shop.pay(no)

    order = shown(shop, no)

    expected = {
        "no": no,
        "kind": "booking",
        "status": "awaiting_use",
        "store": {"id": shop.store.id, "name": shop.store.name},
        "room": {"id": shop.room.id, "name": shop.room.name},
        "total_fen": 12000,
        "paid_fen": 12000,
        "refunded_fen": 0,
        "due_fen": 0,
        "note": "靠窗",
        "expires_at": None,
        "campaign_id": None,
        "team_id": None,
        "refunds": [],
        "vouchers": [],
    }
    assert {name: order[name] for name in expected} == expected
    assert order["start_at"].isoformat() == "2026-03-04T15:00:00+08:00"
    assert [payment["payment_no"] for payment in order["payments"]] == [payment_no]
    assert [event["event"] for event in order["timeline"]] == [
        "create",
        "payment_succeeded",
        "pay",
        "confirm",
    ]
    assert [event["actor"] for event in order["timeline"]] == ["customer", "payment", "payment", "system"]


def test_due_follows_the_money(shop: Shop) -> None:
    no = shop.book()
    assert shown(shop, no)["due_fen"] == 12000
    shop.pay(no)
    assert shown(shop, no)["due_fen"] == 0
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    assert shown(shop, no)["due_fen"] == 0
    shop.finish_refunds()
    order = shown(shop, no)
    assert (order["due_fen"], order["refunded_fen"], order["refunds"][0]["status"]) == (0, 12000, "succeeded")


def allowed(order: dict[str, Any]) -> set[str]:
    assert all((action["reason"] is None) == action["allowed"] for action in order["actions"])
    return {action["name"] for action in order["actions"] if action["allowed"]}


def test_actions_are_those_that_work(shop: Shop) -> None:
    no = shop.book(3, 2)
    assert allowed(shown(shop, no)) == {"pay", "cancel"}
    assert allowed(shown(shop, no, 0.25)) == set()
    shop.pay(no)
    assert allowed(shown(shop, no)) == {"cancel", "change", "extend", "refund_request"}
    assert allowed(shown(shop, no, 2.75)) == {"cancel", "check_in", "change", "extend", "refund_request"}
    stays.check_in(no, actor=shop.guest, now=shop.at(3))
    assert allowed(shown(shop, no, 3)) == {"check_out", "extend", "refund_request"}
    stays.check_out(no, actor=shop.guest, now=shop.at(4))
    assert allowed(shown(shop, no, 4)) == {"refund_request"}


def test_actions_of_a_group_order(shop: Shop) -> None:
    no = shop.group_order(shop.campaign())
    assert allowed(shown(shop, no)) == {"pay", "cancel"}
    shop.pay(no)
    assert allowed(shown(shop, no)) == {"refund_request"}


def test_foreign_orders_are_not_found(shop: Shop) -> None:
    no = shop.book()
    stranger = factories.make_customer()
    elsewhere = shop.cashier(factories.make_store(), username="elsewhere")

    with refused("not_found"):
        orders.get_order(no, customer_id=stranger.id, now=shop.now)
    with refused("not_found"):
        orders.find_order(no, actor=factories.customer(stranger))
    with refused("not_found"):
        orders.find_order(no, actor=elsewhere)
    with refused("not_found"):
        orders.find_own_order(no, customer_id=None)
    order_id = shop.order(no).id
    for actor in (shop.guest, shop.cashier(), SYSTEM):
        assert orders.find_order(no, actor=actor) == order_id


def test_group_order_lies_in_the_scope_of_its_campaigns_stores(shop: Shop) -> None:
    other = factories.make_store()
    campaign = shop.campaign()
    campaign.stores.append(other)
    db.session.commit()
    no = shop.group_order(campaign)

    assert shop.order(no).store_id is None
    for store in (shop.store, other):
        assert orders.find_order(no, actor=shop.cashier(store))
    third = shop.cashier(factories.make_store())
    with refused("not_found"):
        orders.find_order(no, actor=third)


def test_list_is_filtered_and_paged(shop: Shop) -> None:
    numbers = [shop.book(3 + hours, 1) for hours in range(3)]
    numbers.append(shop.group_order(shop.campaign()))
    shop.pay(numbers[0])
    shop.book(8, 1, actor=shop.another_guest())

    def listed(**values: Any) -> list[str]:
        page = orders.list_orders(customer_id=shop.customer.id, now=shop.now, **values)
        return [item["no"] for item in page["items"]]

    assert listed() == numbers[::-1]
    assert listed(kind="group_buy") == numbers[3:]
    assert listed(status="awaiting_use") == numbers[:1]
    assert listed(status="refunded") == []
    first = orders.list_orders(customer_id=shop.customer.id, now=shop.now, limit=3)
    assert [item["no"] for item in first["items"]] == numbers[:0:-1]
    assert listed(cursor=first["next_cursor"], limit=3) == numbers[:1]
    for wrong in ({"status": "lost"}, {"kind": "gift"}, {"cursor": "x"}):
        with refused("invalid_field"):
            listed(**wrong)


class Row:
    def __init__(self, row_id: int) -> None:
        self.id = row_id


def test_cursor_leads_to_the_row_after_the_page() -> None:
    page, cursor = page_of([Row(9), Row(7), Row(5)], 2)

    assert ([row.id for row in page], after_id(cursor or "")) == ([9, 7], 7)
    assert page_of([Row(9)], 2)[1] is None


@pytest.mark.parametrize(
    "cursor", ["", "abc", "aWQ6", "aWQ6LTE", "aWQ6OTk5OTk5OTk5OTk5", "é", "aWQ6MQ==x", "7"]
)
def test_cursors_that_no_page_gave_out(cursor: str) -> None:
    with pytest.raises(Exception, match="invalid_field"):
        after_id(cursor)


def test_order_whose_time_to_pay_is_over_is_cancelled_before_any_job(shop: Shop) -> None:
    booked, bought = shop.book(3, 2), shop.group_order(shop.campaign())
    before, at = shop.at(minutes=15) - timedelta(microseconds=1), shop.at(minutes=15)

    for no in (booked, bought):
        order = orders.get_order(no, customer_id=shop.customer.id, now=before)
        assert (order["status"], order["due_fen"] > 0) == ("pending_payment", True)
        with unchanged():
            order = orders.get_order(no, customer_id=shop.customer.id, now=at)
        assert (order["status"], order["due_fen"], allowed(order)) == ("cancelled", 0, set())
        with refused("invalid_transition"):
            shop.start_payment(no, at=at)
    assert [numbers(shop, status, before) for status in ("pending_payment", "cancelled")] == [
        [bought, booked],
        [],
    ]
    assert [numbers(shop, status, at) for status in ("pending_payment", "cancelled")] == [
        [],
        [bought, booked],
    ]


def numbers(shop: Shop, status: str, at: datetime) -> list[str]:
    found = orders.list_orders(customer_id=shop.customer.id, status=status, now=at)
    return [order["no"] for order in found["items"]]


def test_cancelled_order_tells_its_fee(shop: Shop) -> None:
    no = shop.paid_booking(3, 2)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.at(2))

    assert shown(shop, no, hours=2)["cancel_fee_fen"] == 3600
