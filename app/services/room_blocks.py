"""Room blocks: a room is taken out of use only where nobody has booked it."""

from __future__ import annotations

from datetime import datetime

from app.domain.errors import RoomTaken
from app.domain.slots import Span
from app.services.locks import lock_rooms
from app.services.room_rules import load_occupancy


def check_block(room_id: int, start_at: datetime, end_at: datetime, *, now: datetime) -> None:
    """Lock the room and raise RoomTaken when a live booking overlaps; the caller saves the block.

    Raises InvalidField when the end is not after the start.
    """
    span = Span(start_at, end_at)
    lock_rooms([room_id])
    busy, _ = load_occupancy([room_id], span, now=now)[room_id]
    if any(taken.core.overlaps(span) for taken in busy):
        raise RoomTaken(data={"rule": "room_block", "limit": None})
