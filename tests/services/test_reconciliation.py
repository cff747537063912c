"""Days reconciled with the bills of WeChat Pay and Alipay, fetched from the sandbox as from the real ones."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha1

import pytest
from sqlalchemy import update

from app.domain.actor import Actor, StoreScope, staff_actor
from app.domain.reconciliation import ready_at
from app.domain.states import (
    BillStatus,
    DifferenceKind,
    DifferenceStatus,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
)
from app.extensions import db
from app.models import AuditEntry, Bill, BillDifference, BillSum, Payment, Refund
from app.services import (
    bills,
    cancellations,
    clockwork,
    reconciliation,
    today,
)
from tests.services.counter import refused, unchanged
from tests.services.ledger import Ledger


def manager_of(ledger: Ledger, *store_ids: int) -> Actor:
    scope = StoreScope(store_ids=frozenset(store_ids))
    return staff_actor(ledger.shop.cashier().id or 0, "店长", scope)


def test_a_day_without_differences(ledger: Ledger, owner: Actor) -> None:
    kept, returned = ledger.take(3, 2), ledger.take(8, 1)
    refund_no = ledger.give_back(returned)

    bill = ledger.run()

    assert (bill.status, bill.problem, bill.next_try_at) == (BillStatus.MATCHED, "", None)
    assert ledger.shop.rows(BillDifference) == []
    page = bills.get_bill(bill.id, actor=owner)
    for side in ("here", "there"):
        assert (page["total"][f"{side}_paid_count"], page["total"][f"{side}_paid_fen"]) == (2, 18000)
        assert (page["total"][f"{side}_refunded_count"], page["total"][f"{side}_refunded_fen"]) == (1, 6000)
    assert page["total"]["fee_fen"] == 72 + 36 - 36
    assert {row.billed_on for row in ledger.shop.rows(Payment)} == {ledger.day}
    assert [(row.refund_no, row.billed_on) for row in ledger.shop.rows(Refund)] == [(refund_no, ledger.day)]
    content, name = bills.read_bill_file(bill.id, actor=owner)
    assert (sha1(content).hexdigest(), name.partition(".")[0]) == (
        bill.sha1,
        f"{ledger.service}-{ledger.day.isoformat()}",
    )
    if ledger.service == "wechat":
        assert kept in content.decode() and refund_no in content.decode()


def test_a_rerun_gives_the_same_rows(ledger: Ledger) -> None:
    ledger.take()
    ledger.adopt("SHOP2026000001", 999)
    ledger.run()
    before = [(row.id, row.kind, row.number) for row in ledger.shop.rows(BillDifference)]

    with unchanged(except_tables=("bills",)):
        bill = ledger.run()

    assert [(row.id, row.kind, row.number) for row in ledger.shop.rows(BillDifference)] == before
    assert (bill.run_count, bill.status) == (2, BillStatus.DIFFERS)
    assert len(ledger.shop.rows(Bill)) == 1
    assert {row.store_id for row in ledger.shop.rows(BillSum)} == {ledger.shop.store.id, None}
    assert len(ledger.shop.rows(BillSum)) == 2


def test_money_that_nobody_told_us_about_settles_its_order(ledger: Ledger) -> None:
    payment_no = ledger.take(is_known=False)
    assert ledger.payment(payment_no).status is PaymentStatus.PENDING

    bill = ledger.run()

    payment = ledger.payment(payment_no)
    assert (payment.status, payment.billed_on) == (PaymentStatus.SUCCEEDED, ledger.day)
    # Nobody waited with the room until the next day's noon: it is taken again, or the money goes back.
    assert payment.order.status in (OrderStatus.AWAITING_USE, OrderStatus.REFUNDING)
    assert payment.order.paid_fen == 12000
    assert (bill.status, ledger.differences()) == (BillStatus.MATCHED, [])


def test_money_for_an_order_that_is_gone_goes_back(ledger: Ledger) -> None:
    payment_no = ledger.take(is_known=False)
    ledger.change(payment_no, status=PaymentStatus.CLOSED, next_query_at=None)
    order = ledger.payment(payment_no).order
    cancellations.cancel_order(order.no, actor=ledger.shop.guest, now=ledger.shop.now)
    no = order.no
    assert ledger.shop.status(no) in (OrderStatus.CANCELLED, OrderStatus.REFUNDING)

    ledger.run()

    assert ledger.payment(payment_no).status is PaymentStatus.SUCCEEDED
    assert ledger.shop.status(no) is OrderStatus.REFUNDING
    assert [(row.amount_fen, row.status) for row in ledger.shop.rows(Refund)] == [
        (12000, RefundStatus.CREATED)
    ]


def test_refunds_that_nobody_told_us_about_are_settled(ledger: Ledger) -> None:
    refund_no = ledger.give_back(ledger.take(), is_known=False)
    db.session.execute(update(Refund).values(status=RefundStatus.ABNORMAL, next_try_at=None))
    db.session.commit()

    bill = ledger.run()

    (refund,) = ledger.shop.rows(Refund)
    assert (refund.refund_no, refund.status) == (refund_no, RefundStatus.SUCCEEDED)
    assert refund.order.status is OrderStatus.REFUNDED
    assert bill.status is BillStatus.MATCHED


def test_unknown_payments_are_told_without_an_order(ledger: Ledger) -> None:
    ledger.adopt("SHOP2026000001", 999)
    ledger.take()

    with unchanged(except_tables=("bills", "bill_sums", "bill_differences", "payments")):
        ledger.run()

    assert ledger.differences() == [(DifferenceKind.MISSING_HERE, "SHOP2026000001", None, 999)]
    assert ledger.shop.rows(BillDifference)[0].order_id is None


def test_payments_that_the_bill_lacks_or_has_with_other_amounts(ledger: Ledger) -> None:
    gone, other, fine = ledger.take(3), ledger.take(6), ledger.take(9)
    noon = ready_at(ledger.day) - timedelta(hours=22)
    ledger.change(gone, payment_no="P0GONE", paid_at=noon)
    ledger.change(other, amount_fen=12001)

    bill = ledger.run()

    assert sorted(ledger.differences()) == sorted(
        [
            (DifferenceKind.MISSING_HERE, gone, None, 12000),
            (DifferenceKind.AMOUNT_DIFFERS, other, 12001, 12000),
            (DifferenceKind.MISSING_THERE, "P0GONE", 12000, None),
        ]
    )
    assert bill.status is BillStatus.DIFFERS
    assert ledger.payment("P0GONE").billed_on is None
    assert ledger.payment(fine).billed_on == ledger.day
    orders = {row.number: row.order_id for row in ledger.shop.rows(BillDifference)}
    assert orders["P0GONE"] == ledger.payment("P0GONE").order_id
    assert orders[other] == ledger.payment(other).order_id


def test_what_is_mended_closes_by_itself_and_opens_again(ledger: Ledger) -> None:
    payment_no = ledger.take()
    ledger.change(payment_no, amount_fen=12001)
    assert ledger.run().next_try_at == ledger.next_noon + timedelta(hours=6)
    ledger.change(payment_no, amount_fen=12000)

    # The clockwork looks again by itself.
    assert reconciliation.reconcile_due_days(now=ledger.next_noon + timedelta(hours=6)) == 1

    (row,) = ledger.shop.rows(BillDifference)
    assert (row.status, row.closed_by) == (DifferenceStatus.MENDED, "")
    assert ledger.shop.rows(Bill)[0].status is BillStatus.MATCHED
    ledger.change(payment_no, amount_fen=12001)
    ledger.run()
    (row,) = ledger.shop.rows(BillDifference)
    assert (row.status, row.closed_at) == (DifferenceStatus.OPEN, None)


def test_what_another_days_bill_has_is_no_longer_missing(ledger: Ledger) -> None:
    payment_no = ledger.take()
    # Our clock says the day before.
    ledger.change(payment_no, paid_at=ready_at(ledger.day) - timedelta(days=2))
    yesterday = ledger.day - timedelta(days=1)
    ledger.run(on=yesterday, at=ready_at(yesterday) + timedelta(days=1))
    assert ledger.differences() == [(DifferenceKind.MISSING_THERE, payment_no, 12000, None)]

    ledger.run()

    assert ledger.differences() == []
    assert ledger.payment(payment_no).billed_on == ledger.day
    assert [bill.status for bill in ledger.shop.rows(Bill)] == [BillStatus.MATCHED, BillStatus.MATCHED]
    ledger.run(on=yesterday, at=ready_at(yesterday) + timedelta(days=1))
    assert ledger.differences() == []


@pytest.mark.parametrize(
    ("minutes", "is_missed_today"),
    [(-11, True), (-9, False), (1, False)],
    ids=["11 before", "9 before", "after"],
)
def test_payments_at_midnight_wait_for_the_bill_of_their_day(
    ledger: Ledger, minutes: int, is_missed_today: bool
) -> None:
    gone = ledger.take()
    ledger.take(6)
    midnight = ready_at(ledger.day) - timedelta(hours=10)
    ledger.change(gone, payment_no="P0GONE", paid_at=midnight + timedelta(minutes=minutes))

    ledger.run()

    numbers = [number for kind, number, *_ in ledger.differences() if kind is DifferenceKind.MISSING_THERE]
    assert numbers == (["P0GONE"] if is_missed_today else [])


def test_explaining_a_difference(ledger: Ledger) -> None:
    payment_no = ledger.take()
    ledger.change(payment_no, amount_fen=12001)
    ledger.run()
    (row,) = ledger.shop.rows(BillDifference)
    difference_id, later = row.id, ledger.next_noon + timedelta(hours=1)
    here, elsewhere = manager_of(ledger, ledger.shop.store.id), manager_of(ledger, ledger.shop.store.id + 1)
    assert today.list_work(actor=here, now=later)["bill_differences"] == 1
    assert today.list_work(actor=elsewhere, now=later)["bill_differences"] == 0
    with refused("invalid_field"):
        bills.resolve_difference(difference_id, reason=" ", actor=here, now=later)
    with refused("not_found"):
        bills.resolve_difference(difference_id, reason="x", actor=elsewhere, now=later)
    with refused("forbidden"):
        bills.resolve_difference(difference_id, reason="x", actor=ledger.shop.guest, now=later)

    found = bills.resolve_difference(difference_id, reason="手工调整", actor=here, now=later)

    assert (found["status"], found["reason"], found["closed_by"]) == (
        DifferenceStatus.RESOLVED,
        "手工调整",
        "店长",
    )
    assert ledger.shop.rows(Bill)[0].status is BillStatus.MATCHED
    entry = ledger.shop.rows(AuditEntry)[-1]
    assert (entry.action, entry.entity, entry.reason) == ("resolve", "bill_differences", "手工调整")
    assert entry.store_id == ledger.shop.store.id
    with refused("invalid_transition"):
        bills.resolve_difference(difference_id, reason="x", actor=here, now=later)
    ledger.run(at=later)
    assert ledger.shop.rows(BillDifference)[0].status is DifferenceStatus.RESOLVED
    # Another amount is another matter.
    ledger.change(payment_no, amount_fen=11999)
    ledger.run(at=later)
    assert ledger.differences() == [(DifferenceKind.AMOUNT_DIFFERS, payment_no, 11999, 12000)]


def test_sums_and_files_of_other_stores_stay_theirs(ledger: Ledger) -> None:
    ledger.take()
    ledger.adopt("SHOP2026000001", 999)
    bill = ledger.run()
    here, elsewhere = manager_of(ledger, ledger.shop.store.id), manager_of(ledger, ledger.shop.store.id + 1)

    assert bills.get_bill(bill.id, actor=here)["total"]["there_paid_fen"] == 12000
    page = bills.get_bill(bill.id, actor=elsewhere)
    assert (page["total"]["there_paid_fen"], page["difference_count"], page["may_fetch"]) == (0, 0, False)
    for actor in (here, elsewhere):
        with refused("forbidden"):
            bills.read_bill_file(bill.id, actor=actor)


def test_a_run_by_hand_is_audited(ledger: Ledger, owner: Actor) -> None:
    ledger.run(actor=owner)
    (entry,) = [row for row in ledger.shop.rows(AuditEntry) if row.entity == "bills"]
    assert (entry.action, entry.actor_name) == ("bill_run", "店主")


def test_holds_that_ran_out_are_paid_by_the_bill(ledger: Ledger) -> None:
    """The whole unhappy way: no callback, no answer while the hold lived, and the bill the next day."""
    payment_no = ledger.take(start=30, is_known=False)
    ledger.change(payment_no, next_query_at=None, status=PaymentStatus.CLOSED)
    clockwork.expire_holds(now=ledger.shop.at(minutes=30))
    order = ledger.payment(payment_no).order
    assert order.status is OrderStatus.CANCELLED

    ledger.run(at=max(ledger.next_noon, ledger.shop.at(minutes=31)))

    assert ledger.payment(payment_no).order.paid_fen == 12000
    assert ledger.payment(payment_no).order.status in (OrderStatus.AWAITING_USE, OrderStatus.REFUNDING)
