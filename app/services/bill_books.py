"""Our side of a daily bill: what its lines name in our books, and what has to be in it and is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update

from app.domain.reconciliation import BillEntry, Booked, Books, EntryKind, Key, bill_date, billed_span
from app.domain.states import PaymentStatus, RefundStatus
from app.models import Order, Payment, Refund
from app.services import channels
from app.services.refunds import COUNTER_ROUTE, HANDED_BACK_ROUTES
from app.services.unit_of_work import change_rows, session

BY_HAND = (COUNTER_ROUTE, *HANDED_BACK_ROUTES)
# How many numbers one question to the database names.
MOST_NUMBERS = 500


def first_business_on(service: str) -> date | None:
    """Return the day of the first attempt to pay through a service; earlier bills are nobody's business."""
    first: datetime | None = session().scalar(
        select(func.min(Payment.created_at)).where(Payment.channel.in_(channels.channels_through(service)))
    )
    return None if first is None else bill_date(first)


def read_books(service: str, on: date, entries: Sequence[BillEntry]) -> Books:
    """Return what our books have about a day: everything that the bill names, and what it lacks."""
    payment_nos = {entry.payment_no for entry in entries}
    refund_nos = {entry.number for entry in entries if entry.kind == "refund"}
    known = _load("payment", service, payment_nos) | _load("refund", service, refund_nos)
    named = {entry.key for entry in entries}
    settled = [*_settled("payment", service, on), *_settled("refund", service, on)]
    return Books(known, [booked for booked in settled if booked.key not in named])


def _load(kind: EntryKind, service: str, numbers: Iterable[str]) -> dict[Key, Booked]:
    column = Payment.payment_no if kind == "payment" else Refund.refund_no
    found: dict[Key, Booked] = {}
    for part in _parts(sorted(numbers)):
        rows = session().execute(_books_of(kind, service).where(column.in_(part)))
        found |= {booked.key: booked for booked in (_booked(kind, row) for row in rows)}
    return found


def _settled(kind: EntryKind, service: str, on: date) -> list[Booked]:
    """Return what was settled on a day by our books, unless another day's bill has it."""
    span = billed_span(on)
    model, at = (Payment, Payment.paid_at) if kind == "payment" else (Refund, Refund.finished_at)
    is_of_day = and_(model.billed_on.is_(None), at >= span.start_at, at < span.end_at)
    query = _books_of(kind, service).where(_is_settled(kind), or_(model.billed_on == on, is_of_day))
    return [_booked(kind, row) for row in session().execute(query.order_by(model.id))]


def _is_settled(kind: EntryKind) -> ColumnElement[bool]:
    if kind == "payment":
        return Payment.status == PaymentStatus.SUCCEEDED
    # What went back by hand did not go through the service.
    return and_(Refund.status == RefundStatus.SUCCEEDED, Refund.route.not_in(BY_HAND))


def _books_of(kind: EntryKind, service: str) -> Select[Any]:
    """What the books have of a kind, of one service; refunds carry no number of the payment's transaction."""
    if kind == "payment":
        columns: tuple[Any, ...] = (
            Payment.id,
            Payment.payment_no.label("number"),
            Payment.amount_fen,
            Payment.transaction_no,
        )
        query = select(*columns).select_from(Payment)
    else:
        columns = (Refund.id, Refund.refund_no.label("number"), Refund.amount_fen, Payment.transaction_no)
        query = select(*columns).select_from(Refund).join(Payment, Payment.id == Refund.payment_id)
    return (
        query.join(Order, Order.id == Payment.order_id)
        .add_columns(_is_settled(kind).label("is_settled"), Order.id.label("order_id"), Order.store_id)
        .where(Payment.channel.in_(channels.channels_through(service)))
    )


def _booked(kind: EntryKind, row: Any) -> Booked:
    return Booked(kind=kind, **{**row._mapping, "is_settled": bool(row.is_settled)})


def mark_billed(on: date, entries: Iterable[BillEntry], books: Books) -> None:
    """Note in which day's bill each payment and refund is, and take back what is no longer in this one."""
    for model, kind in ((Payment, "payment"), (Refund, "refund")):
        named = {entry.key for entry in entries if entry.kind == kind}
        billed = sorted(booked.id for key, booked in books.known.items() if key in named)
        gone = sorted(booked.id for booked in books.missing if booked.kind == kind)
        for part in _parts(billed):
            _set_billed(model, and_(model.id.in_(part), model.billed_on.is_(None)), on)
        for part in _parts(gone):
            _set_billed(model, and_(model.id.in_(part), model.billed_on == on), None)


def _set_billed(model: Any, which: ColumnElement[bool], on: date | None) -> None:
    change_rows(update(model).where(which).values(billed_on=on))


def _parts(values: Sequence[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    while part := list(islice(rest, MOST_NUMBERS)):
        yield part
