"""The store scope spelled out in each query of a screen, on top of the enforcement below the views."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, true

from app.extensions import current_scope
from app.views.kit.kinds import primary_key_of
from app.views.kit.values import InvalidText, parse_key


def is_scoped_model(model: type[Any]) -> bool:
    """Tell whether rows of *model* belong to stores."""
    return callable(getattr(model, "store_scope_clause", None))


def scope_clause(model: type[Any]) -> ColumnElement[bool]:
    """Return the condition that a row of *model* lies in the current scope; true for rows without stores."""
    scope = current_scope()
    if scope.is_all or not is_scoped_model(model):
        return true()
    clause: ColumnElement[bool] = model.store_scope_clause(scope.store_ids)
    return clause


def scoped_select(model: type[Any], *criteria: ColumnElement[bool]) -> Select[Any]:
    """Return a SELECT of *model* inside the scope."""
    return select(model).where(and_(scope_clause(model), *criteria))


def find_in_scope(session: Any, model: type[Any], key: Any) -> Any:
    """Return the row with primary key *key* (text from a request or a value), or None outside the scope.

    Always asks the database: an object that is already loaded must not be handed out past the scope.
    """
    try:
        value = parse_key(model, str(key))
    except InvalidText:
        return None
    return session.scalars(scoped_select(model, primary_key_of(model) == value)).unique().one_or_none()


def is_row_in_scope(session: Any, item: Any) -> bool:
    """Tell whether a flushed row lies in the scope, as the database sees it."""
    model = type(item)
    if current_scope().is_all or not is_scoped_model(model):
        return True
    key = primary_key_of(model)
    identity = item.__mapper__.primary_key_from_instance(item)[0]
    statement = select(key).where(key == identity, scope_clause(model))
    return session.scalar(statement) is not None
