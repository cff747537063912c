"""Fixtures of fault tests: a shop whose money comes through any service of the sandbox, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import gateways
from app.api import callbacks
from app.domain.clock import utc_now
from app.domain.slots import floor_minute
from app.extensions import db
from app.models import CustomerIdentity
from app.services import channels
from tests.faults.moves import WAYS
from tests.faults.tally import Tally
from tests.faults.world import Way, World
from tests.races.conftest import say
from tests.sandbox.live import OPENID, Live, Merchant
from tests.services.alipay_till import BUYER, alipay_live, alipay_merchant, alipay_sandbox
from tests.services.conftest import jobs, make_shop, pay_service
from tests.services.shop import Shop

__all__ = ["alipay_live", "alipay_merchant", "alipay_sandbox", "jobs", "make_shop", "pay_service", "say"]
REAL_WECHAT_PAY = channels.wechat_pay
Open = Callable[[Way], World]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI size a service's ways share what they do alike, and PostgreSQL has payments only."""
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {})
        is_refusal = "attack" in values and values["database_url"] == "postgresql"
        if is_refusal or ("move" in values and _is_for_proofs(item.name, values)):
            item.add_marker(pytest.mark.prove)


def _is_for_proofs(name: str, values: dict[str, Any]) -> bool:
    is_postgresql, is_payment = values["database_url"] == "postgresql", " pay," in name
    if values["way"] is WAYS["wechat native"] or (
        values["way"] is WAYS["alipay precreate"] and is_postgresql
    ):
        return is_postgresql or not is_payment
    return is_postgresql and not is_payment


@pytest.fixture(scope="session")
def tally(say: Callable[[str], None]) -> Iterator[Tally]:
    """Every cell of the matrix, shown together at the end."""
    counted = Tally()
    yield counted
    if counted.rows:
        say("\n" + "\n".join(counted.lines()))


@pytest.fixture
def open_world(
    make_shop: Callable[..., Shop],
    app: Flask,
    jobs: list[tuple[Any, ...]],
    alipay_live: Live,
    alipay_merchant: Merchant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Open]:
    """Open a shop that one way of paying of the sandbox collects for; its callbacks wait at the merchant."""
    live, merchant = alipay_live, alipay_merchant
    monkeypatch.setattr(channels, "wechat_pay", REAL_WECHAT_PAY)
    shop = make_shop(start_step_minutes=1, max_open_holds=100_000, max_bookings_per_day=100_000)
    # The services compare expiry and age with their own clock, so these tests begin at the real time.
    shop.now = floor_minute(utc_now())
    channels.register_sandbox_credentials(live.sandbox.settings.data_dir / "credentials.json", now=shop.now)
    _introduce(shop, live)
    before = gateways._configured.settings
    channels.configure(notify_base_url=merchant.url.removesuffix("/notify"))

    def open_world(way: Way) -> World:
        world = World(shop, live, merchant, way, app, tmp_path, jobs)
        world.wait_at_most(1)
        monkeypatch.setattr(callbacks, "utc_now", world.tell_time)
        return world

    yield open_world
    assert before is not None
    gateways.configure(before)
    channels.configure(notify_base_url=app.config["NOTIFY_BASE_URL"])


def _introduce(shop: Shop, live: Live) -> None:
    """Make the shop's customer one of WeChat's and one of Alipay's."""
    (known,) = shop.rows(CustomerIdentity)
    known.app_id, known.subject = live.credentials["wechat"]["app_id"], OPENID
    app_id = live.credentials["alipay"]["app_id"]
    db.session.add(
        CustomerIdentity(customer_id=shop.customer.id, channel="alipay", app_id=app_id, subject=BUYER)
    )
    db.session.commit()
