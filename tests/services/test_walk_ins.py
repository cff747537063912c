"""Walk-ins: guests at the counter, from this minute through payment and use to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app.domain.states import BookingState, OrderStatus
from app.models import OrderSource
from app.services import payments, stays, walk_ins
from tests import factories
from tests.services.counter import callback_of, refused
from tests.services.shop import Shop


def walk_in(shop: Shop, minutes: int = 95) -> str:
    at = shop.at(minutes=7) + timedelta(seconds=40)
    return walk_ins.create_walk_in(shop.room.id, minutes=minutes, actor=shop.cashier(), now=at, note="四位")


def test_walk_in_starts_in_this_minute_off_the_grid(shop: Shop) -> None:
    no = walk_in(shop)

    order, booking = shop.order(no), shop.booking(no)
    assert (booking.start_at, booking.end_at) == (shop.at(minutes=7), shop.at(minutes=102))
    assert (order.status, order.total_fen, order.customer_id) == (OrderStatus.PENDING_PAYMENT, 9500, None)
    assert (order.source, booking.state, order.note) == (OrderSource.COUNTER, BookingState.HELD, "四位")
    assert shop.notices(no) == []


def test_walk_in_needs_no_confirmation_where_bookings_do(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(requires_confirmation=True)
    no, cashier = walk_in(shop), shop.cashier()
    started = payments.start_payment(no, channel="wechat_native", actor=cashier, now=shop.at(minutes=9))
    shop.pay_service.pay(str(started["payment_no"]))
    payments.receive_callback("wechat", **callback_of(str(started["payment_no"])), now=shop.at(minutes=9))

    order = shop.order(no)
    assert (order.status, order.confirm_by_at) == (OrderStatus.AWAITING_USE, None)


def test_walk_in_goes_through_to_completed(shop: Shop) -> None:
    no, cashier = walk_in(shop), shop.cashier()
    paid_at = shop.at(minutes=9)
    started = payments.start_payment(no, channel="wechat_native", actor=cashier, now=paid_at)
    number = str(started["payment_no"])
    assert shop.pay_service.requests[0].openid is None
    shop.pay_service.pay(number)
    payments.receive_callback("wechat", **callback_of(number), now=paid_at)
    assert shop.status(no) is OrderStatus.AWAITING_USE

    stays.check_in(no, actor=cashier, now=paid_at)
    assert shop.status(no) is OrderStatus.IN_USE
    stays.check_out(no, actor=cashier, now=shop.at(minutes=80))

    assert shop.status(no) is OrderStatus.COMPLETED
    assert shop.booking(no).end_at == shop.at(minutes=81)
    assert shop.notices(no) == []


def test_walk_in_with_nothing_due_is_confirmed_at_once(shop: Shop) -> None:
    factories.make_price(shop.store, amount_fen=0, priority=9)

    assert shop.status(walk_in(shop)) is OrderStatus.AWAITING_USE


def test_walk_in_refused(shop: Shop) -> None:
    stranger = shop.cashier(factories.make_store(), username="stranger")
    guest = shop.guest
    for actor in (stranger, guest):
        with refused("forbidden"):
            walk_ins.create_walk_in(shop.room.id, minutes=60, actor=actor, now=shop.now)
    cashier = shop.cashier()
    for minutes, code in ((59, "too_short"), (721, "too_long"), (0, "invalid_field"), (-5, "invalid_field")):
        with refused(code):
            walk_ins.create_walk_in(shop.room.id, minutes=minutes, actor=cashier, now=shop.now)
    with refused("not_found"):
        walk_ins.create_walk_in(4711, minutes=60, actor=cashier, now=shop.now)
    shop.book(1, 1)
    with refused("room_taken") as caught:
        walk_ins.create_walk_in(shop.room.id, minutes=90, actor=cashier, now=shop.now)
    assert caught.value.data is not None and caught.value.data["alternatives"]
    assert walk_ins.create_walk_in(shop.room.id, minutes=60, actor=cashier, now=shop.now)


def test_walk_in_takes_the_room_from_a_hold_that_ran_out(shop: Shop) -> None:
    stale = shop.book(1, 1)

    walk_ins.create_walk_in(shop.room.id, minutes=120, actor=shop.cashier(), now=shop.at(minutes=15))

    assert shop.status(stale) is OrderStatus.CANCELLED
