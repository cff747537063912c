"""What doors were told: the code of every visit, so that its guests can see it and it can be taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.bookings import Booking
from app.models.scope import StoreScoped
from app.models.types import EncryptedText, UtcDateTime


class DoorAccess(StoreScoped, Base):
    """The access to a room that the door of a booking was given; the code is encrypted.

    `room_ref` and `access_ref` name both at the door's service. Without `revoked_at` the door may still open
    until `expires_at`.
    """

    __tablename__ = "door_accesses"
    __table_args__ = (
        UniqueConstraint("booking_id"),
        Index(
            "ix_door_accesses_open",
            "booking_id",
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    booking_id: Mapped[int] = reference("bookings.id", ondelete="CASCADE", index=False)
    store_id: Mapped[int] = reference("stores.id")
    room_ref: Mapped[str] = mapped_column(String(64))
    access_ref: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(EncryptedText)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[Instant]
    revoked_at: Mapped[MaybeInstant]

    booking: Mapped[Booking] = relationship()
