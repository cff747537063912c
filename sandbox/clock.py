"""The sandbox's wall clock and the time notation that WeChat uses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current instant, aware UTC; everything else is handed a clock."""
    return datetime.now(UTC)


def china_time(epoch: float) -> str:
    """Return *epoch* seconds as RFC 3339 with the +08:00 offset of every WeChat answer."""
    return datetime.fromtimestamp(epoch, CHINA).isoformat(timespec="seconds")
