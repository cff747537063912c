"""Walk-in orders: staff put guests at the counter into a room that is free now."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain.actor import Actor
from app.domain.errors import Forbidden, RoomTaken, RuleRefused
from app.domain.slots import floor_minute
from app.models import OrderSource
from app.services.bookings import release_stale_holds, save_order, settle_paid
from app.services.locks import lock_rooms
from app.services.quotes import BookingRequest, make_offer, with_alternatives
from app.services.room_rules import RoomRules
from app.services.store_config import load_room
from app.services.unit_of_work import transactional


def create_walk_in(room_id: int, *, minutes: int, note: str = "", actor: Actor, now: datetime) -> str:
    """Hold a room from this minute for *minutes* and return the order's number.

    Lead times and steps stand aside.
    Raises Forbidden outside the staff's stores, and the refusals of a booking with their alternatives.
    """
    room = load_room(room_id)
    if not (actor.is_staff and actor.scope.allows(room.store_id)):
        raise Forbidden()
    start_at = floor_minute(now)
    request = BookingRequest(room_id, start_at, start_at + timedelta(minutes=minutes))
    try:
        return _create(request, room, note=note, actor=actor, now=now)
    except (RuleRefused, RoomTaken) as refusal:
        raise with_alternatives(refusal, request, room, now=now) from None


@transactional
def _create(request: BookingRequest, room: RoomRules, *, note: str, actor: Actor, now: datetime) -> str:
    lock_rooms([room.room_id])
    release_stale_holds(room.room_id, now=now)
    offer = make_offer(request, room, actor=None, now=now, is_walk_in=True)
    order = save_order(offer, customer_id=None, source=OrderSource.COUNTER, note=note, actor=actor, now=now)
    if order.total_fen == 0:
        settle_paid(order, actor=actor, now=now)
    return order.no
