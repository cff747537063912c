"""Faults of requests: what is done, what the client sees, and how often."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.sandbox.live import OPENID, Live, LoopbackClient, pay_client
from tests.sandbox.shop import Shop


def test_error_comes_instead_of_the_work_as_often_as_asked(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "error", "count": 2})

    answers = [shop.prepay() for _ in range(2)]

    assert [(status, body["code"]) for status, body in answers] == [(500, "SYSTEM_ERROR")] * 2
    assert shop.query()[0] == 404
    assert shop.prepay()[0] == 200


def test_error_after_commit_leaves_the_work_done(shop: Shop) -> None:
    fault = {"target": "wechat_pay", "mode": "error", "after_commit": True, "operation": "prepay"}
    shop.live.control("/faults", fault)

    assert shop.prepay()[0] == 500
    assert shop.query()[1]["trade_state"] == "NOTPAY"


def test_error_may_be_a_refusal_for_haste(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "error", "status": 429})

    assert shop.prepay()[1]["code"] == "FREQUENCY_LIMITED"


def test_fault_of_one_operation_spares_the_others(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "error", "operation": "close"})

    assert shop.prepay()[0] == 200
    assert shop.query()[0] == 200
    assert shop.pay.close("P20260101")[0] == 500
    assert shop.pay.close("P20260101")[0] == 204


def test_latency_delays_the_answer(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "latency", "seconds": 0.3})

    started = time.monotonic()
    status, _ = shop.prepay()

    assert status == 200 and time.monotonic() - started >= 0.3


def test_request_may_be_swallowed_without_being_done(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "no_answer"})
    hasty = pay_client(shop.live, timeout=0.3)

    with pytest.raises(requests.exceptions.Timeout):
        Shop(shop.live, hasty, shop.merchant).prepay()

    assert shop.query()[0] == 404
    assert shop.prepay()[0] == 200


def test_request_that_is_still_asleep_leaves_later_faults_alone(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "latency", "seconds": 1})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shop.prepay)
        while shop.live.get("/_control/faults").json()["items"]:
            assert not slow.done()
        shop.live.control("/faults", {"target": "wechat_pay", "mode": "error", "after_commit": True})

        assert slow.result()[0] == 200

    assert shop.prepay("P20260102")[0] == 500


def test_client_gives_up_although_the_work_is_done(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "timeout_after_commit"})
    hasty = pay_client(shop.live, timeout=0.3)

    with pytest.raises(requests.exceptions.Timeout):
        Shop(shop.live, hasty, shop.merchant).prepay()

    assert shop.query()[1]["trade_state"] == "NOTPAY"
    assert shop.prepay()[0] == 200


def test_connection_is_closed_without_a_word(shop: Shop) -> None:
    shop.paid()
    fault = {"target": "wechat_pay", "mode": "timeout_after_commit", "seconds": 0, "operation": "refund"}
    shop.live.control("/faults", fault)

    with pytest.raises(requests.exceptions.ConnectionError):
        shop.refund()

    assert shop.live.shown("refunds", "R20260101")["refund_status"] == "PROCESSING"


def test_refused_request_does_not_use_up_a_fault_after_commit(shop: Shop) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": "timeout_after_commit", "seconds": 0})

    assert shop.prepay(total=0)[0] == 400

    assert len(shop.live.get("/_control/faults").json()["items"]) == 1


def test_unsigned_request_does_not_use_up_a_fault(live: Live) -> None:
    live.control("/faults", {"target": "wechat_pay", "mode": "error"})

    assert live.get("/v3/certificates").status_code == 401

    assert len(live.get("/_control/faults").json()["items"]) == 1


def test_login_and_messages_fail_apart(live: Live, wechat: LoopbackClient) -> None:
    live.control("/faults", {"target": "wechat_login", "mode": "error"})
    live.control("/faults", {"target": "wechat_message", "mode": "error"})
    code = live.control("/login-codes", {"openid": OPENID})["code"]
    keys = live.credentials["wechat"]
    query = {
        "appid": keys["app_id"], "secret": keys["app_secret"], "js_code": code,
        "grant_type": "authorization_code",
    }  # fmt: skip

    assert live.get("/sns/jscode2session", params=query).json()["errcode"] == -1
    assert live.get("/sns/jscode2session", params=query).json()["openid"] == OPENID
    assert wechat.access_token
    message = {"touser": OPENID, "template_id": "T", "data": {"thing1": {"value": "x"}}}
    url = f"/cgi-bin/message/subscribe/send?access_token={wechat.access_token}"
    assert live.post(url, message).json()["errcode"] == -1
    assert live.outbox() == []
    assert live.post(url, message).json()["errcode"] == 0


@pytest.mark.parametrize(
    ("label", "body", "field"),
    [
        ("unknown target", {"target": "paypal", "mode": "error"}, "target"),
        ("no target", {"mode": "error"}, "target"),
        ("unknown mode", {"target": "wechat_pay", "mode": "explode"}, "mode"),
        ("no callbacks there", {"target": "wechat_login", "mode": "drop_callback"}, "mode"),
        ("count nought", {"target": "wechat_pay", "mode": "error", "count": 0}, "count"),
        ("count as text", {"target": "wechat_pay", "mode": "error", "count": "1"}, "count"),
        ("endless", {"target": "wechat_pay", "mode": "latency", "seconds": 1e9}, "seconds"),
        ("unknown operation", {"target": "wechat_pay", "mode": "error", "operation": "login"}, "operation"),
    ],
)
def test_fault_is_refused_for(live: Live, label: str, body: dict[str, object], field: str) -> None:
    response = live.post("/_control/faults", body)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert list(response.json()["errors"]) == [field]
    assert live.get("/_control/faults").json()["items"] == []


def test_faults_can_be_disarmed(live: Live) -> None:
    live.control("/faults", {"target": "wechat_pay", "mode": "error", "count": 9})

    requests.delete(live.url + "/_control/faults", timeout=10)

    assert json.loads(live.get("/_control/faults").text)["items"] == []
