"""Money over the counter: cash and card slips, taken for what an order owes and handed out as its refunds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.counter import Slip, change_fen, read_fen, read_slip
from app.domain.errors import AmountChanged, Forbidden, InvalidField, InvalidTransition, SlipUsed
from app.domain.states import COUNTER_CHANNELS, OrderKind, PaymentChannel, PaymentStatus, RefundStatus
from app.models import CounterEntry, Order, Payment, Refund, Shift
from app.services import channels, dues, payments, refunds, shifts
from app.services.booking_rows import lock_rooms_of
from app.services.locks import lock_order
from app.services.numbers import new_number
from app.services.orders import find_order
from app.services.staff_refunds import find_refund
from app.services.unit_of_work import session, transactional


@dataclass(frozen=True, slots=True)
class Tender:
    """How the guest pays: cash, perhaps more than is due, or a card with its slip.

    `due_fen` is what the cashier was shown, if the form told.
    """

    channel: PaymentChannel
    tendered_fen: int | None = None
    slip: Slip | None = None
    due_fen: int | None = None


def is_counter_channel(name: str) -> bool:
    """Tell whether this is a way of paying over the counter."""
    return name in [channel.value for channel in COUNTER_CHANNELS]


def read_tender(values: Mapping[str, Any]) -> Tender:
    """Read `channel`, with `tendered_fen` for cash or the parts of a slip; raises InvalidField."""
    name = str(values.get("channel") or "")
    if not is_counter_channel(name):
        raise InvalidField.of("channel", _l("This way of paying is not offered."))
    channel, due_fen = PaymentChannel.of(name), read_fen(values, "due_fen")
    if channel is PaymentChannel.COUNTER_POS:
        return Tender(channel, slip=read_slip(values), due_fen=due_fen)
    return Tender(channel, tendered_fen=read_fen(values, "tendered_fen"), due_fen=due_fen)


def take_payment(no: str, tender: Tender, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Take all that an order owes over the counter, into the actor's open shift.

    Return `{payment_no, channel, status, amount_fen, tendered_fen, change_fen}`. Open online payments of the
    order are closed first; one that arrives all the same is refunded by itself. Raises NotFound outside the
    scope, Forbidden for customers, ShiftRequired, InvalidTransition when nothing is to be paid,
    AmountChanged, InvalidField for too little cash, SlipUsed.
    """
    if not actor.is_staff:
        raise Forbidden()
    order_id = find_order(no, actor=actor)
    order = session().get_one(Order, order_id, populate_existing=True)
    channels.check_offered(tender.channel, order.store_id)
    # Asked twice: a refusal must not have closed anybody's payment, and the locked order decides.
    _check(order, tender, now=now)
    shifts.require_open(order.store_id, actor)
    payments.close_open_payments(order_id, now=now)
    return _take(order_id, tender, actor=actor, now=now)


def _check(order: Order, tender: Tender, *, now: datetime) -> dues.Due:
    due = dues.open_due(order, now=now)
    if due is None:
        raise InvalidTransition(
            _l("Nothing is to be paid."), data={"event": "pay", "status": str(order.status)}
        )
    if tender.due_fen not in (None, due.amount_fen):
        raise AmountChanged(data={"due_fen": due.amount_fen})
    change_fen(due.amount_fen, tender.tendered_fen)
    _check_slip(order, tender.slip, "in")
    return due


def _check_slip(order: Order, slip: Slip | None, direction: str) -> None:
    key = slip and _slip_key(order, slip, direction)
    if key and session().scalar(select(CounterEntry.id).where(CounterEntry.slip_key == key)):
        raise SlipUsed()


def _slip_key(order: Order, slip: Slip, direction: str) -> str:
    return f"{order.store_id}:{slip.terminal_no}:{slip.reference_no}:{direction}"


@transactional
def _take(order_id: int, tender: Tender, *, actor: Actor, now: datetime) -> dict[str, Any]:
    lock_rooms_of(order_id)
    order = lock_order(order_id)
    due = _check(order, tender, now=now)
    shift = shifts.lock_open(order.store_id, actor)
    payment = Payment(
        payment_no=new_number("P", now),
        order_id=order.id,
        channel=tender.channel,
        status=PaymentStatus.PENDING,
        amount_fen=due.amount_fen,
        change_id=due.change_id,
        created_at=now,
        expires_at=due.expires_at,
    )
    session().add(payment)
    session().flush()
    entry = _new_entry(shift, order, tender.channel, tender.slip, "in", actor=actor, now=now)
    entry.payment_id, entry.amount_fen, entry.tendered_fen = (
        payment.id,
        payment.amount_fen,
        tender.tendered_fen,
    )
    session().add(entry)
    payments.credit_payment(payment, order, paid_at=now, actor=actor, now=now)
    return {
        "payment_no": payment.payment_no,
        "channel": payment.channel.value,
        "status": payment.status.value,
        "amount_fen": payment.amount_fen,
        "tendered_fen": tender.tendered_fen,
        "change_fen": change_fen(payment.amount_fen, tender.tendered_fen),
    }


def _new_entry(
    shift: Shift,
    order: Order,
    channel: PaymentChannel,
    slip: Slip | None,
    direction: str,
    *,
    actor: Actor,
    now: datetime,
) -> CounterEntry:
    return CounterEntry(
        at=now,
        shift_id=shift.id,
        store_id=shift.store_id,
        order_id=order.id,
        channel=channel,
        terminal_no=slip and slip.terminal_no,
        reference_no=slip and slip.reference_no,
        card_tail=slip and slip.card_tail,
        slip_key=slip and _slip_key(order, slip, direction),
        staff_id=actor.id,
        staff_name=actor.name,
    )


def book_cash_out(refund: Refund, order: Order, *, actor: Actor, now: datetime) -> None:
    """Book cash that is handed out for a refund in the actor's open shift, inside the caller's transaction.

    The caller holds the locks of the order and the refund. Raises ShiftRequired.
    """
    shift = shifts.lock_open(order.store_id, actor)
    entry = _new_entry(shift, order, PaymentChannel.COUNTER_CASH, None, "out", actor=actor, now=now)
    entry.refund_id, entry.amount_fen = refund.id, -refund.amount_fen
    session().add(entry)
    session().flush()


def describe_desk(order: Order, *, actor: Actor, now: datetime) -> dict[str, Any] | None:
    """Return what the counter can do for an order: `{due_fen, has_shift, store_id, ways, refunds}` or None.

    `due_fen` is None when nothing is to be paid, `ways` are those of paying here that are on in the store,
    refunds those of `list_refunds`.
    """
    due = dues.open_due(order, now=now) if order.kind is OrderKind.BOOKING else None
    waiting = list_refunds(actor=actor, order_id=order.id)
    if due is None and not waiting:
        return None
    return {
        "due_fen": due and due.amount_fen,
        "has_shift": shifts.find_open(order.store_id, actor) is not None,
        "store_id": order.store_id,
        "ways": [each for each in channels.offered_channels(order.store_id) if each in COUNTER_CHANNELS],
        "refunds": waiting,
    }


def list_refunds(*, actor: Actor, order_id: int | None = None) -> list[dict[str, Any]]:
    """Return the refunds, of one order or of all, that somebody has to hand out, the oldest first.

    Each is `{refund_no, order_no, store, store_id, channel, amount_fen, reason, created_at, has_shift,
    card_tail}`; of a card payment the last digits of the card that gets its money back.
    """
    query = (
        select(Refund, Payment.channel, Order, CounterEntry.card_tail)
        .join(Payment, Payment.id == Refund.payment_id)
        .join(Order, Order.id == Refund.order_id)
        .outerjoin(CounterEntry, CounterEntry.payment_id == Payment.id)
        .where(Refund.status == RefundStatus.PROCESSING, Refund.route == refunds.COUNTER_ROUTE)
        .order_by(Refund.id)
    )
    if order_id is not None:
        query = query.where(Order.id == order_id)
    if not actor.scope.is_all:
        query = query.where(Order.store_scope_clause(actor.scope.store_ids))
    mine = {shift["store_id"] for shift in shifts.list_open(actor=actor)}
    return [
        {
            "refund_no": refund.refund_no,
            "order_no": order.no,
            "store": str(order.store),
            "store_id": order.store_id,
            "channel": channel,
            "amount_fen": refund.amount_fen,
            "reason": refund.reason,
            "created_at": refund.created_at,
            "has_shift": order.store_id in mine,
            "card_tail": card_tail,
        }
        for refund, channel, order, card_tail in session().execute(query)
    ]


def hand_out_refund(
    refund_no: str, values: Mapping[str, Any], *, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Record that a refund was handed out in cash or returned on the card terminal, in the open shift.

    *values* holds the parts of the terminal's slip for a card payment. Return `{refund_no, order_no, channel,
    amount_fen, status}`. Raises NotFound for a refund that is no task of the actor's stores, Forbidden for
    customers, ShiftRequired, InvalidTransition when it is done already, InvalidField, SlipUsed.
    """
    found = find_refund(refund_no, Refund.route == refunds.COUNTER_ROUTE, actor=actor)
    slip = read_slip(values) if found.channel is PaymentChannel.COUNTER_POS else None
    return _hand_out(found.id, found.order_id, found.channel, slip, actor=actor, now=now)


@transactional
def _hand_out(
    refund_id: int, order_id: int, channel: PaymentChannel, slip: Slip | None, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    order = lock_order(order_id)
    refund = refunds.lock_refund(refund_id)
    if refund.status is not RefundStatus.PROCESSING:
        raise InvalidTransition(data={"event": "succeed", "status": str(refund.status)})
    _check_slip(order, slip, "out")
    shift = shifts.lock_open(order.store_id, actor)
    entry = _new_entry(shift, order, channel, slip, "out", actor=actor, now=now)
    entry.refund_id, entry.amount_fen = refund.id, -refund.amount_fen
    session().add(entry)
    session().flush()
    refunds.finish_refund(refund, order, finished_at=now, actor=actor, now=now)
    return {
        "refund_no": refund.refund_no,
        "order_no": order.no,
        "channel": channel.value,
        "amount_fen": refund.amount_fen,
        "status": refund.status.value,
    }
