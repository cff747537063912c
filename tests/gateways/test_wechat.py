"""The mini-program platform through wechatpy against a loopback: login, tokens, phones, messages, codes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from app.gateways.ports import (
    GatewayError,
    GatewayRefused,
    GatewayUnavailable,
    LoginIdentity,
    ShippingInfo,
)
from app.gateways.wechat import KeyValueStore, MiniProgramCredentials, WeChatMiniProgram
from tests.gateways.loopback import Answer, Loopback, json_answer
from tests.servers import RedisServer

CREDENTIALS = MiniProgramCredentials("wx0000000000000001", "c8f4-the-app-secret")
LOGIN = "/sns/jscode2session"
TOKEN = "/cgi-bin/stable_token"
PHONE = "/wxa/business/getuserphonenumber"
SEND = "/cgi-bin/message/subscribe/send"
PICTURE = "/wxa/getwxacodeunlimit"
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


@pytest.fixture
def platform(loopback: Loopback) -> Loopback:
    """The loopback as a platform on which everything succeeds."""
    loopback.on(LOGIN, json_answer({"openid": OPENID, "session_key": "tiihtNczf5v6AKRyjwEUhQ=="}))
    loopback.on(TOKEN, token("TOKEN-1"))
    loopback.on(PHONE, phone())
    loopback.on(SEND, json_answer(OK))
    loopback.on(PICTURE, Answer(200, JPEG, {"Content-Type": "image/jpeg"}))
    loopback.on(SHIPPING, json_answer(OK))
    return loopback


@pytest.fixture
def program(platform: Loopback) -> WeChatMiniProgram:
    return make(platform.url)


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


def test_the_token_is_the_stable_one_and_fetched_once(platform: Loopback, program: WeChatMiniProgram) -> None:
    send(program)
    send(program)

    assert platform.paths() == [TOKEN, SEND, SEND]
    assert platform.requests[0].json == {
        "grant_type": "client_credential",
        "appid": CREDENTIALS.app_id,
        "secret": CREDENTIALS.app_secret,
    }
    assert [request.query for request in platform.requests[1:]] == [{"access_token": "TOKEN-1"}] * 2


@pytest.mark.parametrize("code", [40001, 40014, 42001])
@each_with_token
def test_a_refused_token_is_replaced_once(
    platform: Loopback, program: WeChatMiniProgram, path: str, call: Call, code: int
) -> None:
    platform.on(TOKEN, token("TOKEN-1"), token("TOKEN-2"))
    platform.on(path, refusal(code), *platform.answers[path])

    call(program)

    assert platform.paths() == [TOKEN, path, TOKEN, path]
    assert platform.requests[-1].query == {"access_token": "TOKEN-2"}


@pytest.mark.parametrize("code", [40001, 40014, 42001])
@each_with_token
def test_a_token_that_stays_refused_ends_after_one_more_try(
    platform: Loopback, program: WeChatMiniProgram, path: str, call: Call, code: int
) -> None:
    platform.on(path, refusal(code))

    with pytest.raises(GatewayRefused) as refused:
        call(program)

    assert (refused.value.code, refused.value.is_retryable) == (str(code), True)
    assert platform.paths() == [TOKEN, path, TOKEN, path]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(503), GatewayUnavailable, id="unavailable"),
        pytest.param(Answer(hangs=True), GatewayUnavailable, id="hung"),
        pytest.param(json_answer({"expires_in": 7200}), GatewayUnavailable, id="no token"),
        pytest.param(json_answer({"access_token": "x"}), GatewayUnavailable, id="no life time"),
        pytest.param(refusal(40125), GatewayRefused, id="wrong secret"),
    ],
)
def test_login_works_while_tokens_do_not(
    platform: Loopback, program: WeChatMiniProgram, answer: Answer, expected: type[GatewayError]
) -> None:
    platform.on(TOKEN, answer)

    with pytest.raises(expected):
        send(program)

    assert platform.paths() == [TOKEN]
    assert program.exchange_login_code("code").openid == OPENID


def client_of(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=None)


@pytest.fixture
def shared_redis(own_redis: RedisServer) -> Iterator[RedisServer]:
    client_of(own_redis).flushdb()
    yield own_redis


def test_processes_share_one_token_through_redis(platform: Loopback, shared_redis: RedisServer) -> None:
    for _ in range(3):
        send(make(platform.url, client_of(shared_redis)))

    assert platform.paths() == [TOKEN, SEND, SEND, SEND]
    client = client_of(shared_redis)
    (key,) = client.keys()
    assert key == b"quefang:token:wx0000000000000001_access_token"
    assert 6890 <= client.ttl(key) <= 6900


def test_a_token_in_its_last_minutes_is_kept_for_half_of_them(
    platform: Loopback, shared_redis: RedisServer
) -> None:
    platform.on(TOKEN, token("TOKEN-1", 200))

    send(make(platform.url, client_of(shared_redis)))

    client = client_of(shared_redis)
    assert 95 <= client.ttl(client.keys()[0]) <= 100


def test_a_refused_token_is_taken_from_everybody(platform: Loopback, shared_redis: RedisServer) -> None:
    platform.on(TOKEN, token("TOKEN-1"), token("TOKEN-2"))
    first, second = (make(platform.url, client_of(shared_redis)) for _ in range(2))
    send(first)
    platform.on(SEND, refusal(42001), json_answer(OK))
    send(first)

    send(second)

    assert platform.requests[-1].query == {"access_token": "TOKEN-2"}
    assert platform.paths().count(TOKEN) == 2


class Counted:
    """Counts what is asked of a Redis client."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self.count = client, 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self._client, name)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("spoil", "restore"),
    [
        pytest.param(RedisServer.stop, RedisServer.start, id="refuses"),
        pytest.param(RedisServer.pause, RedisServer.resume, id="hangs"),
    ],
)
def test_messages_and_logins_go_on_without_redis(
    platform: Loopback,
    shared_redis: RedisServer,
    spoil: Callable[[RedisServer], None],
    restore: Callable[[RedisServer], None],
) -> None:
    counted = Counted(client_of(shared_redis))
    program = make(platform.url, counted)
    spoil(shared_redis)
    try:
        send(program)
        send(program)
        identity = program.exchange_login_code("code")
    finally:
        restore(shared_redis)

    assert identity.openid == OPENID
    assert platform.paths() == [TOKEN, SEND, SEND, LOGIN]
    # The first failure is the last try for some seconds: each one costs the whole time-out.
    assert counted.count == 1


def test_secrets_are_neither_shown_nor_logged(
    platform: Loopback, program: WeChatMiniProgram, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        program.exchange_login_code("code")
        send(program)

    assert CREDENTIALS.app_secret not in repr(CREDENTIALS)
    for secret in (CREDENTIALS.app_secret, "TOKEN-1", OPENID):
        assert secret not in caplog.text


def assert_keeps_secrets(error: BaseException) -> None:
    assert error.__suppress_context__ or error.__context__ is None
    assert CREDENTIALS.app_secret not in str(error)
    assert "TOKEN-1" not in str(error)
