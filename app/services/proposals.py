"""What a change or extension comes to: shown as a preview, or saved and held, or made real at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.domain.actor import Actor
from app.domain.changes import line_label
from app.domain.pricing import QuoteLine, Totals, total_lines
from app.domain.slots import Span
from app.domain.states import ChangeKind, ChangeStatus
from app.models import Booking, Order, OrderChange
from app.services import notifications, refunds
from app.services.order_lines import lines_of, merge_lines, to_json
from app.services.order_log import record_event
from app.services.pending_changes import apply_change, hold_room
from app.services.quotes import describe_line, describe_policy
from app.services.room_rules import RoomRules, frozen_policy
from app.services.unit_of_work import session


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that every rule accepts. `lines` are what the order gets; `totals` its sums afterwards."""

    kind: ChangeKind
    room: RoomRules
    span: Span
    busy: Span
    from_end_at: datetime
    lines: tuple[QuoteLine, ...]
    totals: Totals
    fee_fen: int
    # To be paid when positive, given back when negative.
    difference_fen: int
    warnings: tuple[str, ...] = ()


def sums_after(order: Order, kind: ChangeKind, lines: list[QuoteLine]) -> Totals:
    """Return the sums of an order once it has got *lines* by a change."""
    merged = merge_lines(kind, lines_of(order), lines)
    return total_lines((line.kind, line.amount_fen) for line in merged)


def describe_proposal(order: Order, proposal: Proposal) -> dict[str, Any]:
    """Return a preview: a quote with `fee_fen` and `difference_fen`, room and span.

    The lines of a change are all that the order will have; those of an extension only what it adds.
    """
    lines, totals = list(proposal.lines), proposal.totals
    if proposal.kind is ChangeKind.EXTENSION:
        totals = total_lines((line.kind, line.amount_fen) for line in lines)
    else:
        lines = merge_lines(proposal.kind, lines_of(order), lines)
    tz = proposal.room.tz
    return {
        "lines": [_describe_line(line, proposal.room) for line in lines],
        "base_fen": totals.base_fen,
        "extra_fen": totals.extra_fen,
        "discount_fen": totals.discount_fen,
        "total_fen": totals.total_fen,
        "policy": describe_policy(frozen_policy(order.policy)),
        "warnings": list(proposal.warnings),
        "fee_fen": proposal.fee_fen,
        "difference_fen": proposal.difference_fen,
        "room": {"id": proposal.room.room_id, "name": proposal.room.room_name},
        "start_at": proposal.span.start_at.astimezone(tz),
        "end_at": proposal.span.end_at.astimezone(tz),
    }


def _describe_line(line: QuoteLine, room: RoomRules) -> dict[str, Any]:
    return describe_line(line, room) | {"label": line_label(line.kind, line.label)}


def submit(
    order: Order, booking: Booking, proposal: Proposal, *, reason: str, actor: Actor, now: datetime
) -> OrderChange:
    """Carry out a proposal in the caller's transaction, which holds the locks of both rooms and the order.

    One that costs something is held until it is paid; any other is made real and what it saves is refunded.
    """
    is_owed = proposal.difference_fen > 0
    change = _new_change(order, booking, proposal, reason=reason, actor=actor, now=now)
    change.status = ChangeStatus.PENDING if is_owed else ChangeStatus.APPLIED
    minutes = order.policy["hold_minutes"]
    change.expires_at = now + timedelta(minutes=minutes) if is_owed else None
    session().add(change)
    session().flush()
    if is_owed:
        hold_room(change, booking, now=now)
        _announce(order, change, actor=actor, now=now)
        return change
    apply_change(order, change, actor=actor, now=now)
    surplus_fen = refunds.refundable_fen(order) - order.total_fen
    if surplus_fen > 0:
        refunds.refund_order(order, surplus_fen, reason="changed", actor=actor, now=now)
    return change


def _announce(order: Order, change: OrderChange, *, actor: Actor, now: datetime) -> None:
    facts = {"end_at": change.end_at.isoformat(), "difference_fen": change.amount_fen}
    record_event(order, "change_held", actor=actor, now=now, reason=change.reason, data=facts)
    notifications.queue_notice(
        "change_held",
        order=order,
        occurrence=str(change.id),
        variables={"amount": change.amount_fen, "expires": change.expires_at},
        expires_at=change.expires_at,
        now=now,
    )


def _new_change(
    order: Order, booking: Booking, proposal: Proposal, *, reason: str, actor: Actor, now: datetime
) -> OrderChange:
    return OrderChange(
        order_id=order.id,
        store_id=booking.store_id,
        kind=proposal.kind,
        room_id=proposal.room.room_id,
        start_at=proposal.span.start_at,
        end_at=proposal.span.end_at,
        busy_from_at=proposal.busy.start_at,
        busy_until_at=proposal.busy.end_at,
        from_room_id=booking.room_id,
        from_start_at=booking.start_at,
        from_end_at=proposal.from_end_at,
        from_total_fen=order.total_fen,
        total_fen=proposal.totals.total_fen,
        fee_fen=proposal.fee_fen,
        amount_fen=proposal.difference_fen,
        lines=to_json(proposal.lines),
        actor_kind=actor.kind.value,
        actor_id=actor.id,
        actor_name=actor.name,
        reason=reason[:200],
        created_at=now,
        settled_at=None if proposal.difference_fen > 0 else now,
    )
