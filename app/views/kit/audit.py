"""Leaves an entry of the audit log for a change made on a form, in the same transaction."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import inspect

from app.views.kit.kinds import Kind, kind_of

MASK = "***"


def snapshot(item: Any, relations: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the columns of *item* and the keys of its to-many *relations*, secrets masked."""
    model = type(item)
    names = [attribute.key for attribute in inspect(model).column_attrs]
    found = {name: _value(model, name, getattr(item, name)) for name in names}
    for name in relations:
        keys = [inspect(row).identity or (None,) for row in getattr(item, name)]
        found[name] = sorted(key[0] for key in keys)
    return found


def _value(model: type[Any], name: str, value: Any) -> Any:
    if kind_of(model, name) is Kind.SECRET:
        # A hash or a clear secret is not for a log; that it changed is.
        return None if value is None else _Masked(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


class _Masked(str):
    """Compares by the secret and reads as a mask."""

    secret: Any

    def __new__(cls, secret: Any) -> _Masked:
        made = str.__new__(cls, MASK)
        made.secret = secret
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Masked) and other.secret == self.secret

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both sides limited to what changed, as plain values."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    names = [name for name in names if name not in ("version", "updated_at")]
    return _plain(before, names), _plain(after, names)


def _plain(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {
        name: MASK if isinstance(values[name], _Masked) else values[name] for name in names if name in values
    }
