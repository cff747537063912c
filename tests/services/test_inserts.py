"""Rows written together: every kind of value, ids in their order, and nothing of what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.domain.actor import SYSTEM
from app.domain.states import OrderKind, OrderStatus
from app.extensions import db
from app.models import IdempotencyKey, Order, OrderEvent, OrderSource
from app.services.inserts import insert_together, next_id
from app.services.order_log import event_row
from app.services.unit_of_work import dialect_name, run_in_transaction, session
from tests.services.shop import Shop


def order_row(shop: Shop, order_id: int, **values: Any) -> dict[str, Any]:
    return {
        "id": order_id,
        "no": f"B{order_id}",
        "kind": OrderKind.BOOKING,
        "status": OrderStatus.PENDING_PAYMENT,
        "source": OrderSource.COUNTER,
        "store_id": shop.store.id,
        "quantity": 1,
        "base_fen": 5,
        "extra_fen": 0,
        "discount_fen": 0,
        "total_fen": 5,
        "paid_fen": 0,
        "refunded_fen": 0,
        "cancel_fee_fen": 0,
        "policy": {"cancel_steps": [{"minutes_before": None, "fee_percent": 30}], "name": "雀 \"'\\"},
        "note": "靠窗 \"'\\ :x %(y)s",
        "created_at": shop.now,
        "expires_at": None,
    } | values


def key_row(shop: Shop) -> dict[str, Any]:
    scope = {"owner": "customer:1", "method": "POST", "path": "/x", "key": "k", "body_hash": "h"}
    kept = {"created_at": shop.now, "response_status": 201, "response_body": bytes(range(256))}
    return scope | kept


def events(*order_ids: int, shop: Shop) -> list[dict[str, Any]]:
    return [event_row(each, "create", actor=SYSTEM, now=shop.now, target=None) for each in order_ids]


def write(groups: Any) -> list[int]:
    return run_in_transaction(lambda: insert_together(groups))


def test_values_arrive_as_they_left(shop: Shop) -> None:
    row, key = order_row(shop, 7), key_row(shop)

    write({Order.__table__: [row], IdempotencyKey.__table__: [key]})

    (order,), (kept,) = shop.rows(Order), shop.rows(IdempotencyKey)
    assert {name: getattr(order, name) for name in row} == row
    assert {name: getattr(kept, name) for name in key} == key


def test_ids_of_the_last_table_come_in_the_order_of_its_rows(shop: Shop) -> None:
    orders = [order_row(shop, number) for number in (3, 1, 2)]

    ids = write({Order.__table__: orders, OrderEvent.__table__: events(2, 3, 1, 2, shop=shop)})

    by_id = {row.id: row.order_id for row in shop.rows(OrderEvent)}
    assert [by_id[event_id] for event_id in ids] == [2, 3, 1, 2]


def test_tables_without_rows_are_left_out(shop: Shop) -> None:
    ids = write(
        {IdempotencyKey.__table__: [], Order.__table__: [order_row(shop, 9)], OrderEvent.__table__: []}
    )

    assert ids == [9]
    assert (shop.rows(IdempotencyKey), shop.rows(OrderEvent)) == ([], [])


@pytest.mark.parametrize(
    ("label", "changes"), [("check", {"total_fen": -5}), ("missing parent", {"store_id": 4711})]
)
def test_what_a_constraint_refuses_leaves_nothing(shop: Shop, label: str, changes: dict[str, Any]) -> None:
    groups = {
        IdempotencyKey.__table__: [key_row(shop)],
        Order.__table__: [order_row(shop, 1, **changes)],
        OrderEvent.__table__: events(1, shop=shop),
    }

    with pytest.raises(IntegrityError):
        write(groups)

    assert (shop.rows(Order), shop.rows(OrderEvent), shop.rows(IdempotencyKey)) == ([], [], [])


def test_next_id_is_nobody_elses(shop: Shop) -> None:
    taken = {shop.order(shop.book(start)).id for start in (3, 6)}

    def draw() -> int:
        order_id = session().execute(next_id(Order.__table__, dialect_name())).scalar_one()
        insert_together({Order.__table__: [order_row(shop, order_id)]})
        return int(order_id)

    drawn = [run_in_transaction(draw) for _ in range(3)]
    assert len({*taken, *drawn}) == 5
    # What is inserted in any other way goes on behind them.
    assert shop.order(shop.book(9)).id not in {*taken, *drawn}
    assert db.session.scalars(select(Order.id).order_by(Order.id.desc())).first() not in drawn
