"""Store scope enforced below every screen: ORM reads return only rows of the stores in scope."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, event, false
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria

from app.extensions import current_scope, set_scope, use_scope


class StoreScoped:
    """Mixin of models that belong to a store; `store_scope_clause` says how."""

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """Return the condition that a row lies in one of *store_ids*."""
        column: Any = cls.store_id  # type: ignore[attr-defined]
        return column.in_(store_ids) if store_ids else false()


def scoped_models() -> list[type[StoreScoped]]:
    """Return every mapped class that belongs to a store."""
    found: list[type[StoreScoped]] = []
    pending = list(StoreScoped.__subclasses__())
    while pending:
        model = pending.pop()
        # Mixins between this one and the tables have no rows of their own.
        if hasattr(model, "__table__"):
            found.append(model)
        pending.extend(model.__subclasses__())
    return found


def limit_reads_to_scope(state: ORMExecuteState) -> None:
    """Add the scope's condition to each ORM read; a forgotten screen shows nothing rather than everything."""
    scope = current_scope()
    if scope.is_all or not state.is_select or state.is_column_load:
        return
    options = [
        with_loader_criteria(model, model.store_scope_clause(scope.store_ids), include_aliases=True)
        for model in scoped_models()
    ]
    state.statement = state.statement.options(*options)


def install_scope(session_class: Any) -> None:
    """Listen on the session factory once per process."""
    if not event.contains(session_class, "do_orm_execute", limit_reads_to_scope):
        event.listen(session_class, "do_orm_execute", limit_reads_to_scope)


__all__ = [
    "StoreScoped",
    "current_scope",
    "install_scope",
    "limit_reads_to_scope",
    "scoped_models",
    "set_scope",
    "use_scope",
]
