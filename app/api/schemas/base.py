"""What every schema shares: strict requests, complete answers, and fields with translated messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import lazy_gettext as _l
from marshmallow import RAISE, Schema, ValidationError, fields

from app.domain.slots import FIRST_YEAR, LAST_YEAR

MAX_ID = 2**31 - 1
_ID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
# A plus sign that was not escaped in an address arrives as a blank.
_LOST_PLUS = re.compile(r" (\d{2}:\d{2})$", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")


class RequestSchema(Schema):
    """What a client sends; a field that is not declared is refused."""

    error_messages = {"unknown": _l("Unknown field."), "type": _l("Must be an object.")}

    class Meta:
        unknown = RAISE


class AnswerSchema(Schema):
    """What a client gets; every declared field is there, absent values are null or empty lists."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field) -> None:
        """Fill in what the service left out, and document the field as always present."""
        is_list = isinstance(field_obj, fields.List) or getattr(field_obj, "many", False)
        field_obj.dump_default = list if is_list else None
        field_obj.required = True


class Localised(fields.Field):
    """A field whose messages are translated when they are shown."""

    default_error_messages = {
        "required": _l("This field is required."),
        "null": _l("This field cannot be empty."),
        "invalid": _l("This value is not valid."),
    }

    def make_error(self, key: str, **kwargs: Any) -> ValidationError:
        """Return the error with its text in the language of the request."""
        return ValidationError(str(self.error_messages[key]) % kwargs)


class Text(Localised, fields.String):
    """Text of a limited length that every database and screen can hold."""

    default_error_messages = {
        "invalid": _l("Must be a text."),
        "too_short": _l("At least %(count)s characters are needed."),
        "too_long": _l("At most %(count)s characters are possible."),
        "characters": _l("This text contains characters that cannot be used."),
        "pattern": _l("This value is not valid."),
    }

    def __init__(
        self, *, at_least: int = 0, at_most: int = 200, pattern: str | None = None, **kwargs: Any
    ) -> None:
        described = {"minLength": at_least, "maxLength": at_most, "pattern": pattern or r"^[^\u0000]*$"}
        kwargs["metadata"] = described | kwargs.get("metadata", {})
        super().__init__(**kwargs)
        self.at_least, self.at_most = at_least, at_most
        self.pattern = re.compile(pattern, re.ASCII) if pattern else None

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if "\0" in value or _SURROGATE.search(value):
            raise self.make_error("characters")
        if len(value) > self.at_most:
            raise self.make_error("too_long", count=self.at_most)
        if len(value) < self.at_least:
            raise self.make_error("too_short", count=self.at_least)
        if self.pattern and not self.pattern.search(value):
            raise self.make_error("pattern")
        return value


class Choice(Text):
    """One of a few words; *values* maps what clients say to what we call it."""

    default_error_messages = {"choice": _l("Must be one of: %(choices)s.")}

    def __init__(self, values: Sequence[str] | Mapping[str, str], **kwargs: Any) -> None:
        self.values = values if isinstance(values, Mapping) else {value: value for value in values}
        kwargs["metadata"] = {"enum": list(self.values)} | kwargs.get("metadata", {})
        super().__init__(**kwargs)
        for name in ("minLength", "maxLength", "pattern"):
            del self.metadata[name]

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        word = super()._deserialize(value, attr, data, **kwargs)
        if word not in self.values:
            raise self.make_error("choice", choices=", ".join(self.values))
        return self.values[word]


class Id(Localised, fields.Field):
    """The id of a row: a string of digits in answers, a string or a whole number in requests."""

    default_error_messages = {"invalid": _l("This is not a valid id.")}

    def __init__(self, **kwargs: Any) -> None:
        described = {"type": "string", "pattern": "^[1-9][0-9]{0,9}$", "example": "1"}
        kwargs["metadata"] = described | kwargs.get("metadata", {})
        super().__init__(**kwargs)

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole and not (isinstance(value, str) and _ID.fullmatch(value)):
            raise self.make_error("invalid")
        number = int(value)
        if not 0 < number <= MAX_ID:
            raise self.make_error("invalid")
        return number


class AnyId(Id):
    """An id in a request body, where a whole number is understood as well."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        text = {"type": self.metadata.pop("type"), "pattern": self.metadata.pop("pattern")}
        if self.allow_none:
            text["nullable"] = True
        self.metadata["anyOf"] = [text, {"type": "integer", "minimum": 1, "maximum": MAX_ID}]


class Whole(Localised, fields.Integer):
    """A whole number inside its bounds; in an address it is written in digits."""

    default_error_messages = {
        "invalid": _l("Must be a whole number."),
        "too_large": _l("This number is too large."),
        "range": _l("Must be from %(low)s to %(high)s."),
    }

    def __init__(self, *, low: int, high: int, in_address: bool = False, **kwargs: Any) -> None:
        kwargs["metadata"] = {"minimum": low, "maximum": high} | kwargs.get("metadata", {})
        super().__init__(**kwargs)
        self.low, self.high, self.in_address = low, high, in_address

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if self.in_address and isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value, re.ASCII):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid")
        if not self.low <= value <= self.high:
            raise self.make_error("range", low=self.low, high=self.high)
        return value


class Degrees(Localised, fields.Float):
    """A coordinate in an address, in degrees."""

    default_error_messages = {
        "invalid": _l("Must be a number."),
        "special": _l("Must be a number."),
        "too_large": _l("This number is too large."),
        "range": _l("Must be from %(low)s to %(high)s."),
    }

    def __init__(self, limit: int, **kwargs: Any) -> None:
        kwargs["metadata"] = {"minimum": -limit, "maximum": limit}
        super().__init__(allow_nan=False, **kwargs)
        self.limit = limit

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> float:
        number = super()._deserialize(value, attr, data, **kwargs)
        if number is None or not -self.limit <= number <= self.limit:
            raise self.make_error("range", low=-self.limit, high=self.limit)
        return number


class Instant(Localised, fields.DateTime):
    """An instant as RFC 3339 with its offset; aware and in UTC inside."""

    default_error_messages = {
        "invalid": _l("Write the time like 2026-03-01T18:00:00+08:00, with its offset."),
        "range": _l("This time is out of range."),
    }

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        text = _LOST_PLUS.sub(r"+\1", value) if isinstance(value, str) else ""
        if not _RFC3339.fullmatch(text):
            raise self.make_error("invalid")
        try:
            at = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except OverflowError:
            raise self.make_error("range") from None
        except ValueError:
            raise self.make_error("invalid") from None
        # A margin of a year for windows, buffers and zones that are added later.
        if not FIRST_YEAR < at.year < LAST_YEAR:
            raise self.make_error("range")
        return at

    def _serialize(self, value: datetime | None, attr: Any, obj: Any, **kwargs: Any) -> Any:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{attr} must be aware")
        return _local(value).isoformat(timespec="seconds")


def _local(at: datetime) -> datetime:
    """Instants in UTC are shown in the product's zone, others in the zone of the store they came with."""
    if at.tzinfo is not UTC:
        return at
    return at.astimezone(ZoneInfo(current_app.config["BABEL_DEFAULT_TIMEZONE"]))


def fen(**kwargs: Any) -> fields.Integer:
    """Return the field of an amount in fen in an answer."""
    return fields.Integer(**kwargs, metadata={"description": "Amount in fen (1/100 yuan).", "example": 6000})


class NothingSchema(RequestSchema):
    """A request without any field."""
