"""An order of the example history while it is made up: its rows after what has happened so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from app.domain.actor import PAYMENT_SERVICE, Actor
from app.domain.pricing import QuoteLine, Totals
from app.domain.states import (
    BookingState,
    OrderKind,
    OrderStatus,
    PaymentChannel,
    PaymentStatus,
    RefundStatus,
)
from app.models import OrderSource
from app.services.demo.batch import Row
from app.services.demo.people import Guest
from app.services.order_log import line_rows

if TYPE_CHECKING:
    from app.services.demo.vouchers import VoucherDraft

ZONE = ZoneInfo("Asia/Shanghai")
HOLD = timedelta(minutes=15)
REFUND_ARRIVED = ("refund_succeeded", "refund_done")


@dataclass
class TeamDraft:
    """A team that fills up, or does not."""

    values: Row
    starter: Guest
    id: int = 0


@dataclass
class Draft:
    """An order with everything that hangs on it; ids are given when it is written."""

    no: str
    kind: OrderKind
    status: OrderStatus
    source: OrderSource
    guest: Guest | None
    store_id: int | None
    totals: Totals
    created_at: datetime
    rng: Random
    values: Row = field(default_factory=dict)
    lines: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    booking: Row | None = None
    vouchers: list[VoucherDraft] = field(default_factory=list)
    team: TeamDraft | None = None
    paid_fen: int = 0
    refunded_fen: int = 0
    id: int = 0

    def record(
        self,
        event: str,
        actor: Actor,
        at: datetime,
        *,
        reason: str = "",
        data: Row | None = None,
        source: OrderStatus | None = None,
        target: OrderStatus | None = None,
    ) -> None:
        """Add an event to the timeline."""
        self.events.append(
            {
                "at": at,
                "event": event,
                "from_status": source and source.value,
                "to_status": target and target.value,
                "actor_kind": actor.kind.value,
                "actor_id": actor.id,
                "actor_name": actor.name,
                "reason": reason,
                "data": data,
            }
        )

    def move(
        self,
        event: str,
        target: OrderStatus,
        actor: Actor,
        at: datetime,
        *,
        reason: str = "",
        data: Row | None = None,
        **values: Any,
    ) -> None:
        """Change the status with its event, and set columns of the order."""
        self.record(event, actor, at, reason=reason, data=data, source=self.status, target=target)
        self.status = target
        self.values |= values

    def add_lines(self, lines: tuple[QuoteLine, ...], versions: dict[int, int]) -> None:
        """Take over the lines of a quote; the order gets its id when it is saved."""
        rows = line_rows(0, lines, versions)
        self.lines += [{name: value for name, value in row.items() if name != "order_id"} for row in rows]

    def pay(self, at: datetime, channel: PaymentChannel) -> None:
        """Receive the whole amount."""
        self._add_payment(at - timedelta(seconds=12), channel, PaymentStatus.SUCCEEDED, paid_at=at)
        self.paid_fen += self.totals.total_fen
        data = self._money(self.payments[-1], "payment_no")
        self.record("payment_succeeded", PAYMENT_SERVICE, at, data=data)

    def fail_payment(self, at: datetime) -> None:
        """Let one attempt at paying fail."""
        created_at = at - timedelta(seconds=15)
        self._add_payment(created_at, PaymentChannel.WECHAT_JSAPI, PaymentStatus.FAILED, closed_at=at)
        self.record("pay_failed", PAYMENT_SERVICE, at)

    def _add_payment(
        self, at: datetime, channel: PaymentChannel, status: PaymentStatus, **values: Any
    ) -> None:
        is_paid = status is PaymentStatus.SUCCEEDED
        self.payments.append(
            {
                "payment_no": number("P", at, self.rng),
                "channel": channel,
                "status": status,
                "amount_fen": self.totals.total_fen,
                "created_at": at,
                "expires_at": self.created_at + HOLD,
                "transaction_no": _transaction_no(channel, at, self.rng) if is_paid else None,
                **values,
            }
        )

    @staticmethod
    def _money(row: Row, name: str) -> Row:
        return {name: row[name], "amount_fen": row["amount_fen"]}

    def refund(self, amount_fen: int, actor: Actor, at: datetime, now: datetime, *, reason: str) -> None:
        """Give money back; it arrives within a minute."""
        arrives_at = min(at + timedelta(seconds=self.rng.randrange(4, 50)), now)
        payment = self.payments[-1]
        payment["refund_reserved_fen"] = payment.get("refund_reserved_fen", 0) + amount_fen
        refund = {
            "payment_index": len(self.payments) - 1,
            "refund_no": number("R", at, self.rng),
            "status": RefundStatus.SUCCEEDED,
            "amount_fen": amount_fen,
            "reason": reason,
            "provider_refund_no": f"5030{self.rng.randrange(10**12):024d}",
            "created_at": at,
            "accepted_at": at,
            "finished_at": arrives_at,
            "try_count": 1,
        }
        self.refunds.append(refund)
        money = self._money(refund, "refund_no")
        self.record("refund_created", actor, at, reason=reason, data=money)
        self.refunded_fen += amount_fen
        self.record("refund_succeeded", PAYMENT_SERVICE, arrives_at, data=money)
        self.move("refund_done", OrderStatus.REFUNDED, PAYMENT_SERVICE, arrives_at, finished_at=arrives_at)

    def keep_refund_open(self, status: RefundStatus, **values: Any) -> None:
        """Take it back that the only refund has arrived: it waits for somebody instead."""
        (refund,) = self.refunds
        self.events = [row for row in self.events if row["event"] not in REFUND_ARRIVED]
        self.refunded_fen -= refund["amount_fen"]
        self.status, self.values["finished_at"] = OrderStatus.REFUNDING, refund["created_at"]
        refund |= {"status": status, "finished_at": None, **values}

    def sign(self, events: tuple[str, ...], actor: Actor, *, at: datetime | None = None) -> None:
        """Let somebody else have done what these events tell, perhaps at another time."""
        who: Row = {} if at is None else {"at": at}
        who |= {"actor_kind": actor.kind.value, "actor_id": actor.id, "actor_name": actor.name}
        for row in self.events:
            if row["event"] in events:
                row |= who

    def free_room(self, state: BookingState = BookingState.RELEASED) -> None:
        """Let go of the room."""
        assert self.booking is not None
        self.booking |= {"state": state, "hold_expires_at": None}


def number(prefix: str, at: datetime, rng: Random) -> str:
    """Return a number of the product's own form, the same for the same *rng*."""
    return f"{prefix}{at.astimezone(ZONE):%y%m%d}{rng.randrange(10**12):012d}"


def _transaction_no(channel: PaymentChannel, at: datetime, rng: Random) -> str:
    """Return a number of the form that the service behind the channel gives."""
    local, digits = at.astimezone(ZONE), rng.randrange(10**10)
    if channel is PaymentChannel.ALIPAY:
        return f"{local:%Y%m%d}22001{digits:015d}"
    if channel is PaymentChannel.UNIONPAY:
        return f"{local:%y%m%d%H%M}{digits:011d}"
    return f"42000{local:%Y%m%d}{digits:015d}"
