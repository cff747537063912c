"""What staff are shown before they act on a stay: what leaving now means, who comes next, more time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.domain import overtime as overtime_rules
from app.domain.actor import Actor
from app.domain.errors import DomainError
from app.domain.opening import opening_spans
from app.domain.slots import Span
from app.models import Booking, Order
from app.services import extensions, leaving, overtime
from app.services.booking_rows import cleaning_of
from app.services.orders import find_order
from app.services.room_rules import RoomRules, frozen_policy, load_occupancy
from app.services.store_config import load_known_room
from app.services.unit_of_work import session

MOST_CHOICES = 4
_AHEAD = timedelta(minutes=overtime_rules.MOST_MINUTES)


def preview_check_out(order: Order, booking: Booking, *, now: datetime) -> dict[str, int]:
    """Return `{overtime_fen, overtime_minutes, refund_fen}` of ending a stay at this moment."""
    over = overtime.describe_overtime(order, booking, now=now)
    return {
        "overtime_fen": over["amount_fen"] if over else 0,
        "overtime_minutes": over["minutes"] if over else 0,
        "refund_fen": leaving.unused_refund(order, leaving.unused_amount(order, booking, now=now)),
    }


def describe_ahead(booking: Booking, *, now: datetime) -> dict[str, Any]:
    """Return what follows the booked time in its room: `{from_at, free_until_at, kind, next_at, next_no}`.

    `kind` is what ends the free time: booking (with its start and number), block, closing, or None where the
    room is free for at least 12 hours more. Cleaning before the next guests is taken off already.
    """
    room, from_at = load_known_room(booking.room_id), overtime.booked_end(booking)
    window = Span(from_at, from_at + _AHEAD + cleaning_of(booking))
    first = min(_ends(booking, room, window, now=now), key=lambda end: end[0], default=None)
    if first is None or first[0] >= from_at + _AHEAD:
        return {"from_at": from_at.astimezone(room.tz), "free_until_at": None} | _NOTHING
    until_at, kind, next_at, order_id = first
    return {
        "from_at": from_at.astimezone(room.tz),
        "free_until_at": max(until_at, from_at).astimezone(room.tz),
        "kind": kind,
        "next_at": next_at and next_at.astimezone(room.tz),
        "next_no": order_id and session().scalar(select(Order.no).where(Order.id == int(order_id))),
    }


_NOTHING: dict[str, Any] = {"kind": None, "next_at": None, "next_no": None}
_End = tuple[datetime, str, datetime | None, str | None]


def _ends(booking: Booking, room: RoomRules, window: Span, *, now: datetime) -> list[_End]:
    occupancy = load_occupancy([room.room_id], window, now=now, except_order_id=booking.order_id)
    others, blocks = occupancy[room.room_id]
    cleaning = cleaning_of(booking)
    ends: list[_End] = [
        (taken.busy.start_at - cleaning, "booking", taken.core.start_at, taken.ref) for taken in others
    ]
    ends += [(block.span.start_at, "block", block.span.start_at, None) for block in blocks]
    hours = opening_spans(room.opening, room.tz, window)
    is_open = bool(hours) and hours[0].start_at == window.start_at
    closing_at = hours[0].end_at if is_open else window.start_at
    return ends if closing_at >= window.end_at else [*ends, (closing_at, "closing", closing_at, None)]


def list_choices(no: str, *, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return up to four lengths to add, `{minutes, end_at, difference_fen}`, as far as the room allows."""
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    step = frozen_policy(order.policy).length_step_minutes
    found: list[dict[str, Any]] = []
    for minutes in range(step, step * MOST_CHOICES + 1, step):
        try:
            told = extensions.preview_minutes(no, minutes, actor=actor, now=now)
        except DomainError:
            break
        found.append({"minutes": minutes, "end_at": told["end_at"], "difference_fen": told["difference_fen"]})
    return found
