"""Labels of columns that many screens share; a view's own `label_columns` come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_babel import lazy_gettext as _l

COMMON_LABELS: dict[str, Any] = {
    "id": _l("Number"),
    "store": _l("Store"),
    "store.name": _l("Store"),
    "room": _l("Room"),
    "room.name": _l("Room"),
    "room_type": _l("Room type"),
    "room_type.name": _l("Room type"),
    "name": _l("Name"),
    "status": _l("Status"),
    "kind": _l("Kind"),
    "is_active": _l("Active"),
    "position": _l("Position"),
    "description": _l("Description"),
    "remark": _l("Remark"),
    "reason": _l("Reason"),
    "start_at": _l("Start"),
    "end_at": _l("End"),
    "created_at": _l("Created at"),
    "updated_at": _l("Changed at"),
    "amount_fen": _l("Amount"),
    "total_fen": _l("Total"),
    "priority": _l("Priority"),
}

# What rows are called whose stored name is not meant for people, by their class.
ROW_LABELS: dict[type[Any], Callable[[Any], Any]] = {}


def row_label(row: Any) -> str:
    """Return the name of a row for people."""
    return str(ROW_LABELS.get(type(row), str)(row))
