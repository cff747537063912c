"""Rate limits: general ones, those on failures, and a Redis that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits.storage import storage_from_string

from app.api import limits
from app.extensions import limiter
from tests import factories
from tests.api.conftest import LogIn, Platform
from tests.api.contract import ContractClient, document_of
from tests.servers import RedisServer


@pytest.fixture
def limited(api: ContractClient, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> ContractClient:
    """A client under limits that start anew."""
    # Fetched once by the client itself; it shall not count.
    document_of(api.application)
    config = api.application.config
    monkeypatch.setitem(config, "RATELIMIT_ENABLED", True)
    monkeypatch.setattr(limits, "counter", limits.Counter())
    storage = storage_from_string(redis_url)
    storage.reset()
    monkeypatch.setattr(limiter, "_storage", storage)
    return api


def _limit(api: ContractClient, monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setitem(api.application.config, name, value)


def test_address_is_limited(limited: ContractClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _limit(limited, monkeypatch, API_RATE_LIMIT="3 per minute")
    for _ in range(3):
        assert limited.get("/api/v1/stores").status_code == 200
    answer = limited.get("/api/v1/campaigns")
    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    other = limited.get("/api/v1/stores", environ_base={"REMOTE_ADDR": "10.0.0.2"})
    assert other.status_code == 200


def test_customer_is_limited_from_every_address(
    limited: ContractClient, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(limited, monkeypatch, API_RATE_LIMIT="3 per minute")
    headers = log_in()
    for number in range(3):
        answer = limited.get("/api/v1/me", headers=headers, environ_base={"REMOTE_ADDR": f"10.0.0.{number}"})
        assert answer.status_code == 200
    answer = limited.get("/api/v1/me", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert answer.status_code == 429
    other = limited.get("/api/v1/me", headers=log_in(), environ_base={"REMOTE_ADDR": "10.0.0.10"})
    assert other.status_code == 200


def test_callbacks_and_health_are_not_limited(
    limited: ContractClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(limited, monkeypatch, API_RATE_LIMIT="1 per minute")
    for _ in range(3):
        assert limited.post("/api/v1/payments/alipay/notify", data=b"x").status_code == 404
        assert limited.get("/healthz").status_code == 200


def test_wrong_codes_are_limited_and_right_ones_are_free(limited: ContractClient, platform: Platform) -> None:
    for number in range(20):
        platform.openids["good"] = f"openid-{number}"
        good = limited.post("/api/v1/auth/login", json={"channel": "wechat", "code": "good"})
        assert good.status_code == 200
    for _ in range(10):
        bad = limited.post("/api/v1/auth/login", json={"channel": "wechat", "code": "bad"})
        assert bad.status_code == 422
    platform.openids["good"] = "openid-1"
    answer = limited.post("/api/v1/auth/login", json={"channel": "wechat", "code": "good"})
    assert (answer.status_code, platform.openids) == (429, {"good": "openid-1"})
    refresh = limited.post("/api/v1/auth/refresh", json={"refresh_token": "x"})
    assert refresh.status_code == 429


@pytest.mark.parametrize("path", ["/api/v1/vouchers/ABCD", "/api/v1/vouchers/ABCD/qr"])
def test_guessing_vouchers_is_limited(limited: ContractClient, log_in: LogIn, path: str) -> None:
    headers = log_in()
    answers = [limited.get(path, headers=headers).status_code for _ in range(11)]
    assert answers == [404] * 10 + [429]
    assert limited.get("/api/v1/vouchers", headers=headers).status_code == 200


def test_guessing_vouchers_by_quotes_is_limited(limited: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    body = {
        "room_id": str(factories.make_room().id),
        "start_at": "2026-03-04T18:00:00+08:00",
        "end_at": "2026-03-04T20:00:00+08:00",
    }
    guess = body | {"voucher_code": "ABCD"}
    for _ in range(10):
        assert limited.post("/api/v1/quotes", json=guess, headers=headers).status_code == 404
    assert limited.post("/api/v1/quotes", json=guess, headers=headers).status_code == 429
    other = log_in()
    away = {"REMOTE_ADDR": "10.0.0.2"}
    assert limited.post("/api/v1/quotes", json=body, headers=other, environ_base=away).status_code == 200


@pytest.fixture
def hung_redis(
    limited: ContractClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisServer]:
    """A Redis that accepts connections and never answers."""
    server = RedisServer(tmp_path)
    server.start()
    options = limited.application.config["RATELIMIT_STORAGE_OPTIONS"]
    monkeypatch.setattr(limiter, "_storage", storage_from_string(server.url, **options))
    server.pause()
    yield server
    server.resume()
    server.stop()


def test_hung_redis_costs_half_a_second_once(
    limited: ContractClient, hung_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(limited, monkeypatch, API_RATE_LIMIT="3 per minute")
    started = time.monotonic()
    answers = [limited.get("/api/v1/stores").status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert time.monotonic() - started < 2


def test_absent_redis_is_no_error(limited: ContractClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "_storage", storage_from_string("redis://127.0.0.1:1/0"))
    _limit(limited, monkeypatch, API_RATE_LIMIT="3 per minute")
    assert [limited.get("/api/v1/stores").status_code for _ in range(4)] == [200, 200, 200, 429]
