"""Collecting money: starting payments, and applying what the payment service says exactly once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.domain.actor import PAYMENT_SERVICE, Actor
from app.domain.errors import DomainError, InvalidTransition, NotFound, Unavailable
from app.domain.states import (
    PAYMENT,
    BookingState,
    OrderKind,
    OrderStatus,
    PaymentChannel,
    PaymentStatus,
    check_transition,
)
from app.gateways.ports import (
    CallbackHeaders,
    CallbackInvalid,
    GatewayRefused,
    GatewayUnavailable,
    PaymentCallback,
    PaymentFacts,
    PaymentRequest,
)
from app.models import CustomerIdentity, Order, Payment
from app.services import bookings, channels, dues, group_orders, notifications, refunds, shipping
from app.services.booking_rows import lock_rooms_of
from app.services.callbacks import CallbackRefused, keep_callback
from app.services.locks import lock_order
from app.services.numbers import new_number
from app.services.order_log import record_event
from app.services.orders import find_order, find_own_order
from app.services.sweeps import within_budget
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

# How long after its creation a payment that stays silent is asked about, the last step repeated.
QUERY_AFTER_SECONDS = (15, 30, 60, 90)
# A provider that cannot be reached holds a room at most this long beyond its hold.
CLOSE_GRACE = timedelta(minutes=2)
# How long after its expiry a code is asked about that nobody had scanned when its payment was closed.
CODE_GRACE = timedelta(minutes=2)
# What may still be paid although it counts as closed, or although a first try has failed.
WATCHED = (PaymentStatus.PENDING, PaymentStatus.CLOSED, PaymentStatus.FAILED)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A saved payment and what the service needs to know about it."""

    id: int
    is_new: bool
    request: PaymentRequest


def start_payment(no: str, *, channel: str, actor: Actor, now: datetime) -> dict[str, Any]:
    """Begin to collect what an order owes and return `{payment_no, channel, params}`.

    An unfinished attempt on the same channel is continued under its number, so that a repeated tap never pays
    twice. Raises NotFound for a foreign order, InvalidField for an unknown channel, ChannelOff for one
    that is switched off, InvalidTransition when nothing is to be paid, Unavailable when the service does not
    answer.
    """
    kind = channels.find_channel(channel)
    _close_misfits(_load_payable(no, kind, actor), kind, now=now)
    attempt = _save_attempt(no, kind, actor=actor, now=now)
    try:
        params = channels.payment_channel(kind).create_payment(attempt.request)
    except GatewayUnavailable as error:
        raise Unavailable(_l("The payment service does not answer. Please try again.")) from error
    except GatewayRefused as refusal:
        log.warning("payment %s refused: %s", attempt.request.payment_no, refusal.code)
        raise _refusal(attempt, now=now) from refusal
    return {"payment_no": attempt.request.payment_no, "channel": kind.value, "params": params}


def _load_payable(no: str, channel: PaymentChannel, actor: Actor) -> Order:
    """Return an order once it is known that its store offers *channel*."""
    found = select(Order, *channels.offer_columns(channel, Order.store_id))
    order, *offer = (
        session()
        .execute(
            found.where(Order.id == find_order(no, actor=actor)).execution_options(populate_existing=True)
        )
        .one()
    )
    channels.check_offer(channel, *offer)
    return cast(Order, order)


def _refusal(attempt: _Attempt, *, now: datetime) -> DomainError:
    """Settle an attempt that the service refused and return what its payer is told.

    Most often the money has come, or somebody has closed the payment, and the news are still on their way.
    """
    try:
        status = settle_by_query(attempt.id, now=now)
        if status in ("succeeded", "closed"):
            return InvalidTransition(data={"event": "pay", "status": status})
        if not attempt.is_new:
            # It was accepted once and may still be paid; the next one begins under another number.
            close_payment(attempt.id, now=now)
    except (GatewayUnavailable, GatewayRefused, Unavailable, CallbackRefused) as error:
        log.warning("payment %s is not settled: %s", attempt.request.payment_no, error)
    if attempt.is_new:
        _settle_refused(attempt.id, now=now)
    return Unavailable(_l("The payment service refused. Please try again."))


@transactional
def _save_attempt(no: str, channel: PaymentChannel, *, actor: Actor, now: datetime) -> _Attempt:
    order = lock_order(find_order(no, actor=actor))
    due = dues.open_due(order, now=now)
    if due is None:
        raise InvalidTransition(data={"event": "pay", "status": str(order.status)})
    payment = session().scalar(
        select(Payment).where(
            Payment.order_id == order.id,
            Payment.channel == channel,
            Payment.status == PaymentStatus.PENDING,
        )
    )
    if payment is not None and not _fits(payment, due, now):
        # What is owed changed a moment ago; the next try closes this attempt first.
        raise InvalidTransition(data={"event": "pay", "status": str(order.status)})
    is_new = payment is None
    if payment is None:
        payment = _new_payment(order, channel, due, now)
    return _Attempt(payment.id, is_new, _request_of(payment, order))


def _close_misfits(order: Order, channel: PaymentChannel, *, now: datetime) -> None:
    """An attempt whose time is over, or over what is no longer owed, is closed before another one begins."""
    due = dues.open_due(order, now=now)
    if due is None:
        return
    attempts = session().scalars(
        select(Payment).where(
            Payment.order_id == order.id,
            Payment.channel == channel,
            Payment.status == PaymentStatus.PENDING,
        )
    )
    for attempt in attempts.all():
        if not _fits(attempt, due, now):
            try:
                close_payment(attempt.id, now=now)
            except (GatewayUnavailable, GatewayRefused, CallbackRefused) as error:
                raise Unavailable(_l("The payment service does not answer. Please try again.")) from error


def _fits(payment: Payment, due: dues.Due, now: datetime) -> bool:
    is_same = (payment.amount_fen, payment.change_id) == (due.amount_fen, due.change_id)
    return is_same and payment.expires_at > now


def _new_payment(order: Order, channel: PaymentChannel, due: dues.Due, now: datetime) -> Payment:
    payment = Payment(
        payment_no=new_number("P", now),
        order_id=order.id,
        channel=channel,
        status=PaymentStatus.PENDING,
        amount_fen=due.amount_fen,
        change_id=due.change_id,
        created_at=now,
        expires_at=due.expires_at,
        next_query_at=now + timedelta(seconds=QUERY_AFTER_SECONDS[0]),
    )
    session().add(payment)
    session().flush()
    return payment


def _request_of(payment: Payment, order: Order) -> PaymentRequest:
    return PaymentRequest(
        payment_no=payment.payment_no,
        started_at=payment.created_at,
        amount_fen=payment.amount_fen,
        description=f"{order.store or order.campaign or ''} {order.no}".strip()[:40],
        openid=_payer_of(payment, order),
        expires_at=payment.expires_at,
        notify_url=channels.notify_url("payments", payment.channel),
        kind=channels.payment_kind(payment.channel),
    )


def _payer_of(payment: Payment, order: Order) -> str | None:
    login = channels.payer_identity(payment.channel)
    if login is None:
        return None
    subject: str | None = session().scalar(
        select(CustomerIdentity.subject).where(
            CustomerIdentity.customer_id == order.customer_id,
            CustomerIdentity.channel == login[0],
            CustomerIdentity.app_id == login[1],
        )
    )
    return subject


@transactional
def _settle_refused(payment_id: int, *, now: datetime) -> None:
    payment = _lock_payment(payment_id)
    if payment.status is PaymentStatus.PENDING:
        payment.status = PaymentStatus.FAILED
        payment.closed_at = now
        payment.next_query_at = None


def _lock_payment(payment_id: int) -> Payment:
    return (
        session()
        .execute(
            select(Payment)
            .where(Payment.id == payment_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )


def get_payment(no: str, payment_no: str, *, customer_id: int, now: datetime) -> dict[str, Any]:
    """Return `{payment_no, channel, status}` of one's own payment; raises NotFound."""
    order_id = find_own_order(no, customer_id=customer_id)
    payment = session().scalar(
        select(Payment).where(Payment.payment_no == payment_no, Payment.order_id == order_id)
    )
    if payment is None:
        raise NotFound()
    return {
        "payment_no": payment.payment_no,
        "channel": payment.channel.value,
        "status": payment.status.value,
        "amount_fen": payment.amount_fen,
        "paid_at": payment.paid_at,
    }


def receive_callback(channel: str, *, headers: CallbackHeaders, body: bytes, now: datetime) -> None:
    """Verify a payment callback, store it and apply it once; repetitions change nothing.

    Raises CallbackRefused for anything that must not be accepted, NotFound for an unknown channel.
    """
    gateway = channels.callback_channel(channel)
    try:
        callback = gateway.parse_payment_callback(headers, body, now)
    except CallbackInvalid as invalid:
        raise CallbackRefused(invalid.reason) from invalid
    apply_callback(channel, callback, body.decode(), now=now)


@transactional
def apply_callback(channel: str, callback: PaymentCallback, body: str, *, now: datetime) -> None:
    """Store a verified callback and apply it in one transaction without any remote call."""
    facts = callback.facts
    if not keep_callback(channel, callback.callback_id, callback.event, facts.payment_no, body, now=now):
        return
    if facts.status == "succeeded":
        apply_success(facts, now=now)
    if callback.refund is not None and refunds.is_ours(callback.refund.refund_no):
        refunds.apply_facts(callback.refund, now=now)


def apply_success(facts: PaymentFacts, *, now: datetime) -> None:
    """Credit a successful payment once, inside the caller's transaction.

    Raises CallbackRefused when the payment is unknown or merchant, app, currency or amount differ.
    """
    found: Payment | None = session().scalar(
        select(Payment)
        .where(Payment.payment_no == facts.payment_no)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise CallbackRefused("unknown_payment")
    _match(found, facts)
    if found.status is PaymentStatus.SUCCEEDED:
        return
    lock_rooms_of(found.order_id)
    order = lock_order(found.order_id)
    payment = _lock_payment(found.id)
    # Somebody else may have credited it while we waited for the locks.
    if payment.status is not PaymentStatus.SUCCEEDED:
        payment.transaction_no = facts.transaction_no
        credit_payment(payment, order, paid_at=facts.paid_at or now, actor=PAYMENT_SERVICE, now=now)
        shipping.queue_report(payment, openid=facts.payer_openid, now=now)


def _match(payment: Payment, facts: PaymentFacts) -> None:
    expected = channels.payment_identity(payment.channel)
    checks = {
        "merchant_mismatch": facts.merchant_no == expected.merchant_no,
        "app_mismatch": facts.app_id == expected.app_id,
        "currency_mismatch": facts.currency == payment.currency,
        "amount_mismatch": facts.amount_fen == payment.amount_fen,
    }
    for code, is_equal in checks.items():
        if not is_equal:
            raise CallbackRefused(code)


def credit_payment(payment: Payment, order: Order, *, paid_at: datetime, actor: Actor, now: datetime) -> None:
    """Credit a payment that has come in and settle what it is for, inside the caller's transaction.

    The caller holds the locks of the rooms, the order and the payment. Raises InvalidTransition.
    """
    check_transition(PAYMENT, "succeed", payment.status, PaymentStatus.SUCCEEDED)
    payment.status = PaymentStatus.SUCCEEDED
    payment.paid_at = paid_at
    payment.next_query_at = None
    order.paid_fen += payment.amount_fen
    record_event(
        order,
        "payment_succeeded",
        actor=actor,
        now=now,
        data={"payment_no": payment.payment_no, "amount_fen": payment.amount_fen},
    )
    session().flush()
    _settle(order, payment, actor=actor, now=now)


def _settle(order: Order, payment: Payment, *, actor: Actor, now: datetime) -> None:
    """Decide what the money is for: the order, its room once more, or back where it came from."""
    if order.status is OrderStatus.PENDING_PAYMENT:
        if order.kind is OrderKind.BOOKING:
            bookings.settle_paid(order, actor=actor, now=now)
        else:
            group_orders.settle_paid(order, actor=actor, now=now)
    elif not (dues.settle_due(order, payment, now=now) or _rebooked(order, now=now)):
        refunds.refund_payment(payment, order, reason="paid_late", actor=PAYMENT_SERVICE, now=now)
    surplus_fen = dues.surplus_fen(order)
    if surplus_fen:
        refunds.refund_order(order, surplus_fen, reason="paid_too_much", actor=PAYMENT_SERVICE, now=now)


def _rebooked(order: Order, *, now: datetime) -> bool:
    """Only a hold that ran out is taken again; what the customer cancelled stays cancelled."""
    if order.status is not OrderStatus.CANCELLED or order.kind is not OrderKind.BOOKING:
        return False
    if bookings.booking_of(order).state is not BookingState.EXPIRED:
        return False
    return bookings.rebook(order, actor=PAYMENT_SERVICE, now=now)


def query_silent_payments(*, now: datetime, limit: int = 100) -> int:
    """Ask the service about payments that stay silent and return how many were settled or closed."""
    due = session().execute(
        select(Payment.id, Payment.order_id)
        .where(
            # The others are those whose code or page could still be used.
            Payment.status.in_(WATCHED),
            Payment.next_query_at <= now,
        )
        .order_by(Payment.next_query_at)
        .limit(limit)
    )
    return sum(_query_one(row.id, row.order_id, now=now) for row in within_budget(due.all()))


def _query_one(payment_id: int, order_id: int, *, now: datetime) -> bool:
    order = session().get_one(Order, order_id, populate_existing=True)
    payment = session().get_one(Payment, payment_id, populate_existing=True)
    due = dues.open_due(order, now=now)
    is_over = due is None or payment.expires_at <= now or due.change_id != payment.change_id
    try:
        if is_over:
            # Whether it is closed now or turned out to be paid, it is settled.
            close_payment(payment_id, now=now)
            return True
        return settle_by_query(payment_id, now=now) in ("succeeded", "closed", "failed")
    except (GatewayUnavailable, Unavailable):
        return False
    except (GatewayRefused, CallbackRefused) as error:
        log.error("payment %s cannot be settled: %s", payment_id, error)
        return False
    finally:
        _plan_next_query(payment_id, now=now)


@transactional
def _plan_next_query(payment_id: int, *, now: datetime) -> None:
    payment = _lock_payment(payment_id)
    if payment.next_query_at is None or payment.next_query_at > now:
        return
    payment.query_count += 1
    step = min(payment.query_count, len(QUERY_AFTER_SECONDS) - 1)
    payment.next_query_at = now + timedelta(seconds=QUERY_AFTER_SECONDS[step])


def settle_by_query(payment_id: int, *, now: datetime) -> str:
    """Ask the service about one payment and apply its answer; returns the service's status.

    Raises GatewayUnavailable, GatewayRefused, CallbackRefused.
    """
    payment = session().get(Payment, payment_id)
    assert payment is not None
    gateway = channels.payment_channel(payment.channel)
    facts = gateway.query_payment(payment.payment_no, payment.created_at)
    _apply_facts(payment_id, facts, now=now)
    return str(facts.status)


@transactional
def _apply_facts(payment_id: int, facts: PaymentFacts, *, now: datetime) -> None:
    if facts.status == "succeeded":
        apply_success(facts, now=now)
    elif facts.status in ("closed", "failed"):
        _apply_failure(payment_id, facts.status, now=now)


def _apply_failure(payment_id: int, status: str, *, now: datetime) -> None:
    order_id = session().scalar(select(Payment.order_id).where(Payment.id == payment_id))
    assert order_id is not None
    order = lock_order(order_id)
    payment = _lock_payment(payment_id)
    if payment.status is not PaymentStatus.PENDING:
        return
    payment.status = PaymentStatus.CLOSED if status == "closed" else PaymentStatus.FAILED
    payment.closed_at = now
    # The payer may try again with another card or password, as long as the page or code lives.
    look_at = max(payment.expires_at, now) + CODE_GRACE
    payment.next_query_at = look_at if status == "failed" else None
    if status == "failed" and order.status is OrderStatus.PENDING_PAYMENT:
        record_event(order, "pay_failed", actor=PAYMENT_SERVICE, now=now)
        notifications.queue_notice("payment_failed", order=order, occurrence=payment.payment_no, now=now)


def close_open_payments(order_id: int, *, now: datetime) -> bool:
    """Close an order's open payments at the service; False when one of them turned out to be paid.

    A service that cannot be reached, or answers what does not fit, keeps the answer False until the grace
    after the order's expiry is over.
    """
    ids = session().scalars(
        select(Payment.id).where(Payment.order_id == order_id, Payment.status == PaymentStatus.PENDING)
    )
    try:
        # Every one is closed, also after one that turned out to be paid.
        closed = [close_payment(payment_id, now=now) for payment_id in ids.all()]
        return all(closed)
    except (GatewayUnavailable, GatewayRefused, Unavailable, CallbackRefused) as error:
        log.warning("payments of order %s stay open: %s", order_id, error)
        waiting = Payment.order_id == order_id, Payment.status == PaymentStatus.PENDING
        expires_at = session().scalar(select(func.max(Payment.expires_at)).where(*waiting))
        return expires_at is not None and expires_at + CLOSE_GRACE <= now


def close_payment(payment_id: int, *, now: datetime) -> bool:
    """Close one payment at the service, or credit it when it has been paid; tells whether it is closed."""
    payment = session().get(Payment, payment_id, populate_existing=True)
    assert payment is not None
    gateway = channels.payment_channel(payment.channel)
    result = gateway.close_payment(payment.payment_no, payment.created_at)
    if result == "already_paid":
        settle_by_query(payment_id, now=now)
        return False
    _apply_closed(payment_id, is_certain=result == "closed", now=now)
    return True


@transactional
def _apply_closed(payment_id: int, *, is_certain: bool, now: datetime) -> None:
    payment = _lock_payment(payment_id)
    if payment.status is PaymentStatus.PENDING:
        payment.status = PaymentStatus.CLOSED
        payment.closed_at = now
    if payment.status in (PaymentStatus.CLOSED, PaymentStatus.FAILED):
        look_at = payment.expires_at + CODE_GRACE
        payment.next_query_at = None if is_certain or look_at <= now else look_at
