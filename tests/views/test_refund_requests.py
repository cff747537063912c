"""The review queue: who sees it, what the page tells, and decisions by form and as JSON."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from app.domain.states import OrderStatus, RefundRequestStatus
from app.extensions import db
from app.models import Order, Refund, RefundRequest
from app.services import refund_requests
from tests.services.counter import unchanged
from tests.services.shop import Shop
from tests.views.conftest import LogIn
from tests.views.helpers import JSON, Visitor, main_of


@pytest.fixture
def service(log_in: LogIn) -> Visitor:
    return log_in("Service")


def asked(shop: Shop, amount_fen: int | None = None) -> int:
    """A request about a paid booking of ¥120."""
    no = shop.paid_booking()
    found = refund_requests.create_request(
        no, reason="空调坏了", amount_fen=amount_fen, actor=shop.guest, now=shop.now
    )
    return int(found["id"])


def test_the_queue_leads_to_the_request(shop: Shop, service: Visitor) -> None:
    request_id = asked(shop)
    assert service.get("/refund-requests/").location == "/refund-requests/list/"
    words = main_of(service.get("/refund-requests/list/"))
    assert "空调坏了" in words and "¥120.00" in words
    answer = service.get(f"/refund-requests/show/{request_id}")
    assert (answer.status_code, answer.location) == (302, f"/refund-requests/{request_id}")


def test_the_page_shows_what_the_rules_give(shop: Shop, service: Visitor) -> None:
    words = main_of(service.get(f"/refund-requests/{asked(shop, 3000)}"))
    for expected in ("空调坏了", "¥30.00", "¥120.00", "静安寺店", "听雨"):
        assert expected in words


def test_the_same_facts_as_json(shop: Shop, service: Visitor) -> None:
    told = service.get(f"/refund-requests/{asked(shop, 3000)}", headers=JSON).json
    assert told is not None
    assert (told["asked"]["amount_fen"], told["offer"]["refund_fen"]) == (3000, 12000)


@pytest.mark.parametrize(
    ("form", "amount_fen", "status"),
    [
        pytest.param({"amount_fen": ""}, 12000, OrderStatus.REFUNDED, id="by the rules"),
        pytest.param({"amount_fen": "12000"}, 12000, OrderStatus.REFUNDED, id="everything"),
        pytest.param({"amount_fen": "other", "amount": "12.50"}, 1250, OrderStatus.AWAITING_USE, id="other"),
    ],
)
def test_approval_by_the_form(
    shop: Shop, service: Visitor, form: dict[str, str], amount_fen: int, status: OrderStatus
) -> None:
    request_id = asked(shop)
    answer = service.post(f"/refund-requests/{request_id}/approve", data=form | {"reason": "同意"})
    assert answer.status_code == 302
    shop.finish_refunds()
    (refund,) = shop.rows(Refund)
    assert refund.amount_fen == amount_fen
    assert shop.rows(RefundRequest)[0].order.status is status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"amount_fen": 12001, "reason": "x"}, "invalid_field", id="too much"),
        pytest.param({"amount_fen": 0, "reason": "x"}, "invalid_field", id="nothing"),
        pytest.param({"amount_fen": True, "reason": "x"}, "invalid_field", id="no number"),
        pytest.param({"amount_fen": "1.5", "reason": "x"}, "invalid_field", id="text"),
        pytest.param({"amount_fen": 100}, "invalid_field", id="no reason"),
    ],
)
def test_senseless_decisions_change_nothing(
    shop: Shop, service: Visitor, body: dict[str, object], code: str
) -> None:
    request_id = asked(shop)
    with unchanged():
        answer = service.post(f"/refund-requests/{request_id}/approve", json=body, headers=JSON)
    assert answer.status_code == 422 and answer.json is not None and answer.json["code"] == code


def test_refusal_and_a_second_decision(shop: Shop, service: Visitor) -> None:
    request_id = asked(shop)
    address = f"/refund-requests/{request_id}"
    assert service.post(f"{address}/refuse", json={"reason": "过期"}, headers=JSON).status_code == 200
    assert shop.rows(RefundRequest)[0].status is RefundRequestStatus.REFUSED
    again = service.post(f"{address}/approve", json={"reason": "还是同意"}, headers=JSON)
    assert again.json is not None
    assert (again.status_code, again.json["code"]) == (409, "invalid_transition")
    assert shop.rows(Refund) == []


@pytest.mark.parametrize("role", ["Cashier", "Analyst"])
def test_others_do_not_decide(shop: Shop, log_in: LogIn, role: str) -> None:
    request_id = asked(shop)
    client = log_in(role)
    with unchanged():
        answer = client.post(f"/refund-requests/{request_id}/approve", json={"reason": "x"}, headers=JSON)
    assert answer.status_code == 403


def test_requests_of_other_stores_are_not_there(shop: Shop, log_in: LogIn) -> None:
    from tests import factories

    request_id = asked(shop)
    stranger = log_in("Manager", factories.make_store(name="别店"))
    assert stranger.get(f"/refund-requests/{request_id}", headers=JSON).status_code == 404
    with unchanged():
        answer = stranger.post(f"/refund-requests/{request_id}/approve", json={"reason": "x"}, headers=JSON)
    assert answer.status_code == 404


@pytest.mark.parametrize("form", [{"amount_fen": "other"}, {"amount_fen": "other", "amount": "12.345"}])
def test_another_amount_has_to_be_given(shop: Shop, service: Visitor, form: dict[str, str]) -> None:
    request_id = asked(shop)
    with unchanged():
        answer = service.post(f"/refund-requests/{request_id}/approve", data=form | {"reason": "同意"})
    assert (answer.status_code, answer.location) == (302, f"/refund-requests/{request_id}")


@pytest.mark.parametrize("number", [2**31, 2**63, 0])
def test_what_no_id_can_be_is_not_there(service: Visitor, number: int) -> None:
    assert service.get(f"/refund-requests/{number}", headers=JSON).status_code == 404
    answer = service.post(f"/refund-requests/{number}/approve", json={"reason": "x"}, headers=JSON)
    assert answer.status_code == 404


def test_a_request_can_be_refused_whatever_became_of_its_order(shop: Shop, service: Visitor) -> None:
    request_id = asked(shop)
    db.session.execute(update(Order).values(status=OrderStatus.REFUNDED))
    db.session.commit()

    page = service.get(f"/refund-requests/{request_id}").get_data(as_text=True)

    assert f"/refund-requests/{request_id}/refuse" in page
    assert f"/refund-requests/{request_id}/approve" not in page
    service.post(f"/refund-requests/{request_id}/refuse", data={"reason": "已退"})
    assert shop.rows(RefundRequest)[0].status is RefundRequestStatus.REFUSED
