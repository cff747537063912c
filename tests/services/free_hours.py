"""How long the rooms of a store are free on a day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.slots import Span, local_day
from app.services.painting import FreeTime
from app.services.store_config import load_store_rooms

ZONE = ZoneInfo("Asia/Shanghai")


def hours_free(store_id: int, on: date, now: datetime) -> list[float]:
    """Return the longest free stretch of each room on a day, in hours."""
    rooms = load_store_rooms(store_id)
    day = local_day(on, ZONE)
    free = FreeTime(rooms, Span(day.start_at, day.end_at + timedelta(hours=4)), now=now)
    return [max((span.minutes / 60 for span in free.of(room)), default=0) for room in rooms]
