"""What all mini-program paths share: error answers, access tokens, JSON bodies."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from sandbox.fields import BodyError, FieldError, Fields, json_object
from sandbox.services import Context, json_response
from sandbox.signing import random_text

TOKEN_SECONDS = 7200
OVERLAP_SECONDS = 300
FORCED_PAUSE_SECONDS = 30
FORCED_PER_DAY = 20


class WeChatError(Exception):
    """A refusal of the mini-program API; it travels with HTTP 200."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errmsg)
        self.errcode = errcode
        self.errmsg = errmsg


def answer(body: dict[str, Any]) -> Response:
    """Return a success answer with errcode 0."""
    return json_response({"errcode": 0, "errmsg": "ok"} | body)


def refusal(errcode: int, errmsg: str) -> Response:
    """Return an error answer; its message ends with a request id, as the real ones do."""
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    return json_response({"errcode": errcode, "errmsg": f"{errmsg} rid: {rid}"})


def new_blueprint(name: str) -> Blueprint:
    """Return a blueprint whose refusals are all 200 + errcode."""
    paths = Blueprint(name, __name__)
    paths.register_error_handler(WeChatError, lambda error: refusal(error.errcode, error.errmsg))
    paths.register_error_handler(FieldError, lambda error: refusal(40097, f"invalid args: {error.field}"))
    paths.register_error_handler(BodyError, lambda _: refusal(47001, "data format error"))
    return paths


def read_body() -> tuple[dict[str, Any], Fields]:
    """Return the JSON body, which comes without a Content-Type, and checked access to it."""
    raw = request.get_data()
    if not raw:
        raise WeChatError(44002, "empty post data")
    body = json_object(raw)
    return body, Fields(body)


class Tokens:
    """Access tokens of both kinds; classic and stable tokens do not touch one another."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def check_application(self, app_id: Any, secret: Any) -> None:
        """Raise WeChatError 40013 or 40125."""
        if app_id != self._context.ring.app_id:
            raise WeChatError(40013, "invalid appid")
        if secret != self._context.ring.app_secret:
            raise WeChatError(40125, "invalid appsecret")

    def classic(self) -> Response:
        """Issue a new token; the one before lives five minutes more at most."""
        with self._store.transaction():
            self._shorten_current("classic", OVERLAP_SECONDS)
            return self._issue("classic")

    def stable(self, is_forced: bool) -> Response:
        """Return the present token until its last five minutes, or replace it at once when forced."""
        with self._store.transaction():
            if is_forced:
                self._count_forced()
                self._shorten_current("stable", 0)
                return self._issue("stable")
            current = self._store.get("current_token", "stable")
            left = self._left(current["token"]) if current else 0
            if current is None or left <= OVERLAP_SECONDS:
                return self._issue("stable")
        return json_response({"access_token": current["token"], "expires_in": int(left)})

    def require(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """Return *view* behind a check of ?access_token=; 41001, 40001 or 42001."""

        def checked(**arguments: str) -> Response:
            token = request.args.get("access_token", "")
            if not token:
                raise WeChatError(41001, "access_token missing")
            record = self._store.get("token", token)
            if record is None:
                raise WeChatError(40001, "invalid credential, access_token is invalid or not latest")
            if record["expires_at"] <= self._now():
                raise WeChatError(42001, "access_token expired")
            return view(**arguments)

        return checked

    def expire_all(self) -> None:
        """Let every token be expired from now on."""
        with self._store.transaction():
            self._shorten_current("classic", 0)
            self._shorten_current("stable", 0)

    def _issue(self, kind: str) -> Response:
        token = "90_" + random_text(133)
        self._store.put("token", token, {"kind": kind, "expires_at": self._now() + TOKEN_SECONDS})
        self._store.put("current_token", kind, {"token": token})
        return json_response({"access_token": token, "expires_in": TOKEN_SECONDS})

    def _shorten_current(self, kind: str, seconds: int) -> None:
        current = self._store.get("current_token", kind)
        record = self._store.get("token", current["token"]) if current else None
        if current and record:
            record["expires_at"] = min(record["expires_at"], self._now() + seconds)
            self._store.put("token", current["token"], record)

    def _count_forced(self) -> None:
        now = self._now()
        record = self._store.get("counter", "forced_token") or {"times": []}
        times = [at for at in record["times"] if at > now - 86400]
        if len(times) >= FORCED_PER_DAY:
            raise WeChatError(45009, "reach max api daily quota limit")
        if times and now - times[-1] < FORCED_PAUSE_SECONDS:
            raise WeChatError(45011, "api minute-quota reach limit, must slower, retry next minute")
        self._store.put("counter", "forced_token", {"times": [*times, now]})

    def _left(self, token: str) -> float:
        record = self._store.get("token", token)
        return float(record["expires_at"]) - self._now() if record else 0.0

    def _now(self) -> float:
        return self._context.clock().timestamp()
