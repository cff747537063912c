"""What happens to bookings because time passes; every job may run twice or late without harm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.domain import overtime as overtime_rules
from app.domain.actor import SYSTEM
from app.domain.slots import MINUTE
from app.domain.states import BookingState, ChangeStatus, OrderKind, OrderStatus
from app.models import Booking, Order, OrderChange
from app.services import bookings, cancellations, notifications, overtime, payments, pending_changes
from app.services.booking_rows import lock_booking
from app.services.leaving import close_no_show, release_no_shows
from app.services.stay_status import status_of_stay
from app.services.stays import finish
from app.services.sweeps import sweep
from app.services.unit_of_work import session, transactional

# Minutes before the end at which customer and shop are warned.
WARNING_MINUTES = (30, 15, 5)
STARTING_SOON_MINUTES = 30
# A warning may come so much late, when the job paused; then it names the minutes that are left.
LATE_BY = timedelta(minutes=5)


def expire_holds(*, now: datetime, limit: int = 200) -> int:
    """Expire the bookings that were not paid in time; the provider's order is closed first."""
    due = session().scalars(
        select(Order.id)
        .where(
            Order.kind == OrderKind.BOOKING,
            Order.status == OrderStatus.PENDING_PAYMENT,
            Order.expires_at <= now,
        )
        .order_by(Order.expires_at)
        .limit(limit)
    )

    def expire(order_id: int) -> bool:
        return payments.close_open_payments(order_id, now=now) and _expire_hold(order_id, now=now)

    return sweep(due.all(), expire)


@transactional
def _expire_hold(order_id: int, *, now: datetime) -> bool:
    order, _ = lock_booking(order_id)
    if order.status is not OrderStatus.PENDING_PAYMENT or order.expires_at is None or order.expires_at > now:
        return False
    bookings.expire_order(order, now=now)
    return True


def expire_changes(*, now: datetime, limit: int = 200) -> int:
    """Drop the changes and extensions that were not paid in time; the provider's order is closed first."""
    due = session().scalars(
        select(OrderChange.order_id)
        .where(OrderChange.status == ChangeStatus.PENDING, OrderChange.expires_at <= now)
        .order_by(OrderChange.expires_at)
        .limit(limit)
    )

    def expire(order_id: int) -> bool:
        return payments.close_open_payments(order_id, now=now) and _expire_change(order_id, now=now)

    return sweep(due.all(), expire)


@transactional
def _expire_change(order_id: int, *, now: datetime) -> bool:
    order, _ = lock_booking(order_id)
    return pending_changes.expire_pending(order, now=now)


def advance_bookings(*, now: datetime, limit: int = 500) -> int:
    """Finish what is over: stays end or go into overtime, rooms that nobody came to are freed."""
    due = session().scalars(
        select(Booking.order_id)
        .where(Booking.state.in_((BookingState.IN_USE, BookingState.RESERVED)), Booking.end_at <= now)
        .order_by(Booking.end_at)
        .limit(limit)
    )
    count = sweep(due.all(), lambda order_id: _advance(order_id, now=now))
    return count + release_no_shows(now=now) + refuse_overdue(now=now)


@transactional
def _advance(order_id: int, *, now: datetime) -> bool:
    order, booking = lock_booking(order_id)
    # An extension that may still be paid keeps the guests where they are; its time is held for them.
    if booking.end_at > now or pending_changes.is_awaited(order, now=now):
        return False
    # Money that is on its way back keeps nobody here.
    status = status_of_stay(order, booking)
    if status is OrderStatus.IN_USE:
        if not overtime.follow_guests(order, booking, now=now):
            finish(order, booking, "end", actor=SYSTEM, now=now)
        return True
    if status is OrderStatus.AWAITING_USE:
        # Nobody came: the room was kept free all the same.
        close_no_show(order, booking, now=now)
        return True
    return False


def refuse_overdue(*, now: datetime, limit: int = 200) -> int:
    """Refund the paid bookings that staff did not confirm by their deadline."""
    due = session().scalars(
        select(Order.no)
        .where(Order.status.in_((OrderStatus.PAID, OrderStatus.REFUNDING)), Order.confirm_by_at <= now)
        .order_by(Order.confirm_by_at)
        .limit(limit)
    )

    def refuse(no: str) -> bool:
        cancellations.refuse_order(no, reason="not_confirmed", actor=SYSTEM, now=now)
        return True

    return sweep(due.all(), refuse)


def queue_warnings(*, now: datetime) -> int:
    """Announce starts in 30 minutes and ends in 30, 15 and 5 minutes, each once."""
    count = 0
    for minutes in WARNING_MINUTES:
        count += _warn_of_end(minutes, now=now) + _warn_in_overtime(minutes, now=now)
    return count + _warn_of_start(now=now)


@transactional
def _warn_of_end(minutes: int, *, now: datetime) -> int:
    orders = _due_orders(BookingState.IN_USE, Booking.end_at, minutes, now)
    for order, end_at in orders:
        _warn_of_followers(order, minutes, now=now)
        notifications.queue_notice(
            "ending_soon",
            order=order,
            occurrence=_occurrence(minutes, end_at),
            variables={"minutes": _minutes_to(end_at, now)},
            expires_at=end_at,
            now=now,
        )
    return len(orders)


def _occurrence(minutes: int, at: datetime) -> str:
    """A warning is given once for each mark before an instant; who moves the instant is warned anew."""
    return f"{minutes}:{at:%Y%m%d%H%M}"


def _minutes_to(at: datetime, now: datetime) -> int:
    return -((now - at) // MINUTE)


def _warn_of_followers(order: Order, minutes: int, *, now: datetime) -> None:
    """Where the next guests leave no time for an extension, staff have to see that the room gets empty."""
    booking = bookings.booking_of(order)
    step = timedelta(minutes=order.policy["length_step_minutes"])
    if overtime.latest_end(booking, booking.end_at, now=now) < booking.end_at + step:
        _alert_staff(order, minutes, booking.end_at, now=now)


def _alert_staff(order: Order, minutes: int, leave_by_at: datetime, *, now: datetime) -> None:
    notifications.queue_notice(
        "guests_follow",
        order=order,
        occurrence=_occurrence(minutes, leave_by_at),
        variables={"minutes": _minutes_to(leave_by_at, now), "end": leave_by_at},
        now=now,
    )


@transactional
def _warn_in_overtime(minutes: int, *, now: datetime) -> int:
    """Guests who stay beyond their end have to be gone before the next ones come: staff are told in time."""
    rows = session().execute(
        select(Order, Booking)
        .join(Booking, Booking.order_id == Order.id)
        .where(Booking.state == BookingState.IN_USE, Booking.overtime_from_at.is_not(None))
        .order_by(Order.id)
    )
    count = 0
    for order, booking in rows.all():
        from_at = overtime.booked_end(booking)
        leave_by_at = overtime.latest_end(booking, from_at, now=now)
        has_followers = leave_by_at < from_at + timedelta(minutes=overtime_rules.MOST_MINUTES)
        if has_followers and _is_due(leave_by_at, minutes, now):
            _alert_staff(order, minutes, leave_by_at, now=now)
            count += 1
    return count


@transactional
def _warn_of_start(*, now: datetime) -> int:
    found = _due_orders(BookingState.RESERVED, Booking.start_at, STARTING_SOON_MINUTES, now)
    # Who still waits for the staff's word is not told to come.
    orders = [(order, at) for order, at in found if _is_awaited(order)]
    for order, start_at in orders:
        notifications.queue_notice(
            "starting_soon",
            order=order,
            occurrence=f"{start_at:%Y%m%d%H%M}",
            variables={"minutes": _minutes_to(start_at, now)},
            expires_at=start_at,
            now=now,
        )
    return len(orders)


def _is_awaited(order: Order) -> bool:
    return status_of_stay(order, bookings.booking_of(order)) is OrderStatus.AWAITING_USE


def _is_due(at: datetime, minutes: int, now: datetime) -> bool:
    edge = now + timedelta(minutes=minutes)
    return edge - LATE_BY < at <= edge


def _due_orders(
    state: BookingState, column: Any, minutes: int, now: datetime
) -> list[tuple[Order, datetime]]:
    """Return the orders whose instant came within *minutes* not long ago, so that a run may come late."""
    edge = now + timedelta(minutes=minutes)
    rows = session().execute(
        select(Order, column)
        .join(Booking, Booking.order_id == Order.id)
        .where(
            Booking.state == state,
            Booking.overtime_from_at.is_(None),
            column > edge - LATE_BY,
            column <= edge,
        )
        # Two runs that meet write the same notices in the same order, so that neither waits in a circle.
        .order_by(Order.id)
    )
    return [(row[0], row[1]) for row in rows.all()]
