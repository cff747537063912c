"""What an order's customer may do next with its booking and its money, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.changes import check_change
from app.domain.errors import ChangeNotAllowed
from app.domain.refund_rules import is_in_window
from app.domain.states import ChangeKind, ChangeStatus, OrderKind, OrderStatus
from app.models import Booking, Order
from app.services.overtime import booked_end
from app.services.pending_changes import CHANGEABLE
from app.services.room_rules import frozen_policy

REFUNDABLE = {
    OrderKind.BOOKING: (
        OrderStatus.PAID,
        OrderStatus.AWAITING_USE,
        OrderStatus.IN_USE,
        OrderStatus.COMPLETED,
    ),
    OrderKind.GROUP_BUY: (OrderStatus.FORMING, OrderStatus.ISSUED),
}


def refuse_change(order: Order, booking: Booking, *, now: datetime) -> Any:
    """Return why a customer cannot change the booking, or None."""
    if order.status not in CHANGEABLE[ChangeKind.CHANGE]:
        return _l("Only a booking that waits for its use can be changed.")
    done = [
        change
        for change in order.changes
        if change.kind is ChangeKind.CHANGE
        and change.status is ChangeStatus.APPLIED
        and change.actor_kind == "customer"
    ]
    policy = frozen_policy(order.policy)
    try:
        check_change(policy, change_count=len(done), start_at=booking.start_at, now=now)
    except ChangeNotAllowed as refusal:
        is_late = (refusal.data or {}).get("rule") == "change_deadline_minutes"
        return _l("It is too late for a change.") if is_late else _l("It cannot be changed any more often.")
    return None


def refuse_extension(order: Order, booking: Booking, *, now: datetime) -> Any:
    """Return why nobody can extend the booking, or None; whether the room is free is asked by the preview."""
    if order.status not in CHANGEABLE[ChangeKind.EXTENSION]:
        return _l("Only a booking that waits for its use or is in use can be extended.")
    if now >= booked_end(booking) and not frozen_policy(order.policy).has_overtime:
        return _l("The booked time is over.")
    return None


def refuse_refund_request(order: Order, booking: Booking | None, *, now: datetime) -> Any:
    """Return why no refund of an order can be asked for, or None."""
    if order.status not in REFUNDABLE[order.kind]:
        return _l("No refund can be asked for this order.")
    if order.paid_fen <= order.refunded_fen:
        return _l("There is nothing to refund.")
    if booking is not None and not is_in_window(frozen_policy(order.policy), end_at=booking.end_at, now=now):
        return _l("The time to ask for a refund is over.")
    return None
