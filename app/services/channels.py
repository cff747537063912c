"""The services that we speak with: their stored credentials, and the gateways made from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, exists, literal, select

from app import gateways
from app.domain.actor import SYSTEM
from app.domain.errors import ChannelOff, InvalidField, NotFound, Unavailable
from app.domain.states import PaymentChannel
from app.gateways import (
    AlipayCredentials,
    DoorCredentials,
    MiniProgramCredentials,
    UnionPayCredentials,
    WeChatPayCredentials,
    ports,
)
from app.models import ChannelCredential, ChannelExclusion
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
# Services that are not spoken with any more once they are off.
SILENCED = (WECHAT, DOORS)
NOT_OFFERED = _l("This way of paying is not offered.")

_ROWS: Any = ChannelCredential.__table__
_OFF: Any = ChannelExclusion.__table__

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
    """Return WeChat Pay; raises Unavailable when it is not set up or its keys are unusable."""
    try:
        return gateways.wechat_pay(WeChatPayCredentials(**_credentials(WECHAT_PAY)))
    except ports.GatewayRefused as refusal:
        raise Unavailable(_l("The payment service is not set up correctly.")) from refusal


def alipay() -> ports.AlipayChannel:
    """Return Alipay; raises Unavailable when it is not set up or its keys are unusable."""
    try:
        return gateways.alipay(AlipayCredentials(**_credentials(ALIPAY)))
    except ports.GatewayRefused as refusal:
        raise Unavailable(_l("The payment service is not set up correctly.")) from refusal


def unionpay() -> ports.PaymentChannel:
    """Return UnionPay; raises Unavailable when it is not set up or its keys are unusable."""
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
    """Return the way of paying online of this name, whether it is offered or not; raises InvalidField."""
    for channel in _ROUTES:
        if channel.value == name:
            return channel
    raise InvalidField.of("channel", NOT_OFFERED)


def offer_columns(channel: PaymentChannel, store_id: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what `check_offer` has to know, to be selected along with others: *store_id* or its column."""
    name = switch_name(channel)
    return (
        select(_ROWS.c.is_enabled).where(_ROWS.c.channel == name).scalar_subquery(),
        exists().where(_OFF.c.channel == name, _OFF.c.store_id == store_id),
    )


def check_offer(channel: PaymentChannel, is_enabled: bool | None, is_excluded: bool) -> None:
    """Raise InvalidField for a way of paying that is not set up, ChannelOff where it is switched off.

    What is under way already is settled all the same, and refunds go through it.
    """
    # What every shop needs is missing by mistake, and says so when it is used.
    if is_enabled is None and switch_name(channel) in OPTIONAL:
        raise InvalidField.of("channel", NOT_OFFERED)
    if is_enabled is False or is_excluded:
        raise ChannelOff.of("channel", ChannelOff.default_message)


def check_offered(channel: PaymentChannel, store_id: int | None) -> None:
    """As `check_offer`, for an order of a store or of none."""
    check_offer(channel, *session().execute(select(*offer_columns(channel, store_id))).one())


def switch_name(channel: PaymentChannel) -> str:
    """Return the name under which a way of paying is set up and switched: its service, or itself."""
    route = _ROUTES.get(channel)
    return channel.value if route is None else _SERVICES[route.service].credentials


def offered_channels(store_id: int | None = None) -> list[PaymentChannel]:
    """Return the ways of paying, over the counter too, that are set up and on, everywhere or in a store."""
    everywhere = select(_ROWS.c.channel, _ROWS.c.is_enabled, literal(False).label("is_off"))
    here = select(_OFF.c.channel, literal(True), literal(True)).where(_OFF.c.store_id == store_id)
    known, off = {}, set()
    for name, is_enabled, is_off in session().execute(everywhere.union_all(here)):
        if is_off:
            off.add(name)
        else:
            known[name] = is_enabled
    return [
        channel
        for channel in PaymentChannel
        # What every shop needs is missing by mistake, and says so when it is used.
        if known.get(switch_name(channel), switch_name(channel) not in OPTIONAL)
        and switch_name(channel) not in off
    ]


def code_channels(store_id: int | None = None) -> list[PaymentChannel]:
    """Return the ways of paying by a code that is scanned from a screen, as far as they are offered."""
    return [
        channel
        for channel in offered_channels(store_id)
        if channel in _ROUTES and _ROUTES[channel].kind == "native"
    ]


def online_channels(store_id: int | None) -> list[PaymentChannel]:
    """Return the ways of paying through an online service that are offered."""
    return [channel for channel in offered_channels(store_id) if channel in _ROUTES]


def login_service(name: str) -> tuple[ports.Logins, str]:
    """Return what exchanges the codes of a login, and the app they are for; raises InvalidField."""
    if name == WECHAT:
        return mini_program(), wechat_app_id()
    if name == ALIPAY and _find(ALIPAY) is not None:
        return alipay(), alipay_app_id()
    raise InvalidField.of("channel", _l("This way of logging in is not offered."))


def _route(channel: PaymentChannel) -> _Route:
    if channel not in _ROUTES:
        raise InvalidField.of("channel", NOT_OFFERED)
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
    return [name for name in _BILLED if _find(_SERVICES[name].credentials) is not None]


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
    known = {**row.settings, **row.secrets}
    return {name: known[name] for name in (*SETTINGS[channel], *SECRETS[channel]) if name in known}


def _row(channel: str) -> ChannelCredential:
    row = _find(channel)
    # A payment service that is off takes no new payment, but settles and refunds those it has.
    if row is None or (channel in SILENCED and not row.is_enabled):
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
    _register(_read(path), kept=frozenset(), now=now)


@transactional
def register_sandbox_credentials(path: Path, *, now: datetime) -> None:
    """As `register_credentials`, but what somebody has set in the back office stays as it is.

    Templates of messages without an id get one that the sandbox accepts.
    """
    own = session().scalars(select(_ROWS.c.channel).where(_ROWS.c.set_at.is_not(None)))
    _register(_read(path), kept=frozenset(own), now=now)
    notifications.name_sandbox_templates(now=now)


def _register(found: Mapping[str, Any], *, kept: frozenset[str], now: datetime) -> None:
    for channel in (WECHAT, WECHAT_PAY, *(name for name in OPTIONAL if name in found)):
        if channel not in kept:
            _store(channel, found.get(channel), now=now)


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
    row.set_at, row.marks, row.check_code, row.check_detail = None, {}, "", ""
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
