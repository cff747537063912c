"""What a race leaves behind: the attempts as its clients saw them, and the rows that judge them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

# Statuses with which a request was carried out.
DONE = (200, 201)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a client with its final answer; status 0 means that nobody knows.

    `what` is book, walk_in, pay, take_payment, paid (the money was given at the service), or the name of
    another action. Instants are epoch seconds of the race's clock.
    """

    what: str
    no: str
    status: int
    code: str
    sent_at: float
    answered_at: float
    asked: dict[str, Any] = field(default_factory=dict)
    payment_no: str = ""
    key: str = ""

    @property
    def is_done(self) -> bool:
        return self.status in DONE


@dataclass(frozen=True, slots=True)
class OrderRow:
    id: int
    no: str
    status: str
    source: str
    store_id: int
    customer_id: int | None
    base_fen: int
    extra_fen: int
    discount_fen: int
    total_fen: int
    paid_fen: int
    refunded_fen: int
    cancel_fee_fen: int


@dataclass(frozen=True, slots=True)
class BookingRow:
    id: int
    order_id: int
    room_id: int
    change_id: int | None
    state: str
    start_at: datetime
    end_at: datetime
    busy_from_at: datetime
    busy_until_at: datetime
    overtime_from_at: datetime | None
    checked_in_at: datetime | None = None

    @property
    def booked_end_at(self) -> datetime:
        return self.overtime_from_at or self.end_at


@dataclass(frozen=True, slots=True)
class ChangeRow:
    id: int
    order_id: int
    kind: str
    status: str
    room_id: int
    start_at: datetime
    end_at: datetime
    busy_from_at: datetime
    busy_until_at: datetime
    actor_kind: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineRow:
    order_id: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    order_id: int
    event: str
    from_status: str | None
    to_status: str | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class PaymentRow:
    id: int
    order_id: int
    payment_no: str
    status: str
    amount_fen: int
    refund_reserved_fen: int


@dataclass(frozen=True, slots=True)
class RefundRow:
    payment_id: int
    order_id: int
    status: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class NoticeRow:
    order_id: int | None
    event: str
    recipient: str
    channel: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    key: str
    response_status: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """What the payment service knows of a payment."""

    payment_no: str
    is_paid: bool
    amount_fen: int
    refunded_fen: int


@dataclass(slots=True)
class History:
    """All that is known of a race once it is over; rows come in the order of their ids.

    `buffers` are what a booking keeps free before and after itself in each room; `hold` is how long a room is
    held for a booking that is not paid.
    """

    attempts: list[Attempt]
    orders: list[OrderRow]
    bookings: list[BookingRow]
    changes: list[ChangeRow]
    lines: list[LineRow]
    events: list[EventRow]
    payments: list[PaymentRow]
    refunds: list[RefundRow]
    notices: list[NoticeRow]
    keys: list[KeyRow]
    accounts: list[Account]
    buffers: dict[int, tuple[timedelta, timedelta]]
    hold: timedelta
