"""The rooms that a voucher can be used in now, for the whole length of its package."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.booking_rules import busy_span, check_place, check_span
from app.domain.errors import DomainError, RoomTaken
from app.domain.slots import Span, floor_minute, span_of_minutes
from app.domain.voucher_rules import check_use
from app.models import Voucher
from app.services import vouchers
from app.services.quotes import Offer
from app.services.room_rules import Occupancy, RoomRules, load_occupancy
from app.services.store_config import load_price_book, load_store_rooms

LOOK_AHEAD = timedelta(hours=24)


def free_rooms(voucher: Voucher, store_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Return `{room_id, name, free_until_at}` of every room of a store that the voucher can fill from now.

    With none it raises the most telling refusal: why the voucher does not fit, else RoomTaken.
    """
    rooms = load_store_rooms(store_id)
    span = _span(voucher, now)
    wide = Span(span.start_at - LOOK_AHEAD, span.end_at + LOOK_AHEAD)
    occupancy = load_occupancy([room.room_id for room in rooms], wide, now=now)
    found: list[dict[str, Any]] = []
    refusals: list[DomainError] = []
    for room in rooms:
        try:
            _check(voucher, room, span, occupancy, now=now)
        except DomainError as refusal:
            refusals.append(refusal)
        else:
            found.append(_describe(room, occupancy, span, wide))
    if not found:
        raise _most_telling(refusals)
    return found


def _span(voucher: Voucher, now: datetime) -> Span:
    return span_of_minutes(floor_minute(now), voucher.terms["minutes"])


def _check(voucher: Voucher, room: RoomRules, span: Span, occupancy: Occupancy, *, now: datetime) -> None:
    terms = vouchers.voucher_terms(voucher)
    check_use(terms, vouchers.voucher_room(room), span, now=now, tz=room.tz)
    check_span(room.policy, span, opening=room.opening, now=now, tz=room.tz, is_walk_in=True, is_voucher=True)
    busy, blocks = occupancy[room.room_id]
    check_place(room.policy, span, busy=busy, blocks=blocks)


def _most_telling(refusals: list[DomainError]) -> DomainError:
    """A room that is merely taken says more than one that the voucher never was for."""
    ranks = {"voucher_not_here": 2, "voucher_not_now": 1}
    told = min(refusals, key=lambda refusal: ranks.get(refusal.code, 0), default=RoomTaken())
    return RoomTaken(_l("No suitable room is free right now.")) if isinstance(told, RoomTaken) else told


def _describe(room: RoomRules, occupancy: Occupancy, span: Span, wide: Span) -> dict[str, Any]:
    busy, blocks = occupancy[room.room_id]
    starts = [taken.busy.start_at for taken in busy] + [block.span.start_at for block in blocks]
    free_until_at = min((at for at in starts if at >= span.end_at), default=wide.end_at)
    return {
        "room_id": room.room_id,
        "name": room.room_name,
        "free_until_at": free_until_at,
        "is_booked": False,
    }


def offer_room(voucher: Voucher, room: RoomRules, *, now: datetime) -> Offer:
    """Return the offer of a room from this minute for the voucher's package; raises why it cannot be."""
    span = _span(voucher, now)
    occupancy = load_occupancy([room.room_id], busy_span(room.policy, span), now=now)
    _check(voucher, room, span, occupancy, now=now)
    book = load_price_book(room.store_id)
    quote = book.quote(room.priced_room, span, voucher=voucher.campaign.title)
    return Offer(room, span, quote, None, voucher)
