"""How values look in lists and on detail pages, and as plain text in exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from typing import Any

from flask_babel import gettext as _
from markupsafe import Markup, escape

from app.domain.money import format_fen
from app.views.kit.kinds import NUMBERS, Kind, kind_of
from app.views.kit.labels import row_label
from app.views.kit.values import format_clock, format_instant, format_yuan

NOTHING = "–"
MASK = "••••••"
MAX_JSON = 400

_RIGHT = Markup('<span class="money d-block text-end text-nowrap">{}</span>')
_NOWRAP = Markup('<span class="text-nowrap">{}</span>')
BADGE = Markup('<span class="badge bg-{colour}-lt">{label}</span>')
_YES = Markup('<span class="text-success" title="{label}">✓</span>')
_NO = Markup('<span class="text-secondary" title="{label}">–</span>')
_CODE = Markup('<code class="text-wrap">{}</code>')


def badge(member: Any) -> Markup:
    """Return an enum member's label as a badge in its colour."""
    colour = getattr(member, "colour", "") or "secondary"
    return BADGE.format(colour=colour, label=str(getattr(member, "label", member)))


def tick(value: Any) -> Markup:
    """Return a tick, or a dash for no."""
    return _YES.format(label=_("Yes")) if value else _NO.format(label=_("No"))


def json_text(value: Any) -> str:
    """Return a JSON value on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_JSON else text[: MAX_JSON - 1] + "…"


def many(rows: Any) -> str:
    """Return the names of several related rows."""
    return "、".join(map(row_label, rows)) or NOTHING


_CELLS: dict[Kind, Callable[[Any], Any]] = {
    Kind.ENUM: badge,
    Kind.BOOLEAN: tick,
    Kind.FEN: lambda value: _RIGHT.format(format_fen(value)),
    Kind.CLOCK: lambda value: _NOWRAP.format(format_clock(value)),
    Kind.DATETIME: lambda value: _NOWRAP.format(format_instant(value)),
    Kind.DATE: lambda value: _NOWRAP.format(value.isoformat()),
    Kind.JSON: lambda value: _CODE.format(_shorten(json_text(value))),
    Kind.SECRET: lambda value: MASK,
    Kind.RELATIONS: many,
    **dict.fromkeys(NUMBERS - {Kind.FEN, Kind.CLOCK}, _RIGHT.format),
}


def cell_formatter(model: type[Any], name: str) -> Callable[[Any], Any]:
    """Return the function that turns a raw value of the column into markup or (escaped) text."""
    write = _CELLS.get(kind_of(model, name), _by_value)
    return lambda value: NOTHING if value is None or value == "" else write(value)


def _by_value(value: Any) -> Any:
    """Computed attributes and texts have no column type: look at the value."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool):
        return tick(value)
    if isinstance(value, Enum):
        return badge(value)
    if isinstance(value, datetime):
        return _NOWRAP.format(format_instant(value))
    return escape(str(value))


_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.FEN: format_yuan,
    Kind.CLOCK: format_clock,
    Kind.JSON: json_text,
    Kind.SECRET: lambda value: MASK,
    Kind.RELATIONS: many,
}


def plain_value(model: type[Any], name: str, value: Any) -> str:
    """Return the value as text for an export: money in yuan, instants local, labels translated."""
    if value is None:
        return ""
    write = _PLAIN.get(kind_of(model, name))
    return str(write(value)) if write else _plain_by_value(value)


def _plain_by_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(_("Yes") if value else _("No"))
    if isinstance(value, Enum):
        return str(getattr(value, "label", value.value))
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return value.striptags() if isinstance(value, Markup) else str(value)
