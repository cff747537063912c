"""What a run of a bill leaves behind: the sums of both sides, and differences that open, mend and reopen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.domain.actor import ALL_STORES
from app.domain.reconciliation import BillEntry, Difference, Sums
from app.domain.states import (
    DIFFERENCE,
    BillStatus,
    DifferenceKind,
    DifferenceStatus,
    check_transition,
)
from app.extensions import use_scope
from app.models import Bill, BillDifference, BillSum
from app.services.unit_of_work import session

MISSING_THERE = {
    "payment": DifferenceKind.MISSING_THERE,
    "refund": DifferenceKind.REFUND_MISSING_THERE,
}


def keep_sums(bill: Bill, sums: Mapping[int | None, Sums]) -> None:
    """Let the sums of a locked bill be these and no others."""
    rows = session().scalars(select(BillSum).where(BillSum.bill_id == bill.id))
    left = {row.store_id: row for row in rows}
    for store_id, each in sums.items():
        row = left.pop(store_id, None)
        if row is None:
            row = BillSum(bill_id=bill.id, store_id=store_id)
            session().add(row)
        for name, side in (("here", each.here), ("there", each.there)):
            setattr(row, f"{name}_paid_count", side.payment_count)
            setattr(row, f"{name}_paid_fen", side.payment_fen)
            setattr(row, f"{name}_refunded_count", side.refund_count)
            setattr(row, f"{name}_refunded_fen", side.refund_fen)
        row.fee_fen = each.fee_fen
    for row in left.values():
        session().delete(row)


def keep_differences(bill: Bill, found: Iterable[Difference], *, now: datetime) -> None:
    """Open what a run of a locked bill found, and mend what it no longer finds.

    What was explained stays so, unless its amounts are others now.
    """
    rows = session().scalars(select(BillDifference).where(BillDifference.bill_id == bill.id))
    left = {(row.kind, row.number): row for row in rows}
    for each in found:
        row = left.pop((each.kind, each.number), None)
        if row is None:
            values = {"bill_id": bill.id, "kind": each.kind, "number": each.number, "created_at": now}
            session().add(BillDifference(**values, status=DifferenceStatus.OPEN, **_facts(each)))
            continue
        is_other = (row.here_fen, row.there_fen) != (each.here_fen, each.there_fen)
        if row.status is DifferenceStatus.MENDED or (row.status is DifferenceStatus.RESOLVED and is_other):
            _reopen(row)
        for name, value in _facts(each).items():
            setattr(row, name, value)
    for row in left.values():
        _mend(row, now=now)
    session().flush()


def _facts(each: Difference) -> dict[str, Any]:
    return {
        "transaction_no": each.transaction_no,
        "here_fen": each.here_fen,
        "there_fen": each.there_fen,
        "order_id": each.order_id,
        "settled_at": each.settled_at,
        "note": each.note,
    }


def _reopen(row: BillDifference) -> None:
    check_transition(DIFFERENCE, "reopen", row.status, DifferenceStatus.OPEN)
    row.status, row.closed_at = DifferenceStatus.OPEN, None
    row.closed_by, row.reason = "", ""


def _mend(row: BillDifference, *, now: datetime) -> None:
    if row.status is DifferenceStatus.OPEN:
        check_transition(DIFFERENCE, "mend", row.status, DifferenceStatus.MENDED)
        row.status, row.closed_at = DifferenceStatus.MENDED, now


def settle_elsewhere(bill: Bill, entries: Iterable[BillEntry], *, now: datetime) -> None:
    """Mend what another day's bill lacked and this one has."""
    here = {(MISSING_THERE[entry.kind], entry.number) for entry in entries}
    rows = session().scalars(
        select(BillDifference)
        .join(Bill, Bill.id == BillDifference.bill_id)
        .where(
            Bill.service == bill.service,
            Bill.id != bill.id,
            BillDifference.status == DifferenceStatus.OPEN,
            BillDifference.kind.in_(MISSING_THERE.values()),
        )
    )
    for row in rows.all():
        if (row.kind, row.number) in here:
            _mend(row, now=now)
            session().flush()
            settle_status(row.bill)


def settle_status(bill: Bill) -> None:
    """Let a bill that was read say whether anything of it is still open."""
    session().flush()
    # Whoever explains one difference may not see those of other stores.
    with use_scope(ALL_STORES):
        open_count = session().scalar(
            select(func.count(BillDifference.id)).where(
                BillDifference.bill_id == bill.id, BillDifference.status == DifferenceStatus.OPEN
            )
        )
    bill.status = BillStatus.DIFFERS if open_count else BillStatus.MATCHED
