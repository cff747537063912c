"""Payments, refunds, the raw callbacks of payment services, and their credentials."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.states import PaymentChannel, PaymentStatus, RefundStatus
from app.models.base import Base, Instant, MaybeInstant, Versioned, reference
from app.models.scope import StoreScoped
from app.models.types import EncryptedJson, JsonValue, UtcDateTime, labelled


class ByOrder(StoreScoped):
    """Rows that lie in the scope of their order."""

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """Follow the order, which may belong to a campaign instead of one store."""
        from sqlalchemy import select

        from app.models.orders import Order

        orders = select(Order.id).where(Order.store_scope_clause(store_ids))
        return cls.order_id.in_(orders)  # type: ignore[attr-defined,no-any-return]


class Payment(ByOrder, Base):
    """One attempt to pay an order; `payment_no` is what the service calls out_trade_no."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_range"),
        # Refunds reserve their part here, so that racing refunds can never exceed the payment.
        CheckConstraint(
            "refund_reserved_fen >= 0 AND refund_reserved_fen <= amount_fen", name="refunds_within"
        ),
        UniqueConstraint("channel", "transaction_no"),
        Index(
            "uq_payments_one_pending",
            "order_id",
            "channel",
            unique=True,
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_payments_status_next_query", "status", "next_query_at"),
        Index("ix_payments_paid_at", "paid_at"),
        Index("ix_payments_billed_on", "billed_on"),
    )

    payment_no: Mapped[str] = mapped_column(String(32), unique=True)
    order_id: Mapped[int] = reference("orders.id")
    # What it pays, when that is a change of the order.
    change_id: Mapped[int | None] = mapped_column(ForeignKey("order_changes.id"), index=True)
    channel: Mapped[PaymentChannel] = mapped_column(labelled(PaymentChannel, "channel"))
    status: Mapped[PaymentStatus] = mapped_column(labelled(PaymentStatus, "status"))
    amount_fen: Mapped[int] = mapped_column(Integer)
    refund_reserved_fen: Mapped[int] = mapped_column(Integer, default=0)
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    transaction_no: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    paid_at: Mapped[MaybeInstant]
    closed_at: Mapped[MaybeInstant]
    # When the job asks the service next about a silent payment.
    next_query_at: Mapped[MaybeInstant]
    query_count: Mapped[int] = mapped_column(Integer, default=0)
    # The day of the service's bill that lists it, which is not always the day of `paid_at`.
    billed_on: Mapped[date | None] = mapped_column(Date)

    def __str__(self) -> str:
        return self.payment_no


class Refund(ByOrder, Base):
    """Money going back by the original route; the same number on every retry."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_range"),
        Index("ix_refunds_status_next_try", "status", "next_try_at"),
        Index("ix_refunds_finished_at", "finished_at"),
        Index("ix_refunds_billed_on", "billed_on"),
    )

    refund_no: Mapped[str] = mapped_column(String(32), unique=True)
    payment_id: Mapped[int] = reference("payments.id")
    order_id: Mapped[int] = reference("orders.id")
    status: Mapped[RefundStatus] = mapped_column(labelled(RefundStatus, "status"))
    amount_fen: Mapped[int] = mapped_column(Integer)
    # The original route, the counter, or how somebody handed it back because the service could not.
    route: Mapped[str] = mapped_column(String(16), default="original")
    # The number of the transfer or receipt by which it was handed back.
    reference_no: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")
    provider_refund_no: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[Instant]
    accepted_at: Mapped[MaybeInstant]
    finished_at: Mapped[MaybeInstant]
    next_try_at: Mapped[MaybeInstant]
    try_count: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str] = mapped_column(String(200), default="")
    billed_on: Mapped[date | None] = mapped_column(Date)

    def __str__(self) -> str:
        return self.refund_no


class PaymentCallback(Base):
    """A verified callback exactly as it came, kept once however often it is sent."""

    __tablename__ = "payment_callbacks"
    __table_args__ = (UniqueConstraint("channel", "callback_id"),)

    channel: Mapped[str] = mapped_column(String(16))
    callback_id: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(48))
    subject_no: Mapped[str] = mapped_column(String(64), index=True)
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[Instant]
    # Kept in the transaction that applies it: what is refused leaves no row.
    outcome: Mapped[str] = mapped_column(String(48))


class ChannelCredential(Versioned, Base):
    """A service or a way of paying at the counter: public settings in clear, secrets encrypted, whether on.

    `marks` says when and by whom each secret was set: `{name: {at, by}}`. What somebody set in the back
    office has `set_at`; the file of credentials of a sandbox leaves it alone.
    """

    __tablename__ = "channel_credentials"

    channel: Mapped[str] = mapped_column(String(32), unique=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JsonValue, default=dict)
    secrets: Mapped[dict[str, Any]] = mapped_column(EncryptedJson, default=dict)
    is_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    set_at: Mapped[MaybeInstant]
    marks: Mapped[dict[str, Any]] = mapped_column(JsonValue, default=dict)
    # The last test of the credentials: its result, what the service said, when and who asked.
    check_code: Mapped[str] = mapped_column(String(32), default="")
    check_detail: Mapped[str] = mapped_column(String(200), default="")
    checked_at: Mapped[MaybeInstant]
    checked_by: Mapped[str] = mapped_column(String(64), default="")

    def __str__(self) -> str:
        return self.channel


class ChannelExclusion(StoreScoped, Base):
    """A store where a way of paying is switched off; without a row it is on."""

    __tablename__ = "channel_exclusions"
    __table_args__ = (UniqueConstraint("channel", "store_id"),)

    channel: Mapped[str] = mapped_column(String(32))
    store_id: Mapped[int] = reference("stores.id", ondelete="CASCADE")
