"""Fixtures of the screens' tests: a clock, a shop with a payment service in hand, clients by role."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask

from app.domain import clock as domain_clock
from app.extensions import db, keyring
from app.models import ChannelCredential, Store
from app.services import channels, queue
from tests import factories
from tests.services.counter import APP, MERCHANT, PayService
from tests.services.shop import Shop
from tests.views.helpers import Visitor, client_of

PHONE = "13800138000"
LogIn = Callable[..., Visitor]


@dataclass
class Clock:
    """What the screens take for now."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


@pytest.fixture
def clock(app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every screen, standing at Wednesday 2026-03-04 12:00 in Shanghai."""
    clock = Clock(now)
    monkeypatch.setattr(domain_clock, "utc_now", clock)
    for name, module in list(sys.modules.items()):
        if name.startswith("app.views.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", clock)
    return clock


@pytest.fixture
def shop(app: Flask, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop that is open around the clock, with one room at ¥60 an hour."""
    pay_service = PayService()
    identity = {"mchid": MERCHANT, "app_id": APP}
    for channel, settings in (("wechat", {"app_id": APP}), ("wechat_pay", identity)):
        row = ChannelCredential(channel=channel, settings=settings, secrets={}, created_at=clock.now)
        db.session.add(row)
    db.session.commit()
    monkeypatch.setattr(channels, "wechat_pay", lambda: pay_service)
    monkeypatch.setattr(queue, "_enqueue_now", lambda job, args: None)
    store = factories.make_store(name="静安寺店")
    factories.make_policy(store)
    factories.make_price(store)
    room = factories.make_room(store, name="听雨")
    customer = factories.make_customer(
        nickname="林小满",
        phone=PHONE,
        phone_hash=keyring.keyed_hash("phone", PHONE),
        phone_tail_hash=keyring.keyed_hash("phone_tail", PHONE[-4:]),
    )
    return Shop(clock.now, pay_service, store, room, customer)


@pytest.fixture
def other_store(shop: Shop) -> Store:
    """A store that the shop's staff have nothing to do with, with a room of its own."""
    store = factories.make_store(name="湖滨店")
    factories.make_policy(store)
    factories.make_price(store)
    factories.make_room(store, name="观澜")
    return store


@pytest.fixture
def log_in(app: Flask, shop: Shop) -> LogIn:
    """Return a client of a new member of staff: role, then stores (default: the shop's)."""

    def log_in(role: str, *stores: Store) -> Visitor:
        places = () if role == "Owner" else stores or (shop.store,)
        return client_of(app, factories.make_staff(role, *places))

    return log_in
