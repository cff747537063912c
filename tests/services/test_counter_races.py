"""Cashiers, phones and shifts that race for the same money: one of them gets it, and every shift adds up."""

from __future__ import annotations

import pytest
from flask import Flask

from app.domain.states import OrderStatus, PaymentStatus, ShiftStatus
from app.models import CounterEntry, Payment, Refund, Shift, ShiftCount
from app.services import adjustments, cancellations, counter, shifts
from tests.services.desk import CASH, FLOAT_FEN, POS, Desk, slip
from tests.services.shop import Shop
from tests.services.test_change_races import race

pytestmark = pytest.mark.races

ROUNDS = 4


def check_ledger(shop: Shop) -> None:
    """What orders say, what payments and refunds say, and what the shifts say is the same money."""
    entries = shop.rows(CounterEntry)
    succeeded = [row for row in shop.rows(Payment) if row.status is PaymentStatus.SUCCEEDED]
    over_counter = {row.id: row.amount_fen for row in succeeded if counter.is_counter_channel(row.channel)}
    assert {row.payment_id: row.amount_fen for row in entries if row.payment_id} == over_counter
    by_id = {row.id: row for row in shop.rows(Shift)}
    for count in shop.rows(ShiftCount):
        own = [row for row in entries if row.shift_id == count.shift_id and row.channel is count.channel]
        start_fen = by_id[count.shift_id].float_fen if count.channel == CASH else 0
        assert count.expected_fen == start_fen + sum(row.amount_fen for row in own)


def test_two_cashiers_take_the_same_due(app: Flask, shop: Shop) -> None:
    desks = [Desk.open(shop, username) for username in ("cashier", "second", "third", "fourth")]
    for number in range(ROUNDS):
        no = shop.book(3 + 3 * number, actor=shop.another_guest())
        answers = race(app, [lambda desk=desk, no=no: desk.take(no, at=shop.now) for desk in desks])
        assert sorted(answers) == ["done", *["invalid_transition"] * 3]
        assert shop.order(no).paid_fen == 12000
    assert len(shop.rows(CounterEntry)) == ROUNDS
    check_ledger(shop)


def test_two_cashiers_take_what_a_living_order_still_owes(app: Flask, shop: Shop) -> None:
    """No status changes here: only the order's lock tells the second that nothing is owed any more."""
    desks = [Desk.open(shop, username) for username in ("cashier", "second", "third", "fourth")]
    for number in range(ROUNDS):
        no = shop.paid_booking(3 + 3 * number, actor=shop.another_guest())
        adjustments.add_adjustment(no, 3000, "加水果", actor=desks[0].cashier, now=shop.now)
        answers = race(app, [lambda desk=desk, no=no: desk.take(no, at=shop.now) for desk in desks])
        assert sorted(answers) == ["done", *["invalid_transition"] * 3]
        assert shop.order(no).paid_fen == 15000
    assert shop.rows(Refund) == []
    check_ledger(shop)


def test_refund_is_handed_out_by_one_of_two(app: Flask, shop: Shop) -> None:
    desks = [Desk.open(shop, username) for username in ("cashier", "second")]
    for number in range(ROUNDS):
        guest = shop.another_guest()
        no = shop.book(3 + 3 * number, actor=guest)
        desks[0].take(no)
        cancellations.cancel_order(no, actor=guest, now=shop.now)
        refund_no = shop.rows(Refund)[-1].refund_no
        works = [
            lambda desk=desk, refund_no=refund_no: desk.hand_out(refund_no, at=shop.now) for desk in desks
        ]
        assert sorted(race(app, works * 2)) == ["done", *["invalid_transition"] * 3]
        assert (shop.order(no).status, shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 12000)
    check_ledger(shop)


def test_cash_against_the_phone(app: Flask, shop: Shop) -> None:
    """The guest pays with the phone in the very moment in which the cashier takes cash."""
    desk = Desk.open(shop)
    for number in range(ROUNDS):
        no = shop.book(3 + 3 * number, actor=shop.another_guest())
        payment_no = shop.start_payment(no)
        works = [
            lambda no=no: desk.take(no, at=shop.now),
            lambda payment_no=payment_no: shop.notify(payment_no, at=shop.now),
        ]
        answers = race(app, works)
        order, refunds = (
            shop.order(no),
            [row for row in shop.rows(Refund) if row.order_id == shop.order(no).id],
        )
        assert answers[1] == "done" and answers[0] in ("done", "invalid_transition")
        assert order.status is OrderStatus.AWAITING_USE
        # Money that came twice is on its way back, whichever was second.
        assert order.paid_fen - sum(row.amount_fen for row in refunds) == 12000
    check_ledger(shop)


def test_shift_that_closes_holds_all_that_was_taken_in_it(app: Flask, shop: Shop) -> None:
    for number in range(ROUNDS):
        desk = Desk.open(shop)
        no = shop.book(3 + 3 * number, actor=shop.another_guest())
        works = [
            lambda desk=desk, no=no: desk.take(no, at=shop.now),
            lambda desk=desk: desk.close(FLOAT_FEN, at=shop.now, reason="抽查"),
        ]
        answers = race(app, works)
        assert answers[1] == "done" and answers[0] in ("done", "shift_required")
        assert desk.shift().status is ShiftStatus.CLOSED
        assert (desk.shift().difference_fen == -12000) == (answers[0] == "done")
        check_ledger(shop)


def test_one_slip_for_two_orders(app: Flask, shop: Shop) -> None:
    desks = [Desk.open(shop, username) for username in ("cashier", "second")]
    for number in range(ROUNDS):
        orders = [shop.book(3 + 6 * number + 3 * each, actor=shop.another_guest()) for each in range(2)]
        reference = f"60304120012{number}"
        works = [
            lambda desk=desk, no=no, reference=reference: desk.take(no, POS, at=shop.now, **slip(reference))
            for desk, no in zip(desks, orders, strict=True)
        ]
        assert sorted(race(app, works)) == ["done", "slip_used"]
    check_ledger(shop)


def test_shift_is_opened_once(app: Flask, shop: Shop) -> None:
    cashier, store_id = shop.cashier(), shop.store.id
    works = [
        lambda: shifts.open_shift(store_id, float_fen=FLOAT_FEN, actor=cashier, now=shop.now)
        for _ in range(6)
    ]
    assert sorted(race(app, works)) == ["done", *["shift_already_open"] * 5]
    assert len(shop.rows(Shift)) == 1
