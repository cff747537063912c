"""Form controls with the classes that the theme styles and its scripts look for."""

from __future__ import annotations

from typing import Any

from flask import url_for
from flask_babel import gettext as _
from wtforms import widgets
from wtforms.fields import Field


def with_classes(field: Field, kwargs: dict[str, Any], css: str) -> dict[str, Any]:
    """Return *kwargs* with the control's classes first, then the caller's, then the mark of an error."""
    given = str(kwargs.pop("class", "") or kwargs.pop("class_", ""))
    names = [*css.split(), *given.split(), *(["is-invalid"] if field.errors else [])]
    return {**kwargs, "class": " ".join(dict.fromkeys(names))}


class TextInput(widgets.TextInput):
    """A one-line input."""

    css = "form-control"
    attributes: dict[str, str] = {}

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        return super().__call__(field, **{**self.attributes, **with_classes(field, kwargs, self.css)})


class NumberInput(TextInput):
    """A whole or decimal number; a text input, because number inputs lose what they cannot read."""

    attributes = {"inputmode": "decimal", "autocomplete": "off"}


class MoneyInput(NumberInput):
    css = "form-control js-money"


class ClockInput(TextInput):
    css = "form-control js-clock"
    attributes = {"placeholder": "HH:MM", "autocomplete": "off"}


class DateInput(TextInput):
    css = "form-control js-date"
    attributes = {"placeholder": "YYYY-MM-DD", "autocomplete": "off"}


class DateTimeInput(TextInput):
    css = "form-control js-datetime"
    attributes = {"placeholder": "YYYY-MM-DD HH:MM", "autocomplete": "off"}


class SecretInput(widgets.PasswordInput):
    """A value that is written and never shown again."""

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        kwargs.setdefault("autocomplete", "new-password")
        return super().__call__(field, **with_classes(field, kwargs, "form-control"))


class TextArea(widgets.TextArea):
    def __call__(self, field: Field, **kwargs: Any) -> Any:
        return super().__call__(field, **{"rows": 4, **with_classes(field, kwargs, "form-control")})


class JsonArea(TextArea):
    def __call__(self, field: Field, **kwargs: Any) -> Any:
        styled = with_classes(field, kwargs, "font-monospace js-json")
        return super().__call__(field, **{"rows": 6, "spellcheck": "false", **styled})


class Checkbox(widgets.CheckboxInput):
    def __call__(self, field: Field, **kwargs: Any) -> Any:
        return super().__call__(field, **with_classes(field, kwargs, "form-check-input"))


class Select(widgets.Select):
    def __call__(self, field: Field, **kwargs: Any) -> Any:
        return super().__call__(field, **with_classes(field, kwargs, "form-select js-select"))


class RelationSelect(widgets.Select):
    """A select of related rows: all of them when they are few, else filled by the view's lookup address."""

    def __call__(self, field: Any, **kwargs: Any) -> Any:
        css = "form-select js-remote-select" if field.is_remote else "form-select js-select"
        if field.is_remote:
            kwargs.setdefault("data-url", url_for(f"{field.lookup_view}.lookup", field=field.short_name))
        kwargs.setdefault("data-placeholder", _("Please choose"))
        return super().__call__(field, **with_classes(field, kwargs, css))
