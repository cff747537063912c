"""Takes the application's protection away, for controls: whoever asks for a room gets it."""

from __future__ import annotations

import sys
from typing import Any

from app.domain import booking_rules

# What is taken away: the lock alone, so that check and insert can be overtaken, or the check as well.
NO_LOCK = "no_lock"
NO_CHECK = "no_check"
LOCKS = ("lock_rooms", "lock_buyer_and_room")


def unprotect(missing: str) -> None:
    """Let no service lock rooms any more, nor look before it writes where *missing* says so."""
    for name, module in list(sys.modules.items()):
        for lock in LOCKS:
            if name.startswith("app.services") and hasattr(module, lock):
                setattr(module, lock, _nothing)
    if missing == NO_CHECK:
        booking_rules.check_place = _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""
