"""The refund that somebody of the staff names, as far as it is theirs to deal with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select

from app.domain.actor import Actor
from app.domain.errors import Forbidden, NotFound
from app.models import Order, Payment, Refund
from app.services.unit_of_work import session


def find_refund(refund_no: str, *conditions: ColumnElement[bool], actor: Actor) -> Any:
    """Return `(id, order_id, channel)` of a refund that meets the conditions.

    Raises Forbidden for customers, NotFound outside the actor's stores.
    """
    if not actor.is_staff:
        raise Forbidden()
    if not (refund_no.isascii() and refund_no.isalnum()):
        raise NotFound()
    query = (
        select(Refund.id, Refund.order_id, Payment.channel)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.refund_no == refund_no, *conditions)
    )
    if not actor.scope.is_all:
        query = query.where(Order.store_scope_clause(actor.scope.store_ids))
    row = session().execute(query).one_or_none()
    if row is None:
        raise NotFound()
    return row
