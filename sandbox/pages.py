"""A page for the person at the laptop: pay orders by hand, read what was sent."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.fields import OPENID, Fields
from sandbox.runtime import Sandbox
from sandbox.services import Refused
from sandbox.wechat import WeChat

SHOWN = 50
STATES = {
    "NOTPAY": "待支付",
    "SUCCESS": "已支付",
    "REFUND": "有退款",
    "CLOSED": "已关闭",
    "PAYERROR": "支付失败",
    "PROCESSING": "退款中",
    "ABNORMAL": "退款异常",
}


def pages_blueprint(sandbox: Sandbox) -> Blueprint:
    """Return the page and its buttons."""
    pages = Pages(sandbox)
    paths = Blueprint("control_pages", __name__)
    paths.add_url_rule("/", "index", pages.index)
    paths.add_url_rule("/payments/<channel>/<number>/<action>", "payment", pages.payment, methods=["POST"])
    paths.add_url_rule("/refunds/<channel>/<number>/<action>", "refund", pages.refund, methods=["POST"])
    paths.add_url_rule("/login-code", "login_code", pages.login_code, methods=["POST"])
    return paths


class Pages:
    """Views of the human page."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def index(self) -> Response:
        """Show recent transactions, their refunds and the outbox."""
        return self._show()

    def payment(self, channel: str, number: str, action: str) -> AnyResponse:
        """Pay, or let the payment fail."""
        control = self._channel(channel)
        acts = {"succeed": control.pay, "fail": control.fail}
        return self._act(acts, action, number)

    def refund(self, channel: str, number: str, action: str) -> AnyResponse:
        """Let a refund arrive, or become abnormal."""
        control = self._channel(channel)
        acts = {"succeed": control.succeed_refund, "abnormal": control.break_refund}
        return self._act(acts, action, number)

    def login_code(self) -> Response:
        """Show a login code for the openid that was typed."""
        fields = Fields({name: value for name, value in request.form.items() if value})
        openid = fields.text("openid", 128, OPENID)
        wechat = next(service for service in self._sandbox.services if isinstance(service, WeChat))
        return self._show(issued=wechat.issue_codes(openid, None) | {"openid": openid})

    def _show(self, issued: dict[str, Any] | None = None) -> Response:
        payments = [
            payment for channel in self._sandbox.channels.values() for payment in channel.recent(SHOWN)
        ]
        text = render_template(
            "sandbox.html",
            payments=sorted(payments, key=lambda payment: str(payment["created_at"]), reverse=True),
            outbox=self._sandbox.store.newest("outbox", SHOWN),
            states=STATES,
            issued=issued,
            yuan=_yuan,
            as_text=lambda value: json.dumps(value, ensure_ascii=False),
        )
        response = Response(text, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
        )
        return response

    def _channel(self, name: str) -> Any:
        if name not in self._sandbox.channels:
            raise Refused(404, "not_found", "no such channel")
        return self._sandbox.channels[name]

    def _act(self, acts: dict[str, Any], action: str, number: str) -> AnyResponse:
        if action not in acts:
            raise Refused(404, "not_found", "no such action")
        acts[action](number)
        return redirect("/", 303)


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"
