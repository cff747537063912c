"""From booking to refund through Alipay's real client library against the sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.domain.errors import InvalidTransition
from app.domain.states import OrderStatus, PaymentChannel, PaymentStatus, RefundStatus
from app.extensions import db
from app.models import CustomerIdentity, Payment, PaymentCallback, Refund
from app.services import cancellations, channels, clockwork, customers, payments, refunds
from app.services.callbacks import CallbackRefused
from app.services.unit_of_work import run_in_transaction
from sandbox.alipay import Alipay
from sandbox.alipay_rules import refused as alipay_refuses
from tests.sandbox.live import OPENID, Received
from tests.services.alipay_till import APP, CODE, Till
from tests.services.counter import callback_of, refused, unchanged


@pytest.mark.parametrize("channel", [APP, CODE])
def test_booking_is_paid_cancelled_and_refunded(till: Till, channel: PaymentChannel) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    started = payments.start_payment(no, channel=channel.value, actor=shop.guest, now=shop.now)
    payment_no = str(started["payment_no"])
    assert set(started["params"]) == ({"trade_no"} if channel is APP else {"code_url", "qr_code"})

    till.succeed(payment_no)
    till.read(till.receive())

    payment = shop.payment(payment_no)
    assert (shop.status(no), payment.status) == (OrderStatus.AWAITING_USE, PaymentStatus.SUCCEEDED)
    assert payment.transaction_no == till.live.shown("payments", payment_no, "alipay")["trade_no"]

    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    assert till.refund().status is RefundStatus.PROCESSING
    till.live.control(f"/refunds/alipay/{till.refund().refund_no}/succeed")
    till.read(till.receive(2))

    assert (shop.status(no), till.refund().status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)
    kept = shop.rows(PaymentCallback)
    assert [row.event for row in kept] == ["TRADE_SUCCESS", "TRADE_CLOSED.REFUND"]
    assert {row.channel for row in kept} == {"alipay"}
    assert shop.order(no).refunded_fen == shop.order(no).paid_fen == 12000


def test_refund_that_is_done_at_once_needs_no_notice(till: Till) -> None:
    shop = till.shop
    till.live.control("/settings", {"refund_delay_seconds": 0})
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)

    refunds.send_refund(till.refund().id, now=shop.now)

    assert (shop.status(no), till.refund().status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)
    # The notice about it changes nothing more, wherever it is sent.
    notice = till.receive(2)
    with unchanged(except_tables=("payment_callbacks",)):
        till.read(notice)
    elsewhere = notice.path.replace("/payments/", "/refunds/")
    with unchanged():
        till.read(Received(elsewhere, notice.headers, notice.body))


def test_notice_of_a_refund_may_come_to_the_address_of_refunds(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    till.live.control(f"/refunds/alipay/{till.refund().refund_no}/succeed")
    notice = till.receive(2)

    till.read(Received(notice.path.replace("/payments/", "/refunds/"), notice.headers, notice.body))

    assert (shop.status(no), till.refund().status) == (OrderStatus.REFUNDED, RefundStatus.SUCCEEDED)


def test_refund_made_at_alipay_by_hand_is_kept_and_moves_nothing(till: Till) -> None:
    no = till.shop.book(3, 2)
    payment_no = till.pay(no)
    content = {"out_trade_no": payment_no, "refund_amount": "20.00", "out_request_no": "BYHAND1"}
    gateway: Any = channels.alipay()
    gateway._client.require(lambda sdk: sdk.server_api("alipay.trade.refund", content))
    till.live.control("/refunds/alipay/BYHAND1/succeed")

    with unchanged(except_tables=("payment_callbacks",)):
        till.read(till.receive(2))

    assert till.shop.status(no) is OrderStatus.AWAITING_USE


@pytest.fixture
def payment_no(till: Till) -> str:
    """A payment that the customer has made; its notice has not been read."""
    started = till.start(till.shop.book(3, 2))
    till.succeed(started)
    return started


def test_forged_altered_and_old_notices_change_nothing(till: Till, payment_no: str) -> None:
    notice = till.receive()
    fields = {name: values[0] for name, values in parse_qs(notice.body.decode()).items()}
    attacks = {
        "a fen less": (b"total_amount=120.00", b"total_amount=119.99"),
        "a fen more": (b"total_amount=120.00", b"total_amount=120.01"),
        "another payment": (payment_no.encode(), b"P" + b"9" * (len(payment_no) - 1)),
        "another merchant": (fields["seller_id"].encode(), b"2088000000000009"),
        "spaces lost": (b"+", b"%2B"),
    }
    for label, (genuine, forged) in attacks.items():
        altered = notice.body.replace(genuine, forged, 1)
        assert altered != notice.body, label
        with unchanged(), pytest.raises(CallbackRefused, match="not_verified"):
            till.read(notice, body=altered)
    for body in (b"\xff" * 100, "sign=中".encode("gbk"), b"a=" + b"b" * 70_000, b"", b"{}", b"&"):
        with unchanged(), pytest.raises(CallbackRefused):
            payments.receive_callback("alipay", headers={}, body=body or b" ", now=till.shop.now)
    with unchanged(), pytest.raises(CallbackRefused, match="timestamp_out_of_range"):
        till.read(notice, late=timedelta(minutes=5))
    # What says nothing of a refund says nothing to its address.
    elsewhere = Received(notice.path.replace("/payments/", "/refunds/"), notice.headers, notice.body)
    with unchanged(), pytest.raises(CallbackRefused, match="unexpected_event"):
        till.read(elsewhere)

    till.read(notice)
    with unchanged():
        till.read(notice, late=timedelta(minutes=4))


def test_genuine_notice_of_another_sum_is_refused(till: Till, payment_no: str) -> None:
    """The service itself reports a fen more or less than we asked for."""
    shop = till.shop
    for fen in (-1, 1):
        payment = shop.payment(payment_no)
        payment.amount_fen += fen
        db.session.commit()
        with unchanged(), pytest.raises(CallbackRefused, match="amount_mismatch"):
            till.read(till.receive())
        payment = shop.payment(payment_no)
        payment.amount_fen -= fen
        db.session.commit()

    till.read(till.receive())

    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED


def test_notice_of_a_payment_that_is_not_ours_is_refused(till: Till, payment_no: str) -> None:
    payment = till.shop.payment(payment_no)
    payment.payment_no = "P" + "8" * 18
    db.session.commit()

    with unchanged(), pytest.raises(CallbackRefused, match="unknown_payment"):
        till.read(till.receive())


def test_sixty_four_copies_credit_once(till: Till) -> None:
    no = till.shop.book(3, 2)
    payment_no = till.start(no)
    till.fault("duplicate_callback", count=3)
    till.succeed(payment_no)

    for notice in till.merchant.wait_for(4) * 16:
        till.read(notice)

    assert till.shop.order(no).paid_fen == 12000
    assert till.shop.events(no).count("payment_succeeded") == 1
    assert len(till.shop.rows(PaymentCallback)) == 1


def test_notices_in_any_order_end_alike(till: Till) -> None:
    """The notice of the refund overtakes that of the payment, which comes back hours later."""
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    till.fault("reorder", seconds=600)
    till.succeed(payment_no)
    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 1
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    till.live.control(f"/refunds/alipay/{till.refund().refund_no}/succeed")
    told, held = till.merchant.wait_for(2)
    till.read(told)
    assert shop.status(no) is OrderStatus.REFUNDED

    with unchanged(except_tables=("payment_callbacks",)):
        till.read(held)


def test_payment_whose_notice_never_comes_is_found_by_query(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no, CODE)
    assert payments.query_silent_payments(now=shop.at(minutes=1)) == 0
    assert shop.payment(payment_no).status is PaymentStatus.PENDING
    till.fault("drop_callback")
    till.succeed(payment_no)

    assert payments.query_silent_payments(now=shop.at(minutes=2)) == 1

    assert shop.status(no) is OrderStatus.AWAITING_USE


def test_buyer_who_gives_up_may_try_again(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    till.live.control(f"/payments/alipay/{payment_no}/fail")
    with unchanged(except_tables=("payment_callbacks",)):
        till.read(till.receive())

    with pytest.raises(InvalidTransition):
        till.start(no)
    assert shop.payment(payment_no).status is PaymentStatus.CLOSED

    assert till.start(no) != payment_no


@pytest.mark.parametrize("channel", [APP, CODE])
def test_hold_expires_with_its_payment_closed_at_the_service(till: Till, channel: PaymentChannel) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no, channel)
    if channel is CODE:
        till.live.control(f"/payments/alipay/{payment_no}/scan")

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 1

    payment = shop.payment(payment_no)
    assert (shop.status(no), payment.status) == (OrderStatus.CANCELLED, PaymentStatus.CLOSED)
    assert payment.next_query_at is None
    assert till.live.shown("payments", payment_no, "alipay")["trade_status"] == "TRADE_CLOSED"


def test_hold_that_was_paid_in_the_last_moment_is_kept(till: Till, payment_no: str) -> None:
    shop = till.shop
    no = shop.rows(Payment)[0].order.no

    assert clockwork.expire_holds(now=shop.at(minutes=15)) == 0

    assert shop.status(no) is OrderStatus.AWAITING_USE
    with unchanged(except_tables=("payment_callbacks",)):
        till.read(till.receive())


def test_code_that_is_scanned_after_its_order_was_left_is_refunded(till: Till) -> None:
    """Nothing could be closed, the notice is lost: one look after the code's end finds the money."""
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no, CODE)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    payment = shop.payment(payment_no)
    assert (payment.status, payment.next_query_at) == (PaymentStatus.CLOSED, shop.at(minutes=17))
    till.fault("drop_callback")
    till.succeed(payment_no)

    assert payments.query_silent_payments(now=shop.at(minutes=16)) == 0
    assert payments.query_silent_payments(now=shop.at(minutes=17)) == 1

    assert shop.payment(payment_no).status is PaymentStatus.SUCCEEDED
    assert (shop.status(no), till.refund().reason) == (OrderStatus.REFUNDING, "paid_late")


def test_code_that_nobody_scans_is_looked_at_once_more(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no, CODE)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    till.fault("error", operation="close")

    assert payments.query_silent_payments(now=shop.at(minutes=17)) == 0
    assert payments.query_silent_payments(now=shop.at(minutes=18)) == 1

    payment = shop.payment(payment_no)
    assert (payment.status, payment.next_query_at) == (PaymentStatus.CLOSED, None)
    assert payments.query_silent_payments(now=shop.at(hours=2)) == 0


def test_late_money_takes_the_room_again(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    payment_no = till.start(no)
    clockwork.expire_holds(now=shop.at(minutes=15))
    assert shop.status(no) is OrderStatus.CANCELLED
    till.succeed(payment_no)

    till.read(till.receive())

    assert shop.status(no) is OrderStatus.AWAITING_USE


@pytest.mark.parametrize("second", ["alipay", "wechat"])
def test_second_payment_on_another_channel_is_refunded_by_itself(till: Till, second: str) -> None:
    """Whichever comes second goes back through the service that collected it."""
    shop = till.shop
    no = shop.book(3, 2)
    by_alipay, by_wechat = till.start(no), shop.start_payment(no)

    def alipay_pays() -> None:
        till.succeed(by_alipay)
        till.read(till.receive())

    def wechat_pays() -> None:
        shop.pay_service.pay(by_wechat, merchant_no=_wechat("mchid"), app_id=_wechat("app_id"))
        payments.receive_callback("wechat", **callback_of(by_wechat), now=shop.now)

    first, later = (wechat_pays, alipay_pays) if second == "alipay" else (alipay_pays, wechat_pays)
    first()
    later()

    assert shop.status(no) is OrderStatus.AWAITING_USE
    refund = till.refund()
    refunds.send_refund(refund.id, now=shop.now)
    kept, back = (by_wechat, by_alipay) if second == "alipay" else (by_alipay, by_wechat)
    assert [payment.refund_reserved_fen for payment in map(shop.payment, (kept, back))] == [0, 12000]
    asked = [request.refund_no for request in shop.pay_service.refund_requests]
    at_alipay = till.live.shown("payments", by_alipay, "alipay")["refunds"]
    assert (bool(asked), bool(at_alipay)) == (second == "wechat", second == "alipay")


def _wechat(name: str) -> str:
    return str(channels._row(channels.WECHAT_PAY).settings[name])


def test_payment_that_is_over_is_paid_for_once(till: Till, payment_no: str) -> None:
    """A tap after paying, before any notice: Alipay refuses, and the money is found."""
    shop = till.shop
    no = shop.rows(Payment)[0].order.no

    with pytest.raises(InvalidTransition):
        till.start(no)

    assert shop.status(no) is OrderStatus.AWAITING_USE
    assert [row.payment_no for row in shop.rows(Payment)] == [payment_no]


def test_code_that_is_refused_the_second_time_is_replaced_and_watched(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may give a code once only; the first one can still be scanned."""
    shop = till.shop
    no = shop.book(3, 2)
    first = till.start(no, CODE)
    (gateway,) = [each for each in till.live.sandbox.services if isinstance(each, Alipay)]
    trades = gateway._trades
    create = trades.create

    def refuse(request: Any) -> Any:
        if request.out_trade_no == first:
            raise alipay_refuses("ACQ.APPLY_PC_MERCHANT_CODE_ERROR", "x")
        return create(request)

    monkeypatch.setattr(trades, "create", refuse)
    with refused("unavailable", except_tables=("payments",)):
        till.start(no, CODE)
    second = till.start(no, CODE)

    watched = shop.payment(first)
    assert (watched.status, watched.next_query_at) == (
        PaymentStatus.CLOSED,
        watched.expires_at + timedelta(minutes=2),
    )
    for number in (second, first):
        till.succeed(number)
    till.read(till.receive())
    till.read(till.receive(2))
    assert (shop.status(no), till.refund().payment_id) == (OrderStatus.AWAITING_USE, watched.id)


def test_refund_that_fails_is_work_for_people(till: Till) -> None:
    shop = till.shop
    no = shop.book(3, 2)
    till.pay(no)
    cancellations.cancel_order(no, actor=shop.guest, now=shop.now)
    refunds.send_refund(till.refund().id, now=shop.now)
    till.live.control(f"/refunds/alipay/{till.refund().refund_no}/abnormal")

    refunds.settle_refunds(now=shop.at(minutes=1))

    assert (till.refund().status, shop.status(no)) == (RefundStatus.ABNORMAL, OrderStatus.REFUNDING)
    assert till.refund().last_error == "ACQ.TRADE_NOT_ALLOW_REFUND"


def test_partial_refunds_share_one_trade(till: Till) -> None:
    shop = till.shop
    till.live.control("/settings", {"refund_delay_seconds": 0})
    no = shop.book(3, 2)
    payment_no = till.pay(no)
    for _ in range(2):
        run_in_transaction(
            lambda: refunds.refund_order(shop.order(no), 100, reason="adjust", actor=shop.guest, now=shop.now)
        )
    for refund in shop.rows(Refund):
        refunds.send_refund(refund.id, now=shop.now)

    assert {refund.status for refund in shop.rows(Refund)} == {RefundStatus.SUCCEEDED}
    assert (shop.order(no).refunded_fen, shop.status(no)) == (200, OrderStatus.AWAITING_USE)
    shown = till.live.shown("payments", payment_no, "alipay")
    assert [refund["refund"] for refund in shown["refunds"]] == [100, 100]


def test_login_makes_a_customer_who_pays_as_that_buyer(till: Till) -> None:
    code = till.live.control("/login-codes", {"openid": "2088000000000042"})["code"]

    answer = customers.log_in("alipay", code, now=till.shop.now)

    identity = till.shop.rows(CustomerIdentity)[-1]
    assert identity.customer_id == answer["customer"]["id"]
    keys = till.live.credentials["alipay"]
    assert (identity.channel, identity.app_id, identity.subject) == (
        "alipay",
        keys["app_id"],
        "2088000000000042",
    )
    with refused("invalid_field"):
        customers.log_in("alipay", code, now=till.shop.now)
    with refused("invalid_field"):
        customers.log_in("alipay", "a b", now=till.shop.now)


def test_login_waits_for_a_service_that_does_not_answer(till: Till) -> None:
    till.fault("error", operation="login")
    with refused("unavailable"):
        customers.log_in("alipay", "any", now=till.shop.now)


def test_customer_whom_alipay_does_not_know_gets_a_code(till: Till) -> None:
    shop = till.shop
    db.session.query(CustomerIdentity).filter_by(channel="alipay").delete()
    db.session.commit()

    started = payments.start_payment(shop.book(3, 2), channel="alipay", actor=shop.guest, now=shop.now)

    assert str(started["params"]["code_url"]).startswith("https://qr.alipay.com/")
    assert OPENID not in str(till.live.shown("payments", str(started["payment_no"]), "alipay"))
