"""Makes a form from a model's columns, in place of FAB's converter."""

from __future__ import annotations

from typing import Any

from flask_appbuilder.forms import DynamicForm
from flask_babel import lazy_gettext as _l
from sqlalchemy import Column, types
from wtforms import validators

from app.models.types import EncryptedJson
from app.views.kit import fields
from app.views.kit.kinds import (
    Kind,
    column_of,
    enum_of,
    foreign_key_of,
    kind_of,
    plain_type,
    related_model,
)
from app.views.kit.relation_fields import RelatedRows, RelationField, RelationsField
from app.views.kit.values import integer_bounds

REQUIRED_MESSAGE = _l("Please fill this in.")
_TEXTS = {Kind.STRING: fields.TextField, Kind.TEXT: fields.LongTextField}
_PLAIN = {Kind.CLOCK: fields.ClockField, Kind.DATE: fields.DateField, Kind.DATETIME: fields.TZDateTimeField}
_WHOLE = {
    Kind.FEN: fields.FenField,
    Kind.MINUTES: fields.WholeNumberField,
    Kind.INTEGER: fields.WholeNumberField,
}


class KitForm(DynamicForm):
    """Base of the generated forms."""


class KitModelConverter:
    """Turns columns of a view's model into fields; one instance per view, at start-up."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.model: type[Any] = view.datamodel.obj

    def create_form(
        self,
        label_columns: dict[str, Any] | None = None,
        inc_columns: list[str] | None = None,
        description_columns: dict[str, Any] | None = None,
        validators_columns: dict[str, Any] | None = None,
        extra_fields: dict[str, Any] | None = None,
        filter_rel_fields: dict[str, Any] | None = None,
        with_version: bool = False,
    ) -> type[KitForm]:
        """Return a form class with a field per column of *inc_columns*, in that order.

        *filter_rel_fields* maps a relation to a function that returns a further condition on its choices.
        """
        extra = extra_fields or {}
        members: dict[str, Any] = {}
        for name in inc_columns or []:
            members[name] = extra.get(name) or self._field(
                name,
                {
                    "label": (label_columns or {}).get(name, name),
                    "description": (description_columns or {}).get(name, ""),
                    "validators": list((validators_columns or {}).get(name, [])),
                },
                (filter_rel_fields or {}).get(name),
            )
        if with_version and column_of(self.model, "version") is not None:
            members["version"] = fields.VersionField()
        return type("KitModelForm", (KitForm,), members)

    def create_search_form(self, label_columns: dict[str, Any], inc_columns: list[str]) -> type[KitForm]:
        """Return a form whose fields are only drawn: the value side of each filter, empty at first."""
        members = {name: self._search_field(name, label_columns.get(name, name)) for name in inc_columns}
        return type("KitSearchForm", (KitForm,), members)

    def _search_field(self, name: str, label: Any) -> Any:
        kind = kind_of(self.model, name)
        if kind in (Kind.RELATION, Kind.RELATIONS):
            rows = RelatedRows(related_model(self.model, name), self.view.lookup_columns.get(name, ()))
            return RelationField(
                label=label, rows=rows, lookup_view=self.view.endpoint_name, allow_blank=True
            )
        if kind is Kind.ENUM:
            return fields.NEnumField(label=label, enum_class=enum_of(self.model, name), allow_blank=True)
        if kind is Kind.BOOLEAN:
            return fields.SwitchField(label=label)
        if kind in (Kind.DATE, Kind.DATETIME):
            return fields.DateField(label=label)
        return fields.TextField(label=label)

    def _field(self, name: str, common: dict[str, Any], criteria: Any) -> Any:
        kind = kind_of(self.model, name)
        if kind in (Kind.RELATION, Kind.RELATIONS):
            return self._relation(name, kind, common, criteria)
        column = column_of(self.model, name)
        if column is None:
            raise TypeError(f"{self.model.__name__}.{name} is no column; give the form a field of its own")
        if default_of(column) is not None:
            common["default"] = default_of(column)
        if kind not in (Kind.BOOLEAN, Kind.SECRET):
            common["validators"].insert(0, self._presence(kind, column))
        return self._column_field(name, kind, column, common)

    def _relation(self, name: str, kind: Kind, common: dict[str, Any], criteria: Any) -> Any:
        rows = RelatedRows(related_model(self.model, name), self.view.lookup_columns.get(name, ()), criteria)
        place = {"rows": rows, "lookup_view": self.view.endpoint_name, **common}
        if kind is Kind.RELATIONS:
            return RelationsField(**place)
        is_nullable = bool(foreign_key_of(self.model, name).nullable)
        place["validators"].insert(0, optional() if is_nullable else required())
        return RelationField(allow_blank=is_nullable, **place)

    def _presence(self, kind: Kind, column: Column[Any]) -> Any:
        """Text that defaults to empty may stay empty; any other NOT NULL column must be filled in."""
        if column.nullable or (kind in _TEXTS and default_of(column) == ""):
            return optional()
        return required()

    def _column_field(self, name: str, kind: Kind, column: Column[Any], common: dict[str, Any]) -> Any:
        if kind in _TEXTS:
            return self._text(kind, column, common)
        if kind in _WHOLE:
            return self._whole(name, kind, column, common)
        if kind in _PLAIN:
            return _PLAIN[kind](**common)
        if kind in (Kind.DECIMAL, Kind.FLOAT):
            return fields.DecimalField(column=column, is_float=kind is Kind.FLOAT, **common)
        if kind is Kind.ENUM:
            return fields.NEnumField(
                enum_class=enum_of(self.model, name), allow_blank=bool(column.nullable), **common
            )
        if kind is Kind.BOOLEAN:
            return self._boolean(column, common)
        if kind is Kind.JSON:
            return fields.JSONField(check=self.view.json_checks.get(name), **common)
        if kind is Kind.SECRET:
            return fields.SecretField(is_json=isinstance(column.type, EncryptedJson), **common)
        raise TypeError(f"{self.model.__name__}.{name} has a type that forms do not know")

    def _text(self, kind: Kind, column: Column[Any], common: dict[str, Any]) -> Any:
        length = getattr(plain_type(column), "length", None)
        if length:
            common["validators"].append(validators.Length(max=length))
        return _TEXTS[kind](is_nullable=bool(column.nullable), **common)

    def _whole(self, name: str, kind: Kind, column: Column[Any], common: dict[str, Any]) -> Any:
        low, high = integer_bounds(column)
        may_be_negative = name in self.view.signed_columns or (kind is Kind.INTEGER)
        return _WHOLE[kind](low=low if may_be_negative else 0, high=high, **common)

    def _boolean(self, column: Column[Any], common: dict[str, Any]) -> Any:
        if column.nullable and "default" not in common:
            return fields.NullableSwitchField(allow_blank=True, **common)
        return fields.SwitchField(**common)


class Presence:
    """Requires a value; asks the typed value, so that 0 counts and blanks do not."""

    field_flags = {"required": True}

    def __call__(self, form: Any, field: Any) -> None:
        if field.data is None or field.data == "":
            has_said_why = bool(field.errors or field.process_errors)
            raise validators.StopValidation(None if has_said_why else REQUIRED_MESSAGE)


class Absence:
    """Lets an empty value pass without asking the other validators."""

    field_flags = {"optional": True}

    def __call__(self, form: Any, field: Any) -> None:
        if field.data is None or field.data == "":
            raise validators.StopValidation()


def required() -> Presence:
    """Return the validator of columns that must be filled in."""
    return Presence()


def optional() -> Absence:
    """Return the validator of columns that may stay empty."""
    return Absence()


def default_of(column: Column[Any]) -> Any:
    """Return a column's plain default for a new form; None for computed ones and server defaults."""
    default = column.default
    if default is None or not getattr(default, "is_scalar", False):
        return _callable_default(default) if isinstance(plain_type(column), types.JSON) else None
    return getattr(default, "arg", None)


def _callable_default(default: Any) -> Any:
    """JSON columns default to `list` or `dict`; an empty one of those is what a new form shows."""
    made = default.arg(None) if getattr(default, "is_callable", False) else None
    return made if isinstance(made, list | dict) else None
