"""Telling WeChat that what was paid has been delivered, after which it releases the money it holds.

A report is due once nobody can refuse the order any more: what is sold is the right to the room, or vouchers.
It is written with the payment's credit and sent by a job, so that no remote call is part of a payment.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update

from app.domain.actor import Actor
from app.domain.errors import InvalidTransition, NotFound, Unavailable
from app.domain.states import OrderStatus, PaymentChannel, ShippingStatus
from app.gateways.ports import GatewayRefused, GatewayUnavailable, ShippingInfo
from app.models import Order, Payment, ShippingReport
from app.services import channels
from app.services.audit import record_change
from app.services.sweeps import within_budget
from app.services.unit_of_work import change_rows, session, transactional

log = logging.getLogger(__name__)

S = ShippingStatus
REPORTED_CHANNELS = (PaymentChannel.WECHAT_JSAPI, PaymentChannel.WECHAT_NATIVE)
# The platform learns of a payment a little later than we do.
FIRST_TRY = timedelta(seconds=30)
LEASE = timedelta(seconds=60)
MOST_TRIES = 30
LONGEST_RETRY_SECONDS = 3600
# How long an order that may still be refused, or a team that may still fail, is left alone.
LOOK_AGAIN = timedelta(minutes=10)
UNDECIDED = (OrderStatus.PENDING_PAYMENT, OrderStatus.PAID, OrderStatus.FORMING)
# Said of what was reported before: nothing new in it, or delivered completely.
ALREADY_REPORTED = frozenset({"10060023", "10060002", "10060003"})
# The payment is not known there yet, or not in the state to be delivered: a later try may find it so.
NOT_YET = frozenset({"10060001", "10060004"})


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Everything that one try needs, so that no transaction is open meanwhile."""

    id: int
    attempt: int
    info: ShippingInfo


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one try; `wait` is when to look again where nothing was tried."""

    status: ShippingStatus
    error: str = ""
    wait: timedelta | None = None


def queue_report(payment: Payment, *, openid: str | None, now: datetime) -> None:
    """Have a credited payment reported, inside the caller's transaction; other services ask for none."""
    if payment.channel not in REPORTED_CHANNELS:
        return
    session().add(
        ShippingReport(
            payment_id=payment.id,
            order_id=payment.order_id,
            openid=openid or "",
            status=S.WAITING,
            created_at=now,
            next_attempt_at=now + FIRST_TRY,
        )
    )


def report_due(*, now: datetime, limit: int = 200) -> int:
    """Send the reports that are due, the oldest first; returns how many were looked at."""
    due = session().scalars(
        select(ShippingReport.id)
        .where(
            ShippingReport.status.in_((S.WAITING, S.SENDING, S.FAILED)),
            ShippingReport.next_attempt_at <= now,
        )
        .order_by(ShippingReport.next_attempt_at)
        .limit(limit)
    )
    return sum(report(report_id, now=now) for report_id in within_budget(due.all()))


def report(report_id: int, *, now: datetime) -> bool:
    """Send one report if it is due and nobody else is at it; tell whether it was this call's to handle."""
    taken = _lease(report_id, now=now)
    if not isinstance(taken, _Parcel):
        return taken
    outcome = _send(taken.info)
    _record(taken, outcome, now=now)
    return True


@transactional
def _lease(report_id: int, *, now: datetime) -> _Parcel | bool:
    """Claim a report and return what to send; True when it ended without sending, False when not ours."""
    waits = and_(ShippingReport.status.in_((S.WAITING, S.FAILED)), ShippingReport.next_attempt_at <= now)
    has_lapsed = and_(ShippingReport.status == S.SENDING, ShippingReport.leased_until_at <= now)
    claimed = change_rows(
        update(ShippingReport)
        .where(ShippingReport.id == report_id, or_(waits, has_lapsed))
        .values(
            status=S.SENDING,
            leased_until_at=now + LEASE,
            next_attempt_at=now + LEASE,
            attempt_count=ShippingReport.attempt_count + 1,
        )
    )
    if claimed != 1:
        return False
    row = session().get_one(ShippingReport, report_id, populate_existing=True)
    packed = _pack(row, now=now)
    if isinstance(packed, _Parcel):
        return packed
    _finish(row.id, packed, attempt=row.attempt_count, now=now)
    return True


def _pack(row: ShippingReport, *, now: datetime) -> _Parcel | _Outcome:
    """Return what to send, or why nothing is to be sent now or ever."""
    payment, order = row.payment, row.order
    if payment.refund_reserved_fen >= payment.amount_fen:
        return _Outcome(S.DROPPED, "refunded")
    if order.status in UNDECIDED:
        return _Outcome(S.WAITING, wait=LOOK_AGAIN)
    if not row.openid or not payment.transaction_no:
        return _Outcome(S.DEAD, "the service did not say who paid")
    info = ShippingInfo(payment.transaction_no, row.openid, _description(order), delivered_at=now)
    return _Parcel(row.id, row.attempt_count, info)


def _description(order: Order) -> str:
    return f"{order.store or order.campaign or ''} {order.no}".strip()


def _send(info: ShippingInfo) -> _Outcome:
    """Send and judge the answer; repeating a report is harmless, so every doubt is another try."""
    try:
        program = channels.mini_program()
        session().rollback()
        if not program.is_trade_managed():
            return _Outcome(S.DROPPED, "WeChat holds no money of this mini-program")
        program.upload_shipping_info(info)
    except GatewayRefused as refusal:
        return _judge(refusal)
    except GatewayUnavailable as error:
        return _Outcome(S.FAILED, str(error))
    except Unavailable:
        return _Outcome(S.FAILED, "the mini-program is not set up")
    return _Outcome(S.REPORTED)


def _judge(refusal: GatewayRefused) -> _Outcome:
    if refusal.code in ALREADY_REPORTED:
        return _Outcome(S.REPORTED)
    may_pass = refusal.is_retryable or refusal.code in NOT_YET
    return _Outcome(S.FAILED if may_pass else S.DEAD, str(refusal))


@transactional
def _record(parcel: _Parcel, outcome: _Outcome, *, now: datetime) -> None:
    _finish(parcel.id, outcome, attempt=parcel.attempt, now=now)


def _finish(report_id: int, outcome: _Outcome, *, attempt: int, now: datetime) -> None:
    """Write what became of the try, unless the lease lapsed and somebody else is at it by now."""
    status, error = outcome.status, outcome.error
    if status is S.FAILED and attempt >= MOST_TRIES:
        status, error = S.DEAD, f"given up after {attempt} tries: {error}"
    if status in (S.DEAD, S.FAILED):
        log.warning("shipping report %s: %s, %s", report_id, status.value, error)
    is_over = status in (S.REPORTED, S.DEAD, S.DROPPED)
    wait = outcome.wait or retry_after(attempt)
    change_rows(
        update(ShippingReport)
        .where(
            ShippingReport.id == report_id,
            ShippingReport.status == S.SENDING,
            ShippingReport.attempt_count == attempt,
        )
        .values(
            status=status,
            last_error=error[:200],
            leased_until_at=None,
            next_attempt_at=None if is_over else now + wait,
            # Waiting for the order is no try.
            attempt_count=attempt - 1 if outcome.wait else attempt,
            reported_at=now if status is S.REPORTED else None,
        )
    )


def retry_after(attempt: int) -> timedelta:
    """Return how long to wait after try number *attempt*: doubling from 30 s, at most an hour."""
    return timedelta(seconds=min(LONGEST_RETRY_SECONDS, 30 << min(attempt - 1, 10)))


@transactional
def resend_report(report_id: int, *, actor: Actor, now: datetime) -> None:
    """Have a report that failed for good sent again.

    Raises NotFound outside the actor's stores, InvalidTransition for a report in any other state.
    """
    query = select(ShippingReport).where(ShippingReport.id == report_id)
    if not actor.scope.is_all:
        query = query.where(ShippingReport.store_scope_clause(actor.scope.store_ids))
    row = session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound()
    moved = change_rows(
        update(ShippingReport)
        .where(ShippingReport.id == report_id, ShippingReport.status == S.DEAD)
        .values(status=S.WAITING, next_attempt_at=now, attempt_count=0, last_error="")
    )
    if moved != 1:
        raise InvalidTransition(data={"event": "resend", "status": row.status.value})
    record_change(
        actor=actor,
        action="resend",
        entity="shipping_report",
        entity_id=row.payment.payment_no,
        store_id=row.order.store_id,
        before={"status": S.DEAD.value, "last_error": row.last_error},
        after={"status": S.WAITING.value},
        now=now,
    )
