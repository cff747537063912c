"""Shifts of cashiers, and every movement of money over the counter."""

from __future__ import annotations

from flask_babel import gettext as _
from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import COUNTER_CHANNELS, PaymentChannel, ShiftStatus
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.orders import Order
from app.models.payments import Payment, Refund
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import labelled

CASH, POS = (channel.value for channel in COUNTER_CHANNELS)


class Shift(StoreScoped, Base):
    """One cashier's time at the counter of one store, from counting the float to counting what came in."""

    __tablename__ = "shifts"
    __table_args__ = (
        CheckConstraint("float_fen >= 0", name="float_range"),
        CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_when"),
        Index(
            "uq_shifts_one_open",
            "cashier_id",
            "store_id",
            unique=True,
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
        Index("ix_shifts_store_opened", "store_id", "opened_at"),
    )

    store_id: Mapped[int] = reference("stores.id", index=False)
    cashier_id: Mapped[int | None] = reference("ab_user.id", nullable=True, ondelete="SET NULL")
    cashier_name: Mapped[str] = mapped_column(String(64))
    status: Mapped[ShiftStatus] = mapped_column(labelled(ShiftStatus, "status"))
    opened_at: Mapped[Instant]
    closed_at: Mapped[MaybeInstant]
    # Who counted at the end: mostly the cashier, else whoever looks after the store.
    closed_by_name: Mapped[str] = mapped_column(String(64), default="")
    # Cash in the drawer when the shift began.
    float_fen: Mapped[int] = mapped_column(Integer)
    # Counted less expected over all channels, once it is closed.
    difference_fen: Mapped[int | None] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(200), default="")

    store: Mapped[Store] = relationship()
    counts: Mapped[list[ShiftCount]] = relationship(order_by="ShiftCount.id")

    def __str__(self) -> str:
        return str(_("Shift %(number)s", number=self.id))


class ShiftCount(Base):
    """What a closed shift should have had and had, for one channel."""

    __tablename__ = "shift_counts"
    __table_args__ = (
        UniqueConstraint("shift_id", "channel"),
        CheckConstraint(f"channel IN ('{CASH}', '{POS}')", name="channel"),
        CheckConstraint("counted_fen >= 0", name="counted_range"),
    )

    shift_id: Mapped[int] = mapped_column(ForeignKey("shifts.id", ondelete="CASCADE"))
    channel: Mapped[PaymentChannel] = mapped_column(labelled(PaymentChannel, "channel", is_checked=False))
    expected_fen: Mapped[int] = mapped_column(Integer)
    counted_fen: Mapped[int] = mapped_column(Integer)


class CounterEntry(StoreScoped, Base):
    """Money that came in over the counter (positive) or went out over it (negative), inside one shift."""

    __tablename__ = "counter_entries"
    __table_args__ = (
        CheckConstraint(
            "(payment_id IS NOT NULL AND refund_id IS NULL AND amount_fen > 0)"
            " OR (payment_id IS NULL AND refund_id IS NOT NULL AND amount_fen < 0)",
            name="one_movement",
        ),
        CheckConstraint(
            f"(channel = '{CASH}' AND slip_key IS NULL AND terminal_no IS NULL AND reference_no IS NULL"
            f" AND card_tail IS NULL) OR (channel = '{POS}' AND slip_key IS NOT NULL"
            " AND terminal_no IS NOT NULL AND reference_no IS NOT NULL AND length(card_tail) = 4)",
            name="slip_of_cards",
        ),
        CheckConstraint("tendered_fen IS NULL OR tendered_fen >= amount_fen", name="tendered_range"),
    )

    at: Mapped[Instant]
    shift_id: Mapped[int] = reference("shifts.id")
    store_id: Mapped[int] = reference("stores.id")
    order_id: Mapped[int] = reference("orders.id")
    payment_id: Mapped[int | None] = mapped_column(
        ForeignKey("payments.id", ondelete="RESTRICT"), unique=True
    )
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("refunds.id", ondelete="RESTRICT"), unique=True)
    channel: Mapped[PaymentChannel] = mapped_column(labelled(PaymentChannel, "channel", is_checked=False))
    amount_fen: Mapped[int] = mapped_column(Integer)
    # What the guest handed over in cash; the difference went back as change.
    tendered_fen: Mapped[int | None] = mapped_column(Integer)
    # The slip of the card terminal. A whole card number fits into none of these.
    terminal_no: Mapped[str | None] = mapped_column(String(11))
    reference_no: Mapped[str | None] = mapped_column(String(12))
    card_tail: Mapped[str | None] = mapped_column(String(4))
    # Store, terminal and reference number: a slip is recorded once.
    slip_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    staff_id: Mapped[int | None] = reference("ab_user.id", nullable=True, ondelete="SET NULL", index=False)
    staff_name: Mapped[str] = mapped_column(String(64), default="")

    shift: Mapped[Shift] = relationship()
    order: Mapped[Order] = relationship()
    payment: Mapped[Payment | None] = relationship()
    refund: Mapped[Refund | None] = relationship()
