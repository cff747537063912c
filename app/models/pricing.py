"""Sessions and price rules: the price system as data."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Boolean, CheckConstraint, Date, Index, Integer, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import LabelledEnum
from app.models.base import Base, Versioned, reference
from app.models.rooms import Room, RoomType
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import JsonValue, labelled


class BookingSession(StoreScoped, Base):
    """A named start time and length (上午场 下午场 晚场 通宵场); it may cross midnight."""

    __tablename__ = "booking_sessions"
    __table_args__ = (
        UniqueConstraint("store_id", "name"),
        CheckConstraint("start_minute >= 0 AND start_minute < 1440", name="start_range"),
        CheckConstraint("length_minutes > 0 AND length_minutes <= 1440", name="length_range"),
    )

    store_id: Mapped[int] = reference("stores.id")
    name: Mapped[str] = mapped_column(String(32))
    start_minute: Mapped[int] = mapped_column(Integer)
    length_minutes: Mapped[int] = mapped_column(Integer)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)

    store: Mapped[Store] = relationship()

    def __str__(self) -> str:
        return self.name


class PriceKind(LabelledEnum):
    HOURLY = ("hourly", _l("Hourly rate"), "blue")
    SESSION = ("session", _l("Session price"), "purple")
    PACKAGE = ("package", _l("Package price"), "green")


class DayKind(LabelledEnum):
    ANY = ("any", _l("Any day"))
    WEEKDAY = ("weekday", _l("Working day"), "blue")
    WEEKEND = ("weekend", _l("Weekend"), "orange")
    HOLIDAY = ("holiday", _l("Public holiday"), "red")
    DATES = ("dates", _l("Date range"), "purple")


class PriceScope(LabelledEnum):
    STORE = ("store", _l("Whole store"))
    ROOM_TYPE = ("room_type", _l("Room type"), "blue")
    ROOM = ("room", _l("One room"), "purple")


class PriceRule(Versioned, StoreScoped, Base):
    """One row of the price system. Amounts are fen: per hour, or flat for sessions and packages."""

    __tablename__ = "price_rules"
    __table_args__ = (
        CheckConstraint("amount_fen >= 0 AND amount_fen <= 10000000", name="amount_range"),
        CheckConstraint("minimum_fen IS NULL OR minimum_fen >= 0", name="minimum_range"),
        CheckConstraint("day_cap_fen IS NULL OR day_cap_fen > 0", name="day_cap_range"),
        CheckConstraint("band_start_minute >= 0 AND band_start_minute < 1440", name="band_start_range"),
        CheckConstraint("band_end_minute >= 0 AND band_end_minute <= 1440", name="band_end_range"),
        CheckConstraint(
            "(scope = 'room') = (room_id IS NOT NULL) AND (scope = 'room_type') = (room_type_id IS NOT NULL)",
            name="scope_target",
        ),
        CheckConstraint("(kind = 'session') = (session_id IS NOT NULL)", name="session_target"),
        CheckConstraint(
            "(kind = 'package') = (package_minutes IS NOT NULL)"
            " AND (package_minutes IS NULL OR package_minutes > 0)",
            name="package_target",
        ),
        CheckConstraint(
            "day_kind <> 'dates' OR (dates_from_on IS NOT NULL AND dates_until_on IS NOT NULL)",
            name="dates_given",
        ),
        CheckConstraint(
            "valid_from_on IS NULL OR valid_until_on IS NULL OR valid_from_on <= valid_until_on",
            name="validity_order",
        ),
    )

    store_id: Mapped[int] = reference("stores.id")
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[PriceKind] = mapped_column(labelled(PriceKind, "kind"), default=PriceKind.HOURLY)
    scope: Mapped[PriceScope] = mapped_column(labelled(PriceScope, "scope"), default=PriceScope.STORE)
    room_type_id: Mapped[int | None] = reference("room_types.id", nullable=True)
    room_id: Mapped[int | None] = reference("rooms.id", nullable=True)
    session_id: Mapped[int | None] = reference("booking_sessions.id", nullable=True)
    day_kind: Mapped[DayKind] = mapped_column(labelled(DayKind, "day_kind"), default=DayKind.ANY)
    dates_from_on: Mapped[date | None] = mapped_column(Date)
    dates_until_on: Mapped[date | None] = mapped_column(Date)
    # Restricts the rule to some weekdays (0 = Monday); null means every day of the kind.
    weekdays: Mapped[list[int] | None] = mapped_column(JsonValue)
    band_start_minute: Mapped[int] = mapped_column(Integer, default=0)
    # Equal to the start: the whole day; smaller: the band crosses midnight.
    band_end_minute: Mapped[int] = mapped_column(Integer, default=0)
    amount_fen: Mapped[int] = mapped_column(Integer)
    package_minutes: Mapped[int | None] = mapped_column(Integer)
    minimum_fen: Mapped[int | None] = mapped_column(Integer)
    day_cap_fen: Mapped[int | None] = mapped_column(Integer)
    priority: Mapped[int] = mapped_column(Integer, default=0)
    valid_from_on: Mapped[date | None] = mapped_column(Date)
    valid_until_on: Mapped[date | None] = mapped_column(Date)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)

    store: Mapped[Store] = relationship()
    room_type: Mapped[RoomType | None] = relationship()
    room: Mapped[Room | None] = relationship()
    session: Mapped[BookingSession | None] = relationship()

    @property
    def band(self) -> tuple[int, int]:
        """Start and end minute of the band together."""
        return self.band_start_minute, self.band_end_minute

    def __str__(self) -> str:
        return self.name


FeeSteps = list[dict[str, Any]]


class BookingPolicy(Versioned, StoreScoped, Base):
    """The booking rules of a store, or of one room in it; orders keep a frozen copy.

    Fee steps are ``[{"minutes_before": 120, "fee_percent": 0}, …]``; a null `minutes_before` means after the
    start.
    """

    __tablename__ = "booking_policies"
    __table_args__ = (
        UniqueConstraint("store_id", "room_id"),
        Index(
            "uq_booking_policies_store_default",
            "store_id",
            unique=True,
            sqlite_where=text("room_id IS NULL"),
            postgresql_where=text("room_id IS NULL"),
        ),
        CheckConstraint("min_minutes > 0 AND min_minutes <= max_minutes", name="length_order"),
        CheckConstraint("start_step_minutes > 0 AND length_step_minutes > 0", name="steps_positive"),
        CheckConstraint("buffer_before_minutes >= 0 AND buffer_after_minutes >= 0", name="buffers_range"),
        CheckConstraint("hold_minutes > 0 AND hold_minutes <= 1440", name="hold_range"),
        CheckConstraint("min_lead_minutes >= 0 AND max_ahead_days > 0", name="horizon_range"),
        CheckConstraint("max_open_holds >= 1 AND max_bookings_per_day >= 1", name="limits_positive"),
        CheckConstraint("change_max_count >= 0", name="change_count_range"),
        CheckConstraint("change_deadline_minutes >= 0", name="change_deadline_range"),
        CheckConstraint("overtime_grace_minutes >= 0", name="overtime_grace_range"),
        CheckConstraint(
            "overtime_unit_minutes > 0 AND overtime_unit_minutes <= 720", name="overtime_unit_range"
        ),
        CheckConstraint("overtime_percent >= 0 AND overtime_percent <= 1000", name="overtime_percent_range"),
        CheckConstraint("overtime_cap_fen IS NULL OR overtime_cap_fen > 0", name="overtime_cap_range"),
        CheckConstraint(
            "no_show_release_minutes IS NULL OR no_show_release_minutes >= 0", name="no_show_release_range"
        ),
        CheckConstraint(
            "no_show_refund_percent >= 0 AND no_show_refund_percent <= 100", name="no_show_refund_range"
        ),
        CheckConstraint(
            "early_refund_percent >= 0 AND early_refund_percent <= 100", name="early_refund_range"
        ),
        CheckConstraint("refund_window_days >= 0", name="refund_window_range"),
    )

    store_id: Mapped[int] = reference("stores.id", ondelete="CASCADE")
    room_id: Mapped[int | None] = reference("rooms.id", nullable=True, ondelete="CASCADE")
    min_lead_minutes: Mapped[int] = mapped_column(Integer, default=0)
    max_ahead_days: Mapped[int] = mapped_column(Integer, default=14)
    min_minutes: Mapped[int] = mapped_column(Integer, default=60)
    max_minutes: Mapped[int] = mapped_column(Integer, default=720)
    start_step_minutes: Mapped[int] = mapped_column(Integer, default=30)
    length_step_minutes: Mapped[int] = mapped_column(Integer, default=30)
    buffer_before_minutes: Mapped[int] = mapped_column(Integer, default=0)
    buffer_after_minutes: Mapped[int] = mapped_column(Integer, default=15)
    hold_minutes: Mapped[int] = mapped_column(Integer, default=15)
    max_open_holds: Mapped[int] = mapped_column(Integer, default=5)
    max_bookings_per_day: Mapped[int] = mapped_column(Integer, default=10)
    requires_confirmation: Mapped[bool] = mapped_column(Boolean, default=False)
    confirm_deadline_minutes: Mapped[int] = mapped_column(Integer, default=10)
    check_in_early_minutes: Mapped[int] = mapped_column(Integer, default=15)
    cancel_steps: Mapped[FeeSteps] = mapped_column(JsonValue, default=list)
    change_steps: Mapped[FeeSteps] = mapped_column(JsonValue, default=list)
    change_max_count: Mapped[int] = mapped_column(Integer, default=3, server_default="3")
    # A customer may change until so many minutes before the start.
    change_deadline_minutes: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    has_overtime: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    overtime_grace_minutes: Mapped[int] = mapped_column(Integer, default=10, server_default="10")
    overtime_unit_minutes: Mapped[int] = mapped_column(Integer, default=30, server_default="30")
    # Of the ordinary hourly price.
    overtime_percent: Mapped[int] = mapped_column(Integer, default=100, server_default="100")
    overtime_cap_fen: Mapped[int | None] = mapped_column(Integer)
    # Empty: a room that nobody came for is kept until the booked end.
    no_show_release_minutes: Mapped[int | None] = mapped_column(Integer)
    no_show_refund_percent: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    # Of the price of unused whole steps of length, when guests leave early.
    early_refund_percent: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    # How long after its end a refund of a booking may be asked for.
    refund_window_days: Mapped[int] = mapped_column(Integer, default=7, server_default="7")

    store: Mapped[Store] = relationship()
    room: Mapped[Room | None] = relationship()
