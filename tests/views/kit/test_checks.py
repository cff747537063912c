"""A screen that would leak or break does not start (FAB traps 12, 15, 16, 17)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_appbuilder import Model, ModelView
from flask_appbuilder.models.sqla.interface import SQLAInterface
from flask_babel import lazy_gettext as _l
from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from app.views.base import KitInterface, LedgerView, ReferenceView, action
from app.views.kit import KitError
from app.views.kit.checks import check_kit
from app.views.security import QuefangSecurityManager
from tests.views.kit.cafe import LABELS, Base, Desk, Place, Wish


class Odd(Base):
    """A column with a name that forms use themselves."""

    __tablename__ = "cafe_odd"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    meta: Mapped[str] = mapped_column()
    data: Mapped[str] = mapped_column()


GOOD: dict[str, Any] = {
    "datamodel": KitInterface(Desk),
    "list_title": _l("Desks"),
    "item_title": _l("Desk"),
    "label_columns": LABELS | {"visits": _l("Visits"), "store_id": _l("Store"), "pin": _l("Pin")},
    "list_columns": ["name"],
    "show_columns": ["name"],
    "add_columns": ["name"],
    "edit_columns": ["name"],
    "search_columns": ["name"],
}
WISH: dict[str, Any] = {
    "datamodel": KitInterface(Wish),
    "label_columns": {"text": _l("Text"), "id": _l("Number")},
} | {f"{name}_columns": ["text"] for name in ("list", "show", "add", "edit", "search")}


def start(base: type[Any] = ReferenceView, **changes: Any) -> Any:
    """Instantiate a view as start-up does."""
    members = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return type("SomeView", (base,), members)()


@pytest.fixture(autouse=True)
def context(app: Flask) -> Any:
    """Views are made inside an application context."""
    with app.app_context():
        yield


def test_good_view_starts() -> None:
    view = start()

    assert view.search_columns == ["name"]
    assert set(view.base_permissions) == {"can_read", "can_write", "can_delete", "can_export"}


@pytest.mark.parametrize(
    ("label", "changes", "message"),
    [
        *(
            (f"no {name}_columns", {f"{name}_columns": ...}, f"{name}_columns must be set")
            for name in ("list", "show", "add", "edit", "search")
        ),
        ("children in a list", {"list_columns": ["name", "visits"]}, "visits is a to-many relation"),
        ("children on a page", {"show_columns": ["name", "visits"]}, "visits is a to-many relation"),
        ("children in the filter bar", {"search_columns": ["visits"]}, "visits is a to-many relation"),
        ("children in a form", {"add_columns": ["visits"]}, "visits is a list of children"),
        ("a bare foreign key in a form", {"edit_columns": ["store_id"]}, "store_id is a bare foreign key"),
        ("order by a secret", {"order_columns": ["pin"]}, "pin is secret"),
        ("filter on a secret", {"search_columns": ["pin"]}, "pin cannot be filtered"),
        ("filter on JSON", {"search_columns": ["extra"]}, "extra cannot be filtered"),
        ("search in a number", {"quick_search_columns": ["capacity"]}, "capacity cannot be searched"),
        ("order by nothing known", {"order_columns": ["nonesuch"]}, "nonesuch"),
        ("no label", {"list_columns": ["version"]}, "a lazily translated label for version"),
        (
            "a label that is not translated",
            {"label_columns": {"name": "Name"}},
            "a lazily translated label for name",
        ),
        ("no title", {"item_title": None}, "list_title and item_title must be set"),
        ("a title that is not translated", {"list_title": "Desks"}, "list_title and item_title must be set"),
        ("rows without stores", WISH, "Wish has no store_scope_clause"),
        ("rows of stores declared as none", {"is_store_scoped": False}, "is_store_scoped must stay True"),
    ],
)
def test_view_is_refused(label: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(KitError, match="SomeView"):
        start(**changes)
    with pytest.raises(KitError, match=message):
        start(**changes)


@pytest.mark.parametrize("name", ["meta", "data"])
def test_column_named_like_a_part_of_a_form_is_refused(name: str) -> None:
    columns = {f"{part}_columns": [name] for part in ("list", "show", "add", "edit", "search")}
    labels = {"label_columns": {name: _l("Odd")}}

    with pytest.raises(KitError, match=f"a column cannot be named {name}"):
        start(datamodel=KitInterface(Odd), is_store_scoped=False, **columns, **labels)


def test_rows_without_stores_start_when_said_so() -> None:
    assert start(**WISH, is_store_scoped=False).search_columns == ["text"]


def test_empty_columns_stay_empty() -> None:
    view = start(search_columns=[], order_columns=[])

    assert view.search_columns == []
    assert view._filters.get_search_filters() == {}
    assert view.order_columns == []


def test_action_that_looks_like_a_permission_is_refused() -> None:
    def act(self: Any, items: Any) -> None:
        """Do nothing."""

    with pytest.raises(KitError, match="must not contain 'can_'"):
        start(act=action("can_fly", _l("Fly"))(act))


def test_action_has_a_permission_of_its_own() -> None:
    def act(self: Any, items: Any) -> None:
        """Do nothing."""

    view = start(base=LedgerView, add_columns=[], edit_columns=[], act=action("fly", _l("Fly"))(act))

    assert set(view.base_permissions) == {"can_read", "can_export", "can_fly"}


def test_views_do_not_share_labels() -> None:
    first, second = start(), start(label_columns={"name": _l("Other")})

    assert first.label_columns is not second.label_columns
    assert str(first.label_columns["name"]) != str(second.label_columns["name"])


class FakeMenu:
    """A menu with one entry."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_flat_name_list(self) -> list[str]:
        """Return the names of all entries."""
        return [self.name]


class FakeBuilder:
    """Registered views and menu."""

    def __init__(self, views: list[Any], menu: str = "Desks") -> None:
        self.baseviews, self.menu = views, FakeMenu(menu)


def test_menu_entry_named_like_a_class_is_refused() -> None:
    check_kit(FakeBuilder([start()]))
    with pytest.raises(KitError, match="named like a view class"):
        check_kit(FakeBuilder([start()], menu="SomeView"))


def test_stock_view_of_a_model_is_refused() -> None:
    class StockView(ModelView):
        datamodel = SQLAInterface(Place)

    with pytest.raises(KitError, match="must derive from the kit"):
        check_kit(FakeBuilder([StockView()]))


def test_roles_in_the_settings_are_refused(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "FAB_ROLES", {"Some": [["OrderView", "can_list"]]})

    with pytest.raises(TypeError, match="FAB_ROLES"):
        QuefangSecurityManager(app.appbuilder)  # type: ignore[attr-defined]


def test_tables_of_the_tests_are_no_tables_of_the_product() -> None:
    assert not set(Base.metadata.tables) & set(Model.metadata.tables)
