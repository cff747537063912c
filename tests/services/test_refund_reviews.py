"""Reviews of refund requests after the order has moved on: what is given, kept and dropped."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.errors import InvalidTransition
from app.domain.states import BookingState, OrderStatus, PaymentStatus, RefundRequestStatus, VoucherStatus
from app.extensions import db
from app.models import Payment, Refund, RefundRequest
from app.services import (
    adjustments,
    clockwork,
    orders,
    refund_effects,
    refund_requests,
    stays,
    teams,
)
from app.services.unit_of_work import run_in_transaction
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop
from tests.services.test_group_orders import use_first
from tests.services.test_refund_requests import approve, ask, completed, due_of, row_of


def overtime_owed(make_shop: Callable[..., Shop]) -> tuple[Shop, str]:
    """A stay of ¥120 that was paid, and half an hour more for ¥30 that was not; the rules give half back."""
    shop = make_shop(
        has_overtime=True,
        overtime_grace_minutes=0,
        overtime_percent=100,
        cancel_steps=[{"minutes_before": None, "fee_percent": 50}],
    )
    no = shop.paid_booking(start=0.5)
    stays.check_in(no, actor=shop.guest, now=shop.at(0.5))
    stays.check_out(no, actor=shop.guest, now=shop.at(2.99))
    assert due_of(shop, no) == 3000
    return shop, no


@pytest.mark.parametrize(
    ("amount_fen", "given_fen"),
    [
        pytest.param(None, 6000, id="by the rules"),
        pytest.param(12000, 12000, id="everything that was paid"),
    ],
)
def test_what_is_still_owed_stays_owed(
    make_shop: Callable[..., Shop], amount_fen: int | None, given_fen: int
) -> None:
    shop, no = overtime_owed(make_shop)
    approve(shop, ask(shop, no, at=shop.at(4)), amount_fen, at=shop.at(4))
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.refunded_fen) == (OrderStatus.COMPLETED, given_fen)
    assert order.total_fen == 15000 - given_fen
    assert due_of(shop, no) == 3000


def test_a_completed_order_keeps_what_the_rules_keep(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(cancel_steps=[{"minutes_before": None, "fee_percent": 50}])
    no = completed(shop)
    approve(shop, ask(shop, no, at=shop.at(4)), at=shop.at(4))
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.total_fen, order.refunded_fen) == (OrderStatus.COMPLETED, 6000, 6000)


def test_who_used_the_room_since_gets_what_the_rules_give_now(shop: Shop) -> None:
    """Three hours before the start the rules give everything; a stay that was used is worth its price."""
    no = shop.paid_booking(start=3)
    request_id = ask(shop, no)
    stays.check_in(no, actor=shop.guest, now=shop.at(2.9))

    staff = shop.cashier()
    review = refund_requests.get_review(request_id, actor=staff, now=shop.at(2.95))
    assert (review["asked"]["policy_fen"], review["by_rules_fen"]) == (12000, 0)
    for at in (shop.at(2.95), shop.at(4)):
        with refused("invalid_field"):
            approve(shop, request_id, at=at)
    # Staff may still give what they think right.
    approve(shop, request_id, 3000, at=shop.at(4))
    assert [row.amount_fen for row in shop.rows(Refund)] == [3000]


def test_who_asks_as_a_guest_gets_what_the_rules_gave_then(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(cancel_steps=[{"minutes_before": None, "fee_percent": 75}])
    no = shop.paid_booking(start=0.5)
    stays.check_in(no, actor=shop.guest, now=shop.at(0.5))
    request_id = ask(shop, no, at=shop.at(1))
    stays.check_out(no, actor=shop.guest, now=shop.at(2.49))
    approve(shop, request_id, at=shop.at(30))
    assert [row.amount_fen for row in shop.rows(Refund)] == [3000]


def test_no_money_comes_in_over_a_booking_that_is_given_back(shop: Shop) -> None:
    no = shop.paid_booking()
    adjustments.add_adjustment(no, 3000, "加水果", actor=shop.cashier(), now=shop.now)
    payment_no = shop.start_payment(no)
    request_id = ask(shop, no)

    with unchanged(), pytest.raises(Exception, match="invalid_field"):
        approve(shop, request_id, 99999)
    assert shop.pay_service.closed == []
    approve(shop, request_id)

    assert shop.pay_service.closed == [payment_no]
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert shop.booking(no).state is BookingState.RELEASED


def test_money_that_came_meanwhile_goes_back_too(shop: Shop) -> None:
    no = shop.paid_booking()
    adjustments.add_adjustment(no, 3000, "加水果", actor=shop.cashier(), now=shop.now)
    payment_no = shop.start_payment(no)
    request_id = ask(shop, no)
    shop.pay_service.pay(payment_no)

    approve(shop, request_id)

    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED
    assert (shop.order(no).paid_fen, shop.order(no).cancel_fee_fen) == (15000, 0)
    assert sum(row.amount_fen for row in shop.rows(Refund)) == 15000
    assert not [row for row in shop.rows(Payment) if row.status is PaymentStatus.PENDING]


def test_what_is_on_its_way_back_pays_nothing(shop: Shop) -> None:
    no, staff = shop.paid_booking(), shop.cashier()
    adjustments.add_adjustment(no, -2000, "老顾客", actor=staff, now=shop.now)
    told = adjustments.add_adjustment(no, 3000, "加水果", actor=staff, now=shop.now)

    assert (shop.order(no).refunded_fen, told["due_fen"]) == (0, 3000)
    assert due_of(shop, no) == 3000
    assert shop.payment(shop.start_payment(no)).amount_fen == 3000
    shop.finish_refunds()
    assert due_of(shop, no) == 3000


def _no_show(shop: Shop) -> tuple[str, int]:
    no = shop.paid_booking(start=0.5)
    request_id = ask(shop, no)
    clockwork.advance_bookings(now=shop.at(9))
    return no, request_id


def _team_failed(shop: Shop) -> tuple[str, int]:
    no = shop.group_order(shop.campaign(team_size=2, team_minutes=60))
    shop.pay(no)
    request_id = ask(shop, no)
    teams.fail_overdue_teams(now=shop.at(1))
    return no, request_id


def _all_used(shop: Shop) -> tuple[str, int]:
    no = shop.group_order(shop.campaign())
    shop.pay(no)
    request_id = ask(shop, no)
    use_first(shop, no)
    return no, request_id


def _expired(shop: Shop, *, is_refunded: bool = False) -> tuple[str, int]:
    no = shop.group_order(shop.campaign(valid_days=1, is_refunded_on_expiry=is_refunded))
    shop.pay(no)
    request_id = ask(shop, no)
    teams.expire_vouchers(now=shop.at(24))
    return no, request_id


ENDS: list[tuple[str, Callable[[Shop], tuple[str, int]], OrderStatus]] = [
    ("nobody came", _no_show, OrderStatus.COMPLETED),
    ("the team was not filled", _team_failed, OrderStatus.REFUNDING),
    ("every voucher was used", _all_used, OrderStatus.USED),
    ("the vouchers expired", _expired, OrderStatus.EXPIRED),
    ("they were refunded", lambda shop: _expired(shop, is_refunded=True), OrderStatus.REFUNDING),
]


@pytest.mark.parametrize(("label", "end", "status"), ENDS, ids=[row[0] for row in ENDS])
def test_an_order_that_ends_otherwise_leaves_no_request_behind(
    shop: Shop, label: str, end: Callable[[Shop], tuple[str, int]], status: OrderStatus
) -> None:
    no, request_id = end(shop)
    assert shop.status(no) is status
    assert row_of(shop, request_id).status is RefundRequestStatus.WITHDRAWN
    shop.cashier()
    with refused("invalid_transition"):
        approve(shop, request_id)


def may_ask(shop: Shop, no: str) -> bool:
    shown = orders.get_order(no, customer_id=shop.guest.id or 0, now=shop.now)
    return next(each["allowed"] for each in shown["actions"] if each["name"] == "refund_request")


def _asked(shop: Shop) -> str:
    no = shop.paid_booking()
    ask(shop, no)
    return no


def _given_back(shop: Shop) -> str:
    """Everything is on its way back already."""
    no = shop.paid_booking()
    adjustments.add_adjustment(no, -12000, "老顾客", actor=shop.cashier(), now=shop.now)
    assert shop.order(no).refunded_fen == 0
    return no


def _in_a_booking(shop: Shop) -> str:
    no = shop.group_order(shop.campaign())
    shop.pay(no)
    shop.book(3, 3, voucher_code=shop.vouchers(no)[0].code)
    return no


OFFERED: list[tuple[str, Callable[[Shop], str], bool]] = [
    ("paid", lambda shop: shop.paid_booking(), True),
    ("asked already", _asked, False),
    ("all on its way back", _given_back, False),
    ("voucher locked in a booking", _in_a_booking, False),
]


@pytest.mark.parametrize(("label", "make", "is_offered"), OFFERED, ids=[row[0] for row in OFFERED])
def test_what_is_offered_is_what_is_granted(
    shop: Shop, label: str, make: Callable[[Shop], str], is_offered: bool
) -> None:
    no = make(shop)
    assert may_ask(shop, no) is is_offered
    if is_offered:
        assert ask(shop, no)
    else:
        with refused("refund_not_allowed"):
            ask(shop, no)


def test_only_vouchers_that_are_still_good_are_taken_back(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(per_customer_limit=5), quantity=2)
    shop.pay(no)
    ids = [voucher.id for voucher in shop.vouchers(no)]
    shop.book(3, 3, voucher_code=shop.vouchers(no)[0].code)
    with unchanged(), pytest.raises(InvalidTransition):
        run_in_transaction(lambda: refund_effects.mark_refunding(ids))
    assert {row.status for row in shop.vouchers(no)} == {VoucherStatus.LOCKED, VoucherStatus.ISSUED}


def test_a_member_is_locked_after_its_team_as_where_the_team_is_given_up(shop: Shop) -> None:
    no = shop.group_order(shop.campaign(team_size=2, team_minutes=60))
    shop.pay(no)
    request_id = ask(shop, no)
    shop.cashier()
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        found = re.search(r"FROM (campaigns|teams|orders) .*WHERE \1\.id = \S+", " ".join(statement.split()))
        is_lock = db.engine.dialect.name == "sqlite" or "FOR NO KEY UPDATE" in statement
        if found and is_lock:
            seen.append(found[1])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        approve(shop, request_id)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    # SQLite, whose writer has every lock already, shows the reads around them too.
    first_team = seen.index("teams")
    assert "campaigns" in seen[:first_team] and "orders" in seen[first_team:]
    if db.engine.dialect.name == "postgresql":
        assert seen[:3] == ["campaigns", "teams", "orders"]
    assert shop.rows(RefundRequest)[0].status is RefundRequestStatus.APPROVED
