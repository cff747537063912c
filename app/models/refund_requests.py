"""Refund requests of customers, and what staff decided about them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.states import RefundRequestStatus
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.payments import ByOrder
from app.models.types import JsonValue, labelled


class RefundRequest(ByOrder, Base):
    """A customer asks for money back; staff approve or refuse it, once.

    `policy_fen` is what the order's frozen rules gave back when it was asked for, by `step`.
    """

    __tablename__ = "refund_requests"
    __table_args__ = (
        CheckConstraint("amount_fen IS NULL OR amount_fen > 0", name="amount_range"),
        CheckConstraint("policy_fen >= 0", name="policy_range"),
        CheckConstraint("(status = 'approved') = (approved_fen IS NOT NULL)", name="approved_amount"),
        Index(
            "uq_refund_requests_one_open",
            "order_id",
            unique=True,
            sqlite_where=text("status = 'requested'"),
            postgresql_where=text("status = 'requested'"),
        ),
        Index("ix_refund_requests_status_created", "status", "created_at"),
    )

    order_id: Mapped[int] = reference("orders.id")
    status: Mapped[RefundRequestStatus] = mapped_column(labelled(RefundRequestStatus, "status"))
    reason: Mapped[str] = mapped_column(String(200))
    # Empty: as much as the rules give.
    amount_fen: Mapped[int | None] = mapped_column(Integer)
    policy_fen: Mapped[int] = mapped_column(Integer)
    step: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
    created_at: Mapped[Instant]
    approved_fen: Mapped[int | None] = mapped_column(Integer)
    decided_at: Mapped[MaybeInstant]
    decided_by: Mapped[str] = mapped_column(String(64), default="")
    decision_reason: Mapped[str] = mapped_column(String(200), default="")

    def __str__(self) -> str:
        return f"#{self.id}"
