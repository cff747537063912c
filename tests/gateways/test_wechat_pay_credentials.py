"""Credentials of WeChat Pay: pasted in any form, refused when unusable, never shown."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from app.gateways.ports import GatewayRefused
from app.gateways.wechat_pay import WeChatPayChannel
from tests.gateways.loopback import Answer, Loopback
from tests.gateways.pay_service import (
    assert_keeps_secrets,
    check_request_signature,
    credentials,
    private_pem,
    public_pem,
    sign_success,
)

PAYMENT_NO = "P20260314000001"


def make_channel(url: str, **changes: str) -> WeChatPayChannel:
    return WeChatPayChannel(credentials(**changes), base_url=url, timeout_seconds=1)


PRIVATE_KEYS = [
    pytest.param(private_pem("merchant"), id="PKCS8"),
    pytest.param(private_pem("merchant").replace("\n", "\r\n"), id="PKCS8 with line ends of Windows"),
    pytest.param(private_pem("merchant", PrivateFormat.TraditionalOpenSSL), id="PKCS1"),
    pytest.param("".join(private_pem("merchant").splitlines()[1:-1]), id="without head and foot"),
]


@pytest.mark.parametrize("private_key", PRIVATE_KEYS)
def test_a_private_key_may_be_pasted_in_any_form(loopback: Loopback, private_key: str) -> None:
    loopback.finish = sign_success
    loopback.on(f"/v3/pay/transactions/out-trade-no/{PAYMENT_NO}/close", Answer(204))
    channel = make_channel(
        loopback.url,
        merchant_private_key=private_key,
        public_key=public_pem("service").replace("\n", "\r\n"),
    )

    assert channel.close_payment(PAYMENT_NO) == "closed"
    check_request_signature(loopback.requests[0])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"merchant_private_key": "nonsense"}, id="private key"),
        pytest.param({"merchant_private_key": public_pem("service")}, id="public as private key"),
        pytest.param({"public_key": "nonsense"}, id="public key"),
        pytest.param({"public_key": ""}, id="no public key"),
        pytest.param({"public_key_id": ""}, id="no id of the public key"),
        pytest.param({"merchant_private_key": ""}, id="no private key"),
        pytest.param({"api_v3_key": "short"}, id="short key"),
    ],
)
def test_unusable_credentials_are_refused_without_a_connection(
    connections: list[Any], changes: dict[str, str]
) -> None:
    with pytest.raises(GatewayRefused) as refused:
        make_channel("http://127.0.0.1:9", **changes)

    assert refused.value.code == "credentials_invalid"
    assert connections == []
    assert_keeps_secrets(refused.value)


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(credentials())

    assert "PRIVATE KEY" not in shown
    assert credentials().api_v3_key not in shown
