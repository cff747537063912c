"""Leaving early and never coming: what the policy of the purchase gives back, and the room that is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.states import BookingState, OrderStatus, RefundStatus, VoucherStatus
from app.models import Redemption, Refund
from app.services import adjustments, clockwork, orders, stay_previews, stays
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def stay(shop: Shop, hours: float = 4) -> str:
    no = shop.paid_booking(3, hours)
    stays.check_in(no, actor=shop.guest, now=shop.at(3))
    return no


def shown(shop: Shop, no: str) -> dict[str, Any]:
    return orders.get_order(no, customer_id=shop.customer.id, now=shop.now)


EARLY = [
    ("before the start", 2, 50, 12000),
    ("after an hour", 4, 0, 7500),
    ("in the middle of a step", 4, 40, 6000),
    ("less than a step is left", 6, 31, 0),
    ("in the last minute", 6, 59, 0),
]


@pytest.mark.parametrize(("label", "hours", "minutes", "refund_fen"), EARLY, ids=[row[0] for row in EARLY])
def test_unused_whole_steps_come_back(
    make_shop: MakeShop, label: str, hours: float, minutes: float, refund_fen: int
) -> None:
    # Half of what unused half hours cost.
    shop = make_shop(early_refund_percent=50)
    no = shop.paid_booking(3, 4)
    stays.check_in(no, actor=shop.guest, now=shop.at(2, 50))

    stays.check_out(no, actor=shop.guest, now=shop.at(hours, minutes))

    order = shop.order(no)
    assert (order.status, order.total_fen) == (OrderStatus.COMPLETED, 24000 - refund_fen)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == ([refund_fen] if refund_fen else [])
    assert [line.label for line in order.lines[1:]] == (["unused_time"] if refund_fen else [])
    shop.finish_refunds()
    assert (shown(shop, no)["due_fen"], shop.status(no)) == (0, OrderStatus.COMPLETED)
    assert sum(line["amount_fen"] for line in shown(shop, no)["lines"]) == 24000 - refund_fen


def test_what_is_still_owed_is_settled_with_unused_time(make_shop: MakeShop) -> None:
    shop = make_shop(early_refund_percent=50)
    no = stay(shop)
    adjustments.add_adjustment(no, 2000, "tea", actor=shop.cashier(), now=shop.at(3))
    told = stay_previews.preview_check_out(shop.order(no), shop.booking(no), now=shop.at(4))
    assert told["refund_fen"] == 5500

    stays.check_out(no, actor=shop.guest, now=shop.at(4))

    assert (shop.order(no).total_fen, shown(shop, no)["due_fen"]) == (24000 + 2000 - 7500, 0)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [5500]


def test_unused_time_is_worth_what_it_cost(make_shop: MakeShop) -> None:
    shop = make_shop(early_refund_percent=100)
    # From 17:00 on an hour costs twice as much; a discount by staff is a reduction of its own.
    factories.make_price(shop.store, 12000, priority=5, band_start_minute=17 * 60, band_end_minute=24 * 60)
    no = stay(shop, 4)
    assert shop.order(no).total_fen == 36000

    stays.check_out(no, actor=shop.guest, now=shop.at(4, 59))

    assert [refund.amount_fen for refund in shop.rows(Refund)] == [24000]


def test_nothing_comes_back_by_default_or_for_a_voucher(make_shop: MakeShop) -> None:
    plain, generous = make_shop(), make_shop(early_refund_percent=100)
    no = stay(plain)
    stays.check_out(no, actor=plain.guest, now=plain.at(3.5))
    assert plain.order(no).total_fen == 24000
    voucher = generous.voucher()
    no = generous.book(3, 3, voucher_code=voucher.code)
    stays.check_in(no, actor=generous.guest, now=generous.at(3))

    stays.check_out(no, actor=generous.guest, now=generous.at(4))

    assert generous.order(no).total_fen == 0
    assert generous.rows(Refund) == []


def test_room_that_nobody_came_to_is_released(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_release_minutes=30, no_show_refund_percent=40)
    no = shop.paid_booking(3, 2)
    with unchanged():
        assert clockwork.advance_bookings(now=shop.at(3, 29)) == 0

    assert clockwork.advance_bookings(now=shop.at(3, 30)) == 1

    assert (shop.status(no), shop.booking(no).state) == (OrderStatus.REFUNDING, BookingState.RELEASED)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [4800]
    assert shop.events(no)[-2:] == ["no_show", "refund_created"]
    assert shop.notices(no)[-1] == "no_show"
    assert shop.book(3.5, 1, actor=shop.another_guest(), at=shop.at(3, 30))
    with refused("invalid_transition"):
        stays.check_in(no, actor=shop.guest, now=shop.at(3, 31))
    shop.finish_refunds(at=shop.at(4))
    assert (shop.status(no), shown(shop, no)["due_fen"]) == (OrderStatus.REFUNDED, 0)
    assert [refund.status for refund in shop.rows(Refund)] == [RefundStatus.SUCCEEDED]


def test_release_that_keeps_the_money_uses_the_voucher_up(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_release_minutes=0)
    voucher = shop.voucher()
    no = shop.book(3, 3, voucher_code=voucher.code)

    assert clockwork.advance_bookings(now=shop.at(3)) == 1

    assert shop.status(no) is OrderStatus.COMPLETED
    assert [row.status for row in shop.rows(type(voucher))] == [VoucherStatus.REDEEMED]
    assert len(shop.rows(Redemption)) == 1


def test_release_that_gives_something_back_gives_the_voucher_back(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_release_minutes=15, no_show_refund_percent=50)
    voucher = shop.voucher()
    shop.book(3, 3, voucher_code=voucher.code)

    clockwork.advance_bookings(now=shop.at(3, 15))

    assert [row.status for row in shop.rows(type(voucher))] == [VoucherStatus.ISSUED]


def test_guests_who_are_in_are_no_no_show(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_release_minutes=30)
    no = stay(shop)

    assert clockwork.advance_bookings(now=shop.at(4)) == 0

    assert shop.status(no) is OrderStatus.IN_USE


def test_part_comes_back_at_the_end_where_rooms_are_kept(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_refund_percent=25)
    no = shop.paid_booking(3, 2)
    assert clockwork.advance_bookings(now=shop.at(4)) == 0

    assert clockwork.advance_bookings(now=shop.at(5)) == 1

    assert (shop.status(no), shop.booking(no).state) == (OrderStatus.REFUNDING, BookingState.ENDED)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [3000]
