"""Faults that only Alipay has beside those of the fault matrix: of its proxy, and of looking up a refund."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.states import OrderStatus, PaymentChannel, RefundStatus
from app.models import Payment
from app.services import cancellations, refunds
from tests.services.alipay_till import APP, CODE, Till, hurry
from tests.services.counter import refused

FAULTS = [
    pytest.param({"mode": "error"}, id="error"),
    pytest.param({"mode": "error", "after_commit": True}, id="error after the work"),
    pytest.param({"mode": "error", "status": 502}, id="proxy error"),
    pytest.param({"mode": "timeout_after_commit"}, id="time-out after the work"),
    pytest.param({"mode": "latency", "seconds": 0.9}, id="latency"),
]


@pytest.mark.parametrize("channel", [APP, CODE])
def test_proxy_error_while_a_payment_begins_costs_another_tap(till: Till, channel: PaymentChannel) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    hurry(till)
    till.fault("error", status=502)
    with refused("unavailable", except_tables=("payments",)):
        till.start(no, channel)

    payment_no = till.pay(no, channel)

    assert [row.payment_no for row in shop.rows(Payment)] == [payment_no]
    assert (shop.order(no).paid_fen, shop.status(no)) == (12000, OrderStatus.AWAITING_USE)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_while_a_refund_is_looked_up_is_mended_under_its_number(
    till: Till, fault: dict[str, Any]
) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    hurry(till)
    till.fault(**fault | {"operation": "refund_query"})
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
