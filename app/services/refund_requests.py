"""Refund requests: customers ask and see what the rules give, staff approve or refuse, once."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.errors import Forbidden, InvalidField, NotFound, RefundNotAllowed
from app.domain.refund_rules import RefundOffer
from app.domain.states import REFUND_REQUEST, OrderKind, RefundRequestStatus, check_transition
from app.models import Order, RefundRequest
from app.services import group_orders, notifications, payments
from app.services.booking_rows import booking_of, lock_rooms_of
from app.services.locks import lock_order
from app.services.order_actions import REFUNDABLE, refuse_refund_request
from app.services.order_log import record_event
from app.services.orders import find_order
from app.services.refund_decisions import decide
from app.services.refund_effects import approve
from app.services.refund_offers import by_rules_fen, offer_of
from app.services.unit_of_work import session, transactional

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


def _check_requestable(order: Order, *, now: datetime) -> None:
    booking = booking_of(order) if order.kind is OrderKind.BOOKING else None
    reason = refuse_refund_request(order, booking, now=now)
    if reason is not None:
        raise RefundNotAllowed(reason)


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
    decide(request, "withdraw", RefundRequestStatus.WITHDRAWN, actor=actor, now=now)
    record_event(order, "refund_withdraw", actor=actor, now=now)
    return describe_request(request)


def approve_request(
    request_id: int, *, amount_fen: int | None = None, reason: str, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Approve a request over *amount_fen*, without one over what `by_rules_fen` says.

    A booking that nobody has begun to use ends, unless staff give back a part of their own choice. Open
    payments of the order are closed at the service first. Raises Forbidden, NotFound outside the scope,
    RefundNotAllowed (the order moved on), InvalidField, InvalidTransition.
    """
    text = given_reason(reason)
    request, order = _read(request_id, actor=actor)
    # Asked twice: a refusal must not have closed anybody's payment, and the locked order decides.
    _approved_amount(request, order, amount_fen, now=now)
    payments.close_open_payments(order.id, now=now)
    return _approve(request_id, amount_fen, text, actor=actor, now=now)


def _read(request_id: int, *, actor: Actor) -> tuple[RefundRequest, Order]:
    if not actor.is_staff:
        raise Forbidden()
    order = session().get_one(Order, find_request(request_id, actor=actor), populate_existing=True)
    return session().get_one(RefundRequest, request_id, populate_existing=True), order


def _approved_amount(
    request: RefundRequest, order: Order, amount_fen: int | None, *, now: datetime
) -> tuple[int, bool]:
    """Return what goes back, and whether that is a part of the staff's own choice."""
    check_transition(REFUND_REQUEST, "approve", request.status, RefundRequestStatus.APPROVED)
    if order.status not in REFUNDABLE[order.kind]:
        raise RefundNotAllowed(_l("No refund can be asked for this order."))
    refundable_fen = offer_of(order, now=now).refundable_fen
    approved_fen = by_rules_fen(request, order, now=now) if amount_fen is None else amount_fen
    _check_amount(approved_fen, refundable_fen)
    return approved_fen, amount_fen is not None and amount_fen < refundable_fen


@transactional
def _approve(
    request_id: int, amount_fen: int | None, reason: str, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    group_orders.lock_sale(find_request(request_id, actor=actor))
    request, order = _locked(request_id, actor=actor)
    approved_fen, is_partial = _approved_amount(request, order, amount_fen, now=now)
    decide(
        request,
        "approve",
        RefundRequestStatus.APPROVED,
        actor=actor,
        now=now,
        reason=reason,
        approved_fen=approved_fen,
    )
    approve(order, approved_fen, is_partial=is_partial, reason=reason, actor=actor, now=now)
    told = {"amount": approved_fen, "reason": reason}
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
    decide(request, "refuse", RefundRequestStatus.REFUSED, actor=actor, now=now, reason=text)
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

    `{asked, order_no, offer, by_rules_fen}`; the last two are None once nothing can be approved any more.
    Raises NotFound.
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
        "by_rules_fen": by_rules_fen(request, order, now=now) if is_open else None,
    }
