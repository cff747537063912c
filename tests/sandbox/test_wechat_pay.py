"""Transactions and refunds as the wechatpayv3 SDK sees them."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from wechatpayv3 import WeChatPayType

from sandbox.clock import china_time
from tests.sandbox.live import OPENID, Live, pay_client
from tests.sandbox.shop import Shop, decoded


def test_prepay_is_answered_again_when_nothing_changed(shop: Shop) -> None:
    status, first = shop.prepay()
    _, again = shop.prepay()

    assert status == 200
    assert first["prepay_id"].startswith("wx") and again == first


def test_prepay_id_is_renewed_after_two_hours(shop: Shop) -> None:
    _, first = shop.prepay()
    # The SDK signs with the real time, so the old prepay is moved into the past instead.
    record = shop.live.sandbox.store.get("payment", "P20260101")
    assert record is not None
    shop.live.sandbox.store.put("payment", "P20260101", record | {"prepay_at": record["prepay_at"] - 7200})

    _, second = shop.prepay()

    assert second["prepay_id"] != first["prepay_id"]


def test_native_prepay_gives_a_code_and_a_payer_nobody_knew(shop: Shop) -> None:
    status, answer = shop.prepay(pay_type=WeChatPayType.NATIVE, payer=None)
    shop.succeed()

    assert status == 200 and answer["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    transaction = shop.query()[1]
    assert transaction["trade_type"] == "NATIVE" and transaction["payer"]["openid"].startswith("o")


@pytest.mark.parametrize(
    ("label", "changes", "status", "code"),
    [
        ("number too short", {"out_trade_no": "P1234"}, 400, "PARAM_ERROR"),
        ("number too long", {"out_trade_no": "P" * 33}, 400, "PARAM_ERROR"),
        ("number with a slash", {"out_trade_no": "P2026/01"}, 400, "PARAM_ERROR"),
        ("amount nought", {"amount": {"total": 0, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("amount negative", {"amount": {"total": -1, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("amount in yuan", {"amount": {"total": 128.0, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("amount as text", {"amount": {"total": "12800", "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("amount true", {"amount": {"total": True, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("amount enormous", {"amount": {"total": 10**400, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ("other currency", {"amount": {"total": 1, "currency": "USD"}}, 400, "PARAM_ERROR"),
        ("amount no object", {"amount": [12800]}, 400, "PARAM_ERROR"),
        ("address with query", {"notify_url": "http://127.0.0.1/n?a=1"}, 400, "PARAM_ERROR"),
        ("address without host", {"notify_url": "/notify"}, 400, "PARAM_ERROR"),
        ("address with bad port", {"notify_url": "http://127.0.0.1:x/n"}, 400, "PARAM_ERROR"),
        ("description too long", {"description": "长" * 128}, 400, "PARAM_ERROR"),
        ("attach too long", {"attach": "a" * 129}, 400, "PARAM_ERROR"),
        ("expiry without offset", {"time_expire": "2099-01-01T00:00:00"}, 400, "PARAM_ERROR"),
        ("expiry no time", {"time_expire": "tomorrow"}, 400, "PARAM_ERROR"),
        ("expiry in the past", {"time_expire": "2020-01-01T00:00:00+08:00"}, 400, "PARAM_ERROR"),
        ("payer no openid", {"payer": {"openid": "o alice"}}, 400, "PARAM_ERROR"),
        ("payer empty", {"payer": {"name": "alice"}}, 400, "PARAM_ERROR"),
        ("lone surrogate", {"description": "\ud800"}, 400, "PARAM_ERROR"),
        ("other application", {"appid": "wx0000000000000000"}, 400, "APPID_MCHID_NOT_MATCH"),
        ("other merchant in the body", {"mchid": "1900000000"}, 400, "PARAM_ERROR"),
    ],
)
def test_prepay_is_refused_for(
    shop: Shop, label: str, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = shop.prepay(**changes)

    assert (answer[0], answer[1]["code"]) == (status, code)
    assert shop.live.sandbox.store.count("payment") == 0


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        ("longest description", {"description": "长" * 127}),
        ("shortest number", {"out_trade_no": "P12345"}),
        ("longest number", {"out_trade_no": "P_-*" * 8}),
        ("one fen", {"amount": {"total": 1}}),
    ],
)
def test_prepay_is_accepted_for(shop: Shop, label: str, changes: dict[str, Any]) -> None:
    assert shop.prepay(**changes)[0] == 200


@pytest.mark.parametrize(
    ("label", "changes"),
    [
        ("price", {"total": 12900}),
        ("payer", {"payer": {"openid": "oBob"}}),
        ("kind", {"pay_type": WeChatPayType.NATIVE}),
        ("text", {"description": "another"}),
    ],
)
def test_prepay_with_the_same_number_is_refused_after_changing_the(
    shop: Shop, label: str, changes: dict[str, Any]
) -> None:
    shop.prepay()

    status, answer = shop.prepay(**changes)

    assert (status, answer["code"]) == (403, "OUT_TRADE_NO_USED")
    assert shop.query()[1]["amount"]["total"] == 12800


def test_unpaid_transaction_has_no_transaction_id(shop: Shop) -> None:
    shop.prepay(attach="store-1")

    status, transaction = shop.query()

    assert status == 200
    assert transaction["trade_state"] == "NOTPAY" and transaction["attach"] == "store-1"
    assert not {"transaction_id", "success_time", "payer"} & transaction.keys()


def test_paid_transaction_is_found_by_both_numbers(shop: Shop) -> None:
    transaction = shop.paid()

    assert transaction["trade_state"] == "SUCCESS"
    assert transaction["amount"] == {
        "total": 12800, "currency": "CNY", "payer_currency": "CNY", "payer_total": 12800,
    }  # fmt: skip
    assert transaction["payer"] == {"openid": OPENID} and transaction["success_time"].endswith("+08:00")
    assert decoded(shop.pay.query(transaction_id=transaction["transaction_id"]))[1] == transaction


def test_query_is_refused_for_unknown_numbers_and_other_merchants(shop: Shop) -> None:
    shop.prepay()

    assert shop.query("P-unknown")[0] == 404
    assert decoded(shop.pay.query(transaction_id="4200"))[1]["code"] == "ORDER_NOT_EXIST"
    assert decoded(shop.pay.query(out_trade_no="P20260101", mchid="1"))[1]["code"] == "PARAM_ERROR"


def test_closed_transaction_stays_closed(shop: Shop) -> None:
    shop.prepay()

    assert shop.pay.close("P20260101")[0] == 204
    assert shop.pay.close("P20260101")[0] == 204
    assert shop.query()[1]["trade_state"] == "CLOSED"
    assert shop.prepay()[1]["code"] == "ORDER_CLOSED"


def test_close_is_refused_for_paid_and_unknown_numbers(shop: Shop) -> None:
    shop.paid()

    assert decoded(shop.pay.close("P20260101"))[1]["code"] == "ORDERPAID"
    assert shop.prepay()[1]["code"] == "ORDERPAID"
    assert shop.query()[1]["trade_state"] == "SUCCESS"
    assert decoded(shop.pay.close("P-unknown"))[1]["code"] == "ORDER_NOT_EXIST"


def test_transaction_closes_when_its_time_is_over(shop: Shop) -> None:
    expires = china_time(shop.live.clock().timestamp() + 60)
    shop.prepay(time_expire=expires)
    assert shop.query()[1]["trade_state"] == "NOTPAY"

    shop.live.clock.offset = timedelta(seconds=61)

    assert shop.query()[1]["trade_state"] == "CLOSED"


def test_failed_payment_can_be_queried_and_paid_later(shop: Shop) -> None:
    shop.prepay()
    shop.live.control("/payments/wechat/P20260101/fail")

    assert shop.query()[1]["trade_state"] == "PAYERROR"
    assert shop.merchant.received == []
    shop.succeed()
    assert shop.query()[1]["trade_state"] == "SUCCESS"


def test_refund_is_processing_until_the_money_arrives(shop: Shop) -> None:
    shop.paid()

    status, refund = shop.refund(fen=2800)

    assert (status, refund["status"], refund["amount"]["refund"]) == (200, "PROCESSING", 2800)
    assert shop.query()[1]["trade_state"] == "REFUND"
    shop.live.control("/refunds/wechat/R20260101/succeed")
    refund = decoded(shop.pay.query_refund("R20260101"))[1]
    assert refund["status"] == "SUCCESS" and refund["success_time"].endswith("+08:00")


def test_refund_succeeds_by_itself_after_the_delay(shop: Shop) -> None:
    shop.live.control("/settings", {"refund_delay_seconds": 0.05})
    shop.paid()

    shop.refund()

    callback = shop.opened(shop.merchant.wait_for(2)[1])
    assert callback["event_type"] == "REFUND.SUCCESS"
    assert shop.live.shown("refunds", "R20260101")["refund_status"] == "SUCCESS"


def test_refund_with_the_same_number_is_answered_again_and_a_changed_one_refused(shop: Shop) -> None:
    shop.paid()
    _, first = shop.refund(fen=2800)

    assert shop.refund(fen=2800)[1] == first
    assert shop.refund(fen=2900)[1]["code"] == "INVALID_REQUEST"
    assert len(shop.live.shown("payments", "P20260101")["refunds"]) == 1


def test_refunds_never_exceed_the_payment_however_many_race(shop: Shop) -> None:
    shop.paid()
    answers: list[int] = []

    def refund(number: int) -> None:
        answers.append(shop.refund(f"R{number}", 3000)[0])

    threads = [threading.Thread(target=refund, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200] * 4 + [400] * 8
    refunds = shop.live.shown("payments", "P20260101")["refunds"]
    assert sum(refund["refund"] for refund in refunds) == 12000


@pytest.mark.parametrize(
    ("label", "changes", "status", "code"),
    [
        ("unknown payment", {"out_trade_no": "P-unknown"}, 404, "RESOURCE_NOT_EXISTS"),
        ("more than paid", {"fen": 12801}, 400, "INVALID_REQUEST"),
        ("wrong total", {"amount": {"refund": 1, "total": 1, "currency": "CNY"}}, 400, "INVALID_REQUEST"),
        ("nothing", {"fen": 0}, 400, "PARAM_ERROR"),
        ("no currency", {"amount": {"refund": 1, "total": 12800}}, 400, "PARAM_ERROR"),
        ("bad number", {"number": "R 1"}, 400, "PARAM_ERROR"),
        ("contradicting numbers", {"out_trade_no": "P20260102"}, 404, "RESOURCE_NOT_EXISTS"),
    ],
)
def test_refund_is_refused_for(
    shop: Shop, label: str, changes: dict[str, Any], status: int, code: str
) -> None:
    shop.paid()

    answer = shop.refund(**changes)

    assert (answer[0], answer[1]["code"]) == (status, code)
    assert shop.query()[1]["trade_state"] == "SUCCESS"


def test_refund_is_refused_before_the_payment(shop: Shop) -> None:
    shop.prepay()

    assert shop.refund()[1]["code"] == "INVALID_REQUEST"
    assert shop.query()[1]["trade_state"] == "NOTPAY"


def test_certificates_are_refused_in_public_key_mode(live: Live) -> None:
    status, answer = decoded(pay_client(live)._core.request("/v3/certificates"))

    assert (status, answer["code"]) == (404, "RESOURCE_NOT_EXISTS")


def test_sdk_works_in_certificate_mode(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    live = shop.live
    live.control("/settings", {"wechat_pay_key_mode": "certificate"})
    # Without a public key the SDK fetches certificates while it is being built.
    monkeypatch.setattr("wechatpayv3.core.Core._init_certificates", _fetch_from(live))
    shop.pay = pay_client(live, public_key=None, public_key_id=None)

    transaction = shop.paid()

    assert transaction["trade_state"] == "SUCCESS"
    callback = shop.merchant.wait_for(1)[0]
    assert callback.headers["Wechatpay-Serial"] == live.sandbox.context.ring.certificate_serial_no
    assert shop.opened(callback)["resource"]["out_trade_no"] == "P20260101"


def _fetch_from(live: Live) -> Any:
    def init_certificates(core: Any) -> None:
        core._gate_way = live.url
        core._update_certificates()

    return init_certificates


def test_state_is_wiped_on_request_but_keys_stay(shop: Shop) -> None:
    shop.paid()
    keys = shop.live.sandbox.context.ring

    shop.live.reset()

    assert shop.query()[0] == 404
    assert shop.live.sandbox.context.ring == keys and shop.prepay()[0] == 200


def test_raw_body_with_escapes_is_verified_as_sent(shop: Shop) -> None:
    # The SDK escapes Chinese; whoever rebuilds the body instead of keeping its bytes fails here.
    assert shop.prepay(description="麻将·包间 “A1” 🀄")[0] == 200
    record = shop.live.sandbox.store.get("payment", "P20260101")
    assert (
        record is not None and json.dumps(record["description"], ensure_ascii=False) == '"麻将·包间 “A1” 🀄"'
    )
