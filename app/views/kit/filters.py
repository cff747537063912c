"""Filters with typed values, kept for one request and never in the view that all threads share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask_appbuilder.models.filters import BaseFilter, BaseFilterConverter, FilterRelation, Filters
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_
from sqlalchemy.orm import Query

from app.views.kit.kinds import Kind, foreign_key_of, kind_of, primary_key_of, related_model
from app.views.kit.values import InvalidText, parse_column_value, parse_key, parse_text

MAX_VALUES = 50


class KitFilter(BaseFilter):
    """A filter whose texts are parsed before they reach SQL; texts that are no values are left out."""

    def parse(self, text: str) -> Any:
        """Return the typed value; raises InvalidText."""
        return parse_column_value(self.model, self.column_name, text)

    def is_valid(self, text: str) -> bool:
        """Tell whether *text* is a value of this filter's column."""
        try:
            self.parse(text)
        except InvalidText:
            return False
        return True

    def criterion(self, values: Sequence[Any]) -> Any:
        """Return the condition for typed values (at least one)."""
        raise NotImplementedError

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        """Add the condition; *value* is one text or a list of texts."""
        texts = value if isinstance(value, list | tuple) else [value]
        values = [self.parse(str(text)) for text in texts if self.is_valid(str(text))]
        return query.filter(self.criterion(values)) if values else query

    def column(self) -> Any:
        """Return the mapped attribute."""
        return getattr(self.model, self.column_name)


class Equal(KitFilter):
    name = _l("is")
    arg_name = "eq"

    def criterion(self, values: Sequence[Any]) -> Any:
        return self.column().in_(values)


class NotEqual(KitFilter):
    name = _l("is not")
    arg_name = "neq"

    def criterion(self, values: Sequence[Any]) -> Any:
        return or_(self.column().not_in(values), self.column().is_(None))


class AtLeast(KitFilter):
    name = _l("from")
    arg_name = "ge"

    def criterion(self, values: Sequence[Any]) -> Any:
        return self.column() >= max(values)


class AtMost(KitFilter):
    name = _l("to")
    arg_name = "le"

    def criterion(self, values: Sequence[Any]) -> Any:
        return self.column() <= min(values)


class UpToInstant(KitFilter):
    """Up to an instant; a bare date means the whole of that local day."""

    name = _l("to")
    arg_name = "le"

    def parse(self, text: str) -> Any:
        found = super().parse(text)
        has_time = ":" in text or "：" in text
        return found + (timedelta(minutes=1) if has_time else timedelta(days=1))

    def criterion(self, values: Sequence[Any]) -> Any:
        return self.column() < min(values)


class Contains(KitFilter):
    name = _l("contains")
    arg_name = "ct"

    def parse(self, text: str) -> Any:
        return parse_text(text)

    def criterion(self, values: Sequence[Any]) -> Any:
        return or_(*(self.column().icontains(value, autoescape=True) for value in values))


class StartsWith(Contains):
    name = _l("starts with")
    arg_name = "sw"

    def criterion(self, values: Sequence[Any]) -> Any:
        return or_(*(self.column().istartswith(value, autoescape=True) for value in values))


class RelatedTo(FilterRelation, KitFilter):
    """Rows whose many-to-one relation is one of the given rows."""

    name = _l("is")
    arg_name = "rel_o_m"

    def parse(self, text: str) -> Any:
        return parse_key(related_model(self.model, self.column_name), text)

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        return KitFilter.apply(self, query, value)

    def criterion(self, values: Sequence[Any]) -> Any:
        return foreign_key_of(self.model, self.column_name).in_(values)


class NotRelatedTo(RelatedTo):
    name = _l("is not")
    arg_name = "nrel_o_m"

    def criterion(self, values: Sequence[Any]) -> Any:
        column = foreign_key_of(self.model, self.column_name)
        return or_(column.not_in(values), column.is_(None))


class RelatedToMany(RelatedTo):
    """Rows whose to-many relation contains one of the given rows."""

    name = _l("contains")
    arg_name = "rel_m_m"

    def criterion(self, values: Sequence[Any]) -> Any:
        return self.column().any(primary_key_of(related_model(self.model, self.column_name)).in_(values))


class QuickSearch(BaseFilter):
    """One text looked for in several text columns; *value* is ``(text, columns)``."""

    name = _l("Search")

    def apply(self, query: Query[Any], value: Any) -> Query[Any]:
        text, columns = value
        attributes = [getattr(self.model, name) for name in columns]
        return query.filter(or_(*(attribute.icontains(text, autoescape=True) for attribute in attributes)))


_RANGE = (Equal, AtLeast, AtMost, NotEqual)
_BY_KIND: dict[Kind, tuple[type[KitFilter], ...]] = {
    Kind.RELATION: (RelatedTo, NotRelatedTo),
    Kind.RELATIONS: (RelatedToMany,),
    Kind.ENUM: (Equal, NotEqual),
    Kind.BOOLEAN: (Equal, NotEqual),
    Kind.STRING: (Contains, Equal, StartsWith),
    Kind.TEXT: (Contains,),
    Kind.DATETIME: (AtLeast, UpToInstant),
    **dict.fromkeys((Kind.DATE, Kind.FEN, Kind.CLOCK, Kind.MINUTES), _RANGE),
    **dict.fromkeys((Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT), _RANGE),
}


def filter_classes(model: type[Any], name: str) -> tuple[type[KitFilter], ...]:
    """Return the filters that a column may have; none for JSON, secrets and computed attributes."""
    return _BY_KIND.get(kind_of(model, name), ())


class KitFilterConverter(BaseFilterConverter):
    """FAB's hook that lists the filters of a column; the index in a query string counts in this list."""

    def convert(self, col_name: str) -> list[KitFilter]:
        """Return filter instances for *col_name*, in a fixed order."""
        return [filter_(col_name, self.datamodel) for filter_ in filter_classes(self.datamodel.obj, col_name)]


class KitFilters(Filters):
    """FAB's set of active filters, cheap to copy and tolerant of wrong indices and values."""

    def fresh(self) -> KitFilters:
        """Return a set with the same choice of filters and none of them active."""
        made = copy.copy(self)
        made.clear_filters()
        return made

    def copy(self) -> KitFilters:
        """Return a set with the same active filters."""
        made = copy.copy(self)
        made.filters, made.values = list(self.filters), list(self.values)
        return made

    def get_joined_filters(self, filters: Filters) -> KitFilters:
        """Return a new set with the active filters of both."""
        made = self.copy()
        made.filters += filters.filters
        made.values += filters.values
        return made

    def add_filter_index(self, column_name: str, filter_instance_index: int, value: Any) -> None:
        """Activate a filter named by a query string; anything that is not on offer is ignored."""
        offered = self._search_filters.get(column_name, [])
        if filter_instance_index >= len(offered):
            return
        chosen = offered[filter_instance_index]
        texts = [text for text in value[:MAX_VALUES] if chosen.is_valid(text)]
        if texts:
            self._add_filter(chosen, texts)

    def apply_all(self, query: Query[Any]) -> Query[Any]:
        """Add every active filter to *query*."""
        for active, value in zip(self.filters, self.values, strict=True):
            query = active.apply(query, value)
        return query

    def get_filters_values_tojson(self) -> list[tuple[str, str, Any]]:
        """Return what the filter form shows as active: column, name of the filter, texts."""
        return [
            (active.column_name, str(active.name), value)
            for active, value in zip(self.filters, self.values, strict=True)
            if isinstance(active, KitFilter)
        ]


def is_filterable(model: type[Any], name: str) -> bool:
    """Tell whether a column can be in `search_columns`."""
    return bool(filter_classes(model, name))


def is_searchable_text(model: type[Any], name: str) -> bool:
    """Tell whether a column can be in `quick_search_columns`: short text in clear."""
    return kind_of(model, name) is Kind.STRING
