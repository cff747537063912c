"""The outside world behind ports: services get every gateway from the functions here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.gateways.alipay import AlipayGateway
from app.gateways.alipay_client import AlipayCredentials
from app.gateways.ports import (
    AlipayChannel,
    BilledChannel,
    MediaStorage,
    MiniProgram,
    PaymentChannel,
    RoomControl,
)
from app.gateways.storage import LocalMediaStorage
from app.gateways.ttlock import DoorCredentials, TTLockRoomControl
from app.gateways.unionpay import UnionPayAddresses, UnionPayChannel, UnionPayCredentials
from app.gateways.wechat import KeyValueStore, MiniProgramCredentials, WeChatMiniProgram
from app.gateways.wechat_pay import WeChatPayChannel, WeChatPayCredentials

__all__ = [
    "AlipayCredentials",
    "DoorCredentials",
    "GatewaySettings",
    "MiniProgramCredentials",
    "UnionPayCredentials",
    "WeChatPayCredentials",
    "alipay",
    "bill_storage",
    "configure",
    "media_storage",
    "mini_program",
    "room_control",
    "unionpay",
    "wechat_pay",
]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the services live and how long to wait; credentials come from the database instead.

    Raises ValueError for an address that is not http(s), and in production for one that is not https.
    """

    wechat_api_url: str
    wechat_pay_url: str
    timeout_seconds: float
    media_dir: Path
    is_production: bool
    door_url: str = "https://cnapi.ttlock.com"
    # The whole address, its path included.
    alipay_url: str = "https://openapi.alipay.com/gateway.do"
    unionpay_url: str = "https://gateway.95516.com"
    # Where the payer's browser goes when it leaves UnionPay's page.
    unionpay_front_url: str = ""
    # A sandbox on this machine stands in for UnionPay.
    has_unionpay_sandbox: bool = False
    # Where daily bills are kept; unlike pictures they are for few eyes. By default beside the pictures.
    bill_dir: Path | None = None

    def __post_init__(self) -> None:
        schemes = ("https://",) if self.is_production else ("https://", "http://")
        for name in ("wechat_api_url", "wechat_pay_url", "door_url", "alipay_url", "unionpay_url"):
            if not getattr(self, name).startswith(schemes):
                raise ValueError(f"{name} must begin with {' or '.join(schemes)}")
        if self.timeout_seconds <= 0:
            raise ValueError("timeout_seconds must be more than 0")


@dataclass
class _Configured:
    settings: GatewaySettings | None = None
    redis_client: KeyValueStore | None = None


_configured = _Configured()


def configure(settings: GatewaySettings, redis_client: KeyValueStore | None = None) -> None:
    """Set what all gateways share and forget those made before; *redis_client* needs short time-outs."""
    _configured.settings = settings
    _configured.redis_client = redis_client
    mini_program.cache_clear()
    wechat_pay.cache_clear()
    alipay.cache_clear()
    unionpay.cache_clear()
    room_control.cache_clear()
    # At DEBUG it writes whole addresses, and those of WeChat hold the app's secret and token.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


def _settings() -> GatewaySettings:
    if _configured.settings is None:
        raise RuntimeError("the gateways are configured by create_app")
    return _configured.settings


@lru_cache(maxsize=16)
def mini_program(credentials: MiniProgramCredentials) -> MiniProgram:
    """Return the mini-program gateway of these credentials, one for each process."""
    settings = _settings()
    return WeChatMiniProgram(
        credentials,
        base_url=settings.wechat_api_url,
        timeout_seconds=settings.timeout_seconds,
        is_production=settings.is_production,
        redis_client=_configured.redis_client,
    )


@lru_cache(maxsize=16)
def wechat_pay(credentials: WeChatPayCredentials) -> BilledChannel:
    """Return the WeChat Pay gateway of these credentials, one for each process.

    Raises GatewayRefused `credentials_invalid` when they cannot be used.
    """
    settings = _settings()
    return WeChatPayChannel(
        credentials, base_url=settings.wechat_pay_url, timeout_seconds=settings.timeout_seconds
    )


@lru_cache(maxsize=16)
def unionpay(credentials: UnionPayCredentials) -> PaymentChannel:
    """Return the UnionPay gateway of these credentials, one for each process.

    Raises GatewayRefused `credentials_invalid` when they cannot be used.
    """
    settings = _settings()
    addresses = UnionPayAddresses(
        settings.unionpay_url, settings.unionpay_front_url, opens_page=settings.has_unionpay_sandbox
    )
    return UnionPayChannel(credentials, addresses, timeout_seconds=settings.timeout_seconds)


@lru_cache(maxsize=16)
def alipay(credentials: AlipayCredentials) -> AlipayChannel:
    """Return the Alipay gateway of these credentials, one for each process.

    Raises GatewayRefused `credentials_invalid` when they cannot be used.
    """
    settings = _settings()
    return AlipayGateway(
        credentials, gateway_url=settings.alipay_url, timeout_seconds=settings.timeout_seconds
    )


@lru_cache(maxsize=16)
def room_control(credentials: DoorCredentials) -> RoomControl:
    """Return the control of the doors of these credentials, one for each process."""
    settings = _settings()
    return TTLockRoomControl(
        credentials, base_url=settings.door_url, timeout_seconds=settings.timeout_seconds
    )


def media_storage() -> MediaStorage:
    """Return where pictures and videos are kept."""
    return LocalMediaStorage(Path(_settings().media_dir))


def bill_storage() -> MediaStorage:
    """Return where the daily bills of payment services are kept; nothing serves them by an address."""
    settings = _settings()
    return LocalMediaStorage(settings.bill_dir or Path(settings.media_dir).parent / "bills")
