"""Changes between their request and their end: holding room for them, making them real, giving them up.

While a change waits for its payment the order keeps its booking. Bookings in state *held* with the change's
id occupy exactly what the new span needs beside it, so the constraint of the database guards both together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.domain.actor import SYSTEM, Actor
from app.domain.changes import missing_parts
from app.domain.slots import Span
from app.domain.states import CHANGE, BookingState, ChangeKind, ChangeStatus, OrderStatus, check_transition
from app.models import Booking, Order, OrderChange
from app.services import notifications
from app.services.booking_rows import booking_of, busy_of
from app.services.order_lines import from_json, lines_of, merge_lines, write_lines
from app.services.order_log import move_order, record_event
from app.services.room_rules import load_occupancy
from app.services.unit_of_work import session

CHANGEABLE = {
    ChangeKind.CHANGE: (OrderStatus.PAID, OrderStatus.AWAITING_USE),
    ChangeKind.EXTENSION: (OrderStatus.AWAITING_USE, OrderStatus.IN_USE),
}


def pending_of(order: Order) -> OrderChange | None:
    """Return the change of an order that waits for its payment, as it is now."""
    return session().scalar(
        select(OrderChange)
        .where(OrderChange.order_id == order.id, OrderChange.status == ChangeStatus.PENDING)
        .execution_options(populate_existing=True)
    )


def is_awaited(order: Order, *, now: datetime) -> bool:
    """Tell whether a change of the order may still be paid; until then nobody ends what it builds on."""
    change = pending_of(order)
    return change is not None and change.expires_at is not None and change.expires_at > now


def hold_room(change: OrderChange, booking: Booking, *, now: datetime) -> None:
    """Hold what a change needs beside the order's booking; raises RoomTaken (through the constraint)."""
    own = busy_of(booking) if booking.room_id == change.room_id else None
    core = Span(change.start_at, change.end_at)
    for part in missing_parts(Span(change.busy_from_at, change.busy_until_at), own):
        session().add(_hold(change, part, part.intersect(core) or part, now))
    session().flush()


def _hold(change: OrderChange, busy: Span, core: Span, now: datetime) -> Booking:
    return Booking(
        order_id=change.order_id,
        store_id=change.store_id,
        room_id=change.room_id,
        change_id=change.id,
        state=BookingState.HELD,
        start_at=core.start_at,
        end_at=core.end_at,
        busy_from_at=busy.start_at,
        busy_until_at=busy.end_at,
        hold_expires_at=change.expires_at,
        created_at=now,
    )


def apply_change(order: Order, change: OrderChange, *, actor: Actor, now: datetime) -> None:
    """Let the order have its new room, span and lines, and free the old ones, in the caller's transaction.

    The caller holds the locks of both rooms and the order. Raises RoomTaken (through the constraint).
    """
    _end_holds(change, BookingState.RELEASED)
    booking = booking_of(order)
    booking.room_id = change.room_id
    booking.start_at, booking.end_at = change.start_at, change.end_at
    booking.busy_from_at, booking.busy_until_at = change.busy_from_at, change.busy_until_at
    booking.overtime_from_at = None
    change.status = ChangeStatus.APPLIED
    change.settled_at = now
    session().flush()
    sums = write_lines(order, merge_lines(change.kind, lines_of(order), from_json(change.lines)))
    event = change.kind.value
    move_order(
        order, event, order.status, actor=actor, now=now, reason=change.reason, data=_facts(change), **sums
    )
    notice = "booking_extended" if change.kind is ChangeKind.EXTENSION else "booking_changed"
    notifications.queue_notice(notice, order=order, occurrence=str(change.id), now=now)


def _facts(change: OrderChange) -> dict[str, Any]:
    """What the timeline keeps: whence, whither, and the money."""
    return {
        "from": _place(change.from_room_id, change.from_start_at, change.from_end_at),
        "to": _place(change.room_id, change.start_at, change.end_at),
        "fee_fen": change.fee_fen,
        "difference_fen": change.amount_fen,
    }


def _place(room_id: int, start_at: datetime, end_at: datetime) -> dict[str, str]:
    return {"room_id": str(room_id), "start_at": start_at.isoformat(), "end_at": end_at.isoformat()}


def _end_holds(change: OrderChange, state: BookingState) -> None:
    holds = session().scalars(
        select(Booking).where(Booking.change_id == change.id, Booking.state == BookingState.HELD)
    )
    for hold in holds.all():
        hold.state = state
        hold.hold_expires_at = None
    # What was held may be needed by the next statement.
    session().flush()


def drop_pending(order: Order, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """Give up the change of a locked order that waits for its payment, if there is one."""
    change = pending_of(order)
    if change is not None:
        _give_up(order, change, "drop", ChangeStatus.DROPPED, actor=actor, now=now, reason=reason)


def expire_pending(order: Order, *, now: datetime) -> bool:
    """End the change of a locked order whose time to pay is over; tells whether there was one."""
    change = pending_of(order)
    if change is None or change.expires_at is None or change.expires_at > now:
        return False
    _give_up(order, change, "expire", ChangeStatus.EXPIRED, actor=SYSTEM, now=now)
    notifications.queue_notice("change_expired", order=order, occurrence=str(change.id), now=now)
    return True


def _give_up(
    order: Order,
    change: OrderChange,
    event: str,
    status: ChangeStatus,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> None:
    check_transition(CHANGE, event, change.status, status)
    _end_holds(change, BookingState.EXPIRED if event == "expire" else BookingState.RELEASED)
    change.status = status
    change.settled_at = now
    record_event(order, f"change_{status.value}", actor=actor, now=now, reason=reason, data=_facts(change))
    session().flush()


def settle_change(change_id: int, order: Order, *, actor: Actor, now: datetime) -> bool:
    """Make a change real whose money has come; False when it cannot be any more, and the money goes back.

    The caller holds the locks of the rooms and the order.
    """
    change = session().get_one(OrderChange, change_id, populate_existing=True)
    is_live = change.status is ChangeStatus.PENDING and _is_in_time(change, now)
    if order.status not in CHANGEABLE[change.kind] or not (is_live or _can_return(order, change, now=now)):
        return False
    check_transition(CHANGE, "apply", change.status, ChangeStatus.APPLIED)
    apply_change(order, change, actor=actor, now=now)
    return True


def _is_in_time(change: OrderChange, now: datetime) -> bool:
    """Money that comes late, before anybody has noted it, still buys what is not over."""
    return change.expires_at is None or change.expires_at > now or change.end_at > now


def _can_return(order: Order, change: OrderChange, *, now: datetime) -> bool:
    """Tell whether a change that ran out of time can still be had: all as it was, the room free."""
    booking = booking_of(order)
    is_as_it_was = (booking.room_id, booking.start_at, booking.overtime_from_at or booking.end_at) == (
        change.from_room_id,
        change.from_start_at,
        change.from_end_at,
    )
    is_open = change.status is ChangeStatus.EXPIRED and change.end_at > now and pending_of(order) is None
    return is_as_it_was and is_open and _is_free(change, now=now)


def _is_free(change: OrderChange, *, now: datetime) -> bool:
    from app.services.bookings import release_stale_holds

    # Holds that have run out do not count for the check, but they do for the constraint.
    release_stale_holds(change.room_id, now=now)
    busy, core = Span(change.busy_from_at, change.busy_until_at), Span(change.start_at, change.end_at)
    occupancy = load_occupancy([change.room_id], busy, now=now, except_order_id=change.order_id)
    others, blocks = occupancy[change.room_id]
    return not others and not any(block.span.overlaps(core) for block in blocks)
