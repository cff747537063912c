"""The mini-program platform through wechatpy against a loopback: login, phones, messages, codes."""

from __future__ import annotations

import logging

import pytest

from app.gateways.ports import GatewayRefused, GatewayUnavailable, LoginIdentity
from app.gateways.wechat import WeChatMiniProgram
from tests.gateways.loopback import Answer, Loopback, json_answer
from tests.gateways.mini_program_platform import (
    ALL,
    CREDENTIALS,
    JPEG,
    LOGIN,
    MANAGED,
    OK,
    OPENID,
    PHONE,
    SHIPPED,
    TEMPLATE,
    Call,
    assert_keeps_secrets,
    each_call,
    make,
    phone,
    refusal,
    send,
)


def test_login_gives_the_identity_and_needs_no_token(platform: Loopback, program: WeChatMiniProgram) -> None:
    identity = program.exchange_login_code("0a1B2c")

    assert identity == LoginIdentity(OPENID, None)
    assert "tiihtNczf5v6" not in repr(identity)
    (request,) = platform.requests
    assert (request.method, request.path) == ("GET", LOGIN)
    assert request.query == {
        "appid": CREDENTIALS.app_id,
        "secret": CREDENTIALS.app_secret,
        "js_code": "0a1B2c",
        "grant_type": "authorization_code",
    }


def test_login_keeps_the_union_identity(platform: Loopback, program: WeChatMiniProgram) -> None:
    platform.on(LOGIN, json_answer(OK | {"openid": OPENID, "unionid": "u-1", "session_key": "x"}))

    assert program.exchange_login_code("code") == LoginIdentity(OPENID, "u-1")


@pytest.mark.parametrize("code", ["", "a" * 513, "a\nb", "\ud800"], ids=["empty", "long", "line end", "half"])
def test_an_impossible_code_is_refused_without_asking(
    platform: Loopback, program: WeChatMiniProgram, code: str
) -> None:
    for exchange in (program.exchange_login_code, program.exchange_phone_code):
        with pytest.raises(GatewayRefused) as refused:
            exchange(code)
        assert (refused.value.code, refused.value.is_retryable) == ("40029", False)
    assert platform.requests == []


@pytest.mark.parametrize(
    ("code", "is_retryable"),
    [
        (-1, True),
        (45009, True),
        (45011, True),
        (40029, False),
        (40163, False),
        (40226, False),
        (40013, False),
        (43101, False),
        (47003, False),
        (40037, False),
        (40003, False),
        (99999, False),
    ],
)
@each_call
def test_a_refusal_keeps_its_code_and_says_whether_to_try_again(
    platform: Loopback, program: WeChatMiniProgram, path: str, call: Call, code: int, is_retryable: bool
) -> None:
    platform.on(path, refusal(code, "invalid thing"))

    with pytest.raises(GatewayRefused) as refused:
        call(program)

    assert (refused.value.code, refused.value.is_retryable) == (str(code), is_retryable)
    assert refused.value.message.startswith("invalid thing")
    assert platform.paths().count(path) == 1


UNUSABLE = [
    pytest.param(Answer(500, b'{"errcode": 0}'), id="HTTP 500"),
    pytest.param(Answer(404, b""), id="HTTP 404"),
    pytest.param(Answer(302, b"", {"Location": "/elsewhere"}), id="redirection"),
    pytest.param(Answer(200, b"<html>login to the hotel</html>"), id="not JSON"),
    pytest.param(Answer(200, b""), id="nothing"),
    pytest.param(Answer(200, b"[1]"), id="list"),
    pytest.param(Answer(200, b"null"), id="null"),
    pytest.param(Answer(200, b"[" * 100_000), id="deep nesting"),
    pytest.param(json_answer({"errcode": "many", "errmsg": "x"}), id="code that is no number"),
    pytest.param(Answer(drops=True), id="connection cut"),
    pytest.param(Answer(hangs=True), id="no answer in time"),
]


@pytest.mark.parametrize("answer", UNUSABLE)
@each_call
def test_an_unusable_answer_leaves_the_outcome_unknown(
    platform: Loopback, program: WeChatMiniProgram, path: str, call: Call, answer: Answer
) -> None:
    platform.on(path, answer)

    with pytest.raises(GatewayUnavailable) as failed:
        call(program)

    assert failed.value.outcome_unknown
    assert platform.paths().count(path) == 1
    assert not platform.has_run_out_of_patience
    assert "/elsewhere" not in platform.paths()
    assert_keeps_secrets(failed.value)


@each_call
def test_a_request_that_cannot_have_arrived_has_a_known_outcome(
    closed_port: int, path: str, call: Call
) -> None:
    with pytest.raises(GatewayUnavailable) as failed:
        call(make(f"http://127.0.0.1:{closed_port}"))

    assert not failed.value.outcome_unknown
    assert_keeps_secrets(failed.value)


@pytest.mark.parametrize(
    ("path", "call", "answer"),
    [
        pytest.param(*ALL["login"], json_answer({"session_key": "x"}), id="login without openid"),
        pytest.param(*ALL["login"], json_answer({"openid": "a b"}), id="openid with a space"),
        pytest.param(*ALL["login"], json_answer({"openid": OPENID, "unionid": 5}), id="unionid no text"),
        pytest.param(*ALL["phone"], json_answer(OK), id="phone without info"),
        pytest.param(*ALL["phone"], phone(number="138"), id="phone too short"),
        pytest.param(*ALL["phone"], phone(country="CN"), id="country no number"),
        pytest.param(*ALL["picture"], json_answer(OK), id="picture as JSON"),
        pytest.param(*ALL["picture"], Answer(200, b"GIF89a"), id="picture of another kind"),
    ],
)
def test_an_answer_without_the_facts_is_no_answer(
    platform: Loopback, program: WeChatMiniProgram, path: str, call: Call, answer: Answer
) -> None:
    platform.on(path, answer)

    with pytest.raises(GatewayUnavailable):
        call(program)


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("13800138000", "86", "13800138000"),
        ("13800138000", 86, "13800138000"),
        ("13800138000", "+86", "13800138000"),
        ("91234567", "852", "+85291234567"),
    ],
)
def test_a_phone_number_comes_in_one_form(
    platform: Loopback, program: WeChatMiniProgram, number: str, country: object, expected: str
) -> None:
    platform.on(PHONE, phone(number, country))

    assert program.exchange_phone_code("phone-code") == expected
    request = platform.requests[-1]
    assert (request.json, request.query) == ({"code": "phone-code"}, {"access_token": "TOKEN-1"})


def test_a_phone_number_for_another_mini_program_is_refused(
    platform: Loopback, program: WeChatMiniProgram
) -> None:
    platform.on(PHONE, phone(app_id="wx9999999999999999"))

    with pytest.raises(GatewayRefused) as refused:
        program.exchange_phone_code("code")

    assert (refused.value.code, refused.value.is_retryable) == ("watermark", False)


@pytest.mark.parametrize(("is_production", "state"), [(False, "developer"), (True, "formal")])
def test_a_message_is_sent_with_fitted_values_as_true_utf_8(
    platform: Loopback, is_production: bool, state: str
) -> None:
    send(make(platform.url, is_production=is_production), thing1="雀" * 30, amount2="¥128.00")

    request = platform.requests[-1]
    assert request.json == {
        "touser": OPENID,
        "template_id": TEMPLATE,
        "page": "pages/order",
        "data": {"thing1": {"value": "雀" * 19 + "…"}, "amount2": {"value": "¥128.00"}},
        "miniprogram_state": state,
        "lang": "zh_CN",
    }
    assert "雀".encode() in request.body


def test_a_message_that_cannot_be_fitted_is_not_sent(platform: Loopback, program: WeChatMiniProgram) -> None:
    with pytest.raises(GatewayRefused) as refused:
        send(program, thing1="牡丹", phrase2="no Chinese")

    assert refused.value.code == "47003"
    assert "phrase2" in refused.value.message
    assert platform.requests == []


@pytest.mark.parametrize(("is_production", "version"), [(False, "develop"), (True, "release")])
def test_a_picture_of_a_code_is_made(platform: Loopback, is_production: bool, version: str) -> None:
    content = make(platform.url, is_production=is_production).make_mini_program_code(
        "c=12&s=3", "/pages/team"
    )

    assert content == JPEG
    assert platform.requests[-1].json == {
        "scene": "c=12&s=3",
        "page": "pages/team",
        "check_path": is_production,
        "env_version": version,
    }


@pytest.mark.parametrize("scene", ["", "a" * 33, "50%", "牡丹", "a b"])
def test_an_impossible_scene_is_refused_without_asking(
    platform: Loopback, program: WeChatMiniProgram, scene: str
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        program.make_mini_program_code(scene, "pages/team")

    assert refused.value.code == "40169"
    assert platform.requests == []


def test_a_delivered_order_is_reported(platform: Loopback, program: WeChatMiniProgram) -> None:
    program.upload_shipping_info(SHIPPED)

    assert platform.requests[-1].json == {
        "order_key": {"order_number_type": 2, "transaction_id": SHIPPED.transaction_no},
        "logistics_type": 3,
        "delivery_mode": 1,
        "shipping_list": [{"item_desc": "包" * 120}],
        "upload_time": "2026-03-14T12:00:00.000+08:00",
        "payer": {"openid": OPENID},
    }


@pytest.mark.parametrize("is_managed", [True, False])
def test_whether_money_is_held_is_asked_once(
    platform: Loopback, program: WeChatMiniProgram, is_managed: bool
) -> None:
    platform.on(MANAGED, json_answer(OK | {"is_trade_managed": is_managed}))

    assert [program.is_trade_managed() for _ in range(3)] == [is_managed] * 3

    asked = [request for request in platform.requests if request.path == MANAGED]
    assert [request.json for request in asked] == [{"appid": CREDENTIALS.app_id}]


def test_an_answer_that_says_neither_is_no_answer(platform: Loopback, program: WeChatMiniProgram) -> None:
    platform.on(MANAGED, json_answer(OK | {"is_trade_managed": "yes"}))
    with pytest.raises(GatewayUnavailable):
        program.is_trade_managed()


def test_secrets_are_neither_shown_nor_logged(
    platform: Loopback, program: WeChatMiniProgram, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        program.exchange_login_code("code")
        send(program)

    assert CREDENTIALS.app_secret not in repr(CREDENTIALS)
    for secret in (CREDENTIALS.app_secret, "TOKEN-1", OPENID):
        assert secret not in caplog.text
