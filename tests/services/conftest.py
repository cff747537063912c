"""Fixtures of service tests: a payment service in the test's hand and a shop that uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.services import channels, queue
from tests import factories, servers
from tests.services.alipay_till import alipay_live, alipay_merchant, alipay_sandbox, till  # noqa: F401
from tests.services.counter import PayService, register_service
from tests.services.ledger import ledger, owner  # noqa: F401
from tests.services.shop import Shop


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Whatever was handed to the workers after a commit."""
    handed: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queue, "_enqueue_now", lambda job, args: handed.append((job, *args)))
    return handed


@pytest.fixture
def pay_service(app: Flask, monkeypatch: pytest.MonkeyPatch, now: datetime) -> PayService:
    """The payment service behind every way of paying."""
    service = PayService()
    register_service(now)
    monkeypatch.setattr(channels, "wechat_pay", lambda: service)
    return service


@pytest.fixture
def make_shop(pay_service: PayService, jobs: list[tuple[Any, ...]], now: datetime) -> Callable[..., Shop]:
    """Make a shop whose policy has the given values."""

    def make(**policy: Any) -> Shop:
        room_values = {"cleaning_minutes": policy.pop("cleaning_minutes", 0)}
        store = factories.make_store(hours=policy.pop("hours", [(day, 0, 1440) for day in range(7)]))
        factories.make_policy(store, **policy)
        factories.make_price(store)
        room = factories.make_room(store, **room_values)
        return Shop(now, pay_service, store, room, factories.make_customer())

    return make


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """A shop that is open around the clock, with the rules of `factories.make_policy`."""
    return make_shop()


@pytest.fixture
def fresh_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A database without tables, on the engine under test."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    with servers.postgres_database(servers.start_postgres()) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")
