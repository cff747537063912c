"""Walk-in orders: staff put guests at the counter into a room that is free now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.domain import booking_rules as rules
from app.domain.actor import Actor
from app.domain.errors import REFUSALS, DomainError, Forbidden
from app.domain.opening import opening_spans
from app.domain.slots import MINUTE, Span, floor_minute
from app.models import OrderSource
from app.services.board import list_stores
from app.services.bookings import release_stale_holds, save_order, settle_paid
from app.services.locks import lock_rooms
from app.services.quotes import BookingRequest, describe_quote, make_offer, with_alternatives
from app.services.room_rules import Occupancy, RoomRules, load_occupancy
from app.services.store_config import load_room, load_store_rooms
from app.services.unit_of_work import transactional

# How far the form looks ahead for whoever comes next.
AHEAD = timedelta(hours=12)
# Wider than any buffer, so that the cleaning after the last guests counts too.
BEFORE = timedelta(hours=12)


def create_walk_in(room_id: int, *, minutes: int, note: str = "", actor: Actor, now: datetime) -> str:
    """Hold a room from this minute for *minutes* and return the order's number.

    Lead times and steps stand aside.
    Raises Forbidden outside the staff's stores, and the refusals of a booking with their alternatives.
    """
    room, request = _request(room_id, minutes, actor=actor, now=now)
    try:
        return _create(request, room, note=note, actor=actor, now=now)
    except REFUSALS as refusal:
        raise with_alternatives(refusal, request, room, now=now) from None


def preview_walk_in(room_id: int, *, minutes: int, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return the quote of a walk-in with `room`, `start_at` and `end_at`; nothing is saved.

    Raises what `create_walk_in` raises.
    """
    room, request = _request(room_id, minutes, actor=actor, now=now)
    try:
        offer = make_offer(request, room, actor=None, now=now, is_walk_in=True)
    except REFUSALS as refusal:
        raise with_alternatives(refusal, request, room, now=now) from None
    return describe_quote(offer) | {
        "room": {"id": room.room_id, "name": room.room_name},
        "store": {"id": room.store_id, "name": room.store_name},
        "start_at": offer.span.start_at.astimezone(room.tz),
        "end_at": offer.span.end_at.astimezone(room.tz),
    }


def _request(room_id: int, minutes: int, *, actor: Actor, now: datetime) -> tuple[RoomRules, BookingRequest]:
    room = load_room(room_id)
    if not (actor.is_staff and actor.scope.allows(room.store_id)):
        raise Forbidden()
    start_at = floor_minute(now)
    return room, BookingRequest(room_id, start_at, start_at + timedelta(minutes=minutes))


@transactional
def _create(request: BookingRequest, room: RoomRules, *, note: str, actor: Actor, now: datetime) -> str:
    lock_rooms([room.room_id])
    release_stale_holds(room.room_id, now=now)
    offer = make_offer(request, room, actor=None, now=now, is_walk_in=True)
    order = save_order(offer, customer_id=None, source=OrderSource.COUNTER, note=note, actor=actor, now=now)
    if order.total_fen == 0:
        settle_paid(order, actor=actor, now=now)
    return order.no


def list_free_rooms(*, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return the rooms in the actor's stores that guests can have from this minute.

    Each is `{store_id, store, room_id, name, room_type, minutes, until_at}`: for how many minutes, and until
    when where somebody follows or the store closes within twelve hours, cleaning taken off.
    """
    start_at = floor_minute(now)
    found: list[dict[str, Any]] = []
    for store_id, _name in list_stores(actor=actor):
        rooms = load_store_rooms(store_id)
        window = Span(start_at - BEFORE, start_at + AHEAD + BEFORE)
        occupancy = load_occupancy([room.room_id for room in rooms], window, now=now)
        free = ((room, _free_minutes(room, start_at, occupancy)) for room in rooms)
        found += [_describe(room, start_at, minutes) for room, minutes in free if minutes > 0]
    return found


def _free_minutes(room: RoomRules, start_at: datetime, occupancy: Occupancy) -> int:
    """Return for how long a booking could last from *start_at*, at most twelve hours; 0 where it cannot."""
    busy, blocks = occupancy[room.room_id]
    try:
        rules.check_place(room.policy, Span(start_at, start_at + MINUTE), busy=busy, blocks=blocks)
    except DomainError:
        return 0
    hours = opening_spans(room.opening, room.tz, Span(start_at, start_at + AHEAD))
    if not hours or hours[0].start_at > start_at:
        return 0
    after = timedelta(minutes=room.policy.buffer_after_minutes)
    ends = [taken.busy.start_at - after for taken in busy if taken.busy.start_at > start_at]
    ends += [block.span.start_at for block in blocks if block.span.start_at > start_at]
    return (min([hours[0].end_at, *ends]) - start_at) // MINUTE


def _describe(room: RoomRules, start_at: datetime, minutes: int) -> dict[str, Any]:
    until_at = start_at + timedelta(minutes=minutes)
    return {
        "store_id": room.store_id,
        "store": room.store_name,
        "room_id": room.room_id,
        "name": room.room_name,
        "room_type": room.room_type,
        "minutes": minutes,
        "until_at": until_at.astimezone(room.tz) if minutes < AHEAD // MINUTE else None,
    }
