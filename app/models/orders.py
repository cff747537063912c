"""Orders with their lines and their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, ColumnElement, Index, Integer, String, false, or_, select, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import ChangeStatus, LabelledEnum, OrderKind, OrderStatus
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.bookings import Booking
from app.models.campaigns import Campaign, Team, campaign_stores
from app.models.changes import OrderChange
from app.models.customers import Customer
from app.models.payments import Payment, Refund
from app.models.refund_requests import RefundRequest
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import JsonValue, UtcDateTime, labelled
from app.models.vouchers import Voucher

OWING = "status = 'completed' AND total_fen > paid_fen - refunded_fen"


class OrderSource(LabelledEnum):
    MINI_PROGRAM = ("mini_program", _l("Mini-program"), "green")
    COUNTER = ("counter", _l("Counter"), "blue")
    REDEMPTION = ("redemption", _l("Redemption desk"), "purple")


class Order(StoreScoped, Base):
    """What a customer owes and has paid; a booking order has bookings, a group-buy order has vouchers."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total_fen >= 0", name="total_range"),
        CheckConstraint("paid_fen >= 0", name="paid_range"),
        CheckConstraint("refunded_fen >= 0 AND refunded_fen <= paid_fen", name="refunded_range"),
        CheckConstraint("base_fen + extra_fen - discount_fen = total_fen", name="total_sum"),
        CheckConstraint("quantity >= 1 AND quantity <= 100", name="quantity_range"),
        CheckConstraint("(kind = 'group_buy') = (campaign_id IS NOT NULL)", name="kind_campaign"),
        Index("ix_orders_customer_created", "customer_id", "created_at"),
        Index("ix_orders_store_created", "store_id", "created_at"),
        Index("ix_orders_status_created", "status", "created_at"),
        Index(
            "ix_orders_expiry",
            "expires_at",
            sqlite_where=text("status = 'pending_payment'"),
            postgresql_where=text("status = 'pending_payment'"),
        ),
        # What guests who have left still owe; `today.list_unpaid` asks in these very words.
        Index("ix_orders_owing", "finished_at", sqlite_where=text(OWING), postgresql_where=text(OWING)),
    )

    no: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[OrderKind] = mapped_column(labelled(OrderKind, "kind"))
    status: Mapped[OrderStatus] = mapped_column(labelled(OrderStatus, "status"))
    source: Mapped[OrderSource] = mapped_column(
        labelled(OrderSource, "source"), default=OrderSource.MINI_PROGRAM
    )
    customer_id: Mapped[int | None] = reference("customers.id", nullable=True, index=False)
    # Empty for group-buy orders of campaigns that several stores accept.
    store_id: Mapped[int | None] = reference("stores.id", nullable=True, index=False)
    campaign_id: Mapped[int | None] = reference("campaigns.id", nullable=True)
    team_id: Mapped[int | None] = reference("teams.id", nullable=True)
    shared_by_id: Mapped[int | None] = reference("customers.id", nullable=True, index=False)
    quantity: Mapped[int] = mapped_column(Integer, default=1)
    base_fen: Mapped[int] = mapped_column(Integer, default=0)
    extra_fen: Mapped[int] = mapped_column(Integer, default=0)
    # A positive amount that is taken off.
    discount_fen: Mapped[int] = mapped_column(Integer, default=0)
    total_fen: Mapped[int] = mapped_column(Integer, default=0)
    paid_fen: Mapped[int] = mapped_column(Integer, default=0)
    refunded_fen: Mapped[int] = mapped_column(Integer, default=0)
    # Kept from the payment when the order was cancelled, by the frozen steps.
    cancel_fee_fen: Mapped[int] = mapped_column(Integer, default=0)
    # The policy as it was at purchase; later edits never touch the order.
    policy: Mapped[dict[str, Any]] = mapped_column(JsonValue, default=dict)
    note: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[Instant]
    expires_at: Mapped[MaybeInstant]
    confirm_by_at: Mapped[MaybeInstant]
    paid_at: Mapped[MaybeInstant]
    finished_at: Mapped[MaybeInstant]

    customer: Mapped[Customer | None] = relationship(foreign_keys=[customer_id])
    store: Mapped[Store | None] = relationship()
    campaign: Mapped[Campaign | None] = relationship()
    team: Mapped[Team | None] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(back_populates="order", order_by="OrderLine.position")
    events: Mapped[list[OrderEvent]] = relationship(back_populates="order", order_by="OrderEvent.id")
    # Rows that only hold room for a change are left out.
    bookings: Mapped[list[Booking]] = relationship(
        primaryjoin="and_(Order.id == Booking.order_id, Booking.change_id.is_(None))",
        order_by=Booking.id,
        backref="order",
    )
    changes: Mapped[list[OrderChange]] = relationship(order_by=OrderChange.id, backref="order")
    payments: Mapped[list[Payment]] = relationship(order_by=Payment.id, backref="order")
    refunds: Mapped[list[Refund]] = relationship(order_by=Refund.id, backref="order")
    refund_requests: Mapped[list[RefundRequest]] = relationship(order_by=RefundRequest.id, backref="order")
    vouchers: Mapped[list[Voucher]] = relationship(
        order_by=Voucher.id, backref="order", foreign_keys=[Voucher.order_id]
    )
    # Those that pay a booking; `vouchers` are those that a group-buy order sold.
    used_vouchers: Mapped[list[Voucher]] = relationship(
        order_by=Voucher.id, viewonly=True, foreign_keys=[Voucher.booking_order_id]
    )

    @property
    def subject(self) -> str:
        """What it is about: the campaign, or store and room of the booking."""
        if self.campaign is not None or not self.bookings:
            return str(self.campaign or self.store or "")
        return f"{self.store} · {self.bookings[-1].room}"

    @property
    def start_at(self) -> datetime | None:
        """When the booking starts."""
        return self.bookings[-1].start_at if self.bookings else None

    @property
    def end_at(self) -> datetime | None:
        """When the booking ends."""
        return self.bookings[-1].end_at if self.bookings else None

    @property
    def pending_change(self) -> OrderChange | None:
        """The change or extension that waits for its payment."""
        return next((each for each in self.changes if each.status is ChangeStatus.PENDING), None)

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """An order lies in scope by its store, or by a store of its campaign."""
        if not store_ids:
            return false()
        campaigns = select(campaign_stores.c.campaign_id).where(campaign_stores.c.store_id.in_(store_ids))
        return or_(cls.store_id.in_(store_ids), cls.campaign_id.in_(campaigns))

    def __str__(self) -> str:
        return self.no


class OrderLine(Base):
    """One line of an order: what, by which rule, how much; reductions are negative."""

    __tablename__ = "order_lines"

    order_id: Mapped[int] = reference("orders.id", ondelete="CASCADE")
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(100))
    # Not a foreign key: the line outlives its rule.
    rule_id: Mapped[int | None] = mapped_column(Integer)
    rule_version: Mapped[int | None] = mapped_column(Integer)
    start_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    minutes: Mapped[int | None] = mapped_column(Integer)
    unit_fen: Mapped[int | None] = mapped_column(Integer)
    amount_fen: Mapped[int] = mapped_column(Integer)

    order: Mapped[Order] = relationship(back_populates="lines")


class OrderEvent(Base):
    """One thing that happened to an order: when, what, by whom, why."""

    __tablename__ = "order_events"

    order_id: Mapped[int] = reference("orders.id", ondelete="CASCADE")
    at: Mapped[Instant]
    event: Mapped[str] = mapped_column(String(32))
    from_status: Mapped[str | None] = mapped_column(String(32))
    to_status: Mapped[str | None] = mapped_column(String(32))
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None] = mapped_column(Integer)
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")
    data: Mapped[dict[str, Any] | None] = mapped_column(JsonValue)

    order: Mapped[Order] = relationship(back_populates="events")
