"""Rooms, their types and facilities, and the times at which they are out of use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    Integer,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Versioned, reference
from app.models.scope import StoreScoped
from app.models.stores import Media, Store
from app.models.types import UtcDateTime


class RoomType(Base):
    """An entry of the owner's list of room types; prices and campaigns may name one."""

    __tablename__ = "room_types"

    name: Mapped[str] = mapped_column(String(32), unique=True)

    def __str__(self) -> str:
        return self.name


class Facility(Base):
    """An entry of the owner's dictionary of facilities."""

    __tablename__ = "facilities"

    name: Mapped[str] = mapped_column(String(32), unique=True)

    def __str__(self) -> str:
        return self.name


class Room(Versioned, StoreScoped, Base):
    """The bookable unit. `state_version` counts every change of what occupies it."""

    __tablename__ = "rooms"
    __table_args__ = (
        UniqueConstraint("store_id", "name"),
        CheckConstraint("capacity >= 1 AND capacity <= 100", name="capacity_range"),
        CheckConstraint("cleaning_minutes >= 0 AND cleaning_minutes <= 600", name="cleaning_range"),
        CheckConstraint("area_m2 IS NULL OR area_m2 > 0", name="area_positive"),
    )

    store_id: Mapped[int] = reference("stores.id")
    room_type_id: Mapped[int] = reference("room_types.id")
    name: Mapped[str] = mapped_column(String(64))
    area_m2: Mapped[float | None] = mapped_column(Numeric(6, 1, asdecimal=False))
    capacity: Mapped[int] = mapped_column(Integer, default=4)
    decor_style: Mapped[str] = mapped_column(String(32), default="")
    description: Mapped[str] = mapped_column(Text, default="")
    # The longer of this and the policy's buffer follows each booking of this room.
    cleaning_minutes: Mapped[int] = mapped_column(Integer, default=0)
    position: Mapped[int] = mapped_column(Integer, default=0)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    state_version: Mapped[int] = mapped_column(Integer, default=0)

    store: Mapped[Store] = relationship()
    room_type: Mapped[RoomType] = relationship(lazy="joined")
    facilities: Mapped[list[RoomFacility]] = relationship(back_populates="room", cascade="all, delete-orphan")
    media: Mapped[list[Media]] = relationship(order_by="Media.position", viewonly=True)

    def __str__(self) -> str:
        return self.name


class RoomFacility(StoreScoped, Base):
    """A facility in a room, with its brand and a remark."""

    __tablename__ = "room_facilities"
    __table_args__ = (UniqueConstraint("room_id", "facility_id"),)

    room_id: Mapped[int] = reference("rooms.id", ondelete="CASCADE")
    facility_id: Mapped[int] = reference("facilities.id")
    brand: Mapped[str] = mapped_column(String(64), default="")
    remark: Mapped[str] = mapped_column(String(100), default="")

    room: Mapped[Room] = relationship(back_populates="facilities")
    facility: Mapped[Facility] = relationship(lazy="joined")

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """A facility lies in scope with its room."""
        return cls.room_id.in_(select(Room.id).where(Room.store_scope_clause(store_ids)))

    def __str__(self) -> str:
        return f"{self.facility} {self.brand}".strip()


class RoomBlock(StoreScoped, Base):
    """A time at which a room is out of use; it never overlaps a live booking."""

    __tablename__ = "room_blocks"
    __table_args__ = (CheckConstraint("start_at < end_at", name="span_order"),)

    store_id: Mapped[int] = reference("stores.id")
    room_id: Mapped[int] = reference("rooms.id")
    start_at: Mapped[datetime] = mapped_column(UtcDateTime)
    end_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(100), default="")

    store: Mapped[Store] = relationship()
    room: Mapped[Room] = relationship()
