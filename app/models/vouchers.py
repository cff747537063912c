"""Vouchers, their redemptions, and every attempt at redeeming."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, Index, Integer, String, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import RedemptionMethod, VoucherStatus
from app.models.base import Base, Instant, reference
from app.models.campaigns import Campaign
from app.models.customers import Customer
from app.models.rooms import Room
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import EncryptedText, JsonValue, UtcDateTime, labelled


class Voucher(StoreScoped, Base):
    """A prepaid entitlement under the terms of its sale; the code is encrypted and found by its hash."""

    __tablename__ = "vouchers"
    __table_args__ = (
        CheckConstraint("valid_from_at < valid_until_at", name="validity_order"),
        CheckConstraint("(status = 'locked') <= (booking_order_id IS NOT NULL)", name="locked_in_booking"),
        Index("ix_vouchers_customer_status", "customer_id", "status"),
        Index("ix_vouchers_status_until", "status", "valid_until_at"),
    )

    code: Mapped[str] = mapped_column(EncryptedText)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # The last characters, for people: "…7K2M".
    code_tail: Mapped[str] = mapped_column(String(8))
    order_id: Mapped[int] = reference("orders.id")
    customer_id: Mapped[int] = reference("customers.id", index=False)
    campaign_id: Mapped[int] = reference("campaigns.id")
    status: Mapped[VoucherStatus] = mapped_column(labelled(VoucherStatus, "status"))
    # The package as it was sold: minutes, people, stores, rooms, room types, weekdays, bands, excluded dates.
    terms: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    price_fen: Mapped[int] = mapped_column(Integer)
    valid_from_at: Mapped[Instant]
    valid_until_at: Mapped[Instant]
    issued_at: Mapped[Instant]
    # The booking order that uses it (locked) or used it (redeemed).
    booking_order_id: Mapped[int | None] = reference("orders.id", nullable=True)

    customer: Mapped[Customer] = relationship()
    campaign: Mapped[Campaign] = relationship()

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """A voucher lies in scope with its campaign."""
        return cls.campaign_id.in_(select(Campaign.id).where(Campaign.store_scope_clause(store_ids)))

    def __str__(self) -> str:
        return f"…{self.code_tail}"


class Redemption(StoreScoped, Base):
    """A voucher turned into a room; a reversal is a row of its own that names the row it reverses."""

    __tablename__ = "redemptions"
    __table_args__ = (Index("ix_redemptions_store_redeemed", "store_id", "redeemed_at"),)

    voucher_id: Mapped[int] = reference("vouchers.id")
    store_id: Mapped[int] = reference("stores.id", index=False)
    room_id: Mapped[int] = reference("rooms.id")
    # The booking order that puts the customer in the room.
    order_id: Mapped[int] = reference("orders.id")
    staff_id: Mapped[int | None] = reference("ab_user.id", nullable=True, ondelete="SET NULL", index=False)
    staff_name: Mapped[str] = mapped_column(String(64), default="")
    method: Mapped[RedemptionMethod] = mapped_column(labelled(RedemptionMethod, "method"))
    # Keyed hash of the nonce that the preview handed out; a repeated confirm finds its first answer.
    nonce: Mapped[str | None] = mapped_column(String(64), unique=True)
    redeemed_at: Mapped[Instant]
    reverses_id: Mapped[int | None] = mapped_column(Integer, unique=True)
    reason: Mapped[str] = mapped_column(String(200), default="")
    answer: Mapped[dict[str, Any]] = mapped_column(JsonValue, default=dict)

    voucher: Mapped[Voucher] = relationship()
    store: Mapped[Store] = relationship()
    room: Mapped[Room] = relationship()


class RedemptionAttempt(StoreScoped, Base):
    """Every try at the desk, also the failed ones, for the log and for the lock-out."""

    __tablename__ = "redemption_attempts"
    __table_args__ = (Index("ix_redemption_attempts_staff_at", "staff_id", "at"),)

    at: Mapped[datetime] = mapped_column(UtcDateTime)
    store_id: Mapped[int | None] = reference("stores.id", nullable=True)
    staff_id: Mapped[int | None] = reference("ab_user.id", nullable=True, ondelete="SET NULL", index=False)
    staff_name: Mapped[str] = mapped_column(String(64), default="")
    voucher_id: Mapped[int | None] = reference("vouchers.id", nullable=True)
    method: Mapped[str] = mapped_column(String(16))
    step: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(48))
    address: Mapped[str] = mapped_column(String(64), default="")
    code_tail: Mapped[str] = mapped_column(String(8), default="")

    reason_data: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)
