"""Reconciling days: fetch a service's bill, settle what it tells, keep what differs; safe to repeat."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha1

from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, or_, select, update

from app import gateways
from app.domain.actor import ALL_STORES, SYSTEM, Actor
from app.domain.errors import AlreadyRunning, DomainError, InvalidField
from app.domain.reconciliation import (
    BillEntry,
    Difference,
    bill_date,
    compare,
    may_still_come,
    ready_at,
    sum_up,
)
from app.domain.slots import dates_between
from app.domain.states import BillStatus, DifferenceKind
from app.extensions import use_scope
from app.gateways import ports
from app.gateways.ports import (
    BillNotReady,
    BillUnusable,
    DailyBill,
    GatewayError,
    GatewayRefused,
    GatewayUnavailable,
)
from app.models import Bill, BillService
from app.services import bill_books, channels, payments, refunds
from app.services.audit import record_change
from app.services.bill_differences import keep_differences, keep_sums, settle_elsewhere, settle_status
from app.services.callbacks import CallbackRefused
from app.services.inserts import insert_into
from app.services.sweeps import within_budget
from app.services.unit_of_work import change_rows, session, transactional

log = logging.getLogger(__name__)

# How many past days are looked after by themselves, and how far back anybody may go: services keep no more.
LOOK_BACK_DAYS = 7
OLDEST_DAYS = 90
RETRY_AFTER = timedelta(minutes=30)
# Differences may mend meanwhile: somebody books, a service answers again.
LOOK_AGAIN_AFTER = timedelta(hours=6)
# A run that died holds its day this long.
LEASE = timedelta(minutes=3)
# Why a bill is looked at again: nobody has to do anything about these.
LATE, NO_ANSWER = "not_made", "no_answer"


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why there is no bill to compare with; one that *may_pass* is asked for again first."""

    reason: str
    may_pass: bool


def reconcile_due_days(*, now: datetime) -> int:
    """Reconcile the past week's days that nobody has, whose bill was late, or that still differ."""
    count = 0
    for service, on in within_budget(_due_days(now)):
        try:
            reconcile_day(service, on, actor=SYSTEM, now=now)
            count += 1
        except DomainError as refusal:
            log.warning("bill of %s for %s is looked at later: %s", service, on, refusal.code)
    return count


def _due_days(now: datetime) -> list[tuple[str, date]]:
    today = bill_date(now)
    found = []
    for service in channels.bill_services():
        first_on = bill_books.first_business_on(service)
        if first_on is None:
            continue
        start_on = max(first_on, today - timedelta(days=LOOK_BACK_DAYS))
        rows = session().scalars(
            select(Bill).where(Bill.service == BillService.of(service), Bill.bill_on >= start_on)
        )
        # A run that died before its end is as good as none.
        plans = {row.bill_on: row.next_try_at for row in rows if row.checked_at is not None}
        for on in dates_between(start_on, today - timedelta(days=1)):
            next_try_at = plans.get(on, ready_at(on))
            if next_try_at is not None and next_try_at <= now:
                found.append((service, on))
    return found


def reconcile_day(service: str, on: date, *, actor: Actor, now: datetime) -> int:
    """Compare the bill of a service for a past day with our books, and return the id of that bill.

    What the service received and we do not know as paid is settled first, as any payment is. A bill that is
    late or cannot be used changes nothing but its own status. Raises NotFound for a service without bills,
    InvalidField for a day that is not over or too long ago, AlreadyRunning.
    """
    bills = channels.bills_of(service)
    _check_day(on, now)
    # A bill is for all stores, whoever asks for it.
    with use_scope(ALL_STORES):
        return _reconcile(bills, service, on, actor=actor, now=now)


def _reconcile(bills: ports.Bills, service: str, on: date, *, actor: Actor, now: datetime) -> int:
    bill_id = _claim(service, on, actor=actor, now=now)
    try:
        found = _fetch(bills, service, on, now=now)
        if isinstance(found, _Trouble):
            _keep_trouble(bill_id, found, now=now)
            return bill_id
        entries = found.entries if found else ()
        _settle(service, on, entries, now=now)
        _keep(bill_id, entries, *_stored(service, on, found), now=now)
    except GatewayUnavailable:
        # The file could not be kept.
        _keep_trouble(bill_id, _Trouble("not_stored", may_pass=True), now=now)
    finally:
        _release(bill_id)
    return bill_id


def _check_day(on: date, now: datetime) -> None:
    today = bill_date(now)
    if on >= today:
        raise InvalidField.of("on", _l("This day is not over yet."))
    if on < today - timedelta(days=OLDEST_DAYS):
        raise InvalidField.of("on", _l("Bills are kept for 90 days only."))


@transactional
def _claim(service: str, on: date, *, actor: Actor, now: datetime) -> int:
    """Keep others off this day until the run ends; raises AlreadyRunning."""
    name = BillService.of(service)
    change_rows(
        insert_into(Bill)
        .values(
            service=name,
            bill_on=on,
            status=BillStatus.NOT_READY,
            problem="",
            created_at=now,
            run_count=0,
            file_key="",
            sha1="",
        )
        .on_conflict_do_nothing()
    )
    is_free = or_(Bill.claimed_until_at.is_(None), Bill.claimed_until_at <= now)
    claimed = change_rows(
        update(Bill)
        .where(Bill.service == name, Bill.bill_on == on, is_free)
        .values(claimed_until_at=now + LEASE, run_count=Bill.run_count + 1)
    )
    if not claimed:
        raise AlreadyRunning()
    bill_id: int = (
        session().scalars(select(Bill.id).where(and_(Bill.service == name, Bill.bill_on == on))).one()
    )
    if actor.is_staff:
        record_change(actor=actor, action="bill_run", entity="bills", entity_id=bill_id, now=now)
    return bill_id


@transactional
def _release(bill_id: int) -> None:
    change_rows(update(Bill).where(Bill.id == bill_id).values(claimed_until_at=None))


def _fetch(bills: ports.Bills, service: str, on: date, *, now: datetime) -> DailyBill | _Trouble | None:
    try:
        bill = bills.download_bill(on)
    except BillNotReady:
        return _Trouble(LATE, may_pass=True)
    except BillUnusable as unusable:
        return _Trouble(unusable.reason, may_pass=False)
    except GatewayRefused as refusal:
        return _Trouble(refusal.code[:64], may_pass=refusal.is_retryable)
    except GatewayError:
        return _Trouble(NO_ANSWER, may_pass=True)
    if bill is None:
        has_business = bool(bill_books.read_books(service, on, ()).missing)
        if may_still_come(on, has_business=has_business, now=now):
            return _Trouble(LATE, may_pass=True)
    return bill


def _settle(service: str, on: date, entries: Sequence[BillEntry], *, now: datetime) -> None:
    """Ask about everything that the service has as done and we have not, by the way of all payments."""
    known = bill_books.read_books(service, on, entries).known
    open_here = [
        booked
        for entry in entries
        if entry.status == "succeeded" and (booked := known.get(entry.key)) and not booked.is_settled
    ]
    for booked in within_budget(open_here):
        ask = payments.settle_by_query if booked.kind == "payment" else refunds.settle_by_query
        try:
            ask(booked.id, now=now)
        except (GatewayError, CallbackRefused, DomainError) as error:
            log.warning("%s %s of a bill stays open: %s", booked.kind, booked.number, error)


def _stored(service: str, on: date, bill: DailyBill | None) -> tuple[str, str]:
    """Keep the file for good and return its key and its SHA-1; raises GatewayUnavailable."""
    if bill is None:
        return "", ""
    digest = sha1(bill.content, usedforsecurity=False).hexdigest()
    key = f"{service}/{on:%Y}/{on.isoformat()}-{digest}.{bill.suffix}"
    gateways.bill_storage().save(key, bill.content)
    return key, digest


@transactional
def _keep(bill_id: int, entries: Sequence[BillEntry], file_key: str, digest: str, *, now: datetime) -> None:
    bill = _lock_bill(bill_id)
    books = bill_books.read_books(bill.service.value, bill.bill_on, entries)
    bill_books.mark_billed(bill.bill_on, entries, books)
    keep_sums(bill, sum_up(entries, books))
    keep_differences(bill, compare(entries, books), now=now)
    settle_elsewhere(bill, entries, now=now)
    bill.checked_at, bill.problem = now, ""
    bill.file_key, bill.sha1 = file_key, digest
    settle_status(bill)
    bill.next_try_at = now + LOOK_AGAIN_AFTER if bill.status is BillStatus.DIFFERS else None


@transactional
def _keep_trouble(bill_id: int, trouble: _Trouble, *, now: datetime) -> None:
    """Note why there is no usable bill; what an earlier run has read stays as it is."""
    bill = _lock_bill(bill_id)
    bill.problem, bill.next_try_at = trouble.reason, now + RETRY_AFTER
    if bill.status in (BillStatus.MATCHED, BillStatus.DIFFERS):
        bill.next_try_at = now + LOOK_AGAIN_AFTER
        return
    bill.checked_at = now
    is_late = not may_still_come(bill.bill_on, has_business=True, now=now)
    if trouble.may_pass and not is_late:
        bill.status = BillStatus.NOT_READY
        return
    bill.status = BillStatus.FAILED
    bill.next_try_at = now + LOOK_AGAIN_AFTER
    keep_differences(bill, [Difference(DifferenceKind.BILL_UNUSABLE, "", note=trouble.reason)], now=now)


def _lock_bill(bill_id: int) -> Bill:
    return (
        session()
        .execute(
            select(Bill)
            .where(Bill.id == bill_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )
