"""Bookings of which a part is on its way back: guests come, stay and leave as if nothing were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.domain.states import BookingState, OrderStatus
from app.models import Booking, Recipient, Refund
from app.services import cancellations, clockwork, orders, refund_requests, staff_orders, stays, today
from tests.services.counter import refused
from tests.services.shop import Shop


def give_back(shop: Shop, no: str, amount_fen: int = 2000, *, at: datetime | None = None) -> None:
    """Staff give a part back, which stays on its way for now."""
    at = at or shop.now
    asked = refund_requests.create_request(no, reason="空调坏了", actor=shop.guest, now=at)
    refund_requests.approve_request(
        asked["id"], amount_fen=amount_fen, reason="同意", actor=shop.cashier(), now=at
    )
    assert shop.status(no) is OrderStatus.REFUNDING


def state_of(shop: Shop, no: str) -> BookingState:
    return shop.booking(no).state


def in_use(shop: Shop) -> str:
    """A booking of two hours from 0:30 on whose guests are in and get ¥20 back."""
    no = shop.paid_booking(start=0.5)
    stays.check_in(no, actor=shop.guest, now=shop.at(0.5))
    give_back(shop, no, at=shop.at(1))
    return no


def may(shop: Shop, no: str, *, at: datetime) -> set[str]:
    """What both the customer and staff are offered."""
    shown = orders.get_order(no, customer_id=shop.guest.id or 0, now=at)
    mine = {action["name"] for action in shown["actions"] if action["allowed"]}
    actions = staff_orders.get_order_page(no, actor=shop.cashier(), now=at)["actions"]
    return mine | {f"staff {action['name']}" for action in actions if action["allowed"]}


def test_guests_get_in_and_out_while_money_is_on_its_way_back(shop: Shop) -> None:
    no = shop.paid_booking(start=0.5)
    give_back(shop, no)

    assert {"check_in", "staff check_in"} <= may(shop, no, at=shop.at(0.5))
    stays.check_in(no, actor=shop.guest, now=shop.at(0.5))
    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.REFUNDING, BookingState.IN_USE)
    assert {"check_out", "staff check_out", "staff open_door"} <= may(shop, no, at=shop.at(1))
    stays.open_door(no, actor=shop.guest, now=shop.at(1))
    stays.check_out(no, actor=shop.guest, now=shop.at(2.49))

    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.REFUNDING, BookingState.ENDED)
    with refused("invalid_transition"):
        stays.check_out(no, actor=shop.guest, now=shop.at(2.5))
    with refused("invalid_transition"):
        stays.open_door(no, actor=shop.guest, now=shop.at(2.5))
    shop.finish_refunds(at=shop.at(30))
    order = shop.order(no)
    assert (order.status, order.finished_at) == (OrderStatus.COMPLETED, shop.at(2.49))
    assert [name for name in shop.events(no) if name in ("check_in", "check_out", "refund_done")] == [
        "check_in",
        "check_out",
        "refund_done",
    ]
    assert "booking_started" in shop.notices(no, Recipient.SHOP)
    assert "booking_completed" in shop.notices(no)


def test_refund_that_arrives_first_leaves_the_guests_in(shop: Shop) -> None:
    no = in_use(shop)
    shop.finish_refunds(at=shop.at(1.5))
    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.IN_USE, BookingState.IN_USE)
    stays.check_out(no, actor=shop.guest, now=shop.at(2.5))
    assert shop.status(no) is OrderStatus.COMPLETED


def test_stay_ends_in_time_while_money_is_on_its_way_back(shop: Shop) -> None:
    no = in_use(shop)
    clockwork.advance_bookings(now=shop.at(2.5))

    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.REFUNDING, BookingState.ENDED)
    assert shop.book(2.5, at=shop.at(2.5)), "the next guests find the room free"
    shop.finish_refunds(at=shop.at(30))
    assert shop.status(no) is OrderStatus.COMPLETED


@pytest.fixture
def late_shop(make_shop: Callable[..., Shop]) -> Shop:
    """Staying on costs ¥60 an hour."""
    return make_shop(has_overtime=True, overtime_grace_minutes=0, overtime_percent=100)


def test_overtime_is_what_was_stayed_whenever_the_refund_arrives(late_shop: Shop) -> None:
    shop = late_shop
    no = in_use(shop)
    clockwork.advance_bookings(now=shop.at(2.75))
    shown = orders.get_order(no, customer_id=shop.guest.id or 0, now=shop.at(2.99))
    assert shown["overtime"]["amount_fen"] == 3000
    stays.check_out(no, actor=shop.guest, now=shop.at(2.99))

    clockwork.advance_bookings(now=shop.at(20))
    shop.finish_refunds(at=shop.at(20))
    clockwork.advance_bookings(now=shop.at(21))
    order = shop.order(no)
    assert (order.status, order.total_fen) == (OrderStatus.COMPLETED, 13000)
    assert orders.due_fen(order, now=shop.at(21)) == 3000


@pytest.mark.parametrize(
    ("percent", "status", "refunded_fen"),
    [
        pytest.param(0, OrderStatus.COMPLETED, 2000, id="the rest is kept"),
        pytest.param(50, OrderStatus.REFUNDED, 7000, id="half of the rest goes back"),
    ],
)
def test_nobody_came_while_money_is_on_its_way_back(
    make_shop: Callable[..., Shop], percent: int, status: OrderStatus, refunded_fen: int
) -> None:
    shop = make_shop(no_show_release_minutes=30, no_show_refund_percent=percent)
    no = shop.paid_booking(start=3)
    give_back(shop, no)

    assert clockwork.advance_bookings(now=shop.at(3.49)) == 0
    assert clockwork.advance_bookings(now=shop.at(3.5)) == 1

    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.REFUNDING, BookingState.RELEASED)
    shop.finish_refunds(at=shop.at(4))
    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (status, refunded_fen)
    assert "no_show" in shop.events(no)


def test_who_comes_in_time_is_no_no_show(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(no_show_release_minutes=30)
    no = shop.paid_booking(start=3)
    give_back(shop, no)
    stays.check_in(no, actor=shop.guest, now=shop.at(3.25))
    shop.finish_refunds(at=shop.at(3.75))
    assert clockwork.advance_bookings(now=shop.at(4)) == 0
    assert shop.status(no) is OrderStatus.IN_USE


@pytest.fixture
def asking_shop(make_shop: Callable[..., Shop]) -> Shop:
    """Staff confirm every booking within ten minutes."""
    return make_shop(requires_confirmation=True, confirm_deadline_minutes=10)


def unconfirmed(shop: Shop) -> str:
    no = shop.paid_booking()
    assert shop.status(no) is OrderStatus.PAID
    give_back(shop, no)
    return no


def test_staff_confirm_while_money_is_on_its_way_back(asking_shop: Shop) -> None:
    shop = asking_shop
    no = unconfirmed(shop)
    staff = shop.cashier()
    assert today.list_work(actor=staff, now=shop.now)["to_confirm"] == 1
    assert {"staff confirm", "staff refuse"} <= may(shop, no, at=shop.now)
    with refused("invalid_transition"):
        stays.check_in(no, actor=staff, now=shop.at(3))

    cancellations.confirm_order(no, actor=staff, now=shop.at(minutes=9))

    assert today.list_work(actor=staff, now=shop.now)["to_confirm"] == 0
    assert clockwork.advance_bookings(now=shop.at(minutes=11)) == 0
    shop.finish_refunds(at=shop.at(minutes=12))
    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_the_deadline_is_kept_while_money_is_on_its_way_back(asking_shop: Shop) -> None:
    shop = asking_shop
    no = unconfirmed(shop)
    assert clockwork.advance_bookings(now=shop.at(minutes=9.9)) == 0
    assert clockwork.advance_bookings(now=shop.at(minutes=10)) == 1

    assert (shop.status(no), state_of(shop, no)) == (OrderStatus.REFUNDING, BookingState.RELEASED)
    assert clockwork.advance_bookings(now=shop.at(minutes=11)) == 0
    assert [row.amount_fen for row in shop.rows(Refund)] == [2000, 10000]
    assert "booking_refused" in shop.notices(no)
    shop.finish_refunds(at=shop.at(minutes=12))
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 12000)


def test_refund_that_arrives_first_leaves_the_deadline(asking_shop: Shop) -> None:
    shop = asking_shop
    no = unconfirmed(shop)
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.confirm_by_at) == (OrderStatus.PAID, shop.at(minutes=10))
    clockwork.advance_bookings(now=shop.at(minutes=10))
    assert shop.order(no).status is OrderStatus.REFUNDING


def approve_by_the_rules(shop: Shop, no: str) -> None:
    asked = refund_requests.create_request(no, reason="有事", actor=shop.guest, now=shop.now)
    refund_requests.approve_request(asked["id"], reason="同意", actor=shop.cashier(), now=shop.now)


LEFT: list[tuple[str, Callable[[Shop, str], Any]]] = [
    ("cancelled", lambda shop, no: cancellations.cancel_order(no, actor=shop.guest, now=shop.now)),
    ("refunded by the rules", approve_by_the_rules),
]


@pytest.mark.parametrize(("label", "leave"), LEFT, ids=[row[0] for row in LEFT])
def test_what_was_left_stays_left(shop: Shop, label: str, leave: Callable[[Shop, str], Any]) -> None:
    no = shop.paid_booking(start=0.5)
    leave(shop, no)
    assert shop.status(no) is OrderStatus.REFUNDING
    staff = shop.cashier()
    for work in (stays.check_in, stays.check_out, stays.open_door, cancellations.confirm_order):
        with refused("invalid_transition"):
            work(no, actor=staff, now=shop.at(0.5))
    assert clockwork.advance_bookings(now=shop.at(9)) == 0
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.REFUNDED
    assert {row.state for row in shop.rows(Booking)} == {BookingState.RELEASED}
