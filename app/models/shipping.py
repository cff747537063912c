"""Reports to the mini-program platform that what was paid has been delivered."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import ShippingStatus
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.orders import Order
from app.models.payments import ByOrder, Payment
from app.models.types import labelled


class ShippingReport(ByOrder, Base):
    """The report after which WeChat releases the money of a payment: sent outside any transaction."""

    __tablename__ = "shipping_reports"
    __table_args__ = (Index("ix_shipping_reports_status_next", "status", "next_attempt_at"),)

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id", ondelete="RESTRICT"), unique=True)
    order_id: Mapped[int] = reference("orders.id")
    # Who paid, as the service calls them; for a code that somebody else scanned it is not the customer.
    openid: Mapped[str] = mapped_column(String(128), default="")
    status: Mapped[ShippingStatus] = mapped_column(labelled(ShippingStatus, "status"))
    created_at: Mapped[Instant]
    next_attempt_at: Mapped[MaybeInstant]
    leased_until_at: Mapped[MaybeInstant]
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str] = mapped_column(String(200), default="")
    reported_at: Mapped[MaybeInstant]

    payment: Mapped[Payment] = relationship()
    order: Mapped[Order] = relationship()

    def __str__(self) -> str:
        return str(self.payment)
