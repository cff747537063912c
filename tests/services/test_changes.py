"""Changing a booking: the preview is the charge, the old booking stands until the new one is real."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.domain.states import (
    BookingState,
    ChangeStatus,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
    VoucherStatus,
)
from app.extensions import db
from app.models import Booking, BookingSession, OrderChange, PriceKind, Recipient, Refund, Room
from app.services import cancellations, changes, clockwork, orders, payments, stays
from app.services.changes import ChangeRequest
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop, read_room

MakeShop = Callable[..., Shop]


def request(
    shop: Shop, start: float | None = None, end: float | None = None, room: Room | None = None
) -> ChangeRequest:
    """Hours after now."""
    return ChangeRequest(
        room_id=room.id if room else None,
        start_at=None if start is None else shop.at(start),
        end_at=None if end is None else shop.at(end),
    )


def preview(shop: Shop, no: str, *args: Any, at: datetime | None = None, **kwargs: Any) -> dict[str, Any]:
    with unchanged():
        return changes.preview_change(
            no, request(shop, *args, **kwargs), actor=shop.guest, now=at or shop.now
        )


def change(shop: Shop, no: str, *args: Any, at: datetime | None = None, **kwargs: Any) -> dict[str, Any]:
    actor = kwargs.pop("actor", shop.guest)
    return changes.change_order(no, request(shop, *args, **kwargs), actor=actor, now=at or shop.now)


def shown(shop: Shop, no: str, *, at: datetime | None = None) -> dict[str, Any]:
    return orders.get_order(no, customer_id=shop.customer.id, now=at or shop.now)


def place(shop: Shop, no: str) -> tuple[datetime, datetime, int]:
    booking = shop.booking(no)
    return booking.start_at, booking.end_at, booking.room_id


def holds(shop: Shop) -> list[tuple[datetime, datetime]]:
    """What is held for changes."""
    return [
        (row.busy_from_at, row.busy_until_at)
        for row in shop.rows(Booking)
        if row.change_id is not None and row.state is BookingState.HELD
    ]


def ledger(shop: Shop, no: str) -> int:
    """What is kept of an order's money by the payment service."""
    order = shop.order(no)
    paid = sum(each.amount_fen for each in order.payments if each.status is PaymentStatus.SUCCEEDED)
    return paid - sum(each.amount_fen for each in order.refunds if each.status is RefundStatus.SUCCEEDED)


def test_change_at_the_same_price_happens_at_once(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    told = preview(shop, no, 6)
    assert (told["total_fen"], told["fee_fen"], told["difference_fen"]) == (12000, 0, 0)

    assert change(shop, no, 6) == {"due_fen": 0, "expires_at": None}

    assert place(shop, no) == (shop.at(6), shop.at(8), shop.room.id)
    order = shown(shop, no)
    assert (order["status"], order["total_fen"], order["due_fen"]) == ("awaiting_use", 12000, 0)
    assert [line["minutes"] for line in order["lines"]] == [120]
    assert order["pending_change"] is None
    assert shop.events(no)[-1] == "change"
    assert shop.notices(no)[-1] == "booking_changed"
    assert "booking_changed" in shop.notices(no, Recipient.SHOP)
    assert shop.rows(Refund) == []
    # The old place is free again, the new one is not.
    stranger = shop.another_guest()
    with refused("room_taken"):
        shop.book(6, 1, actor=stranger)
    assert shop.book(3, 2, actor=stranger)


def test_change_that_costs_less_refunds_the_difference(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=3)
    told = preview(shop, no, None, 4)
    assert (told["total_fen"], told["difference_fen"]) == (6000, -12000)

    change(shop, no, None, 4)

    order = shop.order(no)
    assert (order.status, order.total_fen) == (OrderStatus.AWAITING_USE, 6000)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [12000]
    shop.finish_refunds()
    assert (shop.status(no), shown(shop, no)["due_fen"], ledger(shop, no)) == (
        OrderStatus.AWAITING_USE,
        0,
        6000,
    )


def test_change_that_costs_more_is_held_until_it_is_paid(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    told = preview(shop, no, 2, 6)
    assert (told["total_fen"], told["difference_fen"]) == (24000, 12000)

    answer = change(shop, no, 2, 6)

    assert answer == {"due_fen": 12000, "expires_at": shop.at(minutes=15)}
    assert place(shop, no) == (shop.at(3), shop.at(5), shop.room.id)
    # Only what the old booking does not cover is held, on both sides of it.
    assert holds(shop) == [(shop.at(2), shop.at(3)), (shop.at(5), shop.at(6))]
    order = shown(shop, no)
    assert (order["total_fen"], order["due_fen"], order["paid_fen"]) == (12000, 12000, 12000)
    assert order["pending_change"]["total_fen"] == 24000
    assert order["expires_at"] == order["pending_change"]["expires_at"] == shop.at(minutes=15)
    assert {each["name"] for each in order["actions"] if each["allowed"]} >= {"pay", "change", "cancel"}
    assert shop.notices(no)[-1] == "change_held"
    stranger = shop.another_guest()
    for start in (2, 5):
        with refused("room_taken"):
            shop.book(start, 1, actor=stranger)

    shop.pay(no, at=shop.at(minutes=5))

    assert place(shop, no) == (shop.at(2), shop.at(6), shop.room.id)
    order = shown(shop, no)
    assert (order["status"], order["total_fen"], order["due_fen"], order["paid_fen"]) == (
        "awaiting_use",
        24000,
        0,
        24000,
    )
    assert [line["amount_fen"] for line in order["lines"]] == [line["amount_fen"] for line in told["lines"]]
    assert holds(shop) == []
    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.APPLIED]
    assert ledger(shop, no) == 24000


def test_change_that_is_not_paid_in_time_leaves_the_old_booking(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, 2, 6)
    payment_no = shop.start_payment(no)
    lines = [row.amount_fen for row in shop.order(no).lines]

    assert clockwork.expire_changes(now=shop.at(minutes=14)) == 0
    assert clockwork.expire_changes(now=shop.at(minutes=15)) == 1

    assert place(shop, no) == (shop.at(3), shop.at(5), shop.room.id)
    order = shop.order(no)
    assert (order.status, order.total_fen, order.paid_fen) == (OrderStatus.AWAITING_USE, 12000, 12000)
    assert [row.amount_fen for row in order.lines] == lines
    assert (holds(shop), shown(shop, no)["due_fen"]) == ([], 0)
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert shop.pay_service.closed == [payment_no]
    assert shop.notices(no)[-1] == "change_expired"
    assert shop.book(2, 1, actor=shop.another_guest(), at=shop.at(minutes=15))
    with unchanged():
        assert clockwork.expire_changes(now=shop.at(minutes=16)) == 0


def test_run_out_change_stands_in_nobodys_way_before_the_job_comes(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, 2, 6)
    with refused("invalid_transition"):
        shop.start_payment(no, at=shop.at(minutes=15))

    assert shop.book(2, 1, actor=shop.another_guest(), at=shop.at(minutes=15))

    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.EXPIRED]
    assert place(shop, no) == (shop.at(3), shop.at(5), shop.room.id)


def test_payment_that_comes_too_late_finds_the_change_again(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, 2, 6)
    payment_no = shop.start_payment(no)
    shop.pay_service.is_unreachable = True
    assert clockwork.expire_changes(now=shop.at(minutes=17)) == 1
    shop.pay_service.is_unreachable = False

    shop.notify(payment_no, at=shop.at(minutes=18))

    assert place(shop, no) == (shop.at(2), shop.at(6), shop.room.id)
    assert (shop.order(no).total_fen, ledger(shop, no)) == (24000, 24000)
    assert shop.rows(Refund) == []


def test_payment_that_comes_too_late_goes_back_when_the_place_is_taken(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, 2, 6)
    payment_no = shop.start_payment(no)
    other = shop.book(2, 1, actor=shop.another_guest(), at=shop.at(minutes=20))

    shop.notify(payment_no, at=shop.at(minutes=21))

    assert place(shop, no) == (shop.at(3), shop.at(5), shop.room.id)
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [12000]
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.total_fen) == (OrderStatus.AWAITING_USE, 12000)
    assert (shown(shop, no)["due_fen"], ledger(shop, no)) == (0, 12000)
    assert shop.status(other) is OrderStatus.PENDING_PAYMENT


def test_callback_that_comes_twice_changes_once(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 6)
    payment_no = shop.pay(no)

    with unchanged(except_tables=("payment_callbacks",)):
        shop.notify(payment_no, "again")

    assert shop.events(no).count("change") == 1


def test_new_change_replaces_the_one_that_waits(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 7)
    payment_no = shop.start_payment(no)

    answer = change(shop, no, None, 6, at=shop.at(minutes=1))

    assert answer["due_fen"] == 6000
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.DROPPED, ChangeStatus.PENDING]
    assert holds(shop) == [(shop.at(5), shop.at(6))]
    shop.pay(no, at=shop.at(minutes=2))
    assert place(shop, no) == (shop.at(3), shop.at(6), shop.room.id)


def test_refused_change_leaves_the_one_that_waits(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    shop.paid_booking(start=8, hours=2, actor=shop.another_guest())
    change(shop, no, None, 6)

    with refused("room_taken"):
        change(shop, no, 7, 9)

    assert holds(shop) == [(shop.at(5), shop.at(6))]
    shop.pay(no)
    assert place(shop, no) == (shop.at(3), shop.at(6), shop.room.id)


def test_change_of_the_room(shop: Shop) -> None:
    other = factories.make_room(shop.store)
    dear = factories.make_room(shop.store)
    factories.make_price(shop.store, 9000, scope="room", room=dear)
    no = shop.paid_booking(start=3, hours=2)

    change(shop, no, room=other)
    assert place(shop, no) == (shop.at(3), shop.at(5), other.id)
    assert shop.book(3, 2, actor=shop.another_guest())

    assert change(shop, no, room=dear)["due_fen"] == 6000
    state = read_room(dear.id, from_at=shop.at(3), to_at=shop.at(5), now=shop.now)
    assert [span["state"] for span in state["spans"]] == ["held"]
    shop.pay(no)
    assert place(shop, no) == (shop.at(3), shop.at(5), dear.id)
    state = read_room(other.id, from_at=shop.at(3), to_at=shop.at(5), now=shop.now)
    assert [span["state"] for span in state["spans"]] == ["free"]


def test_change_into_its_own_buffer(make_shop: MakeShop) -> None:
    shop = make_shop(buffer_after_minutes=30, buffer_before_minutes=15)
    no = shop.paid_booking(start=3, hours=2)

    change(shop, no, 3.5, 5.5)

    booking = shop.booking(no)
    assert (booking.busy_from_at, booking.busy_until_at) == (shop.at(3.25), shop.at(6))


def test_discount_of_a_rule_and_words_of_staff_stay(shop: Shop) -> None:
    from app.services import adjustments

    no = shop.paid_booking(start=3, hours=2)
    adjustments.add_adjustment(no, -2000, "空调坏了", actor=shop.cashier(), now=shop.now)

    change(shop, no, None, 6)
    shop.pay(no)

    order = shop.order(no)
    assert [(line.kind, line.label, line.amount_fen) for line in order.lines] == [
        ("hourly", order.lines[0].label, 18000),
        ("adjustment", "空调坏了", -2000),
    ]
    assert (order.total_fen, order.paid_fen - 2000) == (16000, 16000)
    assert order.lines[0].rule_version == 1


def test_session_stays_one_only_at_the_time_of_a_session(shop: Shop) -> None:
    morning = BookingSession(store_id=shop.store.id, name="下午场", start_minute=14 * 60, length_minutes=240)
    evening = BookingSession(store_id=shop.store.id, name="晚场", start_minute=18 * 60, length_minutes=240)
    db.session.add_all([morning, evening])
    db.session.commit()
    for row, amount in ((morning, 10000), (evening, 15000)):
        factories.make_price(shop.store, amount, kind=PriceKind.SESSION, session=row)
    no = shop.book(2, session_id=morning.id, end_at=None)
    shop.pay(no)
    assert shop.order(no).total_fen == 10000

    told = preview(shop, no, 6)
    assert [(line["kind"], line["amount_fen"]) for line in told["lines"]] == [("session", 15000)]
    told = preview(shop, no, 3)
    assert [(line["kind"], line["amount_fen"]) for line in told["lines"]] == [("hourly", 24000)]


def test_voucher_goes_along_where_it_is_good(shop: Shop) -> None:
    voucher = shop.voucher(shop.campaign(bands=[{"start": "10:00", "end": "20:00"}]))
    no = shop.book(2, 3, voucher_code=voucher.code)

    with refused("voucher_length"):
        change(shop, no, None, 6)
    with refused("voucher_not_now"):
        change(shop, no, 6)
    change(shop, no, 3)

    order = shop.order(no)
    assert place(shop, no)[:2] == (shop.at(3), shop.at(6))
    assert (order.total_fen, [line.kind for line in order.lines]) == (0, ["hourly", "voucher"])
    assert [row.status for row in shop.rows(type(voucher))] == [VoucherStatus.LOCKED]


def test_cancel_gives_up_the_change_that_waits(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 6)
    payment_no = shop.start_payment(no)

    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)

    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert holds(shop) == []
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [12000]
    assert [each.status for each in shop.rows(OrderChange)] == [ChangeStatus.DROPPED]


def test_check_in_gives_up_the_change_that_waits(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    at = shop.at(2.8)
    change(shop, no, 6, 9, at=at)

    stays.check_in(no, actor=shop.guest, now=at)

    assert (holds(shop), shown(shop, no, at=at)["due_fen"]) == ([], 0)


def test_attempt_over_another_amount_is_closed_first(shop: Shop) -> None:
    from app.services import adjustments

    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 6)
    first = shop.start_payment(no)
    assert clockwork.expire_changes(now=shop.at(minutes=15)) == 1
    assert shop.payment(first).status is PaymentStatus.CLOSED
    adjustments.add_adjustment(no, 500, "茶水", actor=shop.cashier(), now=shop.at(minutes=16))
    change(shop, no, None, 6, at=shop.at(minutes=17))

    second = shop.start_payment(no, at=shop.at(minutes=18))

    assert shop.payment(second).amount_fen == 6500
    shop.notify(second, at=shop.at(minutes=19))
    assert (shop.order(no).total_fen, shown(shop, no)["due_fen"]) == (18500, 0)


def test_silent_payment_of_a_change_is_asked_about(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 6)
    shop.pay_service.pay(shop.start_payment(no))

    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1

    assert place(shop, no)[1] == shop.at(6)


def test_change_by_staff_needs_their_store(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    stranger = shop.cashier(factories.make_store(), username="elsewhere")
    cashier = shop.cashier()
    with refused("not_found"):
        change(shop, no, 6, actor=stranger)

    # Off the grid and after the start: staff may.
    change(shop, no, 3.1, 4.1, at=shop.at(3.1), actor=cashier)

    assert place(shop, no)[:2] == (shop.at(3.1), shop.at(4.1))
    event = shop.order(no).events
    assert [(each.actor_kind, each.actor_name) for each in event if each.event == "change"] == [
        ("staff", "林晓")
    ]


def test_only_one_change_waits_for_each_order(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    change(shop, no, None, 6)
    change(shop, no, None, 7)

    waiting = db.session.scalar(
        select(func.count(OrderChange.id)).where(OrderChange.status == ChangeStatus.PENDING)
    )
    assert waiting == 1
