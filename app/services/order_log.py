"""Changes of an order's status: by its table, conditionally, and never without an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import update

from app.domain.actor import Actor
from app.domain.errors import InvalidTransition
from app.domain.pricing import QuoteLine
from app.domain.states import ORDER_TABLES, OrderStatus, check_transition
from app.models import Order, OrderEvent, OrderLine
from app.services.unit_of_work import change_rows, session


def move_order(
    order: Order,
    event: str,
    target: OrderStatus,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    data: dict[str, Any] | None = None,
    **values: Any,
) -> None:
    """Apply *event*: the order goes to *target* and *values* are set, if it still is where it was read.

    Raises InvalidTransition when the table does not allow it or somebody else was faster.
    """
    source = order.status
    check_transition(ORDER_TABLES[order.kind], event, source, target)
    session().flush()
    changed = change_rows(
        update(Order).where(Order.id == order.id, Order.status == source).values(status=target, **values)
    )
    if changed != 1:
        raise InvalidTransition(data={"event": event, "status": str(source)})
    session().refresh(order)
    record_event(order, event, actor=actor, now=now, reason=reason, data=data, source=source, target=target)


def record_event(
    order: Order,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    data: dict[str, Any] | None = None,
    source: OrderStatus | None = None,
    target: OrderStatus | None = None,
) -> None:
    """Add an event to the order's timeline, in the transaction of the change it tells of."""
    row = event_row(order.id, event, actor=actor, now=now, target=target)
    changed = {"from_status": source and source.value, "reason": reason[:200], "data": data}
    session().add(OrderEvent(**row | changed))


def event_row(
    order_id: int, event: str, *, actor: Actor, now: datetime, target: OrderStatus | None
) -> dict[str, Any]:
    """Return an event of an order's timeline by column."""
    return {
        "order_id": order_id,
        "at": now,
        "event": event,
        "from_status": None,
        "to_status": target and target.value,
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "reason": "",
        "data": None,
    }


def add_lines(order: Order, lines: Iterable[QuoteLine], *, first_position: int = 0) -> None:
    """Save lines that no rule made, or that know the version of theirs, on an order."""
    rows = line_rows(order.id, lines, {}, first_position=first_position)
    session().add_all(OrderLine(**row) for row in rows)


def line_rows(
    order_id: int, lines: Iterable[QuoteLine], versions: Mapping[int, int], *, first_position: int = 0
) -> list[dict[str, Any]]:
    """Return quote lines by column, each with the version of the rule that made it."""
    return [
        {
            "order_id": order_id,
            "position": first_position + index,
            "kind": line.kind.value,
            "label": line.label,
            "rule_id": line.rule_id,
            "rule_version": line.rule_version or (versions.get(line.rule_id) if line.rule_id else None),
            "start_at": line.start_at,
            "end_at": line.end_at,
            "minutes": line.minutes,
            "unit_fen": line.unit_fen,
            "amount_fen": line.amount_fen,
        }
        for index, line in enumerate(lines)
    ]
