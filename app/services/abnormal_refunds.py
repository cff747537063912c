"""Refunds that the payment service could not carry out: tried again, or handed back another way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.counter import refuse_card_number
from app.domain.errors import InvalidField, InvalidTransition, Unavailable
from app.domain.states import REFUND, PaymentChannel, RefundStatus, check_transition
from app.gateways.ports import GatewayRefused, GatewayUnavailable, RefundFacts
from app.models import Order, Payment, Refund
from app.services import channels, counter, queue, refunds, shifts
from app.services.audit import record_change
from app.services.locks import lock_order
from app.services.order_log import record_event
from app.services.staff_refunds import find_refund
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

TRANSFER, CASH = refunds.HANDED_BACK_ROUTES
MOST_SIGNS = {"reference_no": 64, "reason": 200}


def list_abnormal(*, actor: Actor, order_id: int | None = None) -> list[dict[str, Any]]:
    """Return the refunds, of one order or of all, that wait for somebody's decision, the oldest first.

    Each is `{refund_no, order_no, store, store_id, channel, amount_fen, reason, error, created_at,
    has_shift}`; `error` is what the service said, if it said anything.
    """
    query = (
        select(Refund, Payment.channel, Order)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.status == RefundStatus.ABNORMAL)
        .order_by(Refund.id)
    )
    if order_id is not None:
        query = query.where(Order.id == order_id)
    if not actor.scope.is_all:
        query = query.where(Order.store_scope_clause(actor.scope.store_ids))
    rows = session().execute(query).all()
    mine = {shift["store_id"] for shift in shifts.list_open(actor=actor)} if rows else set()
    return [_describe(refund, channel, order, mine) for refund, channel, order in rows]


def _describe(refund: Refund, channel: PaymentChannel, order: Order, mine: set[int]) -> dict[str, Any]:
    return {
        "refund_no": refund.refund_no,
        "order_no": order.no,
        "store": str(order.store or order.campaign or ""),
        "store_id": order.store_id,
        "channel": channel,
        "amount_fen": refund.amount_fen,
        "reason": refund.reason,
        "error": refund.last_error,
        "created_at": refund.created_at,
        "has_shift": order.store_id in mine,
    }


def retry_refund(refund_no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Ask the service once more, under the same number and with the same values.

    Return `{refund_no, order_no, amount_fen, status}`. Raises NotFound outside the actor's stores, Forbidden
    for customers, InvalidTransition for a refund that is not abnormal.
    """
    found = find_refund(refund_no, actor=actor)
    return _retry(found.id, found.order_id, actor=actor, now=now)


@transactional
def _retry(refund_id: int, order_id: int, *, actor: Actor, now: datetime) -> dict[str, Any]:
    order = lock_order(order_id)
    refund = refunds.lock_refund(refund_id)
    check_transition(REFUND, "retry", refund.status, RefundStatus.CREATED)
    before = {"status": refund.status.value, "last_error": refund.last_error}
    refund.status, refund.next_try_at, refund.try_count = RefundStatus.CREATED, now, 0
    record_event(order, "refund_retried", actor=actor, now=now, data={"refund_no": refund.refund_no})
    _audit(refund, order, "refund.retry", before=before, after={}, actor=actor, now=now)
    queue.enqueue("app.jobs.send_refund", refund.id)
    return _answer(refund, order)


def hand_back(refund_no: str, values: Mapping[str, Any], *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Record that a refund was handed back another way: `means` transfer or cash, `reason`, `reference_no`.

    The reference names the transfer; cash leaves the actor's open shift instead. The service is asked first:
    what it has paid, or is about to pay, is not paid twice. Return as `retry_refund`. Raises NotFound,
    Forbidden, InvalidField, ShiftRequired, Unavailable while the service cannot be asked, InvalidTransition
    when the refund is not abnormal, or no longer.
    """
    found = find_refund(refund_no, actor=actor)
    wanted = _read(values)
    refund = session().get_one(Refund, found.id, populate_existing=True)
    order = session().get_one(Order, found.order_id)
    check_transition(REFUND, "retry", refund.status, RefundStatus.CREATED)
    if wanted["means"] == CASH:
        if order.store_id is None:
            raise InvalidField.of("means", _l("Cash can only be handed out for an order of a store."))
        shifts.require_open(order.store_id, actor)
    _ask_first(refund, now=now)
    return _hand_back(found.id, found.order_id, wanted, actor=actor, now=now)


def _read(values: Mapping[str, Any]) -> dict[str, str]:
    wanted = {name: str(values.get(name) or "").strip() for name in ("means", "reference_no", "reason")}
    if wanted["means"] not in refunds.HANDED_BACK_ROUTES:
        raise InvalidField.of("means", _l("Please choose how the money was handed back."))
    if wanted["means"] == TRANSFER and not wanted["reference_no"]:
        raise InvalidField.of("reference_no", _l("Please give the number of the transfer."))
    if not wanted["reason"]:
        raise InvalidField.of("reason", _l("Please give a reason."))
    for name, most in MOST_SIGNS.items():
        if len(wanted[name]) > most:
            raise InvalidField.of(name, _l("This is too long."))
    # The number of a transfer may well be as long as a card's.
    refuse_card_number("reason", wanted["reason"])
    return wanted


def _ask_first(refund: Refund, *, now: datetime) -> None:
    """Make sure that the service has not paid meanwhile and is not about to."""
    payment = session().get_one(Payment, refund.payment_id)
    request, channel = refunds.request_of(refund, payment), payment.channel
    try:
        facts = channels.payment_channel(channel).query_refund(request)
    except GatewayUnavailable as error:
        raise Unavailable(_l("The payment service does not answer. Please try again.")) from error
    except GatewayRefused as refusal:
        if refusal.is_retryable:
            raise Unavailable(_l("The payment service does not answer. Please try again.")) from refusal
        # It will not even look: whatever is wrong there, it has not paid.
        log.warning("refund %s cannot be asked after: %s", request.refund_no, refusal.code)
        return
    _refuse_if_alive(facts, now=now)


def _refuse_if_alive(facts: RefundFacts, *, now: datetime) -> None:
    if facts.status == "succeeded":
        refunds.apply_facts(facts, now=now)
        raise InvalidTransition(_l("The payment service has refunded it meanwhile."))
    if facts.status == "processing":
        raise InvalidTransition(_l("The payment service is still working on it. Please try again later."))


@transactional
def _hand_back(
    refund_id: int, order_id: int, wanted: Mapping[str, str], *, actor: Actor, now: datetime
) -> dict[str, Any]:
    order = lock_order(order_id)
    refund = refunds.lock_refund(refund_id)
    if refund.status is not RefundStatus.ABNORMAL:
        raise InvalidTransition(data={"event": "hand_back", "status": str(refund.status)})
    if wanted["means"] == CASH:
        counter.book_cash_out(refund, order, actor=actor, now=now)
    before = {"route": refund.route, "last_error": refund.last_error}
    refund.route, refund.reference_no, refund.last_error = wanted["means"], wanted["reference_no"], ""
    record_event(
        order,
        "refund_handed_back",
        actor=actor,
        now=now,
        reason=wanted["reason"],
        data={"refund_no": refund.refund_no, "means": wanted["means"]},
    )
    after = {"route": refund.route, "reference_no": refund.reference_no}
    _audit(
        refund,
        order,
        "refund.hand_back",
        before=before,
        after=after,
        actor=actor,
        now=now,
        reason=wanted["reason"],
    )
    refunds.finish_refund(refund, order, finished_at=now, actor=actor, now=now)
    return _answer(refund, order)


def _audit(
    refund: Refund,
    order: Order,
    action: str,
    *,
    before: dict[str, Any],
    after: dict[str, Any],
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> None:
    record_change(
        actor=actor,
        action=action,
        entity="refund",
        entity_id=refund.refund_no,
        store_id=order.store_id,
        before=before,
        after=after | {"amount_fen": refund.amount_fen},
        reason=reason,
        now=now,
    )


def _answer(refund: Refund, order: Order) -> dict[str, Any]:
    return {
        "refund_no": refund.refund_no,
        "order_no": order.no,
        "amount_fen": refund.amount_fen,
        "status": refund.status.value,
    }
