"""Cursors of paged lists: opaque to clients, a few plain values to us."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidField


def encode_cursor(*parts: int | str) -> str:
    """Return the cursor that continues after the row with these sort values."""
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Return the sort values in a cursor, of exactly these kinds; raises InvalidField for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise InvalidField.of("cursor", _l("This list cannot be continued from here."))
    if any(isinstance(part, int) and abs(part) >= 2**31 for part in parts):
        raise InvalidField.of("cursor", _l("This list cannot be continued from here."))
    return tuple(parts)
