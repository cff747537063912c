"""Changes and extensions of booking orders: what was asked for, what it costs, and whether it came true."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import ChangeKind, ChangeStatus
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.rooms import Room
from app.models.scope import StoreScoped
from app.models.types import JsonValue, labelled


class OrderChange(StoreScoped, Base):
    """Another room or time for a booking, or more of it.

    A pending one waits for `amount_fen`; until then the order keeps its booking, and bookings with this
    `change_id` hold what the new span needs beside it (see docs/adr/0008). `lines` replace the quoted lines
    of the order, or follow them when it is an extension. `from_*` are what the order had.
    """

    __tablename__ = "order_changes"
    __table_args__ = (
        CheckConstraint("start_at < end_at", name="span_order"),
        CheckConstraint("total_fen >= 0 AND fee_fen >= 0", name="amounts_range"),
        CheckConstraint(
            "status <> 'pending' OR (amount_fen > 0 AND expires_at IS NOT NULL)", name="pending_is_owed"
        ),
        Index(
            "uq_order_changes_one_pending",
            "order_id",
            unique=True,
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_order_changes_expiry",
            "expires_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
    )

    order_id: Mapped[int] = reference("orders.id")
    store_id: Mapped[int] = reference("stores.id")
    kind: Mapped[ChangeKind] = mapped_column(labelled(ChangeKind, "kind"))
    status: Mapped[ChangeStatus] = mapped_column(labelled(ChangeStatus, "status"))
    room_id: Mapped[int] = reference("rooms.id", index=False)
    start_at: Mapped[Instant]
    end_at: Mapped[Instant]
    busy_from_at: Mapped[Instant]
    busy_until_at: Mapped[Instant]
    from_room_id: Mapped[int] = reference("rooms.id", index=False)
    from_start_at: Mapped[Instant]
    from_end_at: Mapped[Instant]
    from_total_fen: Mapped[int] = mapped_column(Integer)
    # What the order costs afterwards; the fee of the change is part of it.
    total_fen: Mapped[int] = mapped_column(Integer)
    fee_fen: Mapped[int] = mapped_column(Integer)
    # To be paid when positive, given back when negative.
    amount_fen: Mapped[int] = mapped_column(Integer)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JsonValue)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None] = mapped_column(Integer)
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[Instant]
    expires_at: Mapped[MaybeInstant]
    settled_at: Mapped[MaybeInstant]

    room: Mapped[Room] = relationship(foreign_keys=[room_id])
