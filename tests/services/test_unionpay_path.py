"""From booking to refund through UnionPay's gateway against the sandbox; hostile notices leave nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import gateways
from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.domain.slots import floor_minute
from app.domain.states import OrderStatus, PaymentStatus, RefundStatus
from app.extensions import db, use_scope
from app.models import Payment, PaymentCallback, Refund
from app.services import cancellations, channels, clockwork, payments, refunds
from app.services.callbacks import CallbackRefused
from tests.sandbox.live import Live, Merchant, Received, start_live, start_merchant
from tests.services.counter import unchanged
from tests.services.desk import Desk
from tests.services.shop import Shop

CHANNEL = "unionpay"


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    live = start_live(tmp_path_factory.mktemp("sandbox"))
    yield live
    live.stop()


@dataclass
class Till:
    """A shop that UnionPay pays through the sandbox; its notices arrive at the merchant, unread."""

    shop: Shop
    live: Live
    merchant: Merchant

    def start(self, no: str, *, at: datetime | None = None) -> str:
        now = at or self.shop.now
        started = payments.start_payment(no, channel=CHANNEL, actor=self.shop.guest, now=now)
        return str(started["payment_no"])

    def succeed(self, payment_no: str) -> None:
        self.live.control(f"/payments/{CHANNEL}/{payment_no}/succeed")

    def fault(self, mode: str, **more: Any) -> None:
        self.live.control("/faults", {"target": CHANNEL, "mode": mode, "count": 1} | more)

    def receive(self, number: int = 1) -> Received:
        return self.merchant.wait_for(number)[number - 1]

    def read(self, notice: Received, *, body: bytes | None = None) -> None:
        """Hand a notice to the service that its path names."""
        service = refunds if "/refunds/" in notice.path else payments
        service.receive_callback(CHANNEL, headers=notice.headers, body=body or notice.body, now=utc_now())

    def pay(self, no: str) -> str:
        payment_no, arrived = self.start(no), len(self.merchant.received)
        self.succeed(payment_no)
        self.read(self.receive(arrived + 1))
        return payment_no

    def refund(self) -> Refund:
        (refund,) = self.shop.rows(Refund)
        return refund  # type: ignore[no-any-return]

    def shown(self, payment_no: str) -> Any:
        return self.live.shown("payments", payment_no, CHANNEL)


@pytest.fixture
def till(make_shop: Callable[..., Shop], app: Flask, running_sandbox: Live, tmp_path: Path) -> Iterator[Till]:
    running_sandbox.reset()
    merchant, stop = start_merchant()
    merchant.word = b"ok"
    merchant.statuses = [200] * 100
    shop = make_shop(start_step_minutes=1)
    # The service compares times with its own clock, so these tests live at the real time.
    shop.now = floor_minute(utc_now())
    folder = running_sandbox.sandbox.settings.data_dir
    channels.register_sandbox_credentials(folder / "credentials.json", now=shop.now)
    before = gateways._configured.settings
    assert before is not None
    url = running_sandbox.url
    gateways.configure(
        gateways.GatewaySettings(
            url,
            url,
            2,
            tmp_path,
            is_production=False,
            unionpay_url=url,
            unionpay_front_url="http://127.0.0.1/",
            has_unionpay_sandbox=True,
        )
    )
    channels.configure(notify_base_url=merchant.url.removesuffix("/notify"))
    yield Till(shop, running_sandbox, merchant)
    gateways.configure(before)
    channels.configure(notify_base_url=app.config["NOTIFY_BASE_URL"])
    stop()


def test_booking_is_paid_cancelled_and_refunded(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    started = payments.start_payment(no, channel=CHANNEL, actor=shop.guest, now=shop.now)
    assert started["params"]["action"].endswith("/gateway/api/frontTransReq.do")
    assert started["params"]["txnAmt"] == "12000"
    again = payments.start_payment(no, channel=CHANNEL, actor=shop.guest, now=shop.now)
    assert again == started

    till.succeed(started["payment_no"])
    till.read(till.receive())

    payment = shop.payment(started["payment_no"])
    assert (shop.status(no), payment.status) == (OrderStatus.AWAITING_USE, PaymentStatus.SUCCEEDED)
    assert payment.transaction_no == till.shown(payment.payment_no)["transaction_id"]

    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    assert till.refund().status is RefundStatus.PROCESSING
    till.live.control(f"/refunds/{CHANNEL}/{till.refund().refund_no}/succeed")
    till.read(till.receive(2))

    assert (shop.status(no), till.refund().status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)
    assert [row.event for row in shop.rows(PaymentCallback)] == ["PAYMENT.00", "REFUND.00"]
    # Repeated, both say nothing new.
    with unchanged():
        till.read(till.receive(1))
        till.read(till.receive(2))


def test_silent_payment_is_found_by_the_job(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    till.fault("drop_callback")
    till.succeed(payment_no)
    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1
    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_nobody_pays_and_the_room_is_free_again(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    clockwork.expire_holds(now=shop.at(minutes=16))
    assert (shop.status(no), shop.payment(payment_no).status) == (OrderStatus.CANCELLED, PaymentStatus.CLOSED)


def test_page_that_was_left_open_is_paid_after_the_room_is_gone(till: Till) -> None:
    """UnionPay cannot close a page: whoever pays there too late gets the money back by itself."""
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED
    till.fault("drop_callback")
    till.succeed(payment_no)

    # Its notice is lost too: the last look, when its time is over, finds the money.
    assert payments.query_silent_payments(now=shop.at(minutes=18)) == 1

    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED
    assert shop.status(no) is OrderStatus.REFUNDING
    refunds.send_refund(till.refund().id, now=shop.at(minutes=18))
    till.live.control(f"/refunds/{CHANNEL}/{till.refund().refund_no}/succeed")
    refunds.settle_refunds(now=shop.at(1))
    assert (shop.status(no), till.refund().amount_fen) == (OrderStatus.REFUNDED, 12000)


def test_card_that_failed_may_succeed_on_the_same_page(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    till.live.control(f"/payments/{CHANNEL}/{payment_no}/fail")
    payments.query_silent_payments(now=shop.at(minutes=1))
    assert shop.payment(payment_no).status is PaymentStatus.FAILED
    assert "pay_failed" in shop.events(no)
    till.fault("drop_callback")
    till.succeed(payment_no)
    payments.query_silent_payments(now=shop.at(minutes=18))
    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED
    assert shop.payment(payment_no).next_query_at is None


def test_failed_payment_is_looked_at_once_more_and_left(till: Till) -> None:
    shop = till.shop
    payment_no = till.start(shop.book(3, 2))
    till.live.control(f"/payments/{CHANNEL}/{payment_no}/fail")
    payments.query_silent_payments(now=shop.at(minutes=1))
    payments.query_silent_payments(now=shop.at(minutes=18))
    payment = shop.payment(payment_no)
    assert (payment.status, payment.next_query_at) == (PaymentStatus.FAILED, None)


def test_second_payment_goes_back_by_itself(till: Till) -> None:
    """The guest pays cash at the counter while the page on the phone is still open."""
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    Desk.open(shop).take(no)
    till.succeed(payment_no)
    till.read(till.receive())
    assert shop.order(no).paid_fen == 24000
    assert till.refund().payment_id == shop.payment(payment_no).id


@pytest.mark.parametrize("mode", ["error", "timeout_after_commit", "latency"])
def test_refund_through_a_fault_is_one_refund(till: Till, mode: str) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    till.fault(mode, operation="refund", **({"seconds": 7} if mode != "error" else {"after_commit": True}))
    refunds.send_refund(till.refund().id, now=shop.now)
    assert till.refund().status is RefundStatus.CREATED
    refunds.settle_refunds(now=shop.at(1))
    assert till.refund().status is RefundStatus.PROCESSING
    assert [refund["refund"] for refund in till.shown(payment_no)["refunds"]] == [12000]


def test_refund_that_breaks_becomes_work(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    till.live.control(f"/refunds/{CHANNEL}/{till.refund().refund_no}/abnormal")
    refunds.settle_refunds(now=shop.at(1))
    assert till.refund().status is RefundStatus.ABNORMAL


def test_one_notice_many_times_at_once_credits_once(till: Till, app: Flask) -> None:
    no = till.shop.book(3, 2)
    till.succeed(till.start(no))
    notice = till.receive()

    def read(_number: int) -> None:
        with app.app_context(), use_scope(ALL_STORES):
            try:
                till.read(notice)
            finally:
                db.session.remove()

    db.session.rollback()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(16)))
    assert till.shop.order(no).paid_fen == 12000
    assert len(till.shop.rows(PaymentCallback)) == 1


def test_notice_of_a_payment_says_nothing_to_the_address_of_refunds(till: Till) -> None:
    till.succeed(till.start(till.shop.book(3, 2)))
    notice = till.receive()
    elsewhere = Received(notice.path.replace("/payments/", "/refunds/"), notice.headers, notice.body)
    with unchanged(), pytest.raises(CallbackRefused, match="unexpected_event"):
        till.read(elsewhere)


def test_service_out_of_reach_is_said_and_tried_again(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.fault("error", operation="pay", status=503)
    with pytest.raises(Exception, match="unavailable"):
        till.start(no)
    payment_no = till.start(no)
    assert [row.payment_no for row in shop.rows(Payment)] == [payment_no]
    assert timedelta(0) < shop.payment(payment_no).expires_at - shop.now
