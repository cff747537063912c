"""Where a booking stands apart from money of it that is on its way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.domain.actor import Actor
from app.domain.states import BOOKING_ORDER, BookingState, OrderStatus, check_transition
from app.models import Booking, Order
from app.services.order_log import move_order, record_event
from app.services.unit_of_work import session


def status_of_stay(order: Order, booking: Booking | None) -> OrderStatus:
    """Return the status that counts for the room and its guests.

    An approved refund of a part leaves a booking as it is: while the order shows `refunding` its booking
    says whether guests are awaited or in, and a deadline that runs that staff have not confirmed it.
    """
    if order.status is not OrderStatus.REFUNDING or booking is None:
        return order.status
    if booking.state is BookingState.IN_USE:
        return OrderStatus.IN_USE
    if booking.state is BookingState.RESERVED:
        return OrderStatus.AWAITING_USE if order.confirm_by_at is None else OrderStatus.PAID
    return order.status


def move_stay(
    order: Order,
    booking: Booking | None,
    event: str,
    target: OrderStatus,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    data: dict[str, Any] | None = None,
    **values: Any,
) -> None:
    """As `move_order`, also of a locked order that is `refunding`, before its booking goes on.

    Such an order keeps its status and is told what happened; it goes where its booking is when the refund is
    done. Raises InvalidTransition.
    """
    if order.status is not OrderStatus.REFUNDING:
        move_order(order, event, target, actor=actor, now=now, reason=reason, data=data, **values)
        return
    check_transition(BOOKING_ORDER, event, status_of_stay(order, booking), target)
    for name, value in values.items():
        setattr(order, name, value)
    session().flush()
    record_event(order, event, actor=actor, now=now, reason=reason, data=data)
