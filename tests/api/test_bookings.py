"""Quotes, bookings, orders and payments over the interface."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.domain.states import BookingState, OrderStatus, PaymentStatus
from app.extensions import db
from app.gateways.ports import GatewayUnavailable
from app.models import Booking, Customer, Order, OrderEvent, Payment, Room
from app.services import payments
from app.services.callbacks import CallbackRefused
from tests import factories
from tests.api.conftest import Clock, Headers, LogIn, Till
from tests.api.contract import ContractClient

NEXT_YEAR = {"start_at": "2027-03-04T18:00:00+08:00", "end_at": "2027-03-04T20:00:00+08:00"}
START, END = "2026-03-04T18:00:00+08:00", "2026-03-04T20:00:00+08:00"


def _body(room: Room, **changes: Any) -> dict[str, Any]:
    return {"room_id": str(room.id), "start_at": START, "end_at": END} | changes


def _count(model: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def _book(api: ContractClient, headers: Headers, **changes: Any) -> dict[str, Any]:
    answer = api.post("/api/v1/bookings", json=_body(factories.make_room(), **changes), headers=headers)
    assert answer.status_code == 201
    return answer.json


def _mark_paid(no: str) -> None:
    """As if the payment service had said so."""
    db.session.execute(update(Booking).values(state=BookingState.RESERVED, hold_expires_at=None))
    db.session.execute(
        update(Order).where(Order.no == no).values(status=OrderStatus.AWAITING_USE, expires_at=None)
    )
    db.session.commit()


def test_quote_and_booking_agree(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    quote = api.post("/api/v1/quotes", json=_body(room)).json
    order = api.post("/api/v1/bookings", json=_body(room, note="靠窗"), headers=log_in()).json
    assert quote["total_fen"] == 12000
    for name in ("lines", "base_fen", "extra_fen", "discount_fen", "total_fen"):
        assert order[name] == quote[name]
    assert sum(line["amount_fen"] for line in order["lines"]) == order["total_fen"]
    assert (order["status"], order["due_fen"], order["note"]) == ("pending_payment", 12000, "靠窗")
    assert (order["start_at"], order["end_at"]) == (START, END)
    assert order["expires_at"] == "2026-03-04T12:15:00+08:00"
    assert order["room"] == {"id": str(room.id), "name": room.name}


def test_quote_saves_nothing_and_needs_no_login(api: ContractClient) -> None:
    assert api.post("/api/v1/quotes", json=_body(factories.make_room())).status_code == 200
    assert (_count(Order), _count(Booking)) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"start_at": "2026-03-04T08:00:00+08:00"}, "in_past", id="past"),
        pytest.param({"end_at": "2026-03-14T20:00:00+08:00"}, "too_long", id="ten days"),
        pytest.param({"end_at": "2036-03-04T18:00:00+08:00"}, "too_long", id="ten years"),
        pytest.param({"end_at": "2026-03-04T18:30:00+08:00"}, "too_short", id="half an hour"),
        pytest.param({"start_at": "2026-03-04T18:10:00+08:00"}, "off_step", id="off the grid"),
        pytest.param(NEXT_YEAR, "too_far", id="next year"),
        pytest.param({"end_at": "2026-03-04T17:00:00+08:00"}, "invalid_field", id="end before start"),
        pytest.param({"end_at": START}, "invalid_field", id="no length"),
        pytest.param({"end_at": None}, "invalid_field", id="no end"),
        pytest.param({"session_id": "99"}, "invalid_field", id="no such session"),
    ],
)  # fmt: skip
def test_rules_refuse_quote_and_booking_alike(
    api: ContractClient, log_in: LogIn, changes: dict[str, Any], code: str
) -> None:
    room = factories.make_room()
    for path in ("/api/v1/quotes", "/api/v1/bookings"):
        answer = api.post(path, json=_body(room, **changes), headers=log_in())
        assert (answer.status_code, answer.json["code"]) == (422, code)
        if code != "invalid_field":
            assert set(answer.json["data"]) >= {"rule", "limit", "alternatives"}
    assert (_count(Order), _count(Booking)) == (0, 0)


def test_taken_room_offers_alternatives(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    assert api.post("/api/v1/bookings", json=_body(room), headers=log_in()).status_code == 201
    answer = api.post("/api/v1/bookings", json=_body(room), headers=log_in())
    assert (answer.status_code, answer.json["code"]) == (409, "room_taken")
    offers = answer.json["data"]["alternatives"]
    assert 1 <= len(offers) <= 3
    for offer in offers:
        assert isinstance(offer["room_id"], str)
        body = {name: offer[name] for name in ("room_id", "start_at", "end_at")}
        assert api.post("/api/v1/quotes", json=body).json["total_fen"] == offer["total_fen"]
    assert _count(Order) == 1


def test_blacklisted_customer_is_refused(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in(factories.make_customer(is_blacklisted=True))
    answer = api.post("/api/v1/bookings", json=_body(factories.make_room()), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (422, "blacklisted")
    assert _count(Order) == 0


def test_voucher_of_nobody_is_not_found(api: ContractClient, log_in: LogIn) -> None:
    room = factories.make_room()
    for headers in ({}, log_in()):
        answer = api.post("/api/v1/quotes", json=_body(room, voucher_code="ABCD"), headers=headers)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    answer = api.post("/api/v1/bookings", json=_body(room, voucher_code="ABCD"), headers=log_in())
    assert answer.status_code == 404
    assert _count(Order) == 0


def test_orders_are_listed_newest_first_and_paged(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    numbers = [_book(api, headers)["no"] for _ in range(3)]
    _book(api, log_in())
    first = api.get("/api/v1/orders?limit=2", headers=headers).json
    second = api.get(f"/api/v1/orders?limit=2&cursor={first['next_cursor']}", headers=headers).json
    assert [item["no"] for item in first["items"] + second["items"]] == numbers[::-1]
    assert second["next_cursor"] is None
    assert api.get("/api/v1/orders?status=completed", headers=headers).json["items"] == []
    assert len(api.get("/api/v1/orders?kind=booking", headers=headers).json["items"]) == 3
    for query in ("status=nothing", "kind=x", "cursor=!"):
        assert api.get(f"/api/v1/orders?{query}", headers=headers).status_code == 422


def test_order_of_somebody_else_does_not_exist(api: ContractClient, log_in: LogIn, till: Till) -> None:
    no = _book(api, log_in())["no"]
    other = log_in()
    before = _count(OrderEvent)
    for method, path in (
        ("GET", ""),
        ("POST", "/payments"),
        ("POST", "/cancel-preview"),
        ("POST", "/cancel"),
        ("POST", "/check-in"),
        ("POST", "/check-out"),
        ("GET", "/payments/P1"),
    ):
        answer = api.open(f"/api/v1/orders/{no}{path}", method=method, headers=other)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert (_count(OrderEvent), _count(Payment), till.created) == (before, 0, [])


def test_paying_hands_out_what_the_client_needs(api: ContractClient, log_in: LogIn, till: Till) -> None:
    headers = log_in()
    no = _book(api, headers)["no"]
    started = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=headers)
    assert started.status_code == 201
    assert (started.json["channel"], started.json["params"]) == ("wechat_jsapi", {"prepay_id": "prepay-1"})
    path = f"/api/v1/orders/{no}/payments/{started.json['payment_no']}"
    assert api.get(path, headers=headers).json["status"] == "pending"
    db.session.execute(update(Payment).values(status=PaymentStatus.SUCCEEDED))
    db.session.commit()
    assert api.get(path, headers=headers).json["status"] == "succeeded"
    assert api.get(path.replace("P", "X"), headers=headers).status_code == 404


@pytest.mark.parametrize("channel", ["alipay", "alipay_qr", "unionpay", "cash", None, 5])
def test_way_of_paying_that_is_not_offered(
    api: ContractClient, log_in: LogIn, till: Till, channel: object
) -> None:
    headers = log_in()
    no = _book(api, headers)["no"]
    answer = api.post(f"/api/v1/orders/{no}/payments", json={"channel": channel}, headers=headers)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["channel"])
    assert _count(Payment) == 0


def test_payment_service_that_is_away(api: ContractClient, log_in: LogIn, till: Till) -> None:
    headers = log_in()
    no = _book(api, headers)["no"]
    till.error = GatewayUnavailable("no answer", outcome_unknown=False)
    answer = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_unpaid_order_is_cancelled_free_of_charge(api: ContractClient, log_in: LogIn, till: Till) -> None:
    headers = log_in()
    no = _book(api, headers)["no"]
    preview = api.post(f"/api/v1/orders/{no}/cancel-preview", headers=headers)
    assert preview.json == {"fee_fen": 0, "refund_fen": 0, "step": None}
    answer = api.post(f"/api/v1/orders/{no}/cancel", json={"reason": "changed plans"}, headers=headers)
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    again = api.post(f"/api/v1/orders/{no}/cancel", headers=headers)
    assert (again.status_code, again.json["code"]) == (409, "invalid_transition")


def test_arriving_and_leaving(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    headers = log_in()
    no = _book(api, headers)["no"]
    early = api.post(f"/api/v1/orders/{no}/check-in", headers=headers)
    assert (early.status_code, early.json["code"]) == (409, "invalid_transition")
    _mark_paid(no)
    clock.advance(hours=5, minutes=45)
    renewed = log_in(db.session.scalars(select(Customer)).one())
    entered = api.post(f"/api/v1/orders/{no}/check-in", headers=renewed)
    assert entered.status_code == 200
    assert entered.json["access"]["kind"] == "code"
    assert entered.json["access"]["code"]
    clock.advance(hours=1)
    left = api.post(
        f"/api/v1/orders/{no}/check-out", headers=log_in(db.session.scalars(select(Customer)).one())
    )
    assert (left.status_code, left.json["status"]) == (200, "completed")


@pytest.mark.parametrize("subject", ["payments", "refunds"])
def test_callback_that_is_accepted(
    api: ContractClient, monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    import app.services.refunds as refunds

    received: list[tuple[str, dict[str, str], bytes]] = []

    def receive(channel: str, *, headers: Any, body: bytes, now: Any) -> None:
        received.append((channel, dict(headers), body))

    monkeypatch.setattr({"payments": payments, "refunds": refunds}[subject], "receive_callback", receive)
    headers = {"Wechatpay-Nonce": "n"}
    answer = api.post(f"/api/v1/{subject}/wechat/notify", data=b"\xff raw", headers=headers)
    assert (answer.status_code, answer.data) == (204, b"")
    channel, seen, body = received[0]
    assert (channel, seen["Wechatpay-Nonce"], body) == ("wechat", "n", b"\xff raw")


def test_callback_that_is_refused(api: ContractClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise CallbackRefused("signature")

    monkeypatch.setattr(payments, "receive_callback", refuse)
    answer = api.post("/api/v1/payments/wechat/notify", data=b"{}")
    assert (answer.status_code, answer.json) == (400, {"code": "FAIL", "message": "signature"})


def test_callback_of_a_service_that_is_not_set_up(api: ContractClient) -> None:
    answer = api.post("/api/v1/payments/wechat/notify", data=b"{}")
    assert (answer.status_code, answer.json["code"]) == (503, "FAIL")
    assert api.post("/api/v1/payments/alipay/notify", data=b"{}").status_code == 404
