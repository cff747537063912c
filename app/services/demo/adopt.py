"""Letting the sandbox know the payments of the example data, so that it can refund them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.gateways import sandbox_control
from app.gateways.ports import GatewayUnavailable
from app.gateways.sandbox_control import PaidPayment, PaidRefund
from app.models import Order, Payment, Refund
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

RECENT = timedelta(days=30)
# Who collected a payment, by the name of the service in the sandbox.
COLLECTED_BY = {
    "wechat": (PaymentChannel.WECHAT_JSAPI, PaymentChannel.WECHAT_NATIVE),
    "alipay": (PaymentChannel.ALIPAY, PaymentChannel.ALIPAY_QR),
    "unionpay": (PaymentChannel.UNIONPAY,),
}
# What these orders paid may still go back, however long ago it came in.
REFUNDABLE = (
    OrderStatus.PAID,
    OrderStatus.AWAITING_USE,
    OrderStatus.IN_USE,
    OrderStatus.REFUNDING,
    OrderStatus.FORMING,
    OrderStatus.ISSUED,
)


def adopt_payments(sandbox_url: str, *, now: datetime) -> int:
    """Tell the sandbox about the payments of the last 30 days and of all living orders.

    Return how many were new to it; 0 when it does not answer, which is logged: everything but refunds of the
    example data works without. Reads the stores in scope.
    """
    told = {service: _load_payments(channels, now) for service, channels in COLLECTED_BY.items()}
    try:
        return sum(
            sandbox_control.adopt_payments(sandbox_url, payments, service=service)
            for service, payments in told.items()
        )
    except GatewayUnavailable as error:
        log.warning("payments of the example data cannot be refunded in the sandbox: %s", error)
        return 0


# A unit of work of its own, so that nothing is open in the database during the call.
@transactional
def _load_payments(channels: tuple[PaymentChannel, ...], now: datetime) -> list[PaidPayment]:
    rows = session().execute(
        select(Payment.id, Payment.payment_no, Payment.transaction_no, Payment.amount_fen, Payment.paid_at)
        .join(Order, Order.id == Payment.order_id)
        .where(Payment.status == PaymentStatus.SUCCEEDED, Payment.channel.in_(channels))
        .where(or_(Payment.paid_at >= now - RECENT, Order.status.in_(REFUNDABLE)))
        .order_by(Payment.id)
    )
    refunds = _load_refunds()
    return [_paid(row, refunds.get(row.id, ())) for row in rows]


def _load_refunds() -> dict[int, tuple[PaidRefund, ...]]:
    """Return the finished refunds of each payment."""
    columns: tuple[Any, ...] = (
        *(Refund.payment_id, Refund.refund_no, Refund.amount_fen),
        *(Refund.finished_at, Refund.created_at),
    )
    rows = session().execute(
        select(*columns).where(Refund.status == RefundStatus.SUCCEEDED).order_by(Refund.id)
    )
    found: dict[int, tuple[PaidRefund, ...]] = {}
    for payment_id, refund_no, amount_fen, finished_at, created_at in rows:
        refund = PaidRefund(refund_no, amount_fen, finished_at or created_at)
        found[payment_id] = (*found.get(payment_id, ()), refund)
    return found


def _paid(row: Any, refunds: tuple[PaidRefund, ...]) -> PaidPayment:
    refunded_fen = sum(refund.amount_fen for refund in refunds)
    return PaidPayment(row.payment_no, row.transaction_no, row.amount_fen, refunded_fen, row.paid_at, refunds)
