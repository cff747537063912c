"""Reading JSON bodies: every value is checked for type, size and form before anything uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

# Real openids are 28 characters; readable ones make tests and demo data easier to follow.
OPENID = re.compile(r"[0-9A-Za-z_.:@-]{1,128}")


class BodyError(ValueError):
    """The body is not a JSON object in valid UTF-8."""


class FieldError(ValueError):
    """One field is missing or wrong; *field* is its JSON pointer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


def json_object(raw: bytes) -> dict[str, Any]:
    """Return the object in *raw*, whatever the Content-Type says; raise BodyError otherwise."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        # Lone surrogates and lists nested too deep pass the parser but cannot be written out again.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BodyError("not JSON") from error
    if not isinstance(body, dict):
        raise BodyError("not a JSON object")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class Fields:
    """Checked access to the values of one JSON object; null counts as absent."""

    def __init__(self, values: dict[str, Any], pointer: str = "") -> None:
        self._values = values
        self._pointer = pointer

    def fail(self, name: str, reason: str) -> NoReturn:
        """Raise FieldError about *name*."""
        raise FieldError(f"{self._pointer}/{name}", reason)

    def has(self, name: str) -> bool:
        """Tell whether *name* carries a value."""
        return self._values.get(name) is not None

    def _value(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        value = default if value is None else value
        return value if value is not None else self.fail(name, "必填")

    def text(self, name: str, most: int, form: re.Pattern[str] | None = None) -> str:
        """Return a text of 1 to *most* characters that matches *form* wholly."""
        value = self.optional_text(name, most, form)
        return value if value is not None else self.fail(name, "必填")

    def optional_text(self, name: str, most: int, form: re.Pattern[str] | None = None) -> str | None:
        """Return the text, or None when it is absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fail(name, "应为字符串")
        if not 1 <= len(value) <= most:
            self.fail(name, f"长度应为1到{most}个字符")
        if form is not None and not form.fullmatch(value):
            self.fail(name, "格式错误")
        return value

    def integer(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number between *least* and *most*, both included; true and 1.0 are none."""
        value = self._value(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(name, "应为整数")
        if not least <= value <= most:
            self.fail(name, f"应在{least}到{most}之间")
        return value

    def number(self, name: str, least: float, most: float, default: float | None = None) -> float:
        """Return a number between *least* and *most*, both included."""
        value = self._value(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            self.fail(name, f"应为{least}到{most}之间的数")
        return float(value)

    def choice(self, name: str, values: Iterable[str], default: str | None = None) -> str:
        """Return one of *values*."""
        value = self._value(name, default)
        if not isinstance(value, str) or value not in values:
            self.fail(name, "取值应为" + "、".join(sorted(values)))
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(name, "应为布尔值")
        return value

    def instant(self, name: str) -> datetime | None:
        """Return an RFC 3339 instant with an offset, or None when it is absent."""
        text = self.optional_text(name, 64)
        if text is None:
            return None
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            self.fail(name, "应为RFC3339时间")
        if value.tzinfo is None or "T" not in text:
            self.fail(name, "应为带时区的RFC3339时间")
        return value

    def child(self, name: str) -> Fields:
        """Return the fields of an object inside this one."""
        value = self._values.get(name)
        if value is None:
            self.fail(name, "必填")
        if not isinstance(value, dict):
            self.fail(name, "应为对象")
        return Fields(value, f"{self._pointer}/{name}")

    def children(self, name: str, most: int) -> list[Fields]:
        """Return the fields of each of the 1 to *most* objects in a list."""
        values = self._value(name, None)
        if not isinstance(values, list):
            self.fail(name, "应为数组")
        if not 1 <= len(values) <= most:
            self.fail(name, f"应有1到{most}项")
        items = Fields({str(index): value for index, value in enumerate(values)}, f"{self._pointer}/{name}")
        return [items.child(str(index)) for index in range(len(values))]
