"""Audit entries in the words of the screens: labels for columns, values as lists show them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape
from sqlalchemy import inspect

from app.views.kit.cells import json_text, plain_value
from app.views.kit.kinds import Kind, column_of, enum_of, kind_of
from app.views.kit.labels import COMMON_LABELS

ACTIONS: dict[str, Any] = {
    "create": _l("Created"),
    "update": _l("Changed"),
    "delete": _l("Deleted"),
    "resend": _l("Sent again"),
    "campaign_publish": _l("Published"),
    "campaign_pause": _l("Paused"),
    "campaign_end": _l("Ended"),
    "change_password": _l("Password changed"),
    "channel.switch": _l("Switched on or off"),
    "channel.set_credentials": _l("Credentials set"),
    "channel.test": _l("Credentials tested"),
    "refund.retry": _l("Refund tried again"),
    "refund.hand_back": _l("Money handed back another way"),
    "register_credentials": _l("Credentials registered"),
    "customer_session.revoke": _l("Login ended"),
    "customer.blacklist": _l("Blacklisted"),
    "customer.segment": _l("Segment changed"),
    "customer.unblacklist": _l("Taken off the blacklist"),
    "adjust": _l("Price adjusted"),
    "bill_run": _l("Reconciled"),
    "resolve": _l("Resolved"),
}
ENTITIES: dict[str, Any] = {
    "channel": _l("Payment channel"),
    "customer_session": _l("Login of a customer"),
    "ab_user": _l("Staff member"),
    "ab_role": _l("Role"),
}
ACTORS: dict[str, Any] = {
    "staff": _l("Staff"),
    "customer": _l("Customer"),
    "system": _l("System"),
    "payment": _l("Payment service"),
}
NOTHING = "–"
_TABLE = Markup(
    '<table class="table table-sm change-table"><thead><tr><th scope="col">{}</th>'
    '<th scope="col">{}</th><th scope="col">{}</th></tr></thead><tbody>{}</tbody></table>'
)
_ROW = Markup('<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>')


def action_text(action: str) -> str:
    """Return what was done."""
    return str(ACTIONS.get(action, action))


def actor_text(kind: str) -> str:
    """Return what kind of actor it was."""
    return str(ACTORS.get(kind, kind))


def entity_text(entity: str) -> str:
    """Return what kind of thing was changed, as its screen calls it."""
    view = _view_of(entity)
    return str(ENTITIES.get(entity) or (view.item_title if view is not None else entity))


def _view_of(entity: str) -> Any:
    """Return the screen of a table; services name things in the singular."""
    for view in current_app.appbuilder.baseviews:  # type: ignore[attr-defined]
        model = getattr(getattr(view, "datamodel", None), "obj", None)
        if model is not None and model.__tablename__ in (entity, f"{entity}s"):
            return view
    return None


def change_table(change: Any) -> Any:
    """Return a table of what changed, given entity, values before and values after."""
    entity, before, after = change
    view = _view_of(entity)
    names = [name for name in {**before, **after} if before.get(name) not in (None, "") or after.get(name)]
    rows = [
        _ROW.format(_label(view, name), _value(view, name, before), _value(view, name, after))
        for name in names
        if name != "id"
    ]
    return _TABLE.format(_l("Field"), _l("Before"), _l("After"), Markup("").join(rows)) if rows else NOTHING


def _label(view: Any, name: str) -> str:
    labels = {**COMMON_LABELS, **(view.label_columns if view is not None else {})}
    return str(labels.get(name) or labels.get(name.removesuffix("_id")) or name)


def _value(view: Any, name: str, values: dict[str, Any]) -> Any:
    value = values.get(name)
    if value is None or value == "":
        return NOTHING
    formatter = view.formatters_columns.get(name) if view is not None else None
    if view is None or name not in inspect(view.datamodel.obj).all_orm_descriptors:
        return escape(value if isinstance(value, str) else json_text(value))
    # What the log holds may be older than the screen's idea of it.
    with suppress(Exception):
        typed = _typed(view.datamodel.obj, name, value)
        return formatter(typed) if formatter else escape(plain_value(view.datamodel.obj, name, typed))
    return escape(json_text(value))


def _typed(model: type[Any], name: str, value: Any) -> Any:
    """Turn a value of the log, which is JSON, back into what the column holds."""
    if column_of(model, name) is None:
        return value
    kind = kind_of(model, name)
    if kind is Kind.ENUM:
        return enum_of(model, name)(value)
    return datetime.fromisoformat(value) if kind is Kind.DATETIME else value
