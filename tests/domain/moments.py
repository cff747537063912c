"""Short ways to write Shanghai times and spans in the tests of the rules."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from app.domain.slots import Span

TZ = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
# A plain Wednesday; no holiday and no exchanged working day is near.
WEDNESDAY = date(2026, 3, 11)


def at(text: str, tz: ZoneInfo = TZ) -> datetime:
    """Return the instant that a local clock shows; a bare time is on the plain Wednesday."""
    full = text if "-" in text else f"{WEDNESDAY} {text}"
    return datetime.fromisoformat(full).replace(tzinfo=tz)


def span(start: str, end: str, tz: ZoneInfo = TZ) -> Span:
    """Return the span between two local times."""
    return Span(at(start, tz), at(end, tz))


def local(moment: datetime, tz: ZoneInfo = TZ) -> str:
    """Write an instant as the local clock shows it, for readable failures."""
    return moment.astimezone(tz).strftime("%m-%d %H:%M")
