"""Sixteen threads in services after one thing: one effect, everybody else refused, and no failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask

from app.domain.actor import ALL_STORES
from app.domain.errors import DomainError
from app.domain.states import BookingState, OrderStatus, RefundStatus, TeamStatus, VoucherStatus
from app.extensions import db, use_scope
from app.models import (
    Booking,
    Campaign,
    Notification,
    OrderEvent,
    Payment,
    PaymentCallback,
    Redemption,
    Refund,
    Team,
    Voucher,
)
from app.services import (
    bookings,
    cancellations,
    clockwork,
    group_orders,
    payments,
    redemptions,
    refunds,
    stays,
    teams,
)
from tests import factories
from tests.races.crowd import together
from tests.services.counter import callback_of
from tests.services.shop import Shop

pytestmark = pytest.mark.races
CROWD = 16
Work = Callable[[], Any]
Run = Callable[..., Counter[str]]


@pytest.fixture
def run(app: Flask) -> Run:
    """Run all works at once, each in a context of its own; count how often each came to what."""

    def outcome(work: Work) -> str:
        with app.app_context(), use_scope(ALL_STORES):
            try:
                work()
            except DomainError as refusal:
                return refusal.code
            finally:
                db.session.remove()
            return "done"

    def run_all(*works: Work) -> Counter[str]:
        # The test's own connection must not hold a snapshot or a lock meanwhile.
        db.session.rollback()
        return Counter(together(works, outcome))

    return run_all


def times(work: Callable[[int], Any], count: int = CROWD) -> list[Work]:
    """The same work for each number of the crowd."""
    return [lambda number=number: work(number) for number in range(count)]


@pytest.mark.parametrize("is_same", [True, False], ids=["one callback", "many callbacks"])
def test_payment_is_credited_once(shop: Shop, run: Run, is_same: bool) -> None:
    no = shop.book()
    payment_no = shop.start_payment(no)
    shop.pay_service.pay(payment_no)

    def deliver(number: int) -> None:
        told = callback_of(payment_no, "one" if is_same else f"callback-{number}")
        payments.receive_callback("wechat", **told, now=shop.now)

    assert run(*times(deliver)) == {"done": CROWD}

    assert (shop.status(no), shop.order(no).paid_fen) == (OrderStatus.AWAITING_USE, 12000)
    assert Counter(shop.events(no)) == {"create": 1, "payment_succeeded": 1, "pay": 1, "confirm": 1}
    assert len(shop.rows(PaymentCallback)) == (1 if is_same else CROWD)
    told = Counter(row.dedupe_key for row in shop.rows(Notification))
    assert set(told.values()) == {1}


def test_callback_query_expiry_and_cancel_at_once(shop: Shop, run: Run) -> None:
    guests = [shop.another_guest() for _ in range(4)]
    numbers = [shop.book(3 + 2 * each, 2, actor=guest) for each, guest in enumerate(guests)]
    paid = [shop.start_payment(no) for no in numbers]
    for payment_no in paid:
        shop.pay_service.pay(payment_no)
    late = shop.at(minutes=16)
    works: list[Work] = [
        lambda: clockwork.expire_holds(now=late),
        lambda: payments.query_silent_payments(now=late),
        lambda: clockwork.expire_holds(now=late),
        lambda: payments.query_silent_payments(now=late),
    ]
    for payment_no in paid:
        works.append(
            lambda no=payment_no: payments.receive_callback("wechat", **callback_of(no, no), now=late)
        )
    works.append(lambda: cancellations.cancel_order(numbers[0], actor=guests[0], now=late))

    assert run(*works)["done"] == len(works)

    for no in numbers[1:]:
        assert (shop.status(no), shop.order(no).paid_fen) == (OrderStatus.AWAITING_USE, 12000)
    first = shop.order(numbers[0])
    assert first.status is OrderStatus.REFUNDING
    assert (first.paid_fen, [row.amount_fen for row in shop.rows(Refund)]) == (12000, [12000])


def test_one_place_has_one_winner(shop: Shop, run: Run) -> None:
    guests = [shop.another_guest() for _ in range(CROWD)]
    request = shop.request(3, 2)

    outcomes = run(
        *times(lambda number: bookings.create_booking(request, actor=guests[number], now=shop.now))
    )

    assert outcomes == {"done": 1, "room_taken": CROWD - 1}
    assert [row.state for row in shop.rows(Booking)] == [BookingState.HELD]


def test_overlapping_spans_stay_disjoint(make_shop: Callable[..., Shop], run: Run) -> None:
    shop = make_shop(buffer_after_minutes=30, buffer_before_minutes=30)
    guests = [shop.another_guest() for _ in range(CROWD)]

    requests = [shop.request(3 + number / 2, 1 + number % 3) for number in range(CROWD)]

    outcomes = run(
        *times(lambda number: bookings.create_booking(requests[number], actor=guests[number], now=shop.now))
    )

    assert set(outcomes) == {"done", "room_taken"}
    rows = sorted(shop.rows(Booking), key=lambda row: row.busy_from_at)
    assert len(rows) == outcomes["done"]
    assert all(one.busy_until_at <= other.busy_from_at for one, other in pairwise(rows))


def test_limit_of_one_customer_holds(make_shop: Callable[..., Shop], run: Run) -> None:
    shop = make_shop(max_open_holds=2)
    # Rooms of their own, so that no lock of a room helps.
    rooms = [factories.make_room(shop.store) for _ in range(10)]
    guest, requests = shop.guest, [shop.request(1, 1, room_id=room.id) for room in rooms]

    outcomes = run(
        *times(lambda number: bookings.create_booking(requests[number], actor=guest, now=shop.now), 10)
    )

    assert outcomes == {"done": 2, "customer_limit": 8}
    assert len(shop.rows(Booking)) == 2


def test_stale_hold_is_given_away_once(shop: Shop, run: Run) -> None:
    stale = shop.book()
    guests = [shop.another_guest() for _ in range(CROWD - 1)]
    request, late = shop.request(), shop.at(minutes=15)
    works = times(lambda number: bookings.create_booking(request, actor=guests[number], now=late), CROWD - 1)

    outcomes = run(*works, lambda: clockwork.expire_holds(now=late))

    assert outcomes == {"done": 2, "room_taken": CROWD - 2}
    assert shop.events(stale) == ["create", "expire"]


def test_cancel_refunds_once(shop: Shop, run: Run) -> None:
    no = shop.paid_booking()
    guest = shop.guest

    outcomes = run(*times(lambda number: cancellations.cancel_order(no, actor=guest, now=shop.now)))

    assert outcomes == {"done": 1, "invalid_transition": CROWD - 1}
    assert [row.amount_fen for row in shop.rows(Refund)] == [12000]
    assert shop.rows(Payment)[0].refund_reserved_fen == 12000


def test_refund_finishes_once(shop: Shop, run: Run) -> None:
    no = shop.paid_booking()
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    (refund,) = shop.rows(Refund)
    refunds.send_refund(refund.id, now=shop.now)
    shop.pay_service.settle_refund(refund.refund_no)
    number, refund_id = refund.refund_no, refund.id

    def finish(each: int) -> None:
        if each % 2:
            refunds.receive_callback("wechat", **callback_of(number, f"c{each % 4}"), now=shop.now)
        else:
            refunds.send_refund(refund_id, now=shop.now)

    assert run(*times(finish)) == {"done": CROWD}

    assert (shop.status(no), shop.order(no).refunded_fen) == (OrderStatus.REFUNDED, 12000)
    assert shop.rows(Refund)[0].status is RefundStatus.SUCCEEDED
    assert Counter(shop.events(no))["refund_succeeded"] == 1


def test_start_payment_is_one_attempt(shop: Shop, run: Run) -> None:
    no, guest = shop.book(), shop.guest
    start = lambda number: payments.start_payment(no, channel="wechat_jsapi", actor=guest, now=shop.now)  # noqa: E731

    assert run(*times(start)) == {"done": CROWD}

    assert len(shop.rows(Payment)) == 1


@pytest.mark.parametrize("is_same", [True, False], ids=["one nonce", "many cashiers"])
def test_voucher_is_redeemed_once(shop: Shop, run: Run, is_same: bool) -> None:
    rooms = [shop.room, *(factories.make_room(shop.store) for _ in range(CROWD - 1))]
    voucher, cashier = shop.voucher(), shop.cashier()
    room_ids = [room.id for room in rooms]
    nonces = [
        redemptions.preview(shop.store.id, code=voucher.code, actor=cashier, now=shop.now)["nonce"]
        for _ in range(CROWD)
    ]
    answers: list[dict[str, Any]] = []

    def confirm(number: int) -> None:
        nonce, room_id = (nonces[0], room_ids[0]) if is_same else (nonces[number], room_ids[number])
        answers.append(redemptions.confirm(nonce, room_id, actor=cashier, now=shop.now))

    outcomes = run(*times(confirm))

    assert outcomes == ({"done": CROWD} if is_same else {"done": 1, "voucher_already_redeemed": CROWD - 1})
    assert all(answer == answers[0] for answer in answers)
    assert len(shop.rows(Redemption)) == len(shop.rows(Booking)) == 1
    assert shop.rows(Voucher)[0].status is VoucherStatus.REDEEMED


def test_voucher_is_locked_by_one_booking(shop: Shop, run: Run) -> None:
    rooms = [factories.make_room(shop.store) for _ in range(8)]
    voucher, guest = shop.voucher(), shop.guest
    requests = [shop.request(3, 3, voucher_code=voucher.code, room_id=room.id) for room in rooms]

    outcomes = run(
        *times(lambda number: bookings.create_booking(requests[number], actor=guest, now=shop.now), 8)
    )

    assert outcomes == {"done": 1, "voucher_locked": 7}
    assert [row.state for row in shop.rows(Booking)] == [BookingState.RESERVED]


def test_desk_and_booking_want_one_voucher(shop: Shop, run: Run) -> None:
    room = factories.make_room(shop.store)
    voucher, cashier, guest = shop.voucher(), shop.cashier(), shop.guest
    nonce = redemptions.preview(shop.store.id, code=voucher.code, actor=cashier, now=shop.now)["nonce"]
    request, room_id = shop.request(3, 3, voucher_code=voucher.code, room_id=room.id), shop.room.id

    outcomes = run(
        lambda: redemptions.confirm(nonce, room_id, actor=cashier, now=shop.now),
        lambda: bookings.create_booking(request, actor=guest, now=shop.now),
    )

    assert outcomes["done"] == 1
    assert set(outcomes) - {"done"} <= {"voucher_locked", "voucher_already_redeemed", "invalid_field"}
    assert len(shop.rows(Booking)) == 1


def test_stock_and_seats_are_sold_once(shop: Shop, run: Run) -> None:
    campaign_id = shop.campaign(stock=5).id
    guests = [shop.another_guest() for _ in range(CROWD)]

    outcomes = run(
        *times(
            lambda number: group_orders.create_group_order(campaign_id, actor=guests[number], now=shop.now)
        )
    )

    assert outcomes == {"done": 5, "sold_out": CROWD - 5}
    assert shop.rows(Campaign)[0].sold_count == 5


def test_team_takes_as_many_as_it_has_seats(shop: Shop, run: Run) -> None:
    campaign = shop.campaign(team_size=4, team_minutes=60)
    first = shop.group_order(campaign)
    team_id = shop.order(first).team_id
    guests, campaign_id = [shop.another_guest() for _ in range(CROWD)], campaign.id

    def join(number: int) -> None:
        actor = guests[number]
        group_orders.create_group_order(campaign_id, team_id=team_id, actor=actor, now=shop.now)

    outcomes = run(*times(join))

    assert outcomes == {"done": 3, "team_full": CROWD - 3}
    assert shop.rows(Team)[0].joined_count == 4


def test_team_is_filled_or_fails_but_not_both(shop: Shop, run: Run) -> None:
    campaign = shop.campaign(team_size=4, team_minutes=10)
    guests = [shop.guest, *(shop.another_guest() for _ in range(3))]
    numbers = [shop.group_order(campaign, actor=guests[0])]
    team_id = shop.order(numbers[0]).team_id
    numbers += [shop.group_order(campaign, actor=guest, team_id=team_id) for guest in guests[1:]]
    paid = [shop.start_payment(no) for no in numbers]
    for payment_no in paid:
        shop.pay_service.pay(payment_no)
    late = shop.at(minutes=10)
    works: list[Work] = [lambda: teams.fail_overdue_teams(now=late)]
    for payment_no in paid:
        works.append(
            lambda no=payment_no: payments.receive_callback("wechat", **callback_of(no, no), now=late)
        )

    assert run(*works) == {"done": 5}

    statuses = {shop.status(no) for no in numbers}
    if shop.rows(Team)[0].status is TeamStatus.COMPLETE:
        assert (statuses, len(shop.rows(Voucher))) == ({OrderStatus.ISSUED}, 4)
    else:
        assert (statuses, len(shop.rows(Voucher))) == ({OrderStatus.REFUNDING}, 0)
        assert [row.amount_fen for row in shop.rows(Refund)] == [9900] * 4
        assert shop.rows(Campaign)[0].sold_count == 0


def test_check_in_and_end_happen_once(shop: Shop, run: Run) -> None:
    no, guest = shop.paid_booking(0, 1), shop.guest

    entered = run(*times(lambda number: stays.check_in(no, actor=guest, now=shop.now)))
    left = run(
        *times(lambda number: stays.check_out(no, actor=guest, now=shop.at(1)), 8),
        *times(lambda number: clockwork.advance_bookings(now=shop.at(1)), 8),
    )

    assert entered == {"done": 1, "invalid_transition": CROWD - 1}
    assert set(left) <= {"done", "invalid_transition"}
    events = Counter(row.event for row in shop.rows(OrderEvent))
    assert (events["check_in"], events["check_out"] + events["end"]) == (1, 1)
