"""Control paths and the human page: errors, and who may use them."""

from __future__ import annotations

import re
import socket

import pytest
import requests

from tests.sandbox.live import OPENID, Live, LoopbackClient
from tests.sandbox.shop import Shop


def test_health_names_channels_and_targets(live: Live) -> None:
    health = live.get("/_control/health").json()

    assert health["status"] == "ok" and health["channels"] == ["alipay", "unionpay", "wechat"]
    assert {"wechat_login", "wechat_message", "wechat_pay", "alipay", "unionpay"} <= set(health["targets"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/payments/wechat/P-unknown/succeed", 404, "not_found"),
        ("/payments/wechat/P-unknown/fail", 404, "not_found"),
        ("/payments/wechat/P-unknown/probe", 404, "not_found"),
        ("/refunds/wechat/R-unknown/succeed", 404, "not_found"),
        ("/refunds/wechat/R-unknown/abnormal", 404, "not_found"),
        ("/payments/paypal/P-unknown/succeed", 422, "invalid_field"),
        ("/payments/wechat/P-unknown/explode", 404, "not_found"),
        ("/health", 405, "method_not_allowed"),
    ],
)
def test_control_is_refused_for(live: Live, path: str, status: int, code: str) -> None:
    response = live.post("/_control" + path)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"openid": ""}, 422),
        ({"openid": 5}, 422),
        ({"openid": "o alice"}, 422),
        ({"openid": "o" * 129}, 422),
        ({"openid": OPENID, "phone": "call me"}, 422),
        ([], 400),
        ("x", 400),
    ],
)
def test_login_codes_are_refused_for(live: Live, body: object, status: int) -> None:
    assert live.post("/_control/login-codes", body).status_code == status
    assert live.sandbox.store.count("login_code") == 0


def test_fail_is_refused_once_paid(shop: Shop) -> None:
    shop.paid()

    assert shop.live.post("/_control/payments/wechat/P20260101/fail").status_code == 409
    assert shop.query()[1]["trade_state"] == "SUCCESS"


@pytest.mark.parametrize(
    ("label", "headers", "status"),
    [
        ("foreign host name", {"Host": "sandbox.example"}, 403),
        ("broken host name", {"Host": "[::1"}, 403),
        ("page of another site", {"Origin": "http://evil.example"}, 403),
        ("sandboxed page", {"Origin": "null"}, 403),
        ("local name", {"Host": "localhost:1"}, 200),
    ],
)
def test_control_checks_who_asks(live: Live, label: str, headers: dict[str, str], status: int) -> None:
    assert live.get("/_control/health", headers=headers).status_code == status
    assert live.get("/", headers=headers).status_code == status


def test_control_is_closed_to_other_machines(live: Live) -> None:
    # The address of the caller cannot be forged over loopback, so the application is asked directly.
    from sandbox.app import create_app

    client = create_app(live.sandbox).test_client()
    stranger = {"REMOTE_ADDR": "192.0.2.7"}

    assert client.get("/_control/outbox", environ_overrides=stranger).status_code == 403
    assert client.delete("/_control/state", environ_overrides=stranger).status_code == 403
    assert client.get("/sns/jscode2session", environ_overrides=stranger).get_json()["errcode"] == 40013


def test_page_pays_an_order_by_its_button(shop: Shop) -> None:
    shop.prepay(description="<b>包间</b>")
    page = shop.live.get("/").text
    assert "&lt;b&gt;包间" in page and "<b>包间" not in page and "128.00" in page and "待支付" in page
    action = re.search(r'action="(/payments/[^"]+/succeed)"', page)
    assert action is not None

    after = shop.live.post(action[1])

    assert "已支付" in after.text and "/succeed" not in after.text
    assert shop.query()[1]["trade_state"] == "SUCCESS"
    assert shop.opened(shop.merchant.wait_for(1)[0])["event_type"] == "TRANSACTION.SUCCESS"


def test_page_shows_refunds_messages_and_login_codes(shop: Shop, wechat: LoopbackClient) -> None:
    shop.paid()
    shop.refund(fen=2805)
    data = {"thing1": {"value": "支付成功"}}
    wechat.call("/cgi-bin/message/subscribe/send", {"touser": OPENID, "template_id": "T", "data": data})

    page = shop.live.get("/").text
    assert "R20260101" in page and "-28.05" in page and "支付成功" in page

    response = requests.post(shop.live.url + "/login-code", data={"openid": OPENID}, timeout=10)
    assert response.status_code == 200 and OPENID in response.text
    assert requests.post(shop.live.url + "/login-code", data={}, timeout=10).status_code == 422


@pytest.mark.parametrize(
    "request_line", ["GET /%ff%fe HTTP/1.1", "GET //[ HTTP/1.1", "POST /v3/%00 HTTP/1.1"]
)
def test_odd_request_lines_are_no_server_error(live: Live, request_line: str) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{request_line}\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        status = connection.recv(4096).split(b" ")[1]

    assert status in (b"400", b"401", b"404")
