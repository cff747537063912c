"""Text that people type into forms and query strings, turned into typed values and back."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Column, types

from app.views.kit.kinds import Kind, column_of, enum_of, kind_of, plain_type, primary_key_of

DEFAULT_TIME_ZONE = "Asia/Shanghai"
DAY_MINUTES = 24 * 60
LAST_MINUTE = 2 * DAY_MINUTES
MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
YEARS = range(1970, 2200)
MAX_QUERY_TEXT = 100

_TRUE = frozenset({"y", "yes", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "false", "off", "0"})
_FEN = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,2}))?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_NEXT_DAY_MARKS = ("次日", "翌日", "隔日", "+1", "next day")


class InvalidText(ValueError):
    """The text is no value of the wanted kind; the only argument is a message for people."""


def normalise(text: str) -> str:
    """Fold full-width digits and punctuation, as Chinese input methods produce them, and trim."""
    return unicodedata.normalize("NFKC", text).strip()


def local_zone() -> ZoneInfo:
    """Return the time zone in which screens show and read instants."""
    return ZoneInfo(current_app.config.get("BABEL_DEFAULT_TIMEZONE") or DEFAULT_TIME_ZONE)


def to_local(value: datetime) -> datetime:
    """Return an instant in the screen's zone; naive values (FAB's own columns) are UTC."""
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(local_zone())


def format_instant(value: datetime) -> str:
    """Write an instant as local ``YYYY-MM-DD HH:MM``."""
    return to_local(value).strftime("%Y-%m-%d %H:%M")


def parse_instant(text: str) -> datetime:
    """Read local ``YYYY-MM-DD HH:MM`` (seconds or a missing time are accepted) as an aware UTC instant."""
    cleaned = normalise(text).replace("T", " ").replace("/", "-")
    for pattern in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            found = datetime.strptime(cleaned, pattern).replace(tzinfo=local_zone())
        except ValueError:
            continue
        if found.year in YEARS:
            return found.astimezone(UTC)
    raise InvalidText(_l("Not a valid date and time (YYYY-MM-DD HH:MM)."))


def parse_date(text: str) -> date:
    """Read ``YYYY-MM-DD``."""
    try:
        found = date.fromisoformat(normalise(text).replace("/", "-"))
    except ValueError:
        found = date.min
    if found.year not in YEARS:
        raise InvalidText(_l("Not a valid date (YYYY-MM-DD)."))
    return found


def format_yuan(fen: int) -> str:
    """Write fen as plain yuan for an input: 1250 -> ``12.50``."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def parse_yuan(text: str) -> int:
    """Read yuan with at most two decimals as integer fen, without any float in between."""
    cleaned = normalise(text).replace("¥", "").replace("元", "").replace(",", "").replace(" ", "")
    match = _FEN.fullmatch(cleaned)
    if match is None:
        raise InvalidText(_l("Not a valid amount; at most two decimals."))
    sign, yuan, decimals = match.groups()
    fen = int(yuan) * 100 + int((decimals or "").ljust(2, "0"))
    return -fen if sign else fen


def format_clock(minute: int) -> str:
    """Write minutes after midnight as ``HH:MM``; past 24:00 with a mark for the next day."""
    if minute <= DAY_MINUTES:
        return f"{minute // 60:02d}:{minute % 60:02d}"
    rest = minute - DAY_MINUTES
    return str(_("next day %(time)s", time=f"{rest // 60:02d}:{rest % 60:02d}"))


def parse_clock(text: str) -> int:
    """Read ``HH:MM`` up to 48:00, or ``次日 HH:MM``, as minutes after midnight."""
    cleaned = normalise(text).lower()
    own_mark = _("next day %(time)s", time="").strip().lower()
    mark = next((mark for mark in (own_mark, *_NEXT_DAY_MARKS) if mark and cleaned.startswith(mark)), "")
    match = _CLOCK.fullmatch(cleaned[len(mark) :].strip())
    if match is not None and int(match[2]) < 60:
        minute = int(match[1]) * 60 + int(match[2])
        if minute <= (DAY_MINUTES if mark else LAST_MINUTE):
            return minute + (DAY_MINUTES if mark else 0)
    raise InvalidText(_l("Not a valid time (HH:MM, up to 48:00)."))


def parse_integer(text: str, low: int = -MAX_INT32 - 1, high: int = MAX_INT32) -> int:
    """Read a whole number inside the bounds."""
    cleaned = normalise(text)
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", cleaned):
        raise InvalidText(_l("Not a whole number."))
    if not low <= int(cleaned) <= high:
        raise InvalidText(_l("The number is too small or too large."))
    return int(cleaned)


def parse_decimal(text: str, column: Column[Any] | None = None) -> Decimal:
    """Read a finite decimal number that the column can hold."""
    cleaned = normalise(text).replace(",", "")
    try:
        found = Decimal(cleaned)
    except InvalidOperation:
        raise InvalidText(_l("Not a number.")) from None
    if not found.is_finite() or found.adjusted() > _whole_digits(column):
        raise InvalidText(_l("The number is too small or too large."))
    return found


def _whole_digits(column: Column[Any] | None) -> int:
    """The power of ten of the first digit that a numeric column can hold."""
    found = plain_type(column) if column is not None else None
    precision, scale = getattr(found, "precision", None), getattr(found, "scale", None)
    return (precision - (scale or 0) - 1) if precision and scale is not None else 15


def parse_boolean(text: str) -> bool:
    """Read yes or no in the spellings that forms and links use."""
    cleaned = normalise(text).lower()
    if cleaned in _TRUE or cleaned in _FALSE:
        return cleaned in _TRUE
    raise InvalidText(_l("Not a valid choice."))


def parse_member(enum_class: type[Any], text: str) -> Any:
    """Return the enum member with this stored value."""
    for member in enum_class:
        if str(member.value) == text:
            return member
    raise InvalidText(_l("Not a valid choice."))


def parse_json(text: str) -> Any:
    """Read a JSON value that every engine can store: no NaN, no NUL characters."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidText(_l("This is not valid JSON.")) from None
    if "\\u0000" in text:
        raise InvalidText(_l("This text contains characters that are not allowed."))
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_text(text: str) -> str:
    """Return search text that every database accepts (no NUL, not endless)."""
    if "\x00" in text or not text.strip() or len(text) > MAX_QUERY_TEXT:
        raise InvalidText(_l("Not a valid search text."))
    return text.strip()


def parse_key(model: type[Any], text: str) -> Any:
    """Return a primary-key value of *model* from a URL or form; raises InvalidText when it can be none."""
    column = primary_key_of(model)
    if isinstance(plain_type(column), types.Integer):
        return parse_integer(text, 0, integer_bounds(column)[1])
    return parse_text(text)


def integer_bounds(column: Column[Any]) -> tuple[int, int]:
    """Return what an integer column can hold on every engine."""
    found = plain_type(column)
    if isinstance(found, types.BigInteger):
        return -MAX_INT64 - 1, MAX_INT64
    return (-(2**15), 2**15 - 1) if isinstance(found, types.SmallInteger) else (-MAX_INT32 - 1, MAX_INT32)


def parse_column_value(model: type[Any], name: str, text: str) -> Any:
    """Read the value of a filter on a column; raises InvalidText when it is none of the column's kind."""
    kind = kind_of(model, name)
    if kind is Kind.ENUM:
        return parse_member(enum_of(model, name), text)
    if kind in (Kind.DECIMAL, Kind.FLOAT):
        return parse_decimal(text, column_of(model, name))
    parser = _PARSERS.get(kind)
    if parser is None:
        raise InvalidText(_l("This cannot be filtered."))
    found = parser(text)
    if isinstance(found, int) and abs(found) > MAX_INT64:
        raise InvalidText(_l("The number is too small or too large."))
    return found


_PARSERS: dict[Kind, Any] = {
    Kind.BOOLEAN: parse_boolean,
    Kind.DATETIME: parse_instant,
    Kind.DATE: parse_date,
    Kind.FEN: parse_yuan,
    Kind.CLOCK: parse_clock,
    Kind.MINUTES: parse_integer,
    Kind.INTEGER: parse_integer,
    Kind.TEXT: parse_text,
    Kind.STRING: parse_text,
}
