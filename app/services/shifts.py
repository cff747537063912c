"""Shifts of cashiers: opened with a float, closed with what was counted against what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import and_, case, func, select

from app.domain.actor import Actor
from app.domain.counter import read_fen, refuse_card_number
from app.domain.errors import (
    DifferenceUnexplained,
    Forbidden,
    InvalidField,
    InvalidTransition,
    NotFound,
    ShiftAlreadyOpen,
    ShiftRequired,
)
from app.domain.money import format_fen
from app.domain.states import COUNTER_CHANNELS, PaymentChannel, ShiftStatus
from app.models import CounterEntry, Order, Payment, Refund, Shift, ShiftCount, Store
from app.services.audit import record_change
from app.services.unit_of_work import session, transactional

LONGEST_REASON = 200


def counted_field(channel: PaymentChannel) -> str:
    """Return the name under which the counted money of a channel is given: `counted_cash_fen`, …"""
    return f"counted_{channel.value.removeprefix('counter_')}_fen"


@transactional
def open_shift(store_id: int, *, float_fen: int, actor: Actor, now: datetime) -> int:
    """Open the actor's shift in a store with *float_fen* in the drawer and return its id.

    Raises NotFound for a store out of scope, ShiftAlreadyOpen.
    """
    _check_store(store_id, actor)
    if find_open(store_id, actor) is not None:
        raise ShiftAlreadyOpen()
    shift = Shift(
        store_id=store_id,
        cashier_id=actor.id,
        cashier_name=actor.name,
        status=ShiftStatus.OPEN,
        opened_at=now,
        float_fen=float_fen,
    )
    session().add(shift)
    session().flush()
    _record(shift, "open_shift", actor=actor, now=now, after={"float_fen": float_fen})
    return shift.id


def _check_store(store_id: int, actor: Actor) -> None:
    if not actor.is_staff:
        raise Forbidden()
    if not actor.scope.allows(store_id) or session().get(Store, store_id) is None:
        raise NotFound()


def find_open(store_id: int | None, actor: Actor) -> Shift | None:
    """Return the actor's open shift in a store, or None."""
    shift: Shift | None = session().scalar(_open_shift(store_id, actor))
    return shift


def _open_shift(store_id: int | None, actor: Actor) -> Any:
    return (
        select(Shift)
        .where(Shift.cashier_id == actor.id, Shift.store_id == store_id, Shift.status == ShiftStatus.OPEN)
        .execution_options(populate_existing=True)
    )


def require_open(store_id: int | None, actor: Actor) -> Shift:
    """Return the actor's open shift in a store; raises ShiftRequired, Forbidden for who is no staff."""
    if not actor.is_staff:
        raise Forbidden()
    shift = find_open(store_id, actor)
    if shift is None:
        raise ShiftRequired(data={"store_id": store_id})
    return shift


def lock_open(store_id: int | None, actor: Actor) -> Shift:
    """As `require_open`, with the shift locked until the transaction ends, so that nobody closes it."""
    shift: Shift | None = session().scalar(_open_shift(store_id, actor).with_for_update(key_share=True))
    if shift is None:
        raise ShiftRequired(data={"store_id": store_id})
    return shift


def list_open(*, actor: Actor) -> list[dict[str, Any]]:
    """Return the actor's open shifts: `{id, store_id, store, opened_at}`."""
    rows = session().execute(
        select(Shift.id, Shift.store_id, Store.name.label("store"), Shift.opened_at)
        .join(Store, Store.id == Shift.store_id)
        .where(Shift.cashier_id == actor.id, Shift.status == ShiftStatus.OPEN)
        .order_by(Shift.id)
    )
    return [dict(row._mapping) for row in rows]


def list_stores(*, actor: Actor) -> list[dict[str, Any]]:
    """Return the stores in which the actor may open a shift: `{id, name, has_shift}`."""
    query = select(Store).order_by(Store.name)
    if not actor.scope.is_all:
        query = query.where(Store.id.in_(actor.scope.store_ids))
    taken = {shift["store_id"] for shift in list_open(actor=actor)}
    return [
        {"id": store.id, "name": store.name, "has_shift": store.id in taken}
        for store in session().scalars(query)
    ]


def find_shift(shift_id: int, *, is_overseer: bool, actor: Actor) -> Shift:
    """Return a shift that the actor may see: their own, or as overseer any in their stores; else NotFound."""
    shift = session().get(Shift, shift_id, populate_existing=True)
    if shift is None or not actor.scope.allows(shift.store_id):
        raise NotFound()
    if shift.cashier_id != actor.id and not is_overseer:
        raise NotFound()
    return shift


def get_shift(shift_id: int, *, is_overseer: bool, actor: Actor) -> dict[str, Any]:
    """Return a shift with its sums by channel and every movement, the newest first; raises NotFound.

    Sums: `{channel, payment_count, paid_fen, refund_count, refunded_fen, expected_fen, counted_fen,
    difference_fen}`; of an open shift nothing is counted yet.
    """
    shift = find_shift(shift_id, is_overseer=is_overseer, actor=actor)
    counted = {row.channel: row for row in shift.counts}
    return {
        "id": shift.id,
        "store": shift.store.name,
        "store_id": shift.store_id,
        "cashier": shift.cashier_name,
        "is_own": shift.cashier_id == actor.id,
        "status": shift.status,
        "opened_at": shift.opened_at,
        "closed_at": shift.closed_at,
        "closed_by": shift.closed_by_name or None,
        "float_fen": shift.float_fen,
        "difference_fen": shift.difference_fen,
        "reason": shift.reason or None,
        "sums": [_with_count(each, counted.get(each["channel"])) for each in _sums(shift)],
        "entries": _entries(shift),
    }


def _with_count(sums: dict[str, Any], count: ShiftCount | None) -> dict[str, Any]:
    if count is None:
        return sums | {"counted_fen": None, "difference_fen": None}
    return sums | {
        "expected_fen": count.expected_fen,
        "counted_fen": count.counted_fen,
        "difference_fen": count.counted_fen - count.expected_fen,
    }


def _sums(shift: Shift) -> list[dict[str, Any]]:
    is_payment = CounterEntry.payment_id.is_not(None)
    rows = session().execute(
        select(
            CounterEntry.channel,
            func.count(CounterEntry.payment_id).label("payment_count"),
            func.coalesce(func.sum(case((is_payment, CounterEntry.amount_fen), else_=0)), 0).label(
                "paid_fen"
            ),
            func.count(CounterEntry.refund_id).label("refund_count"),
            func.coalesce(func.sum(case((is_payment, 0), else_=-CounterEntry.amount_fen)), 0).label(
                "refunded_fen"
            ),
        )
        .where(CounterEntry.shift_id == shift.id)
        .group_by(CounterEntry.channel)
    )
    found = {row.channel: dict(row._mapping) for row in rows}
    nothing = {"payment_count": 0, "paid_fen": 0, "refund_count": 0, "refunded_fen": 0}
    sums = []
    for channel in COUNTER_CHANNELS:
        one = nothing | found.get(channel, {}) | {"channel": channel}
        start_fen = shift.float_fen if channel is PaymentChannel.COUNTER_CASH else 0
        sums.append(one | {"expected_fen": start_fen + one["paid_fen"] - one["refunded_fen"]})
    return sums


def _entries(shift: Shift) -> list[dict[str, Any]]:
    rows = session().execute(
        select(CounterEntry, Order.no, Payment.payment_no, Refund.refund_no)
        .join(Order, Order.id == CounterEntry.order_id)
        .outerjoin(Payment, Payment.id == CounterEntry.payment_id)
        .outerjoin(Refund, and_(Refund.id == CounterEntry.refund_id))
        .where(CounterEntry.shift_id == shift.id)
        .order_by(CounterEntry.id.desc())
    )
    return [
        {
            "at": entry.at,
            "order_no": no,
            "number": payment_no or refund_no,
            "channel": entry.channel,
            "amount_fen": entry.amount_fen,
            "slip": describe_slip(entry),
        }
        for entry, no, payment_no, refund_no in rows
    ]


def describe_slip(entry: CounterEntry) -> dict[str, Any] | None:
    """Return `{terminal_no, reference_no, card_tail}` of a card payment or refund, None for cash."""
    if entry.slip_key is None:
        return None
    return {
        "terminal_no": entry.terminal_no,
        "reference_no": entry.reference_no,
        "card_tail": entry.card_tail,
    }


def close_shift(
    shift_id: int, values: Mapping[str, Any], *, is_overseer: bool, actor: Actor, now: datetime
) -> dict[str, Any]:
    """Close a shift with what was counted in each channel and return `{differences, difference_fen}`.

    *values* holds `counted_cash_fen`, `counted_pos_fen` and, where anything differs, `reason`. Raises
    NotFound, InvalidTransition when it is closed already, InvalidField, DifferenceUnexplained.
    """
    # Whose shift it is comes before what was counted.
    find_shift(shift_id, is_overseer=is_overseer, actor=actor)
    counted = {channel: _counted(values, channel) for channel in COUNTER_CHANNELS}
    reason = str(values.get("reason") or "").strip()
    refuse_card_number("reason", reason)
    if len(reason) > LONGEST_REASON:
        raise InvalidField.of("reason", _l("At most 200 characters, please."))
    return _close(shift_id, counted, reason, actor=actor, now=now)


def _counted(values: Mapping[str, Any], channel: PaymentChannel) -> int:
    name = counted_field(channel)
    counted_fen = read_fen(values, name)
    if counted_fen is None:
        raise InvalidField.of(name, _l("Please give what you counted, 0 if there is nothing."))
    return counted_fen


@transactional
def _close(
    shift_id: int, counted: Mapping[PaymentChannel, int], reason: str, *, actor: Actor, now: datetime
) -> dict[str, Any]:
    shift = _lock(shift_id)
    if shift.status is not ShiftStatus.OPEN:
        raise InvalidTransition(data={"event": "close_shift", "status": str(shift.status)})
    differences = {}
    for sums in _sums(shift):
        channel, expected_fen = sums["channel"], sums["expected_fen"]
        session().add(
            ShiftCount(
                shift_id=shift.id, channel=channel, expected_fen=expected_fen, counted_fen=counted[channel]
            )
        )
        differences[channel.value] = counted[channel] - expected_fen
    if any(differences.values()) and not reason:
        raise _unexplained(differences)
    shift.status, shift.closed_at, shift.closed_by_name = ShiftStatus.CLOSED, now, actor.name
    shift.difference_fen, shift.reason = sum(differences.values()), reason
    facts = {counted_field(channel): fen for channel, fen in counted.items()} | {"differences": differences}
    _record(shift, "close_shift", actor=actor, now=now, after=facts, reason=reason)
    return {"differences": differences, "difference_fen": shift.difference_fen}


def _lock(shift_id: int) -> Shift:
    return (
        session()
        .execute(
            select(Shift)
            .where(Shift.id == shift_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        .scalar_one()
    )


def _unexplained(differences: Mapping[str, int]) -> DifferenceUnexplained:
    parts = [
        f"{PaymentChannel.of(name).label} {'+' if fen > 0 else ''}{format_fen(fen)}"
        for name, fen in differences.items()
        if fen
    ]
    message = _l("Counted and expected differ (%(parts)s). Please give the reason.", parts=" · ".join(parts))
    return DifferenceUnexplained(errors={"reason": [message]}, data={"differences": dict(differences)})


def _record(
    shift: Shift, action: str, *, actor: Actor, now: datetime, after: dict[str, Any], reason: str = ""
) -> None:
    record_change(
        actor=actor,
        action=action,
        entity="shifts",
        entity_id=shift.id,
        store_id=shift.store_id,
        after=after,
        reason=reason,
        now=now,
    )
