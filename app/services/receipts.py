"""The receipt of an order: what it cost, what was paid and how, and what went back."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.states import PaymentStatus
from app.models import CounterEntry, Order, Payment
from app.services.orders import DEFAULT_ZONE, describe_order, find_order
from app.services.shifts import describe_slip
from app.services.unit_of_work import session


def describe_receipt(no: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Return what a receipt shows of an order in the actor's scope; raises NotFound.

    Everything of `describe_order` that a guest may keep, `shop: {name, address, phone}`, `payments` that came
    in with `{channel, paid_at, slip, tendered_fen, change_fen, cashier}`, `refunds` with their status, and
    `printed_at` on the store's clock.
    """
    order = session().get_one(Order, find_order(no, actor=actor), populate_existing=True)
    shown = describe_order(order, now=now)
    zone = ZoneInfo(order.store.time_zone) if order.store else DEFAULT_ZONE
    kept = ("no", "kind", "room", "start_at", "end_at", "lines", "total_fen", "paid_fen", "refunded_fen")
    return {name: shown[name] for name in (*kept, "due_fen", "quantity", "created_at")} | {
        "state": order.status,
        "campaign": str(order.campaign) if order.campaign else None,
        "shop": _shop(order),
        "cancel_fee_fen": order.cancel_fee_fen,
        "payments": _payments(order, zone),
        "refunds": [
            {"refund_no": row.refund_no, "amount_fen": row.amount_fen, "status": row.status}
            for row in order.refunds
        ],
        "printed_at": now.astimezone(zone),
        "printed_by": actor.name,
    }


def _shop(order: Order) -> dict[str, str] | None:
    store = order.store
    return store and {"name": store.name, "address": store.address, "phone": store.phone}


def _payments(order: Order, zone: ZoneInfo) -> list[dict[str, Any]]:
    rows = session().execute(
        select(Payment, CounterEntry)
        .outerjoin(CounterEntry, CounterEntry.payment_id == Payment.id)
        .where(Payment.order_id == order.id, Payment.status == PaymentStatus.SUCCEEDED)
        .order_by(Payment.id)
    )
    return [_payment(payment, entry, zone) for payment, entry in rows]


def _payment(payment: Payment, entry: CounterEntry | None, zone: ZoneInfo) -> dict[str, Any]:
    tendered_fen = entry and entry.tendered_fen
    return {
        "payment_no": payment.payment_no,
        "channel": payment.channel,
        "amount_fen": payment.amount_fen,
        "paid_at": payment.paid_at and payment.paid_at.astimezone(zone),
        "slip": entry and describe_slip(entry),
        "tendered_fen": tendered_fen,
        "change_fen": None if tendered_fen is None else tendered_fen - payment.amount_fen,
        "cashier": entry and entry.staff_name,
    }
