"""Comparing the daily bill of a payment service with our books: what differs, and the sums of both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Literal

from app.domain.slots import Span
from app.domain.states import DifferenceKind

# Bills are made by China's calendar, wherever a store is.
CHINA = timezone(timedelta(hours=8))
# Bills are made in the morning; before this nobody has to be told that one is missing.
READY_AT = time(10, 0)
# How long a service may take for a bill of a day on which we know of business.
LATEST = timedelta(days=1)
# What lies this close before midnight may be in the next day's bill: the services' clocks decide.
EDGE = timedelta(minutes=10)

EntryKind = Literal["payment", "refund"]
EntryStatus = Literal["succeeded", "processing", "failed"]
Key = tuple[EntryKind, str]


@dataclass(frozen=True, slots=True)
class BillEntry:
    """One line of a service's daily bill; amounts are positive, a fee that came back is negative.

    A refund that was made at the service by hand may have no number of ours.
    """

    kind: EntryKind
    payment_no: str
    refund_no: str | None
    transaction_no: str
    amount_fen: int
    fee_fen: int
    settled_at: datetime
    status: EntryStatus = "succeeded"

    @property
    def number(self) -> str:
        """What the line is about: our number where it has one."""
        return self.payment_no if self.kind == "payment" else self.refund_no or self.transaction_no

    @property
    def key(self) -> Key:
        """What names the payment or refund in our books."""
        return self.kind, self.number


@dataclass(frozen=True, slots=True)
class Booked:
    """A payment or refund in our books; `is_settled` when its money has come in or gone out."""

    id: int
    kind: EntryKind
    number: str
    amount_fen: int
    is_settled: bool
    order_id: int
    store_id: int | None
    transaction_no: str | None = None

    @property
    def key(self) -> Key:
        """What names it in a bill."""
        return self.kind, self.number


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, with the amounts in fen of whichever side has one."""

    kind: DifferenceKind
    number: str
    transaction_no: str | None = None
    here_fen: int | None = None
    there_fen: int | None = None
    order_id: int | None = None
    settled_at: datetime | None = None
    # Why a bill cannot be used.
    note: str = ""


@dataclass(slots=True)
class Side:
    """What one side counts for a day: payments and refunds, in numbers and in fen."""

    payment_count: int = 0
    payment_fen: int = 0
    refund_count: int = 0
    refund_fen: int = 0

    def add(self, kind: EntryKind, amount_fen: int) -> None:
        """Count one payment or refund."""
        setattr(self, f"{kind}_count", getattr(self, f"{kind}_count") + 1)
        setattr(self, f"{kind}_fen", getattr(self, f"{kind}_fen") + amount_fen)


@dataclass(slots=True)
class Sums:
    """Both sides of a day for one store, and what the service keeps for itself."""

    here: Side = field(default_factory=Side)
    there: Side = field(default_factory=Side)
    fee_fen: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """Our side: what the lines of a bill name, and what has to be in this bill and is not."""

    known: Mapping[Key, Booked]
    missing: Sequence[Booked]


def bill_date(at: datetime) -> date:
    """Return the day of China's calendar that an instant lies in."""
    return at.astimezone(CHINA).date()


def ready_at(on: date) -> datetime:
    """Return when the bill of a day can be asked for: ten o'clock of the next morning."""
    return datetime.combine(on + timedelta(days=1), READY_AT, tzinfo=CHINA).astimezone(UTC)


def may_still_come(on: date, *, has_business: bool, now: datetime) -> bool:
    """Tell whether a bill that the service does not have may only be late."""
    return now < ready_at(on) + (LATEST if has_business else timedelta(0))


def billed_span(on: date) -> Span:
    """Return when something must have been settled to be missed in the bill of *on*."""
    start = datetime.combine(on, time(), tzinfo=CHINA)
    return Span(start - EDGE, start + timedelta(days=1) - EDGE)


def repeated_keys(entries: Iterable[BillEntry]) -> list[Key]:
    """Return what a bill lists more than once; refunds without a number of ours may be several."""
    counts = Counter(entry.key for entry in entries if entry.kind == "payment" or entry.refund_no)
    return [key for key, count in counts.items() if count > 1]


def compare(entries: Sequence[BillEntry], books: Books) -> list[Difference]:
    """Return what differs, in the order of the bill; what it lacks comes last.

    A refund under way there differs in nothing from whatever state it has here.
    """
    found = [difference for entry in entries if (difference := _compare_one(entry, books.known)) is not None]
    return _numbered(found) + [_missing_there(booked) for booked in books.missing]


def _compare_one(entry: BillEntry, known: Mapping[Key, Booked]) -> Difference | None:
    booked = known.get(entry.key)
    is_refund = entry.kind == "refund"
    if booked is None:
        if entry.status == "failed":
            return None
        payment = known.get(("payment", entry.payment_no))
        kind = DifferenceKind.REFUND_MISSING_HERE if is_refund else DifferenceKind.MISSING_HERE
        return _difference(kind, entry, None, payment.order_id if payment else None)
    if entry.amount_fen != booked.amount_fen:
        kind = DifferenceKind.REFUND_AMOUNT_DIFFERS if is_refund else DifferenceKind.AMOUNT_DIFFERS
        return _difference(kind, entry, booked, booked.order_id)
    if entry.status != "processing" and (entry.status == "succeeded") != _is_same_money(entry, booked):
        kind = DifferenceKind.REFUND_STATUS_DIFFERS if is_refund else DifferenceKind.STATUS_DIFFERS
        return _difference(kind, entry, booked, booked.order_id)
    return None


def _is_same_money(entry: BillEntry, booked: Booked) -> bool:
    """Tell whether our books have this very transaction as settled, not another one under its number."""
    is_other = entry.kind == "payment" and booked.transaction_no not in (None, entry.transaction_no)
    return booked.is_settled and not is_other


def _difference(
    kind: DifferenceKind, entry: BillEntry, booked: Booked | None, order_id: int | None
) -> Difference:
    return Difference(
        kind=kind,
        number=entry.number,
        transaction_no=entry.transaction_no,
        here_fen=None if booked is None else booked.amount_fen,
        there_fen=entry.amount_fen,
        order_id=order_id,
        settled_at=entry.settled_at,
    )


def _missing_there(booked: Booked) -> Difference:
    is_refund = booked.kind == "refund"
    return Difference(
        kind=DifferenceKind.REFUND_MISSING_THERE if is_refund else DifferenceKind.MISSING_THERE,
        number=booked.number,
        transaction_no=booked.transaction_no,
        here_fen=booked.amount_fen,
        order_id=booked.order_id,
    )


def _numbered(differences: list[Difference]) -> list[Difference]:
    """Tell several nameless refunds of one payment apart, in the order of the bill."""
    seen: Counter[tuple[DifferenceKind, str]] = Counter()
    found = []
    for each in differences:
        seen[each.kind, each.number] += 1
        count = seen[each.kind, each.number]
        found.append(each if count == 1 else replace(each, number=f"{each.number}#{count}"))
    return found


def sum_up(entries: Iterable[BillEntry], books: Books) -> dict[int | None, Sums]:
    """Return both sides' sums by store; None stands for orders of several stores and for unknown ones.

    A refund that is under way there counts on both sides, whatever state it has here; a failed one does not.
    """
    sums: defaultdict[int | None, Sums] = defaultdict(Sums)
    for entry in entries:
        booked = books.known.get(entry.key) or books.known.get(("payment", entry.payment_no))
        store = sums[booked.store_id if booked else None]
        if entry.status != "failed":
            store.there.add(entry.kind, entry.amount_fen)
            store.fee_fen += entry.fee_fen
        same = books.known.get(entry.key)
        if same is not None and (same.is_settled or entry.status == "processing"):
            store.here.add(same.kind, same.amount_fen)
    for booked in books.missing:
        sums[booked.store_id].here.add(booked.kind, booked.amount_fen)
    return dict(sums)
