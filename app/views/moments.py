"""Instants that people type on the clock of a store, or programs send with an offset."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidField
from app.views.kit.values import normalise

YEARS = range(2000, 3000)


def read_instant(values: Mapping[str, Any], name: str, tz: tzinfo) -> datetime:
    """Read RFC 3339, or ``YYYY-MM-DD HH:MM`` on the clock of *tz*; raises InvalidField."""
    text = normalise(str(values.get(name) or ""))[:40]
    try:
        found = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        raise InvalidField.of(name, _l("Not a valid date and time (YYYY-MM-DD HH:MM).")) from None
    if found.year not in YEARS:
        raise InvalidField.of(name, _l("This time is out of range."))
    return found if found.tzinfo is not None else found.replace(tzinfo=tz)
