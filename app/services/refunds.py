"""Giving money back by the original route: reserved, sent by a worker, retried under one number."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update

from app.domain.actor import PAYMENT_SERVICE, Actor
from app.domain.errors import Unavailable
from app.domain.events import reason_label
from app.domain.states import (
    COUNTER_CHANNELS,
    REFUND,
    OrderKind,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
    check_transition,
)
from app.gateways.ports import (
    CallbackHeaders,
    CallbackInvalid,
    GatewayRefused,
    GatewayUnavailable,
    RefundFacts,
    RefundRequest,
)
from app.models import Order, OrderEvent, Payment, Refund
from app.services import channels, notifications, queue
from app.services.booking_rows import booking_of
from app.services.callbacks import CallbackRefused, keep_callback
from app.services.locks import lock_order
from app.services.numbers import new_number
from app.services.order_log import move_order, record_event
from app.services.stay_status import status_of_stay
from app.services.sweeps import within_budget
from app.services.unit_of_work import change_rows, session, transactional

log = logging.getLogger(__name__)

SENDABLE = (RefundStatus.CREATED, RefundStatus.PROCESSING)
OPEN = (*SENDABLE, RefundStatus.ABNORMAL)
# Seconds until the next try or question, the last step repeated.
TRY_AFTER_SECONDS = (5, 15, 60, 300, 900)
# What came in over the counter is handed out there: a task for somebody instead of a request to a service.
COUNTER_ROUTE = "counter"
# How somebody hands back what the service cannot: see abnormal_refunds.
HANDED_BACK_ROUTES = ("transfer", "cash")
DOUBLED = "doubled"


def refundable_fen(order: Order) -> int:
    """Return what was paid for an order and is not on its way back yet, in fen.

    A payment that came twice is on its way back although `refunded_fen` does not know of it yet.
    """
    if order.paid_fen == 0:
        return 0
    left = select(func.sum(Payment.amount_fen - Payment.refund_reserved_fen)).where(
        Payment.order_id == order.id, Payment.status == PaymentStatus.SUCCEEDED
    )
    return session().scalar(left) or 0


def kept_fen(payments: Iterable[Payment]) -> int:
    """As `refundable_fen`, for an order whose payments have been read."""
    paid = (row for row in payments if row.status is PaymentStatus.SUCCEEDED)
    return sum(row.amount_fen - row.refund_reserved_fen for row in paid)


def refund_order(order: Order, amount_fen: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Refund *amount_fen* of an order over its payments, the latest first, inside the caller's transaction.

    The caller holds the order's lock and asks for at most `refundable_fen`.
    """
    payments = session().scalars(
        select(Payment)
        .where(Payment.order_id == order.id, Payment.status == PaymentStatus.SUCCEEDED)
        .order_by(Payment.id.desc())
    )
    left = amount_fen
    for payment in payments.all():
        part = min(left, payment.amount_fen - payment.refund_reserved_fen)
        if part > 0:
            _create(payment, order, part, reason=reason, actor=actor, now=now)
            left -= part
    assert left == 0, "an order never refunds more than was paid"


def refund_payment(payment: Payment, order: Order, *, reason: str, actor: Actor, now: datetime) -> None:
    """Refund one whole payment that nobody needs: paid too late, or for the second time."""
    _create(payment, order, payment.amount_fen, reason=reason, actor=actor, now=now)
    if order.status is OrderStatus.CANCELLED:
        move_order(order, "refund_late_payment", OrderStatus.REFUNDING, actor=actor, now=now, reason=reason)


def _create(
    payment: Payment, order: Order, amount_fen: int, *, reason: str, actor: Actor, now: datetime
) -> None:
    # The reservation is conditional in the database: racing refunds can never exceed the payment.
    change_rows(
        update(Payment)
        .where(Payment.id == payment.id)
        .values(refund_reserved_fen=Payment.refund_reserved_fen + amount_fen)
    )
    session().refresh(payment)
    is_task = payment.channel in COUNTER_CHANNELS
    refund = Refund(
        refund_no=new_number("R", now),
        payment_id=payment.id,
        order_id=order.id,
        status=RefundStatus.PROCESSING if is_task else RefundStatus.CREATED,
        amount_fen=amount_fen,
        route=COUNTER_ROUTE if is_task else "original",
        reason=reason[:80],
        created_at=now,
        accepted_at=now if is_task else None,
        next_try_at=None if is_task else now + timedelta(seconds=TRY_AFTER_SECONDS[0]),
    )
    session().add(refund)
    session().flush()
    record_event(
        order,
        "refund_created",
        actor=actor,
        now=now,
        reason=reason,
        data={"refund_no": refund.refund_no, "amount_fen": amount_fen},
    )
    notifications.queue_notice(
        "refund_started",
        order=order,
        occurrence=refund.refund_no,
        variables={"amount": amount_fen},
        now=now,
    )
    if not is_task:
        queue.enqueue("app.jobs.send_refund", refund.id)


def send_refund(refund_id: int, *, now: datetime) -> None:
    """Ask the service for a refund, or after one that is under way; safe to repeat at any time."""
    request = _request(refund_id)
    if request is None:
        return
    refund, channel, wanted = request
    try:
        gateway = channels.payment_channel(channel)
        if refund.status is RefundStatus.PROCESSING:
            facts = gateway.query_refund(wanted)
            if facts.status == "absent":
                facts = gateway.refund(wanted)
        else:
            facts = gateway.refund(wanted)
    except (GatewayUnavailable, Unavailable) as error:
        _plan_retry(refund_id, str(error), now=now)
    except GatewayRefused as refusal:
        _apply_refusal(refund_id, refusal, now=now)
    else:
        apply_facts(facts, now=now)


def settle_by_query(refund_id: int, *, now: datetime) -> None:
    """Ask the service about a refund that is open here in whatever way, and apply its answer.

    Raises GatewayUnavailable, GatewayRefused, Unavailable, CallbackRefused.
    """
    request = _request(refund_id, OPEN)
    if request is None:
        return
    _, channel, wanted = request
    facts = channels.payment_channel(channel).query_refund(wanted)
    if facts.status != "absent":
        apply_facts(facts, now=now)


def _request(
    refund_id: int, statuses: tuple[RefundStatus, ...] = SENDABLE
) -> tuple[Refund, Any, RefundRequest] | None:
    row = (
        session()
        .execute(
            select(Refund, Payment)
            .join(Payment, Payment.id == Refund.payment_id)
            .where(Refund.id == refund_id)
            .execution_options(populate_existing=True)
        )
        .one_or_none()
    )
    if row is None or row.Refund.status not in statuses:
        return None
    refund, payment = row.Refund, row.Payment
    if refund.route == COUNTER_ROUTE:
        return None
    return refund, payment.channel, request_of(refund, payment)


def request_of(refund: Refund, payment: Payment) -> RefundRequest:
    """Return what the service is asked about a refund: the same at every try."""
    return RefundRequest(
        refund_no=refund.refund_no,
        started_at=refund.created_at,
        payment_no=payment.payment_no,
        transaction_no=payment.transaction_no,
        amount_fen=refund.amount_fen,
        total_fen=payment.amount_fen,
        reason=str(reason_label(refund.reason)),
        notify_url=channels.notify_url("refunds", payment.channel),
    )


@transactional
def _plan_retry(refund_id: int, error: str, *, now: datetime) -> None:
    refund = lock_refund(refund_id)
    refund.try_count += 1
    step = min(refund.try_count, len(TRY_AFTER_SECONDS) - 1)
    refund.next_try_at = now + timedelta(seconds=TRY_AFTER_SECONDS[step])
    refund.last_error = error[:200]


def _apply_refusal(refund_id: int, refusal: GatewayRefused, *, now: datetime) -> None:
    if refusal.is_retryable:
        _plan_retry(refund_id, refusal.code, now=now)
    else:
        _mark_abnormal(refund_id, refusal.code, now=now)


@transactional
def _mark_abnormal(refund_id: int, error: str, *, now: datetime) -> None:
    order = lock_order(_order_id_of(refund_id))
    refund = lock_refund(refund_id)
    refund.last_error = error[:200]
    _to_abnormal(refund, order, now=now)


def _order_id_of(refund_id: int) -> int:
    order_id = session().scalar(select(Refund.order_id).where(Refund.id == refund_id))
    assert order_id is not None
    return order_id


def lock_refund(refund_id: int) -> Refund:
    """Lock a refund, after its order, and return it as it is now."""
    return (
        session()
        .execute(
            select(Refund)
            .where(Refund.id == refund_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )


def receive_callback(channel: str, *, headers: CallbackHeaders, body: bytes, now: datetime) -> None:
    """Verify a refund callback, store it and apply it once; raises CallbackRefused."""
    gateway = channels.callback_channel(channel)
    try:
        callback = gateway.parse_refund_callback(headers, body, now)
    except CallbackInvalid as invalid:
        raise CallbackRefused(invalid.reason) from invalid
    _apply_callback(channel, callback.callback_id, callback.event, callback.facts, body.decode(), now=now)


@transactional
def _apply_callback(
    channel: str, callback_id: str, event: str, facts: RefundFacts, body: str, *, now: datetime
) -> None:
    if keep_callback(channel, callback_id, event, facts.refund_no, body, now=now):
        apply_facts(facts, now=now)


def is_ours(refund_no: str) -> bool:
    """Tell whether we asked for a refund; others were made at the service by hand."""
    return session().scalar(select(Refund.id).where(Refund.refund_no == refund_no)) is not None


@transactional
def apply_facts(facts: RefundFacts, *, now: datetime) -> None:
    """Apply what the service says about a refund, once; raises CallbackRefused when it does not fit."""
    found = (
        session()
        .execute(
            select(Refund.id, Refund.order_id, Payment.payment_no, Payment.channel)
            .join(Payment, Payment.id == Refund.payment_id)
            .where(Refund.refund_no == facts.refund_no)
        )
        .one_or_none()
    )
    if found is None:
        raise CallbackRefused("unknown_refund")
    if facts.payment_no not in (None, found.payment_no):
        raise CallbackRefused("payment_mismatch")
    if facts.merchant_no not in (None, channels.payment_identity(found.channel).merchant_no):
        raise CallbackRefused("merchant_mismatch")
    order = lock_order(found.order_id)
    refund = lock_refund(found.id)
    if facts.amount_fen is not None and facts.amount_fen != refund.amount_fen:
        raise CallbackRefused("amount_mismatch")
    if refund.status in (RefundStatus.SUCCEEDED, RefundStatus.CLOSED):
        if facts.status == "succeeded" and refund.route in HANDED_BACK_ROUTES:
            _note_doubled(refund, order, now=now)
        return
    refund.provider_refund_no = facts.provider_refund_no or refund.provider_refund_no
    if facts.status == "succeeded":
        finish_refund(refund, order, finished_at=facts.finished_at or now, actor=PAYMENT_SERVICE, now=now)
    elif facts.status == "processing":
        _to_processing(refund, now=now)
    elif facts.status in ("abnormal", "closed"):
        _to_abnormal(refund, order, now=now)


def _note_doubled(refund: Refund, order: Order, *, now: datetime) -> None:
    """The service has paid after all what somebody handed back another way: staff have to know, once."""
    if refund.last_error == DOUBLED:
        return
    refund.last_error = DOUBLED
    log.error("refund %s arrived although it was handed back another way", refund.refund_no)
    record_event(
        order,
        "refund_doubled",
        actor=PAYMENT_SERVICE,
        now=now,
        data={"refund_no": refund.refund_no, "amount_fen": refund.amount_fen},
    )
    notifications.queue_notice(
        "refund_abnormal", order=order, occurrence=f"{refund.refund_no}:{DOUBLED}", now=now
    )


def _to_processing(refund: Refund, *, now: datetime) -> None:
    if refund.status is RefundStatus.ABNORMAL:
        return
    if refund.status is RefundStatus.CREATED:
        refund.status = RefundStatus.PROCESSING
        refund.accepted_at = now
    refund.try_count += 1
    step = min(refund.try_count, len(TRY_AFTER_SECONDS) - 1)
    refund.next_try_at = now + timedelta(seconds=TRY_AFTER_SECONDS[step])


def finish_refund(
    refund: Refund, order: Order, *, finished_at: datetime, actor: Actor, now: datetime
) -> None:
    """Book a refund that has arrived, inside the caller's transaction; raises InvalidTransition.

    The caller holds the locks of the order and the refund.
    """
    check_transition(REFUND, "succeed", refund.status, RefundStatus.SUCCEEDED)
    refund.status = RefundStatus.SUCCEEDED
    refund.finished_at = finished_at
    refund.next_try_at = None
    order.refunded_fen += refund.amount_fen
    session().flush()
    record_event(
        order,
        "refund_succeeded",
        actor=actor,
        now=now,
        data={"refund_no": refund.refund_no, "amount_fen": refund.amount_fen},
    )
    notifications.queue_notice(
        "refund_done",
        order=order,
        occurrence=refund.refund_no,
        variables={"amount": refund.amount_fen},
        now=now,
    )
    if order.status is OrderStatus.REFUNDING and not _has_open_refunds(order):
        _finish(order, actor=actor, now=now)


def _finish(order: Order, *, actor: Actor, now: datetime) -> None:
    """All refunds are done: the order is refunded, unless it lives on or vouchers of it are still good."""
    from app.services import group_orders

    if order.kind is OrderKind.GROUP_BUY:
        target = group_orders.status_after_refund(order, now=now)
    else:
        target = _living_status(order) or OrderStatus.REFUNDED
    is_over = target not in (
        OrderStatus.ISSUED,
        OrderStatus.PAID,
        OrderStatus.AWAITING_USE,
        OrderStatus.IN_USE,
    )
    finished_at = (order.finished_at or now) if is_over else None
    move_order(order, "refund_done", target, actor=actor, now=now, finished_at=finished_at)


def _living_status(order: Order) -> OrderStatus | None:
    """Return where an order goes whose booking an approved refund left as it was, else None.

    What became of the booking meanwhile decides; one that was refused or missed for money is refunded.
    """
    is_turn = or_(
        OrderEvent.to_status == OrderStatus.REFUNDING.value, OrderEvent.event.in_(("no_show", "refuse"))
    )
    event = session().scalar(
        select(OrderEvent)
        .where(OrderEvent.order_id == order.id, is_turn)
        .order_by(OrderEvent.id.desc())
        .limit(1)
    )
    facts = (event.data if event else None) or {}
    if not facts.get("is_kept") and facts.get("refund_fen") != 0:
        return None
    status = status_of_stay(order, booking_of(order))
    return OrderStatus.COMPLETED if status is OrderStatus.REFUNDING else status


def _has_open_refunds(order: Order) -> bool:
    return (
        session().scalar(
            select(Refund.id).where(Refund.order_id == order.id, Refund.status.in_(OPEN)).limit(1)
        )
        is not None
    )


def _to_abnormal(refund: Refund, order: Order, *, now: datetime) -> None:
    if refund.status is RefundStatus.ABNORMAL:
        return
    check_transition(REFUND, "fail", refund.status, RefundStatus.ABNORMAL)
    refund.status = RefundStatus.ABNORMAL
    refund.next_try_at = None
    record_event(
        order, "refund_abnormal", actor=PAYMENT_SERVICE, now=now, data={"refund_no": refund.refund_no}
    )
    notifications.queue_notice("refund_abnormal", order=order, occurrence=refund.refund_no, now=now)


def settle_refunds(*, now: datetime, limit: int = 100) -> int:
    """Send refunds that still wait and ask after those under way; returns how many were looked at."""
    due = session().scalars(
        select(Refund.id)
        .where(Refund.status.in_(SENDABLE), Refund.next_try_at <= now)
        .order_by(Refund.next_try_at)
        .limit(limit)
    )
    count = 0
    for refund_id in within_budget(due.all()):
        count += 1
        try:
            send_refund(refund_id, now=now)
        except CallbackRefused as refused:
            log.error("refund %s does not fit: %s", refund_id, refused.code)
    return count
