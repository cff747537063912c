"""Cursors of paged lists: opaque to clients, the id of the last row to us."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidField

MAX_ID = 2**31 - 1


def page_of(rows: Sequence[Any], limit: int) -> tuple[list[Any], str | None]:
    """Split rows that were read one beyond *limit*: the page, and the next one's cursor if there is one."""
    page = list(rows[:limit])
    return page, _encode(page[-1].id) if len(rows) > limit else None


def _encode(row_id: int) -> str:
    return base64.urlsafe_b64encode(f"id:{row_id}".encode()).decode().rstrip("=")


def after_id(cursor: str) -> int:
    """Return the id behind a cursor of `page_of`; raises InvalidField for any other text."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error, ValueError):
        text = ""
    number = text.removeprefix("id:")
    if not (text.startswith("id:") and number.isdecimal() and len(number) <= 10 and int(number) <= MAX_ID):
        raise InvalidField.of("cursor", _l("This list cannot be continued from here."))
    return int(number)
