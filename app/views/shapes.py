"""Shapes of the JSON that owners type: each raises ValueError with a translated message."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from flask_babel import gettext as _

_CLOCK = re.compile(r"([01]\d|2[0-4]):[0-5]\d")


def check_fee_steps(value: Any) -> None:
    """``[{"minutes_before": 120, "fee_percent": 0}, …]``; null minutes mean after the start."""
    if not isinstance(value, list) or not all(_is_fee_step(step) for step in value):
        raise ValueError(_('A list like [{"minutes_before": 120, "fee_percent": 0}] is needed.'))


def _is_fee_step(step: Any) -> bool:
    if not isinstance(step, dict) or set(step) != {"minutes_before", "fee_percent"}:
        return False
    minutes, percent = step["minutes_before"], step["fee_percent"]
    return _is_count(percent, 100) and (minutes is None or _is_count(minutes, 60 * 24 * 365))


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def check_weekdays(value: Any) -> None:
    """``[0, 1, 2]``: 0 is Monday, 6 is Sunday; empty means every day."""
    if value is None:
        return
    if not isinstance(value, list) or not all(_is_count(day, 6) for day in value):
        raise ValueError(_("A list of weekdays from 0 (Monday) to 6 (Sunday) is needed."))


def check_bands(value: Any) -> None:
    """``[{"start": "10:00", "end": "18:00"}]``; empty means all day."""
    if not isinstance(value, list) or not all(_is_band(band) for band in value):
        raise ValueError(_('A list like [{"start": "10:00", "end": "18:00"}] is needed.'))


def _is_band(band: Any) -> bool:
    return (
        isinstance(band, dict)
        and set(band) == {"start", "end"}
        and all(isinstance(text, str) and _CLOCK.fullmatch(text) for text in band.values())
    )


def check_dates(value: Any) -> None:
    """``["2026-10-01"]``; empty means none."""
    try:
        if not isinstance(value, list):
            raise TypeError
        for text in value:
            date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(_('A list of dates like ["2026-10-01"] is needed.')) from None


def check_texts(value: Any) -> None:
    """``{"thing1": "{store}"}``: texts by the name of a field."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(_("An object of texts is needed."))
