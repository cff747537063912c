"""What faults of Alipay leave behind: at most one attempt, one credit, one refund, and nothing lost."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.models import Payment, Refund
from app.services import cancellations, clockwork, refunds
from tests.services.alipay_till import APP, CODE, Till, hurry
from tests.services.counter import refused

# What a fault at each call may leave behind: at most one attempt, one credit, one refund.
FAULTS = [
    pytest.param({"mode": "error"}, id="error"),
    pytest.param({"mode": "error", "after_commit": True}, id="error after the work"),
    pytest.param({"mode": "error", "status": 502}, id="proxy error"),
    pytest.param({"mode": "timeout_after_commit"}, id="time-out after the work"),
    pytest.param({"mode": "latency", "seconds": 0.9}, id="latency"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("channel", [APP, CODE])
def test_fault_while_a_payment_begins_costs_another_tap(
    till: Till, channel: PaymentChannel, fault: dict[str, Any]
) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    hurry(till)
    till.fault(**fault)
    with refused("unavailable", except_tables=("payments",)):
        till.start(no, channel)

    payment_no = till.pay(no, channel)

    assert [row.payment_no for row in shop.rows(Payment)] == [payment_no]
    assert (shop.order(no).paid_fen, shop.status(no)) == (12000, OrderStatus.AWAITING_USE)


@pytest.mark.parametrize("is_paid", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_while_a_hold_ends_neither_loses_money_nor_the_room(
    till: Till, fault: dict[str, Any], is_paid: bool
) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    till.fault("drop_callback")
    if is_paid:
        till.succeed(payment_no)
    hurry(till)
    till.fault(**fault | {"operation": "close"})

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 0
    clockwork.expire_holds(now=shop.at(minutes=16))

    expected = (
        (OrderStatus.AWAITING_USE, PaymentStatus.SUCCEEDED, 12000)
        if is_paid
        else (OrderStatus.CANCELLED, PaymentStatus.CLOSED, 0)
    )
    assert (shop.status(no), shop.payment(payment_no).status, shop.order(no).paid_fen) == expected
    assert shop.rows(Refund) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["refund", "refund_query"])
def test_fault_while_a_refund_is_asked_for_is_mended_under_its_number(
    till: Till, operation: str, fault: dict[str, Any]
) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    hurry(till)
    till.fault(**fault | {"operation": operation})
    number = till.refund().refund_no

    refunds.send_refund(till.refund().id, now=shop.now)
    assert till.refund().status is RefundStatus.CREATED
    refunds.settle_refunds(now=shop.at(minutes=1))
    assert till.refund().status is RefundStatus.PROCESSING
    till.live.control(f"/refunds/alipay/{number}/succeed")
    refunds.settle_refunds(now=shop.at(minutes=30))

    assert (shop.status(no), till.refund().status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)
    (known,) = till.live.shown("payments", shop.rows(Payment)[0].payment_no, "alipay")["refunds"]
    assert (known["out_refund_no"], known["refund"]) == (number, 12000)
    assert shop.order(no).refunded_fen == 12000
