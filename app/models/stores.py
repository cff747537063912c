"""Stores, their opening hours and their pictures."""

from __future__ import annotations

from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import LabelledEnum
from app.models.base import Base, Versioned, reference
from app.models.scope import StoreScoped
from app.models.types import labelled


class Store(Versioned, StoreScoped, Base):
    """A place with rooms; everything that is sold belongs to one."""

    __tablename__ = "stores"
    __table_args__ = (
        CheckConstraint("lat IS NULL OR (lat >= -90 AND lat <= 90)", name="lat_range"),
        CheckConstraint("lng IS NULL OR (lng >= -180 AND lng <= 180)", name="lng_range"),
    )

    name: Mapped[str] = mapped_column(String(64), unique=True)
    city: Mapped[str] = mapped_column(String(32), default="")
    address: Mapped[str] = mapped_column(String(200), default="")
    lat: Mapped[float | None] = mapped_column(Float)
    lng: Mapped[float | None] = mapped_column(Float)
    time_zone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    phone: Mapped[str] = mapped_column(String(32), default="")
    introduction: Mapped[str] = mapped_column(Text, default="")
    wifi: Mapped[str] = mapped_column(String(100), default="")
    transport: Mapped[str] = mapped_column(Text, default="")
    logo_url: Mapped[str | None] = mapped_column(String(300))
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    # Renewed by triggers whenever anything that configures the store changes (migration 0007).
    config_version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    opening_hours: Mapped[list[OpeningHours]] = relationship(
        back_populates="store", cascade="all, delete-orphan", order_by="OpeningHours.id"
    )
    media: Mapped[list[Media]] = relationship(
        primaryjoin="and_(Store.id == Media.store_id, Media.room_id.is_(None))",
        order_by="Media.position",
        viewonly=True,
    )

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]):  # type: ignore[no-untyped-def]
        """A store lies in scope when it is itself one of the stores."""
        return cls.id.in_(store_ids)

    def __str__(self) -> str:
        return self.name


class OpeningHours(StoreScoped, Base):
    """One opening of a weekday, or of one date, which then replaces the weekday's openings."""

    __tablename__ = "opening_hours"
    __table_args__ = (
        CheckConstraint("(weekday IS NULL) <> (on_date IS NULL)", name="weekday_or_date"),
        CheckConstraint("weekday IS NULL OR (weekday >= 0 AND weekday <= 6)", name="weekday_range"),
        CheckConstraint(
            "is_closed OR (opens_minute >= 0 AND opens_minute < 1440"
            " AND closes_minute > opens_minute AND closes_minute <= 2880)",
            name="minutes_range",
        ),
    )

    store_id: Mapped[int] = reference("stores.id", ondelete="CASCADE")
    weekday: Mapped[int | None] = mapped_column(Integer)
    on_date: Mapped[date | None] = mapped_column(Date)
    opens_minute: Mapped[int] = mapped_column(Integer, default=0)
    closes_minute: Mapped[int] = mapped_column(Integer, default=1440)
    is_closed: Mapped[bool] = mapped_column(Boolean, default=False)

    store: Mapped[Store] = relationship(back_populates="opening_hours")


class MediaKind(LabelledEnum):
    OVERVIEW = ("overview", _l("Overview"), "blue")
    ANGLE = ("angle", _l("Angle"), "blue")
    FACILITY = ("facility", _l("Facility close-up"), "blue")
    AMBIENCE = ("ambience", _l("Ambience"), "blue")
    VIDEO = ("video", _l("Video"), "purple")


class Media(StoreScoped, Base):
    """A picture or video of a store, or of one of its rooms, in the order shown."""

    __tablename__ = "media"

    store_id: Mapped[int] = reference("stores.id", ondelete="CASCADE")
    room_id: Mapped[int | None] = reference("rooms.id", nullable=True, ondelete="CASCADE")
    kind: Mapped[MediaKind] = mapped_column(labelled(MediaKind, "kind"), default=MediaKind.OVERVIEW)
    url: Mapped[str] = mapped_column(String(300))
    poster_url: Mapped[str | None] = mapped_column(String(300))
    caption: Mapped[str] = mapped_column(String(100), default="")
    position: Mapped[int] = mapped_column(Integer, default=0)
    is_cover: Mapped[bool] = mapped_column(Boolean, default=False)

    store: Mapped[Store] = relationship()
