"""Column types: instants in UTC, labelled enums, encrypted text, JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Enum, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

from app.domain.states import LabelledEnum
from app.extensions import keyring


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant on both engines; SQLite stores fixed-width text, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EncryptedText(TypeDecorator[str]):
    """Text that is encrypted at rest; never searchable, filterable or sortable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring.encrypt(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring.decrypt(value)


class EncryptedJson(TypeDecorator[dict[str, Any]]):
    """A JSON object that is encrypted at rest, for credentials."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else keyring.encrypt(json.dumps(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else json.loads(keyring.decrypt(value))


JsonValue = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def labelled(enum: type[LabelledEnum], name: str, *, is_checked: bool = True) -> Enum:
    """Return the column type that stores the value of *enum*, checked by the constraint *name* if wanted."""
    return Enum(
        enum,
        name=name,
        native_enum=False,
        create_constraint=is_checked,
        validate_strings=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
