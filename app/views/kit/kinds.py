"""What a mapped attribute means to a screen: money, clock time, enum, relation, secret and so on."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Column, inspect, types
from sqlalchemy.orm import RelationshipProperty

from app.models.types import EncryptedJson, EncryptedText


class Kind(StrEnum):
    """The kinds that fields, filters, cells and exports know how to treat."""

    RELATION = "relation"
    RELATIONS = "relations"
    SECRET = "secret"
    ENUM = "enum"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"
    JSON = "json"
    FEN = "fen"
    CLOCK = "clock"
    MINUTES = "minutes"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    STRING = "string"
    OTHER = "other"


NUMBERS = frozenset({Kind.FEN, Kind.CLOCK, Kind.MINUTES, Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})

_INTEGER_SUFFIXES = (("_fen", Kind.FEN), ("_minute", Kind.CLOCK), ("_minutes", Kind.MINUTES))
_BY_TYPE: tuple[tuple[type[Any], Kind], ...] = (
    (types.Enum, Kind.ENUM),
    (types.Boolean, Kind.BOOLEAN),
    (types.DateTime, Kind.DATETIME),
    (types.Date, Kind.DATE),
    (types.JSON, Kind.JSON),
    (types.Integer, Kind.INTEGER),
    (types.Float, Kind.FLOAT),
    (types.Numeric, Kind.DECIMAL),
    (types.Text, Kind.TEXT),
    (types.String, Kind.STRING),
)


def relation_of(model: type[Any], name: str) -> RelationshipProperty[Any] | None:
    """Return the relationship *name* of *model*, if that is what it is."""
    prop = inspect(model).attrs.get(name)
    return prop if isinstance(prop, RelationshipProperty) else None


def related_model(model: type[Any], name: str) -> type[Any]:
    """Return the class that the relationship *name* leads to; raises LookupError when it is none."""
    relation = relation_of(model, name)
    if relation is None:
        raise LookupError(f"{model.__name__}.{name} is not a relation")
    return relation.mapper.class_


def column_of(model: type[Any], name: str) -> Column[Any] | None:
    """Return the table column behind the attribute *name*, if there is one."""
    prop = inspect(model).column_attrs.get(name)
    column = prop.columns[0] if prop is not None else None
    return column if isinstance(column, Column) else None


def foreign_key_of(model: type[Any], relation: str) -> Column[Any]:
    """Return the local column of a many-to-one relation."""
    prop = relation_of(model, relation)
    if prop is None:
        raise LookupError(f"{model.__name__}.{relation} is not a relation")
    column: Any = next(iter(prop.local_columns))
    return column  # type: ignore[no-any-return]


def plain_type(column: Column[Any]) -> types.TypeEngine[Any]:
    """Return the column's type without the decorator around it."""
    found = column.type
    return found.impl_instance if isinstance(found, types.TypeDecorator) else found


def is_secret(model: type[Any], name: str) -> bool:
    """Tell whether the attribute must never be shown, sorted, filtered, exported or audited in clear."""
    column = column_of(model, name)
    if column is None:
        return False
    return name == "password" or isinstance(column.type, EncryptedText | EncryptedJson)


def kind_of(model: type[Any], name: str) -> Kind:
    """Return the kind of an attribute; a dotted name is followed through its relations."""
    if "." in name:
        root, leaf = name.split(".", 1)
        return kind_of(related_model(model, root), leaf)
    relation = relation_of(model, name)
    if relation is not None:
        return Kind.RELATIONS if relation.uselist else Kind.RELATION
    column = column_of(model, name)
    if column is None:
        # Computed amounts are shown and exported as stored ones are.
        return Kind.FEN if name.endswith("_fen") else Kind.OTHER
    return Kind.SECRET if is_secret(model, name) else _kind_of_column(column, name)


def _kind_of_column(column: Column[Any], name: str) -> Kind:
    found = plain_type(column)
    kind = next((kind for type_, kind in _BY_TYPE if isinstance(found, type_)), Kind.OTHER)
    if kind is Kind.INTEGER:
        return next((special for suffix, special in _INTEGER_SUFFIXES if name.endswith(suffix)), kind)
    if kind is Kind.DECIMAL and not getattr(found, "asdecimal", True):
        return Kind.FLOAT
    return kind


def enum_of(model: type[Any], name: str) -> type[Any]:
    """Return the Python enum of an enum column; raises TypeError for a plain list of strings."""
    column = column_of(model, name)
    enum_class = getattr(plain_type(column), "enum_class", None) if column is not None else None
    if enum_class is None:
        raise TypeError(f"{model.__name__}.{name} needs a Python enum with labels")
    return enum_class  # type: ignore[no-any-return]


def primary_key_of(model: type[Any]) -> Column[Any]:
    """Return the only primary-key column; raises TypeError for a composite key, which no screen supports."""
    keys = inspect(model).primary_key
    if len(keys) != 1:
        raise TypeError(f"{model.__name__} has a composite key; screens need a single one")
    return keys[0]  # type: ignore[no-any-return]


def primary_key_name(model: type[Any]) -> str:
    """Return the attribute name of the primary key."""
    return str(inspect(model).get_property_by_column(primary_key_of(model)).key)
