"""Shifts: one open for each cashier and store, closed with what was counted, seen by whom they concern."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.actor import ALL_STORES, staff_actor
from app.domain.errors import DomainError
from app.domain.states import ShiftStatus
from app.models import AuditEntry, Shift, ShiftCount
from app.services import shifts
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.desk import FLOAT_FEN, POS, Desk
from tests.services.shop import Shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk.open(shop)


def test_shift_opens_with_its_float(desk: Desk, shop: Shop) -> None:
    shift = desk.shift()
    assert (shift.status, shift.float_fen, shift.cashier_name) == (ShiftStatus.OPEN, FLOAT_FEN, "林晓")
    assert shifts.list_open(actor=desk.cashier) == [
        {"id": shift.id, "store_id": shop.store.id, "store": shop.store.name, "opened_at": shop.now}
    ]
    (entry,) = shop.rows(AuditEntry)
    assert (entry.action, entry.store_id, entry.after) == (
        "open_shift",
        shop.store.id,
        {"float_fen": FLOAT_FEN},
    )


def test_one_open_shift_for_each_cashier_and_store(desk: Desk, shop: Shop) -> None:
    with refused("shift_already_open"):
        Desk.open(shop)
    other = factories.make_store()
    both = shop.cashier(shop.store, other)
    shifts.open_shift(other.id, float_fen=0, actor=both, now=shop.now)
    Desk.open(shop, username="second")
    assert len(shop.rows(Shift)) == 3
    assert [store["has_shift"] for store in shifts.list_stores(actor=both)] == [True, True]
    desk.close(FLOAT_FEN)
    Desk.open(shop)


def test_database_refuses_the_second_open_shift(
    desk: Desk, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that look at the same moment find none: the index has the last word, and says the same."""
    monkeypatch.setattr(shifts, "find_open", lambda store_id, actor: None)
    with refused("shift_already_open"):
        shifts.open_shift(shop.store.id, float_fen=0, actor=desk.cashier, now=shop.now)


def test_shift_opens_only_inside_the_scope(shop: Shop) -> None:
    other, cashier, guest, store_id = factories.make_store(), shop.cashier(), shop.guest, shop.store.id
    for elsewhere in (other.id, 999):
        with refused("not_found"):
            shifts.open_shift(elsewhere, float_fen=0, actor=cashier, now=shop.now)
    owner = staff_actor(shop.cashier(username="owner").id or 0, "老板", ALL_STORES)
    with refused("not_found"):
        shifts.open_shift(999, float_fen=0, actor=owner, now=shop.now)
    with refused("forbidden"):
        shifts.open_shift(store_id, float_fen=0, actor=guest, now=shop.now)


def test_shift_closes_when_all_is_there(desk: Desk, shop: Shop) -> None:
    desk.take(shop.book(), POS)
    answer = desk.close(FLOAT_FEN, 12000, at=shop.at(8))

    assert answer == {"differences": {"counter_cash": 0, "counter_pos": 0}, "difference_fen": 0}
    shift = desk.shift()
    assert (shift.status, shift.closed_at, shift.closed_by_name) == (ShiftStatus.CLOSED, shop.at(8), "林晓")
    assert [(row.expected_fen, row.counted_fen) for row in shop.rows(ShiftCount)] == [
        (FLOAT_FEN, FLOAT_FEN),
        (12000, 12000),
    ]
    assert shop.rows(AuditEntry)[-1].action == "close_shift"
    with refused("invalid_transition"):
        desk.close(FLOAT_FEN, 12000)


def test_difference_needs_its_reason(desk: Desk, shop: Shop) -> None:
    desk.take(shop.book())
    with refused("difference_unexplained") as caught:
        desk.close(FLOAT_FEN + 11500, 0)
    assert caught.value.data == {"differences": {"counter_cash": -500, "counter_pos": 0}}

    desk.close(FLOAT_FEN + 11500, 0, reason="找零时数错")

    shift = desk.shift()
    assert (shift.difference_fen, shift.reason) == (-500, "找零时数错")
    found = shifts.get_shift(desk.shift_id, is_overseer=False, actor=desk.cashier)
    assert [each["difference_fen"] for each in found["sums"]] == [-500, 0]


def test_differences_that_cancel_each_other_need_a_reason_too(desk: Desk) -> None:
    with refused("difference_unexplained"):
        desk.close(FLOAT_FEN - 100, 100)


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("invalid_field", {"counted_cash_fen": None}),
        ("invalid_field", {"counted_pos_fen": ""}),
        ("invalid_field", {"counted_cash_fen": -1}),
        ("invalid_field", {"counted_cash_fen": "5e4"}),
        ("invalid_field", {"reason": "长" * 201}),
        ("card_number_refused", {"reason": "顾客卡号 6225 7600 0000 1234"}),
    ],
)
def test_close_refused(desk: Desk, code: str, values: dict[str, Any]) -> None:
    with refused(code):
        desk.close(FLOAT_FEN, **values)


def test_closed_shift_stays_as_it_was_counted(desk: Desk, shop: Shop) -> None:
    desk.close(FLOAT_FEN)
    no = shop.book()
    with refused("shift_required"):
        desk.take(no)


def test_cashiers_see_their_own_shifts_and_overseers_those_of_their_stores(desk: Desk, shop: Shop) -> None:
    second = shop.cashier(username="second")
    stranger = shop.cashier(factories.make_store(), username="stranger")
    sees: list[tuple[Any, bool, bool]] = [
        (desk.cashier, False, True),
        (second, False, False),
        (second, True, True),
        (stranger, False, False),
        (stranger, True, False),
    ]
    counted = {"counted_cash_fen": FLOAT_FEN, "counted_pos_fen": 0}
    for actor, is_overseer, may in sees:
        if may:
            assert (
                shifts.get_shift(desk.shift_id, is_overseer=is_overseer, actor=actor)["id"] == desk.shift_id
            )
            continue
        with unchanged(), pytest.raises(DomainError, match="not_found"):
            shifts.get_shift(desk.shift_id, is_overseer=is_overseer, actor=actor)
        with refused("not_found"):
            shifts.close_shift(desk.shift_id, counted, is_overseer=is_overseer, actor=actor, now=shop.now)
    shifts.close_shift(desk.shift_id, counted, is_overseer=True, actor=second, now=shop.now)
    assert desk.shift().closed_by_name == "林晓"
