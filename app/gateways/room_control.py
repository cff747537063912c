"""Doors without a vendor: a fresh code for every visit."""

from __future__ import annotations

import secrets
from datetime import datetime

from app.gateways.ports import RoomAccess

_CODE_DIGITS = 6


class CodeRoomControl:
    """Makes a random six-digit door code for each call; no device is contacted."""

    def let_in(self, room_ref: str, start_at: datetime, end_at: datetime) -> RoomAccess:
        """Return a code that is good until *end_at*.

        The code depends on nothing but chance, so that knowing a room or an earlier visit gives nobody a
        way in; the caller keeps it with the visit and shows the same one again.
        """
        code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"
        return RoomAccess(kind="code", code=code, expires_at=end_at)
