"""Payments: starting them, callbacks applied once, silence, closing, money that comes too late or twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.domain.states import BookingState, OrderStatus, PaymentStatus, RefundStatus
from app.gateways.ports import GatewayRefused
from app.models import Payment, PaymentCallback, Recipient, Refund
from app.services import bookings, cancellations, channels, clockwork, payments
from app.services.callbacks import CallbackRefused
from tests import factories
from tests.services.counter import callback_of, refused, unchanged
from tests.services.shop import JSAPI, Shop

MakeShop = Callable[..., Shop]


def receive(shop: Shop, told: dict[str, Any]) -> None:
    payments.receive_callback("wechat", **told, now=shop.now)


def test_start_registers_the_payment_with_the_service(shop: Shop) -> None:
    no = shop.book()

    started = payments.start_payment(no, channel=JSAPI, actor=shop.guest, now=shop.at(minutes=1))

    payment = shop.rows(Payment)[0]
    assert started == {
        "payment_no": payment.payment_no,
        "channel": JSAPI,
        "params": {"package": f"prepay_id={payment.payment_no}"},
    }
    (request,) = shop.pay_service.requests
    assert (request.amount_fen, request.kind, request.expires_at) == (12000, "jsapi", shop.at(minutes=15))
    assert request.openid is not None and request.openid.startswith("openid-")
    assert request.notify_url.endswith("/api/v1/payments/wechat/notify")
    assert (payment.status, payment.amount_fen) == (PaymentStatus.PENDING, 12000)
    assert shop.status(no) is OrderStatus.PENDING_PAYMENT


def test_start_again_continues_under_the_same_number(shop: Shop) -> None:
    no = shop.book()

    assert shop.start_payment(no) == shop.start_payment(no, at=shop.at(minutes=2))
    assert len(shop.rows(Payment)) == 1


def test_start_on_another_channel_is_another_payment(shop: Shop) -> None:
    no = shop.book()
    first = shop.start_payment(no)

    second = payments.start_payment(no, channel="wechat_native", actor=shop.guest, now=shop.now)

    assert second["payment_no"] != first
    assert shop.pay_service.requests[-1].kind == "native"


def test_start_refused(shop: Shop) -> None:
    no = shop.book()
    stranger = shop.another_guest()

    with refused("not_found"):
        shop.start_payment(no, actor=stranger)
    with refused("not_found"):
        shop.start_payment("B000", actor=shop.guest)
    with refused("invalid_field"):
        payments.start_payment(no, channel="cash", actor=shop.guest, now=shop.now)
    with refused("invalid_transition"):
        shop.start_payment(no, at=shop.at(minutes=15))
    shop.pay(no)
    with refused("invalid_transition"):
        shop.start_payment(no)


def test_start_while_the_service_does_not_answer_can_be_repeated(shop: Shop) -> None:
    no = shop.book()
    shop.pay_service.is_unreachable = True
    with refused("unavailable", except_tables=("payments",)):
        shop.start_payment(no)
    pending = shop.rows(Payment)[0]

    shop.pay_service.is_unreachable = False

    assert shop.start_payment(no) == pending.payment_no


def test_start_refused_by_the_service_is_failed_and_may_be_tried_again(shop: Shop) -> None:
    no = shop.book()
    shop.pay_service.refusal = GatewayRefused("PARAM_ERROR", "no")
    with refused("unavailable", except_tables=("payments",)):
        shop.start_payment(no)
    first = shop.rows(Payment)[0]
    assert first.status is PaymentStatus.FAILED

    shop.pay_service.refusal = None

    assert shop.start_payment(no) != first.payment_no


def test_start_without_a_service_is_unavailable(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    no = shop.book()
    monkeypatch.setattr(channels, "wechat_pay", unset)

    with refused("unavailable", except_tables=("payments",)):
        shop.start_payment(no)


def test_paid_order_is_confirmed_and_told(shop: Shop) -> None:
    no = shop.book()

    payment_no = shop.pay(no, at=shop.at(minutes=3))

    order, payment = shop.order(no), shop.payment(payment_no)
    assert (order.status, order.paid_fen, order.paid_at) == (
        OrderStatus.AWAITING_USE,
        12000,
        shop.at(minutes=3),
    )
    assert order.expires_at is None
    assert (payment.status, payment.transaction_no) == (PaymentStatus.SUCCEEDED, f"42{payment_no}")
    assert shop.booking(no).state is BookingState.RESERVED
    assert shop.booking(no).hold_expires_at is None
    assert shop.events(no) == ["create", "payment_succeeded", "pay", "confirm"]
    assert shop.notices(no) == ["order_created", "order_paid", "booking_confirmed"]
    assert "order_paid" in shop.notices(no, Recipient.SHOP)
    assert (
        payments.get_payment(no, payment_no, customer_id=shop.customer.id, now=shop.now)["status"]
        == "succeeded"
    )


def test_paid_order_waits_for_staff_where_they_confirm(make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True, confirm_deadline_minutes=7)
    no = shop.paid_booking()

    assert shop.status(no) is OrderStatus.PAID
    assert shop.order(no).confirm_by_at == shop.at(minutes=7)


def test_payment_of_somebody_else_is_not_found(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    stranger = factories.make_customer()

    with refused("not_found"):
        payments.get_payment(no, payment_no, customer_id=stranger.id, now=shop.now)
    with refused("not_found"):
        payments.get_payment(no, "P0", customer_id=shop.customer.id, now=shop.now)


@pytest.mark.parametrize("second_id", ["the same", "another"], ids=["same callback", "another callback"])
def test_callback_again_changes_nothing_more(shop: Shop, second_id: str) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.notify(payment_no, "the same")

    kept = () if second_id == "the same" else ("payment_callbacks",)
    with unchanged(except_tables=kept):
        shop.notify(payment_no, second_id)

    assert shop.order(no).paid_fen == 12000


MISMATCHES = [
    ("a fen less", {"amount_fen": 11999}, "amount_mismatch"),
    ("a fen more", {"amount_fen": 12001}, "amount_mismatch"),
    ("no amount", {"amount_fen": None}, "amount_mismatch"),
    ("merchant", {"merchant_no": "1900000002"}, "merchant_mismatch"),
    ("app", {"app_id": "wxother"}, "app_mismatch"),
    ("currency", {"currency": "USD"}, "currency_mismatch"),
    ("unknown number", {"payment_no": "P999"}, "unknown_payment"),
]


@pytest.mark.parametrize(("label", "changes", "code"), MISMATCHES, ids=[row[0] for row in MISMATCHES])
def test_callback_that_does_not_fit_changes_nothing(
    shop: Shop, label: str, changes: dict[str, Any], code: str
) -> None:
    payment_no = shop.start_payment(shop.book())
    shop.pay_service.pay(payment_no)

    with unchanged(), pytest.raises(CallbackRefused, match=code):
        receive(shop, callback_of(payment_no, **changes))

    receive(shop, callback_of(payment_no))
    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED


def test_forged_callback_changes_nothing(shop: Shop) -> None:
    payment_no = shop.start_payment(shop.book())

    with unchanged(), pytest.raises(CallbackRefused, match="not_verified"):
        receive(shop, callback_of(payment_no, forged=True))
    with refused("not_found"):
        payments.receive_callback("paypal", headers={}, body=b"", now=shop.now)


def test_callback_is_kept_as_it_came(shop: Shop) -> None:
    payment_no = shop.pay(shop.book())

    (kept,) = shop.rows(PaymentCallback)
    assert (kept.channel, kept.event, kept.subject_no) == ("wechat", "TRANSACTION.SUCCESS", payment_no)
    assert json.loads(kept.body)["no"] == payment_no


def test_callback_about_anything_but_success_moves_nothing(shop: Shop) -> None:
    payment_no = shop.start_payment(shop.book())

    with unchanged(except_tables=("payment_callbacks",)):
        receive(shop, callback_of(payment_no, status="closed"))


def test_silent_payment_is_asked_about_and_credited(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.pay(payment_no)

    assert payments.query_silent_payments(now=shop.at(minutes=0.2)) == 0
    assert payments.query_silent_payments(now=shop.at(minutes=0.25)) == 1

    assert shop.status(no) is OrderStatus.AWAITING_USE
    with unchanged(except_tables=("payment_callbacks",)):
        shop.notify(payment_no, "late")


def test_silent_payments_are_asked_about_at_growing_intervals(shop: Shop) -> None:
    payment_no = shop.start_payment(shop.book())
    delays = []
    at = shop.now
    for _ in range(5):
        planned = shop.payment(payment_no).next_query_at
        delays.append((planned - at).total_seconds())
        at = planned
        assert payments.query_silent_payments(now=at) == 0

    assert delays == [15, 30, 60, 90, 90]
    assert shop.payment(payment_no).status is PaymentStatus.PENDING


def test_failed_payment_is_told_and_may_be_tried_again(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.pay(payment_no, status="failed")

    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1

    assert shop.payment(payment_no).status is PaymentStatus.FAILED
    assert shop.status(no) is OrderStatus.PENDING_PAYMENT
    assert shop.events(no) == ["create", "pay_failed"]
    assert shop.notices(no) == ["order_created", "payment_failed"]
    assert shop.start_payment(no) != payment_no


def test_query_answer_that_does_not_fit_credits_nothing(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    other = shop.start_payment(shop.book(6, 2))
    shop.pay_service.pay(payment_no, amount_fen=1)
    shop.pay_service.pay(other)

    # One that does not fit holds up none of the others.
    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1

    assert shop.status(no) is OrderStatus.PENDING_PAYMENT
    assert shop.payment(other).status is PaymentStatus.SUCCEEDED


def test_query_waits_for_a_service_that_does_not_answer_or_is_switched_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_no = shop.start_payment(shop.book())
    shop.pay_service.is_unreachable = True
    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 0
    monkeypatch.setattr(channels, "wechat_pay", unset)
    assert payments.query_silent_payments(now=shop.at(minutes=5)) == 0

    assert (shop.payment(payment_no).status, shop.payment(payment_no).query_count) == (
        PaymentStatus.PENDING,
        2,
    )


def unset() -> None:
    """A payment service that is not set up."""
    raise Unavailable()


def expire(shop: Shop, minutes: float = 15) -> int:
    return clockwork.expire_holds(now=shop.at(minutes=minutes))


def test_late_payment_takes_the_room_again_when_it_is_free(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    assert expire(shop) == 1
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED

    shop.notify(payment_no, at=shop.at(minutes=16))

    order = shop.order(no)
    assert (order.status, order.paid_fen, order.finished_at) == (OrderStatus.AWAITING_USE, 12000, None)
    assert shop.booking(no).state is BookingState.RESERVED
    assert shop.events(no)[-4:] == ["expire", "payment_succeeded", "rebook", "confirm"]
    assert shop.notices(no)[-2:] == ["order_paid", "booking_confirmed"]
    assert shop.rows(Refund) == []


def test_late_payment_waits_for_staff_where_they_confirm(make_shop: MakeShop) -> None:
    shop = make_shop(requires_confirmation=True)
    no = shop.book()
    payment_no = shop.start_payment(no)
    expire(shop)

    shop.notify(payment_no, at=shop.at(minutes=16))

    assert shop.status(no) is OrderStatus.PAID
    assert shop.order(no).confirm_by_at == shop.at(minutes=26)


def test_late_payment_takes_the_room_from_a_hold_that_ran_out(shop: Shop) -> None:
    first = shop.book()
    payment_no = shop.start_payment(first)
    expire(shop)
    second = shop.book(actor=shop.another_guest(), at=shop.at(minutes=16))

    shop.notify(payment_no, at=shop.at(minutes=31))

    assert shop.status(first) is OrderStatus.AWAITING_USE
    assert shop.status(second) is OrderStatus.CANCELLED


TAKEN = [
    ("held by another", lambda shop: shop.book(actor=shop.another_guest(), at=shop.at(minutes=15)), 16),
    ("over", lambda shop: None, 5 * 60),
]


@pytest.mark.parametrize(("label", "take", "minutes"), TAKEN, ids=[row[0] for row in TAKEN])
def test_late_payment_is_refunded_when_the_room_is_gone(
    shop: Shop, label: str, take: Callable[[Shop], None], minutes: float
) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    expire(shop)
    take(shop)

    shop.notify(payment_no, at=shop.at(minutes=minutes))

    assert shop.status(no) is OrderStatus.REFUNDING
    (refund,) = shop.rows(Refund)
    assert (refund.amount_fen, refund.status) == (12000, RefundStatus.CREATED)
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (OrderStatus.REFUNDED, 12000)


def test_late_payment_of_a_cancelled_order_is_refunded(shop: Shop) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)

    shop.notify(payment_no)

    assert shop.status(no) is OrderStatus.REFUNDING
    assert shop.booking(no).state is BookingState.RELEASED


def test_second_payment_is_refunded_by_itself(shop: Shop) -> None:
    no = shop.book()
    first = shop.start_payment(no)
    second = str(
        payments.start_payment(no, channel="wechat_native", actor=shop.guest, now=shop.now)["payment_no"]
    )
    shop.notify(first)

    shop.notify(second)

    assert shop.status(no) is OrderStatus.AWAITING_USE
    (refund,) = shop.rows(Refund)
    assert refund.payment_id == shop.payment(second).id
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.paid_fen, order.refunded_fen) == (OrderStatus.AWAITING_USE, 24000, 12000)


def test_open_payment_of_a_paid_order_is_closed_by_the_query_job(shop: Shop) -> None:
    no = shop.book()
    first = shop.start_payment(no)
    second = str(
        payments.start_payment(no, channel="wechat_native", actor=shop.guest, now=shop.now)["payment_no"]
    )
    shop.notify(first)

    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1

    assert shop.payment(second).status is PaymentStatus.CLOSED
    assert shop.pay_service.closed == [second]


def test_success_that_the_room_check_refuses_is_kept_for_a_refund(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    expire(shop)
    monkeypatch.setattr(bookings, "is_still_free", lambda *args, **kwargs: False)

    shop.notify(payment_no, at=shop.at(minutes=16))

    assert shop.status(no) is OrderStatus.REFUNDING
