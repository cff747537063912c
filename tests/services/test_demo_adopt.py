"""What the sandbox is told about payments: recent ones and those of living orders, once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.extensions import db
from app.gateways import sandbox_control
from app.gateways.ports import GatewayUnavailable
from app.gateways.sandbox_control import PaidPayment
from app.models import Order, Payment, Refund
from app.services import cancellations, demo
from app.services.unit_of_work import session
from tests.services.shop import Shop

URL = "http://127.0.0.1:1"


class Told:
    """Stands in for the sandbox."""

    def __init__(self) -> None:
        # What is told about WeChat's payments, and who was told what about others.
        self.calls: list[tuple[str, list[PaidPayment]]] = []
        self.others: dict[str, list[PaidPayment]] = {}
        self.is_silent = False

    def adopt(self, sandbox_url: str, payments: Sequence[PaidPayment], *, service: str) -> int:
        if service == "wechat":
            self.calls.append((sandbox_url, list(payments)))
        else:
            self.others[service] = list(payments)
        if self.is_silent:
            raise GatewayUnavailable("the sandbox answered 500", outcome_unknown=True)
        assert not db.session().in_transaction(), "the database waits for the sandbox"
        return len(payments)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(sandbox_control, "adopt_payments", told.adopt)
    return told


def change(no: str, model: type[Order] | type[Payment], **values: object) -> None:
    """Set columns of the order *no*, or of its payment."""
    order_id = select(Order.id).where(Order.no == no).scalar_subquery()
    column = Order.id if model is Order else Payment.order_id
    session().execute(update(model).where(column == order_id).values(**values))
    session().commit()


@pytest.mark.parametrize(
    ("status", "days", "is_told"),
    [
        pytest.param(OrderStatus.AWAITING_USE, 1, True, id="living and recent"),
        pytest.param(OrderStatus.AWAITING_USE, 60, True, id="living and old"),
        pytest.param(OrderStatus.ISSUED, 60, True, id="vouchers that were not used"),
        pytest.param(OrderStatus.COMPLETED, 30, True, id="finished and recent"),
        pytest.param(OrderStatus.COMPLETED, 31, False, id="finished and old"),
        pytest.param(OrderStatus.REFUNDED, 31, False, id="refunded and old"),
    ],
)
def test_which_payments_are_told(
    shop: Shop, told: Told, status: OrderStatus, days: int, is_told: bool
) -> None:
    no, paid_at = shop.paid_booking(), shop.now - timedelta(days=days)
    change(no, Order, status=status)
    change(no, Payment, paid_at=paid_at)

    assert demo.adopt_payments(URL, now=shop.now) == int(is_told)

    payment = session().scalars(select(Payment)).one()
    number, transaction_no = payment.payment_no, payment.transaction_no
    expected = [PaidPayment(number, str(transaction_no), payment.amount_fen, 0, paid_at)]
    assert told.calls == [(URL, expected if is_told else [])]


@pytest.mark.parametrize(
    ("channel", "service"),
    [
        (PaymentChannel.ALIPAY, "alipay"),
        (PaymentChannel.ALIPAY_QR, "alipay"),
        (PaymentChannel.UNIONPAY, "unionpay"),
        (PaymentChannel.COUNTER_CASH, None),
    ],
)
def test_each_service_is_told_of_what_it_collected(
    shop: Shop, told: Told, channel: PaymentChannel, service: str | None
) -> None:
    change(shop.paid_booking(), Payment, channel=channel)

    assert demo.adopt_payments(URL, now=shop.now) == int(service is not None)

    assert told.calls == [(URL, [])]
    counts = {name: len(payments) for name, payments in told.others.items()}
    assert counts == {name: int(name == service) for name in ("alipay", "unionpay")}


def test_payments_that_did_not_succeed_are_not_told(shop: Shop, told: Told) -> None:
    change(shop.paid_booking(), Payment, status=PaymentStatus.FAILED)

    assert demo.adopt_payments(URL, now=shop.now) == 0


@pytest.mark.parametrize(
    ("status", "is_back"),
    [(RefundStatus.SUCCEEDED, True), (RefundStatus.ABNORMAL, False), (RefundStatus.PROCESSING, False)],
)
def test_only_money_that_arrived_counts_as_refunded(
    shop: Shop, told: Told, status: RefundStatus, is_back: bool
) -> None:
    cancellations.cancel_order(shop.paid_booking(), actor=shop.guest, now=shop.now)
    session().execute(update(Refund).values(status=status))
    session().commit()

    demo.adopt_payments(URL, now=shop.now)

    refund = session().scalars(select(Refund)).one()
    ((_, (payment,)),) = told.calls
    assert payment.refunded_fen == (refund.amount_fen if is_back else 0)


def test_silent_sandbox_is_logged_and_stops_nothing(
    shop: Shop, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    shop.paid_booking()
    told.is_silent = True

    with caplog.at_level(logging.WARNING, "app.services.demo.adopt"):
        assert demo.adopt_payments(URL, now=shop.now) == 0

    assert "cannot be refunded in the sandbox: the sandbox answered 500" in caplog.text


@pytest.mark.parametrize(
    ("address", "is_first", "calls"),
    [
        pytest.param(URL, True, 1, id="first load"),
        pytest.param(URL, False, 0, id="later start"),
        pytest.param("", True, 0, id="no sandbox"),
    ],
)
def test_setup_tells_the_sandbox_once(
    app: Flask,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    is_first: bool,
    calls: int,
) -> None:
    monkeypatch.setitem(app.config, "SANDBOX_URL", address)
    loads: list[datetime] = []

    def load(*, now: datetime) -> bool:
        loads.append(now)
        return is_first

    monkeypatch.setattr(demo, "load_demo", load)

    done = app.test_cli_runner().invoke(args=["demo", "load"])

    assert (done.exit_code, done.output) == (0, "Loaded.\n")
    assert (len(loads), len(told.calls)) == (1, calls)
