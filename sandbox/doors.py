"""The cloud of the door locks (TTLock v3): tokens, and door codes that are added, prolonged and deleted."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from sandbox.faults import Fault
from sandbox.fields import Fields, json_object
from sandbox.keys import ServiceKeys
from sandbox.services import Context, PaymentChannel, json_response
from sandbox.state import Record

TOKEN_SECONDS = 7776000
# The real service refuses requests whose clock is further off.
CLOCK_MILLISECONDS = 300_000
CODE = re.compile(r"[0-9]{4,9}")
NUMBER = re.compile(r"[0-9]{1,18}")
BY_GATEWAY = "2"


def new_door_keys(_now: datetime) -> ServiceKeys:
    """Make an application of the lock cloud and the account whose locks it opens."""
    names = {"client_id": secrets.token_hex(16), "username": f"sandbox_{secrets.token_hex(4)}"}
    password = hashlib.md5(secrets.token_bytes(16)).hexdigest()  # noqa: S324  The protocol wants MD5.
    kept = names | {"client_secret": secrets.token_hex(16), "password_md5": password}
    return ServiceKeys(kept=kept, given=kept)


class DoorError(Exception):
    """A refusal of the lock cloud; it travels with HTTP 200."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errmsg)
        self.errcode = errcode
        self.errmsg = errmsg


class Doors:
    """Every lock number exists; a code opens its lock from its start until its end."""

    operations = {"door": frozenset({"token", "add", "change", "delete"})}
    callback_targets: frozenset[str] = frozenset()
    channel: tuple[str, PaymentChannel] | None = None

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._keys = context.ring.services["ttlock"]

    def blueprints(self) -> list[Blueprint]:
        """Return the cloud's paths, and the control of who stands before a door."""
        paths = Blueprint("doors", __name__)
        paths.register_error_handler(DoorError, lambda error: _refusal(error.errcode, error.errmsg))
        wrap = self._context.faults.wrap
        for rule, operation, view in (
            ("/oauth2/token", "token", self._token),
            ("/v3/keyboardPwd/add", "add", self._add),
            ("/v3/keyboardPwd/change", "change", self._change),
            ("/v3/keyboardPwd/delete", "delete", self._delete),
        ):
            paths.add_url_rule(rule, operation, wrap("door", operation, view, _busy), methods=["POST"])
        control = Blueprint("control_doors", __name__, url_prefix="/_control/doors")
        control.add_url_rule("", "list", self._show, methods=["GET"])
        control.add_url_rule("/<lock>/try", "try", self._try, methods=["POST"])
        return [paths, control]

    def _token(self) -> Response:
        names = ("client_id", "client_secret", "username")
        wanted = [self._keys[name] for name in names] + [self._keys["password_md5"]]
        if [request.form.get(name) for name in (*names, "password")] != wanted:
            raise DoorError(10001, "invalid client")
        token = secrets.token_hex(16)
        self._store.put("door_token", token, {"expires_at": self._now() + TOKEN_SECONDS})
        body = {"access_token": token, "refresh_token": secrets.token_hex(16), "uid": 1, "scope": "user"}
        return json_response(body | {"expires_in": TOKEN_SECONDS})

    def _add(self) -> Response:
        lock, code = self._checked("lockId", NUMBER), self._checked("keyboardPwd", CODE)
        start_at, end_at = self._instant("startDate"), self._instant("endDate")
        if end_at <= start_at:
            raise DoorError(-3, "invalid parameter")
        self._require_gateway("addType")
        with self._store.transaction():
            if any(entry["lock"] == lock and entry["code"] == code for entry in self._codes()):
                raise DoorError(-3007, "the same passcode exists")
            number = self._next_number()
            entry = {"id": number, "lock": lock, "code": code, "start_at": start_at, "end_at": end_at}
            self._store.put("door_code", number, entry)
        return json_response({"keyboardPwdId": int(number)})

    def _change(self) -> Response:
        with self._store.transaction():
            entry = self._find()
            self._require_gateway("changeType")
            entry["end_at"] = self._instant("endDate")
            self._store.put("door_code", entry["id"], entry)
        return _refusal(0, "none error message")

    def _delete(self) -> Response:
        with self._store.transaction():
            entry = self._find()
            self._require_gateway("deleteType")
            self._store.delete("door_code", entry["id"])
        return _refusal(0, "none error message")

    def _find(self) -> Record:
        lock, number = self._checked("lockId", NUMBER), self._checked("keyboardPwdId", NUMBER)
        entry = self._store.get("door_code", number)
        if entry is None or entry["lock"] != lock:
            raise DoorError(-3008, "the passcode does not exist")
        return entry

    def _checked(self, name: str, form: re.Pattern[str]) -> str:
        """Return a field of a request whose application, token and clock are right."""
        if request.form.get("clientId") != self._keys["client_id"]:
            raise DoorError(10000, "invalid client_id")
        token = self._store.get("door_token", request.form.get("accessToken", ""))
        if token is None or token["expires_at"] <= self._now():
            raise DoorError(10004, "invalid grant")
        if abs(self._instant("date") - self._now() * 1000) > CLOCK_MILLISECONDS:
            raise DoorError(80000, "date must be current time, in 5 minutes")
        value = request.form.get(name, "")
        if not form.fullmatch(value):
            raise DoorError(-3, "invalid parameter")
        return value

    def _instant(self, name: str) -> int:
        value = request.form.get(name, "")
        if not NUMBER.fullmatch(value):
            raise DoorError(-3, "invalid parameter")
        return int(value)

    def _require_gateway(self, name: str) -> None:
        # Any other way needs a phone beside the lock.
        if request.form.get(name) != BY_GATEWAY:
            raise DoorError(-3, "invalid parameter")

    def _codes(self) -> list[Record]:
        """The codes that the locks still know; they forget those that have ended."""
        now = self._now() * 1000
        return [entry for entry in self._store.all("door_code") if entry["end_at"] > now]

    def _next_number(self) -> str:
        counter = self._store.get("counter", "door_code") or {"value": 1000}
        self._store.put("counter", "door_code", {"value": counter["value"] + 1})
        return str(counter["value"] + 1)

    def _show(self) -> Response:
        return json_response({"items": self._codes(), "next_cursor": None})

    def _try(self, lock: str) -> Response:
        """Somebody types a code at a door: tell whether it opens."""
        code, now = Fields(json_object(request.get_data())).text("code", 9, CODE), self._now() * 1000
        found = [entry for entry in self._codes() if (entry["lock"], entry["code"]) == (lock, code)]
        return json_response({"opens": any(entry["start_at"] <= now for entry in found)})

    def _now(self) -> float:
        return self._context.clock().timestamp()


def _refusal(errcode: int, errmsg: str) -> Response:
    body: dict[str, Any] = {"errcode": errcode, "errmsg": errmsg, "description": errmsg}
    return json_response(body)


def _busy(_fault: Fault) -> Response:
    """The gateway in the store is offline, so that no lock can be reached."""
    return _refusal(-3002, "the gateway is offline")
