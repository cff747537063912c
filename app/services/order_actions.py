"""What an order's customer may do next with its booking and its money, or why not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, or_, select

from app.domain.changes import check_change
from app.domain.errors import ChangeNotAllowed
from app.domain.refund_rules import is_in_window
from app.domain.states import (
    BookingState,
    ChangeKind,
    ChangeStatus,
    OrderKind,
    OrderStatus,
    RefundRequestStatus,
    VoucherStatus,
)
from app.models import Booking, Order, RoomBlock
from app.services.overtime import booked_end
from app.services.pending_changes import CHANGEABLE
from app.services.refunds import kept_fen
from app.services.room_rules import frozen_policy
from app.services.unit_of_work import session

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


def refuse_entry(booking: Booking, *, now: datetime) -> Any:
    """Return why the room of a booking cannot be entered at this moment, or None: it has to be empty.

    Guests who are in keep it until their end (those whose time is over count as gone, also before the job has
    noted it); so does whoever has the room at this moment, and a block.
    """
    mine = (Booking.room_id == booking.room_id, Booking.order_id != booking.order_id, Booking.end_at > now)
    if _is_any(select(Booking.id).where(*mine, Booking.state == BookingState.IN_USE)):
        return _l("Other guests are still in the room.")
    is_live = or_(Booking.state == BookingState.RESERVED, Booking.hold_expires_at > now)
    waiting = (BookingState.HELD, BookingState.RESERVED)
    kept = select(Booking.id).where(*mine, Booking.start_at <= now, Booking.state.in_(waiting), is_live)
    blocked = select(RoomBlock.id).where(
        RoomBlock.room_id == booking.room_id, RoomBlock.start_at <= now, RoomBlock.end_at > now
    )
    return _l("The room is not free yet.") if _is_any(kept) or _is_any(blocked) else None


def _is_any(query: Select[Any]) -> bool:
    return session().scalar(query.limit(1)) is not None


def refuse_refund_request(order: Order, booking: Booking | None, *, now: datetime) -> Any:
    """Return why no refund of an order can be asked for, or None."""
    if order.status not in REFUNDABLE[order.kind]:
        return _l("No refund can be asked for this order.")
    if order.paid_fen <= order.refunded_fen:
        return _l("There is nothing to refund.")
    if booking is not None and not is_in_window(frozen_policy(order.policy), end_at=booking.end_at, now=now):
        return _l("The time to ask for a refund is over.")
    if not _has_refundable(order):
        return _l("There is nothing to refund.")
    if any(request.status is RefundRequestStatus.REQUESTED for request in order.refund_requests):
        return _l("A refund has been asked for already.")
    return None


def _has_refundable(order: Order) -> bool:
    """Tell whether money is left to give back; used vouchers have earned theirs."""
    is_issued = order.kind is OrderKind.GROUP_BUY and order.status is OrderStatus.ISSUED
    if is_issued and all(voucher.status is not VoucherStatus.ISSUED for voucher in order.vouchers):
        return False
    return kept_fen(order.payments) > 0
