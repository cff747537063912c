"""Fixtures of the interface's tests: a client that knows the contract, a clock, logins, the platform."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.domain.actor import SYSTEM
from app.extensions import db
from app.gateways.ports import GatewayRefused, LoginIdentity
from app.models import Customer, Order
from app.services import channels, group_orders, tokens
from app.services.locks import lock_order
from app.services.unit_of_work import run_in_transaction
from tests import factories
from tests.api.contract import ContractClient

Headers = dict[str, str]
LogIn = Callable[..., Headers]


@dataclass
class Clock:
    """What the handlers take for now."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


@pytest.fixture
def clock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every handler, standing at Wednesday 2026-03-04 12:00 in Shanghai."""
    clock = Clock(factories.NOW)
    for name, module in list(sys.modules.items()):
        if name.startswith("app.api.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", clock)
    return clock


@pytest.fixture
def api(app: Flask, clock: Clock) -> ContractClient:
    """A client whose every answer is held against the contract."""
    if "babel" not in app.extensions:
        Babel(app)
    return ContractClient(app, TestResponse)


@pytest.fixture
def log_in(app: Flask, clock: Clock) -> LogIn:
    """Return the headers of a logged-in customer, a new one by default."""

    def log_in(customer: Customer | None = None) -> Headers:
        customer = customer or factories.make_customer()
        pair = tokens.open_session(customer.id, now=clock.now)
        return {"Authorization": f"Bearer {pair.access_token}"}

    return log_in


@dataclass
class Platform:
    """Stands in for the mini-program platform: codes work once."""

    openids: dict[str, str] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    def exchange_login_code(self, code: str) -> LoginIdentity:
        return LoginIdentity(self._take(self.openids, code), None)

    def exchange_phone_code(self, code: str) -> str:
        return self._take(self.phones, code)

    def _take(self, codes: dict[str, str], code: str) -> str:
        if self.error is not None:
            raise self.error
        if code not in codes:
            raise GatewayRefused("40029", "invalid code")
        return codes.pop(code)


@pytest.fixture
def platform(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The mini-program platform as the services find it."""
    platform = Platform()
    monkeypatch.setattr(channels, "mini_program", lambda: platform)
    monkeypatch.setattr(channels, "wechat_app_id", lambda: "wxtest")
    return platform


@dataclass
class Till:
    """Stands in for the payment service."""

    created: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def create_payment(self, request: Any) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        self.created.append(request)
        return {"prepay_id": f"prepay-{len(self.created)}"}

    def close_payment(self, payment_no: str) -> str:
        return "closed"


@pytest.fixture
def till(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """The payment service as the services find it."""
    till = Till()
    monkeypatch.setattr(channels, "payment_channel", lambda channel: till)
    monkeypatch.setattr(channels, "wechat_app_id", lambda: "wxtest")
    yield till


def pay_group_order(no: str, *, now: datetime) -> None:
    """Pay for a campaign's order as if the payment service had said so."""

    def settle() -> None:
        order = lock_order(db.session.scalars(select(Order.id).where(Order.no == no)).one())
        order.paid_fen = order.total_fen
        group_orders.settle_paid(order, actor=SYSTEM, now=now)

    run_in_transaction(settle)
