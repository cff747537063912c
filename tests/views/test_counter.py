"""Money over the counter as pages and as JSON: forms, roles, stores, hostile input, the receipt."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain.states import OrderStatus
from app.models import AuditEntry, CounterEntry, IdempotencyKey, Refund, Shift, Store
from app.services import cancellations, shifts, walk_ins
from tests import factories
from tests.services.counter import unchanged
from tests.services.desk import CASH, POS, Desk, slip
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, Visitor, client_of, main_of, stranger_of

CARD = "6225760000001234"
KEPT = IdempotencyKey.__tablename__


@pytest.fixture
def cashier(app: Flask, shop: Shop) -> Visitor:
    """The cashier of `Shop.cashier`, whose shift is not open yet."""
    return client_of(app, factories.make_staff("Cashier", shop.store, username="cashier"))


@pytest.fixture
def no(shop: Shop) -> str:
    return walk_ins.create_walk_in(shop.room.id, minutes=120, actor=shop.cashier(), now=shop.now)


def open_shift(client: Visitor, shop: Shop, **values: Any) -> TestResponse:
    return client.post("/shifts/open", data={"store_id": shop.store.id, "float": "500"} | values)


def take(client: Visitor, no: str, **values: Any) -> TestResponse:
    return client.post(f"/orders/{no}/actions/take_payment", json={"channel": CASH} | values, headers=JSON)


def test_cashier_opens_a_shift_takes_cash_and_lets_in(shop: Shop, cashier: Visitor, no: str) -> None:
    page = cashier.get(f"/orders/{no}")
    assert f"/shifts/open?store_id={shop.store.id}" in page.get_data(as_text=True)
    assert cashier.get("/shifts/open").status_code == 200

    opened = open_shift(cashier, shop, next=f"/orders/{no}")
    assert (opened.status_code, opened.location) == (302, f"/orders/{no}")
    assert (shop.rows(Shift)[0].float_fen, shop.rows(Shift)[0].cashier_name) == (50000, "王明")

    taken = cashier.post(
        f"/orders/{no}/actions/take_payment",
        data={"channel": CASH, "tendered": "２００", "due_fen": "12000", "nonce": "n1"},
        follow_redirects=True,
    )
    assert "¥120.00" in main_of(taken) and "¥80.00" in taken.get_data(as_text=True)
    assert shop.status(no) is OrderStatus.AWAITING_USE
    # Sent twice, it is taken once, and says so again.
    again = cashier.post(
        f"/orders/{no}/actions/take_payment",
        data={"channel": CASH, "tendered": "２００", "due_fen": "12000", "nonce": "n1"},
        follow_redirects=True,
    )
    assert "¥80.00" in again.get_data(as_text=True)
    assert len(shop.rows(CounterEntry)) == 1
    assert cashier.post(f"/orders/{no}/actions/check_in", json={}, headers=JSON).status_code == 200


def test_the_same_as_json(shop: Shop, cashier: Visitor, no: str) -> None:
    refused = take(cashier, no)
    assert (refused.status_code, refused.json["code"]) == (409, "shift_required")
    opened = cashier.post("/shifts/open", json={"store_id": shop.store.id, "float_fen": 50000}, headers=JSON)
    assert (opened.status_code, list(opened.json)) == (201, ["id"])
    told = cashier.get(f"/orders/{no}", headers=JSON).json["counter"]
    assert told == {
        "due_fen": 12000,
        "has_shift": True,
        "store_id": str(shop.store.id),
        "ways": [CASH, POS],
        "refunds": [],
    }

    taken = take(cashier, no, tendered_fen=15000)
    assert taken.status_code == 200
    assert taken.json["payment_no"].startswith("P")
    assert (taken.json["status"], taken.json["amount_fen"], taken.json["change_fen"]) == (
        "succeeded",
        12000,
        3000,
    )

    shift = cashier.get(f"/shifts/{opened.json['id']}", headers=JSON).json
    assert [(each["channel"], each["expected_fen"]) for each in shift["sums"]] == [(CASH, 62000), (POS, 0)]
    closed = cashier.post(
        f"/shifts/{opened.json['id']}/close",
        json={"counted_cash_fen": 62000, "counted_pos_fen": 0},
        headers=JSON,
    )
    assert closed.json == {"difference_fen": 0, "differences": {CASH: 0, POS: 0}}


def test_card_form_keeps_the_slip(shop: Shop, cashier: Visitor, no: str) -> None:
    open_shift(cashier, shop)
    page = cashier.get(f"/orders/{no}").get_data(as_text=True)
    assert all(f'name="{name}"' in page for name in slip())
    done = cashier.post(f"/orders/{no}/actions/take_payment", data=slip() | {"channel": POS})
    assert done.status_code == 302
    assert shop.rows(CounterEntry)[0].card_tail == "6789"


def test_refund_is_handed_out_from_the_work_list(shop: Shop, cashier: Visitor, no: str) -> None:
    open_shift(cashier, shop)
    take(cashier, no)
    adjusted = {"amount_fen": -3000, "reason": "空调坏了"}
    cashier.post(f"/orders/{no}/actions/adjust", json=adjusted, headers=JSON)
    (task,) = cashier.get("/counter-refunds/", headers=JSON).json["items"]
    assert (task["order_no"], task["amount_fen"], task["channel"]) == (no, 3000, CASH)
    assert "¥30.00" in main_of(cashier.get("/counter-refunds/"))
    assert "¥30.00" in main_of(cashier.get(f"/orders/{no}"))

    done = cashier.post(f"/counter-refunds/{task['refund_no']}/hand-out", data={"next": f"/orders/{no}"})

    assert (done.status_code, done.location) == (302, f"/orders/{no}")
    assert shop.order(no).refunded_fen == 3000
    assert cashier.get("/counter-refunds/", headers=JSON).json["items"] == []
    again = cashier.post(f"/counter-refunds/{task['refund_no']}/hand-out", json={}, headers=JSON)
    assert (again.status_code, again.json["code"]) == (409, "invalid_transition")


def test_difference_is_shown_after_counting_and_closed_with_its_reason(
    shop: Shop, cashier: Visitor, no: str
) -> None:
    open_shift(cashier, shop)
    take(cashier, no)
    (shift,) = shop.rows(Shift)
    page = main_of(cashier.get(f"/shifts/{shift.id}"))
    # Nobody copies what should be there: it is shown once something was counted.
    assert "¥620.00" not in page and "¥120.00" in page

    counted = {"counted_cash": "615", "counted_pos": "0"}
    refused = cashier.post(f"/shifts/{shift.id}/close", data=counted)
    assert refused.status_code == 422
    assert "-¥5.00" in main_of(refused) and 'value="615"' in refused.get_data(as_text=True)
    closed = cashier.post(
        f"/shifts/{shift.id}/close", data=counted | {"reason": "找零时数错"}, follow_redirects=True
    )
    words = main_of(closed)
    assert all(text in words for text in ("¥620.00", "¥615.00", "−¥5.00", "找零时数错"))
    assert "close-form" not in closed.get_data(as_text=True)
    assert [row.action for row in shop.rows(AuditEntry)][-1] == "close_shift"


def test_cashiers_see_their_own_shifts_and_managers_all_of_their_stores(
    app: Flask, shop: Shop, cashier: Visitor, log_in: LogIn, other_store: Store
) -> None:
    open_shift(cashier, shop)
    (shift,) = shop.rows(Shift)
    colleague, manager, analyst = log_in("Cashier"), log_in("Manager"), log_in("Analyst")
    neighbour, owner, service = log_in("Manager", other_store), log_in("Owner"), log_in("Service")
    counted = {"counted_cash_fen": 50000, "counted_pos_fen": 0}
    for client, sees in (
        (cashier, 1),
        (manager, 1),
        (owner, 1),
        (analyst, 1),
        (colleague, 0),
        (neighbour, 0),
    ):
        words = main_of(client.get("/shifts/list/"))
        assert ("王明" in words) == bool(sees)
        for path in (f"/shifts/{shift.id}", f"/shifts/show/{shift.id}"):
            assert client.get(path).status_code in ((200, 302) if sees else (404,))
    assert service.get("/shifts/list/").status_code == 403
    for client, status in ((colleague, 404), (neighbour, 404), (analyst, 403), (service, 403)):
        with unchanged():
            answer = client.post(f"/shifts/{shift.id}/close", json=counted, headers=JSON)
        assert answer.status_code == status
    assert "王明" in manager.get("/shifts/export").get_data(as_text=True)
    assert "王明" not in neighbour.get("/shifts/export").get_data(as_text=True)
    assert manager.post(f"/shifts/{shift.id}/close", json=counted, headers=JSON).status_code == 200


def test_other_roles_and_stores_move_no_money(
    shop: Shop, log_in: LogIn, other_store: Store, app: Flask
) -> None:
    desk = Desk.open(shop)
    no = shop.book()
    desk.take(no)
    paid = shop.book(8)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refund_no = shop.rows(Refund)[0].refund_no
    clients = [
        (log_in("Service"), 403, 403),
        (log_in("Analyst"), 403, 403),
        (log_in("Cashier", other_store), 404, 404),
    ]
    for client, takes, hands_out in clients:
        with unchanged():
            assert take(client, paid).status_code == takes
            handed = client.post(f"/counter-refunds/{refund_no}/hand-out", json={}, headers=JSON)
            assert handed.status_code == hands_out
            assert open_shift(client, shop).status_code == takes
    with unchanged():
        handed = stranger_of(app).post(f"/counter-refunds/{refund_no}/hand-out", json={}, headers=JSON)
        assert handed.status_code == 401


HOSTILE: list[dict[str, Any]] = [
    {"channel": CASH, "tendered_fen": value}
    for value in (-1, 0, 1.5, "1e9", "9" * 400, True, [], {}, "\u0661\u0662", "12000;DROP", 10**18)
] + [
    {"channel": "wechat_cash"},
    {"channel": ["counter_cash"]},
    {"channel": POS},
    {"channel": POS, **slip(card_tail=CARD)},
    {"channel": POS, **slip(terminal_no=CARD)},
    {"channel": POS, **slip(reference_no=" ".join(CARD))},
    {"channel": POS, **slip(card_tail="<b>1")},
    {"channel": POS, **slip(terminal_no="終端機")},
    {"channel": POS, "terminal_no": {"a": 1}, "reference_no": [1], "card_tail": 6789},
    {"channel": CASH, "due_fen": "12001"},
    {"channel": CASH, "due_fen": {"x": 1}},
]


@pytest.mark.parametrize("values", HOSTILE, ids=lambda values: repr(values)[:60])
def test_hostile_tenders_are_refused_and_leave_nothing(
    shop: Shop, cashier: Visitor, no: str, values: dict[str, Any]
) -> None:
    open_shift(cashier, shop)
    with unchanged():
        answer = take(cashier, no, **values)
    assert 400 <= answer.status_code < 500 and answer.json["code"]
    if all(isinstance(value, str) for value in values.values()):
        with unchanged():
            page = cashier.post(f"/orders/{no}/actions/take_payment", data=values)
        assert page.status_code == 302
    assert CARD not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"store_id": "999", "float": "1"},
        {"store_id": "x", "float": "1"},
        {"float": "-5"},
        {"float": "1.234"},
        {"float": "9" * 60},
        {"float": "\ud800"},
    ],
    ids=repr,
)
def test_hostile_openings_are_refused(shop: Shop, cashier: Visitor, values: dict[str, str]) -> None:
    sent = ({"store_id": str(shop.store.id)} if "float" in values else {}) | values
    with unchanged():
        answer = cashier.post("/shifts/open", json=sent, headers=JSON)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("number", ["0", "2147483648", "99999999999999999999", "-1", "x", "1e3"])
def test_shifts_that_are_not_there(cashier: Visitor, number: str) -> None:
    assert cashier.get(f"/shifts/{number}").status_code == 404
    assert cashier.post(f"/shifts/{number}/close", json={}, headers=JSON).status_code in (404, 405)


def test_next_stays_on_this_site(shop: Shop, cashier: Visitor) -> None:
    answer = open_shift(cashier, shop, next="//evil.example/x")
    assert answer.status_code == 302 and re.fullmatch(r"/shifts/\d+", answer.location)


def test_receipt_shows_lines_money_and_slip_and_nothing_of_others(
    shop: Shop, cashier: Visitor, no: str, log_in: LogIn, other_store: Store
) -> None:
    open_shift(cashier, shop)
    cashier.post(f"/orders/{no}/actions/take_payment", json=slip() | {"channel": POS}, headers=JSON)
    page = cashier.get(f"/orders/{no}/receipt")
    words = main_of(page)
    for expected in (
        no,
        "静安寺店",
        "听雨",
        "2026-03-04 12:00–14:00",
        "¥120.00",
        "80012345",
        "603041200123",
        "6789",
    ):
        assert expected in words
    assert "data-print" in page.get_data(as_text=True)
    told = cashier.get(f"/orders/{no}/receipt", headers=JSON).json
    assert (told["total_fen"], told["payments"][0]["slip"]) == (12000, slip())
    assert log_in("Service").get(f"/orders/{no}/receipt").status_code == 200
    assert log_in("Cashier", other_store).get(f"/orders/{no}/receipt").status_code == 404
    assert cashier.get("/orders/B0/receipt", headers=JSON).status_code == 404


def test_receipt_of_cash_names_change_and_refund(shop: Shop, cashier: Visitor, no: str) -> None:
    open_shift(cashier, shop)
    take(cashier, no, tendered_fen=20000)
    cashier.post(
        f"/orders/{no}/actions/adjust", json={"amount_fen": -3000, "reason": "空调坏了"}, headers=JSON
    )
    words = main_of(cashier.get(f"/orders/{no}/receipt"))
    for expected in ("空调坏了", "¥90.00", "¥200.00", "¥80.00", "−¥30.00"):
        assert expected in words


def test_amounts_typed_by_hand_are_text_on_the_page(shop: Shop, cashier: Visitor) -> None:
    open_shift(cashier, shop)
    (shift,) = shop.rows(Shift)
    typed = {"counted_cash": '"><script>alert(1)</script>', "counted_pos": "0", "reason": "<b>x</b>"}
    answer = cashier.post(f"/shifts/{shift.id}/close", data=typed)
    assert answer.status_code == 422
    assert "<script>alert" not in answer.get_data(as_text=True) and "<b>x</b>" not in answer.get_data(
        as_text=True
    )
    assert shifts.list_open(actor=shop.cashier()) != []
