"""Start-up checks: a screen that would leak, lie or break refuses to start instead."""

from __future__ import annotations

from typing import Any

from flask_babel.speaklater import LazyString
from sqlalchemy import inspect

from app.views.kit.filters import is_filterable, is_searchable_text
from app.views.kit.kinds import Kind, column_of, is_secret, kind_of, primary_key_of
from app.views.kit.scope import is_scoped_model

# Attributes of a WTForms form: a column of that name would replace them and break each page.
RESERVED_NAMES = frozenset(
    {
        "meta",
        "data",
        "errors",
        "process",
        "validate",
        "populate_obj",
        "form_errors",
        "hidden_tag",
        "refresh",
        "csrf_token",
    }
)


class KitError(TypeError):
    """A view is declared in a way that the kit refuses; the message names the view and what to change."""


def fail(view: Any, message: str) -> None:
    """Refuse to start because of *view*."""
    raise KitError(f"{type(view).__name__}: {message}")


def check_view(view: Any) -> None:
    """Check one view's declarations; raises KitError."""
    model = view.datamodel.obj
    primary_key_of(model)
    _check_scope(view, model)
    _check_columns(view, model)
    _check_forms(view, model)
    _check_search(view, model)
    _check_labels(view)
    _check_actions(view)


def _check_scope(view: Any, model: type[Any]) -> None:
    if view.is_store_scoped and not is_scoped_model(model):
        fail(
            view,
            f"{model.__name__} has no store_scope_clause; is_store_scoped = False says so",
        )
    if not view.is_store_scoped and is_scoped_model(model):
        fail(view, f"{model.__name__} belongs to stores; is_store_scoped must stay True")


def shown_columns(view: Any) -> list[str]:
    """Return every column that the view names, once."""
    lists = (
        view.list_columns,
        view.show_columns,
        view.add_columns,
        view.edit_columns,
        view.search_columns,
        view.order_columns,
        view.export_columns,
    )
    return list(dict.fromkeys(name for names in lists for name in names))


def _check_columns(view: Any, model: type[Any]) -> None:
    for name in shown_columns(view):
        if name in RESERVED_NAMES:
            fail(view, f"a column cannot be named {name}: forms use that name themselves")
    for name in dict.fromkeys(
        [*view.list_columns, *view.search_columns, *view.export_columns, *view.show_columns]
    ):
        if kind_of(model, name) is Kind.RELATIONS and name not in view.small_relations:
            fail(
                view,
                f"{name} is a to-many relation and would load every child; "
                "name it in small_relations if it is always short",
            )
    for name in view.order_columns:
        if is_secret(model, name):
            fail(view, f"{name} is secret and cannot be sorted by")
        if "." not in name and name not in inspect(model).all_orm_descriptors:
            fail(view, f"{name} cannot be sorted by")
        if kind_of(model, name) in (Kind.RELATION, Kind.RELATIONS):
            fail(view, f"{name} is a relation; sort by a column of it, as in {name}.name")


def _check_forms(view: Any, model: type[Any]) -> None:
    for name in dict.fromkeys([*view.add_columns, *view.edit_columns]):
        if name in view.add_form_extra_fields or name in view.edit_form_extra_fields:
            continue
        column = column_of(model, name)
        if column is not None and column.foreign_keys:
            fail(view, f"{name} is a bare foreign key; use the relation, which checks the store")
        relation = inspect(model).relationships.get(name)
        if relation is not None and relation.uselist and relation.secondary is None:
            fail(view, f"{name} is a list of children; edit them on their own screen")


def _check_search(view: Any, model: type[Any]) -> None:
    for name in view.search_columns:
        if not is_filterable(model, name):
            fail(view, f"{name} cannot be filtered")
    for name in view.quick_search_columns:
        if not is_searchable_text(model, name):
            fail(view, f"{name} cannot be searched; quick search needs a short clear text column")


def _check_labels(view: Any) -> None:
    for name in shown_columns(view):
        label = view.label_columns.get(name)
        if not isinstance(label, LazyString):
            fail(view, f"label_columns needs a lazily translated label for {name}")
    for name in ("list_title", "show_title", "add_title", "edit_title"):
        if not isinstance(getattr(view, name), LazyString):
            fail(view, f"{name} must be lazily translated")


def _check_actions(view: Any) -> None:
    for name in view.actions or {}:
        if "can_" in name:
            fail(view, f"the action {name} must not contain 'can_': permission names are told apart by it")


def check_kit(appbuilder: Any) -> None:
    """Check what needs all views: menu names, and that no view of FAB's own kind is left.

    Call once after every view is registered; raises KitError.
    """
    from app.views.kit.model_view import KitModelView

    class_names = {type(view).__name__ for view in appbuilder.baseviews}
    for name in appbuilder.menu.get_flat_name_list():
        if name in class_names:
            raise KitError(f"the menu entry {name} is named like a view class; permissions would clash")
    for view in appbuilder.baseviews:
        if hasattr(view, "datamodel") and not isinstance(view, KitModelView):
            fail(view, "screens of models must derive from the kit")
