"""The booking of an order, apart from what only holds room for a change, and locking it with its rooms."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from app.domain.errors import NotFound
from app.domain.slots import Span
from app.models import Booking, Order
from app.services.locks import lock_order, lock_rooms
from app.services.unit_of_work import Overtaken, session


def booking_of(order: Order) -> Booking:
    """Return the booking of an order; raises NotFound for an order without one."""
    booking: Booking | None = session().scalar(
        select(Booking)
        .where(Booking.order_id == order.id, Booking.change_id.is_(None))
        .order_by(Booking.id.desc())
        .limit(1)
    )
    if booking is None:
        raise NotFound()
    return booking


def lock_rooms_of(order_id: int, *room_ids: int) -> None:
    """Lock every room that an order has to do with, and *room_ids*.

    Who moved the booking while we waited made one more room ours. To take that one now would be out of order,
    so everything begins anew; see `Overtaken`.
    """
    wanted = _rooms_of(order_id) | set(room_ids)
    lock_rooms(wanted)
    if _rooms_of(order_id) - wanted:
        raise Overtaken()


def _rooms_of(order_id: int) -> set[int]:
    return set(session().scalars(select(Booking.room_id).where(Booking.order_id == order_id)))


def lock_booking(order_id: int, *room_ids: int) -> tuple[Order, Booking]:
    """Lock the rooms and the order of a booking and return order and booking as they are now."""
    lock_rooms_of(order_id, *room_ids)
    order = lock_order(order_id)
    return order, booking_of(order)


def busy_of(booking: Booking) -> Span:
    """Return what a booking occupies, buffers included."""
    return Span(booking.busy_from_at, booking.busy_until_at)


def cleaning_of(booking: Booking) -> timedelta:
    """Return how long the room is cleaned after a booking."""
    return booking.busy_until_at - booking.end_at
