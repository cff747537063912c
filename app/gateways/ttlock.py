"""Door locks through the cloud of TTLock: a code of its own for every visit, prolonged and taken back."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from app.gateways.network import as_unavailable
from app.gateways.ports import GatewayRefused, GatewayUnavailable, RoomAccess

_SERVICE = "the lock cloud"
_CODE_DIGITS = 6
# Commands go through the gateway in the store; anything else needs a phone beside the lock.
_BY_GATEWAY = "2"
_TOKEN_REFUSED = {10003, 10004}
_SAME_CODE = -3007
_UNKNOWN_CODE = -3008
# Busy or out of reach: quota, server, gateway and lock; a later try may succeed.
_RETRYABLE = _TOKEN_REFUSED | {30006, 30007, 90000, -2012, -3002, -3003, -3036, -3037}
_MOST_TRIES = 3
_TOKEN_MARGIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class DoorCredentials:
    """The application at the lock cloud, and the account whose locks it opens."""

    client_id: str
    username: str
    client_secret: str = field(repr=False)
    password_md5: str = field(repr=False)


class TTLockRoomControl:
    """RoomControl over TTLock's cloud (its API v3); one instance may be shared by threads."""

    def __init__(
        self,
        credentials: DoorCredentials,
        *,
        base_url: str,
        timeout_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        # The cloud refuses requests whose clock is more than five minutes off.
        self._clock = clock
        self._fetching = threading.Lock()
        self._token: tuple[str, float] | None = None

    def let_in(self, room_ref: str, start_at: datetime, end_at: datetime) -> RoomAccess:
        """Add a code of chance, so that knowing a room or an earlier visit gives nobody a way in."""
        period = {"startDate": _milliseconds(start_at), "endDate": _milliseconds(end_at)}
        for _ in range(_MOST_TRIES):
            code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"
            values = {"lockId": room_ref, "keyboardPwd": code, "addType": _BY_GATEWAY, **period}
            try:
                answer = self._call("/v3/keyboardPwd/add", values)
            except GatewayRefused as refusal:
                if refusal.code != str(_SAME_CODE):
                    raise
            else:
                return RoomAccess("code", code, end_at, _number(answer.get("keyboardPwdId")))
        raise GatewayRefused(str(_SAME_CODE), "no free code was found", is_retryable=True)

    def prolong(self, room_ref: str, access_ref: str, end_at: datetime) -> None:
        """Let the same code open until *end_at*."""
        values = {"lockId": room_ref, "keyboardPwdId": access_ref, "endDate": _milliseconds(end_at)}
        self._call("/v3/keyboardPwd/change", values | {"changeType": _BY_GATEWAY})

    def shut_out(self, room_ref: str, access_ref: str) -> None:
        """Delete a code; one that is not there any more is no error."""
        values = {"lockId": room_ref, "keyboardPwdId": access_ref, "deleteType": _BY_GATEWAY}
        try:
            self._call("/v3/keyboardPwd/delete", values)
        except GatewayRefused as refusal:
            if refusal.code != str(_UNKNOWN_CODE):
                raise

    def _call(self, path: str, values: dict[str, str]) -> dict[str, Any]:
        """Send one command with the access token, once more with a new one when the token was refused."""
        try:
            return self._post(path, self._signed(values))
        except GatewayRefused as refusal:
            if int(refusal.code) not in _TOKEN_REFUSED:
                raise
        self._token = None
        return self._post(path, self._signed(values))

    def _signed(self, values: dict[str, str]) -> dict[str, str]:
        date = str(int(self._clock() * 1000))
        return values | {
            "clientId": self._credentials.client_id,
            "accessToken": self._access_token(),
            "date": date,
        }

    def _access_token(self) -> str:
        with self._fetching:
            if self._token is None or self._token[1] <= self._clock():
                self._token = self._fetch_token()
            return self._token[0]

    def _fetch_token(self) -> tuple[str, float]:
        credentials = self._credentials
        answer = self._post(
            "/oauth2/token",
            {
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret,
                "username": credentials.username,
                "password": credentials.password_md5,
            },
        )
        try:
            token, seconds = str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise as_unavailable(error, _SERVICE) from None
        return token, self._clock() + max(seconds - _TOKEN_MARGIN_SECONDS, seconds / 2)

    def _post(self, path: str, values: dict[str, str]) -> dict[str, Any]:
        try:
            # Secrets travel in the body; they follow no redirection to another place.
            answer = requests.post(
                self._base_url + path, data=values, timeout=self._timeout_seconds, allow_redirects=False
            )
            body = answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError) as error:
            raise as_unavailable(error, _SERVICE) from None
        if not isinstance(body, dict):
            raise GatewayUnavailable(f"{_SERVICE} answered {answer.status_code}", outcome_unknown=True)
        errcode = body.get("errcode", 0)
        if errcode == 0:
            return body
        if not isinstance(errcode, int):
            raise GatewayUnavailable(f"{_SERVICE} gave no usable answer", outcome_unknown=True)
        raise GatewayRefused(str(errcode), "refused by the lock cloud", is_retryable=errcode in _RETRYABLE)


def _milliseconds(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _number(value: Any) -> str:
    if not isinstance(value, int):
        raise GatewayUnavailable(f"{_SERVICE} gave no usable answer", outcome_unknown=True)
    return str(value)
