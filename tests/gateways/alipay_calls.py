"""Every call to Alipay with ordinary values, so that tests only say what is special."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.gateways.alipay import AlipayGateway
from app.gateways.ports import (
    PaymentRequest,
    RefundRequest,
)
from tests.gateways.alipay_service import (
    PATH,
    PAYMENT_NO,
    REFUND_NO,
    TRADE_NO,
    credentials,
)

TIMEOUT_SECONDS = 0.1
STARTED_AT = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
BUYER = "2088102169481075"
CODE = "https://qr.alipay.com/bax03431ljhokirwl38f00a7"
PAYMENT = PaymentRequest(
    payment_no=PAYMENT_NO,
    started_at=STARTED_AT,
    amount_fen=12805,
    description="雀坊 望京店 · 牡丹/包间 A&B=C",
    openid=BUYER,
    expires_at=datetime(2026, 3, 14, 4, 15, tzinfo=UTC),
    notify_url="https://example.test/api/v1/payments/alipay/notify",
    kind="jsapi",
)
SCANNED = replace(PAYMENT, kind="native", openid=None)
REFUND = RefundRequest(
    refund_no=REFUND_NO,
    started_at=STARTED_AT,
    payment_no=PAYMENT_NO,
    transaction_no=TRADE_NO,
    amount_fen=6400,
    total_fen=12805,
    reason="提前取消",
    notify_url="https://example.test/api/v1/refunds/alipay/notify",
)

Call = Callable[[AlipayGateway], Any]
CALLS: dict[str, Call] = {
    "create": lambda gateway: gateway.create_payment(PAYMENT),
    "precreate": lambda gateway: gateway.create_payment(SCANNED),
    "query": lambda gateway: gateway.query_payment(PAYMENT_NO),
    "close": lambda gateway: gateway.close_payment(PAYMENT_NO),
    "refund": lambda gateway: gateway.refund(REFUND),
    "refund_query": lambda gateway: gateway.query_refund(REFUND),
    "login": lambda gateway: gateway.exchange_login_code("code"),
    "bill": lambda gateway: gateway.download_bill(STARTED_AT.date()),
}
each_call = pytest.mark.parametrize(("operation", "call"), CALLS.items(), ids=CALLS.keys())

REFUNDED = {
    "out_trade_no": PAYMENT_NO,
    "out_request_no": REFUND_NO,
    "refund_amount": "64.00",
    "refund_status": "REFUND_SUCCESS",
    "gmt_refund_pay": "2026-03-14 12:00:01",
}


def make_gateway(url: str, **changes: str) -> AlipayGateway:
    return AlipayGateway(credentials(**changes), gateway_url=url + PATH, timeout_seconds=TIMEOUT_SECONDS)
