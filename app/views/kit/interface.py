"""FAB's data interface with scoped reads, explicit loading and no guessing from query strings."""

from __future__ import annotations

from functools import reduce
from typing import Any

from flask_appbuilder.models.sqla.interface import SQLAInterface
from sqlalchemy import func, select
from sqlalchemy.orm import Query, aliased, joinedload, selectinload

from app.views.kit.filters import KitFilterConverter, KitFilters
from app.views.kit.kinds import Kind, kind_of, primary_key_name, primary_key_of, related_model, relation_of
from app.views.kit.scope import find_in_scope, scope_clause
from app.views.kit.values import InvalidText, parse_key


class KitInterface(SQLAInterface):
    """Reads rows of one model inside the store scope; writing is the view's business, in one transaction."""

    filter_converter_class = KitFilterConverter

    def __init__(self, obj: type[Any], session: Any = None) -> None:
        super().__init__(obj, session)
        # Relations that a list shows, loaded with the rows instead of one by one; set by the view.
        self.eager_columns: tuple[str, ...] = ()

    def get_filters(self, search_columns: Any = None, search_filters: Any = None) -> KitFilters:
        """Return a set of filters on *search_columns*, none of them active."""
        return KitFilters(self.filter_converter_class, self, search_columns=search_columns or [])

    def base_filters(self, declared: list[Any]) -> KitFilters:
        """Return the filters that a view declares to hold always; the scope is in every query anyway."""
        found = self.get_filters()
        found.add_filter_list(declared)
        return found

    @staticmethod
    def _get_attr_value(item: Any, col: str) -> Any:
        """Return the raw value: enum members stay members, their label is the cell's business."""
        value = reduce(lambda found, name: getattr(found, name, None), col.split("."), item)
        return value() if callable(value) and not isinstance(value, type) else value

    def filtered(self, filters: KitFilters | None) -> Query[Any]:
        """Return the query of all rows that pass *filters*, always inside the scope."""
        query = self.session.query(self.obj).filter(scope_clause(self.obj))
        return filters.apply_all(query) if filters else query

    def count(self, filters: KitFilters | None) -> int:
        """Return how many rows pass *filters*."""
        return self.filtered(filters).with_entities(func.count(primary_key_of(self.obj))).scalar() or 0

    def ordered(self, filters: KitFilters | None, order_column: str, order_direction: str) -> Query[Any]:
        """Return the filtered query in a total order (the key breaks ties) with its relations loaded."""
        query = self.filtered(filters).options(*self.eager_options())
        key = primary_key_of(self.obj)
        is_descending = order_direction == "desc"
        if order_column:
            query, column = self._order_target(query, order_column)
            query = query.order_by(column.desc() if is_descending else column.asc())
        return query.order_by(key.desc() if is_descending or not order_column else key.asc())

    def _order_target(self, query: Query[Any], name: str) -> tuple[Query[Any], Any]:
        if "." not in name:
            return query, getattr(self.obj, name)
        root, leaf = name.split(".", 1)
        other = aliased(related_model(self.obj, root))
        return query.outerjoin(other, getattr(self.obj, root).of_type(other)), getattr(other, leaf)

    def query(
        self,
        filters: Any = None,
        order_column: str = "",
        order_direction: str = "",
        page: int | None = None,
        page_size: int | None = None,
        select_columns: Any = None,
        outer_default_load: bool = False,
    ) -> tuple[int, list[Any]]:
        """Return the number of rows that pass *filters* and one page of them (all without *page_size*)."""
        query = self.ordered(filters, order_column, order_direction)
        if page_size:
            query = query.limit(page_size).offset((page or 0) * page_size)
        return self.count(filters), query.all()

    def eager_options(self) -> list[Any]:
        """Return loader options for the relations in `eager_columns` (dotted paths are followed)."""
        options = []
        for path in self.eager_columns:
            model, option = self.obj, None
            for name in path.split("."):
                attribute = getattr(model, name)
                is_many = kind_of(model, name) is Kind.RELATIONS
                loader = (
                    (selectinload if is_many else joinedload)
                    if option is None
                    else (option.selectinload if is_many else option.joinedload)
                )
                option, model = loader(attribute), related_model(model, name)
            options.append(option)
        return options

    def get(
        self, id: Any, filters: Any = None, select_columns: Any = None, outer_default_load: bool = False
    ) -> Any:
        """Return the row with this key if it passes *filters* and lies in scope, else None."""
        try:
            key = parse_key(self.obj, str(id))
        except InvalidText:
            return None
        query = self.filtered(filters).filter(primary_key_of(self.obj) == key)
        return query.options(*self.eager_options()).one_or_none()

    def get_many(self, ids: list[Any], filters: KitFilters | None) -> list[Any] | None:
        """Return the rows with these keys in the order given, or None when one is missing or out of scope."""
        try:
            keys = [parse_key(self.obj, str(id_)) for id_ in ids]
        except InvalidText:
            return None
        rows = self.filtered(filters).filter(primary_key_of(self.obj).in_(keys)).all()
        by_key = {self.get_pk_value(row): row for row in rows}
        return [by_key[key] for key in keys] if by_key.keys() >= set(keys) else None

    def get_for_update(self, id: Any, filters: KitFilters | None) -> Any:
        """As `get`, with the row locked until the transaction ends and read afresh."""
        try:
            key = parse_key(self.obj, str(id))
        except InvalidText:
            return None
        query = self.filtered(filters).filter(primary_key_of(self.obj) == key)
        return query.with_for_update(of=self.obj).populate_existing().one_or_none()

    def committed_value(self, item: Any, name: str) -> Any:
        """Return the value that the database has for an attribute that may have been changed since."""
        with self.session.no_autoflush:
            return self.session.scalar(
                select(getattr(self.obj, name)).where(primary_key_of(self.obj) == self.get_pk_value(item))
            )

    def get_related_obj(self, col_name: str, value: Any) -> Any:
        """Return the row that a relation may be set to, or None outside the scope."""
        return find_in_scope(self.session, related_model(self.obj, col_name), value)

    def get_pk_name(self) -> str:
        """Return the attribute name of the primary key."""
        return primary_key_name(self.obj)

    def relation_to(self, model: type[Any]) -> str | None:
        """Return the relation of this model that leads to *model*; many-to-one before many-to-many."""
        names = [name for name in self.list_properties if self._leads_to(name, model)]
        return min(names, key=lambda name: kind_of(self.obj, name) is Kind.RELATIONS, default=None)

    def _leads_to(self, name: str, model: type[Any]) -> bool:
        relation = relation_of(self.obj, name)
        return relation is not None and issubclass(model, relation.mapper.class_)
