"""Orders in the back office: list, page and next actions, as pages and as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain.states import OrderStatus
from app.extensions import db
from app.models import BookingPolicy, ChannelCredential, Payment, Refund, Store
from app.services import channels, walk_ins
from tests.services.counter import APP, MERCHANT, unchanged
from tests.services.shop import Shop
from tests.views.conftest import Clock, LogIn
from tests.views.helpers import JSON, Visitor, main_of, stranger_of

ACTIONS = ("confirm", "refuse", "check_in", "check_out", "cancel", "take_payment")


@pytest.fixture
def cashier(log_in: LogIn) -> Visitor:
    return log_in("Cashier")


def act(client: Visitor, no: str, name: str, **values: Any) -> TestResponse:
    """Ask for an action as a program does."""
    return client.post(f"/orders/{no}/actions/{name}", json=values, headers=JSON)


def confirm_by_hand(shop: Shop) -> None:
    """Let the shop's staff confirm bookings themselves."""
    policy = shop.rows(BookingPolicy)[0]
    policy.requires_confirmation = True
    db.session.commit()


def test_the_short_address_leads_to_the_list(cashier: Visitor) -> None:
    answer = cashier.get("/orders/")
    assert (answer.status_code, answer.location) == (302, "/orders/list/")


def test_the_list_names_place_time_and_money(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(start=3, hours=2)
    words = main_of(cashier.get("/orders/list/"))
    for expected in (no, "静安寺店 · 听雨", "2026-03-04 15:00", "¥120.00"):
        assert expected in words


def test_the_page_shows_everything_of_an_order(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(start=3, hours=2)
    page = cashier.get(f"/orders/{no}")

    assert page.status_code == 200
    words = main_of(page)
    payment = shop.rows(Payment)[0]
    for expected in (
        no,
        "听雨",
        "2026-03-04 15:00",
        "03-04 15:00–17:00",
        "林**",
        "*******8000",
        "¥120.00",
        payment.payment_no,
    ):
        assert expected in words
    assert "13800138000" not in page.get_data(as_text=True)


def test_the_same_facts_as_json(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(start=3, hours=2)
    answer = cashier.get(f"/orders/{no}", headers=JSON)

    assert answer.status_code == 200 and answer.json is not None
    order = answer.json
    assert (order["no"], order["status"], order["total_fen"], order["paid_fen"]) == (
        no,
        "awaiting_use",
        12000,
        12000,
    )
    assert order["store"] == {"id": str(shop.store.id), "name": "静安寺店"}
    assert order["customer"] == {"name": "林**", "phone": "*******8000"}
    assert order["start_at"] == "2026-03-04T15:00:00+08:00"
    assert order["events"][0]["event"] == "create"
    assert order["payments"][0]["status"] == "succeeded"
    allowed = {action["name"] for action in order["actions"] if action["allowed"]}
    assert allowed == {"add_minutes", "adjust", "cancel", "check_in", "move"}
    assert all(action["allowed"] or action["reason"] for action in order["actions"])
    assert order["cancel_preview"]["fee_fen"] + order["cancel_preview"]["refund_fen"] == 12000
    assert "13800138000" not in answer.get_data(as_text=True)


def test_codes_of_vouchers_are_never_whole(shop: Shop, cashier: Visitor) -> None:
    voucher = shop.voucher()
    no = voucher.order.no
    code = voucher.code
    page, told = cashier.get(f"/orders/{no}"), cashier.get(f"/orders/{no}", headers=JSON)

    assert f"…{code[-4:]}" in main_of(page)
    assert told.json is not None and told.json["vouchers"][0]["code"] == f"…{code[-4:]}"
    assert code not in page.get_data(as_text=True) + told.get_data(as_text=True)


def test_guests_are_let_in_and_out(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(start=0, hours=2)
    let_in = act(cashier, no, "check_in")
    assert let_in.status_code == 200 and let_in.json is not None
    assert let_in.json["access"]["kind"]
    assert shop.status(no) is OrderStatus.IN_USE

    assert act(cashier, no, "check_out").json == {}
    assert shop.status(no) is OrderStatus.COMPLETED


def test_a_booking_is_confirmed_by_hand(shop: Shop, cashier: Visitor) -> None:
    confirm_by_hand(shop)
    no = shop.paid_booking()
    assert shop.status(no) is OrderStatus.PAID
    answer = cashier.post(f"/orders/{no}/actions/confirm")

    assert (answer.status_code, answer.location) == (302, f"/orders/{no}")
    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_a_refused_booking_is_refunded_in_full(shop: Shop, cashier: Visitor) -> None:
    confirm_by_hand(shop)
    no = shop.paid_booking()
    assert act(cashier, no, "refuse", reason="设备故障").status_code == 200

    assert shop.status(no) is OrderStatus.REFUNDING
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [12000]
    assert "设备故障" in main_of(cashier.get(f"/orders/{no}"))


def test_cancelling_costs_what_the_page_says(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking(start=1, hours=2)
    preview = cashier.get(f"/orders/{no}", headers=JSON).json["cancel_preview"]  # type: ignore[index]
    assert (preview["fee_fen"], preview["refund_fen"]) == (3600, 8400)
    assert "¥36.00" in main_of(cashier.get(f"/orders/{no}"))
    assert act(cashier, no, "cancel", reason="客人改期").status_code == 200

    assert shop.order(no).cancel_fee_fen == 3600
    assert [refund.amount_fen for refund in shop.rows(Refund)] == [8400]


def test_money_is_collected_by_a_code_on_the_screen(
    shop: Shop, cashier: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"code_url": "weixin://wxpay/bizpayurl?pr=quefang"}
    monkeypatch.setattr(shop.pay_service, "create_payment", lambda request: params)
    no = walk_ins.create_walk_in(shop.room.id, minutes=60, actor=shop.cashier(), now=shop.now)
    page = cashier.post(f"/orders/{no}/actions/take_payment")

    assert page.status_code == 200
    assert "¥60.00" in main_of(page)
    assert '<div class="collect-code"><svg' in page.get_data(as_text=True)
    answer = act(cashier, no, "take_payment")
    assert answer.status_code == 200 and answer.json is not None
    # Nothing else is offered where nothing else is set up.
    assert "alipay_qr" not in page.get_data(as_text=True)
    # A second tap goes on with the same payment.
    assert [payment.payment_no for payment in shop.rows(Payment)] == [answer.json["payment_no"]]


def test_guests_scan_with_alipay_where_it_is_set_up(
    shop: Shop, cashier: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = {"app_id": APP, "seller_id": MERCHANT, "alipay_public_key": "-"}
    row = ChannelCredential(channel="alipay", settings=identity, secrets={}, created_at=shop.now)
    db.session.add(row)
    db.session.commit()
    monkeypatch.setattr(channels, "alipay", lambda: shop.pay_service)
    monkeypatch.setattr(shop.pay_service, "create_payment", lambda request: {"code_url": "https://qr.test/a"})
    no = walk_ins.create_walk_in(shop.room.id, minutes=60, actor=shop.cashier(), now=shop.now)

    first = cashier.post(f"/orders/{no}/actions/take_payment")
    second = cashier.post(f"/orders/{no}/actions/take_payment", data={"channel": "alipay_qr"})

    pages = [page.get_data(as_text=True) for page in (first, second)]
    offered = [('value="alipay_qr"' in text, 'value="wechat_native"' in text) for text in pages]
    assert offered == [(True, False), (False, True)]
    assert [payment.channel.value for payment in shop.rows(Payment)] == ["wechat_native", "alipay_qr"]


@pytest.mark.parametrize(
    ("state", "name", "values", "status", "code"),
    [
        pytest.param("paid", "confirm", {}, 409, "invalid_transition", id="nothing to confirm"),
        pytest.param("paid", "refuse", {"reason": "x"}, 409, "invalid_transition", id="nothing to refuse"),
        pytest.param("paid", "cancel", {}, 422, "invalid_field", id="cancel without a reason"),
        pytest.param(
            "paid", "cancel", {"reason": " "}, 422, "invalid_field", id="cancel with a blank reason"
        ),
        pytest.param("paid", "check_out", {}, 409, "invalid_transition", id="nobody is there"),
        pytest.param("paid", "take_payment", {}, 409, "invalid_transition", id="paid already"),
        pytest.param("unpaid", "check_in", {}, 409, "invalid_transition", id="not paid yet"),
        pytest.param("unpaid", "take_payment", {"channel": "gold"}, 422, "invalid_field", id="channel"),
        pytest.param("paid", "fly", {}, 404, "not_found", id="unknown action"),
        pytest.param("paid", "check_in", {"reason": "x"}, 409, "invalid_transition", id="room in use"),
    ],
)
def test_an_action_is_refused(
    shop: Shop, cashier: Visitor, state: str, name: str, values: dict[str, Any], status: int, code: str
) -> None:
    no = shop.book() if state == "unpaid" else shop.paid_booking()
    if name == "check_in" and state == "paid":
        before = shop.paid_booking(start=0, hours=1)
        assert act(cashier, before, "check_in").status_code == 200
    with unchanged():
        answer = act(cashier, no, name, **values)

    assert (answer.status_code, answer.json and answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize("body", ["[1]", "{", '"x"', "1"])
def test_a_body_that_is_no_object_is_refused(shop: Shop, cashier: Visitor, body: str) -> None:
    no = shop.paid_booking()
    with unchanged():
        answer = cashier.post(
            f"/orders/{no}/actions/cancel", data=body, content_type="application/json", headers=JSON
        )
    assert (answer.status_code, answer.json and answer.json["code"]) == (400, "malformed")


def test_a_refusal_on_the_page_is_said_in_words(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking()
    answer = cashier.post(f"/orders/{no}/actions/check_out")

    assert (answer.status_code, answer.location) == (302, f"/orders/{no}")
    assert 'class="alert alert-danger' in cashier.get(answer.location).get_data(as_text=True)


def test_other_stores_orders_do_not_exist(
    shop: Shop, other_store: Store, log_in: LogIn, clock: Clock
) -> None:
    no = shop.paid_booking()
    manager = log_in("Manager", other_store)
    for address in (f"/orders/{no}", f"/orders/show/{shop.order(no).id}"):
        assert manager.get(address).status_code == 404
        assert manager.get(address, headers=JSON).status_code == 404
    with unchanged():
        for name in ACTIONS:
            answer = act(manager, no, name, reason="x")
            assert (answer.status_code, answer.json and answer.json["code"]) == (404, "not_found")
            assert manager.post(f"/orders/{no}/actions/{name}").status_code == 404
    assert no not in main_of(manager.get("/orders/list/"))


@pytest.mark.parametrize("role", ["Service", "Analyst"])
def test_readers_cannot_act(shop: Shop, log_in: LogIn, role: str) -> None:
    no = shop.paid_booking()
    client = log_in(role)
    page = client.get(f"/orders/{no}")
    assert page.status_code == 200
    assert "/actions/" not in page.get_data(as_text=True)
    with unchanged():
        for name in ACTIONS:
            answer = act(client, no, name, reason="x")
            assert (answer.status_code, answer.json and answer.json["code"]) == (403, "forbidden")


def test_strangers_are_sent_to_the_login(app: Flask, shop: Shop) -> None:
    no = shop.paid_booking()
    stranger = stranger_of(app)
    for answer in (stranger.get(f"/orders/{no}"), stranger.post(f"/orders/{no}/actions/cancel")):
        assert answer.status_code == 302 and answer.location.startswith("/login/")
    with unchanged():
        told = act(stranger, no, "cancel", reason="x")
    assert (told.status_code, told.json and told.json["code"]) == (401, "login_required")
    assert stranger.get("/orders/", headers=JSON).status_code == 401


@pytest.mark.parametrize("no", ["B0", "0", "%00", "x" * 200, "雀坊"])
def test_unknown_numbers_are_not_found(cashier: Visitor, no: str) -> None:
    for headers in ({}, JSON):
        assert cashier.get(f"/orders/{no}", headers=headers).status_code == 404
        assert cashier.post(f"/orders/{no}/actions/confirm", headers=headers).status_code == 404


def test_actions_are_posted(shop: Shop, cashier: Visitor) -> None:
    no = shop.paid_booking()
    with unchanged():
        for name in ACTIONS:
            assert cashier.get(f"/orders/{no}/actions/{name}").status_code == 405


def test_nothing_is_added_edited_or_deleted_by_hand(shop: Shop, log_in: LogIn) -> None:
    shop.paid_booking()
    order_id = shop.order(shop.paid_booking(start=6)).id
    owner = log_in("Owner")
    with unchanged():
        # The addresses fall to the page of an order of that number, which does not exist.
        assert owner.get("/orders/add").status_code == 404
        assert owner.post("/orders/add").status_code == 405
        for path in (f"/orders/edit/{order_id}", f"/orders/delete/{order_id}"):
            assert owner.post(path).status_code == 404
