"""Campaigns, teams and vouchers over the interface."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from app.domain.states import CampaignStatus
from app.extensions import db
from app.models import Campaign, CampaignEvent, Customer, Order, Voucher
from tests import factories
from tests.api.conftest import Clock, Headers, LogIn, pay_group_order
from tests.api.contract import ContractClient


def _count(model: type) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def _campaign(**values: Any) -> Campaign:
    room = factories.make_room()
    return factories.make_campaign(room.store, **values)


def _buy(api: ContractClient, headers: Headers, campaign_id: int, **body: Any) -> Any:
    return api.post(f"/api/v1/campaigns/{campaign_id}/orders", json={"quantity": 1} | body, headers=headers)


def test_campaigns_on_sale_are_listed(api: ContractClient) -> None:
    shown = _campaign(title="三小时畅玩", stock=10)
    _campaign(status=CampaignStatus.DRAFT)
    items = api.get("/api/v1/campaigns").json["items"]
    assert [(item["title"], item["remaining"]) for item in items] == [("三小时畅玩", 10)]
    store_id = shown.stores[0].id
    assert len(api.get(f"/api/v1/campaigns?store_id={store_id}").json["items"]) == 1
    assert api.get("/api/v1/campaigns?store_id=999").json["items"] == []
    assert api.get("/api/v1/campaigns?store_id=x").status_code == 422


def test_campaign_page_is_clean_and_tagged(api: ContractClient) -> None:
    html = "<p onclick=x()>好</p><script>x()</script><img src=https://elsewhere.example/x.png>"
    campaign = _campaign(description_html=html)
    answer = api.get(f"/api/v1/campaigns/{campaign.id}")
    assert answer.json["description_html"] == "<p>好</p>"
    assert answer.json["share"]["path"].endswith(f"id={campaign.id}")
    again = api.get(f"/api/v1/campaigns/{campaign.id}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_draft_does_not_exist(api: ContractClient, log_in: LogIn) -> None:
    campaign = _campaign(status=CampaignStatus.DRAFT)
    assert api.get(f"/api/v1/campaigns/{campaign.id}").status_code == 404
    assert _buy(api, log_in(), campaign.id).status_code == 404
    assert api.post(f"/api/v1/campaigns/{campaign.id}/views").status_code == 404
    assert (_count(Order), _count(CampaignEvent)) == (0, 0)


def test_views_are_counted_with_and_without_login(api: ContractClient, log_in: LogIn) -> None:
    campaign_id, sharer = _campaign().id, factories.make_customer()
    assert api.post(f"/api/v1/campaigns/{campaign_id}/views").status_code == 204
    body = {"shared_by": str(sharer.id)}
    keyed = log_in() | {"Idempotency-Key": "k"}
    for _ in range(2):
        answer = api.post(f"/api/v1/campaigns/{campaign_id}/views", json=body, headers=keyed)
        assert (answer.status_code, answer.data) == (204, b"")
    assert _count(CampaignEvent) == 2


def test_sharer_who_does_not_exist_is_no_failure(api: ContractClient, log_in: LogIn) -> None:
    campaign_id = _campaign().id
    body = {"shared_by": "2147483647"}
    assert api.post(f"/api/v1/campaigns/{campaign_id}/views", json=body).status_code < 500
    assert _buy(api, log_in(), campaign_id, **body).status_code == 201


def test_vouchers_are_bought_shown_and_scanned(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    headers = log_in()
    order = _buy(api, headers, _campaign().id, quantity=2)
    assert (order.status_code, order.json["status"], order.json["total_fen"]) == (
        201,
        "pending_payment",
        19800,
    )
    assert api.get("/api/v1/vouchers", headers=headers).json["items"] == []
    pay_group_order(order.json["no"], now=clock.now)
    first = api.get("/api/v1/vouchers?limit=1", headers=headers).json
    second = api.get(f"/api/v1/vouchers?limit=1&cursor={first['next_cursor']}", headers=headers).json
    codes = [item["code"] for item in first["items"] + second["items"]]
    assert (len(set(codes)), second["next_cursor"]) == (2, None)
    voucher = api.get(f"/api/v1/vouchers/{codes[0]}", headers=headers).json
    assert voucher == first["items"][0]
    assert (voucher["order_no"], voucher["booking_no"], voucher["redemption"]) == (
        order.json["no"],
        None,
        None,
    )
    qr = api.get(f"/api/v1/vouchers/{codes[0]}/qr", headers=headers).json
    assert qr["svg"].startswith("<svg")
    assert codes[0] not in qr["payload"]
    shown = api.get(f"/api/v1/orders/{order.json['no']}", headers=headers).json
    assert sorted(item["code"] for item in shown["vouchers"]) == sorted(codes)


def test_voucher_of_somebody_else_does_not_exist(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    order = _buy(api, log_in(), _campaign().id)
    pay_group_order(order.json["no"], now=clock.now)
    code = db.session.scalars(select(Voucher)).one().code
    other = log_in()
    assert api.get(f"/api/v1/vouchers/{code}", headers=other).status_code == 404
    assert api.get(f"/api/v1/vouchers/{code}/qr", headers=other).status_code == 404
    assert api.get("/api/v1/vouchers", headers=other).json["items"] == []


@pytest.mark.parametrize(
    ("values", "body", "status", "code"),
    [
        pytest.param({"stock": 1}, {"quantity": 2}, 409, "sold_out", id="sold out"),
        pytest.param({"per_customer_limit": 1}, {"quantity": 2}, 409, "limit_reached", id="limit"),
        pytest.param(
            {"team_size": 3, "team_minutes": 60}, {"quantity": 2}, 422, "invalid_field", id="team of two"
        ),
        pytest.param({}, {"team_id": "7"}, 422, "invalid_field", id="no teams here"),
        pytest.param(
            {"team_size": 3, "team_minutes": 60}, {"team_id": "7"}, 404, "not_found", id="no such team"
        ),
        pytest.param({}, {"quantity": 0}, 422, "invalid_field", id="none"),
        pytest.param({}, {"quantity": 101}, 422, "invalid_field", id="too many"),
        pytest.param({}, {"quantity": "1"}, 422, "invalid_field", id="a text"),
        pytest.param({}, {"quantity": True}, 422, "invalid_field", id="a truth"),
    ],
)
def test_order_that_is_refused(
    api: ContractClient, log_in: LogIn, values: dict[str, Any], body: dict[str, Any], status: int, code: str
) -> None:
    campaign_id = _campaign(**values).id
    answer = _buy(api, log_in(), campaign_id, **body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert _count(Order) == 0


def test_team_shows_its_members(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    campaign_id = _campaign(team_size=2, team_minutes=60).id
    starter = factories.make_customer(nickname="发起人")
    order = _buy(api, log_in(starter), campaign_id).json
    pay_group_order(order["no"], now=clock.now)
    team = api.get(f"/api/v1/teams/{order['team_id']}").json
    assert (team["size"], team["joined"], team["status"]) == (2, 1, "forming")
    assert team["members"] == [{"nickname": "发起人", "avatar_url": None}]
    joined = _buy(api, log_in(), campaign_id, team_id=order["team_id"]).json
    pay_group_order(joined["no"], now=clock.now)
    assert api.get(f"/api/v1/teams/{order['team_id']}").json["status"] == "complete"
    full = _buy(api, log_in(), campaign_id, team_id=order["team_id"])
    assert (full.status_code, full.json["code"]) == (409, "team_full")


def test_messages_are_listed_and_read(api: ContractClient, log_in: LogIn) -> None:
    customer = factories.make_customer()
    headers = log_in(customer)
    assert _buy(api, headers, _campaign().id).status_code == 201
    items = api.get("/api/v1/messages", headers=headers).json["items"]
    assert [(item["event"], item["read_at"]) for item in items] == [("order_created", None)]
    path = f"/api/v1/messages/{items[0]['id']}/read"
    assert api.post(path, headers=log_in()).status_code == 404
    assert api.get("/api/v1/messages", headers=headers).json["items"][0]["read_at"] is None
    assert api.post(path, headers=headers).status_code == 204
    assert api.get("/api/v1/messages", headers=headers).json["items"][0]["read_at"] is not None
    assert db.session.get(Customer, customer.id) is not None
