"""Leaving an order: before and after payment, by its frozen steps, and by staff who do not confirm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.states import BookingState, OrderStatus, PaymentStatus, RefundStatus, VoucherStatus
from app.extensions import db
from app.models import BookingPolicy, Recipient, Redemption, Refund
from app.services import cancellations, channels, clockwork, payments
from tests import factories
from tests.services.counter import refused
from tests.services.shop import Shop
from tests.services.test_payments import unset

MakeShop = Callable[..., Shop]


def cancel(shop: Shop, no: str, hours: float = 0, minutes: float = 0) -> None:
    at = shop.at(hours, minutes)
    cancellations.cancel_order(no, reason="行程有变", actor=shop.guest, now=at)


def test_cancel_unpaid_frees_the_room_and_closes_the_payment(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)

    cancel(shop, no)

    assert shop.status(no) is OrderStatus.CANCELLED
    assert shop.booking(no).state is BookingState.RELEASED
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert shop.pay_service.closed == [payment_no]
    assert shop.events(no) == ["create", "cancel"]
    assert shop.notices(no) == ["order_created", "order_cancelled"]
    assert "order_cancelled" not in shop.notices(no, Recipient.SHOP)
    assert shop.rows(Refund) == []
    assert shop.book(actor=shop.another_guest())


def test_cancel_unpaid_while_the_service_does_not_answer(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.is_unreachable = True

    cancel(shop, no)

    assert shop.status(no) is OrderStatus.CANCELLED
    assert shop.payment(payment_no).status is PaymentStatus.PENDING
    shop.pay_service.is_unreachable = False
    assert payments.query_silent_payments(now=shop.at(minutes=2)) == 1
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED


def test_cancel_unpaid_without_a_service(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    no = shop.book()
    shop.start_payment(no)
    monkeypatch.setattr(channels, "wechat_pay", unset)

    cancel(shop, no)

    assert shop.status(no) is OrderStatus.CANCELLED


def test_cancel_of_what_has_just_been_paid_counts_as_paid(shop: Shop) -> None:
    no = shop.book(start=3)
    shop.pay_service.pay(shop.start_payment(no))

    # 90 minutes before the start the fee is 30 %.
    cancel(shop, no, minutes=10)

    assert shop.status(no) is OrderStatus.REFUNDING
    assert shop.rows(Refund)[0].amount_fen == 12000


FEES = [
    ("two hours before", 1, 0, 0),
    ("a minute later", 1, 1, 3600),
    ("at the start", 3, 0, 3600),
]


@pytest.mark.parametrize(("label", "hours", "minutes", "fee_fen"), FEES, ids=[row[0] for row in FEES])
def test_cancel_paid_costs_what_the_preview_says(
    shop: Shop, label: str, hours: float, minutes: float, fee_fen: int
) -> None:
    no = shop.paid_booking(start=3, hours=2)
    at = shop.at(hours, minutes)
    preview = cancellations.preview_cancel(no, actor=shop.guest, now=at)
    assert (preview["fee_fen"], preview["refund_fen"]) == (fee_fen, 12000 - fee_fen)
    assert preview["step"]["fee_percent"] * 120 == fee_fen

    cancel(shop, no, hours, minutes)

    order = shop.order(no)
    assert (order.status, order.cancel_fee_fen) == (OrderStatus.REFUNDING, fee_fen)
    assert shop.booking(no).state is BookingState.RELEASED
    (refund,) = shop.rows(Refund)
    assert (refund.amount_fen, refund.status) == (12000 - fee_fen, RefundStatus.CREATED)
    assert shop.notices(no)[-2:] == ["refund_started", "order_cancelled"]
    assert "order_cancelled" in shop.notices(no, Recipient.SHOP)
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (OrderStatus.REFUNDED, 12000 - fee_fen)


def test_cancel_after_the_start_gives_nothing_back(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)

    cancel(shop, no, hours=3, minutes=1)

    order = shop.order(no)
    assert (order.status, order.cancel_fee_fen) == (OrderStatus.CANCELLED, 12000)
    assert shop.rows(Refund) == []


def test_cancel_follows_the_steps_of_the_purchase(shop: Shop) -> None:
    no = shop.paid_booking(start=3, hours=2)
    policy = shop.rows(BookingPolicy)[0]
    policy.cancel_steps = [{"minutes_before": 0, "fee_percent": 90}]
    db.session.commit()

    assert cancellations.preview_cancel(no, actor=shop.guest, now=shop.now)["fee_fen"] == 0


def test_cancel_beside_a_second_payment_refunds_each_once(shop: Shop) -> None:
    no = shop.book(start=3)
    first = shop.start_payment(no)
    native = payments.start_payment(no, channel="wechat_native", actor=shop.guest, now=shop.now)
    shop.notify(first)
    shop.notify(str(native["payment_no"]))

    assert cancellations.preview_cancel(no, actor=shop.guest, now=shop.now)["refund_fen"] == 12000
    cancel(shop, no)

    assert [refund.amount_fen for refund in shop.rows(Refund)] == [12000, 12000]
    assert shop.status(no) is OrderStatus.REFUNDING
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (OrderStatus.REFUNDED, 24000)


def test_cancel_refused(shop: Shop) -> None:
    no = shop.paid_booking()
    stranger = shop.another_guest()
    with refused("not_found"):
        cancellations.cancel_order(no, actor=stranger, now=shop.now)
    with refused("not_found"):
        cancellations.preview_cancel(no, actor=stranger, now=shop.now)
    cancel(shop, no)
    with refused("invalid_transition"):
        cancel(shop, no)
    with refused("invalid_transition"):
        cancellations.preview_cancel(no, actor=shop.guest, now=shop.now)


def test_cancel_by_staff_needs_their_store(shop: Shop) -> None:
    no = shop.paid_booking()
    stranger = shop.cashier(factories.make_store(), username="elsewhere")
    cashier = shop.cashier()
    with refused("not_found"):
        cancellations.cancel_order(no, actor=stranger, now=shop.now)

    cancellations.cancel_order(no, reason="设备故障", actor=cashier, now=shop.now)

    event = shop.order(no).events[-2]
    assert (event.event, event.actor_kind, event.actor_name, event.reason) == (
        "cancel",
        "staff",
        "林晓",
        "设备故障",
    )


def test_cancel_gives_the_voucher_back(shop: Shop) -> None:
    voucher = shop.voucher()
    no = shop.book(3, 3, voucher_code=voucher.code)

    # With a notice that costs 30 % the voucher still comes back whole.
    cancel(shop, no, hours=2)

    assert shop.status(no) is OrderStatus.CANCELLED
    (after,) = shop.rows(type(voucher))
    assert (after.status, after.booking_order_id) == (VoucherStatus.ISSUED, None)
    assert shop.book(5, 3, voucher_code=voucher.code)


def test_cancel_after_the_start_uses_the_voucher_up(shop: Shop) -> None:
    voucher = shop.voucher()
    no = shop.book(3, 3, voucher_code=voucher.code)

    cancel(shop, no, hours=3, minutes=1)

    assert shop.status(no) is OrderStatus.CANCELLED
    (after,) = shop.rows(type(voucher))
    assert after.status is VoucherStatus.REDEEMED
    assert [row.voucher_id for row in shop.rows(Redemption)] == [voucher.id]
    assert shop.order(after.order.no).status is OrderStatus.USED


@pytest.fixture
def manual(make_shop: MakeShop) -> Shop:
    """A store whose staff confirm within 10 minutes."""
    return make_shop(requires_confirmation=True)


def test_confirm_by_staff(manual: Shop) -> None:
    no = manual.paid_booking()

    cancellations.confirm_order(no, actor=manual.cashier(), now=manual.at(minutes=5))

    order = manual.order(no)
    assert (order.status, order.confirm_by_at) == (OrderStatus.AWAITING_USE, None)
    assert manual.notices(no)[-1] == "booking_confirmed"
    assert clockwork.refuse_overdue(now=manual.at(hours=1)) == 0


def test_refuse_by_staff_gives_everything_back(manual: Shop) -> None:
    # Half an hour before the start the customer's own cancellation would cost 30 %.
    no = manual.paid_booking(start=0.5)

    cancellations.refuse_order(no, reason="包间漏水", actor=manual.cashier(), now=manual.now)

    order = manual.order(no)
    assert (order.status, order.cancel_fee_fen) == (OrderStatus.REFUNDING, 0)
    assert manual.rows(Refund)[0].amount_fen == 12000
    assert manual.booking(no).state is BookingState.RELEASED
    assert manual.notices(no)[-1] == "booking_refused"
    assert manual.book(start=0.5, actor=manual.another_guest())


def test_unconfirmed_bookings_are_refunded_at_their_deadline(manual: Shop) -> None:
    no = manual.paid_booking()

    assert clockwork.refuse_overdue(now=manual.at(minutes=9)) == 0
    assert manual.status(no) is OrderStatus.PAID
    assert clockwork.refuse_overdue(now=manual.at(minutes=10)) == 1

    assert manual.status(no) is OrderStatus.REFUNDING
    assert manual.order(no).events[-2].actor_kind == "system"
    assert clockwork.refuse_overdue(now=manual.at(minutes=11)) == 0


def test_refused_voucher_booking_gives_the_voucher_back(manual: Shop) -> None:
    voucher = manual.voucher()
    no = manual.book(3, 3, voucher_code=voucher.code)
    assert manual.status(no) is OrderStatus.PAID

    cancellations.refuse_order(no, reason="满", actor=manual.cashier(), now=manual.now)

    assert manual.status(no) is OrderStatus.CANCELLED
    assert manual.rows(type(voucher))[0].status is VoucherStatus.ISSUED


def test_confirm_and_refuse_need_a_paid_order(manual: Shop) -> None:
    no = manual.book()
    cashier = manual.cashier()
    for move in ("unpaid", "confirmed"):
        with refused("invalid_transition"):
            cancellations.refuse_order(no, reason=move, actor=cashier, now=manual.now)
        with refused("invalid_transition"):
            cancellations.confirm_order(no, actor=cashier, now=manual.now)
        if move == "unpaid":
            manual.pay(no)
            cancellations.confirm_order(no, actor=cashier, now=manual.now)
