"""Weekdays, times of the day, dates and fee steps: what people type and read for what JSON columns hold."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from babel.dates import get_day_names
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup

from app.domain.errors import InvalidField
from app.domain.voucher_rules import UsableBand
from app.views.kit.values import InvalidText, normalise, parse_date, parse_integer

DAYS = range(7)
MOST_MINUTES = 60 * 24 * 365
MOST_PARTS = 100
_SEPARATORS = re.compile(r"[,;、\s]+")
_BAND = re.compile(r"(\d{1,2}:\d{2})\s*(?:-|–|—|~|至|到)\s*(\d{1,2}:\d{2})")
_TAG = re.compile(r"(?:\s*<[^>]*>\s*)+")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.]{1,40}")


def day_name(day: int) -> str:
    """Return the short name of a weekday; 0 is Monday."""
    return str(get_day_names("abbreviated", locale=get_locale() or "zh")[day])


def weekdays_text(days: Any) -> str:
    """``[0, 1]`` in words; none means every day."""
    if not days or set(days) == set(DAYS):
        return str(_("Every day"))
    return "、".join(day_name(day) for day in sorted(days))


def parse_weekday(text: str) -> int:
    """Read the number of a weekday as forms post it."""
    return parse_integer(text, 0, 6)


def bands_text(bands: Any) -> str:
    """``[{"start": "10:00", "end": "18:00"}]`` in words; none means all day."""
    return write_bands(bands) if bands else str(_("All day"))


def write_bands(bands: Any) -> str:
    """Write bands as `parse_bands` reads them."""
    return ", ".join(f"{band['start']}-{band['end']}" for band in bands or [])


def parse_bands(text: str) -> list[dict[str, str]]:
    """Read ``10:00-18:00, 19:00-23:00`` as bands; an end up to the start lies on the next day."""
    cleaned = normalise(text)
    found = [_band(*match.groups()) for match in _BAND.finditer(cleaned)]
    if not found or len(found) > MOST_PARTS or _SEPARATORS.sub("", _BAND.sub("", cleaned)):
        raise InvalidText(_l("Write times of the day as 10:00-18:00, several with a comma between."))
    return found


def _band(start: str, end: str) -> dict[str, str]:
    try:
        return UsableBand.of(start, end).as_data()
    except InvalidField:
        raise InvalidText(_l("A time lies between 00:00 and 24:00.")) from None


def dates_text(dates: Any) -> str:
    """``["2026-10-01"]`` in words; none means none."""
    return write_dates(dates) if dates else str(_("None"))


def write_dates(dates: Any) -> str:
    """Write dates as `parse_dates` reads them."""
    return ", ".join(dates or [])


def parse_dates(text: str) -> list[str]:
    """Read dates with commas or blanks between as ISO texts, in order, each once."""
    parts = [part for part in _SEPARATORS.split(normalise(text)) if part]
    if len(parts) > 4 * MOST_PARTS:
        raise InvalidText(_l("These are too many dates."))
    return [found.isoformat() for found in sorted({parse_date(part) for part in parts})]


def length_text(minutes: int) -> str:
    """A length in hours where they come out even, else in minutes."""
    if minutes and minutes % 30 == 0:
        return str(_("%(hours)s h", hours=f"{minutes / 60:g}"))
    return str(_("%(minutes)s min", minutes=minutes))


def fee_steps_text(steps: Any) -> Any:
    """``[{"minutes_before": 120, "fee_percent": 0}]`` as one line a step; none means free."""
    if not steps:
        return str(_("Free of charge"))
    rows = sorted(steps, key=lambda step: -1 if step["minutes_before"] is None else step["minutes_before"])
    return Markup("<br>").join(_fee_step_text(step) for step in reversed(rows))


def _fee_step_text(step: dict[str, Any]) -> str:
    minutes, percent = step["minutes_before"], step["fee_percent"]
    if minutes is None:
        when = _("After the start")
    elif minutes == 0:
        when = _("Before the start")
    else:
        when = _("At least %(length)s before the start", length=length_text(minutes))
    fee = _("free") if percent == 0 else _("%(percent)s%% of the price", percent=percent)
    return f"{when}: {fee}"


def read_fee_steps(values: list[str]) -> list[dict[str, Any]]:
    """Read the inputs of a fee scale: pairs of minutes and percent, then the percent after the start.

    Raises InvalidText when a pair is half filled, a number is out of range or two steps have one notice.
    """
    cells = [normalise(value) for value in values][: 2 * MOST_PARTS + 1]
    last = cells.pop() if len(cells) % 2 else ""
    pairs = list(zip(cells[::2], cells[1::2], strict=True))
    steps = [_read_step(minutes, percent) for minutes, percent in pairs if minutes or percent]
    if len({step["minutes_before"] for step in steps}) < len(steps):
        raise InvalidText(_l("Two steps have the same minutes."))
    steps.sort(key=lambda step: -step["minutes_before"])
    if last:
        steps.append({"minutes_before": None, "fee_percent": _percent(last)})
    return steps


def _read_step(minutes: str, percent: str) -> dict[str, Any]:
    if not minutes or not percent:
        raise InvalidText(_l("A step needs both minutes and percent."))
    return {"minutes_before": parse_integer(minutes, 0, MOST_MINUTES), "fee_percent": _percent(percent)}


def _percent(text: str) -> int:
    return parse_integer(text.removesuffix("%").strip(), 0, 100)


def mapping_text(value: Any) -> Any:
    """``{"thing1": "{store}"}`` as one line each."""
    lines = [Markup("<code>{}</code> = {}").format(name, text) for name, text in (value or {}).items()]
    return Markup("<br>").join(lines) if lines else "–"


def write_mapping(value: Any) -> str:
    """Write a mapping as `parse_mapping` reads it."""
    return "\n".join(f"{name} = {text}" for name, text in (value or {}).items())


def parse_mapping(text: str) -> dict[str, str]:
    """Read ``thing1 = {store}`` lines as a mapping of texts."""
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not _FIELD_NAME.fullmatch(name) or name in found or len(found) >= MOST_PARTS:
            raise InvalidText(_l("Write one field a line, as in: thing1 = {store}"))
        found[name] = value
    return found


def terms_text(terms: Any) -> Any:
    """The terms that a voucher was sold under, one line each."""
    lines = [
        _("%(minutes)s min, up to %(people)s persons", minutes=terms["minutes"], people=terms["people"]),
        f"{weekdays_text(terms.get('weekdays'))} · {bands_text(terms.get('bands'))}",
    ]
    if terms.get("room_types"):
        lines.append(f"{_('Room types')}: {'、'.join(terms['room_types'])}")
    if terms.get("excluded_on"):
        lines.append(f"{_('Excluded dates')}: {write_dates(terms['excluded_on'])}")
    return Markup("<br>").join(lines)


def picture(address: Any) -> Any:
    """A stored picture as a small one; an address of another host is only written, never loaded."""
    if not address:
        return "–"
    if not str(address).startswith("/") or str(address).startswith("//"):
        return str(address)
    return Markup('<img class="thumb" src="{}" alt="{}" loading="lazy">').format(address, _("Picture"))


def plain_html(text: Any) -> str:
    """Rich text without its marks, as one paragraph."""
    return unescape(_TAG.sub(" ", str(text))).strip() if text else "–"


def band_text(band: Any) -> str:
    """A band of a price rule, given as minutes of start and end, in words."""
    start, end = band
    return str(_("All day")) if start == end else f"{_clock(start)}–{_clock(end)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
