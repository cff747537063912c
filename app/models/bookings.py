"""Bookings: the rows that occupy rooms, kept disjoint by the database itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import OCCUPYING_STATES, BookingState
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.rooms import Room
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import UtcDateTime, labelled

OVERLAP_CONSTRAINT = "ex_bookings_room_overlap"
# Planners find the partial index by this very text, see `services.occupancy`.
OCCUPYING = f"state IN ({', '.join(repr(state.value) for state in OCCUPYING_STATES)})"


class Booking(StoreScoped, Base):
    """A span of a room, with its buffers in `busy_from_at`/`busy_until_at`.

    Rows in an occupying state (held, reserved, in use, ended) never overlap in one room, buffers included:
    PostgreSQL refuses with an exclusion constraint, SQLite with triggers, both named
    `ex_bookings_room_overlap` (docs/adr/0001). An ended booking still occupies its own past and its cleaning.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("start_at < end_at", name="span_order"),
        CheckConstraint("busy_from_at <= start_at AND busy_until_at >= end_at", name="busy_covers_span"),
        Index(
            "ix_bookings_room_busy",
            "room_id",
            "busy_until_at",
            sqlite_where=text(OCCUPYING),
            postgresql_where=text(OCCUPYING),
            # What occupies a room is read from the index alone, see `services.occupancy`.
            postgresql_include=[
                "busy_from_at",
                "start_at",
                "end_at",
                "state",
                "hold_expires_at",
                "order_id",
            ],
        ),
        Index(
            "ix_bookings_hold_expiry",
            "hold_expires_at",
            sqlite_where=text("state = 'held'"),
            postgresql_where=text("state = 'held'"),
        ),
        Index("ix_bookings_state_end_at", "state", "end_at"),
        # Nearly every booking belongs to no change; who asks for those must not be led here.
        Index(
            "ix_bookings_change_id",
            "change_id",
            sqlite_where=text("change_id IS NOT NULL"),
            postgresql_where=text("change_id IS NOT NULL"),
        ),
    )

    order_id: Mapped[int] = reference("orders.id")
    store_id: Mapped[int] = reference("stores.id")
    room_id: Mapped[int] = reference("rooms.id", index=False)
    # Set on what only holds room for a change that is not paid yet; such a row is never the order's booking.
    change_id: Mapped[int | None] = mapped_column(ForeignKey("order_changes.id"))
    state: Mapped[BookingState] = mapped_column(labelled(BookingState, "state"))
    start_at: Mapped[Instant]
    end_at: Mapped[Instant]
    busy_from_at: Mapped[Instant]
    busy_until_at: Mapped[Instant]
    hold_expires_at: Mapped[MaybeInstant]
    checked_in_at: Mapped[MaybeInstant]
    ended_at: Mapped[MaybeInstant]
    # The booked end of guests who stay on; `end_at` then follows them.
    overtime_from_at: Mapped[MaybeInstant]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    store: Mapped[Store] = relationship()
    room: Mapped[Room] = relationship()
