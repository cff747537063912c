"""The other side of Alipay for tests: keys, signed answers and notices, and the requests it would check."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from app.gateways import AlipayCredentials
from tests.gateways.loopback import Answer, Received
from tests.gateways.pay_service import private_pem, public_pem, sign, verify

NOW = datetime(2026, 3, 14, 4, 0, tzinfo=UTC)
CHINA = timezone(timedelta(hours=8))
PATH = "/gateway.do"
APP_ID = "2021000000000001"
SELLER_ID = "2088000000000001"
PAYMENT_NO = "P20260314000001"
TRADE_NO = "2026031422001400000000000001"
REFUND_NO = "R20260314000001"
NAMES = {
    "create": "alipay_trade_create_response",
    "precreate": "alipay_trade_precreate_response",
    "query": "alipay_trade_query_response",
    "close": "alipay_trade_close_response",
    "refund": "alipay_trade_refund_response",
    "refund_query": "alipay_trade_fastpay_refund_query_response",
    "login": "alipay_system_oauth_token_response",
    "bill": "alipay_data_dataservice_bill_downloadurl_query_response",
}


def credentials(**changes: str) -> AlipayCredentials:
    made = AlipayCredentials(
        app_id=APP_ID,
        seller_id=SELLER_ID,
        app_private_key=private_pem("merchant"),
        alipay_public_key=public_pem("service"),
    )
    return replace(made, **changes)


def raw_answer(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode(), {"Content-Type": "text/html;charset=utf-8"})


def signed(operation: str, node: dict[str, Any], *, owner: str = "service", layout: str = "") -> Answer:
    """An answer around *node*; *layout* may place `{name}`, `{node}` and `{sign}` in another order."""
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    parts = {"name": NAMES.get(operation, operation), "node": text, "sign": sign(text, owner)}
    layout = layout or '{"<name>":<node>,"sign":"<sign>"}'
    for name, value in parts.items():
        layout = layout.replace(f"<{name}>", value)
    return raw_answer(layout)


def success(operation: str, **facts: Any) -> Answer:
    return signed(operation, {"code": "10000", "msg": "Success"} | facts)


def refusal(operation: str, sub_code: str, code: str = "40004") -> Answer:
    return signed(
        operation, {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "不行"}
    )


def unsigned_refusal(operation: str, sub_code: str, code: str = "40002") -> Answer:
    node = {"code": code, "msg": "Invalid Arguments", "sub_code": sub_code, "sub_msg": "不行"}
    return raw_answer(json.dumps({NAMES.get(operation, operation): node}, ensure_ascii=False))


def trade(**changes: Any) -> dict[str, Any]:
    """A paid trade as a query carries it."""
    paid: dict[str, Any] = {
        "out_trade_no": PAYMENT_NO,
        "trade_no": TRADE_NO,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "128.00",
        "send_pay_date": "2026-03-14 11:59:58",
        "buyer_user_id": "2088102169481075",
    }
    return {key: value for key, value in (paid | changes).items() if value is not None}


def check_request(request: Received) -> dict[str, str]:
    """Fail unless the application signed exactly what arrived, at China's present time; return it."""
    assert (request.method, request.path, request.body) == ("GET", PATH, b"")
    values = request.query
    text = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "sign")
    verify("merchant", values["sign"], text.encode())
    stamp = datetime.strptime(values["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=1), "the stamp is not on China's clock"
    fixed = {"app_id": APP_ID, "charset": "utf-8", "sign_type": "RSA2", "version": "1.0"}
    assert {name: values[name] for name in fixed} == fixed
    return values


def business(request: Received) -> Any:
    """Return the business parameters of a request."""
    return json.loads(request.query["biz_content"])


def notice(**changes: Any) -> dict[str, str]:
    """The fields of a notice about a paid trade, unsigned; None leaves one out."""
    fields = {
        "notify_time": "2026-03-14 12:00:00",
        "notify_type": "trade_status_sync",
        "notify_id": "2026031400222120001040200000000001",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "trade_no": TRADE_NO,
        "out_trade_no": PAYMENT_NO,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "128.00",
        "subject": "雀坊 & 100% + 茶",
        "body": "",
        "gmt_payment": "2026-03-14 11:59:58",
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def refund_notice(**changes: Any) -> dict[str, str]:
    """The fields of a notice that tells of a refund by repeating the trade."""
    told = {"out_biz_no": REFUND_NO, "refund_fee": "64.00", "gmt_refund": "2026-03-14 11:59:59.123"}
    return notice(**told | changes)


def form(fields: dict[str, str], *, owner: str = "service", **changes: str) -> bytes:
    """Sign *fields* and return the body; *changes* come after the signature."""
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    return urlencode(fields | {"sign_type": "RSA2", "sign": sign(text, owner)} | changes).encode()
