"""Changes that wait for their payment while guests arrive, stay away, or pay too late."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.states import BookingState, ChangeStatus, OrderStatus
from app.models import Booking, OrderChange, Refund
from app.services import changes, clockwork, extensions, stays
from app.services.changes import ChangeRequest
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def test_more_time_asked_for_before_arriving_can_be_paid_inside(shop: Shop) -> None:
    no, guest = shop.paid_booking(3, 2), shop.guest
    extensions.extend_order(no, shop.at(6), actor=guest, now=shop.at(2, 50))

    stays.check_in(no, actor=guest, now=shop.at(2, 55))
    shop.pay(no, at=shop.at(3))

    assert (shop.status(no), shop.booking(no).end_at) == (OrderStatus.IN_USE, shop.at(6))
    assert (shop.order(no).total_fen, shop.rows(Refund)) == (18000, [])


def test_another_time_is_given_up_by_arriving(shop: Shop) -> None:
    no, guest = shop.paid_booking(3, 2), shop.guest
    changes.change_order(no, ChangeRequest(end_at=shop.at(7)), actor=guest, now=shop.at(2, 50))
    payment_no = shop.start_payment(no, at=shop.at(2, 51))

    stays.check_in(no, actor=guest, now=shop.at(2, 55))

    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.DROPPED]
    # Money that was on its way goes back.
    shop.notify(payment_no, at=shop.at(2, 56))
    assert (shop.booking(no).end_at, [row.amount_fen for row in shop.rows(Refund)]) == (shop.at(5), [12000])


def test_who_is_about_to_pay_for_a_later_time_is_no_no_show(make_shop: MakeShop) -> None:
    shop = make_shop(no_show_release_minutes=10)
    no = shop.paid_booking(3, 2)
    later = ChangeRequest(start_at=shop.at(4), end_at=shop.at(7))
    changes.change_order(no, later, actor=shop.cashier(), now=shop.at(3, 5))

    clockwork.advance_bookings(now=shop.at(3, 15))
    assert shop.status(no) is OrderStatus.AWAITING_USE
    clockwork.expire_changes(now=shop.at(3, 20))
    clockwork.advance_bookings(now=shop.at(3, 20))

    assert shop.booking(no).state is BookingState.RELEASED
    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.EXPIRED]


@pytest.mark.parametrize("is_noted", [True, False], ids=["the job has noted it", "nobody has noted it"])
@pytest.mark.parametrize(("minutes", "is_bought"), [(29, True), (30, False), (45, False)])
def test_late_money_buys_only_what_is_not_over(
    shop: Shop, is_noted: bool, minutes: int, is_bought: bool
) -> None:
    """Half an hour more, which could be paid for fifteen minutes: it is bought until it is over."""
    no, guest = shop.paid_booking(3, 2), shop.guest
    stays.check_in(no, actor=guest, now=shop.at(3))
    extensions.extend_order(no, shop.at(5, 30), actor=guest, now=shop.at(4, 40))
    payment_no = shop.start_payment(no, at=shop.at(4, 40))
    at = shop.at(5, minutes)
    if is_noted:
        clockwork.expire_changes(now=at)

    shop.notify(payment_no, at=at)

    assert (shop.booking(no).end_at == shop.at(5, 30)) is is_bought
    assert [row.amount_fen for row in shop.rows(Refund)] == ([] if is_bought else [3000])
    if is_bought:
        assert [row.state for row in shop.rows(Booking) if row.change_id] != [BookingState.HELD]
