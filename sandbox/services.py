"""What every simulated service offers, and what it is given to work with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Blueprint, Response

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.fields import Fields
from sandbox.keys import KeyRing
from sandbox.notifier import Notifier
from sandbox.settings import Settings
from sandbox.state import Store
from sandbox.tasks import Tasks


@dataclass(frozen=True)
class Context:
    """The shared parts of one sandbox."""

    settings: Settings
    clock: Clock
    ring: KeyRing
    store: Store
    faults: Faults
    tasks: Tasks
    notifier: Notifier


class Refused(Exception):
    """A control request that cannot be done: HTTP status, stable code, explanation."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class PaymentChannel(Protocol):
    """Control of one payment service; every method raises Refused 404 not_found for an unknown number."""

    def pay(self, out_trade_no: str) -> dict[str, Any]:
        """The user pays: send the callback (again) and return the payment with `delivered` and `status`."""

    def fail(self, out_trade_no: str) -> dict[str, Any]:
        """The user's payment fails; Refused 409 when it is paid or closed."""

    def adopt(self, payments: list[Fields]) -> int:
        """Take over payments that were made elsewhere, all or none, and return how many were new.

        Their callbacks count as sent. Raises FieldError for a wrong one; known numbers are left alone.
        """

    def show_payment(self, out_trade_no: str) -> dict[str, Any]:
        """Return the payment, its refunds and the fate of its callback."""

    def probe(self, out_trade_no: str) -> dict[str, Any]:
        """Send a callback whose signature is deliberately wrong; a merchant must refuse it."""

    def succeed_refund(self, out_refund_no: str) -> dict[str, Any]:
        """The money arrives: send the callback (again)."""

    def break_refund(self, out_refund_no: str) -> dict[str, Any]:
        """The refund becomes abnormal; Refused 409 when the money has arrived."""

    def show_refund(self, out_refund_no: str) -> dict[str, Any]:
        """Return the refund and the fate of its callback."""

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest payments first, as show_payment does."""


class Service(Protocol):
    """One simulated service.

    operations: fault target → names of its operations; callback_targets: those that send callbacks.
    channel: (name in control paths, control) of a payment service, else None.
    """

    operations: dict[str, frozenset[str]]
    callback_targets: frozenset[str]
    channel: tuple[str, PaymentChannel] | None

    def blueprints(self) -> list[Blueprint]:
        """Return the paths of the service; blueprints named control_… are for this machine only."""


def json_response(body: Any, status: int = 200) -> Response:
    """Return JSON the way the Chinese services send it: UTF-8, not escaped."""
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, status, content_type="application/json; charset=utf-8")
