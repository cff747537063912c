"""Figures about the running product that the database knows."""

from __future__ import annotations

from sqlalchemy import func, select

from app.domain.states import NotificationStatus, OrderStatus, PaymentStatus, RefundStatus
from app.models import Notification, Order, Payment, Refund
from app.services.unit_of_work import session

# Orders that somebody still waits for; finished ones are many and belong into reports.
LIVE_ORDERS = (
    OrderStatus.PENDING_PAYMENT,
    OrderStatus.PAID,
    OrderStatus.AWAITING_USE,
    OrderStatus.IN_USE,
    OrderStatus.REFUNDING,
    OrderStatus.FORMING,
)
BACKLOG = (NotificationStatus.PENDING, NotificationStatus.SENDING, NotificationStatus.FAILED)
OPEN_REFUNDS = (RefundStatus.CREATED, RefundStatus.PROCESSING, RefundStatus.ABNORMAL)


def count_live_orders() -> dict[str, int]:
    """Return how many orders are in each living status, zeros included."""
    rows = session().execute(
        select(Order.status, func.count()).where(Order.status.in_(LIVE_ORDERS)).group_by(Order.status)
    )
    counts = {status.value: number for status, number in rows}
    return {status.value: counts.get(status.value, 0) for status in LIVE_ORDERS}


def count_waiting() -> dict[str, int]:
    """Return how many messages, payments and refunds wait for somebody outside."""
    queries = {
        "messages": select(func.count()).where(Notification.status.in_(BACKLOG)),
        "payments": select(func.count()).where(Payment.status == PaymentStatus.PENDING),
        "refunds": select(func.count()).where(Refund.status.in_(OPEN_REFUNDS)),
    }
    row = session().execute(select(*(query.scalar_subquery() for query in queries.values()))).one()
    return dict(zip(queries, row, strict=True))
