"""Logging in, staying logged in, logging out, and what makes a token worthless."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import jwt
import pytest
from sqlalchemy import event, func, select, update

from app.domain.actor import ALL_STORES
from app.extensions import db, use_scope
from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.models import AuditEntry, Customer, CustomerIdentity, CustomerSession
from app.services import customers, tokens
from tests import factories
from tests.api.conftest import Clock, Headers, LogIn, Platform
from tests.api.contract import ContractClient


def _count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def _login(api: ContractClient, platform: Platform, openid: str = "openid-new") -> dict[str, str]:
    platform.openids["code-1"] = openid
    answer = api.post("/api/v1/auth/login", json={"channel": "wechat", "code": "code-1"})
    assert answer.status_code == 200
    return answer.json


def _bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def _me(api: ContractClient, token: str) -> tuple[int, str | None]:
    answer = api.get("/api/v1/me", headers=_bearer(token))
    return answer.status_code, answer.json.get("code")


def test_first_login_makes_a_customer(api: ContractClient, platform: Platform) -> None:
    answer = _login(api, platform)
    assert answer["expires_in"] == 1800
    assert answer["customer"]["phone"] is None
    assert _me(api, answer["access_token"]) == (200, None)
    assert _count(Customer) == 1
    identity = db.session.scalars(select(CustomerIdentity)).one()
    assert (identity.channel, identity.app_id, identity.subject) == ("wechat", "wxtest", "openid-new")
    assert [entry.action for entry in db.session.scalars(select(AuditEntry))] == ["customer.register"]


def test_second_login_finds_the_customer(api: ContractClient, platform: Platform) -> None:
    first, second = _login(api, platform), _login(api, platform)
    assert first["customer"]["id"] == second["customer"]["id"]
    assert _count(Customer) == 1
    assert _me(api, first["access_token"]) == (200, None)


def test_first_logins_at_once_make_one_customer(
    api: ContractClient, platform: Platform, clock: Clock
) -> None:
    barrier = Barrier(8)
    platform.openids = {f"code-{number}": "openid-new" for number in range(8)}

    def log_in(number: int) -> str:
        with api.application.app_context(), use_scope(ALL_STORES):
            barrier.wait()
            return str(customers.log_in("wechat", f"code-{number}", now=clock.now)["customer"]["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(log_in, range(8)))
    assert len(ids) == 1
    assert (_count(Customer), _count(CustomerIdentity), _count(CustomerSession)) == (1, 1, 8)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GatewayRefused("40029", "invalid code"), 422, "invalid_field"),
        (GatewayRefused("40163", "code been used"), 422, "invalid_field"),
        (GatewayRefused("40226", "high risk"), 403, "forbidden"),
        (GatewayRefused("45011", "too often", is_retryable=True), 503, "unavailable"),
        (GatewayRefused("40125", "wrong secret"), 503, "unavailable"),
        (GatewayUnavailable("no answer", outcome_unknown=True), 503, "unavailable"),
    ],
)
def test_login_that_the_platform_refuses(
    api: ContractClient, platform: Platform, error: Exception, status: int, code: str
) -> None:
    platform.error = error
    answer = api.post("/api/v1/auth/login", json={"channel": "wechat", "code": "x"})
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert (_count(Customer), _count(CustomerSession)) == (0, 0)


def test_login_service_that_is_not_offered(api: ContractClient, platform: Platform) -> None:
    answer = api.post("/api/v1/auth/login", json={"channel": "alipay", "code": "x"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["channel"])


def test_disabled_customer_cannot_log_in(api: ContractClient, platform: Platform) -> None:
    _login(api, platform)
    db.session.execute(update(Customer).values(is_active=False))
    db.session.commit()
    platform.openids["code-2"] = "openid-new"
    answer = api.post("/api/v1/auth/login", json={"channel": "wechat", "code": "code-2"})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert _count(CustomerSession) == 1


def test_access_token_lives_thirty_minutes(api: ContractClient, platform: Platform, clock: Clock) -> None:
    token = _login(api, platform)["access_token"]
    clock.advance(minutes=30, seconds=-1)
    assert _me(api, token) == (200, None)
    clock.advance(seconds=1)
    assert _me(api, token) == (401, "token_expired")


def test_logout_kills_both_tokens_at_once(api: ContractClient, platform: Platform) -> None:
    pair = _login(api, platform)
    assert api.post("/api/v1/auth/logout", headers=_bearer(pair["access_token"])).status_code == 204
    assert _me(api, pair["access_token"]) == (401, "token_invalid")
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_disabling_kills_both_tokens_at_once(api: ContractClient, platform: Platform) -> None:
    pair = _login(api, platform)
    db.session.execute(update(Customer).values(is_active=False))
    db.session.commit()
    assert _me(api, pair["access_token"]) == (401, "token_invalid")
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_refresh_rotates(api: ContractClient, platform: Platform, clock: Clock) -> None:
    first = _login(api, platform)
    clock.advance(days=29)
    second = api.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}).json
    assert _me(api, second["access_token"]) == (200, None)
    clock.advance(days=29)
    third = api.post("/api/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert third.status_code == 200


def test_refresh_token_that_is_used_twice_ends_the_session(api: ContractClient, platform: Platform) -> None:
    first = _login(api, platform)
    second = api.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}).json
    again = api.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (again.status_code, again.json["code"]) == (401, "token_invalid")
    assert _me(api, second["access_token"]) == (401, "token_invalid")
    newest = api.post("/api/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert newest.status_code == 401


def test_refresh_token_dies_after_thirty_days(api: ContractClient, platform: Platform, clock: Clock) -> None:
    pair = _login(api, platform)
    clock.advance(days=30)
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert (answer.status_code, answer.json["code"]) == (401, "token_expired")


def test_invented_refresh_token_ends_nobodys_session(api: ContractClient, platform: Platform) -> None:
    pair = _login(api, platform)
    session_id = pair["refresh_token"].split(".")[0]
    for token in (f"{session_id}.x.y", "x", "..", f"{session_id}.x.é", pair["access_token"]):
        answer = api.post("/api/v1/auth/refresh", json={"refresh_token": token})
        assert (answer.status_code, answer.json["code"]) in ((401, "token_invalid"), (422, "invalid_field"))
    assert _me(api, pair["access_token"]) == (200, None)


def _forged(api: ContractClient, **changes: object) -> str:
    claims = {"typ": "access", "sub": "1", "sid": 1, "iat": 0, "exp": 2**33} | changes
    return jwt.encode(claims, "another secret of at least 32 bytes", algorithm="HS256")


def test_tokens_that_are_not_ours(api: ContractClient, platform: Platform) -> None:
    pair = _login(api, platform)
    unsigned = jwt.encode({"typ": "access", "sub": "1", "sid": 1, "exp": 2**33}, None, algorithm="none")
    header, payload, signature = pair["access_token"].split(".")
    for token in (
        pair["refresh_token"],
        unsigned,
        _forged(api),
        f"{header}.{payload}.{signature[:-2]}",
        f"{header}.{payload}",
        "é",
        "a b",
    ):
        assert _me(api, token) == (401, "token_invalid")
    for authorization in ("Basic eDp5", "Bearer", "Bearer ", pair["access_token"]):
        answer = api.get("/api/v1/me", headers={"Authorization": authorization})
        assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


def test_secret_can_be_changed_without_logging_anybody_out(
    api: ContractClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_configured", tokens._Configured())
    tokens.configure(["old secret"], access_minutes=30, refresh_days=30)
    token = _login(api, platform)["access_token"]
    tokens.configure(["new secret", "old secret"], access_minutes=30, refresh_days=30)
    assert _me(api, token) == (200, None)
    tokens.configure(["new secret"], access_minutes=30, refresh_days=30)
    assert _me(api, token) == (401, "token_invalid")


def test_authentication_asks_the_database_once(api: ContractClient, log_in: LogIn, clock: Clock) -> None:
    token = log_in()["Authorization"].removeprefix("Bearer ")
    statements: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        tokens.authenticate(token, now=clock.now + timedelta(minutes=1))
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)
    assert len(statements) == 1


def test_profile_is_changed(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in(factories.make_customer(nickname="Old"))
    changes = {"nickname": "新名字", "avatar_url": "https://pictures.example/a.png", "language": "zh-TW"}
    answer = api.patch("/api/v1/me", json=changes, headers=headers)
    assert answer.status_code == 200
    assert {name: answer.json[name] for name in changes} == changes
    cleared = api.patch("/api/v1/me", json={"avatar_url": None}, headers=headers)
    assert (cleared.json["avatar_url"], cleared.json["nickname"]) == (None, "新名字")


@pytest.mark.parametrize(
    "changes",
    [
        {"nickname": ""},
        {"nickname": "x" * 65},
        {"nickname": None},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "http://pictures.example/a.png"},
        {"language": "fr"},
        {"id": "7"},
        {"phone": "13800138000"},
    ],
)
def test_profile_that_is_refused(api: ContractClient, log_in: LogIn, changes: dict[str, object]) -> None:
    headers = log_in()
    before = api.get("/api/v1/me", headers=headers).json
    answer = api.patch("/api/v1/me", json=changes, headers=headers)
    assert (answer.status_code, set(answer.json["errors"])) == (422, set(changes))
    assert api.get("/api/v1/me", headers=headers).json == before


def test_phone_is_kept_encrypted_and_shown_masked(
    api: ContractClient, log_in: LogIn, platform: Platform
) -> None:
    platform.phones["phone-1"] = "13800138000"
    answer = api.post("/api/v1/me/phone", json={"code": "phone-1"}, headers=log_in())
    assert (answer.status_code, answer.json["phone"]) == (200, "138****8000")
    stored = (
        db.session.connection()
        .exec_driver_sql("SELECT phone, phone_hash, phone_tail_hash FROM customers")
        .one()
    )
    assert all(stored)
    assert not any("8000" in value and "138" in value for value in stored[1:])
    assert "13800138000" not in stored[0]
    assert db.session.scalars(select(Customer)).one().phone == "13800138000"


def test_phone_code_that_is_refused(api: ContractClient, log_in: LogIn, platform: Platform) -> None:
    headers = log_in()
    answer = api.post("/api/v1/me/phone", json={"code": "x"}, headers=headers)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["code"])
    assert api.get("/api/v1/me", headers=headers).json["phone"] is None


def test_consents_are_counted(api: ContractClient, log_in: LogIn) -> None:
    headers = log_in()
    api.post("/api/v1/me/consents", json={"tmpl-1": "accepted"}, headers=headers)
    answer = api.post(
        "/api/v1/me/consents", json={"tmpl-1": "accepted", "tmpl-2": "rejected"}, headers=headers
    )
    assert answer.json == {"consents": {"tmpl-1": 2, "tmpl-2": 0}}


@pytest.mark.parametrize(
    "answers", [{"tmpl-1": "yes"}, {"tmpl-1": 1}, {"": "accepted"}, {"tmpl-1": None}, {"tmpl-1": {}}]
)
def test_consents_that_are_refused(api: ContractClient, log_in: LogIn, answers: dict[str, object]) -> None:
    answer = api.post("/api/v1/me/consents", json=answers, headers=log_in())
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_field")
