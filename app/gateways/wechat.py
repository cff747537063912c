"""The WeChat mini-program platform through wechatpy: login, phone numbers, messages, codes."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Any, Protocol

import requests
from redis.exceptions import RedisError
from wechatpy.client import WeChatClient
from wechatpy.exceptions import WeChatClientException
from wechatpy.session import SessionStorage

from app.gateways.network import as_unavailable
from app.gateways.ports import GatewayRefused, GatewayUnavailable, LoginIdentity, ShippingInfo
from app.gateways.subscribe_fields import fit_fields

logger = logging.getLogger(__name__)

_SERVICE = "WeChat"
_CHINA = timezone(timedelta(hours=8))
_TOKEN_REFUSED = {40001, 40014, 42001}
# Busy, over the daily or the per-minute quota, and a token that stays refused: a later try may succeed.
_RETRYABLE = {-1, 45009, 45011} | _TOKEN_REFUSED
_REDIS_PAUSE_SECONDS = 5.0
_TOKEN_MARGIN_SECONDS = 300
_MAX_CODE_LENGTH = 512
_OPENID = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
_PHONE = re.compile(r"\d{5,15}", re.ASCII)
_COUNTRY_CODE = re.compile(r"\d{1,4}", re.ASCII)
_SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@._~-]{1,32}", re.ASCII)
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
# "Virtual": nothing is sent and nothing is picked up, the guest uses a room.
_LOGISTICS_VIRTUAL = 3
_MAX_ITEM_DESCRIPTION = 120
_MANAGED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class MiniProgramCredentials:
    """What identifies one mini-program to the platform."""

    app_id: str
    app_secret: str = field(repr=False)


class KeyValueStore(Protocol):
    """The part of a Redis client that is used here; it has to have short time-outs of its own."""

    def get(self, name: str, /) -> Any: ...

    def set(self, name: str, value: str, /, *, ex: int) -> Any: ...

    def delete(self, name: str, /) -> Any: ...


class TokenStorage(SessionStorage):
    """Shares access tokens between processes through Redis, and does without when Redis is gone.

    A process that cannot reach Redis keeps its own copy; the stable token is the same for all of them, so
    nobody invalidates anybody's. After a failure Redis is left alone for a few seconds, because every try
    on a hung server costs its whole time-out.
    """

    def __init__(self, redis_client: KeyValueStore | None) -> None:
        self._redis = redis_client
        self._own: dict[str, tuple[str, float]] = {}
        self._paused_until = 0.0

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the token, or *default*."""
        shared = self._shared("get", key)
        if shared is not None:
            return shared.decode() if isinstance(shared, bytes) else str(shared)
        token, good_until = self._own.get(key, (None, 0.0))
        return token if token is not None and time.monotonic() < good_until else default

    def set(self, key: str, value: str, ttl: int | None = None) -> None:
        """Keep the token for *ttl* seconds."""
        seconds = max(1, ttl or 1)
        self._own[key] = (value, time.monotonic() + seconds)
        self._shared("set", key, value, ex=seconds)

    def delete(self, key: str) -> None:
        """Forget the token everywhere."""
        self._own.pop(key, None)
        self._shared("delete", key)

    def _shared(self, command: str, key: str, *args: str, **options: int) -> Any:
        if self._redis is None or time.monotonic() < self._paused_until:
            return None
        try:
            return getattr(self._redis, command)(f"quefang:token:{key}", *args, **options)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + _REDIS_PAUSE_SECONDS
            logger.warning("Redis does not keep the access token (%s)", type(error).__name__)
            return None


class _Client(WeChatClient):
    """wechatpy's client with our base URL, time-out and stable token, and without its endless retry."""

    def __init__(
        self,
        credentials: MiniProgramCredentials,
        base_url: str,
        timeout_seconds: float,
        storage: TokenStorage,
    ) -> None:
        super().__init__(
            credentials.app_id,
            credentials.app_secret,
            session=storage,
            timeout=timeout_seconds,
            auto_retry=False,
        )
        self._base_url = base_url.rstrip("/")
        self._fetching = threading.Lock()
        # Secrets travel in the address; they follow no redirection to another place.
        self._http.max_redirects = 0

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one request with the access token, once more with a new one when the token was refused."""
        try:
            return self._request(method, self._base_url + path, **kwargs)
        except WeChatClientException as error:
            if error.errcode not in _TOKEN_REFUSED:
                raise
        self.session.delete(self.access_token_key)
        return self._request(method, self._base_url + path, **kwargs)

    def call_without_token(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send one request that needs no access token."""
        # The library adds a token wherever the key is missing, and requests leaves a None parameter out.
        params = {**kwargs.pop("params", {}), "access_token": None}
        return self._request(method, self._base_url + path, params=params, **kwargs)

    @property
    def access_token(self) -> str:
        """Return the shared token, fetched by one thread at a time."""
        token = self.session.get(self.access_token_key)
        if token:
            return str(token)
        with self._fetching:
            return str(self.session.get(self.access_token_key) or self.fetch_access_token())

    def fetch_access_token(self) -> str:
        """Fetch the stable token: fetching it again invalidates nobody's, unlike the classic one."""
        answer = self.call_without_token(
            "post",
            "/cgi-bin/stable_token",
            data={"grant_type": "client_credential", "appid": self.appid, "secret": self.secret},
        )
        token, seconds = answer["access_token"], int(answer["expires_in"])
        # In its last five minutes the service already hands out the next one.
        self.session.set(self.access_token_key, token, max(seconds - _TOKEN_MARGIN_SECONDS, seconds // 2))
        return str(token)


class WeChatMiniProgram:
    """MiniProgram over the real protocol (WeChat: server API); one instance may be shared by threads."""

    def __init__(
        self,
        credentials: MiniProgramCredentials,
        *,
        base_url: str,
        timeout_seconds: float,
        is_production: bool,
        redis_client: KeyValueStore | None = None,
    ) -> None:
        self._app_id = credentials.app_id
        self._is_production = is_production
        self._is_managed, self._managed_until = False, 0.0
        self._client = _Client(credentials, base_url, timeout_seconds, TokenStorage(redis_client))

    def exchange_login_code(self, code: str) -> LoginIdentity:
        """Login needs no access token, so that it survives trouble with tokens."""
        _check_code(code)
        answer = self._ask_json(
            self._client.call_without_token,
            "get",
            "/sns/jscode2session",
            params={
                "appid": self._client.appid,
                "secret": self._client.secret,
                "js_code": code,
                "grant_type": "authorization_code",
            },
        )
        return LoginIdentity(_identifier(answer.get("openid")), _optional_identifier(answer.get("unionid")))

    def exchange_phone_code(self, code: str) -> str:
        """Check that the number was meant for this mini-program, then bring it into one form."""
        _check_code(code)
        answer = self._post("/wxa/business/getuserphonenumber", {"code": code})
        info = answer.get("phone_info")
        if not isinstance(info, dict):
            raise _incomprehensible("phone_info")
        watermark = info.get("watermark")
        if not isinstance(watermark, dict) or watermark.get("appid") != self._app_id:
            raise GatewayRefused("watermark", "the phone number was issued for another mini-program")
        return _phone_number(info)

    def send_subscribe_message(
        self, openid: str, template_id: str, page: str, fields: Mapping[str, str]
    ) -> None:
        """Values are fitted to their types first; a message that cannot be fitted is not sent."""
        self._post(
            "/cgi-bin/message/subscribe/send",
            {
                "touser": openid,
                "template_id": template_id,
                "page": page,
                "data": fit_fields(fields),
                "miniprogram_state": "formal" if self._is_production else "developer",
                "lang": "zh_CN",
            },
        )

    def make_mini_program_code(self, scene: str, page: str) -> bytes:
        """A page that is not published yet is accepted outside production."""
        if not _SCENE.fullmatch(scene):
            raise GatewayRefused("40169", "invalid scene")
        answer = self._ask(
            self._client.call,
            "post",
            "/wxa/getwxacodeunlimit",
            data={
                "scene": scene,
                "page": page.lstrip("/"),
                "check_path": self._is_production,
                "env_version": "release" if self._is_production else "develop",
            },
        )
        content = answer.content if isinstance(answer, requests.Response) else b""
        if not content.startswith(_PICTURE_STARTS):
            raise _incomprehensible("picture")
        return bytes(content)

    def is_trade_managed(self) -> bool:
        """What the platform answered is kept for an hour: it changes when a merchant signs up for it."""
        if time.monotonic() < self._managed_until:
            return self._is_managed
        answer = self._post("/wxa/sec/order/is_trade_managed", {"appid": self._app_id})
        is_managed = answer.get("is_trade_managed")
        if not isinstance(is_managed, bool):
            raise _incomprehensible("is_trade_managed")
        self._is_managed, self._managed_until = is_managed, time.monotonic() + _MANAGED_SECONDS
        return is_managed

    def upload_shipping_info(self, info: ShippingInfo) -> None:
        """The order is named by the transaction number of the payment service."""
        self._post(
            "/wxa/sec/order/upload_shipping_info",
            {
                "order_key": {"order_number_type": 2, "transaction_id": info.transaction_no},
                "logistics_type": _LOGISTICS_VIRTUAL,
                "delivery_mode": 1,
                "shipping_list": [{"item_desc": info.description[:_MAX_ITEM_DESCRIPTION]}],
                "upload_time": info.delivered_at.astimezone(_CHINA).isoformat(timespec="milliseconds"),
                "payer": {"openid": info.openid},
            },
        )

    def _post(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        return self._ask_json(self._client.call, "post", path, data=data)

    def _ask_json(self, send: Callable[..., Any], method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        answer = self._ask(send, method, path, **kwargs)
        if not isinstance(answer, dict):
            raise _incomprehensible("JSON object")
        return answer

    def _ask(self, send: Callable[..., Any], method: str, path: str, **kwargs: Any) -> Any:
        """Return the answer, a response where it is not JSON.

        Whatever the library throws is mapped: it raises far more than its own exceptions.
        """
        try:
            return send(method, path, **kwargs)
        except WeChatClientException as error:
            raise _translate(error) from None
        except Exception as error:
            raise as_unavailable(error, _SERVICE) from None


def _translate(error: WeChatClientException) -> GatewayRefused | GatewayUnavailable:
    if error.errcode is None:
        return GatewayUnavailable(f"{_SERVICE} answered with an HTTP error", outcome_unknown=True)
    code = int(error.errcode)
    return GatewayRefused(str(code), str(error.errmsg)[:200], is_retryable=code in _RETRYABLE)


def _incomprehensible(expected: str) -> GatewayUnavailable:
    return GatewayUnavailable(f"{_SERVICE} answered without a usable {expected}", outcome_unknown=True)


def _check_code(code: str) -> None:
    # The service would say the same; a code of a megabyte shall not travel in an address.
    if not 0 < len(code) <= _MAX_CODE_LENGTH or not code.isprintable():
        raise GatewayRefused("40029", "invalid code")


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not _OPENID.fullmatch(value):
        raise _incomprehensible("openid")
    return value


def _optional_identifier(value: object) -> str | None:
    return _identifier(value) if value else None


def _phone_number(info: Mapping[str, Any]) -> str:
    """The country code is documented as text and shown as a number in the samples; both are accepted."""
    number, country = str(info.get("purePhoneNumber")), str(info.get("countryCode")).lstrip("+")
    if not _PHONE.fullmatch(number) or not _COUNTRY_CODE.fullmatch(country):
        raise _incomprehensible("phone number")
    return number if country == "86" else f"+{country}{number}"
