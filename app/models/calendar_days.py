"""The owner's own calendar: days that count as something other than the public calendar says."""

from __future__ import annotations

from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Date, Index, String, UniqueConstraint, or_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import LabelledEnum
from app.models.base import Base, Versioned, reference
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import labelled


class CalendarKind(LabelledEnum):
    WEEKDAY = ("weekday", _l("Working day"), "blue")
    WEEKEND = ("weekend", _l("Weekend"), "orange")
    HOLIDAY = ("holiday", _l("Public holiday"), "red")


class ChainWide(StoreScoped):
    """Mixin of rows that count for one store, or for every store where `store_id` is empty.

    Everybody reads the rows of the whole chain, because they count everywhere; who may change them is for
    the screens to say.
    """

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """A row lies in scope when it is the chain's or that of a store in scope."""
        chain: ColumnElement[bool] = cls.store_id.is_(None)  # type: ignore[attr-defined]
        return or_(chain, super().store_scope_clause(store_ids))


class CalendarDay(Versioned, ChainWide, Base):
    """What one date counts as when prices are looked up; a store's own row goes before the chain's."""

    __tablename__ = "calendar_days"
    __table_args__ = (
        UniqueConstraint("store_id", "on_date"),
        Index(
            "uq_calendar_days_chain",
            "on_date",
            unique=True,
            sqlite_where=text("store_id IS NULL"),
            postgresql_where=text("store_id IS NULL"),
        ),
    )

    store_id: Mapped[int | None] = reference("stores.id", nullable=True, ondelete="CASCADE", index=False)
    on_date: Mapped[date] = mapped_column(Date)
    kind: Mapped[CalendarKind] = mapped_column(labelled(CalendarKind, "kind"))
    label: Mapped[str] = mapped_column(String(64), default="")

    store: Mapped[Store | None] = relationship()

    def __str__(self) -> str:
        return f"{self.on_date.isoformat()} {self.label}".strip()
