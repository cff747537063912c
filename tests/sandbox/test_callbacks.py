"""Callbacks: signed, encrypted, repeated until accepted, and disturbed by faults."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.notifier import is_this_machine
from tests.sandbox.live import OPENID, Received
from tests.sandbox.shop import Shop


def arm(shop: Shop, mode: str, **more: Any) -> None:
    shop.live.control("/faults", {"target": "wechat_pay", "mode": mode, **more})


def about(shop: Shop, callbacks: list[Received]) -> list[str]:
    """Return the order numbers of callbacks, in the order they came."""
    return [shop.opened(callback)["resource"]["out_trade_no"] for callback in callbacks]


def test_payment_callback_is_decrypted_by_the_sdk(shop: Shop) -> None:
    shop.prepay(attach="store-1")

    outcome = shop.succeed()

    callback = shop.opened(shop.merchant.wait_for(1)[0])
    assert (outcome["delivered"], outcome["status"]) == (True, 204)
    assert (callback["event_type"], callback["resource_type"]) == ("TRANSACTION.SUCCESS", "encrypt-resource")
    assert callback["resource"] == shop.query()[1]
    assert callback["resource"]["payer"]["openid"] == OPENID
    assert callback["resource"]["attach"] == "store-1"


def test_altered_callback_is_refused_by_the_sdk(shop: Shop) -> None:
    shop.paid()
    callback = shop.merchant.wait_for(1)[0]

    altered = callback.body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.SUCCESs")

    assert altered != callback.body
    assert shop.pay.callback(callback.headers, altered) is None


@pytest.mark.parametrize(
    ("verb", "event", "status"),
    [("succeed", "REFUND.SUCCESS", "SUCCESS"), ("abnormal", "REFUND.ABNORMAL", "ABNORMAL")],
)
def test_refund_callback_tells_how_it_ended(shop: Shop, verb: str, event: str, status: str) -> None:
    shop.paid()
    shop.refund(fen=2800)

    outcome = shop.live.control(f"/refunds/wechat/R20260101/{verb}")

    callback = shop.opened(shop.merchant.wait_for(2)[1])
    assert outcome["delivered"] is True and outcome["refund_status"] == status
    assert callback["event_type"] == event
    resource = callback["resource"]
    assert (resource["out_refund_no"], resource["refund_status"]) == ("R20260101", status)
    assert resource["amount"] == {"total": 12800, "refund": 2800, "payer_total": 12800, "payer_refund": 2800}


def test_abnormal_refund_succeeds_later_and_never_the_other_way_round(shop: Shop) -> None:
    shop.paid()
    shop.refund()
    shop.live.control("/refunds/wechat/R20260101/abnormal")
    shop.live.control("/refunds/wechat/R20260101/succeed")

    refused = shop.live.post("/_control/refunds/wechat/R20260101/abnormal")

    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")
    assert shop.live.shown("refunds", "R20260101")["refund_status"] == "SUCCESS"
    assert len(shop.merchant.received) == 3


def test_refund_without_an_address_sends_nothing(shop: Shop) -> None:
    shop.paid()
    shop.refund(notify_url=None)

    outcome = shop.live.control("/refunds/wechat/R20260101/succeed")

    assert outcome["delivered"] is False and outcome["refund_status"] == "SUCCESS"
    assert len(shop.merchant.received) == 1


def test_callback_is_repeated_until_it_is_accepted(shop: Shop) -> None:
    shop.merchant.statuses = [500, 302, 404, 200]
    shop.prepay()

    outcome = shop.succeed()

    callbacks = shop.merchant.wait_for(4)
    assert (outcome["delivered"], outcome["status"]) == (False, 500)
    assert len({callback.id for callback in callbacks}) == 1
    assert {callback.path for callback in callbacks} == {"/notify"}
    assert about(shop, callbacks) == ["P20260101"] * 4
    assert len({callback.headers["Wechatpay-Nonce"] for callback in callbacks}) == 4


def test_succeed_again_sends_the_same_callback_again(shop: Shop) -> None:
    shop.prepay()
    shop.succeed()

    outcome = shop.succeed()

    first, second = shop.merchant.wait_for(2)
    assert outcome["delivered"] is True
    assert (first.id, first.body) == (second.id, second.body)


def test_succeed_reports_a_merchant_that_is_down(shop: Shop) -> None:
    shop.prepay(notify_url="http://127.0.0.1:9/notify")

    outcome = shop.succeed()

    assert (outcome["delivered"], outcome["status"]) == (False, 0)
    assert shop.query()[1]["trade_state"] == "SUCCESS"


def test_money_may_arrive_after_closing(shop: Shop) -> None:
    shop.prepay()
    shop.pay.close("P20260101")

    outcome = shop.succeed()

    assert (outcome["delivered"], outcome["trade_state"]) == (True, "SUCCESS")


def test_dropped_callback_never_comes_but_the_query_knows(shop: Shop) -> None:
    arm(shop, "drop_callback")
    shop.prepay()

    outcome = shop.succeed()

    assert (outcome["delivered"], outcome["fate"]) == (False, "dropped")
    assert shop.query()[1]["trade_state"] == "SUCCESS"
    assert shop.live.sandbox.store.execute("SELECT count(*) FROM tasks") == [(0,)]
    assert shop.merchant.received == []
    assert shop.succeed()["delivered"] is True


def test_duplicated_callback_comes_with_its_copies_once(shop: Shop) -> None:
    arm(shop, "duplicate_callback", count=5)
    shop.prepay()
    shop.succeed()

    callbacks = shop.merchant.wait_for(6)

    assert len(callbacks) == 6 and len({callback.id for callback in callbacks}) == 1
    shop.succeed()
    assert len(shop.merchant.received) == 7


def test_reordered_callback_comes_after_the_next_one(shop: Shop) -> None:
    arm(shop, "reorder", seconds=60)
    shop.prepay("P-first")
    shop.prepay("P-second")

    held = shop.succeed("P-first")
    shop.succeed("P-second")

    assert held["fate"] == "held"
    assert about(shop, shop.merchant.wait_for(2)) == ["P-second", "P-first"]


def test_reordered_callback_comes_alone_when_nothing_follows(shop: Shop) -> None:
    arm(shop, "reorder", seconds=0.02)
    shop.prepay()
    shop.succeed()

    assert about(shop, shop.merchant.wait_for(1)) == ["P20260101"]


def test_fault_for_refund_callbacks_leaves_payment_callbacks_alone(shop: Shop) -> None:
    arm(shop, "drop_callback", operation="refund_callback")
    shop.paid()
    shop.refund()

    assert shop.live.control("/refunds/wechat/R20260101/succeed")["fate"] == "dropped"
    assert len(shop.merchant.received) == 1


def test_signature_probe_carries_a_wrong_signature(shop: Shop) -> None:
    shop.merchant.statuses = [401]
    shop.prepay()

    outcome = shop.live.control("/payments/wechat/P20260101/probe")

    probe = shop.merchant.wait_for(1)[0]
    assert outcome["status"] == 401
    assert probe.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert shop.pay.callback(probe.headers, probe.body) is None
    assert shop.query()[1]["trade_state"] == "NOTPAY"


def test_body_is_plain_json_with_a_twelve_character_nonce(shop: Shop) -> None:
    shop.paid()

    body = json.loads(shop.merchant.wait_for(1)[0].body)

    assert len(body["resource"]["nonce"]) == 12
    assert body["resource"]["algorithm"] == "AEAD_AES_256_GCM"
    assert body["resource"]["original_type"] == "transaction"


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8080/n", True),
        ("http://localhost/n", True),
        ("http://[::1]:8080/n", True),
        ("http://192.0.2.1/n", False),
        ("http://merchant.example/n", False),
        ("http://0.0.0.0/n", False),
        ("http://224.0.0.1/n", False),
        ("http://2130706433/n", False),
        ("http://[broken/n", False),
    ],
)
def test_only_this_machine_is_called(url: str, is_here: bool) -> None:
    assert is_this_machine(url) is is_here
