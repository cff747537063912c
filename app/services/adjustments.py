"""Staff adjustments: an extra or a discount on one order, with the reason as its line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.domain.actor import Actor
from app.domain.errors import Forbidden, InvalidField, InvalidTransition
from app.domain.pricing import LineKind, QuoteLine, total_lines
from app.domain.states import OrderKind, OrderStatus, PaymentStatus
from app.models import Order, OrderLine, Payment
from app.services import bookings, payments, refunds
from app.services.audit import record_change
from app.services.order_log import add_lines, record_event
from app.services.orders import find_order
from app.services.stays import lock_stay
from app.services.unit_of_work import session, transactional

ADJUSTABLE = (
    OrderStatus.PENDING_PAYMENT,
    OrderStatus.PAID,
    OrderStatus.AWAITING_USE,
    OrderStatus.IN_USE,
    OrderStatus.COMPLETED,
)
MOST_FEN = 10_000_000
LONGEST_REASON = 100


def refuse_adjust(order: Order, now: datetime) -> Any:
    """Return why the price of an order cannot be adjusted, or None."""
    is_late = order.expires_at is not None and order.expires_at <= now
    if order.kind is not OrderKind.BOOKING or order.status not in ADJUSTABLE:
        return _l("The price of this order can no longer be changed.")
    if order.status is OrderStatus.PENDING_PAYMENT and is_late:
        return _l("The time to pay is over.")
    if order.pending_change is not None:
        # What the change costs was worked out from the lines as they are.
        return _l("A change of this order waits for its payment.")
    return None


def add_adjustment(no: str, amount_fen: int, reason: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Add *amount_fen* (negative: take it off) to a booking order as a line that bears the reason.

    Returns `{total_fen, due_fen, refund_fen}`. What has been paid beyond the new total goes back by the
    original route at once; what is missing is due. An unpaid order with nothing left to pay counts as paid.
    Raises NotFound outside the scope, Forbidden for customers, InvalidField (no amount, below 0 in all, no
    reason), InvalidTransition for an order that is over, or while a payment of the old amount is under way.
    """
    if not actor.is_staff:
        raise Forbidden()
    order_id = find_order(no, actor=actor)
    check_request(amount_fen, reason)
    order = session().get(Order, order_id, populate_existing=True)
    assert order is not None
    # Asked twice: a refusal must not have closed anybody's payment, and the locked order decides.
    _check_order(order, amount_fen, now)
    # Whoever pays an older amount meanwhile has paid; the rest is settled like on any paid order.
    payments.close_open_payments(order_id, now=now)
    return _add_adjustment(order_id, amount_fen, reason.strip(), actor=actor, now=now)


def check_request(amount_fen: int, reason: str) -> None:
    """Raise InvalidField for an amount or a reason that can be no adjustment of any order."""
    if amount_fen == 0 or abs(amount_fen) > MOST_FEN:
        raise InvalidField.of("amount_fen", _l("Please give an amount other than 0, at most ¥100,000."))
    if not reason.strip():
        raise InvalidField.of("reason", _l("Please give a reason."))
    if len(reason.strip()) > LONGEST_REASON:
        raise InvalidField.of("reason", _l("At most 100 characters, please."))


@transactional
def _add_adjustment(
    order_id: int, amount_fen: int, reason: str, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    order, _booking = lock_stay(order_id)
    session().expire(order, ["changes"])
    _check_order(order, amount_fen, now)
    _check_payments(order)
    before = {"total_fen": order.total_fen}
    add_line(order, QuoteLine(LineKind.ADJUSTMENT, reason, amount_fen))
    record_event(order, "adjust", actor=actor, now=now, reason=reason, data={"amount_fen": amount_fen})
    record_change(
        actor=actor,
        action="adjust",
        entity="orders",
        entity_id=order.id,
        store_id=order.store_id,
        before=before,
        after={"total_fen": order.total_fen},
        reason=reason,
        now=now,
    )
    return _settle(order, reason, actor=actor, now=now)


def _check_order(order: Order, amount_fen: int, now: datetime) -> None:
    refusal = refuse_adjust(order, now)
    if refusal is not None:
        raise InvalidTransition(refusal, data={"event": "adjust", "status": str(order.status)})
    if order.total_fen + amount_fen < 0:
        raise InvalidField.of("amount_fen", _l("The total cannot be less than ¥0."))


def _check_payments(order: Order) -> None:
    is_open = select(Payment.id).where(Payment.order_id == order.id, Payment.status == PaymentStatus.PENDING)
    if session().scalar(is_open.limit(1)) is not None:
        # Begun this moment by somebody else, or the service does not answer: to look again is what helps.
        message = _l("A payment is under way. Please try again shortly.")
        raise InvalidTransition(message, data={"event": "adjust", "status": str(order.status)})


def add_line(order: Order, line: QuoteLine) -> None:
    """Add a line to a locked order and bring its sums up to date."""
    last = session().scalar(select(func.max(OrderLine.position)).where(OrderLine.order_id == order.id))
    add_lines(order, [line], first_position=0 if last is None else last + 1)
    session().flush()
    rows = session().execute(
        select(OrderLine.kind, OrderLine.amount_fen).where(OrderLine.order_id == order.id)
    )
    totals = total_lines((row.kind, row.amount_fen) for row in rows)
    order.base_fen, order.extra_fen = totals.base_fen, totals.extra_fen
    order.discount_fen, order.total_fen = totals.discount_fen, totals.total_fen
    session().flush()


def _settle(order: Order, reason: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Give back what is paid beyond the new total, or confirm an order that has become free."""
    # What is on its way back already counts as gone.
    kept_fen = refunds.refundable_fen(order)
    surplus_fen = max(0, kept_fen - order.total_fen)
    if surplus_fen:
        refunds.refund_order(order, surplus_fen, reason=reason, actor=actor, now=now)
    elif order.status is OrderStatus.PENDING_PAYMENT and order.total_fen == 0:
        bookings.settle_paid(order, actor=actor, now=now)
    due_fen = max(0, order.total_fen - kept_fen)
    return {"total_fen": order.total_fen, "due_fen": due_fen, "refund_fen": surplus_fen}
