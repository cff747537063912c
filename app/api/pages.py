"""Pages of short lists that are known as a whole; long ones are paged by their services."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidField

MAX_PLACE = 1_000_000


def slice_of(items: Sequence[Any], cursor: str | None, limit: int) -> dict[str, Any]:
    """Return `{items, next_cursor}`: up to *limit* items from where the cursor points."""
    start = 0 if cursor is None else _place(cursor)
    end = start + limit
    return {"items": list(items[start:end]), "next_cursor": _cursor(end) if end < len(items) else None}


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"place:{place}".encode()).decode().rstrip("=")


def _place(cursor: str) -> int:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        word, _, digits = base64.b64decode(padded, b"-_", validate=True).decode("ascii").partition(":")
    except (UnicodeError, binascii.Error):
        word, digits = "", ""
    if word != "place" or not (digits.isdecimal() and len(digits) <= 7 and int(digits) <= MAX_PLACE):
        raise InvalidField.of("cursor", _l("This list cannot be continued from here."))
    return int(digits)
