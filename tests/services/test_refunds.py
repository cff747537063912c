"""Refunds: sent, retried under one number, finished, stuck, and never more than was paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.actor import SYSTEM
from app.domain.states import OrderStatus, RefundStatus
from app.extensions import db
from app.gateways.ports import GatewayRefused
from app.models import Order, Payment, PaymentCallback, Recipient, Refund
from app.services import cancellations, refunds
from app.services.callbacks import CallbackRefused
from app.services.unit_of_work import run_in_transaction
from tests.services.counter import callback_of, refused, unchanged
from tests.services.shop import Shop


@pytest.fixture
def no(shop: Shop) -> str:
    """A paid booking that was cancelled: its refund of ¥120 waits to be sent."""
    number = shop.paid_booking()
    cancellations.cancel_order(number, actor=shop.guest, now=shop.now)
    return number


def refund_of(shop: Shop) -> Refund:
    (refund,) = shop.rows(Refund)
    return refund  # type: ignore[no-any-return]


def receive(shop: Shop, told: dict[str, Any]) -> None:
    refunds.receive_callback("wechat", **told, now=shop.now)


def test_refund_is_handed_to_a_worker_after_the_commit(
    shop: Shop, no: str, jobs: list[tuple[Any, ...]]
) -> None:
    assert ("app.jobs.send_refund", refund_of(shop).id) in jobs


def test_send_asks_for_the_refund(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.at(minutes=1))

    refund, payment = refund_of(shop), shop.rows(Payment)[0]
    (request,) = shop.pay_service.refund_requests
    assert (request.refund_no, request.payment_no) == (refund.refund_no, payment.payment_no)
    assert (request.amount_fen, request.total_fen) == (12000, 12000)
    assert request.notify_url.endswith("/api/v1/refunds/wechat/notify")
    # Accepted is not refunded.
    assert (refund.status, refund.accepted_at) == (RefundStatus.PROCESSING, shop.at(minutes=1))
    assert shop.status(no) is OrderStatus.REFUNDING


def test_callback_finishes_refund_and_order_once(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    number = refund_of(shop).refund_no
    shop.pay_service.settle_refund(number)

    receive(shop, callback_of(number))

    order = shop.order(no)
    assert (order.status, order.refunded_fen, refund_of(shop).status) == (
        OrderStatus.REFUNDED,
        12000,
        RefundStatus.SUCCEEDED,
    )
    assert shop.events(no)[-2:] == ["refund_succeeded", "refund_done"]
    assert shop.notices(no)[-1] == "refund_done"
    assert "refund_done" in shop.notices(no, Recipient.SHOP)
    with unchanged():
        receive(shop, callback_of(number))
    with unchanged(except_tables=("payment_callbacks",)):
        receive(shop, callback_of(number, "another"))


def test_callback_before_the_answer_to_the_request(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    refund = refund_of(shop)
    processing = shop.pay_service.refunds[refund.refund_no]
    shop.pay_service.settle_refund(refund.refund_no)
    receive(shop, callback_of(refund.refund_no))

    with unchanged():
        refunds.apply_facts(processing, now=shop.at(minutes=1))


MISMATCHES = [
    ("a fen less", {"amount_fen": 11999}, "amount_mismatch"),
    ("a fen more", {"amount_fen": 12001}, "amount_mismatch"),
    ("unknown number", {"refund_no": "R999"}, "unknown_refund"),
    ("another payment", {"payment_no": "P999"}, "payment_mismatch"),
    ("another merchant", {"merchant_no": "1900000002"}, "merchant_mismatch"),
]


@pytest.mark.parametrize(("label", "changes", "code"), MISMATCHES, ids=[row[0] for row in MISMATCHES])
def test_callback_that_does_not_fit_changes_nothing(
    shop: Shop, no: str, label: str, changes: dict[str, Any], code: str
) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    number = refund_of(shop).refund_no
    shop.pay_service.settle_refund(number)

    with unchanged(), pytest.raises(CallbackRefused, match=code):
        receive(shop, callback_of(number, **changes))
    with unchanged(), pytest.raises(CallbackRefused, match="not_verified"):
        receive(shop, callback_of(number, forged=True))
    assert [row.callback_id for row in shop.rows(PaymentCallback)] == [
        f"paid-{shop.rows(Payment)[0].payment_no}"
    ]


def test_silence_is_retried_under_the_same_number(shop: Shop, no: str) -> None:
    shop.pay_service.is_unreachable = True
    number = refund_of(shop).refund_no
    delays = []
    at = shop.now
    for _ in range(6):
        at = refund_of(shop).next_try_at
        assert refunds.settle_refunds(now=at - timedelta(seconds=1)) == 0
        assert refunds.settle_refunds(now=at) == 1
        delays.append((refund_of(shop).next_try_at - at).total_seconds())
    assert delays == [15, 60, 300, 900, 900, 900]
    assert (refund_of(shop).status, refund_of(shop).try_count) == (RefundStatus.CREATED, 6)
    assert refund_of(shop).last_error

    shop.pay_service.is_unreachable = False
    refunds.settle_refunds(now=refund_of(shop).next_try_at)

    assert [request.refund_no for request in shop.pay_service.refund_requests] == [number]
    assert refund_of(shop).status is RefundStatus.PROCESSING


def test_processing_refund_is_asked_about(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    shop.pay_service.settle_refund(refund_of(shop).refund_no)

    refunds.settle_refunds(now=refund_of(shop).next_try_at)

    assert len(shop.pay_service.refund_requests) == 1
    assert shop.status(no) is OrderStatus.REFUNDED


def test_refund_that_the_service_forgot_is_sent_again(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    number = refund_of(shop).refund_no
    shop.pay_service.refunds.clear()

    refunds.settle_refunds(now=refund_of(shop).next_try_at)

    assert [request.refund_no for request in shop.pay_service.refund_requests] == [number, number]
    assert refund_of(shop).status is RefundStatus.PROCESSING


def test_refusal_that_may_pass_is_retried(shop: Shop, no: str) -> None:
    shop.pay_service.refusal = GatewayRefused("NOT_ENOUGH", "balance", is_retryable=True)

    refunds.send_refund(refund_of(shop).id, now=shop.now)

    assert (refund_of(shop).status, refund_of(shop).last_error) == (RefundStatus.CREATED, "NOT_ENOUGH")


@pytest.mark.parametrize("how", ["refused", "abnormal", "closed"])
def test_stuck_refund_is_work_for_people(shop: Shop, no: str, how: str) -> None:
    if how == "refused":
        shop.pay_service.refusal = GatewayRefused("USER_ACCOUNT_ABNORMAL", "account closed")
        refunds.send_refund(refund_of(shop).id, now=shop.now)
    else:
        refunds.send_refund(refund_of(shop).id, now=shop.now)
        shop.pay_service.settle_refund(refund_of(shop).refund_no, how)
        receive(shop, callback_of(refund_of(shop).refund_no))

    assert refund_of(shop).status is RefundStatus.ABNORMAL
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDING, 0)
    assert "refund_abnormal" in shop.notices(no, Recipient.SHOP)
    assert refunds.settle_refunds(now=shop.at(hours=48)) == 0
    with unchanged():
        refunds.send_refund(refund_of(shop).id, now=shop.now)


def test_abnormal_refund_that_arrives_after_all(shop: Shop, no: str) -> None:
    refunds.send_refund(refund_of(shop).id, now=shop.now)
    number = refund_of(shop).refund_no
    shop.pay_service.settle_refund(number, "abnormal")
    receive(shop, callback_of(number, "first"))
    shop.pay_service.settle_refund(number, "processing")
    receive(shop, callback_of(number, "second"))
    assert refund_of(shop).status is RefundStatus.ABNORMAL

    shop.pay_service.settle_refund(number)
    receive(shop, callback_of(number, "third"))

    assert (refund_of(shop).status, shop.status(no)) == (RefundStatus.SUCCEEDED, OrderStatus.REFUNDED)


def test_one_refund_that_does_not_fit_holds_up_no_other(shop: Shop, no: str) -> None:
    other = shop.paid_booking(6, 2)
    cancellations.cancel_order(other, actor=shop.guest, now=shop.now)
    for refund in shop.rows(Refund):
        refunds.send_refund(refund.id, now=shop.now)
        shop.pay_service.settle_refund(refund.refund_no)
    first = shop.rows(Refund)[0].refund_no
    wrong = {"refund_no": first, "amount_fen": 1}
    shop.pay_service.refunds[first] = type(shop.pay_service.refunds[first])(status="succeeded", **wrong)

    assert refunds.settle_refunds(now=shop.at(hours=1)) == 2

    assert shop.status(no) is OrderStatus.REFUNDING
    assert shop.status(other) is OrderStatus.REFUNDED


def test_refunds_never_exceed_the_payment(shop: Shop) -> None:
    number = shop.paid_booking()

    def refund_twice() -> None:
        order = db.session.scalars(select(Order).where(Order.no == number)).one()
        payment = db.session.scalars(select(Payment)).one()
        refunds.refund_payment(payment, order, reason="first", actor=SYSTEM, now=shop.now)
        refunds.refund_payment(payment, order, reason="second", actor=SYSTEM, now=shop.now)

    with refused("limit_reached"):
        run_in_transaction(refund_twice)


def test_send_of_what_is_not_there_is_nothing(shop: Shop) -> None:
    with unchanged():
        refunds.send_refund(4711, now=shop.now)
