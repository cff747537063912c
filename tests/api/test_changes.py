"""Changing and extending over the interface: contract, money, refusals, repetition."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.domain.states import BookingState, OrderStatus, PaymentChannel, PaymentStatus
from app.extensions import db
from app.models import Booking, BookingPolicy, Customer, Order, OrderChange, OrderEvent, Payment
from tests import factories
from tests.api.conftest import Clock, Headers, LogIn, Till
from tests.api.contract import ContractClient

START, END = "2026-03-04T18:00:00+08:00", "2026-03-04T20:00:00+08:00"
LATER, MUCH_LATER = "2026-03-04T21:00:00+08:00", "2026-03-04T22:00:00+08:00"


def paid(api: ContractClient, headers: Headers) -> str:
    """A paid booking from 18:00 to 20:00 for ¥120."""
    room = factories.make_room()
    body = {"room_id": str(room.id), "start_at": START, "end_at": END}
    no = api.post("/api/v1/bookings", json=body, headers=headers).json["no"]
    order = db.session.scalars(select(Order).where(Order.no == no)).one()
    db.session.execute(update(Booking).values(state=BookingState.RESERVED, hold_expires_at=None))
    values = {"status": OrderStatus.AWAITING_USE, "expires_at": None, "paid_fen": order.total_fen}
    db.session.execute(update(Order).where(Order.id == order.id).values(**values, paid_at=factories.NOW))
    payment = {"channel": PaymentChannel.WECHAT_JSAPI, "status": PaymentStatus.SUCCEEDED}
    instants = {"created_at": factories.NOW, "expires_at": factories.NOW, "paid_at": factories.NOW}
    db.session.add(Payment(payment_no=f"P{no}", order_id=order.id, amount_fen=12000, **payment, **instants))
    db.session.commit()
    return str(no)


def count(model: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_preview_and_change_agree(api: ContractClient, log_in: LogIn, till: Till) -> None:
    headers = log_in()
    no = paid(api, headers)
    events = count(OrderEvent)
    body = {"end_at": LATER}
    preview = api.post(f"/api/v1/orders/{no}/change-preview", json=body, headers=headers)
    assert preview.status_code == 200
    assert (preview.json["total_fen"], preview.json["fee_fen"], preview.json["difference_fen"]) == (
        18000,
        0,
        6000,
    )
    assert (preview.json["start_at"], preview.json["end_at"]) == (START, LATER)
    assert (count(OrderChange), count(OrderEvent)) == (0, events)

    order = api.post(f"/api/v1/orders/{no}/change", json=body, headers=headers)

    assert order.status_code == 200
    assert (order.json["status"], order.json["due_fen"], order.json["end_at"]) == ("awaiting_use", 6000, END)
    assert order.json["pending_change"]["end_at"] == LATER
    assert order.json["expires_at"] == "2026-03-04T12:15:00+08:00"
    started = api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=headers)
    assert (started.status_code, till.created[-1].amount_fen) == (201, 6000)


def test_change_at_once(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    no = paid(api, headers)
    order = api.post(f"/api/v1/orders/{no}/change", json={"start_at": END}, headers=headers).json
    assert (order["start_at"], order["end_at"], order["due_fen"]) == (END, MUCH_LATER, 0)
    assert order["timeline"][-1]["event"] == "change"
    assert order["pending_change"] is None


def test_preview_and_extension_agree(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    no = paid(api, headers)
    preview = api.post(f"/api/v1/orders/{no}/extend-preview", json={"end_at": MUCH_LATER}, headers=headers)
    assert preview.json["total_fen"] == sum(line["amount_fen"] for line in preview.json["lines"]) == 12000

    order = api.post(f"/api/v1/orders/{no}/extend", json={"end_at": MUCH_LATER}, headers=headers).json

    assert (order["due_fen"], order["pending_change"]["kind"]) == (12000, "extend")


REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("nothing changes", "change", {}, 422, "change_not_allowed"),
    ("no such room", "change", {"room_id": "99999"}, 404, "not_found"),
    ("past", "change", {"start_at": "2026-03-04T08:00:00+08:00"}, 422, "in_past"),
    ("next year", "change", {"start_at": "2027-03-04T08:00:00+08:00"}, 422, "too_far"),
    ("off the grid", "change", {"start_at": "2026-03-04T18:10:00+08:00"}, 422, "off_step"),
    ("end before start", "change", {"start_at": LATER, "end_at": END}, 422, "invalid_field"),
    ("unknown field", "change", {"voucher_code": "A"}, 422, "invalid_field"),
    ("no zone", "change", {"start_at": "2026-03-04T18:00:00"}, 422, "invalid_field"),
    ("no end", "extend", {}, 422, "invalid_field"),
    ("no more time", "extend", {"end_at": END}, 422, "invalid_field"),
    ("off the step", "extend", {"end_at": "2026-03-04T20:10:00+08:00"}, 422, "off_step"),
    ("ten years", "extend", {"end_at": "2036-03-04T20:00:00+08:00"}, 422, "too_long"),
]


@pytest.mark.parametrize(
    ("label", "verb", "body", "status", "code"), REFUSED, ids=[f"{row[1]}: {row[0]}" for row in REFUSED]
)
def test_refused_and_nothing_changed(
    api: ContractClient, log_in: LogIn, label: str, verb: str, body: dict[str, Any], status: int, code: str
) -> None:
    headers = log_in()
    no = paid(api, headers)
    for path in (f"{verb}-preview", verb):
        answer = api.post(f"/api/v1/orders/{no}/{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (status, code)
        if code not in ("invalid_field", "not_found"):
            assert set(answer.json["data"]) >= {"rule", "limit", "alternatives"}
            assert 1 <= len(answer.json["data"]["alternatives"]) <= 3
    assert (count(OrderChange), count(Booking)) == (0, 1)


def test_somebody_else_finds_nothing_to_change(api: ContractClient, log_in: LogIn) -> None:
    no = paid(api, log_in())
    other = log_in()
    for path in ("change-preview", "change", "extend-preview", "extend"):
        # Ownership is checked before the body.
        answer = api.post(f"/api/v1/orders/{no}/{path}", json={"nonsense": 1}, headers=other)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
        assert api.post(f"/api/v1/orders/{no}/{path}", json={}).status_code == 401
    assert count(OrderChange) == 0


def test_unpaid_order_cannot_be_changed(api: ContractClient, log_in: LogIn) -> None:
    headers, room = log_in(), factories.make_room()
    body = {"room_id": str(room.id), "start_at": START, "end_at": END}
    no = api.post("/api/v1/bookings", json=body, headers=headers).json["no"]
    for verb in ("change", "extend"):
        for path in (f"{verb}-preview", verb):
            answer = api.post(f"/api/v1/orders/{no}/{path}", json={"end_at": LATER}, headers=headers)
            assert (answer.status_code, answer.json["code"]) == (409, "invalid_transition")


def test_repeated_request_changes_once(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    no = paid(api, headers)
    keyed = headers | {"Idempotency-Key": "change-1"}
    first = api.post(f"/api/v1/orders/{no}/change", json={"end_at": LATER}, headers=keyed)
    again = api.post(f"/api/v1/orders/{no}/change", json={"end_at": LATER}, headers=keyed)
    assert (first.status_code, again.status_code, first.data == again.data) == (200, 200, True)
    assert count(OrderChange) == 1
    other = api.post(f"/api/v1/orders/{no}/change", json={"end_at": MUCH_LATER}, headers=keyed)
    assert (other.status_code, other.json["code"]) == (409, "idempotency_conflict")


def test_overtime_is_shown_live(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    no = paid(api, log_in())
    order = db.session.scalars(select(Order).where(Order.no == no)).one()
    order.policy = order.policy | {"has_overtime": True, "overtime_percent": 200}
    order.status = OrderStatus.IN_USE
    order.bookings[0].state = BookingState.IN_USE
    db.session.commit()
    clock.advance(hours=8, minutes=20)
    headers = log_in(db.session.scalars(select(Customer)).one())
    shown = api.get(f"/api/v1/orders/{no}", headers=headers).json
    assert shown["overtime"] == {"from_at": END, "minutes": 20, "amount_fen": 6000}
    assert (shown["due_fen"], shown["end_at"]) == (0, END)

    left = api.post(f"/api/v1/orders/{no}/check-out", headers=headers).json

    assert (left["status"], left["due_fen"], left["overtime"]) == ("completed", 6000, None)
    assert [line["kind"] for line in left["lines"]] == ["hourly", "overtime"]
    assert {each["name"]: each["allowed"] for each in left["actions"]}["pay"] is True


def test_policy_tells_the_rules_of_changing(api: ContractClient, log_in: LogIn) -> None:
    no = paid(api, log_in())
    policy = db.session.scalars(select(BookingPolicy)).one()
    names = ("change_max_count", "change_deadline_minutes", "has_overtime", "overtime_grace_minutes")
    headers = log_in(db.session.scalars(select(Customer)).first())
    shown = api.get(f"/api/v1/orders/{no}", headers=headers).json["policy"]
    store = api.get(f"/api/v1/stores/{policy.store_id}").json["policy"]
    for name in names:
        assert shown[name] == store[name] == getattr(policy, name)
