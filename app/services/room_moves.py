"""Staff move a booking: as a change while it waits, to another room at the same price when guests are in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain import booking_rules as rules
from app.domain.actor import Actor
from app.domain.changes import refusal
from app.domain.errors import (
    Closed,
    DomainError,
    InvalidField,
    InvalidTransition,
    RoomTaken,
    RuleRefused,
    TooLong,
)
from app.domain.opening import opening_spans
from app.domain.slots import DAY_MINUTES, MINUTE, Span, floor_minute
from app.domain.states import BookingState, ChangeKind, OrderStatus
from app.models import Booking, Order
from app.services import changes, doors, notifications, pending_changes, stays
from app.services.booking_rows import booking_of, lock_booking
from app.services.bookings import release_stale_holds
from app.services.order_log import move_order
from app.services.orders import find_order
from app.services.quotes import BookingRequest, with_alternatives
from app.services.room_rules import Occupancy, RoomRules, load_occupancy
from app.services.store_config import load_known_room, load_room, load_store_rooms
from app.services.unit_of_work import session, transactional

# Wider than any buffer, so that the cleaning of whoever is near counts too.
_AROUND = timedelta(hours=12)
# No booking is longer than a week, whatever its policy says.
LONGEST_MINUTES = 7 * DAY_MINUTES
MOVABLE = (*pending_changes.CHANGEABLE[ChangeKind.CHANGE], OrderStatus.IN_USE)


def refuse_move(order: Order) -> Any:
    """Return why staff cannot move the booking, or None."""
    if order.status in MOVABLE:
        return None
    return _l("Only a booking that waits for its use or is in use can be moved.")


def move_booking(
    no: str, values: Mapping[str, Any], *, reason: str = "", actor: Actor, now: datetime
) -> dict[str, Any]:
    """Move a booking by `room_id`, `start_at`, `end_at` (RFC 3339) and return `{due_fen, expires_at}`.

    Guests who are in can only change their room; that costs nothing and saves nothing. Raises InvalidField
    and what `changes.change_order` raises.
    """
    request = read_request(values)
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    if order.status is not OrderStatus.IN_USE:
        return changes.change_order(no, request, reason=reason, actor=actor, now=now)
    booking = move_guests(no, _room_only(request), reason=reason, actor=actor, now=now)
    return {"due_fen": 0, "expires_at": None, "access": doors.open_room(booking, now=now)}


def preview_move(no: str, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return a quote with `fee_fen` and `difference_fen` of what `move_booking` would do; nothing is saved.

    Raises what `move_booking` raises, with alternatives.
    """
    request = read_request(values)
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    if order.status is not OrderStatus.IN_USE:
        return changes.preview_change(no, request, actor=actor, now=now)
    booking, room_id = booking_of(order), _room_only(request)
    try:
        room = _check_move(order, booking, room_id, now=now)
        moved = _continue_in(room, order, booking, now=now)
    except (RuleRefused, RoomTaken) as refused:
        raise _explained(refused, order, actor=actor, now=now) from None
    return {
        "lines": [],
        "total_fen": order.total_fen,
        "fee_fen": 0,
        "difference_fen": 0,
        "warnings": [],
        "room": {"id": room.room_id, "name": room.room_name},
        "start_at": moved.start_at.astimezone(room.tz),
        "end_at": moved.end_at.astimezone(room.tz),
    }


def list_rooms(no: str, span: Span | None, *, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return the rooms of an order's store, those that are free at a time (its own by default) first.

    Each is `{room_id, name, room_type, is_present, is_free, reason}`; lengths and steps are for the preview
    to say. Guests who are in need the room from this minute to their end. Raises NotFound.
    """
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    booking = booking_of(order)
    wanted = span or _present_span(order, booking, now)
    if wanted.minutes > LONGEST_MINUTES:
        raise TooLong(data={"rule": "max_minutes", "limit": LONGEST_MINUTES})
    rooms = load_store_rooms(booking.store_id)
    window = Span(wanted.start_at - _AROUND, wanted.end_at + _AROUND)
    ids = [room.room_id for room in rooms]
    occupancy = load_occupancy(ids, window, now=now, except_order_id=order.id)
    found = [_describe(room, booking, wanted, occupancy) for room in rooms]
    return sorted(found, key=lambda room: not room["is_free"])


def _present_span(order: Order, booking: Booking, now: datetime) -> Span:
    start_at = booking.start_at
    if order.status is OrderStatus.IN_USE and booking.start_at < now < booking.end_at:
        start_at = floor_minute(now)
    return Span(start_at, booking.end_at)


def _describe(room: RoomRules, booking: Booking, span: Span, occupancy: Occupancy) -> dict[str, Any]:
    busy, blocks = occupancy[room.room_id]
    reason = None
    try:
        rules.check_place(room.policy, span, busy=busy, blocks=blocks)
        if opening_spans(room.opening, room.tz, span) != [span]:
            raise Closed()
    except (RuleRefused, RoomTaken) as refusal:
        reason = refusal.message if isinstance(refusal, RuleRefused) else _l("The room is taken then.")
    return {
        "room_id": room.room_id,
        "name": room.room_name,
        "room_type": room.room_type,
        "is_present": room.room_id == booking.room_id,
        "is_free": reason is None,
        "reason": reason,
    }


def read_request(values: Mapping[str, Any]) -> changes.ChangeRequest:
    """Read `room_id`, `start_at` and `end_at` as a form or JSON gives them; raises InvalidField."""
    return changes.ChangeRequest(
        whole_number(values, "room_id") if values.get("room_id") else None,
        _instant(values, "start_at"),
        _instant(values, "end_at"),
    )


def _room_only(request: changes.ChangeRequest) -> int:
    if request.room_id is None or request.start_at or request.end_at:
        raise InvalidField.of("room_id", _l("Guests who are in can only move to another room."))
    return request.room_id


def whole_number(values: Mapping[str, Any], name: str) -> int:
    """Return a whole number that a form or JSON gives; raises InvalidField."""
    text = str(values.get(name, ""))
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidField.of(name, _l("Please give a whole number."))
    return int(text)


def _instant(values: Mapping[str, Any], name: str) -> datetime | None:
    given = values.get(name)
    if not given:
        return None
    try:
        at = datetime.fromisoformat(str(given))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidField.of(name, _l("Please give a time with its zone."))
    return at


def move_guests(no: str, room_id: int, *, reason: str = "", actor: Actor, now: datetime) -> Booking:
    """Let guests who are in go on in another room of the store from this minute, and return the new booking.

    The old room is cleaned; lines stay as they are. Raises NotFound, InvalidTransition, ChangeNotAllowed,
    Blocked and RoomTaken with alternatives.
    """
    order_id = find_order(no, actor=actor)
    changes.close_pending_payments(order_id, now=now)
    try:
        return _move(order_id, room_id, reason=reason, actor=actor, now=now)
    except (RuleRefused, RoomTaken) as refused:
        raise _explained(refused, session().get_one(Order, order_id), actor=actor, now=now) from None


def _explained(refused: DomainError, order: Order, *, actor: Actor, now: datetime) -> DomainError:
    booking = booking_of(order)
    room = load_known_room(booking.room_id)
    start_at = floor_minute(now)
    wanted = BookingRequest(room.room_id, start_at, max(booking.end_at, start_at + MINUTE))
    return with_alternatives(refused, wanted, room, actor=actor, now=now)


@transactional
def _move(order_id: int, room_id: int, *, reason: str, actor: Actor, now: datetime) -> Booking:
    order, booking = lock_booking(order_id, room_id)
    room = _check_move(order, booking, room_id, now=now)
    pending_changes.drop_pending(order, actor=actor, now=now)
    release_stale_holds(room_id, now=now)
    moved = _continue_in(room, order, booking, now=now)
    old = booking.room_id
    stays.end_booking(order, booking, now=now)
    session().add(moved)
    session().flush()
    data = {"from": {"room_id": str(old)}, "to": {"room_id": str(room_id)}}
    move_order(order, "move", OrderStatus.IN_USE, actor=actor, now=now, reason=reason, data=data)
    occurrence = f"move:{moved.id}"
    notifications.queue_notice("booking_changed", order=order, occurrence=occurrence, now=now)
    return moved


def _check_move(order: Order, booking: Booking, room_id: int, *, now: datetime) -> RoomRules:
    """Refuse a move that makes no sense whatever the rooms look like, and return the new room."""
    if order.status is not OrderStatus.IN_USE or now >= booking.end_at:
        raise InvalidTransition(data={"event": "move", "status": str(order.status)})
    room = load_room(room_id)
    if room.store_id != order.store_id:
        raise refusal("store", str(order.store_id))
    if room_id == booking.room_id:
        raise refusal("unchanged", None)
    return room


def _continue_in(room: RoomRules, order: Order, booking: Booking, *, now: datetime) -> Booking:
    """Return the rest of a booking in another room, if that is free."""
    start_at = booking.start_at if now <= booking.start_at else floor_minute(now)
    span = Span(start_at, booking.end_at)
    busy = rules.busy_span(room.policy, span)
    occupancy = load_occupancy([room.room_id], busy, now=now, except_order_id=order.id)
    others, blocks = occupancy[room.room_id]
    rules.check_place(room.policy, span, busy=others, blocks=blocks)
    return Booking(
        order_id=order.id,
        store_id=room.store_id,
        room_id=room.room_id,
        state=BookingState.IN_USE,
        start_at=span.start_at,
        end_at=span.end_at,
        busy_from_at=busy.start_at,
        busy_until_at=busy.end_at,
        overtime_from_at=booking.overtime_from_at,
        checked_in_at=booking.checked_in_at,
        created_at=now,
    )
