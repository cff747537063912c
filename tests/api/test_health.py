"""Being alive, being ready, and the figures for monitoring."""

from __future__ import annotations

import pytest

from app.api import health
from tests import factories
from tests.api.conftest import LogIn, Till
from tests.api.contract import ContractClient


def test_alive(api: ContractClient) -> None:
    answer = api.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(("status", "code"), [("ready", 200), ("unready", 503)])
def test_ready(api: ContractClient, monkeypatch: pytest.MonkeyPatch, status: str, code: int) -> None:
    monkeypatch.setattr(health, "check_readiness", lambda now: {"status": status, "worker": "missing"})
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (code, status)
    assert ("Retry-After" in answer.headers) == (code == 503)


def test_without_a_worker_nobody_is_ready(api: ContractClient) -> None:
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert (answer.json["database"], answer.json["migrations"]) == ("ok", "ok")


def _figures(api: ContractClient, **kwargs: object) -> dict[str, float]:
    answer = api.get("/metrics", **kwargs)
    assert answer.status_code == 200
    lines = [line for line in answer.get_data(as_text=True).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_figures_count_orders_payments_and_answers(api: ContractClient, log_in: LogIn, till: Till) -> None:
    before = _figures(api)
    body = {
        "room_id": str(factories.make_room().id),
        "start_at": "2026-03-04T18:00:00+08:00",
        "end_at": "2026-03-04T20:00:00+08:00",
    }
    headers = log_in()
    no = api.post("/api/v1/bookings", json=body, headers=headers).json["no"]
    api.post(f"/api/v1/orders/{no}/payments", json={"channel": "wechat_jsapi"}, headers=headers)
    assert api.get("/api/v1/me").status_code == 401
    after = _figures(api)
    assert after['quefang_orders{status="pending_payment"}'] == 1
    assert after['quefang_orders{status="paid"}'] == 0
    assert after['quefang_waiting{kind="payments"}'] == 1
    name = 'quefang_http_answers_total{class="4xx"}'
    assert after[name] == before[name] + 1


def test_figures_are_for_this_machine_or_the_token(
    api: ContractClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {"environ_base": {"REMOTE_ADDR": "10.0.0.2"}}
    assert api.get("/metrics", **away).status_code == 404
    assert api.get("/metrics", headers={"X-Forwarded-For": "10.0.0.2"}).status_code == 404
    assert api.get("/metrics", headers={"Authorization": "Bearer "}, **away).status_code == 404
    monkeypatch.setitem(api.application.config, "METRICS_TOKEN", "t" * 32)
    assert api.get("/metrics", headers={"Authorization": "Bearer wrong"}, **away).status_code == 404
    assert _figures(api, headers={"Authorization": f"Bearer {'t' * 32}"}, **away)
    assert _figures(api, environ_base={"REMOTE_ADDR": "::1"})
