"""Refund requests: asked for by the rules, decided once, and what an approval does to the order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from app.domain.actor import StoreScope, staff_actor
from app.domain.errors import DomainError
from app.domain.states import BookingState, OrderStatus, RefundRequestStatus, VoucherStatus
from app.models import AuditEntry, CampaignBuyer, Recipient, Refund, RefundRequest
from app.services import cancellations, orders, refund_requests, stays
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop


def ask(shop: Shop, no: str, amount_fen: int | None = None, *, at: datetime | None = None) -> int:
    """Ask for a refund as the customer and return the request's id."""
    found = refund_requests.create_request(
        no, reason="空调坏了", amount_fen=amount_fen, actor=shop.guest, now=at or shop.now
    )
    return int(found["id"])


def approve(
    shop: Shop, request_id: int, amount_fen: int | None = None, *, at: datetime | None = None
) -> dict[str, Any]:
    return refund_requests.approve_request(
        request_id, amount_fen=amount_fen, reason="同意", actor=shop.cashier(), now=at or shop.now
    )


def row_of(shop: Shop, request_id: int) -> RefundRequest:
    return next(row for row in shop.rows(RefundRequest) if row.id == request_id)


def due_of(shop: Shop, no: str) -> int:
    return orders.due_fen(shop.order(no), now=shop.now)


@pytest.mark.parametrize(
    ("minutes_before", "refund_fen", "fee_fen"),
    [
        pytest.param(180, 12000, 0, id="long before"),
        pytest.param(120, 12000, 0, id="exactly two hours before"),
        pytest.param(119, 8400, 3600, id="right after that edge"),
        pytest.param(1, 8400, 3600, id="right before the start"),
        pytest.param(-1, 0, 12000, id="right after the start"),
    ],
)
def test_preview_follows_the_frozen_steps(
    shop: Shop, minutes_before: int, refund_fen: int, fee_fen: int
) -> None:
    no = shop.paid_booking(start=3, hours=2)
    at = shop.at(hours=3, minutes=-minutes_before)
    preview = refund_requests.preview_refund(no, actor=shop.guest, now=at)
    assert (preview["refundable_fen"], preview["refund_fen"], preview["fee_fen"]) == (
        12000,
        refund_fen,
        fee_fen,
    )


def test_a_request_changes_nothing_but_is_told(shop: Shop) -> None:
    no = shop.paid_booking()
    request_id = ask(shop, no)

    request = row_of(shop, request_id)
    assert (request.status, request.amount_fen, request.policy_fen) == (
        RefundRequestStatus.REQUESTED,
        None,
        12000,
    )
    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert shop.rows(Refund) == []
    assert shop.events(no)[-1] == "refund_request"
    assert shop.notices(no)[-1] == "refund_requested"
    assert "refund_requested" in shop.notices(no, Recipient.SHOP)


@pytest.mark.parametrize(
    ("amount_fen", "reason", "code"),
    [
        pytest.param(0, "坏了", "invalid_field", id="nothing"),
        pytest.param(-1, "坏了", "invalid_field", id="negative"),
        pytest.param(12001, "坏了", "invalid_field", id="a fen more than paid"),
        pytest.param(None, "  ", "invalid_field", id="no reason"),
        pytest.param(None, "长" * 201, "invalid_field", id="endless reason"),
    ],
)
def test_senseless_requests_are_refused(shop: Shop, amount_fen: int | None, reason: str, code: str) -> None:
    no = shop.paid_booking()
    with refused(code):
        refund_requests.create_request(
            no, reason=reason, amount_fen=amount_fen, actor=shop.guest, now=shop.now
        )


def test_only_one_request_waits(shop: Shop) -> None:
    no = shop.paid_booking()
    ask(shop, no)
    with refused("refund_not_allowed"):
        ask(shop, no)


def test_unpaid_and_cancelled_orders_have_nothing_to_refund(shop: Shop) -> None:
    no = shop.book()
    with refused("refund_not_allowed"):
        ask(shop, no)


def test_strangers_find_nothing(shop: Shop) -> None:
    no = shop.paid_booking()
    request_id = ask(shop, no)
    stranger = shop.another_guest()
    with refused("not_found"):
        refund_requests.create_request(no, reason="x", actor=stranger, now=shop.now)
    with refused("not_found"):
        refund_requests.withdraw_request(no, request_id, actor=stranger, now=shop.now)
    elsewhere = staff_actor(1, "别店", StoreScope(store_ids=frozenset({shop.store.id + 1})))
    with refused("not_found"):
        refund_requests.approve_request(request_id, reason="x", actor=elsewhere, now=shop.now)
    with refused("forbidden"):
        refund_requests.approve_request(request_id, reason="x", actor=shop.guest, now=shop.now)


@pytest.mark.parametrize(
    ("days", "is_refused"),
    [pytest.param(6.9, False, id="in the window"), pytest.param(7.1, True, id="after it")],
)
def test_requests_end_with_the_window(shop: Shop, days: float, is_refused: bool) -> None:
    no = completed(shop)
    at = shop.booking(no).end_at + (shop.at(hours=24 * days) - shop.now)
    if is_refused:
        with refused("refund_not_allowed"):
            ask(shop, no, 100, at=at)
    else:
        assert ask(shop, no, 100, at=at)


def completed(shop: Shop) -> str:
    """A paid booking of ¥120 that was used and left at its end."""
    no = shop.paid_booking(start=0.5, hours=2)
    stays.check_in(no, actor=shop.guest, now=shop.at(hours=0.5))
    stays.check_out(no, actor=shop.guest, now=shop.at(hours=2.49))
    return no


def test_approved_by_the_rules_ends_the_booking(shop: Shop) -> None:
    no = shop.paid_booking()
    late = shop.at(hours=2)
    request_id = ask(shop, no, at=late)
    # The step that counted when the customer asked is not made worse by a slow review.
    approve(shop, request_id, at=shop.at(hours=4))

    order = shop.order(no)
    assert (order.status, order.cancel_fee_fen) == (OrderStatus.REFUNDING, 3600)
    assert shop.booking(no).state is BookingState.RELEASED
    assert [row.amount_fen for row in shop.rows(Refund)] == [8400]
    assert shop.book(), "the room is free again"
    shop.finish_refunds()
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 8400)
    assert [name for name in shop.notices(no) if name.startswith("refund")] == [
        "refund_requested",
        "refund_started",
        "refund_approved",
        "refund_done",
    ]


def test_a_part_of_ones_own_leaves_the_booking(shop: Shop) -> None:
    no = shop.paid_booking()
    approve(shop, ask(shop, no, 2000), 2000)

    assert shop.status(no) is OrderStatus.REFUNDING
    assert shop.booking(no).state is BookingState.RESERVED
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.total_fen, order.refunded_fen) == (OrderStatus.AWAITING_USE, 10000, 2000)
    assert sum(line.amount_fen for line in order.lines) == order.total_fen
    assert order.lines[-1].label == "同意"
    assert due_of(shop, no) == 0
    assert stays.check_in(no, actor=shop.guest, now=shop.at(hours=3))


def test_a_stay_goes_on_after_a_refund(shop: Shop) -> None:
    no = shop.paid_booking(start=0.5)
    stays.check_in(no, actor=shop.guest, now=shop.at(hours=0.5))
    approve(shop, ask(shop, no, at=shop.at(hours=0.75), amount_fen=12000), 12000)
    shop.finish_refunds()
    assert (shop.status(no), shop.order(no).total_fen) == (OrderStatus.IN_USE, 0)
    stays.check_out(no, actor=shop.guest, now=shop.at(hours=1))
    assert (shop.status(no), due_of(shop, no)) == (OrderStatus.COMPLETED, 0)


@pytest.mark.parametrize(
    ("amount_fen", "status", "total_fen"),
    [
        pytest.param(5000, OrderStatus.COMPLETED, 7000, id="a part"),
        pytest.param(12000, OrderStatus.REFUNDED, 12000, id="everything"),
    ],
)
def test_completed_orders(shop: Shop, amount_fen: int, status: OrderStatus, total_fen: int) -> None:
    no = completed(shop)
    approve(shop, ask(shop, no, amount_fen), amount_fen)
    shop.finish_refunds()
    order = shop.order(no)
    assert (order.status, order.total_fen, order.refunded_fen) == (status, total_fen, amount_fen)
    assert due_of(shop, no) == 0
    assert shop.booking(no).state is BookingState.ENDED


def test_refunds_of_several_requests_never_exceed_the_payment(shop: Shop) -> None:
    no = completed(shop)
    for _ in range(2):
        approve(shop, ask(shop, no, 5000), 5000)
        shop.finish_refunds()
    with refused("invalid_field"):
        ask(shop, no, 2001)
    approve(shop, ask(shop, no, 2000), 2000)
    shop.finish_refunds()
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 12000)


def test_by_the_rules_after_the_start_nothing_goes_back(shop: Shop) -> None:
    request_id = ask(shop, completed(shop), at=shop.at(hours=3))
    shop.cashier()
    with refused("invalid_field"):
        approve(shop, request_id)


def test_refusal_is_told_with_its_reason(shop: Shop) -> None:
    no = shop.paid_booking()
    request_id = ask(shop, no)
    refund_requests.reject_request(request_id, reason="已过退款时间", actor=shop.cashier(), now=shop.now)

    request = row_of(shop, request_id)
    assert (request.status, request.decided_by) == (RefundRequestStatus.REFUSED, "林晓")
    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert shop.notices(no)[-1] == "refund_refused"
    entry = next(row for row in shop.rows(AuditEntry) if row.entity == "refund_requests")
    assert (entry.action, entry.actor_name, entry.reason) == ("refuse", "林晓", "已过退款时间")
    # Refused once is not refused for ever.
    assert ask(shop, no)


@pytest.mark.parametrize("first", ["approve", "refuse", "withdraw"])
def test_a_request_is_decided_once(shop: Shop, first: str) -> None:
    no = shop.paid_booking()
    request_id = ask(shop, no)
    shop.cashier()
    steps: dict[str, Callable[[], Any]] = {
        "approve": lambda: approve(shop, request_id),
        "refuse": lambda: refund_requests.reject_request(
            request_id, reason="不", actor=shop.cashier(), now=shop.now
        ),
        "withdraw": lambda: refund_requests.withdraw_request(no, request_id, actor=shop.guest, now=shop.now),
    }
    steps[first]()
    for step in steps.values():
        with unchanged(), pytest.raises(DomainError) as refusal:
            step()
        assert refusal.value.code in ("invalid_transition", "refund_not_allowed")
    assert len(shop.rows(Refund)) == (1 if first == "approve" else 0)


def test_unused_vouchers_are_taken_back_whole(shop: Shop) -> None:
    campaign = shop.campaign(per_customer_limit=5, stock=10)
    no = shop.group_order(campaign, quantity=3)
    shop.pay(no)
    each_fen = shop.vouchers(no)[0].price_fen
    request_id = ask(shop, no, 2 * each_fen)
    shop.cashier()
    with refused("invalid_field"):
        approve(shop, request_id, each_fen + 1)
    approve(shop, request_id, 2 * each_fen)

    statuses = [voucher.status for voucher in shop.vouchers(no)]
    assert statuses == [VoucherStatus.REFUNDING, VoucherStatus.REFUNDING, VoucherStatus.ISSUED]
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.ISSUED
    assert [voucher.status for voucher in shop.vouchers(no)].count(VoucherStatus.REFUNDED) == 2
    assert (shop.order(no).campaign.sold_count, shop.rows(CampaignBuyer)[0].taken_count) == (1, 1)
    assert due_of(shop, no) == 0
    approve(shop, ask(shop, no))
    shop.finish_refunds()
    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 3 * each_fen)


def test_a_refunded_member_leaves_its_seat_to_others(shop: Shop) -> None:
    campaign = shop.campaign(team_size=2, team_minutes=60)
    no = shop.group_order(campaign)
    shop.pay(no)
    approve(shop, ask(shop, no))

    team = shop.order(no).team
    assert team is not None and team.joined_count == 0
    shop.finish_refunds()
    assert shop.status(no) is OrderStatus.REFUNDED


def test_leaving_otherwise_withdraws_the_request(shop: Shop) -> None:
    no = shop.paid_booking()
    request_id = ask(shop, no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    assert row_of(shop, request_id).status is RefundRequestStatus.WITHDRAWN
