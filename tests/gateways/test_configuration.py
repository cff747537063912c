"""The one place where gateways are made: settings are checked, instances shared until configured anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import app.gateways as gateways
from app.gateways import GatewaySettings, MiniProgramCredentials
from app.gateways.ports import GatewayRefused
from tests.gateways.alipay_service import credentials as alipay_credentials
from tests.gateways.loopback import Loopback, json_answer
from tests.gateways.pay_service import credentials, sign_success

PROGRAM = MiniProgramCredentials("wx0000000000000001", "secret")
PRODUCTION = GatewaySettings(
    wechat_api_url="https://api.weixin.qq.com",
    wechat_pay_url="https://api.mch.weixin.qq.com",
    timeout_seconds=5,
    media_dir=Path("media"),
    is_production=True,
)


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    """Leave the process as it was found."""
    kept = replace(gateways._configured)
    yield
    gateways._configured.settings, gateways._configured.redis_client = kept.settings, kept.redis_client
    gateways.mini_program.cache_clear()
    gateways.wechat_pay.cache_clear()
    gateways.alipay.cache_clear()


def development(url: str, media_dir: Path = Path("media")) -> GatewaySettings:
    return GatewaySettings(url, url, 1, media_dir, is_production=False)


@pytest.mark.parametrize("name", ["wechat_api_url", "wechat_pay_url", "alipay_url"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:8090", "ftp://x", "api.weixin.qq.com", ""])
def test_production_refuses_an_address_that_is_not_https(name: str, url: str) -> None:
    with pytest.raises(ValueError, match=name):
        replace(PRODUCTION, **{name: url})  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8090", ""])
def test_development_takes_http_and_nothing_stranger(url: str) -> None:
    assert development("http://127.0.0.1:8090").wechat_pay_url == "http://127.0.0.1:8090"
    with pytest.raises(ValueError, match="wechat_api_url"):
        development(url)


def test_waiting_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="timeout_seconds"):
        replace(PRODUCTION, timeout_seconds=0)


def test_gateways_before_their_configuration_say_so() -> None:
    gateways._configured.settings = None
    gateways.mini_program.cache_clear()

    with pytest.raises(RuntimeError, match="create_app"):
        gateways.mini_program(PROGRAM)


def test_configured_gateways_speak_to_the_configured_addresses(loopback: Loopback, tmp_path: Path) -> None:
    loopback.finish = sign_success
    loopback.on("/sns/jscode2session", json_answer({"openid": "o1"}))
    loopback.on("/v3/pay/transactions/out-trade-no/P20260314/close", json_answer({}))
    gateways.configure(development(loopback.url + "/", tmp_path))

    assert gateways.mini_program(PROGRAM).exchange_login_code("code").openid == "o1"
    assert gateways.wechat_pay(credentials()).close_payment("P20260314") == "closed"
    gateways.media_storage().save("a.txt", b"x")

    assert (tmp_path / "a.txt").read_bytes() == b"x"
    assert len(loopback.requests) == 2


def test_a_gateway_is_shared_by_credentials_until_it_is_configured_anew() -> None:
    gateways.configure(PRODUCTION)
    channel, program = gateways.wechat_pay(credentials()), gateways.mini_program(PROGRAM)

    assert gateways.wechat_pay(credentials()) is channel
    assert gateways.wechat_pay(credentials(mchid="1900000002")) is not channel
    assert gateways.mini_program(PROGRAM) is program

    gateways.configure(PRODUCTION)

    assert gateways.wechat_pay(credentials()) is not channel
    assert gateways.mini_program(PROGRAM) is not program


def test_alipay_is_shared_likewise() -> None:
    gateways.configure(PRODUCTION)
    first = gateways.alipay(alipay_credentials())

    assert gateways.alipay(alipay_credentials()) is first
    assert gateways.alipay(alipay_credentials(app_id="2021000000000002")) is not first

    gateways.configure(PRODUCTION)

    assert gateways.alipay(alipay_credentials()) is not first
    with pytest.raises(GatewayRefused, match="credentials_invalid"):
        gateways.alipay(alipay_credentials(app_private_key="not a key"))


def test_unusable_credentials_are_a_refusal() -> None:
    gateways.configure(PRODUCTION)

    with pytest.raises(GatewayRefused, match="credentials_invalid"):
        gateways.wechat_pay(credentials(api_v3_key=""))


def test_addresses_with_secrets_stay_out_of_debug_logs(
    loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.on("/sns/jscode2session", json_answer({"openid": "o1"}))
    gateways.configure(development(loopback.url))
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            gateways.mini_program(replace(PROGRAM, app_secret="keep-me-secret")).exchange_login_code("code")
    finally:
        logging.getLogger("urllib3").setLevel(logging.NOTSET)

    assert "keep-me-secret" not in caplog.text
