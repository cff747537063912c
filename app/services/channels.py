"""The services that we speak with: their stored credentials, and the gateways made from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app import gateways
from app.domain.actor import SYSTEM
from app.domain.errors import InvalidField, NotFound, Unavailable
from app.domain.states import PaymentChannel
from app.gateways import (
    AlipayCredentials,
    DoorCredentials,
    MiniProgramCredentials,
    UnionPayCredentials,
    WeChatPayCredentials,
    ports,
)
from app.models import ChannelCredential
from app.services import notifications
from app.services.audit import record_change
from app.services.unit_of_work import session, transactional

WECHAT = "wechat"
WECHAT_PAY = "wechat_pay"
ALIPAY = "alipay"
UNIONPAY = "unionpay"
DOORS = "ttlock"
# Services that a shop can do without: their part of a file of credentials may be missing.
OPTIONAL = (ALIPAY, UNIONPAY, DOORS)

# What is kept in clear and what is kept encrypted, for each service.
SETTINGS = {
    WECHAT: ("app_id",),
    WECHAT_PAY: ("mchid", "app_id", "merchant_serial_no", "public_key_id", "public_key"),
    ALIPAY: ("app_id", "seller_id", "alipay_public_key"),
    UNIONPAY: ("merchant_no", "root_certificate", "middle_certificate", "signer_name"),
    DOORS: ("client_id", "username"),
}
SECRETS = {
    WECHAT: ("app_secret",),
    WECHAT_PAY: ("merchant_private_key", "api_v3_key"),
    ALIPAY: ("app_private_key",),
    UNIONPAY: ("signing_pfx", "pfx_password"),
    DOORS: ("client_secret", "password_md5"),
}


@dataclass(frozen=True, slots=True)
class PaymentIdentity:
    """The merchant and app that a genuine payment of ours names; some services know no apps."""

    merchant_no: str
    app_id: str | None


@dataclass(frozen=True, slots=True)
class _Service:
    """A payment service: its stored credentials, how it is opened, and where its identity is written.

    `payers` returns channel and app of the logins whose ids the service knows its payers by, if it does.
    """

    credentials: str
    open: Callable[[], ports.PaymentChannel]
    merchant: str
    app: str | None
    payers: Callable[[], tuple[str, str]] | None


@dataclass(frozen=True, slots=True)
class _Route:
    """The service behind a way of paying, by its name in the addresses of callbacks, and what it is asked."""

    service: str
    kind: ports.PaymentKind


@dataclass
class _Addresses:
    notify_base_url: str = ""


_addresses = _Addresses()


def configure(*, notify_base_url: str) -> None:
    """Set the address below which payment services reach us."""
    _addresses.notify_base_url = notify_base_url.rstrip("/")


def notify_url(subject: Literal["payments", "refunds"], channel: PaymentChannel) -> str:
    """Return where the service behind *channel* sends its callbacks about payments or refunds."""
    return f"{_addresses.notify_base_url}/api/v1/{subject}/{_route(channel).service}/notify"


def mini_program() -> ports.MiniProgram:
    """Return the mini-program platform; raises Unavailable when it is not set up or switched off."""
    return gateways.mini_program(MiniProgramCredentials(**_credentials(WECHAT)))


def room_control() -> ports.RoomControl:
    """Return the control of the doors; raises Unavailable when it is not set up or switched off."""
    return gateways.room_control(DoorCredentials(**_credentials(DOORS)))


def wechat_app_id() -> str:
    """Return the id of the mini-program; raises Unavailable when it is not set up or switched off."""
    return str(_row(WECHAT).settings["app_id"])


def wechat_pay() -> ports.BilledChannel:
    """Return WeChat Pay; raises Unavailable when it is not set up, switched off or its keys are unusable."""
    try:
        return gateways.wechat_pay(WeChatPayCredentials(**_credentials(WECHAT_PAY)))
    except ports.GatewayRefused as refusal:
        raise Unavailable(_l("The payment service is not set up correctly.")) from refusal


def alipay() -> ports.AlipayChannel:
    """Return Alipay; raises Unavailable when it is not set up, switched off or its keys are unusable."""
    try:
        return gateways.alipay(AlipayCredentials(**_credentials(ALIPAY)))
    except ports.GatewayRefused as refusal:
        raise Unavailable(_l("The payment service is not set up correctly.")) from refusal


def unionpay() -> ports.PaymentChannel:
    """Return UnionPay; raises Unavailable when it is not set up, switched off or its keys are unusable."""
    try:
        return gateways.unionpay(UnionPayCredentials(**_credentials(UNIONPAY)))
    except ports.GatewayRefused as refusal:
        raise Unavailable(_l("The payment service is not set up correctly.")) from refusal


def alipay_app_id() -> str:
    """Return the id of our application at Alipay; raises as `wechat_app_id` does."""
    return str(_row(ALIPAY).settings["app_id"])


# By their names in the addresses of callbacks. What opens them is looked up when it is needed.
_SERVICES: dict[str, _Service] = {
    "wechat": _Service(
        WECHAT_PAY,
        lambda: wechat_pay(),  # noqa: PLW0108
        merchant="mchid",
        app="app_id",
        payers=lambda: (WECHAT, wechat_app_id()),
    ),
    "alipay": _Service(
        ALIPAY,
        lambda: alipay(),  # noqa: PLW0108
        merchant="seller_id",
        app="app_id",
        payers=lambda: (ALIPAY, alipay_app_id()),
    ),
    "unionpay": _Service(
        UNIONPAY,
        lambda: unionpay(),  # noqa: PLW0108
        merchant="merchant_no",
        app=None,
        payers=None,
    ),
}
_ROUTES: dict[PaymentChannel, _Route] = {
    PaymentChannel.WECHAT_JSAPI: _Route("wechat", "jsapi"),
    PaymentChannel.WECHAT_NATIVE: _Route("wechat", "native"),
    PaymentChannel.ALIPAY: _Route("alipay", "jsapi"),
    PaymentChannel.ALIPAY_QR: _Route("alipay", "native"),
    PaymentChannel.UNIONPAY: _Route("unionpay", "page"),
}

# Those that send daily bills.
_BILLED: dict[str, Callable[[], ports.Bills]] = {
    "wechat": lambda: wechat_pay(),  # noqa: PLW0108
    "alipay": lambda: alipay(),  # noqa: PLW0108
}


def find_channel(name: str) -> PaymentChannel:
    """Return the way of paying through an online service; raises InvalidField for one that is not offered."""
    for channel in _ROUTES:
        if channel.value == name and _is_offered(channel):
            return channel
    raise InvalidField.of("channel", _l("This way of paying is not offered."))


def code_channels() -> list[PaymentChannel]:
    """Return the ways of paying by a code that is scanned from a screen, as far as they are set up."""
    return [channel for channel, route in _ROUTES.items() if route.kind == "native" and _is_offered(channel)]


def _is_offered(channel: PaymentChannel) -> bool:
    name = _SERVICES[_ROUTES[channel].service].credentials
    # What every shop needs is missing by mistake, and says so when it is used.
    return name not in OPTIONAL or is_set_up(name)


def is_set_up(name: str) -> bool:
    """Tell whether a service has credentials and is switched on."""
    row = _find(name)
    return row is not None and row.is_enabled


def login_service(name: str) -> tuple[ports.Logins, str]:
    """Return what exchanges the codes of a login, and the app they are for; raises InvalidField."""
    if name == WECHAT:
        return mini_program(), wechat_app_id()
    if name == ALIPAY and is_set_up(ALIPAY):
        return alipay(), alipay_app_id()
    raise InvalidField.of("channel", _l("This way of logging in is not offered."))


def _route(channel: PaymentChannel) -> _Route:
    if channel not in _ROUTES:
        raise InvalidField.of("channel", _l("This way of paying is not offered."))
    return _ROUTES[channel]


def payment_channel(channel: PaymentChannel) -> ports.PaymentChannel:
    """Return the service behind a way of paying; raises InvalidField for one without a service."""
    return _SERVICES[_route(channel).service].open()


def payment_kind(channel: PaymentChannel) -> ports.PaymentKind:
    """Return what the service is asked for; raises as `payment_channel` does."""
    return _route(channel).kind


def callback_channel(name: str) -> ports.PaymentChannel:
    """Return the service that sends callbacks under this name; raises NotFound for one that is not set up."""
    service = _SERVICES.get(name)
    if service is None or (service.credentials in OPTIONAL and _find(service.credentials) is None):
        raise NotFound()
    return _SERVICES[name].open()


def bill_services() -> list[str]:
    """Return the services that are set up and send bills, by their names in the addresses of callbacks."""
    return [name for name in _BILLED if is_set_up(_SERVICES[name].credentials)]


def bills_of(name: str) -> ports.Bills:
    """Return the service that sends bills under this name; raises NotFound, and Unavailable as they do."""
    if name not in _BILLED:
        raise NotFound()
    return _BILLED[name]()


def channels_through(name: str) -> list[PaymentChannel]:
    """Return the ways of paying that a service stands behind."""
    return [channel for channel, route in _ROUTES.items() if route.service == name]


def payment_identity(channel: PaymentChannel) -> PaymentIdentity:
    """Return what a payment through *channel* has to name; raises as `payment_channel` does."""
    service = _SERVICES[_route(channel).service]
    settings = _row(service.credentials).settings
    return PaymentIdentity(str(settings[service.merchant]), service.app and str(settings[service.app]))


def payer_identity(channel: PaymentChannel) -> tuple[str, str] | None:
    """Return channel and app of the logins whose ids the service knows its payers by, if it does."""
    payers = _SERVICES[_route(channel).service].payers
    return None if payers is None else payers()


def _credentials(channel: str) -> dict[str, str]:
    row = _row(channel)
    return {**row.settings, **row.secrets}


def _row(channel: str) -> ChannelCredential:
    row = _find(channel)
    if row is None or not row.is_enabled:
        raise Unavailable(_l("This service is not set up."))
    return row


def _find(channel: str) -> ChannelCredential | None:
    return session().scalar(select(ChannelCredential).where(ChannelCredential.channel == channel))


@transactional
def register_credentials(path: Path, *, now: datetime) -> None:
    """Store the credentials of a file `{"wechat": {…}, "wechat_pay": {…}}`; the same again changes nothing.

    Further services may stand beside these two. Raises InvalidField when the file cannot be read or lacks
    something.
    """
    found = _read(path)
    for channel in (WECHAT, WECHAT_PAY, *(name for name in OPTIONAL if name in found)):
        _store(channel, found.get(channel), now=now)


@transactional
def register_sandbox_credentials(path: Path, *, now: datetime) -> None:
    """As `register_credentials`; templates of messages without an id get one that the sandbox accepts."""
    register_credentials(path, now=now)
    notifications.name_sandbox_templates(now=now)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidField.of("path", _l("This is not a file of credentials.")) from error
    if not isinstance(found, dict):
        raise InvalidField.of("path", _l("This is not a file of credentials."))
    return found


def _store(channel: str, values: Any, *, now: datetime) -> None:
    settings, secrets = _pick(channel, values, SETTINGS), _pick(channel, values, SECRETS)
    row = _find(channel)
    if row is None:
        row = ChannelCredential(channel=channel, created_at=now)
        session().add(row)
    elif (row.settings, row.secrets) == (settings, secrets):
        return
    row.settings, row.secrets = settings, secrets
    session().flush()
    record_change(
        actor=SYSTEM,
        action="register_credentials",
        entity="channel",
        entity_id=channel,
        after=settings,
        now=now,
    )


def _pick(channel: str, values: Any, names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the named texts of *values*, without saying in a refusal what they hold."""
    missing = [name for name in names[channel] if not isinstance(values, dict) or not values.get(name)]
    if missing:
        raise InvalidField.of(f"{channel}.{missing[0]}", _l("This is missing."))
    return {name: str(values[name]) for name in names[channel]}
