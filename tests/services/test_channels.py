"""Credentials of services: registered once, kept apart, and turned into gateways."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from sqlalchemy import select, text

from app.domain.errors import ChannelOff, DomainError, InvalidField, NotFound, Unavailable
from app.domain.states import PaymentChannel
from app.extensions import db
from app.models import AuditEntry, ChannelCredential
from app.services import channels

pytestmark = pytest.mark.usefixtures("app")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def credentials() -> dict[str, Any]:
    """What the sandbox writes into its file."""
    return {
        "wechat": {"app_id": "wxtest", "app_secret": "the-secret-of-the-app"},
        "wechat_pay": {
            "mchid": "1900000001",
            "app_id": "wxtest",
            "merchant_private_key": PRIVATE,
            "merchant_serial_no": "5A",
            "api_v3_key": "k" * 32,
            "public_key_id": "PUB_KEY_ID_1",
            "public_key": PUBLIC,
        },
    }


def write(folder: Path, content: Any) -> Path:
    path = folder / "credentials.json"
    path.write_text(json.dumps(content))
    return path


def rows() -> list[ChannelCredential]:
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelCredential).order_by(ChannelCredential.channel)))


def test_register_makes_gateways_and_identities(tmp_path: Path, now: datetime) -> None:
    channels.register_sandbox_credentials(write(tmp_path, credentials()), now=now)
    assert channels.mini_program() is channels.mini_program()
    assert channels.payment_channel(PaymentChannel.WECHAT_JSAPI) is channels.callback_channel("wechat")
    assert channels.wechat_app_id() == "wxtest"
    identity = channels.payment_identity(PaymentChannel.WECHAT_NATIVE)
    assert identity == channels.PaymentIdentity("1900000001", "wxtest")


def test_register_keeps_secrets_encrypted_and_out_of_the_log(tmp_path: Path, now: datetime) -> None:
    channels.register_sandbox_credentials(write(tmp_path, credentials()), now=now)
    stored = db.session.execute(text("SELECT settings, secrets FROM channel_credentials")).all()
    logged = db.session.scalars(select(AuditEntry)).all()
    assert len(logged) == 2
    for secret in ("the-secret-of-the-app", "k" * 32, "PRIVATE KEY"):
        assert secret not in repr(stored)
        assert all(secret not in repr(entry.after) for entry in logged)


def test_register_again_changes_nothing(tmp_path: Path, now: datetime) -> None:
    path = write(tmp_path, credentials())
    for _ in range(2):
        channels.register_sandbox_credentials(path, now=now)
    assert [row.version for row in rows()] == [1, 1]
    assert len(db.session.scalars(select(AuditEntry)).all()) == 2


def test_register_changed_credentials_makes_another_gateway(tmp_path: Path, now: datetime) -> None:
    channels.register_sandbox_credentials(write(tmp_path, credentials()), now=now)
    before = channels.mini_program()
    changed = credentials() | {"wechat": {"app_id": "wxother", "app_secret": "another"}}
    channels.register_sandbox_credentials(write(tmp_path, changed), now=now)
    assert channels.mini_program() is not before
    assert channels.wechat_app_id() == "wxother"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="not an object"),
        pytest.param({}, id="empty"),
        pytest.param(credentials() | {"wechat": {"app_id": "wxtest"}}, id="no secret"),
        pytest.param(credentials() | {"wechat_pay": None}, id="no payment"),
    ],
)
def test_register_refuses_and_stores_nothing(tmp_path: Path, now: datetime, content: Any) -> None:
    with pytest.raises(InvalidField):
        channels.register_sandbox_credentials(write(tmp_path, content), now=now)
    assert rows() == []


def test_register_refuses_a_missing_file(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(InvalidField):
        channels.register_sandbox_credentials(tmp_path / "none.json", now=now)


def with_alipay() -> dict[str, Any]:
    """The credentials of a shop that takes Alipay as well."""
    alipay = {
        "app_id": "2021000000000001",
        "seller_id": "2088000000000001",
        "app_private_key": PRIVATE,
        "alipay_public_key": PUBLIC,
    }
    return credentials() | {"alipay": alipay}


def test_alipay_is_offered_once_it_is_set_up_and_while_it_is_on(tmp_path: Path, now: datetime) -> None:
    channels.register_credentials(write(tmp_path, credentials()), now=now)
    with pytest.raises(InvalidField):
        channels.check_offered(PaymentChannel.ALIPAY_QR, None)
    with pytest.raises(InvalidField):
        channels.login_service("alipay")
    assert channels.code_channels() == [PaymentChannel.WECHAT_NATIVE]

    channels.register_credentials(write(tmp_path, with_alipay()), now=now)

    channels.check_offered(PaymentChannel.ALIPAY_QR, None)
    assert channels.code_channels() == [PaymentChannel.WECHAT_NATIVE, PaymentChannel.ALIPAY_QR]
    assert channels.payment_channel(PaymentChannel.ALIPAY) is channels.callback_channel("alipay")
    identity = channels.payment_identity(PaymentChannel.ALIPAY)
    assert identity == channels.PaymentIdentity("2088000000000001", "2021000000000001")
    assert channels.login_service("alipay") == (channels.alipay(), "2021000000000001")
    next(row for row in rows() if row.channel == "alipay").is_enabled = False
    db.session.commit()
    with pytest.raises(ChannelOff):
        channels.check_offered(PaymentChannel.ALIPAY, None)
    assert channels.code_channels() == [PaymentChannel.WECHAT_NATIVE]


def test_secrets_of_alipay_are_encrypted(tmp_path: Path, now: datetime) -> None:
    channels.register_credentials(write(tmp_path, with_alipay()), now=now)

    stored = db.session.execute(text("SELECT settings, secrets FROM channel_credentials")).all()

    assert "PRIVATE KEY" not in repr(stored)
    (row,) = [row for row in rows() if row.channel == "alipay"]
    assert row.secrets == {"app_private_key": PRIVATE}


@pytest.mark.parametrize("missing", ["app_id", "seller_id", "app_private_key", "alipay_public_key"])
def test_alipay_is_set_up_whole_or_not_at_all(tmp_path: Path, now: datetime, missing: str) -> None:
    incomplete = with_alipay()
    del incomplete["alipay"][missing]

    with pytest.raises(InvalidField):
        channels.register_credentials(write(tmp_path, incomplete), now=now)

    assert rows() == []


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        pytest.param(channels.mini_program, Unavailable, id="mini-program"),
        pytest.param(channels.wechat_app_id, Unavailable, id="app id"),
        pytest.param(channels.wechat_pay, Unavailable, id="payments"),
        pytest.param(lambda: channels.callback_channel("alipay"), NotFound, id="callbacks of another"),
    ],
)
def test_services_that_are_not_set_up(ask: Any, refusal: type[DomainError]) -> None:
    with pytest.raises(refusal):
        ask()


def test_service_that_is_switched_off(tmp_path: Path, now: datetime) -> None:
    channels.register_sandbox_credentials(write(tmp_path, credentials()), now=now)
    for row in rows():
        row.is_enabled = False
    db.session.commit()
    with pytest.raises(Unavailable):
        channels.mini_program()
    # What a payment service has is settled and refunded; nobody is offered it any more.
    assert channels.payment_channel(PaymentChannel.WECHAT_JSAPI)
    with pytest.raises(ChannelOff):
        channels.check_offered(PaymentChannel.WECHAT_JSAPI, None)


def test_unusable_keys_are_unavailable(tmp_path: Path, now: datetime) -> None:
    broken = credentials()
    broken["wechat_pay"]["merchant_private_key"] = "not a key"
    channels.register_sandbox_credentials(write(tmp_path, broken), now=now)
    with pytest.raises(Unavailable):
        channels.wechat_pay()


def test_notify_url_lies_below_the_configured_address(app: Flask) -> None:
    base = app.config["NOTIFY_BASE_URL"]
    for channel in (PaymentChannel.WECHAT_JSAPI, PaymentChannel.WECHAT_NATIVE):
        assert channels.notify_url("payments", channel) == f"{base}/api/v1/payments/wechat/notify"
        assert channels.notify_url("refunds", channel) == f"{base}/api/v1/refunds/wechat/notify"
