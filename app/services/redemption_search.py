"""Finding a customer's vouchers at the desk without their code."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from app.domain.actor import Actor
from app.domain.states import VoucherStatus
from app.extensions import keyring
from app.models import Customer, Order, Voucher
from app.services.redemptions import describe_for_staff, mask_name
from app.services.unit_of_work import session

MOST = 20


def search_vouchers(text: str, *, actor: Actor) -> list[dict[str, Any]]:
    """Return the usable vouchers of an order number, a whole phone number or its last four digits.

    Only vouchers of the actor's stores, the newest first, at most 20.
    """
    digits = "".join(sign for sign in text if sign.isdecimal())
    ways = [Order.no == text.upper()]
    if len(digits) == 4 == len(text):
        ways.append(Customer.phone_tail_hash == keyring.keyed_hash("phone_tail", digits))
    elif len(digits) >= 7:
        ways.append(Customer.phone_hash == keyring.keyed_hash("phone", digits))
    query = (
        select(Voucher)
        .join(Order, Order.id == Voucher.order_id)
        .join(Customer, Customer.id == Voucher.customer_id)
        .where(or_(*ways), Voucher.status.in_((VoucherStatus.ISSUED, VoucherStatus.LOCKED)))
        .order_by(Voucher.id.desc())
        .limit(MOST)
    )
    if not actor.scope.is_all:
        query = query.where(Voucher.store_scope_clause(actor.scope.store_ids))
    rows = session().scalars(query).all()
    return [describe_for_staff(row) | {"customer": mask_name(row.customer)} for row in rows]
