"""What can be paid on an order now, and what a payment that has come was for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.actor import PAYMENT_SERVICE
from app.domain.states import OrderKind, OrderStatus
from app.models import Order, Payment
from app.services import notifications, pending_changes, refunds

# Orders that live, or lived to their end: what they still owe can be paid.
LIVING = (OrderStatus.PAID, OrderStatus.AWAITING_USE, OrderStatus.IN_USE, OrderStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class Due:
    """An amount that can be paid until `expires_at`; `change_id` is the change that it makes real."""

    amount_fen: int
    expires_at: datetime
    change_id: int | None = None


def outstanding_fen(order: Order) -> int:
    """Return what the order's own lines still owe, pending changes aside.

    What is on its way back is no longer ours, so nobody can pay with it.
    """
    return max(0, order.total_fen - refunds.refundable_fen(order))


def open_due(order: Order, *, now: datetime) -> Due | None:
    """Return what an order owes and until when it can be paid, None when nothing can be."""
    if order.status is OrderStatus.PENDING_PAYMENT:
        amount_fen = order.total_fen - order.paid_fen
        if amount_fen <= 0 or order.expires_at is None or order.expires_at <= now:
            return None
        return Due(amount_fen, order.expires_at)
    if order.kind is not OrderKind.BOOKING or order.status not in LIVING:
        return None
    change = pending_changes.pending_of(order)
    if change is not None and change.expires_at is not None and change.expires_at > now:
        return Due(outstanding_fen(order) + change.amount_fen, change.expires_at, change.id)
    amount_fen = outstanding_fen(order)
    expires_at = now + timedelta(minutes=order.policy["hold_minutes"])
    return Due(amount_fen, expires_at) if amount_fen else None


def surplus_fen(order: Order) -> int:
    """Return what a living booking was paid beyond its price: it became cheaper while somebody paid."""
    if order.kind is not OrderKind.BOOKING or order.status not in LIVING:
        return 0
    return max(0, refunds.refundable_fen(order) - order.total_fen)


def settle_due(order: Order, payment: Payment, *, now: datetime) -> bool:
    """Use a credited payment for what a living order owes; False when nobody needs it.

    The caller holds the locks of the rooms, the order and the payment.
    """
    if order.kind is not OrderKind.BOOKING or order.status not in LIVING:
        return False
    if payment.change_id is not None:
        return pending_changes.settle_change(payment.change_id, order, actor=PAYMENT_SERVICE, now=now)
    # Money that came twice: the order was paid for without it.
    if refunds.refundable_fen(order) - payment.amount_fen >= order.total_fen:
        return False
    variables = {"amount": payment.amount_fen}
    notifications.queue_notice(
        "order_paid", order=order, occurrence=payment.payment_no, variables=variables, now=now
    )
    return True
