"""Arbitrary input to every operation: an answer that is documented, and never a failure of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from app.domain.states import BookingState, OrderStatus, PaymentChannel, PaymentStatus, RefundRequestStatus
from app.extensions import db
from app.models import Booking, BookingPolicy, Order, Payment, RefundRequest
from tests import factories
from tests.api.conftest import Clock, LogIn, Platform, Till
from tests.api.contract import ContractClient, document_of
from tests.api.test_documents import CUSTOMER, OPTIONAL, PUBLIC
from tests.conftest import empty_tables

TEXTS = st.text(st.characters(), max_size=80) | st.sampled_from(
    ["", "1", "\0", "2026-03-04T18:00:00+08:00", "９"]
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2**31, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
GOOD: dict[str, Any] = {
    "room_id": st.sampled_from(["1", 1, "999999"]),
    "start_at": st.datetimes().map(lambda at: at.isoformat() + "+08:00"),
    "end_at": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "channel": st.sampled_from(["wechat", "alipay", "wechat_jsapi", "unionpay"]),
    "quantity": st.integers(1, 100),
    "shared_by": st.sampled_from(["1", "2147483647"]),
    "team_id": st.sampled_from([None, "1", "2147483647"]),
    "month": st.sampled_from(["2026-03", "0001-01", "9999-12"]),
    "from": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "to": st.datetimes().map(lambda at: at.isoformat() + "Z"),
}


def _objects(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose fields are now and then what the schema wants."""
    known = {name: GOOD.get(name, TEXTS) | VALUES for name in names}
    return st.fixed_dictionaries({}, optional=known) | st.dictionaries(TEXTS, VALUES, max_size=3)


def _field_names(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
    return list(schema.get("properties", {}))


@pytest.mark.parametrize("name", sorted(PUBLIC | OPTIONAL | CUSTOMER))
def test_no_input_makes_a_failure(
    api: ContractClient, log_in: LogIn, platform: Platform, till: Till, name: str
) -> None:
    room = factories.make_room()
    factories.make_campaign(room.store)
    document = document_of(api.application)
    method, path = name.split(" ")
    operation = document["paths"][f"/api/v1{path}"][method.lower()]
    queries = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
    for argument in (
        "store_id",
        "room_id",
        "campaign_id",
        "team_id",
        "message_id",
        "no",
        "payment_no",
        "code",
    ):
        path = path.replace(f"{{{argument}}}", "1")
    path = path.replace("{channel}", "wechat")

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=_objects(_field_names(operation, document)), query=_objects(queries))
    def ask(body: dict[str, Any], query: dict[str, Any]) -> None:
        shown = {key: str(value).encode("utf-8", "replace").decode() for key, value in query.items()}
        sent = {key.encode("utf-8", "replace").decode(): value for key, value in shown.items()}
        headers = {} if name == "POST /auth/logout" else log_in()
        answer = api.open(
            f"/api/v1{path}",
            method=method,
            query_string=sent if queries else None,
            json=body if method != "GET" else None,
            headers=headers,
        )
        assert answer.status_code < 500 or "/notify" in path

    ask()


# Around the order's own time, so that a body is often one that is nearly right.
NEAR = st.integers(-4, 80).map(lambda count: (factories.NOW + count * timedelta(minutes=15)).isoformat())
ORDER_BODY = {
    "room_id": st.sampled_from(["1", "2", 1, "999999"]),
    "start_at": NEAR,
    "end_at": NEAR,
    "channel": st.sampled_from(["wechat_jsapi", "wechat_native", "unionpay"]),
    "reason": st.text(max_size=210),
    "amount_fen": st.integers(-5, 20000),
}
OF_ORDERS = sorted(name for name in CUSTOMER if "/orders/{no}" in name)
STATES = ["pending_payment", "paid", "awaiting_use", "in_use", "over_time", "completed", "cancelled"]


def _order_in(state: str, api: ContractClient, headers: dict[str, str]) -> str:
    """One's own order for two hours from now, in a state that is written as it is."""
    room = factories.make_room()
    factories.make_room(room.store)
    db.session.execute(update(BookingPolicy).values(has_overtime=True, change_max_count=99))
    db.session.commit()
    start_at, end_at = factories.NOW, factories.NOW + timedelta(hours=2)
    body = {"room_id": str(room.id), "start_at": start_at.isoformat(), "end_at": end_at.isoformat()}
    no = str(api.post("/api/v1/bookings", json=body, headers=headers).json["no"])
    status = "in_use" if state == "over_time" else state
    states = {"pending_payment": "held", "in_use": "in_use", "completed": "ended", "cancelled": "released"}
    booking = BookingState.of(states.get(status, "reserved"))
    if status != "pending_payment":
        paid = {"paid_fen": 12000, "paid_at": factories.NOW, "expires_at": None}
        db.session.execute(update(Order).values(status=OrderStatus.of(status), **paid))
        db.session.execute(update(Booking).values(state=booking, hold_expires_at=None))
        order = db.session.scalars(select(Order)).one()
        known = {"channel": PaymentChannel.WECHAT_JSAPI, "status": PaymentStatus.SUCCEEDED}
        at = {"created_at": factories.NOW, "expires_at": end_at, "paid_at": factories.NOW}
        db.session.add(Payment(payment_no="P1", order_id=order.id, amount_fen=12000, **known, **at))
        db.session.commit()
    return no


def _ask_for_refund() -> int:
    order = db.session.scalars(select(Order)).one()
    request = RefundRequest(
        order_id=order.id,
        status=RefundRequestStatus.REQUESTED,
        reason="x",
        policy_fen=1,
        created_at=factories.NOW,
    )
    db.session.add(request)
    db.session.commit()
    return int(request.id)


@pytest.mark.parametrize("name", OF_ORDERS)
def test_no_input_about_ones_own_order_makes_a_failure(
    api: ContractClient, log_in: LogIn, platform: Platform, till: Till, clock: Clock, name: str
) -> None:
    """Behind ownership: bodies that are nearly right, for an order in every state."""
    document = document_of(api.application)
    method, path = name.split(" ")
    fields = _field_names(document["paths"][f"/api/v1{path}"][method.lower()], document)
    bodies = st.fixed_dictionaries({}, optional={field: ORDER_BODY.get(field, VALUES) for field in fields})
    reached: list[int] = []

    @settings(
        max_examples=14,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=bodies, state=st.sampled_from(STATES))
    def ask(body: dict[str, Any], state: str) -> None:
        db.session.remove()
        empty_tables()
        clock.now = factories.NOW
        headers = log_in()
        no = _order_in(state, api, headers)
        clock.advance(minutes=140 if state == "over_time" else 1)
        address = f"/api/v1{path}".replace("{no}", no).replace("{payment_no}", "P1")
        address = address.replace("{request_id}", str(_ask_for_refund()) if "{request_id}" in path else "")
        sent = None if method == "GET" else body
        answer = api.open(address, method=method, json=sent, headers=headers)
        reached.append(answer.status_code)
        assert answer.status_code < 500, answer.get_data(True)[:300]

    ask()
    assert any(status != 404 for status in reached)
