"""The application with its protection taken away, for controls: whoever asks for a room gets it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from app import create_app as create_protected_app
from app.domain import booking_rules
from app.services import bookings

# What is taken away: the lock alone, so that check and insert can be overtaken, or the check as well.
NO_LOCK = "no_lock"
NO_CHECK = "no_check"


def create_app() -> Flask:
    """Return the application without its locks; UNPROTECTED says whether it still looks before it writes."""
    app = create_protected_app(with_back_office=False)
    bookings.lock_rooms = _nothing
    if os.environ["UNPROTECTED"] == NO_CHECK:
        booking_rules.check_place = _nothing
    return app


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""
