"""The mini-program platform for tests: its addresses, its answers, and one call of each kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from app.gateways.ports import ShippingInfo
from app.gateways.wechat import KeyValueStore, MiniProgramCredentials, WeChatMiniProgram
from tests.gateways.loopback import Answer, Loopback, json_answer

CREDENTIALS = MiniProgramCredentials("wx0000000000000001", "c8f4-the-app-secret")
LOGIN = "/sns/jscode2session"
TOKEN = "/cgi-bin/stable_token"
PHONE = "/wxa/business/getuserphonenumber"
SEND = "/cgi-bin/message/subscribe/send"
PICTURE = "/wxa/getwxacodeunlimit"
MANAGED = "/wxa/sec/order/is_trade_managed"
SHIPPING = "/wxa/sec/order/upload_shipping_info"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
TEMPLATE = "zun-LzcQyW-edafCVvzPkK4de2Rllr1fFpw2A_x0oXE"
OK = {"errcode": 0, "errmsg": "ok"}
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 picture"
SHIPPED = ShippingInfo(
    "4200001234202603140000000001", OPENID, "包" * 200, datetime(2026, 3, 14, 4, tzinfo=UTC)
)

Call = Callable[[WeChatMiniProgram], Any]


def send(program: WeChatMiniProgram, **fields: str) -> None:
    program.send_subscribe_message(OPENID, TEMPLATE, "pages/order", fields or {"thing1": "牡丹"})


WITH_TOKEN: dict[str, tuple[str, Call]] = {
    "phone": (PHONE, lambda program: program.exchange_phone_code("code")),
    "message": (SEND, send),
    "picture": (PICTURE, lambda program: program.make_mini_program_code("t=1", "pages/index")),
    "shipping": (SHIPPING, lambda program: program.upload_shipping_info(SHIPPED)),
}
ALL = {"login": (LOGIN, lambda program: program.exchange_login_code("code"))} | WITH_TOKEN
each_with_token = pytest.mark.parametrize(("path", "call"), WITH_TOKEN.values(), ids=WITH_TOKEN.keys())
each_call = pytest.mark.parametrize(("path", "call"), ALL.values(), ids=ALL.keys())


def token(value: str, seconds: int = 7200) -> Answer:
    return json_answer({"access_token": value, "expires_in": seconds})


def refusal(code: int, message: str = "no") -> Answer:
    return json_answer({"errcode": code, "errmsg": f"{message} rid: 65f2-1a2b"})


def phone(number: str = "13800138000", country: object = "86", app_id: str = CREDENTIALS.app_id) -> Answer:
    info = {
        "phoneNumber": number,
        "purePhoneNumber": number,
        "countryCode": country,
        "watermark": {"timestamp": 1773460800, "appid": app_id},
    }
    return json_answer(OK | {"phone_info": info})


def make(
    url: str, redis_client: KeyValueStore | None = None, *, is_production: bool = False
) -> WeChatMiniProgram:
    return WeChatMiniProgram(
        CREDENTIALS, base_url=url, timeout_seconds=0.2, is_production=is_production, redis_client=redis_client
    )


def let_succeed(loopback: Loopback) -> None:
    """Make the loopback a platform on which everything succeeds."""
    loopback.on(LOGIN, json_answer({"openid": OPENID, "session_key": "tiihtNczf5v6AKRyjwEUhQ=="}))
    loopback.on(TOKEN, token("TOKEN-1"))
    loopback.on(PHONE, phone())
    loopback.on(SEND, json_answer(OK))
    loopback.on(PICTURE, Answer(200, JPEG, {"Content-Type": "image/jpeg"}))
    loopback.on(SHIPPING, json_answer(OK))


def assert_keeps_secrets(error: BaseException) -> None:
    assert error.__suppress_context__ or error.__context__ is None
    assert CREDENTIALS.app_secret not in str(error)
    assert "TOKEN-1" not in str(error)
