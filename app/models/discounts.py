"""Discount rules: what is taken off a booking's price, for which rooms, days and customers."""

from __future__ import annotations

from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import Boolean, CheckConstraint, Date, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import LabelledEnum
from app.models.base import Base, Versioned, reference
from app.models.calendar_days import ChainWide
from app.models.pricing import PriceScope
from app.models.rooms import Room, RoomType
from app.models.stores import Store
from app.models.types import JsonValue, labelled


class DiscountDays(LabelledEnum):
    ANY = ("any", _l("Any day"))
    WEEKDAY = ("weekday", _l("Working day"), "blue")
    WEEKEND = ("weekend", _l("Weekend"), "orange")
    HOLIDAY = ("holiday", _l("Public holiday"), "red")


class DiscountRule(Versioned, ChainWide, Base):
    """One discount: a percentage or an amount off the whole booking; of several the best one counts."""

    __tablename__ = "discount_rules"
    __table_args__ = (
        CheckConstraint("(off_percent IS NULL) <> (off_fen IS NULL)", name="one_amount"),
        CheckConstraint(
            "off_percent IS NULL OR (off_percent >= 1 AND off_percent <= 100)", name="percent_range"
        ),
        CheckConstraint("off_fen IS NULL OR (off_fen >= 1 AND off_fen <= 10000000)", name="fen_range"),
        CheckConstraint("band_start_minute >= 0 AND band_start_minute < 1440", name="band_start_range"),
        CheckConstraint("band_end_minute >= 0 AND band_end_minute <= 1440", name="band_end_range"),
        CheckConstraint(
            "(scope = 'room') = (room_id IS NOT NULL) AND (scope = 'room_type') = (room_type_id IS NOT NULL)",
            name="scope_target",
        ),
        # Room types are the chain's, rooms are a store's.
        CheckConstraint("room_id IS NULL OR store_id IS NOT NULL", name="room_needs_store"),
        CheckConstraint(
            "valid_from_on IS NULL OR valid_until_on IS NULL OR valid_from_on <= valid_until_on",
            name="validity_order",
        ),
    )

    # Empty: every store.
    store_id: Mapped[int | None] = reference("stores.id", nullable=True)
    name: Mapped[str] = mapped_column(String(64))
    off_percent: Mapped[int | None] = mapped_column(Integer)
    off_fen: Mapped[int | None] = mapped_column(Integer)
    scope: Mapped[PriceScope] = mapped_column(labelled(PriceScope, "scope"), default=PriceScope.STORE)
    room_type_id: Mapped[int | None] = reference("room_types.id", nullable=True)
    room_id: Mapped[int | None] = reference("rooms.id", nullable=True)
    # Days and times are those of the booking's start.
    day_kind: Mapped[DiscountDays] = mapped_column(
        labelled(DiscountDays, "day_kind"), default=DiscountDays.ANY
    )
    weekdays: Mapped[list[int] | None] = mapped_column(JsonValue)
    band_start_minute: Mapped[int] = mapped_column(Integer, default=0)
    band_end_minute: Mapped[int] = mapped_column(Integer, default=0)
    valid_from_on: Mapped[date | None] = mapped_column(Date)
    valid_until_on: Mapped[date | None] = mapped_column(Date)
    first_order_only: Mapped[bool] = mapped_column(Boolean, default=False)
    # Only customers of this segment; empty means everybody.
    segment: Mapped[str | None] = mapped_column(String(32))
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)

    store: Mapped[Store | None] = relationship()
    room_type: Mapped[RoomType | None] = relationship()
    room: Mapped[Room | None] = relationship()

    @property
    def band(self) -> tuple[int, int]:
        """Start and end minute of the band together."""
        return self.band_start_minute, self.band_end_minute

    def __str__(self) -> str:
        return self.name
