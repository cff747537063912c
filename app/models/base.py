"""What every table shares: the declarative base, keys and the columns that repeat."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from flask_appbuilder import Model
from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.domain.clock import utc_now
from app.models.types import UtcDateTime

Key = Annotated[int, mapped_column(Integer, primary_key=True)]
Name = Annotated[str, mapped_column(String(64))]
Instant = Annotated[datetime, mapped_column(UtcDateTime)]
MaybeInstant = Annotated[datetime | None, mapped_column(UtcDateTime)]


class Base(Model):
    """Declarative base of the product's own tables, on FAB's metadata."""

    __abstract__ = True

    id: Mapped[Key]


class Versioned:
    """Rows that people edit: a lost update is refused, and orders can name the version they used."""

    version: Mapped[int] = mapped_column(Integer, default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}

    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)


def reference(
    target: str, *, nullable: bool = False, ondelete: str = "RESTRICT", index: bool = True
) -> Mapped[int]:
    """Return a foreign-key column to `target` (``table.id``)."""
    return mapped_column(ForeignKey(target, ondelete=ondelete), nullable=nullable, index=index)
