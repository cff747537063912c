"""Being there: coming in, the door, leaving, and the clock that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.states import BookingState, OrderStatus, VoucherStatus
from app.extensions import db
from app.models import Notification, Recipient, Redemption, RoomBlock, Voucher
from app.services import cancellations, clockwork, extensions, orders, stays
from tests.conftest import Door
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

MakeShop = Callable[..., Shop]


def check_in(shop: Shop, no: str, hours: float = 3, minutes: float = 0, **values: Any) -> dict[str, Any]:
    actor = values.get("actor") or shop.guest
    return stays.check_in(no, actor=actor, now=shop.at(hours, minutes))


def check_out(shop: Shop, no: str, hours: float, minutes: float = 0) -> None:
    stays.check_out(no, actor=shop.guest, now=shop.at(hours, minutes))


def test_check_in_opens_the_door(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)

    access = check_in(shop, no)["access"]

    assert access["kind"] == "code" and access["code"]
    assert access["expires_at"] >= shop.at(5)
    booking = shop.booking(no)
    assert (shop.status(no), booking.state) == (OrderStatus.IN_USE, BookingState.IN_USE)
    assert booking.checked_in_at == shop.at(3)
    assert shop.events(no)[-1] == "check_in"
    assert "booking_started" in shop.notices(no, Recipient.SHOP)


WINDOW = [
    ("right before it opens", 2, 44, False),
    ("as it opens", 2, 45, True),
    ("at the start", 3, 0, True),
    ("right before the end", 4, 59, True),
    ("at the end", 5, 0, False),
]


@pytest.mark.parametrize(("label", "hours", "minutes", "is_in"), WINDOW, ids=[row[0] for row in WINDOW])
def test_customers_come_in_during_their_window(
    shop: Shop, label: str, hours: float, minutes: float, is_in: bool
) -> None:
    no = shop.paid_booking(start=3, hours=2)

    if is_in:
        check_in(shop, no, hours, minutes)
        assert shop.status(no) is OrderStatus.IN_USE
    else:
        with refused("invalid_transition"):
            check_in(shop, no, hours, minutes)


def test_staff_let_in_at_any_time_before_the_end(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    cashier = shop.cashier()
    with refused("invalid_transition"):
        check_in(shop, no, hours=5, actor=cashier)

    check_in(shop, no, hours=1, actor=cashier)

    assert shop.status(no) is OrderStatus.IN_USE


def test_check_in_refused(make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True)
    unpaid = shop.book(0, 1)
    unconfirmed = shop.paid_booking(3, 2)
    stranger = shop.another_guest()

    with refused("invalid_transition"):
        check_in(shop, unpaid, hours=0)
    with refused("invalid_transition"):
        check_in(shop, unconfirmed)
    with refused("not_found"):
        check_in(shop, unconfirmed, actor=stranger)
    cancellations.confirm_order(unconfirmed, actor=shop.cashier(), now=shop.now)
    check_in(shop, unconfirmed)
    with refused("invalid_transition"):
        check_in(shop, unconfirmed)


def test_check_in_waits_for_the_guests_before(shop: Shop) -> None:
    first = shop.paid_booking(start=1, hours=2)
    second = shop.paid_booking(start=3, hours=2)
    check_in(shop, first, hours=1)
    cashier = shop.cashier()

    with refused("invalid_transition"):
        check_in(shop, second, hours=2, minutes=50)
    with refused("invalid_transition"):
        check_in(shop, second, hours=2, minutes=50, actor=cashier)
    # Their time is over, although no job has noted it yet.
    check_in(shop, second, hours=3)

    assert shop.status(second) is OrderStatus.IN_USE
    assert clockwork.advance_bookings(now=shop.at(3)) == 1
    assert shop.status(first) is OrderStatus.COMPLETED
    assert shop.booking(second).state is BookingState.IN_USE


def test_early_guests_wait_for_whoever_has_the_room(shop: Shop) -> None:
    """The time before the start belongs to others, whether they have come yet or not, or to a block."""
    first, other = shop.paid_booking(start=1, hours=2), shop.another_guest()
    second = shop.paid_booking(start=3, hours=2, actor=other)

    with refused("invalid_transition") as caught:
        check_in(shop, second, hours=2, minutes=50, actor=other)
    shown = orders.get_order(second, customer_id=other.id, now=shop.at(2, 50))

    (told,) = [action for action in shown["actions"] if action["name"] == "check_in"]
    assert (told["allowed"], told["reason"]) == (False, caught.value.message)
    check_in(shop, first, hours=2, minutes=51)
    stays.check_out(first, actor=shop.guest, now=shop.at(2, 52))
    check_in(shop, second, hours=2, minutes=53, actor=other)
    assert shop.status(second) is OrderStatus.IN_USE


def test_early_guests_wait_for_the_end_of_a_block(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    span = {"start_at": shop.at(2), "end_at": shop.at(2, 55)}
    db.session.add(RoomBlock(store_id=shop.store.id, room_id=shop.room.id, **span))
    db.session.commit()

    with refused("invalid_transition"):
        check_in(shop, no, hours=2, minutes=54)
    check_in(shop, no, hours=2, minutes=55)

    assert shop.status(no) is OrderStatus.IN_USE


def test_staff_let_guests_in_long_before_their_time_only_while_nobody_else_comes_before(shop: Shop) -> None:
    no, cashier = shop.paid_booking(start=6, hours=2), shop.cashier()
    stranger = shop.another_guest()
    other = shop.paid_booking(start=3, hours=2, actor=stranger)

    with refused("invalid_transition"):
        check_in(shop, no, hours=1, actor=cashier)
    cancellations.cancel_order(other, actor=cashier, now=shop.at(1))
    check_in(shop, no, hours=1, actor=cashier)

    assert shop.status(no) is OrderStatus.IN_USE
    # Nobody is sold the time in which they sit there already.
    with refused("room_taken"):
        shop.book(3, 2, actor=stranger, at=shop.at(1))


def test_door_that_does_not_answer_stands_in_nobodys_way(shop: Shop, door: Door) -> None:
    door.is_silent = True
    no = shop.paid_booking()

    assert check_in(shop, no)["access"] is None
    assert shop.status(no) is OrderStatus.IN_USE
    assert shop.events(no)[-1] == "door_failed"


def test_check_out_frees_the_rest_after_cleaning(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=30)
    no = shop.paid_booking(start=3, hours=4)
    check_in(shop, no)

    check_out(shop, no, hours=4, minutes=29)

    booking = shop.booking(no)
    assert (shop.status(no), booking.state) == (OrderStatus.COMPLETED, BookingState.ENDED)
    assert (booking.end_at, booking.busy_until_at) == (shop.at(4, 30), shop.at(5))
    assert shop.notices(no)[-1] == "booking_completed"
    with refused("room_taken"):
        shop.book(start=4.5, hours=1, at=shop.at(4, 30))
    assert shop.book(start=5, hours=1, at=shop.at(4, 30))


def test_check_out_in_the_last_minute_changes_no_times(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=30)
    no = shop.paid_booking(start=3, hours=2)
    check_in(shop, no)

    check_out(shop, no, hours=4, minutes=59)

    booking = shop.booking(no)
    assert (booking.end_at, booking.busy_until_at) == (shop.at(5), shop.at(5, 30))


def test_check_out_before_the_booked_time_frees_all_of_it(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    check_in(shop, no, hours=2, minutes=45)

    check_out(shop, no, hours=2, minutes=50)

    assert (shop.status(no), shop.booking(no).state) == (OrderStatus.COMPLETED, BookingState.RELEASED)


def test_check_out_refused(shop: Shop) -> None:
    no = shop.paid_booking()
    with refused("invalid_transition"):
        check_out(shop, no, hours=3)
    check_in(shop, no)
    stranger = shop.another_guest()
    with refused("not_found"):
        stays.check_out(no, actor=stranger, now=shop.at(4))
    check_out(shop, no, hours=4)
    with refused("invalid_transition"):
        check_out(shop, no, hours=4)


def test_clock_ends_the_use(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=30)
    no = shop.paid_booking(start=3, hours=2)
    check_in(shop, no)

    with unchanged():
        assert clockwork.advance_bookings(now=shop.at(4, 59)) == 0
    assert clockwork.advance_bookings(now=shop.at(5, 1)) == 1

    booking = shop.booking(no)
    assert (shop.status(no), booking.state) == (OrderStatus.COMPLETED, BookingState.ENDED)
    # Cleaning follows the booked end, however late the job runs.
    assert (booking.end_at, booking.busy_until_at) == (shop.at(5), shop.at(5, 30))
    assert shop.events(no)[-1] == "end"
    with unchanged():
        assert clockwork.advance_bookings(now=shop.at(5, 2)) == 0


def test_nobody_came(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)

    assert clockwork.advance_bookings(now=shop.at(5)) == 1

    assert (shop.status(no), shop.booking(no).state) == (OrderStatus.COMPLETED, BookingState.ENDED)
    assert shop.events(no)[-1] == "no_show"
    assert shop.notices(no)[-1] == "booking_completed"


def test_nobody_came_with_a_voucher(shop: Shop) -> None:
    voucher = shop.voucher()
    no = shop.book(3, 3, voucher_code=voucher.code)

    clockwork.advance_bookings(now=shop.at(6))

    assert shop.status(no) is OrderStatus.COMPLETED
    assert [row.status for row in shop.rows(Voucher)] == [VoucherStatus.REDEEMED]
    assert len(shop.rows(Redemption)) == 1


def test_holds_expire_after_the_provider_has_closed(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)

    assert clockwork.expire_holds(now=shop.at(minutes=14)) == 0
    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 1

    assert shop.pay_service.closed == [payment_no]
    assert (shop.status(no), shop.booking(no).state) == (OrderStatus.CANCELLED, BookingState.EXPIRED)
    assert shop.notices(no)[-1] == "order_expired"
    with unchanged():
        assert clockwork.expire_holds(now=shop.at(minutes=16)) == 0


def test_hold_that_turns_out_to_be_paid_is_kept(shop: Shop) -> None:
    no = shop.book()
    shop.pay_service.pay(shop.start_payment(no))

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 0

    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_hold_outlasts_a_silent_provider_by_the_grace_only(shop: Shop) -> None:
    no = shop.book()
    other = shop.book(6, 1)
    shop.start_payment(no)
    shop.pay_service.is_unreachable = True

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 1
    assert (shop.status(no), shop.status(other)) == (OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELLED)
    assert clockwork.expire_holds(now=shop.at(minutes=17)) == 1
    assert shop.status(no) is OrderStatus.CANCELLED


def test_hold_whose_payment_does_not_fit_expires_after_the_grace(shop: Shop) -> None:
    no = shop.book()
    shop.pay_service.pay(shop.start_payment(no), amount_fen=1)
    other = shop.book(6, 1)

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 1
    assert shop.status(other) is OrderStatus.CANCELLED
    assert clockwork.expire_holds(now=shop.at(minutes=17)) == 1
    assert (shop.status(no), shop.order(no).paid_fen) == (OrderStatus.CANCELLED, 0)


def test_warnings_come_once_each(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    told = [
        clockwork.queue_warnings(now=shop.at(hours, minutes))
        for hours, minutes in [(2, 29), (2, 30), (2, 31)]
    ]
    assert told == [0, 1, 1]
    assert shop.notices(no).count("starting_soon") == 1
    check_in(shop, no)

    for minute in range(25, 61):
        clockwork.queue_warnings(now=shop.at(4, minute))

    minutes = [
        row.variables["minutes"]
        for row in shop.rows(Notification)
        if row.event == "ending_soon" and row.recipient is Recipient.CUSTOMER
    ]
    assert minutes == ["30", "15", "5"]


def test_warnings_catch_up_after_a_pause_and_follow_the_end(shop: Shop) -> None:
    """The job stands still over the first mark; then staff add time, so that all marks come anew."""
    no, cashier = shop.paid_booking(start=3, hours=2), shop.cashier()
    check_in(shop, no)

    clockwork.queue_warnings(now=shop.at(4, 34))
    clockwork.queue_warnings(now=shop.at(4, 45))
    extensions.add_minutes(no, 40, actor=cashier, now=shop.at(4, 50))
    shop.pay(no, at=shop.at(4, 50))
    for minute in range(51, 101):
        clockwork.queue_warnings(now=shop.at(4, minute))

    told = [
        (row.variables["minutes"], row.variables["end"][-5:])
        for row in shop.rows(Notification)
        if row.event == "ending_soon" and row.recipient is Recipient.SHOP
    ]
    assert told == [("26", "17:00"), ("15", "17:00"), ("30", "17:40"), ("15", "17:40"), ("5", "17:40")]


def test_nobody_is_told_to_come_before_staff_have_confirmed(make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True, confirm_deadline_minutes=120)
    no = shop.paid_booking(start=1, hours=2)

    clockwork.queue_warnings(now=shop.at(minutes=30))
    assert "starting_soon" not in shop.notices(no)

    cancellations.confirm_order(no, actor=shop.cashier(), now=shop.at(minutes=30))
    clockwork.queue_warnings(now=shop.at(minutes=31))
    assert shop.notices(no).count("starting_soon") == 1
