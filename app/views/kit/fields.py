"""Form fields for the kinds of columns that WTForms and FAB get wrong or do not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Column
from wtforms import fields
from wtforms.fields.choices import Choice, SelectFieldBase
from wtforms.validators import ValidationError

from app.views.kit import values, widgets
from app.views.kit.values import InvalidText

BLANK = ""


class TextField(fields.StringField):
    """One line of text, trimmed; empty text is None for a nullable column."""

    widget = widgets.TextInput()

    def __init__(self, *args: Any, is_nullable: bool = False, **kwargs: Any) -> None:
        self.is_nullable = is_nullable
        super().__init__(*args, **kwargs)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the submitted text; a NUL is no text that a database takes."""
        if not valuelist:
            return
        self.data = valuelist[0].strip() or (None if self.is_nullable else "")
        if "\x00" in valuelist[0]:
            self.data = valuelist[0].replace("\x00", "")
            raise InvalidText(_l("This text contains characters that are not allowed."))


class LongTextField(TextField):
    widget = widgets.TextArea()


class ParsedField(fields.Field):
    """Base of fields that keep one typed value and show what was typed when it cannot be read."""

    widget = widgets.TextInput()

    def parse(self, text: str) -> Any:
        """Return the typed value of non-empty *text*; raises InvalidText."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """Return the text that `parse` reads back."""
        return str(value)

    def _value(self) -> str:
        if self.raw_data and self.process_errors:
            return str(self.raw_data[0])
        return BLANK if self.data is None else self.write(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the submitted text; empty text is None."""
        if valuelist:
            self.data = None
            self.data = self.parse(valuelist[0]) if valuelist[0].strip() else None


class WholeNumberField(ParsedField):
    """A whole number inside the bounds of its column."""

    widget = widgets.NumberInput()

    def __init__(self, *args: Any, low: int = 0, high: int = values.MAX_INT32, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(*args, **kwargs)

    def parse(self, text: str) -> int:
        return values.parse_integer(text, self.low, self.high)


class FenField(WholeNumberField):
    """Money: people enter yuan (``12.50``), the column holds integer fen."""

    widget = widgets.MoneyInput()

    def parse(self, text: str) -> int:
        fen = values.parse_yuan(text)
        if not self.low <= fen <= self.high:
            raise InvalidText(_l("The amount is too small or too large."))
        return fen

    def write(self, value: Any) -> str:
        return values.format_yuan(value)


class ClockField(ParsedField):
    """Minutes after midnight, entered as ``HH:MM`` or, past 24:00, ``次日 HH:MM`` (up to 48:00)."""

    widget = widgets.ClockInput()

    def parse(self, text: str) -> int:
        return values.parse_clock(text)

    def write(self, value: Any) -> str:
        return values.format_clock(value)


class DecimalField(ParsedField):
    """A decimal number that its column can hold; a float for columns that hold floats."""

    widget = widgets.NumberInput()

    def __init__(
        self, *args: Any, column: Column[Any] | None = None, is_float: bool = False, **kwargs: Any
    ) -> None:
        self.column, self.is_float = column, is_float
        super().__init__(*args, **kwargs)

    def parse(self, text: str) -> Any:
        found = values.parse_decimal(text, self.column)
        return float(found) if self.is_float else found


class DateField(ParsedField):
    widget = widgets.DateInput()

    def parse(self, text: str) -> Any:
        return values.parse_date(text)

    def write(self, value: Any) -> str:
        return str(value.isoformat())


class TZDateTimeField(ParsedField):
    """An instant: shown and entered in the local zone as ``YYYY-MM-DD HH:MM``, kept as aware UTC."""

    widget = widgets.DateTimeInput()

    def parse(self, text: str) -> Any:
        return values.parse_instant(text)

    def write(self, value: Any) -> str:
        return values.format_instant(value)


class JSONField(ParsedField):
    """A JSON value as indented text; *check* refuses a wrong shape by ValueError(message)."""

    widget = widgets.JsonArea()

    def __init__(self, *args: Any, check: Callable[[Any], None] | None = None, **kwargs: Any) -> None:
        self.check = check
        super().__init__(*args, **kwargs)

    def parse(self, text: str) -> Any:
        return values.parse_json(text)

    def write(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=2)

    def pre_validate(self, form: Any) -> None:
        """Apply the shape check to what was read."""
        if self.check is None or self.data is None or self.process_errors:
            return
        try:
            self.check(self.data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            is_message = type(error) is ValueError and error.args
            message = error.args[0] if is_message else _("This JSON does not have the expected shape.")
            raise ValidationError(message) from None


class SwitchField(fields.BooleanField):
    """Yes or no. An unticked box is False, so a NOT NULL column can be switched off."""

    widget = widgets.Checkbox()
    false_values = (False, "false", "False", "", "0", "n", "no", "off")


class ChoiceField(ParsedField, SelectFieldBase):
    """Base of selects over fixed choices; a tampered value is a field error."""

    widget = widgets.Select()

    def __init__(self, *args: Any, allow_blank: bool = False, **kwargs: Any) -> None:
        self.allow_blank = allow_blank
        super().__init__(*args, **kwargs)

    def options(self) -> list[tuple[str, Any]]:
        """Return (form value, label) of each choice, without the blank one."""
        raise NotImplementedError

    def iter_choices(self) -> Any:
        """Yield the choices for the widget."""
        current = BLANK if self.data is None else self.write(self.data)
        if self.allow_blank or self.data is None:
            yield Choice(BLANK, "–" if self.allow_blank else _("Please choose"), not current, {})
        for value, label in self.options():
            yield Choice(value, str(label), value == current, {})


class NEnumField(ChoiceField):
    """A labelled enum by its stored value; blank only where the column is nullable."""

    def __init__(self, *args: Any, enum_class: type[Any], **kwargs: Any) -> None:
        self.enum_class = enum_class
        super().__init__(*args, **kwargs)

    def options(self) -> list[tuple[str, Any]]:
        return [(str(member.value), getattr(member, "label", member.value)) for member in self.enum_class]

    def parse(self, text: str) -> Any:
        return values.parse_member(self.enum_class, text)

    def write(self, value: Any) -> str:
        return str(getattr(value, "value", value))


class NullableSwitchField(ChoiceField):
    """Yes, no or not said, for nullable booleans."""

    def options(self) -> list[tuple[str, Any]]:
        return [("y", _("Yes")), ("n", _("No"))]

    def parse(self, text: str) -> Any:
        return values.parse_boolean(text)

    def write(self, value: Any) -> str:
        return "y" if value else "n"


class SecretField(ParsedField):
    """A secret: never rendered; left blank on an edit it stays as it is."""

    widget = widgets.SecretInput()

    def __init__(self, *args: Any, is_json: bool = False, **kwargs: Any) -> None:
        self.is_json = is_json
        super().__init__(*args, **kwargs)

    def process_data(self, value: Any) -> None:
        """Forget the stored value: a secret does not travel to a browser."""
        self.data = None

    def parse(self, text: str) -> Any:
        return values.parse_json(text) if self.is_json else text

    def populate_obj(self, obj: Any, name: str) -> None:
        if self.data is not None:
            setattr(obj, name, self.data)


class VersionField(fields.HiddenField):
    """The version of the row that a form was filled from; it finds lost updates and is never written."""

    def populate_obj(self, obj: Any, name: str) -> None:
        """Leave the row's own version alone."""
