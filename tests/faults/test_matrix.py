"""Every way of paying through every fault: one entry, the right state, nothing lost or stuck."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.actor import SYSTEM
from app.extensions import db
from app.models import Payment
from app.services import clockwork, payments
from app.services.order_log import record_event
from tests.faults.moves import MOVES, UNHEARD, WAYS, Move
from tests.faults.tally import Tally
from tests.faults.world import Way, World

CELLS = [
    pytest.param(way, move, id=f"{channel}, {operation}, {fault}")
    for channel, way in WAYS.items()
    for operation, moves in MOVES.items()
    for fault, move in moves.items()
]


@pytest.mark.faults
@pytest.mark.parametrize(("way", "move"), CELLS)
def test_cell(
    open_world: Callable[[Way], World], tally: Tally, request: pytest.FixtureRequest, way: Way, move: Move
) -> None:
    world = open_world(way)
    expected = move(world)
    world.come_to_rest()

    row = world.judge(request.node.callspec.id)
    tally.rows.append(row)
    assert (row.lost, row.stuck, row.wrong) == (0, 0, 0), row
    orders = {no: world.shop.order(no) for no in expected}
    found = {no: (order.status, order.paid_fen, order.refunded_fen) for no, order in orders.items()}
    assert found == expected
    assert row.credits == sum(paid > 0 for _, paid, _ in expected.values())


def spoil_books(world: World, no: str) -> None:
    order = world.shop.order(no)
    order.paid_fen += 1
    db.session.commit()


def spoil_entry(world: World, no: str) -> None:
    order = world.shop.order(no)
    record_event(order, "payment_succeeded", actor=SYSTEM, now=world.now)
    db.session.commit()


def spoil_payment(world: World, no: str) -> None:
    (payment,) = world.shop.rows(Payment)
    payment.amount_fen -= 1
    db.session.commit()


def spoil_state(world: World, no: str) -> None:
    (payment,) = world.shop.rows(Payment)
    payment.next_query_at = world.now
    db.session.commit()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(spoil_books, (0, 0, 1), id="a fen too much"),
        pytest.param(spoil_entry, (0, 0, 1), id="entered twice"),
        pytest.param(spoil_payment, (2, 0, 1), id="another amount than the service has"),
        pytest.param(spoil_state, (0, 1, 0), id="still waits"),
    ],
)
def test_judge_finds_what_is_spoilt(
    open_world: Callable[[Way], World], spoil: Callable[[World, str], None], found: tuple[int, int, int]
) -> None:
    world = open_world(WAYS["wechat jsapi"])
    no = world.shop.book(3, 2)
    world.pay(no)
    world.come_to_rest()
    row = world.judge("as it is")
    assert (row.lost, row.stuck, row.wrong) == (0, 0, 0)

    spoil(world, no)

    row = world.judge("spoilt")
    assert (row.lost, row.stuck, row.wrong) == found


def test_control_without_the_jobs_loses_what_nobody_tells(
    open_world: Callable[[Way], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "query_silent_payments", lambda **_: 0)
    monkeypatch.setattr(clockwork, "expire_holds", lambda **_: 0)
    world = open_world(WAYS["alipay create"])
    MOVES["pay"][UNHEARD](world)
    world.come_to_rest()
    row = world.judge("without jobs")
    assert (row.lost, row.stuck) == (1, 2)
