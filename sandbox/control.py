"""Control paths: what tests let users, banks and the network do; answered to this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from sandbox.fields import Fields, json_object
from sandbox.runtime import Sandbox
from sandbox.services import PaymentChannel, Refused, json_response
from sandbox.wechat_pay import KEY_MODES

MOST_ADOPTED = 1000


def control_blueprint(sandbox: Sandbox) -> Blueprint:
    """Return /_control of *sandbox*."""
    control = Control(sandbox)
    paths = Blueprint("control", __name__, url_prefix="/_control")
    payment, refund = "/payments/<channel>/<number>", "/refunds/<channel>/<number>"
    for method, rule, view in (
        ("GET", "/health", control.health),
        ("GET", "/outbox", control.outbox),
        ("DELETE", "/state", control.wipe),
        ("GET", "/faults", control.show_faults),
        ("POST", "/faults", control.arm_fault),
        ("DELETE", "/faults", control.disarm_faults),
        ("POST", "/settings", control.change_settings),
        ("POST", "/payments/<channel>/adopt", control.adopt),
        ("GET", payment, control.on_channel(lambda channel, no: channel.show_payment(no))),
        ("POST", payment + "/succeed", control.on_channel(lambda channel, no: channel.pay(no))),
        ("POST", payment + "/fail", control.on_channel(lambda channel, no: channel.fail(no))),
        ("POST", payment + "/probe", control.on_channel(lambda channel, no: channel.probe(no))),
        ("GET", refund, control.on_channel(lambda channel, no: channel.show_refund(no))),
        ("POST", refund + "/succeed", control.on_channel(lambda channel, no: channel.succeed_refund(no))),
        ("POST", refund + "/abnormal", control.on_channel(lambda channel, no: channel.break_refund(no))),
    ):
        paths.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
    return paths


class Control:
    """The control paths that all services share."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def health(self) -> Response:
        """Tell that the sandbox is up and what it simulates."""
        return json_response(
            {
                "status": "ok",
                "channels": sorted(self._sandbox.channels),
                "targets": sorted(self._sandbox.targets.operations),
            }
        )

    def outbox(self) -> Response:
        """Return every accepted message, oldest first."""
        return json_response({"items": self._sandbox.store.all("outbox"), "next_cursor": None})

    def wipe(self) -> Response:
        """Forget everything but keys and access tokens."""
        self._sandbox.store.clear()
        return Response(status=204)

    def show_faults(self) -> Response:
        """Return the faults that are still to happen."""
        return json_response({"items": self._sandbox.faults.armed(), "next_cursor": None})

    def arm_fault(self) -> Response:
        """Arm a fault: {target, mode, count, operation?, seconds?, after_commit?, status?}."""
        fault = self._sandbox.faults.arm(_body(), self._sandbox.targets)
        return json_response(asdict(fault), 201)

    def disarm_faults(self) -> Response:
        """Forget all faults."""
        self._sandbox.faults.disarm()
        return Response(status=204)

    def change_settings(self) -> Response:
        """Change the settings named here until the next start; each of them may be left out."""
        settings, fields = self._sandbox.settings, _body()
        delay = fields.number("refund_delay_seconds", -1, 86400, settings.refund_delay_seconds)
        scale = fields.number("notify_scale", 0, 1, settings.notify_scale)
        mode = fields.choice("wechat_pay_key_mode", KEY_MODES, settings.wechat_pay_key_mode)
        bill_delay = fields.number("bill_delay_hours", 0, 72, settings.bill_delay_hours)
        settings.refund_delay_seconds, settings.notify_scale = delay, scale
        settings.bill_delay_hours = bill_delay
        settings.wechat_pay_key_mode = mode
        return json_response(asdict(settings) | {"data_dir": str(settings.data_dir)})

    def adopt(self, channel: str) -> Response:
        """Take over {payments: […]} that were made elsewhere; the fields of each are the channel's own."""
        payments = _body().children("payments", MOST_ADOPTED)
        return json_response({"adopted": self._channel(channel).adopt(payments)})

    def on_channel(self, act: Callable[[PaymentChannel, str], dict[str, Any]]) -> Callable[..., Response]:
        """Return a view that does *act* on the payment service and number of the path."""

        def view(channel: str, number: str) -> Response:
            return json_response(act(self._channel(channel), number))

        return view

    def _channel(self, name: str) -> PaymentChannel:
        found = self._sandbox.channels.get(name)
        if found is None:
            raise Refused(422, "invalid_field", f"unknown channel: {name}")
        return found


def problem(status: int, code: str, detail: str, errors: dict[str, list[str]] | None = None) -> Response:
    """Return an RFC 9457 problem document."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
    response = json_response(body | {"errors": errors or {}, "data": None}, status)
    response.content_type = "application/problem+json"
    return response


def refuse_strangers() -> Response | None:
    """Refuse control to other machines, to foreign host names and to pages of other sites."""
    if not _is_loopback(request.remote_addr or ""):
        return problem(403, "forbidden", "control is for this machine only")
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    if host != "localhost" and not _is_loopback(host):
        return problem(403, "forbidden", "control is for local host names only")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        return problem(403, "forbidden", "control is not for pages of other sites")
    return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _body() -> Fields:
    return Fields(json_object(request.get_data()))
