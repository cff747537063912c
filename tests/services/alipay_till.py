"""A till whose payments Alipay collects through the sandbox, for the tests that follow the money."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask

from app import gateways
from app.domain.clock import utc_now
from app.domain.slots import floor_minute
from app.domain.states import PaymentChannel
from app.extensions import db
from app.models import CustomerIdentity, Refund
from app.services import channels, payments, refunds
from tests.gateways.alipay_service import CHINA
from tests.sandbox.live import Live, Merchant, Received, start_live, start_merchant
from tests.services.shop import Shop

BUYER = "2088102169481075"
APP, CODE = PaymentChannel.ALIPAY, PaymentChannel.ALIPAY_QR


@pytest.fixture(scope="session")
def alipay_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = start_live(tmp_path_factory.mktemp("sandbox"))
    yield live
    live.stop()


@pytest.fixture
def alipay_live(alipay_sandbox: Live) -> Live:
    alipay_sandbox.reset()
    return alipay_sandbox


@pytest.fixture
def alipay_merchant() -> Iterator[Merchant]:
    merchant, stop = start_merchant()
    merchant.word = b"success"
    yield merchant
    stop()


@dataclass
class Till:
    """A shop that Alipay pays through the sandbox; its notices arrive at the merchant, unread."""

    shop: Shop
    live: Live
    merchant: Merchant

    def start(self, no: str, channel: PaymentChannel = APP, *, at: datetime | None = None) -> str:
        """Begin to pay and return the payment's number."""
        now = at or self.shop.now
        started = payments.start_payment(no, channel=channel.value, actor=self.shop.guest, now=now)
        return str(started["payment_no"])

    def succeed(self, payment_no: str) -> None:
        """The customer pays."""
        self.live.control(f"/payments/alipay/{payment_no}/succeed")

    def fault(self, mode: str, **more: Any) -> None:
        self.live.control("/faults", {"target": "alipay", "mode": mode, "count": 1} | more)

    def receive(self, number: int = 1) -> Received:
        """Return the notice number *number* once it has arrived."""
        return self.merchant.wait_for(number)[number - 1]

    def read(self, notice: Received, *, body: bytes | None = None, late: timedelta = timedelta(0)) -> None:
        """Hand a notice to the service that its path names."""
        stamp = parse_qs(notice.body.decode())["notify_time"][0]
        sent_at = datetime.fromisoformat(stamp).replace(tzinfo=CHINA).astimezone(UTC)
        service = refunds if "/refunds/" in notice.path else payments
        service.receive_callback(
            "alipay", headers=notice.headers, body=body or notice.body, now=sent_at + late
        )

    def pay(self, no: str, channel: PaymentChannel = APP) -> str:
        """Pay an order, notice included."""
        payment_no = self.start(no, channel)
        arrived = len(self.merchant.received)
        self.succeed(payment_no)
        self.read(self.receive(arrived + 1))
        return payment_no

    def refund(self) -> Refund:
        (refund,) = self.shop.rows(Refund)
        assert isinstance(refund, Refund)
        return refund


@pytest.fixture
def till(
    make_shop: Callable[..., Shop],
    app: Flask,
    alipay_live: Live,
    alipay_merchant: Merchant,
    tmp_path: Path,
) -> Iterator[Till]:
    """A shop at the present time, registered with the sandbox; its customer is one of Alipay's too."""
    live, merchant = alipay_live, alipay_merchant
    shop = make_shop(start_step_minutes=1)
    # The service compares expiry and age with its own clock, so these tests live at the real time.
    shop.now = floor_minute(utc_now())
    channels.register_sandbox_credentials(live.sandbox.settings.data_dir / "credentials.json", now=shop.now)
    db.session.add(
        CustomerIdentity(
            customer_id=shop.customer.id,
            channel="alipay",
            app_id=live.credentials["alipay"]["app_id"],
            subject=BUYER,
        )
    )
    db.session.commit()
    before = gateways._configured.settings
    assert before is not None
    alipay_url = f"{live.url}/gateway.do"
    gateways.configure(
        gateways.GatewaySettings(live.url, live.url, 5, tmp_path, is_production=False, alipay_url=alipay_url)
    )
    channels.configure(notify_base_url=merchant.url.removesuffix("/notify"))
    yield Till(shop, live, merchant)
    gateways.configure(before)
    channels.configure(notify_base_url=app.config["NOTIFY_BASE_URL"])


def hurry(till: Till, seconds: float = 0.2) -> None:
    """Let the product wait for Alipay no longer than *seconds* to connect, and thrice that to answer."""
    settings = gateways._configured.settings
    assert settings is not None
    gateways.configure(
        gateways.GatewaySettings(
            till.live.url,
            till.live.url,
            seconds,
            settings.media_dir,
            is_production=False,
            alipay_url=settings.alipay_url,
        )
    )
