"""Bills for those who look after them: one day with both sides, explaining a difference, the file itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from app import gateways
from app.domain.actor import Actor
from app.domain.errors import Forbidden, InvalidTransition, NotFound
from app.domain.states import DIFFERENCE, BillStatus, DifferenceStatus, check_transition
from app.gateways.ports import MediaNotFound
from app.models import Bill, BillDifference, BillSum, Order, Store
from app.services.audit import record_change
from app.services.bill_differences import settle_status
from app.services.refund_requests import given_reason
from app.services.unit_of_work import change_rows, session, transactional

# A page shows no more than these; the list has them all.
MOST_SHOWN = 100
MONEY = tuple(column.name for column in BillSum.__table__.columns if column.name.endswith(("_fen", "_count")))


def get_bill(bill_id: int, *, actor: Actor) -> dict[str, Any]:
    """Return a day's bill with the sums and differences of the stores in scope; raises NotFound.

    `{id, name, service, bill_on, status, problem, checked_at, next_try_at, run_count, sha1, may_fetch,
    total, stores, differences, difference_count}`; `total` and each of `stores` have both sides' sums.
    """
    bill = session().get(Bill, bill_id, populate_existing=True)
    if bill is None:
        raise NotFound()
    stores = _sums_of(bill, actor)
    count, differences = _differences_of(bill, actor)
    return {
        "id": bill.id,
        "name": str(bill),
        "service": bill.service,
        "bill_on": bill.bill_on,
        "status": bill.status,
        "problem": bill.problem,
        "checked_at": bill.checked_at,
        "next_try_at": bill.next_try_at,
        "run_count": bill.run_count,
        "sha1": bill.sha1,
        "may_fetch": bool(bill.file_key) and actor.scope.is_all,
        "total": {name: sum(store[name] for store in stores) for name in MONEY},
        "stores": stores,
        "differences": differences,
        "difference_count": count,
    }


def _sums_of(bill: Bill, actor: Actor) -> list[dict[str, Any]]:
    query = (
        select(Store.name.label("store"), *(getattr(BillSum, name) for name in MONEY))
        .select_from(BillSum)
        .outerjoin(Store, Store.id == BillSum.store_id)
        .where(BillSum.bill_id == bill.id)
        .order_by(BillSum.store_id.is_(None), BillSum.store_id)
    )
    if not actor.scope.is_all:
        query = query.where(BillSum.store_scope_clause(actor.scope.store_ids))
    return [dict(row._mapping) for row in session().execute(query)]


def _differences_of(bill: Bill, actor: Actor) -> tuple[int, list[dict[str, Any]]]:
    clauses = [BillDifference.bill_id == bill.id]
    if not actor.scope.is_all:
        clauses.append(BillDifference.store_scope_clause(actor.scope.store_ids))
    count = session().scalar(select(func.count(BillDifference.id)).where(*clauses)) or 0
    is_open = BillDifference.status == DifferenceStatus.OPEN
    rows = session().execute(
        select(BillDifference, Order.no)
        .outerjoin(Order, Order.id == BillDifference.order_id)
        .where(*clauses)
        .order_by(is_open.desc(), BillDifference.id)
        .limit(MOST_SHOWN)
    )
    return count, [_described(row.BillDifference, row.no) for row in rows]


def _described(row: BillDifference, order_no: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "number": row.number,
        "transaction_no": row.transaction_no,
        "order_no": order_no,
        "here_fen": row.here_fen,
        "there_fen": row.there_fen,
        "settled_at": row.settled_at,
        "note": row.note,
        "status": row.status,
        "created_at": row.created_at,
        "closed_at": row.closed_at,
        "closed_by": row.closed_by,
        "reason": row.reason,
    }


def get_difference(difference_id: int, *, actor: Actor) -> dict[str, Any]:
    """Return a difference as `get_bill` has it, with `bill` as `{id, name}`; raises NotFound."""
    row = _find(difference_id, actor)
    order = row.order_id and session().scalar(select(Order.no).where(Order.id == row.order_id))
    return _described(row, order or None) | {"bill": {"id": row.bill_id, "name": str(row.bill)}}


def _find(difference_id: int, actor: Actor) -> BillDifference:
    query = select(BillDifference).where(BillDifference.id == difference_id)
    if not actor.scope.is_all:
        query = query.where(BillDifference.store_scope_clause(actor.scope.store_ids))
    row: BillDifference | None = session().scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise NotFound()
    return row


@transactional
def resolve_difference(difference_id: int, *, reason: str, actor: Actor, now: datetime) -> dict[str, Any]:
    """Explain a difference for good; it opens again only with other amounts.

    Raises Forbidden, NotFound outside the scope, InvalidField without a reason, InvalidTransition when it is
    not open any more.
    """
    if not actor.is_staff:
        raise Forbidden()
    row = _find(difference_id, actor)
    text = given_reason(reason)
    check_transition(DIFFERENCE, "resolve", row.status, DifferenceStatus.RESOLVED)
    changed = change_rows(
        update(BillDifference)
        .where(BillDifference.id == row.id, BillDifference.status == DifferenceStatus.OPEN)
        .values(status=DifferenceStatus.RESOLVED, reason=text, closed_at=now, closed_by=actor.name[:64])
    )
    if changed != 1:
        raise InvalidTransition(data={"event": "resolve", "status": str(row.status)})
    session().refresh(row)
    _record(row, actor=actor, now=now)
    if row.bill.status is BillStatus.DIFFERS:
        settle_status(row.bill)
    return get_difference(difference_id, actor=actor)


def _record(row: BillDifference, *, actor: Actor, now: datetime) -> None:
    store_id = row.order_id and session().scalar(select(Order.store_id).where(Order.id == row.order_id))
    record_change(
        actor=actor,
        action="resolve",
        entity="bill_differences",
        entity_id=row.id,
        store_id=store_id or None,
        before={"status": DifferenceStatus.OPEN.value},
        after={"status": row.status.value, "number": row.number},
        reason=row.reason,
        now=now,
    )


def read_bill_file(bill_id: int, *, actor: Actor) -> tuple[bytes, str]:
    """Return the file that was matched and its name; it tells of every store.

    Raises Forbidden for whoever does not see all stores, NotFound when there is none.
    """
    if not actor.scope.is_all:
        raise Forbidden()
    bill = session().get(Bill, bill_id)
    if bill is None or not bill.file_key:
        raise NotFound()
    try:
        content = gateways.bill_storage().read(bill.file_key)
    except MediaNotFound:
        raise NotFound() from None
    suffix = bill.file_key.rpartition(".")[2]
    return content, f"{bill.service.value}-{bill.bill_on.isoformat()}.{suffix}"
