"""Leaving an order: what it costs by its frozen steps, and doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.domain.actor import Actor
from app.domain.booking_rules import FeePreview, cancel_fee
from app.domain.errors import InvalidTransition
from app.domain.events import REASON_LABELS
from app.domain.states import BookingState, OrderKind, OrderStatus
from app.models import Order
from app.services import (
    bookings,
    group_orders,
    notifications,
    payments,
    pending_changes,
    refunds,
    vouchers,
)
from app.services.booking_rows import lock_rooms_of
from app.services.locks import lock_order
from app.services.orders import find_order
from app.services.refund_decisions import drop_open_request
from app.services.room_rules import fee_steps
from app.services.stay_status import move_stay
from app.services.unit_of_work import session, transactional

PENDING = OrderStatus.PENDING_PAYMENT
PAID_STATES = (OrderStatus.PAID, OrderStatus.AWAITING_USE)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaving an order now means."""

    fee_fen: int
    refund_fen: int
    step: dict[str, Any] | None


def preview_cancel(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return `{fee_fen, refund_fen, step}` of cancelling now; raises NotFound, InvalidTransition."""
    order = session().get(Order, find_order(no, actor=actor), populate_existing=True)
    assert order is not None
    leaving = _leaving(order, now=now)
    return {"fee_fen": leaving.fee_fen, "refund_fen": leaving.refund_fen, "step": leaving.step}


def _leaving(order: Order, *, now: datetime) -> Leaving:
    if order.status is PENDING:
        return Leaving(0, refunds.refundable_fen(order), None)
    if order.kind is OrderKind.GROUP_BUY or order.status not in PAID_STATES:
        raise InvalidTransition(data={"event": "cancel", "status": str(order.status)})
    steps = fee_steps(order.policy["cancel_steps"])
    start_at = bookings.booking_of(order).start_at
    preview: FeePreview = cancel_fee(steps, refunds.refundable_fen(order), start_at, now)
    return Leaving(preview.fee_fen, preview.refund_fen, asdict(preview.step) if preview.step else None)


def cancel_order(no: str, *, reason: str = "", actor: Actor, now: datetime) -> None:
    """Cancel an order, free what it holds and refund what its policy gives back.

    An open payment is closed at the service first; one that turns out to have been paid goes back whole,
    because no fee was shown for an order that was not paid. Raises NotFound, InvalidTransition.
    """
    order_id = find_order(no, actor=actor)
    was_pending = session().get_one(Order, order_id, populate_existing=True).status is PENDING
    payments.close_open_payments(order_id, now=now)
    _cancel(order_id, is_free=was_pending, reason=reason, actor=actor, now=now)


@transactional
def _cancel(order_id: int, *, is_free: bool, reason: str, actor: Actor, now: datetime) -> None:
    lock_rooms_of(order_id)
    order = lock_order(order_id)
    leaving = _leaving(order, now=now)
    if is_free:
        leaving = Leaving(0, refunds.refundable_fen(order), None)
    pending_changes.drop_pending(order, actor=actor, now=now, reason=reason)
    if order.kind is OrderKind.GROUP_BUY:
        group_orders.give_back(order)
    else:
        _give_vouchers_back(order, actor=actor, now=now)
        bookings.release(order, BookingState.RELEASED)
    leave(order, "cancel", leaving, reason=reason, actor=actor, now=now)
    notifications.queue_notice("order_cancelled", order=order, variables={"reason": reason}, now=now)


def _give_vouchers_back(order: Order, *, actor: Actor, now: datetime) -> None:
    """Where the steps keep all the money they keep the voucher too: it counts as used."""
    steps = fee_steps(order.policy["cancel_steps"])
    if cancel_fee(steps, 100, bookings.booking_of(order).start_at, now).refund_fen:
        vouchers.unlock_vouchers(order)
    else:
        vouchers.redeem_for_booking(order, actor=actor, now=now)


def leave(order: Order, event: str, leaving: Leaving, *, reason: str, actor: Actor, now: datetime) -> None:
    """Move the order by *event* to refunding or cancelled, and create the refund."""
    drop_open_request(order, actor=actor, now=now)
    move_stay(
        order,
        bookings.booking_of(order) if order.kind is OrderKind.BOOKING else None,
        event,
        OrderStatus.REFUNDING if leaving.refund_fen else OrderStatus.CANCELLED,
        actor=actor,
        now=now,
        reason=reason,
        data={"fee_fen": leaving.fee_fen, "refund_fen": leaving.refund_fen},
        cancel_fee_fen=leaving.fee_fen,
        finished_at=now,
        expires_at=None,
        confirm_by_at=None,
    )
    if leaving.refund_fen:
        refunds.refund_order(order, leaving.refund_fen, reason=reason or event, actor=actor, now=now)


@transactional
def refuse_order(no: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Refuse a paid booking that staff have to confirm: everything goes back. Raises InvalidTransition."""
    order_id = find_order(no, actor=actor)
    lock_rooms_of(order_id)
    order = lock_order(order_id)
    pending_changes.drop_pending(order, actor=actor, now=now, reason=reason)
    leaving = Leaving(0, refunds.refundable_fen(order), None)
    leave(order, "refuse", leaving, reason=reason, actor=actor, now=now)
    bookings.release(order)
    vouchers.unlock_vouchers(order)
    # The notice says by itself that the booking was not confirmed; only what somebody typed is added.
    told = "" if reason in REASON_LABELS else reason
    notifications.queue_notice("booking_refused", order=order, variables={"reason": told}, now=now)


@transactional
def confirm_order(no: str, *, actor: Actor, now: datetime) -> None:
    """Confirm a paid booking by hand; raises NotFound, InvalidTransition."""
    order = lock_order(find_order(no, actor=actor))
    booking = bookings.booking_of(order) if order.kind is OrderKind.BOOKING else None
    move_stay(order, booking, "confirm", OrderStatus.AWAITING_USE, actor=actor, now=now, confirm_by_at=None)
    notifications.queue_notice("booking_confirmed", order=order, now=now)
