"""Access tokens of the mini-program: stable, shared through Redis, replaced once, and done without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from app.gateways.ports import GatewayError, GatewayRefused, GatewayUnavailable
from app.gateways.wechat import WeChatMiniProgram
from tests.gateways.loopback import Answer, Loopback, json_answer
from tests.gateways.mini_program_platform import (
    CREDENTIALS,
    LOGIN,
    OK,
    OPENID,
    SEND,
    TOKEN,
    Call,
    each_with_token,
    make,
    refusal,
    send,
    token,
)
from tests.servers import RedisServer


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
