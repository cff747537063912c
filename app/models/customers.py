"""Customers, how they log in, and what they agreed to receive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.types import EncryptedText, UtcDateTime


class Customer(Base):
    """A person who books; the phone number is encrypted, its keyed hashes serve searching."""

    __tablename__ = "customers"

    nickname: Mapped[str] = mapped_column(String(64), default="")
    avatar_url: Mapped[str | None] = mapped_column(String(300))
    language: Mapped[str] = mapped_column(String(16), default="zh")
    phone: Mapped[str | None] = mapped_column(EncryptedText)
    phone_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    phone_tail_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    is_blacklisted: Mapped[bool] = mapped_column(Boolean, default=False)
    blacklist_reason: Mapped[str] = mapped_column(String(200), default="")
    # The owner's word for customers of a kind (老客, VIP); discount rules may name it.
    segment: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[Instant]
    last_login_at: Mapped[MaybeInstant]

    @property
    def phone_masked(self) -> str:
        """The number as staff see it until they ask for it: the last four digits."""
        return f"*******{self.phone[-4:]}" if self.phone else ""

    def __str__(self) -> str:
        return self.nickname or f"#{self.id}"


class CustomerIdentity(Base):
    """The name under which a login service knows a customer (WeChat: openid)."""

    __tablename__ = "customer_identities"
    __table_args__ = (UniqueConstraint("channel", "app_id", "subject"),)

    customer_id: Mapped[int] = reference("customers.id", ondelete="CASCADE")
    channel: Mapped[str] = mapped_column(String(16))
    app_id: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))


class CustomerSession(Base):
    """A login: access tokens name it, refresh tokens rotate in it, revoking it ends both at once."""

    __tablename__ = "customer_sessions"

    customer_id: Mapped[int] = reference("customers.id", ondelete="CASCADE")
    refresh_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Instant]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[MaybeInstant]


class MessageConsent(Base):
    """How many messages of a template the customer still accepts: one accept is one message."""

    __tablename__ = "message_consents"
    __table_args__ = (
        UniqueConstraint("customer_id", "template"),
        CheckConstraint("credit_count >= 0", name="credit_range"),
    )

    customer_id: Mapped[int] = reference("customers.id", ondelete="CASCADE")
    template: Mapped[str] = mapped_column(String(64))
    credit_count: Mapped[int] = mapped_column(Integer, default=0)
    updated_at: Mapped[Instant]
