"""The counters of the example chain in the last days: shifts, cash, card slips, refunds, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.domain.actor import Actor
from app.domain.slots import local_date, local_instant
from app.domain.states import (
    COUNTER_CHANNELS,
    OrderKind,
    PaymentChannel,
    PaymentStatus,
    RefundStatus,
    ShiftStatus,
)
from app.models import OrderSource, Shift, ShiftCount
from app.services.demo.batch import Batch, Row
from app.services.demo.ledger import REFUND_ARRIVED, ZONE, Draft
from app.services.refunds import COUNTER_ROUTE

DAYS = 7
OPENS_MINUTE, CLOSES_MINUTE = 9 * 60, 23 * 60 + 30
OPEN_FOR, BEFORE_GUESTS = timedelta(hours=6), timedelta(minutes=20)
FLOAT_FEN, NOTE_FEN, SHORT_FEN = 50_000, 10_000, 500
CASH, POS = COUNTER_CHANNELS
# Every third walk-in pays by QR code.
WAYS = (CASH, POS, None)
MOST_HANDED_OUT = 2


@dataclass
class _Till:
    """One shift with what moved in it."""

    id: int
    store_id: int
    clerk: Actor
    opened_at: datetime
    closed_at: datetime | None
    moved: Counter[PaymentChannel] = field(default_factory=Counter)

    def covers(self, draft: Draft, at: datetime | None) -> bool:
        """Tell whether money of an order that moved then may have moved here."""
        is_here = draft.store_id == self.store_id and at is not None and at >= self.opened_at
        return bool(is_here and (self.closed_at is None or at < self.closed_at))  # type: ignore[operator]

    def entry(self, channel: PaymentChannel, amount_fen: int, at: datetime, **more: Any) -> Row:
        """Return a movement and count it."""
        self.moved[channel] += amount_fen
        slip: Row = {}
        if channel is POS:
            # As in the slips of a terminal that counts on.
            reference_no = f"{at.astimezone(ZONE):%m%d%H%M%S}{self.id % 100:02d}"
            slip = {"terminal_no": f"QF{self.store_id:06d}", "reference_no": reference_no}
            direction = "in" if amount_fen > 0 else "out"
            slip_key = f"{self.store_id}:{slip['terminal_no']}:{reference_no}:{direction}"
            slip |= {"card_tail": f"{amount_fen * 7 % 10_000:04d}", "slip_key": slip_key}
        who = {"staff_id": self.clerk.id, "staff_name": self.clerk.name}
        common = {"shift_id": self.id, "store_id": self.store_id, "at": at, "channel": channel}
        return common | {"amount_fen": amount_fen} | slip | who | more


def work_counters(
    batch: Batch, drafts: list[Draft], store_ids: list[int], staff: list[Actor], now: datetime
) -> None:
    """Collect the shifts of the last days and let walk-ins, and a few bookings, pay into them.

    The middle store's cashier has the drawer open; *drafts* are sorted by their time.
    """
    tills = [
        till
        for index, store_id in enumerate(store_ids)
        for till in _tills(batch, drafts, index, store_id, staff, now)
    ]
    walk_ins = [(draft, till) for draft, till in _paid_here(drafts, tills) if _is_walk_in(draft)]
    for index, (draft, till) in enumerate(walk_ins):
        way = WAYS[index % len(WAYS)]
        if way is not None:
            _pay_here(draft, till, way)
    _refund_here(drafts, tills)
    for till in tills:
        _count(batch, till)


def _tills(
    batch: Batch, drafts: list[Draft], index: int, store_id: int, staff: list[Actor], now: datetime
) -> Iterator[_Till]:
    """Yield the shifts of a store; in the first one its manager has worked, so the cashier may open one."""
    clerks = [each for each in staff if each.scope.allows(store_id)]
    clerk, today = clerks[0 if index == 0 else -1], local_date(now, ZONE)
    until = now
    if index == 1:
        last = max((draft.created_at for draft in drafts if _is_of(draft, store_id)), default=now)
        until = min(now - OPEN_FOR, last - BEFORE_GUESTS)
        yield _open(batch, store_id, clerk, until, None)
    for days in range(1, DAYS + 1):
        opened_at, closed_at = (
            local_instant(today - timedelta(days=days), minute, ZONE)
            for minute in (OPENS_MINUTE, CLOSES_MINUTE)
        )
        if closed_at <= until:
            yield _open(batch, store_id, clerk, opened_at, closed_at)


def _is_walk_in(draft: Draft) -> bool:
    return draft.source is OrderSource.COUNTER


def _is_of(draft: Draft, store_id: int) -> bool:
    return _is_walk_in(draft) and draft.store_id == store_id and draft.paid_fen > 0


def _open(
    batch: Batch, store_id: int, clerk: Actor, opened_at: datetime, closed_at: datetime | None
) -> _Till:
    # The row is collected with its count, which is known last.
    return _Till(batch.reserve(Shift), store_id, clerk, opened_at, closed_at)


def _paid_here(drafts: list[Draft], tills: list[_Till]) -> Iterator[tuple[Draft, _Till]]:
    """Yield the bookings whose one payment came in while a shift was open."""
    for draft in drafts:
        if draft.kind is not OrderKind.BOOKING or len(draft.payments) != 1:
            continue
        (payment,) = draft.payments
        if payment["status"] is PaymentStatus.SUCCEEDED:
            yield from ((draft, till) for till in tills if till.covers(draft, payment["paid_at"]))


def _pay_here(draft: Draft, till: _Till, channel: PaymentChannel) -> None:
    (payment,) = draft.payments
    amount_fen, at = payment["amount_fen"], payment["paid_at"]
    given: Row = {}
    if channel is CASH:
        given = {"tendered_fen": -(-amount_fen // NOTE_FEN) * NOTE_FEN}
    payment |= {"channel": channel, "transaction_no": None, "created_at": at}
    payment["entry"] = till.entry(channel, amount_fen, at, **given)
    draft.sign(("payment_succeeded", "pay"), till.clerk)


def _refund_here(drafts: list[Draft], tills: list[_Till]) -> None:
    """Let a few cancelled bookings have been paid at the counter; the latest waits to be handed out."""
    found = [
        (draft, till)
        for draft, till in _paid_here(drafts, tills)
        if not _is_walk_in(draft) and [row["status"] for row in draft.refunds] == [RefundStatus.SUCCEEDED]
    ]
    if found:
        draft, till = found.pop()
        _pay_here(draft, till, CASH)
        by_hand = {"route": COUNTER_ROUTE, "provider_refund_no": None, "try_count": 0}
        draft.keep_refund_open(RefundStatus.PROCESSING, **by_hand)
    handed_out = 0
    for draft, till in reversed(found):
        (refund,) = draft.refunds
        back = _next_till(draft, tills, refund["finished_at"])
        if back is None or handed_out == MOST_HANDED_OUT:
            continue
        channel = COUNTER_CHANNELS[handed_out % 2]
        at = max(refund["finished_at"], back.opened_at + BEFORE_GUESTS)
        _pay_here(draft, till, channel)
        refund |= {"route": COUNTER_ROUTE, "provider_refund_no": None, "try_count": 0, "finished_at": at}
        refund["entry"] = back.entry(channel, -refund["amount_fen"], at)
        draft.values["finished_at"] = at
        draft.sign(REFUND_ARRIVED, back.clerk, at=at)
        handed_out += 1


def _next_till(draft: Draft, tills: list[_Till], at: datetime) -> _Till | None:
    """Return the first finished shift of the order's store in which a refund of *at* can be handed out."""
    ahead = [
        till
        for till in tills
        if till.store_id == draft.store_id and till.closed_at is not None and till.closed_at > at
    ]
    return min(ahead, key=lambda till: till.opened_at, default=None)


def _count(batch: Batch, till: _Till) -> None:
    """Collect a shift and what was counted at its end; one drawer was short of five yuan."""
    is_short = till.closed_at is not None and till.id % 4 == 0
    values: Row = {"status": ShiftStatus.OPEN}
    if till.closed_at is not None:
        values = {
            "status": ShiftStatus.CLOSED,
            "closed_at": till.closed_at,
            "closed_by_name": till.clerk.name,
            "difference_fen": -SHORT_FEN if is_short else 0,
            "reason": "找零时少收 5 元" if is_short else "",
        }
    batch.add(
        Shift,
        row_id=till.id,
        store_id=till.store_id,
        cashier_id=till.clerk.id,
        cashier_name=till.clerk.name,
        opened_at=till.opened_at,
        float_fen=FLOAT_FEN,
        **values,
    )
    for channel in COUNTER_CHANNELS if till.closed_at is not None else ():
        expected_fen = till.moved[channel] + (FLOAT_FEN if channel is CASH else 0)
        missing_fen = SHORT_FEN if is_short and channel is CASH else 0
        batch.add(
            ShiftCount,
            shift_id=till.id,
            channel=channel,
            expected_fen=expected_fen,
            counted_fen=expected_fen - missing_fen,
        )
