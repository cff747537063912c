"""WeChat mini-program server API: login, tokens and phone numbers, with the control paths for its users."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

from flask import Blueprint, Response, request

from sandbox.faults import Fault
from sandbox.fields import OPENID, Fields, json_object
from sandbox.services import Context, PaymentChannel, json_response
from sandbox.signing import random_text
from sandbox.wechat_base import Tokens, WeChatError, answer, new_blueprint, read_body, refusal
from sandbox.wechat_messages import Messages

CODE_SECONDS = 300
PHONE = re.compile(r"\+?[0-9]{5,20}")
# Longest first, so that +852 is not taken for +8.
COUNTRY_CODES = ("852", "853", "886", "86", "81", "82", "65", "60", "44", "1")


class WeChat:
    """Login side of the mini-program API; messages and pictures are in Messages."""

    operations = {
        "wechat_login": frozenset({"login", "phone"}),
        "wechat_message": frozenset({"send"}),
        "wechat_api": frozenset({"token", "code", "text_check", "shipping"}),
    }
    callback_targets: frozenset[str] = frozenset()
    channel: tuple[str, PaymentChannel] | None = None

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._tokens = Tokens(context)
        self._messages = Messages(context, self._tokens)

    def blueprints(self) -> list[Blueprint]:
        """Return the API's paths and the control of users, codes, tokens and consents."""
        paths = new_blueprint("wechat")
        wrap = self._context.faults.wrap
        for method, rule, target, operation, view in (
            ("GET", "/sns/jscode2session", "wechat_login", "login", self._login),
            ("GET", "/cgi-bin/token", "wechat_api", "token", self._classic_token),
            ("POST", "/cgi-bin/stable_token", "wechat_api", "token", self._stable_token),
            ("POST", "/wxa/business/getuserphonenumber", "wechat_login", "phone",
             self._tokens.require(self._phone)),
        ):  # fmt: skip
            paths.add_url_rule(rule, rule, wrap(target, operation, view, busy), methods=[method])
        self._messages.add_paths(paths, busy)
        control = Blueprint("control_wechat", __name__, url_prefix="/_control")
        control.add_url_rule("/login-codes", "login_codes", self._new_codes, methods=["POST"])
        control.add_url_rule("/consents", "consents", self._messages.set_credits, methods=["POST"])
        control.add_url_rule("/tokens/expire", "expire", self._expire_tokens, methods=["POST"])
        return [paths, control]

    def issue_codes(self, openid: str, phone: str | None) -> dict[str, Any]:
        """Let a user tap log in: return one-use codes that live five minutes.

        Without *phone* the user's earlier one is used; phone_code is null for a user without any.
        """
        expires_at = self._now() + CODE_SECONDS
        code, phone_code = "0" + random_text(31), random_text(64)
        with self._store.transaction():
            person = self._store.get("person", openid) or {"phone": None, "last_login_at": None}
            person["phone"] = phone or person["phone"]
            self._store.put("person", openid, person)
            entry = {"openid": openid, "expires_at": expires_at, "is_used": False}
            self._store.put("login_code", code, entry)
            if person["phone"]:
                self._store.put("phone_code", phone_code, entry | {"phone": person["phone"]})
        return {"code": code, "phone_code": phone_code if person["phone"] else None}

    def _new_codes(self) -> Response:
        fields = Fields(json_object(request.get_data()))
        phone = fields.optional_text("phone", 21, PHONE)
        return json_response(self.issue_codes(fields.text("openid", 128, OPENID), phone), 201)

    def _expire_tokens(self) -> Response:
        self._tokens.expire_all()
        return Response(status=204)

    def _login(self) -> Response:
        arguments = request.args
        self._tokens.check_application(arguments.get("appid"), arguments.get("secret"))
        if arguments.get("grant_type") != "authorization_code":
            raise WeChatError(40002, "invalid grant_type")
        with self._store.transaction():
            openid = str(self._use_code("login_code", arguments.get("js_code", ""))["openid"])
            person = self._store.get("person", openid) or {"phone": None}
            self._store.put("person", openid, person | {"last_login_at": self._now()})
        session_key = base64.b64encode(secrets.token_bytes(16)).decode()
        # A successful answer of the real service carries no errcode.
        return json_response({"openid": openid, "session_key": session_key})

    def _use_code(self, kind: str, code: str) -> dict[str, Any]:
        """Return the record of a fresh code and mark it used; raise 40029 or 40163."""
        record = self._store.get(kind, code)
        if record is None or record["expires_at"] <= self._now():
            raise WeChatError(40029, "invalid code")
        if record["is_used"]:
            raise WeChatError(40163, "code been used")
        self._store.put(kind, code, record | {"is_used": True})
        return record

    def _classic_token(self) -> Response:
        if request.args.get("grant_type") != "client_credential":
            raise WeChatError(40002, "invalid grant_type")
        self._tokens.check_application(request.args.get("appid"), request.args.get("secret"))
        return self._tokens.classic()

    def _stable_token(self) -> Response:
        body, fields = read_body()
        if body.get("grant_type") != "client_credential":
            raise WeChatError(40002, "invalid grant_type")
        self._tokens.check_application(body.get("appid"), body.get("secret"))
        return self._tokens.stable(fields.flag("force_refresh"))

    def _phone(self) -> Response:
        body, _ = read_body()
        code = body.get("code")
        if not isinstance(code, str) or not code:
            raise WeChatError(40029, "invalid code")
        with self._store.transaction():
            known = self._store.get("phone_code", code)
            # Unlike login codes, a used phone code is answered like an unknown one.
            if known is None or known["is_used"] or body.get("openid") not in (None, known["openid"]):
                raise WeChatError(40029, "invalid code")
            phone = str(self._use_code("phone_code", code)["phone"])
        return answer({"phone_info": self._phone_info(phone)})

    def _phone_info(self, phone: str) -> dict[str, Any]:
        country, pure = _split_phone(phone)
        return {
            "phoneNumber": pure if country == "86" else country + pure,
            "purePhoneNumber": pure,
            "countryCode": country,
            "watermark": {"timestamp": int(self._now()), "appid": self._context.ring.app_id},
        }

    def _now(self) -> float:
        return self._context.clock().timestamp()


def busy(fault: Fault) -> Response:
    """Return the answer of an overloaded service."""
    return refusal(-1, "system error")


def _split_phone(phone: str) -> tuple[str, str]:
    if not phone.startswith("+"):
        return "86", phone
    digits = phone[1:]
    country = next((code for code in COUNTRY_CODES if digits.startswith(code)), digits[:2])
    return country, digits[len(country) :]
