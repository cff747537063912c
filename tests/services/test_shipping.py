"""Reports to WeChat: written with the credit, sent later, repeated without harm, never for what goes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.domain.states import OrderStatus, ShippingStatus
from app.gateways.ports import GatewayRefused, GatewayUnavailable, PaymentCallback, ShippingInfo
from app.models import AuditEntry, ShippingReport
from app.services import cancellations, channels, counter, payments, shifts, shipping
from tests import factories
from tests.services.counter import refused, unchanged
from tests.services.shop import Shop

OPENID = "oAlice"
S = ShippingStatus


@dataclass
class Program:
    """Stands in for the mini-program platform."""

    sent: list[ShippingInfo] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    is_managed: bool = True

    def is_trade_managed(self) -> bool:
        return self.is_managed

    def upload_shipping_info(self, info: ShippingInfo) -> None:
        self.sent.append(info)
        if self.trouble:
            raise self.trouble.pop(0)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    program = Program()
    monkeypatch.setattr(channels, "mini_program", lambda: program)
    return program


def pay(shop: Shop, no: str, openid: str | None = OPENID) -> str:
    """Pay as somebody whom the service calls *openid*."""
    payment_no = shop.start_payment(no)
    facts = shop.pay_service.pay(payment_no, payer_openid=openid, paid_at=shop.now)
    told = PaymentCallback(f"paid-{payment_no}", "TRANSACTION.SUCCESS", facts)
    payments.apply_callback("wechat", told, "{}", now=shop.now)
    return payment_no


def row_of(shop: Shop) -> ShippingReport:
    (row,) = shop.rows(ShippingReport)
    return row  # type: ignore[no-any-return]


def test_paid_booking_is_reported_once(shop: Shop, program: Program) -> None:
    no = shop.book()
    payment_no = pay(shop, no)
    # Nothing is sent with the payment, and nothing before the platform can know it.
    assert (program.sent, row_of(shop).status) == ([], S.WAITING)
    assert shipping.report_due(now=shop.at(minutes=0.4)) == 0

    assert shipping.report_due(now=shop.at(minutes=1)) == 1

    (info,) = program.sent
    assert (info.transaction_no, info.openid) == (f"42{payment_no}", OPENID)
    assert no in info.description and info.delivered_at == shop.at(minutes=1)
    row = row_of(shop)
    assert (row.status, row.reported_at, row.next_attempt_at) == (S.REPORTED, shop.at(minutes=1), None)
    with unchanged():
        assert shipping.report_due(now=shop.at(hours=9)) == 0
    assert not shipping.report(row.id, now=shop.at(hours=9))
    assert len(program.sent) == 1


def test_repeated_credit_writes_one_report(shop: Shop, program: Program) -> None:
    payment_no = pay(shop, shop.book())
    shop.notify(payment_no, "another")
    assert len(shop.rows(ShippingReport)) == 1


def test_report_waits_until_staff_have_confirmed(make_shop: Any, program: Program) -> None:
    shop = make_shop(requires_confirmation=True)
    no = shop.book()
    pay(shop, no)
    assert shop.status(no) is OrderStatus.PAID

    assert shipping.report_due(now=shop.at(minutes=1)) == 1
    assert (program.sent, row_of(shop).status, row_of(shop).attempt_count) == ([], S.WAITING, 0)
    cancellations.confirm_order(no, actor=shop.cashier(), now=shop.at(minutes=2))
    assert shipping.report_due(now=shop.at(minutes=5)) == 0
    assert shipping.report_due(now=shop.at(minutes=11)) == 1
    assert len(program.sent) == 1


def test_what_goes_back_is_not_reported(shop: Shop, program: Program) -> None:
    no = shop.book()
    pay(shop, no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)

    shipping.report_due(now=shop.at(minutes=1))

    assert (program.sent, row_of(shop).status) == ([], S.DROPPED)


def test_nothing_is_reported_where_no_money_is_held(shop: Shop, program: Program) -> None:
    program.is_managed = False
    pay(shop, shop.book())
    shipping.report_due(now=shop.at(minutes=1))
    assert (program.sent, row_of(shop).status) == ([], S.DROPPED)


JUDGED = [
    pytest.param(GatewayRefused("10060023", "no change"), S.REPORTED, id="the same again"),
    pytest.param(GatewayRefused("10060002", "done"), S.REPORTED, id="delivered already"),
    pytest.param(GatewayRefused("10060001", "unknown"), S.FAILED, id="not known there yet"),
    pytest.param(GatewayRefused("40001", "token", is_retryable=True), S.FAILED, id="token expired"),
    pytest.param(GatewayRefused("10060031", "not theirs"), S.DEAD, id="another payer"),
    pytest.param(GatewayUnavailable("silence", outcome_unknown=True), S.FAILED, id="perhaps arrived"),
    pytest.param(Unavailable(), S.FAILED, id="not set up"),
]


@pytest.mark.parametrize(("trouble", "status"), JUDGED)
def test_answers_are_judged(shop: Shop, program: Program, trouble: Exception, status: ShippingStatus) -> None:
    pay(shop, shop.book())
    program.trouble.append(trouble)

    shipping.report_due(now=shop.at(minutes=1))

    row = row_of(shop)
    assert row.status is status
    assert (row.next_attempt_at is not None) == (status is S.FAILED)


def test_doubt_is_another_try_and_then_it_is_over(shop: Shop, program: Program) -> None:
    pay(shop, shop.book())
    program.trouble += [
        GatewayUnavailable("silence", outcome_unknown=True),
        GatewayRefused("10060023", "no change"),
    ]
    shipping.report_due(now=shop.at(minutes=1))
    due_at = row_of(shop).next_attempt_at
    assert due_at == shop.at(minutes=1) + timedelta(seconds=30)

    shipping.report_due(now=due_at)

    assert row_of(shop).status is S.REPORTED
    assert program.sent[0].transaction_no == program.sent[1].transaction_no


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [shipping.retry_after(attempt).total_seconds() for attempt in (1, 2, 3, 8, 29)]
    assert pauses == [30, 60, 120, 3600, 3600]


def test_worker_that_died_costs_its_lease_only(
    shop: Shop, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(shop, shop.book())

    def die(_info: ShippingInfo) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(program, "upload_shipping_info", die)
        with pytest.raises(KeyboardInterrupt):
            shipping.report_due(now=shop.at(minutes=1))
    assert row_of(shop).status is S.SENDING
    assert shipping.report_due(now=shop.at(minutes=1.5)) == 0

    assert shipping.report_due(now=shop.at(minutes=2)) == 1

    assert row_of(shop).status is S.REPORTED


def test_given_up_after_many_tries_and_sent_again_by_staff(shop: Shop, program: Program) -> None:
    pay(shop, shop.book())
    program.trouble += [GatewayUnavailable("silence", outcome_unknown=False)] * shipping.MOST_TRIES
    for _ in range(shipping.MOST_TRIES):
        shipping.report_due(now=row_of(shop).next_attempt_at)
    assert row_of(shop).status is S.DEAD
    staff, row_id = shop.cashier(), row_of(shop).id
    stranger = shop.cashier(factories.make_store())

    with refused("not_found"):
        shipping.resend_report(row_id, actor=stranger, now=shop.now)
    shipping.resend_report(row_id, actor=staff, now=shop.at(hours=30))
    with refused("invalid_transition"):
        shipping.resend_report(row_id, actor=staff, now=shop.at(hours=30))
    shipping.report_due(now=shop.at(hours=30))

    assert row_of(shop).status is S.REPORTED
    assert [entry.action for entry in shop.rows(AuditEntry)][-1] == "resend"


def test_without_a_payer_it_is_somebodys_work(shop: Shop, program: Program) -> None:
    pay(shop, shop.book(), openid=None)
    shipping.report_due(now=shop.at(minutes=1))
    assert (program.sent, row_of(shop).status) == ([], S.DEAD)


def test_other_ways_of_paying_need_no_report(shop: Shop, program: Program) -> None:
    no, actor = shop.book(), shop.cashier()
    shifts.open_shift(shop.store.id, float_fen=0, actor=actor, now=shop.now)
    counter.take_payment(no, counter.read_tender({"channel": "counter_cash"}), actor=actor, now=shop.now)
    assert shop.rows(ShippingReport) == []
