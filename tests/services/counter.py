"""A payment service that does as it is told, and looking at what a refused request left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.errors import DomainError
from app.extensions import db, metadata
from app.gateways.ports import (
    CallbackHeaders,
    CallbackInvalid,
    CloseResult,
    GatewayRefused,
    GatewayUnavailable,
    PaymentCallback,
    PaymentFacts,
    PaymentRequest,
    RefundCallback,
    RefundFacts,
    RefundRequest,
)
from app.models import ChannelCredential
from tests.conftest import KEPT_TABLES

MERCHANT = "1900000001"
# What is paid or closed cannot be begun again.
REFUSED_AGAIN = {"succeeded": "ORDERPAID", "closed": "ORDER_CLOSED"}
APP = "wxtest"


@dataclass
class PayService:
    """Stands in for the payment service: what it knows is what tests and the product told it."""

    payments: dict[str, PaymentFacts] = field(default_factory=dict)
    requests: list[PaymentRequest] = field(default_factory=list)
    refund_requests: list[RefundRequest] = field(default_factory=list)
    refunds: dict[str, RefundFacts] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    is_unreachable: bool = False
    refusal: GatewayRefused | None = None

    def create_payment(self, request: PaymentRequest) -> dict[str, str]:
        self._answer()
        known = self.payments.get(request.payment_no)
        if known is not None and known.status in REFUSED_AGAIN:
            raise GatewayRefused(REFUSED_AGAIN[known.status], "this payment is over")
        self.requests.append(request)
        facts = PaymentFacts(request.payment_no, "pending", request.amount_fen, "CNY")
        self.payments.setdefault(request.payment_no, replace(facts, merchant_no=MERCHANT, app_id=APP))
        return {"package": f"prepay_id={request.payment_no}"}

    def query_payment(self, payment_no: str, started_at: datetime) -> PaymentFacts:
        self._answer()
        return self.payments.get(payment_no) or PaymentFacts(payment_no, "absent")

    def close_payment(self, payment_no: str, started_at: datetime) -> CloseResult:
        self._answer()
        facts = self.payments.get(payment_no)
        if facts is not None and facts.status == "succeeded":
            return "already_paid"
        self.closed.append(payment_no)
        if facts is not None:
            self.payments[payment_no] = replace(facts, status="closed")
        return "closed"

    def refund(self, request: RefundRequest) -> RefundFacts:
        self._answer()
        self.refund_requests.append(request)
        known = self.refunds.get(request.refund_no)
        facts = RefundFacts(request.refund_no, "processing", f"5{request.refund_no}", request.amount_fen)
        return self.refunds.setdefault(request.refund_no, known or facts)

    def query_refund(self, request: RefundRequest) -> RefundFacts:
        self._answer()
        return self.refunds.get(request.refund_no) or RefundFacts(request.refund_no, "absent")

    def parse_payment_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> PaymentCallback:
        values = self._open(body)
        facts = replace(self.payments[values["no"]], **values["changes"])
        return PaymentCallback(values["id"], "TRANSACTION.SUCCESS", facts)

    def parse_refund_callback(self, headers: CallbackHeaders, body: bytes, now: datetime) -> RefundCallback:
        values = self._open(body)
        facts = replace(self.refunds[values["no"]], **values["changes"])
        return RefundCallback(values["id"], "REFUND.SUCCESS", facts)

    def pay(self, payment_no: str, **changes: Any) -> PaymentFacts:
        """The customer pays."""
        facts = replace(self.payments[payment_no], status="succeeded", transaction_no=f"42{payment_no}")
        self.payments[payment_no] = replace(facts, **changes)
        return self.payments[payment_no]

    def settle_refund(self, refund_no: str, status: Any = "succeeded") -> None:
        """The refund comes to its end."""
        self.refunds[refund_no] = replace(self.refunds[refund_no], status=status)

    def _answer(self) -> None:
        if self.is_unreachable:
            raise GatewayUnavailable("no answer", outcome_unknown=True)
        if self.refusal is not None:
            raise self.refusal

    @staticmethod
    def _open(body: bytes) -> dict[str, Any]:
        values = json.loads(body)
        if values.get("forged"):
            raise CallbackInvalid("not_verified")
        return dict(values)


def register_service(now: datetime) -> None:
    """Save the identities under which the payment service knows the shop."""
    identity = {"mchid": MERCHANT, "app_id": APP}
    for channel, settings in (("wechat", {"app_id": APP}), ("wechat_pay", identity)):
        db.session.add(ChannelCredential(channel=channel, settings=settings, secrets={}, created_at=now))
    db.session.commit()


def callback_of(no: str, callback_id: str = "callback-1", **changes: Any) -> dict[str, Any]:
    """The arguments of `receive_callback` for a notice about a payment or refund, altered by *changes*."""
    is_forged = changes.pop("forged", False)
    body = {"id": callback_id, "no": no, "changes": changes, "forged": is_forged}
    return {"headers": {}, "body": json.dumps(body).encode()}


def snapshot() -> dict[str, list[tuple[Any, ...]]]:
    """Every row that tests write, by table."""
    with db.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name not in KEPT_TABLES
        }


@contextmanager
def unchanged(*, except_tables: tuple[str, ...] = ()) -> Iterator[None]:
    """The block leaves every row as it was."""
    before = snapshot()
    yield
    after = snapshot()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == set(except_tables), f"changed: {sorted(changed)}"


@contextmanager
def refused(code: str, *, except_tables: tuple[str, ...] = ()) -> Iterator[pytest.ExceptionInfo[DomainError]]:
    """The block is refused with *code*, and nothing changed (but *except_tables*, such as a log)."""
    with unchanged(except_tables=except_tables), pytest.raises(DomainError) as caught:
        yield caught
    assert caught.value.code == code
