"""Which changes of its booking an order's customer may make next, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.changes import check_change
from app.domain.errors import ChangeNotAllowed
from app.domain.states import ChangeKind, ChangeStatus
from app.models import Booking, Order
from app.services.overtime import booked_end
from app.services.pending_changes import CHANGEABLE
from app.services.room_rules import frozen_policy


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
