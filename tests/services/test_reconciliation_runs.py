"""Runs of daily bills: late, silent, unusable, repeated, at once, and by the clockwork."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from app.domain.actor import ALL_STORES, SYSTEM, Actor
from app.domain.errors import AlreadyRunning
from app.domain.reconciliation import ready_at
from app.domain.states import (
    BillStatus,
    DifferenceKind,
    DifferenceStatus,
)
from app.extensions import db, use_scope
from app.models import Bill, BillDifference, BillSum, Payment
from app.services import (
    bills,
    channels,
    reconciliation,
)
from sandbox import wechat_pay_bills
from tests.services.counter import refused, unchanged
from tests.services.ledger import REAL_WECHAT_PAY, Ledger

# What only this service says.
of_wechat = pytest.mark.parametrize("ledger", ["wechat"], indirect=True)


@of_wechat
def test_a_late_bill_is_not_ready_and_fetched_later(ledger: Ledger) -> None:
    ledger.take()
    ledger.till.live.control("/settings", {"bill_delay_hours": 72})

    with unchanged(except_tables=("bills",)):
        bill = ledger.run()

    assert (bill.status, bill.problem) == (BillStatus.NOT_READY, "not_made")
    assert bill.next_try_at == ledger.next_noon + timedelta(minutes=30)
    ledger.till.live.control("/settings", {"bill_delay_hours": 0})
    assert reconciliation.reconcile_due_days(now=ledger.next_noon) == 0
    assert reconciliation.reconcile_due_days(now=ledger.next_noon + timedelta(minutes=30)) == 1
    assert ledger.shop.rows(Bill)[0].status is BillStatus.MATCHED


def test_no_bill_although_money_was_taken_is_late_first_and_missing_then(ledger: Ledger) -> None:
    payment_no = ledger.take()
    ledger.change(payment_no, paid_at=ready_at(ledger.day) - timedelta(hours=22))
    ledger.till.live.reset()

    assert ledger.run().status is BillStatus.NOT_READY
    assert ledger.run(at=ledger.next_noon + timedelta(days=1)).status is BillStatus.DIFFERS

    assert ledger.differences() == [(DifferenceKind.MISSING_THERE, payment_no, 12000, None)]


def test_a_day_without_business_matches_at_once(ledger: Ledger) -> None:
    bill = ledger.run()
    assert (bill.status, bill.file_key, ledger.shop.rows(BillSum)) == (BillStatus.MATCHED, "", [])


def test_a_silent_service_is_asked_again(ledger: Ledger) -> None:
    ledger.take()
    target = {"wechat": "wechat_pay", "alipay": "alipay"}[ledger.service]
    fault = {"target": target, "mode": "error", "operation": "bill", "count": 1}
    ledger.till.live.control("/faults", fault)

    with unchanged(except_tables=("bills",)):
        bill = ledger.run()

    assert (bill.status, bill.problem) == (BillStatus.NOT_READY, "no_answer")
    assert ledger.run().status is BillStatus.MATCHED


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bills lose their last line on the way to the file."""
    whole = wechat_pay_bills.written
    monkeypatch.setattr(wechat_pay_bills, "written", lambda rows: whole(rows).rpartition("\r\n`")[0])


@of_wechat
def test_an_unusable_bill_is_work_and_changes_nothing(
    ledger: Ledger, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.take(is_known=False)
    broken(monkeypatch)

    with unchanged(except_tables=("bills", "bill_differences")):
        bill = ledger.run()

    assert (bill.status, bill.problem, bill.file_key) == (BillStatus.FAILED, "malformed", "")
    (row,) = ledger.shop.rows(BillDifference)
    assert (row.kind, row.note) == (DifferenceKind.BILL_UNUSABLE, "malformed")
    # Explaining it does not make it a good bill.
    bills.resolve_difference(row.id, reason="已联系微信支付", actor=owner, now=ledger.next_noon)
    assert ledger.shop.rows(Bill)[0].status is BillStatus.FAILED
    monkeypatch.undo()
    monkeypatch.setattr(channels, "wechat_pay", REAL_WECHAT_PAY)
    assert ledger.run().status is BillStatus.MATCHED


@of_wechat
def test_an_unusable_bill_that_comes_right_mends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.take()
    broken(monkeypatch)
    ledger.run()
    monkeypatch.undo()
    monkeypatch.setattr(channels, "wechat_pay", REAL_WECHAT_PAY)

    assert ledger.run().status is BillStatus.MATCHED
    assert [row.status for row in ledger.shop.rows(BillDifference)] == [DifferenceStatus.MENDED]


@of_wechat
def test_what_was_read_survives_a_rerun_that_fails(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.take()
    read = ledger.run()
    broken(monkeypatch)

    with unchanged(except_tables=("bills",)):
        again = ledger.run()

    assert (again.status, again.file_key, again.problem) == (BillStatus.MATCHED, read.file_key, "malformed")


def test_days_that_are_not_over_or_too_old_are_refused(ledger: Ledger) -> None:
    for on in (ledger.day, ledger.day + timedelta(days=1), ledger.day - timedelta(days=91)):
        with refused("invalid_field"):
            reconciliation.reconcile_day(ledger.service, on, actor=SYSTEM, now=ledger.shop.now)
    with refused("not_found"):
        reconciliation.reconcile_day("unionpay", ledger.day, actor=SYSTEM, now=ledger.next_noon)


def test_the_clockwork_takes_each_day_of_the_past_week_once(ledger: Ledger) -> None:
    first = ledger.take()
    assert reconciliation.reconcile_due_days(now=ready_at(ledger.day) - timedelta(seconds=1)) == 0
    assert reconciliation.reconcile_due_days(now=ready_at(ledger.day)) == 1
    assert reconciliation.reconcile_due_days(now=ready_at(ledger.day)) == 0
    ledger.change(first, created_at=ledger.shop.now - timedelta(days=30))
    assert reconciliation.reconcile_due_days(now=ready_at(ledger.day)) == 6
    assert len(ledger.shop.rows(Bill)) == 7


def test_a_run_keeps_others_off_its_day(ledger: Ledger) -> None:
    ledger.take()
    ledger.run()
    db.session.execute(update(Bill).values(claimed_until_at=ledger.next_noon + timedelta(minutes=3)))
    db.session.commit()

    with refused("already_running"):
        ledger.run()

    # Whoever had it has died.
    assert ledger.run(at=ledger.next_noon + timedelta(minutes=3)).status is BillStatus.MATCHED


def test_two_runs_at_once_leave_one_result(ledger: Ledger, app: Flask) -> None:
    ledger.take()
    ledger.take(6, is_known=False)
    ledger.adopt("SHOP2026000001", 999)
    service, day, noon = ledger.service, ledger.day, ledger.next_noon
    db.session.commit()
    start = threading.Barrier(4)

    def run(_: int) -> str:
        with app.app_context(), use_scope(ALL_STORES):
            start.wait(10)
            try:
                reconciliation.reconcile_day(service, day, actor=SYSTEM, now=noon)
            except AlreadyRunning:
                return "kept off"
            finally:
                db.session.remove()
            return "done"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(run, range(4)))

    assert "done" in outcomes
    assert ledger.differences() == [(DifferenceKind.MISSING_HERE, "SHOP2026000001", None, 999)]
    assert len(ledger.shop.rows(Bill)) == 1 and len(ledger.shop.rows(BillSum)) == 2
    assert sum(row.paid_fen for row in {payment.order for payment in ledger.shop.rows(Payment)}) == 24000


def test_a_run_that_died_is_made_up_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.take(is_known=False)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(reconciliation, "_keep", die)
        ledger.run()

    assert [bill.checked_at for bill in ledger.shop.rows(Bill)] == [None]
    assert reconciliation.reconcile_due_days(now=ledger.next_noon) == 1
    assert [bill.status for bill in ledger.shop.rows(Bill)] == [BillStatus.MATCHED]
