"""From booking to refund through the real client library against the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import gateways
from app.domain.clock import utc_now
from app.domain.slots import floor_minute
from app.domain.states import OrderStatus, PaymentStatus, RefundStatus, ShippingStatus
from app.extensions import db
from app.models import CustomerIdentity, Order, Payment, PaymentCallback, Refund, ShippingReport
from app.services import abnormal_refunds, cancellations, channels, clockwork, payments, refunds, shipping
from app.services.callbacks import CallbackRefused
from tests.sandbox.live import OPENID, Live, Merchant, Received, start_live, start_merchant
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

REAL_WECHAT_PAY = channels.wechat_pay


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = start_live(tmp_path_factory.mktemp("sandbox"))
    yield live
    live.stop()


@pytest.fixture
def live(running_sandbox: Live) -> Live:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    merchant, stop = start_merchant()
    yield merchant
    stop()


@dataclass
class Till:
    """A shop whose payment service is the sandbox; its callbacks arrive at the merchant, unread."""

    shop: Shop
    live: Live
    merchant: Merchant

    def succeed(self, payment_no: str) -> None:
        """The customer pays."""
        self.live.control(f"/payments/wechat/{payment_no}/succeed")

    def receive(self, number: int = 1) -> Received:
        """Return the callback number *number* once it has arrived."""
        return self.merchant.wait_for(number)[number - 1]

    def read(self, callback: Received, *, body: bytes | None = None, late: timedelta = timedelta(0)) -> None:
        """Hand a callback to the service that its path names."""
        stamp = datetime.fromtimestamp(int(callback.headers["Wechatpay-Timestamp"]), UTC)
        service = refunds if "/refunds/" in callback.path else payments
        service.receive_callback(
            "wechat", headers=callback.headers, body=body or callback.body, now=stamp + late
        )


@pytest.fixture
def till(
    make_shop: Callable[..., Shop],
    app: Flask,
    live: Live,
    merchant: Merchant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Till]:
    shop = make_shop(start_step_minutes=1)
    # The service compares expiry and age with its own clock, so these tests live at the real time.
    shop.now = floor_minute(utc_now())
    monkeypatch.setattr(channels, "wechat_pay", REAL_WECHAT_PAY)
    channels.register_sandbox_credentials(live.sandbox.settings.data_dir / "credentials.json", now=shop.now)
    identity = shop.rows(CustomerIdentity)[0]
    identity.app_id, identity.subject = live.credentials["wechat"]["app_id"], OPENID
    db.session.commit()
    before = gateways._configured.settings
    assert before is not None
    gateways.configure(gateways.GatewaySettings(live.url, live.url, 5, tmp_path, is_production=False))
    channels.configure(notify_base_url=merchant.url.removesuffix("/notify"))
    yield Till(shop, live, merchant)
    gateways.configure(before)
    channels.configure(notify_base_url=app.config["NOTIFY_BASE_URL"])


def test_booking_is_paid_cancelled_and_refunded(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    started = payments.start_payment(no, channel="wechat_jsapi", actor=shop.guest, now=shop.now)
    assert set(started["params"]) == {"appId", "timeStamp", "nonceStr", "package", "signType", "paySign"}
    payment_no = str(started["payment_no"])

    till.succeed(payment_no)
    till.read(till.receive())

    payment = shop.payment(payment_no)
    assert (shop.status(no), payment.status) == (OrderStatus.AWAITING_USE, PaymentStatus.SUCCEEDED)
    assert payment.transaction_no

    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    (refund,) = shop.rows(Refund)
    refunds.send_refund(refund.id, now=shop.now)
    assert shop.rows(Refund)[0].status is RefundStatus.PROCESSING
    till.live.control(f"/refunds/wechat/{refund.refund_no}/succeed")
    till.read(till.receive(2))

    assert (shop.status(no), shop.rows(Refund)[0].status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)
    assert [row.event for row in shop.rows(PaymentCallback)] == ["TRANSACTION.SUCCESS", "REFUND.SUCCESS"]


@pytest.fixture
def payment_no(till: Till) -> str:
    """A payment that the customer has made; its callback has not been read."""
    started = till.shop.start_payment(till.shop.book(3, 2))
    till.succeed(started)
    return started


def refuse(till: Till, reason: str, **how: Any) -> None:
    with unchanged(), pytest.raises(CallbackRefused, match=reason):
        till.read(how.pop("callback", None) or till.receive(), **how)


def test_forged_altered_and_old_callbacks_change_nothing(till: Till, payment_no: str) -> None:
    callback = till.receive()
    altered = callback.body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.SUCCESs")
    assert altered != callback.body
    headers = dict(callback.headers) | {"Wechatpay-Nonce": "another"}

    refuse(till, "not_verified", body=altered)
    refuse(till, "not_verified", callback=Received(callback.path, headers, callback.body))
    refuse(till, "timestamp_out_of_range", late=timedelta(minutes=5))
    # The notice of a payment says nothing to the address of refunds.
    elsewhere = callback.path.replace("/payments/", "/refunds/")
    refuse(till, "unexpected_event", callback=Received(elsewhere, callback.headers, callback.body))
    till.read(callback)
    with unchanged():
        till.read(callback, late=timedelta(minutes=4))


def test_duplicates_credit_once(till: Till) -> None:
    no = till.shop.book(3, 2)
    payment_no = till.shop.start_payment(no)
    till.live.control("/faults", {"target": "wechat_pay", "mode": "duplicate_callback", "count": 3})
    till.succeed(payment_no)
    received = till.merchant.wait_for(3)

    for callback in received:
        till.read(callback)

    assert till.shop.order(no).paid_fen == 12000
    assert len(till.shop.rows(PaymentCallback)) == 1


def test_payment_whose_callback_never_comes_is_found_by_query(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = shop.start_payment(no)
    till.live.control("/faults", {"target": "wechat_pay", "mode": "drop_callback", "count": 1})
    till.succeed(payment_no)

    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1

    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_hold_expires_with_its_payment_closed_at_the_service(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = shop.start_payment(no)

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 1

    assert shop.status(no) is OrderStatus.CANCELLED
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    assert till.live.shown("payments", payment_no)["trade_state"] == "CLOSED"


def test_hold_that_was_paid_in_the_last_moment_is_kept(till: Till, payment_no: str) -> None:
    shop = till.shop
    no = shop.rows(Payment)[0].order.no

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 0

    assert shop.status(no) is OrderStatus.AWAITING_USE
    with unchanged(except_tables=("payment_callbacks",)):
        till.read(till.receive())


def test_prepay_that_timed_out_after_it_was_made_is_repeated(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.live.control("/faults", {"target": "wechat_pay", "mode": "error", "count": 1})
    with refused("unavailable", except_tables=("payments",)):
        shop.start_payment(no)

    payment_no = shop.start_payment(no)

    assert [row.payment_no for row in shop.rows(Payment)] == [payment_no]


def test_abnormal_refund_is_work_for_people(till: Till, payment_no: str) -> None:
    shop = till.shop
    till.read(till.receive())
    no = shop.rows(Payment)[0].order.no
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    (refund,) = shop.rows(Refund)
    refunds.send_refund(refund.id, now=shop.now)

    till.live.control(f"/refunds/wechat/{refund.refund_no}/abnormal")
    till.read(till.receive(2))

    assert (shop.rows(Refund)[0].status, shop.status(no)) == (RefundStatus.ABNORMAL, OrderStatus.REFUNDING)


def test_reported_payment_is_released(till: Till, payment_no: str) -> None:
    till.read(till.receive())
    shown = f"/_control/payments/wechat/{payment_no}"
    assert till.live.get(shown).json()["is_released"] is False
    # The token of an earlier call is over, and the service does not answer at first.
    till.live.control("/tokens/expire")
    fault = {"target": "wechat_api", "operation": "shipping", "mode": "error", "count": 1}
    till.live.control("/faults", fault)

    shipping.report_due(now=till.shop.at(minutes=3))
    assert till.shop.rows(ShippingReport)[0].status is ShippingStatus.FAILED
    shipping.report_due(now=till.shop.at(minutes=5))

    assert till.shop.rows(ShippingReport)[0].status is ShippingStatus.REPORTED
    assert till.live.get(shown).json()["is_released"] is True


def test_report_whose_answer_was_lost_is_repeated(till: Till, payment_no: str) -> None:
    till.read(till.receive())
    fault = {"target": "wechat_api", "operation": "shipping", "mode": "error", "after_commit": True}
    till.live.control("/faults", fault | {"count": 2})

    # The first fault meets the question whether money is held at all.
    for minutes in (3, 5, 8):
        shipping.report_due(now=till.shop.at(minutes=minutes))

    row = till.shop.rows(ShippingReport)[0]
    assert (row.status, row.attempt_count) == (ShippingStatus.REPORTED, 3)


def test_abnormal_refund_is_tried_again_and_handed_back(till: Till, payment_no: str) -> None:
    shop = till.shop
    till.read(till.receive())
    no = shop.rows(Order)[0].no
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    (refund,) = shop.rows(Refund)
    refunds.send_refund(refund.id, now=shop.now)
    till.live.control(f"/refunds/wechat/{refund.refund_no}/abnormal")
    till.read(till.receive(2))
    staff = shop.cashier()

    abnormal_refunds.retry_refund(refund.refund_no, actor=staff, now=shop.now)
    refunds.send_refund(refund.id, now=shop.now)
    # The payer's account is still closed: the service says the same again.
    assert shop.rows(Refund)[0].status is RefundStatus.ABNORMAL
    values = {"means": "transfer", "reference_no": "T1", "reason": "account closed"}
    abnormal_refunds.hand_back(refund.refund_no, values, actor=staff, now=shop.now)

    assert (shop.status(no), shop.rows(Refund)[0].route) == (OrderStatus.REFUNDED, "transfer")
