"""Refund requests: customers ask and see what the rules give, staff approve or refuse, once."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.domain.actor import Actor
from app.domain.errors import Forbidden, InvalidField, InvalidTransition, NotFound, RefundNotAllowed
from app.domain.refund_rules import RefundOffer, offer_for_booking
from app.domain.states import (
    REFUND_REQUEST,
    OrderKind,
    OrderStatus,
    RefundRequestStatus,
    VoucherStatus,
    check_transition,
)
from app.models import Order, RefundRequest, Voucher
from app.services import notifications, refunds
from app.services.audit import record_change
from app.services.booking_rows import booking_of, lock_rooms_of
from app.services.locks import lock_order
from app.services.order_actions import REFUNDABLE, refuse_refund_request
from app.services.order_log import record_event
from app.services.orders import find_order
from app.services.refund_effects import approve
from app.services.room_rules import frozen_policy
from app.services.unit_of_work import change_rows, session, transactional

LONGEST_REASON = 200


def preview_refund(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return `{refundable_fen, refund_fen, fee_fen, step}`: what a request now would be given by the rules.

    Raises NotFound, RefundNotAllowed.
    """
    order = session().get(Order, find_order(no, actor=actor), populate_existing=True)
    assert order is not None
    _check_requestable(order, now=now)
    return describe_offer(offer_of(order, now=now))


def describe_offer(offer: RefundOffer) -> dict[str, Any]:
    """Return an offer as the JSON interface shows it."""
    return {
        "refundable_fen": offer.refundable_fen,
        "refund_fen": offer.policy_fen,
        "fee_fen": offer.fee_fen,
        "step": asdict(offer.step) if offer.step else None,
    }


def offer_of(order: Order, *, now: datetime) -> RefundOffer:
    """Return what the rules of an order give back now."""
    refundable_fen = refunds.refundable_fen(order)
    if order.kind is OrderKind.BOOKING:
        start_at = booking_of(order).start_at
        return offer_for_booking(frozen_policy(order.policy), refundable_fen, start_at=start_at, now=now)
    if order.status is OrderStatus.ISSUED:
        refundable_fen = min(refundable_fen, _unused_fen(order))
    return RefundOffer(refundable_fen, refundable_fen)


def _unused_fen(order: Order) -> int:
    unused = select(func.sum(Voucher.price_fen)).where(
        Voucher.order_id == order.id, Voucher.status == VoucherStatus.ISSUED
    )
    return session().scalar(unused) or 0


def _check_requestable(order: Order, *, now: datetime) -> None:
    booking = booking_of(order) if order.kind is OrderKind.BOOKING else None
    reason = refuse_refund_request(order, booking, now=now)
    if reason is None and offer_of(order, now=now).refundable_fen == 0:
        reason = _l("There is nothing to refund.")
    if reason is None and open_request_of(order) is not None:
        reason = _l("A refund has been asked for already.")
    if reason is not None:
        raise RefundNotAllowed(reason)


def open_request_of(order: Order) -> RefundRequest | None:
    """Return the request of an order that waits for its review."""
    return session().scalar(
        select(RefundRequest).where(
            RefundRequest.order_id == order.id, RefundRequest.status == RefundRequestStatus.REQUESTED
        )
    )


@transactional
def create_request(
    no: str, *, reason: str, amount_fen: int | None = None, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Ask for a refund and return the request; without an amount for what the rules give.

    Raises NotFound, RefundNotAllowed, InvalidField (no reason, more than can be refunded).
    """
    order = lock_order(find_order(no, actor=actor))
    _check_requestable(order, now=now)
    offer = offer_of(order, now=now)
    if amount_fen is not None:
        _check_amount(amount_fen, offer.refundable_fen)
    request = RefundRequest(
        order_id=order.id,
        status=RefundRequestStatus.REQUESTED,
        reason=given_reason(reason),
        amount_fen=amount_fen,
        policy_fen=offer.policy_fen,
        step=asdict(offer.step) if offer.step else None,
        created_at=now,
    )
    session().add(request)
    session().flush()
    asked_fen = offer.policy_fen if amount_fen is None else amount_fen
    record_event(
        order, "refund_request", actor=actor, now=now, reason=request.reason, data={"amount_fen": asked_fen}
    )
    told = {"amount": asked_fen, "reason": request.reason}
    notifications.queue_notice(
        "refund_requested", order=order, occurrence=str(request.id), variables=told, now=now
    )
    return describe_request(request)


def given_reason(reason: str) -> str:
    """Return the trimmed reason; raises InvalidField when there is none or it is too long."""
    text = reason.strip()
    if not text:
        raise InvalidField.of("reason", _l("Please give a reason."))
    if len(text) > LONGEST_REASON:
        raise InvalidField.of("reason", _l("At most 200 characters, please."))
    return text


def _check_amount(amount_fen: int, refundable_fen: int) -> None:
    if not 0 < amount_fen <= refundable_fen:
        raise InvalidField.of(
            "amount_fen", _l("Please give an amount above 0 and not above what can be refunded.")
        )


def list_requests(no: str, *, actor: Actor) -> list[dict[str, Any]]:
    """Return the requests of an order, the newest first; raises NotFound."""
    order_id = find_order(no, actor=actor)
    rows = session().scalars(
        select(RefundRequest).where(RefundRequest.order_id == order_id).order_by(RefundRequest.id.desc())
    )
    return [describe_request(row) for row in rows]


def describe_request(request: RefundRequest) -> dict[str, Any]:
    """Return a request as the JSON interface shows it."""
    return {
        "id": request.id,
        "status": request.status.value,
        "status_label": request.status.label,
        "reason": request.reason,
        "amount_fen": request.amount_fen,
        "policy_fen": request.policy_fen,
        "approved_fen": request.approved_fen,
        "created_at": request.created_at,
        "decided_at": request.decided_at,
        "decision_reason": request.decision_reason or None,
    }


@transactional
def withdraw_request(no: str, request_id: int, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Take a request back before it is decided; raises NotFound, InvalidTransition."""
    order = lock_order(find_order(no, actor=actor))
    request = session().get(RefundRequest, request_id, populate_existing=True)
    if request is None or request.order_id != order.id:
        raise NotFound()
    _decide(request, "withdraw", RefundRequestStatus.WITHDRAWN, actor=actor, now=now)
    record_event(order, "refund_withdraw", actor=actor, now=now)
    return describe_request(request)


def drop_open_request(order: Order, *, actor: Actor, now: datetime) -> None:
    """Withdraw the request of a locked order that is left in another way: nobody has to review it now."""
    request = open_request_of(order)
    if request is not None:
        _decide(request, "withdraw", RefundRequestStatus.WITHDRAWN, actor=actor, now=now)


@transactional
def approve_request(
    request_id: int, *, amount_fen: int | None = None, reason: str, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Approve a request over *amount_fen*, without one over what the rules gave when it was asked for.

    A booking that nobody has begun to use ends, unless staff give back a part of their own choice. Raises
    NotFound outside the scope, RefundNotAllowed (the order moved on), InvalidField, InvalidTransition.
    """
    request, order = _locked(request_id, actor=actor)
    text = given_reason(reason)
    if order.status not in REFUNDABLE[order.kind]:
        raise RefundNotAllowed(_l("No refund can be asked for this order."))
    offer = offer_of(order, now=now)
    is_by_policy = amount_fen is None
    amount_fen = min(request.policy_fen, offer.refundable_fen) if amount_fen is None else amount_fen
    _check_amount(amount_fen, offer.refundable_fen)
    _decide(
        request,
        "approve",
        RefundRequestStatus.APPROVED,
        actor=actor,
        now=now,
        reason=text,
        approved_fen=amount_fen,
    )
    approve(
        order,
        amount_fen,
        is_partial=not is_by_policy and amount_fen < offer.refundable_fen,
        reason=text,
        actor=actor,
        now=now,
    )
    told = {"amount": amount_fen, "reason": text}
    notifications.queue_notice(
        "refund_approved", order=order, occurrence=str(request.id), variables=told, now=now
    )
    return describe_request(request)


@transactional
def reject_request(request_id: int, *, reason: str, actor: Actor, now: datetime) -> dict[str, Any]:
    """Refuse a request with a reason that the customer reads.

    Raises NotFound, InvalidField, InvalidTransition.
    """
    request, order = _locked(request_id, actor=actor)
    text = given_reason(reason)
    _decide(request, "refuse", RefundRequestStatus.REFUSED, actor=actor, now=now, reason=text)
    record_event(order, "refund_refuse", actor=actor, now=now, reason=text)
    notifications.queue_notice(
        "refund_refused", order=order, occurrence=str(request.id), variables={"reason": text}, now=now
    )
    return describe_request(request)


def _locked(request_id: int, *, actor: Actor) -> tuple[RefundRequest, Order]:
    """Lock rooms and order of a request in the staff's scope and return both as they are now."""
    if not actor.is_staff:
        raise Forbidden()
    order_id = find_request(request_id, actor=actor)
    lock_rooms_of(order_id)
    order = lock_order(order_id)
    request = session().get(RefundRequest, request_id, populate_existing=True)
    assert request is not None
    return request, order


def find_request(request_id: int, *, actor: Actor) -> int:
    """Return the order of a request that lies in the staff's scope; raises NotFound."""
    query = select(RefundRequest.order_id).where(RefundRequest.id == request_id)
    if not actor.scope.is_all:
        query = query.where(RefundRequest.store_scope_clause(actor.scope.store_ids))
    order_id = session().scalar(query)
    if order_id is None:
        raise NotFound()
    return order_id


def get_review(request_id: int, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return a request with its order and what the rules give now, for the one who decides.

    `{asked, order_no, offer}`; `offer` is None once nothing can be approved any more. Raises NotFound.
    """
    order_id = find_request(request_id, actor=actor)
    order = session().get(Order, order_id, populate_existing=True)
    request = session().get(RefundRequest, request_id, populate_existing=True)
    assert order is not None and request is not None
    is_open = request.status is RefundRequestStatus.REQUESTED and order.status in REFUNDABLE[order.kind]
    offer = offer_of(order, now=now) if is_open else None
    return {
        "asked": describe_request(request) | {"state": request.status, "decided_by": request.decided_by},
        "order_no": order.no,
        "offer": offer and describe_offer(offer),
    }


def _decide(
    request: RefundRequest,
    event: str,
    target: RefundRequestStatus,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    approved_fen: int | None = None,
) -> None:
    """Settle a request once, whoever is faster."""
    source = request.status
    check_transition(REFUND_REQUEST, event, source, target)
    changed = change_rows(
        update(RefundRequest)
        .where(RefundRequest.id == request.id, RefundRequest.status == source)
        .values(
            status=target,
            decided_at=now,
            decided_by=actor.name[:64],
            decision_reason=reason,
            approved_fen=approved_fen,
        )
    )
    if changed != 1:
        raise InvalidTransition(data={"event": event, "status": str(source)})
    session().refresh(request)
    record_change(
        actor=actor,
        action=event,
        entity="refund_requests",
        entity_id=request.id,
        before={"status": source.value},
        after={"status": target.value, "approved_fen": approved_fen},
        reason=reason,
        now=now,
    )
