"""Letting the sandbox know the payments of the example data, so that it can refund them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select

from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.gateways import sandbox_control
from app.gateways.ports import GatewayUnavailable
from app.gateways.sandbox_control import PaidPayment
from app.models import Order, Payment, Refund
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

RECENT = timedelta(days=30)
COLLECTED_BY_WECHAT = (PaymentChannel.WECHAT_JSAPI, PaymentChannel.WECHAT_NATIVE)
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
    payments = _load_payments(now)
    try:
        return sandbox_control.adopt_payments(sandbox_url, payments)
    except GatewayUnavailable as error:
        log.warning("payments of the example data cannot be refunded in the sandbox: %s", error)
        return 0


# A unit of work of its own, so that nothing is open in the database during the call.
@transactional
def _load_payments(now: datetime) -> list[PaidPayment]:
    refunded = func.coalesce(func.sum(Refund.amount_fen), 0)
    is_done = and_(Refund.payment_id == Payment.id, Refund.status == RefundStatus.SUCCEEDED)
    columns: tuple[Any, ...] = (
        Payment.payment_no,
        Payment.transaction_no,
        Payment.amount_fen,
        refunded,
        Payment.paid_at,
    )
    rows = session().execute(
        select(*columns)
        .join(Order, Order.id == Payment.order_id)
        .outerjoin(Refund, is_done)
        .where(Payment.status == PaymentStatus.SUCCEEDED, Payment.channel.in_(COLLECTED_BY_WECHAT))
        .where(or_(Payment.paid_at >= now - RECENT, Order.status.in_(REFUNDABLE)))
        .group_by(Payment.id)
        .order_by(Payment.id)
    )
    return [PaidPayment(*row) for row in rows]
