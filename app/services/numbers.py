"""Numbers that people and services call things by."""

from __future__ import annotations

import secrets
from datetime import datetime
from zoneinfo import ZoneInfo

_ZONE = ZoneInfo("Asia/Shanghai")


def new_number(prefix: str, now: datetime) -> str:
    """Return prefix, date and twelve random digits: 19 signs of [0-9A-Z], fit for every payment service."""
    return f"{prefix}{now.astimezone(_ZONE):%y%m%d}{secrets.randbelow(10**12):012d}"
