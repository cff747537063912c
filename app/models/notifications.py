"""The outbox of messages, and the templates that they are written from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Boolean, ColumnElement, Index, Integer, String, Text, UniqueConstraint, and_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import LabelledEnum, NotificationChannel, NotificationStatus
from app.models.base import Base, Instant, MaybeInstant, Versioned, reference
from app.models.orders import Order
from app.models.scope import StoreScoped
from app.models.stores import Store
from app.models.types import JsonValue, UtcDateTime, labelled


class Recipient(LabelledEnum):
    CUSTOMER = ("customer", _l("Customer"), "blue")
    SHOP = ("shop", _l("Shop"), "purple")


class NotificationTemplate(Versioned, Base):
    """The words of one event for one recipient on one channel in one language; `{name}` marks a variable."""

    __tablename__ = "notification_templates"
    __table_args__ = (UniqueConstraint("event", "recipient", "channel", "language"),)

    event: Mapped[str] = mapped_column(String(32))
    recipient: Mapped[Recipient] = mapped_column(labelled(Recipient, "recipient"))
    channel: Mapped[NotificationChannel] = mapped_column(labelled(NotificationChannel, "channel"))
    language: Mapped[str] = mapped_column(String(16), default="zh")
    title: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    # The id that the message service gave the approved template, and its fields: {"thing1": "{store}"}.
    provider_template: Mapped[str] = mapped_column(String(64), default="")
    fields: Mapped[dict[str, str]] = mapped_column(JsonValue, default=dict)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)

    def __str__(self) -> str:
        return f"{self.event}/{self.channel}/{self.language}"


class Notification(StoreScoped, Base):
    """A message to deliver, written in the transaction that causes it; in-app messages are read from here."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index(
            "ix_notifications_due",
            "next_attempt_at",
            sqlite_where=text("status IN ('pending', 'sending', 'failed')"),
            postgresql_where=text("status IN ('pending', 'sending', 'failed')"),
        ),
        Index("ix_notifications_customer_channel", "customer_id", "channel", "id"),
        Index("ix_notifications_store_created", "store_id", "created_at"),
    )

    event: Mapped[str] = mapped_column(String(32))
    recipient: Mapped[Recipient] = mapped_column(labelled(Recipient, "recipient"))
    channel: Mapped[NotificationChannel] = mapped_column(labelled(NotificationChannel, "channel"))
    status: Mapped[NotificationStatus] = mapped_column(labelled(NotificationStatus, "status"))
    customer_id: Mapped[int | None] = reference(
        "customers.id", nullable=True, ondelete="CASCADE", index=False
    )
    store_id: Mapped[int | None] = reference("stores.id", nullable=True, index=False)
    order_id: Mapped[int | None] = reference("orders.id", nullable=True)
    # One message per event, order, recipient and channel (and occurrence, where an event can repeat).
    dedupe_key: Mapped[str] = mapped_column(String(160), unique=True)
    variables: Mapped[dict[str, Any]] = mapped_column(JsonValue, default=dict)
    title: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[Instant]
    next_attempt_at: Mapped[Instant]
    leased_until_at: Mapped[MaybeInstant]
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    sent_at: Mapped[MaybeInstant]
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # A reminder that would come too late is dropped instead of sent.
    expires_at: Mapped[MaybeInstant]
    last_error: Mapped[str] = mapped_column(String(200), default="")

    order: Mapped[Order | None] = relationship()
    store: Mapped[Store | None] = relationship()

    @classmethod
    def store_scope_clause(cls, store_ids: frozenset[int]) -> ColumnElement[bool]:
        """Staff see the messages of their own stores."""
        return and_(cls.store_id.is_not(None), cls.store_id.in_(store_ids))
