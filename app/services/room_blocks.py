"""Room blocks: times at which a room is out of use, and the bookings that lie in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from app.domain.errors import RoomTaken
from app.domain.slots import Span
from app.domain.states import BookingState
from app.models import Booking, Order, RoomBlock
from app.services.locks import lock_rooms
from app.services.unit_of_work import session

# Stays that are over are nobody's trouble.
LIVE = (BookingState.HELD, BookingState.RESERVED, BookingState.IN_USE)
MOST_NAMED = 5


def check_block(
    room_id: int, start_at: datetime, end_at: datetime, *, are_bookings_kept: bool = False, now: datetime
) -> None:
    """Lock the room and raise RoomTaken when live bookings lie in the time, unless they are to be kept.

    Bookings that are kept stay as they are until somebody moves or cancels them; the caller saves the block.
    `data.orders` are the numbers of the orders. Raises InvalidField when the end is not after the start.
    """
    span = Span(start_at, end_at)
    lock_rooms([room_id])
    numbers = list_orders_in(room_id, span, now=now)
    if not numbers or are_bookings_kept:
        return
    named = "、".join(numbers[:MOST_NAMED]) + ("…" if len(numbers) > MOST_NAMED else "")
    text = _l(
        "%(count)s bookings lie in this time: %(numbers)s. Move or cancel them first, or keep them with the"
        " switch below.",
        count=len(numbers),
        numbers=named,
    )
    raise RoomTaken(text, data={"rule": "room_block", "limit": None, "orders": numbers})


def list_orders_in(room_id: int, span: Span, *, now: datetime) -> list[str]:
    """Return the numbers of the orders whose guests have the room in a time, the first guests first."""
    query = (
        select(Order.no)
        .join(Booking, Booking.order_id == Order.id)
        .where(
            Booking.room_id == room_id,
            Booking.state.in_(LIVE),
            or_(Booking.state != BookingState.HELD, Booking.hold_expires_at > now),
            Booking.start_at < span.end_at,
            Booking.end_at > span.start_at,
        )
        .order_by(Booking.start_at)
    )
    return list(dict.fromkeys(session().scalars(query)))


def find_block(booking: Booking) -> dict[str, Any] | None:
    """Return `{start_at, end_at, reason}` of the first block that a booking lies in, or None."""
    row = session().scalar(
        select(RoomBlock)
        .where(
            RoomBlock.room_id == booking.room_id,
            RoomBlock.start_at < booking.end_at,
            RoomBlock.end_at > booking.start_at,
        )
        .order_by(RoomBlock.start_at)
        .limit(1)
    )
    return row and {"start_at": row.start_at, "end_at": row.end_at, "reason": row.reason}
