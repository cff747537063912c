"""Daily bills of payment services, what both sides count for a day, and what differs."""

from __future__ import annotations

from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.states import BillStatus, DifferenceKind, DifferenceStatus, LabelledEnum
from app.models.base import Base, Instant, MaybeInstant, reference
from app.models.orders import Order
from app.models.payments import ByOrder
from app.models.scope import StoreScoped
from app.models.types import labelled


class BillService(LabelledEnum):
    """Services that send bills, by their names in the addresses of callbacks."""

    WECHAT = ("wechat", _l("WeChat Pay"), "green")
    ALIPAY = ("alipay", _l("Alipay"), "blue")


class Bill(Base):
    """The bill of one service for one day of China's calendar, for all stores together.

    It says when it was looked at and how that ended; the money is in its sums, which belong to stores.
    """

    __tablename__ = "bills"
    __table_args__ = (
        UniqueConstraint("service", "bill_on"),
        Index("ix_bills_status_next_try", "status", "next_try_at"),
    )

    service: Mapped[BillService] = mapped_column(labelled(BillService, "service", is_checked=False))
    bill_on: Mapped[date] = mapped_column(Date)
    status: Mapped[BillStatus] = mapped_column(labelled(BillStatus, "status"))
    # Why there is no usable bill: a stable word, or the service's own code.
    problem: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[Instant]
    checked_at: Mapped[MaybeInstant]
    run_count: Mapped[int] = mapped_column(Integer, default=0)
    next_try_at: Mapped[MaybeInstant]
    # While a run is under way: when its claim lapses, should it have died.
    claimed_until_at: Mapped[MaybeInstant]
    # The file that was read last, and its SHA-1; empty for a day without business.
    file_key: Mapped[str] = mapped_column(String(120), default="")
    sha1: Mapped[str] = mapped_column(String(40), default="")

    sums: Mapped[list[BillSum]] = relationship(order_by="BillSum.id", viewonly=True)

    # Sums over the stores in scope: other stores' rows are never loaded.

    @property
    def here_paid(self) -> tuple[int, int]:
        """Payments in our books: fen and how many."""
        return self._total("here_paid")

    @property
    def there_paid(self) -> tuple[int, int]:
        """Payments in the bill, likewise."""
        return self._total("there_paid")

    @property
    def here_refunded(self) -> tuple[int, int]:
        """Refunds in our books, likewise."""
        return self._total("here_refunded")

    @property
    def there_refunded(self) -> tuple[int, int]:
        """Refunds in the bill, likewise."""
        return self._total("there_refunded")

    # The same in fen alone, as exports have it.
    here_paid_fen = property(lambda self: self.here_paid[0])
    there_paid_fen = property(lambda self: self.there_paid[0])
    here_refunded_fen = property(lambda self: self.here_refunded[0])
    there_refunded_fen = property(lambda self: self.there_refunded[0])

    def _total(self, name: str) -> tuple[int, int]:
        fen = sum(getattr(each, f"{name}_fen") for each in self.sums)
        return fen, sum(getattr(each, f"{name}_count") for each in self.sums)

    def __str__(self) -> str:
        return f"{self.service.label} {self.bill_on.isoformat()}"


class BillSum(StoreScoped, Base):
    """What our books and a bill count for the orders of one store.

    Without a store: orders of campaigns that several stores accept, and what nobody here knows.
    """

    __tablename__ = "bill_sums"
    __table_args__ = (UniqueConstraint("bill_id", "store_id"),)

    bill_id: Mapped[int] = mapped_column(ForeignKey("bills.id", ondelete="CASCADE"))
    store_id: Mapped[int | None] = reference("stores.id", nullable=True)
    here_paid_count: Mapped[int] = mapped_column(Integer)
    here_paid_fen: Mapped[int] = mapped_column(Integer)
    here_refunded_count: Mapped[int] = mapped_column(Integer)
    here_refunded_fen: Mapped[int] = mapped_column(Integer)
    there_paid_count: Mapped[int] = mapped_column(Integer)
    there_paid_fen: Mapped[int] = mapped_column(Integer)
    there_refunded_count: Mapped[int] = mapped_column(Integer)
    there_refunded_fen: Mapped[int] = mapped_column(Integer)
    # What the service kept; fees that came back with refunds are taken off.
    fee_fen: Mapped[int] = mapped_column(Integer)


class BillDifference(ByOrder, Base):
    """One thing in which a bill and our books differ, until it is explained or gone.

    `number` is ours where there is one. What belongs to no order of ours is for whoever sees all stores.
    """

    __tablename__ = "bill_differences"
    __table_args__ = (
        UniqueConstraint("bill_id", "kind", "number"),
        CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed_when"),
        CheckConstraint("status != 'resolved' OR reason != ''", name="resolved_why"),
        Index("ix_bill_differences_status_created", "status", "created_at"),
    )

    bill_id: Mapped[int] = mapped_column(ForeignKey("bills.id", ondelete="CASCADE"))
    kind: Mapped[DifferenceKind] = mapped_column(labelled(DifferenceKind, "kind"))
    number: Mapped[str] = mapped_column(String(140))
    transaction_no: Mapped[str | None] = mapped_column(String(128))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"), index=True)
    # What each side has, where it has anything.
    here_fen: Mapped[int | None] = mapped_column(Integer)
    there_fen: Mapped[int | None] = mapped_column(Integer)
    # When the service says that it happened.
    settled_at: Mapped[MaybeInstant]
    # Why a bill cannot be used.
    note: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[DifferenceStatus] = mapped_column(
        labelled(DifferenceStatus, "status"), default=DifferenceStatus.OPEN
    )
    created_at: Mapped[Instant]
    closed_at: Mapped[MaybeInstant]
    # Nobody, where it was gone by itself.
    closed_by: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")

    bill: Mapped[Bill] = relationship()
    order: Mapped[Order | None] = relationship()

    def __str__(self) -> str:
        return self.number or str(self.bill)
