"""The base of every generated screen: FAB's ModelView with its traps removed."""

from __future__ import annotations

from typing import Any

from flask import abort, has_request_context, redirect, request, url_for
from flask_appbuilder import ModelView, expose, has_access
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from werkzeug.wrappers import Response

from app.views.kit.actions import ActionsMixin
from app.views.kit.arguments import (
    apply_filter_arguments,
    apply_quick_search,
    list_arguments,
    local_path,
    preset_relations,
)
from app.views.kit.cells import cell_formatter
from app.views.kit.checks import check_view, fail
from app.views.kit.converter import KitModelConverter
from app.views.kit.export import ExportMixin
from app.views.kit.filters import KitFilters, QuickSearch, RelatedTo, RelatedToMany
from app.views.kit.interface import KitInterface
from app.views.kit.kinds import Kind, kind_of
from app.views.kit.labels import COMMON_LABELS, ROW_LABELS, row_label
from app.views.kit.lookup import LookupMixin
from app.views.kit.relation_fields import RelationField
from app.views.kit.saving import SavingMixin

_FILTERS = "quefang.filters"

# Inside the class the name `list` is a route.
Rows = list[Any]

PERMISSIONS = {
    "list": "read",
    "show": "read",
    "lookup": "read",
    "add": "write",
    "edit": "write",
    "delete": "delete",
    "export": "export",
}


class KitModelView(ActionsMixin, SavingMixin, LookupMixin, ExportMixin, ModelView):
    """Declare a screen with explicit columns and lazily translated labels and titles.

    Required: `datamodel`, `list_title`, `item_title`, `list_columns`, `show_columns`, `add_columns`,
    `edit_columns`, `search_columns` (each may be empty, none may be left out; fieldsets count).
    """

    datamodel: Any
    method_permission_name: Any = None
    label_columns: Any = None
    formatters_columns: Any = None
    export_columns: Any = None
    related_views: Any = None
    _related_views: Any = None
    search_form: Any = None
    exclude_route_methods = {"download"}
    item_title: Any = None
    order_columns: list[str] = []
    quick_search_columns: list[str] = []
    quick_search_filter = QuickSearch
    quick_search_hint: Any = _l("Search")
    """Placeholder of the quick search box."""
    small_relations: frozenset[str] = frozenset()
    """To-many relations that are always short, so that lists and pages may show them whole."""
    eager_columns: tuple[str, ...] = ()
    """Further relations (dotted paths) that rows need to print themselves."""
    lookup_columns: dict[str, tuple[str, ...]] = {}
    """Relation -> text columns of the other model that its remote select searches."""
    json_checks: dict[str, Any] = {}
    """JSON column -> function that raises ValueError(message) when the shape is wrong."""
    signed_columns: frozenset[str] = frozenset()
    """Money columns that may be negative."""
    constraint_messages: dict[str, Any] = {}
    """Constraint name -> message, or (field, message)."""
    is_store_scoped = True
    add_row_message = _l("Added.")
    edit_row_message = _l("Saved.")
    delete_row_message = _l("Deleted.")

    def __init__(self, **kwargs: Any) -> None:
        own = dict(self.method_permission_name or {})
        for name in dir(type(self)):
            described = getattr(getattr(type(self), name, None), "_action", None)
            if described:
                own.setdefault(name, described[0])
        self.method_permission_name = {**PERMISSIONS, **own}
        super().__init__(**kwargs)
        check_view(self)

    @property
    def endpoint_name(self) -> str:
        """The name under which the routes of this view are registered."""
        return type(self).__name__

    # --- start-up

    def _init_properties(self) -> None:
        """Take the declared columns as they are; FAB would fill the gaps by guessing, which leaks."""
        declared = {name: self._declared(name) for name in ("list", "show", "add", "edit", "search")}
        self.datamodel = KitInterface(self.datamodel.obj)
        self.label_columns = {**COMMON_LABELS, **(self.label_columns or {})}
        self.formatters_columns = dict(self.formatters_columns or {})
        self.order_columns = [*self.order_columns]
        for name in (
            "description_columns",
            "validators_columns",
            "add_form_extra_fields",
            "edit_form_extra_fields",
        ):
            setattr(self, name, dict(getattr(self, name) or {}))
        self.related_views, self._related_views = [*(self.related_views or [])], []
        for name, columns in declared.items():
            setattr(self, f"{name}_columns", columns)
        self.export_columns = [*(self.export_columns or self.list_columns)]
        self._base_filters = self.datamodel.base_filters(self.base_filters or [])
        self._search_filters = self.datamodel.get_filters(self.search_columns)
        self.preset_columns = [name for name in self.add_columns if self._kind(name) is Kind.RELATION]
        self._init_cells()

    def _declared(self, name: str) -> Rows:
        fieldsets = getattr(self, f"{name}_fieldsets", None)
        if fieldsets:
            return [field for fieldset in fieldsets for field in fieldset[1]["fields"]]
        columns = getattr(self, f"{name}_columns")
        if columns is None:
            fail(self, f"{name}_columns must be set; it may be empty")
        return [*columns]

    def _kind(self, name: str) -> Kind:
        return kind_of(self.datamodel.obj, name)

    def _init_cells(self) -> None:
        model = self.datamodel.obj
        for name in dict.fromkeys([*self.list_columns, *self.show_columns]):
            self.formatters_columns.setdefault(name, cell_formatter(model, name))
        shown = dict.fromkeys([*self.list_columns, *self.export_columns])
        paths = [name.rsplit(".", 1)[0] for name in shown if "." in name]
        paths += [name for name in shown if self._kind(name) in (Kind.RELATION, Kind.RELATIONS)]
        self.datamodel.eager_columns = tuple(dict.fromkeys([*paths, *self.eager_columns]))

    def _get_add_widget(self, form: Any, exclude_cols: Any = None, widgets: Any = None) -> dict[str, Any]:
        return {
            "add": self._form_widget(
                self.add_widget, form, self.add_columns, self.add_fieldsets, exclude_cols
            )
        }

    def _get_edit_widget(self, form: Any, exclude_cols: Any = None, widgets: Any = None) -> dict[str, Any]:
        return {
            "edit": self._form_widget(
                self.edit_widget, form, self.edit_columns, self.edit_fieldsets, exclude_cols
            )
        }

    def _form_widget(self, widget: Any, form: Any, columns: Any, fieldsets: Any, excluded: Any) -> Any:
        return widget(
            form=form,
            include_cols=columns,
            exclude_cols=excluded or [],
            fieldsets=fieldsets,
            cancel_url=self.get_redirect(),
        )

    def _init_titles(self) -> None:
        """Build the titles from `list_title` and `item_title`, translated when shown."""
        if self.item_title is None or not isinstance(self.list_title, LazyString):
            fail(self, "list_title and item_title must be set and lazily translated")
        titles = {
            "add_title": _l("New: %(item)s", item=self.item_title),
            "edit_title": _l("Edit: %(item)s", item=self.item_title),
            "show_title": self.item_title,
        }
        for name, title in titles.items():
            if isinstance(getattr(self, name), str):
                setattr(self, name, title)
        self.title = self.list_title

    def _init_forms(self) -> None:
        """Make the forms with the kit's converter."""
        converter = KitModelConverter(self)
        common = (self.label_columns,)
        if not self.search_form:
            self.search_form = converter.create_search_form(*common, self.search_columns)
        for name in ("add", "edit"):
            if not getattr(self, f"{name}_form"):
                made = converter.create_form(
                    *common,
                    getattr(self, f"{name}_columns"),
                    self.description_columns,
                    self.validators_columns,
                    getattr(self, f"{name}_form_extra_fields"),
                    getattr(self, f"{name}_form_query_rel_fields"),
                    with_version=name == "edit",
                )
                setattr(self, f"{name}_form", made)

    # --- state of one request

    @property
    def _filters(self) -> Any:
        """The active filters of this request; FAB's shared set is overwritten by other threads."""
        if not has_request_context():
            return self._search_filters.fresh()
        # Kept on the request itself: `g` may outlive it where an application context is already pushed.
        kept: dict[str, KitFilters] = request.environ.setdefault(_FILTERS, {})
        if self.endpoint_name not in kept:
            kept[self.endpoint_name] = self._search_filters.fresh()
        return kept[self.endpoint_name]

    @_filters.setter
    def _filters(self, value: Any) -> None:
        """FAB assigns the shared set here; nothing is shared."""

    def update_redirect(self) -> None:
        """Keep no page history in the cookie: tabs share it and land on each other's pages."""

    def get_redirect(self) -> str:
        """Return where to go after saving: `?next=` if it is a path of this site, else the list."""
        return local_path(request.args.get("next")) or url_for(f"{self.endpoint_name}.list")

    def back_url(self) -> str:
        """Return where to go after an action: `?next=`, else the page it was started from, else the list."""
        wanted = request.form.get("next") or request.args.get("next")
        referrer = request.referrer or ""
        came_from = (
            "/" + referrer.removeprefix(request.host_url) if referrer.startswith(request.host_url) else ""
        )
        return local_path(wanted) or local_path(came_from) or self.get_redirect()

    # --- lists and pages

    @expose("/list/")
    @has_access
    def list(self) -> str:
        """Show the list: filtered, searched, ordered and paged by the query string."""
        filters = apply_filter_arguments(self._filters)
        apply_quick_search(self, filters)
        widgets = self._list_widget(filters, export_links=self._export_links())
        widgets["search"] = self._search_bar(filters)
        return self.render_template(self.list_template, title=self.list_title, widgets=widgets)  # type: ignore[no-any-return]

    def _search_bar(self, filters: KitFilters) -> Any:
        form = self.search_form()
        for active, texts in filters.get_filters_values():
            field = form._fields.get(active.column_name)
            if isinstance(field, RelationField) and field.is_remote:
                # So that the active filter can be shown by name.
                field.data = field.rows.find(texts[0])
        return self.search_widget(
            route_base=self.route_base,
            form=form,
            include_cols=self.search_columns,
            exclude_cols=[],
            filters=filters,
            quick_search=str(self.quick_search_hint) if self.quick_search_columns else "",
        )

    def _export_links(self) -> Any:
        allowed = "export" not in self.exclude_route_methods and self.appbuilder.sm.has_access(
            "can_export", self.class_permission_name
        )
        if not allowed:
            return []
        query = request.query_string.decode("ascii", "ignore")
        address = url_for(f"{self.endpoint_name}.export") + (f"?{query}" if query else "")
        return [{"url": address, "label": _("Export CSV")}]

    def _list_widget(self, filters: KitFilters, **more: Any) -> dict[str, Any]:
        """Return ``{"list": widget}`` for the rows that pass *filters*, the page clamped to what is there."""
        arguments = list_arguments(self)
        joined = filters.get_joined_filters(self._base_filters)
        count = self.datamodel.count(joined)
        page = min(arguments.page, max(0, (count - 1) // arguments.page_size))
        ordered = self.datamodel.ordered(joined, arguments.order_column, arguments.order_direction)
        rows = ordered.limit(arguments.page_size).offset(page * arguments.page_size).all() if count else []
        widget = self.list_widget(
            label_columns=self.label_columns,
            include_columns=self.list_columns,
            value_columns=[*self.datamodel.get_values(rows, self.list_columns)],
            order_columns=self.order_columns,
            formatters_columns=self.formatters_columns,
            page=page,
            page_size=arguments.page_size,
            count=count,
            pks=self.datamodel.get_keys(rows),
            actions=self.actions,
            filters=filters,
            modelview_name=self.endpoint_name,
            **more,
        )
        return {"list": widget}

    @expose("/show/<pk>", methods=["GET"])
    @has_access
    def show(self, pk: str) -> str:
        """Show one row and the lists that hang on it, as far as the user may see them."""
        item = self.datamodel.get(pk, self._base_filters)
        if item is None:
            abort(404)
        widgets = self._get_show_widget(pk, item)
        related = self._related(item, widgets)
        return self.render_template(  # type: ignore[no-any-return]
            self.show_template,
            pk=pk,
            title=self.show_title,
            subtitle=self._name_of(item),
            widgets=widgets,
            related_views=related,
        )

    @staticmethod
    def _name_of(item: Any) -> str:
        """Return the name of a row for the head of its page; nothing for rows that have none."""
        model: type[Any] = type(item)
        has_name = model in ROW_LABELS or any("__str__" in vars(base) for base in model.__mro__[:-1])
        return row_label(item) if has_name else ""

    def visible_related_views(self) -> Rows:
        """Return the related views that the user may read."""
        may = self.appbuilder.sm.has_access
        return [view for view in self._related_views if may("can_read", view.class_permission_name)]

    def _related(self, item: Any, widgets: dict[str, Any]) -> Rows:
        """Add the related lists of *item* to *widgets*, in the order of the views that are returned."""
        shown = []
        widgets["related_views"] = []
        for view in self.visible_related_views():
            relation = view.datamodel.relation_to(type(item))
            if relation is None:
                continue
            is_many = kind_of(view.datamodel.obj, relation) is Kind.RELATIONS
            filters = view.datamodel.get_filters().add_filter_related_view(
                relation, RelatedToMany if is_many else RelatedTo, self.datamodel.get_pk_value(item)
            )
            widgets["related_views"].append(view._list_widget(filters)["list"])
            shown.append(view)
        return shown

    # --- changes

    @expose("/add", methods=["GET", "POST"])
    @has_access
    def add(self) -> Any:
        """Show the form of a new row, or save it; a refusal shows the form again with status 422."""
        form, status = self.add_one()
        if form is None:
            return self.post_add_redirect()
        widgets = self._get_add_widget(form=form, exclude_cols=[*preset_relations(self)])
        return self.render_template(self.add_template, title=self.add_title, widgets=widgets), status

    @expose("/edit/<pk>", methods=["GET", "POST"])
    @has_access
    def edit(self, pk: str) -> Any:
        """Show the form of a row, or save it; a refusal shows the form again with status 422 or 409."""
        form, item, status = self.edit_one(pk)
        if form is None:
            return self.post_edit_redirect()
        widgets = self._get_edit_widget(form=form)
        related = self._related(item, widgets)
        page = self.render_template(
            self.edit_template,
            title=self.edit_title,
            subtitle=self._name_of(item),
            widgets=widgets,
            related_views=related,
            pk=pk,
        )
        return page, status

    @expose("/delete/<pk>", methods=["POST"])
    @has_access
    def delete(self, pk: str) -> Response:
        """Delete a row; a refusal says why on the list."""
        self.delete_one(pk)
        return redirect(self.get_redirect())
