"""Being there: checking in, the door, and checking out."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.actor import Actor
from app.domain.errors import InvalidTransition
from app.domain.slots import Span, floor_minute
from app.domain.states import BookingState, ChangeKind, OrderKind, OrderStatus
from app.models import Booking, Order
from app.services import doors, leaving, notifications, overtime, pending_changes, vouchers
from app.services.booking_rows import booking_of, cleaning_of, lock_booking
from app.services.bookings import release_stale_holds
from app.services.locks import lock_order
from app.services.order_actions import refuse_entry
from app.services.order_log import record_event
from app.services.orders import find_order, refuse_check_in
from app.services.room_rules import load_occupancy
from app.services.stay_status import move_stay, status_of_stay
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

TAKEN_BEFORE = _l("Somebody else has the room before the booked time.")


def check_in(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Let the customer into the room and return `{access}`; a door that fails never stands in the way.

    A customer may come from the policy's minutes before the start, while the room is empty; staff let in at
    any time before the end. Raises NotFound, InvalidTransition.
    """
    booking = _check_in(find_order(no, actor=actor), actor=actor, now=now)
    return {"access": doors.open_room(booking, now=now)}


@transactional
def _check_in(order_id: int, *, actor: Actor, now: datetime) -> Booking:
    order, booking = lock_stay(order_id)
    let_guests_in(order, booking, actor=actor, now=now)
    vouchers.redeem_for_booking(order, actor=actor, now=now)
    return booking


def let_guests_in(order: Order, booking: Booking, *, actor: Actor, now: datetime) -> None:
    """Put a locked order in use; the voucher that may pay it is the caller's business."""
    if status_of_stay(order, booking) is not OrderStatus.AWAITING_USE:
        raise InvalidTransition(data={"event": "check_in", "status": str(order.status)})
    reason = refuse_check_in(order, booking, now) if actor.is_customer else None
    if reason is not None or now >= booking.end_at:
        raise InvalidTransition(reason, data={"event": "check_in", "status": str(order.status)})
    if (reason := refuse_entry(booking, now=now)) is not None:
        raise InvalidTransition(reason, data={"event": "check_in", "status": "room_in_use"})
    if now < booking.busy_from_at:
        _take_early(booking, now=now)
    # A change that is not paid yet is over once the guests are in; more time they may still pay for.
    change = pending_changes.pending_of(order)
    if change is not None and change.kind is ChangeKind.CHANGE:
        pending_changes.drop_pending(order, actor=actor, now=now)
    move_stay(order, booking, "check_in", OrderStatus.IN_USE, actor=actor, now=now)
    booking.state = BookingState.IN_USE
    booking.checked_in_at = now
    notifications.queue_notice("booking_started", order=order, now=now)


def _take_early(booking: Booking, *, now: datetime) -> None:
    """Let guests who come early have the room from now on, unless somebody else comes before them.

    Cleaning after the guests before may still go on: the room is theirs once that is over.
    """
    release_stale_holds(booking.room_id, now=now)
    before = Span(now, booking.busy_from_at)
    occupancy = load_occupancy([booking.room_id], before, now=now, except_order_id=booking.order_id)
    others, blocks = occupancy[booking.room_id]
    if blocks or any(taken.core.start_at >= now for taken in others):
        raise InvalidTransition(TAKEN_BEFORE, data={"event": "check_in", "status": "room_taken"})
    booking.busy_from_at = max((now, *(taken.busy.end_at for taken in others)))


def lock_stay(order_id: int) -> tuple[Order, Booking]:
    """Lock the room and the order of a booking and return both as they are now."""
    return lock_booking(order_id)


def open_door(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Open the room of guests who are in once more and return `{access}`, None when the door is silent.

    A door that answers settles the failures before. Raises NotFound, InvalidTransition.
    """
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    booking = _booking_in_use(order)
    if booking is None:
        raise InvalidTransition(data={"event": "open_door", "status": str(order.status)})
    access = doors.open_room(booking, now=now)
    if access is not None:
        _record_door_opened(order.id, actor=actor, now=now)
    return {"access": access}


def _booking_in_use(order: Order) -> Booking | None:
    booking = booking_of(order) if order.kind is OrderKind.BOOKING else None
    return booking if booking is not None and booking.state is BookingState.IN_USE else None


@transactional
def _record_door_opened(order_id: int, *, actor: Actor, now: datetime) -> None:
    record_event(lock_order(order_id), "door_opened", actor=actor, now=now)


@transactional
def check_out(no: str, *, actor: Actor, now: datetime) -> None:
    """End the use at once: the rest of the time is free again, after cleaning. Raises InvalidTransition."""
    order, booking = lock_stay(find_order(no, actor=actor))
    finish(order, booking, "check_out", actor=actor, now=now)


def finish(order: Order, booking: Booking, event: str, *, actor: Actor, now: datetime) -> None:
    """Complete an order by *event*: overtime becomes due, unused time comes back by the policy.

    While money is on its way back the order gets its status once that has arrived. The caller holds the locks
    of room and order.
    """
    pending_changes.drop_pending(order, actor=actor, now=now)
    if booking.state is BookingState.IN_USE:
        overtime.settle_overtime(order, booking, now=now)
        leaving.give_back_unused(order, booking, actor=actor, now=now)
    move_stay(order, booking, event, OrderStatus.COMPLETED, actor=actor, now=now, finished_at=now)
    end_booking(order, booking, now=now)
    notifications.queue_notice("booking_completed", order=order, now=now)


def end_booking(order: Order, booking: Booking, *, now: datetime) -> None:
    """Give back what is left of the booked time; cleaning follows the end that it really had."""
    left_at = floor_minute(now) + timedelta(minutes=1)
    booking.ended_at = now
    if now <= booking.start_at:
        # Left before the booked time began: nothing of it was used.
        booking.state = BookingState.RELEASED
    else:
        booking.state = BookingState.ENDED
    if booking.start_at < left_at < booking.end_at:
        cleaning = cleaning_of(booking)
        booking.end_at = left_at
        booking.busy_until_at = left_at + cleaning
    session().flush()
