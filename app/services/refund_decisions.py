"""Refund requests that wait for their review, and settling them once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from app.domain.actor import Actor
from app.domain.errors import InvalidTransition
from app.domain.states import REFUND_REQUEST, RefundRequestStatus, check_transition
from app.models import Order, RefundRequest
from app.services.audit import record_change
from app.services.unit_of_work import change_rows, session


def open_request_of(order: Order) -> RefundRequest | None:
    """Return the request of an order that waits for its review."""
    return session().scalar(
        select(RefundRequest).where(
            RefundRequest.order_id == order.id, RefundRequest.status == RefundRequestStatus.REQUESTED
        )
    )


def drop_open_request(order: Order, *, actor: Actor, now: datetime) -> None:
    """Withdraw the request of a locked order that ends in another way: nobody has to review it now."""
    request = open_request_of(order)
    if request is not None:
        decide(request, "withdraw", RefundRequestStatus.WITHDRAWN, actor=actor, now=now)


def decide(
    request: RefundRequest,
    event: str,
    target: RefundRequestStatus,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    approved_fen: int | None = None,
) -> None:
    """Settle a request once, whoever is faster; raises InvalidTransition."""
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
