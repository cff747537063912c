"""The life of money as a model: however it comes, goes back and comes again, every fen is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import select

from app.domain.errors import DomainError
from app.domain.states import (
    BOOKING_ORDER,
    COUNTER_CHANNELS,
    BookingState,
    OrderStatus,
    PaymentStatus,
    RefundRequestStatus,
    RefundStatus,
)
from app.extensions import db
from app.models import ChannelCredential, CounterEntry, Order, Refund, RefundRequest
from app.services import (
    adjustments,
    cancellations,
    changes,
    channels,
    clockwork,
    extensions,
    payments,
    refund_requests,
    refunds,
    stays,
)
from app.services.changes import ChangeRequest
from app.services.order_actions import REFUNDABLE
from app.services.refunds import OPEN
from tests import factories
from tests.conftest import empty_tables
from tests.services.counter import APP, MERCHANT, PayService, callback_of, register_service
from tests.services.desk import CASH, POS, Desk, slip
from tests.services.shop import Shop

# Each way of paying with the name of its service and the app that its facts name.
WAYS = {"wechat_jsapi": ("wechat", APP), "alipay_qr": ("alipay", APP), "unionpay": ("unionpay", None)}
POLICIES = st.fixed_dictionaries(
    {
        "requires_confirmation": st.booleans(),
        "confirm_deadline_minutes": st.just(25),
        "has_overtime": st.booleans(),
        "overtime_grace_minutes": st.just(0),
        "no_show_release_minutes": st.sampled_from([None, 20]),
        "no_show_refund_percent": st.sampled_from([0, 50, 100]),
        "early_refund_percent": st.sampled_from([0, 100]),
        "cancel_steps": st.sampled_from(
            [
                [{"minutes_before": 60, "fee_percent": 0}, {"minutes_before": None, "fee_percent": 40}],
                [{"minutes_before": None, "fee_percent": 100}],
                [],
            ]
        ),
    }
)
FIXED: dict[str, Any] = {"min_minutes": 30, "max_bookings_per_day": 50, "max_open_holds": 50}
SETTLED = (OrderStatus.PAID, OrderStatus.AWAITING_USE, OrderStatus.IN_USE, OrderStatus.COMPLETED)
OVER = (BookingState.ENDED, BookingState.RELEASED, BookingState.EXPIRED)
ROOM_OF = {
    OrderStatus.PENDING_PAYMENT: (BookingState.HELD,),
    OrderStatus.PAID: (BookingState.RESERVED,),
    OrderStatus.AWAITING_USE: (BookingState.RESERVED,),
    OrderStatus.IN_USE: (BookingState.IN_USE,),
    OrderStatus.REFUNDING: (BookingState.RESERVED, BookingState.IN_USE, *OVER),
}
PICK = st.integers(0, 99)
HALF_HOUR = timedelta(minutes=30)
FEN = st.sampled_from([1, 999, 3000, 6000, 20000])


class MoneyLife(RuleBasedStateMachine):
    """One room, one guest, a cashier, three payment services and the clock."""

    def __init__(self, service: PayService, now: datetime) -> None:
        super().__init__()
        self.service, self.first = service, now
        self.numbers: list[str] = []
        self.attempts: list[tuple[str, str]] = []
        self.slips = 0

    @initialize(policy=POLICIES)
    def open_shop(self, policy: dict[str, Any]) -> None:
        db.session.remove()
        empty_tables()
        for book in (self.service.payments, self.service.refunds):
            book.clear()
        register_service(self.first)
        for channel, named in (("alipay", "seller_id"), ("unionpay", "merchant_no")):
            values = {named: MERCHANT, "app_id": APP}
            row = ChannelCredential(channel=channel, settings=values, secrets={}, created_at=self.first)
            db.session.add(row)
        store = factories.make_store()
        factories.make_policy(store, **FIXED | policy)
        factories.make_price(store)
        room, customer = factories.make_room(store), factories.make_customer()
        self.shop = Shop(self.first, self.service, store, room, customer)
        self.guest, self.desk = self.shop.guest, Desk.open(self.shop)
        self.room_id = room.id

    @property
    def now(self) -> datetime:
        return self.shop.now

    def attempt(self, work: Callable[[], Any]) -> Any:
        """Return what the work gives, or the code of its refusal; anything else fails the test."""
        try:
            return work()
        except DomainError as refusal:
            return refusal.code

    def pick(self, number: int, *statuses: OrderStatus) -> str:
        """Return an order, one in these statuses where there is one."""
        db.session.rollback()
        query = select(Order.no).where(Order.status.in_(statuses)).order_by(Order.id)
        found = list(db.session.scalars(query)) or self.numbers
        return str(found[number % len(found)])

    @rule(start=st.integers(1, 8), length=st.integers(1, 4), way=st.sampled_from([*WAYS, CASH, None]))
    def book(self, start: int, length: int, way: str | None) -> None:
        begun = (self.now - self.first) // HALF_HOUR
        start_at = self.first + (begun + start) * HALF_HOUR
        span = {"start_at": start_at, "end_at": start_at + length * HALF_HOUR, "room_id": self.room_id}
        no = self.attempt(lambda: self.shop.book(actor=self.guest, **span))
        if not no.startswith("B"):
            assert no in ("room_taken", "in_past"), no
            return
        self.numbers.append(no)
        if way == CASH:
            self.desk.take(no, at=self.now)
        elif way is not None:
            self.begin(no, way)
            self.come_in(-1)

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, way=st.sampled_from([*WAYS]), is_paid=st.booleans())
    def pay_online(self, which: int, way: str, is_paid: bool) -> None:
        """The guest begins to pay what is due, and perhaps does so later."""
        if self.begin(self.pick(which, OrderStatus.PENDING_PAYMENT, *SETTLED), way) and is_paid:
            self.come_in(-1)

    def begin(self, no: str, way: str) -> bool:
        started = self.attempt(
            lambda: payments.start_payment(no, channel=way, actor=self.guest, now=self.now)
        )
        if isinstance(started, str):
            return False
        self.attempts.append((started["payment_no"], way))
        return True

    @precondition(lambda self: self.attempts)
    @rule(which=PICK)
    def come_in(self, which: int) -> None:
        """Money comes in over an open page, whatever became of its order, and is told of again."""
        payment_no, way = self.attempts[which % len(self.attempts)]
        service, app_id = WAYS[way]
        if self.service.payments[payment_no].status == "closed":
            return
        self.service.pay(payment_no, app_id=app_id)
        told = callback_of(payment_no, f"paid-{payment_no}")
        payments.receive_callback(service, **told, now=self.now)

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, channel=st.sampled_from([CASH, POS]))
    def pay_at_the_counter(self, which: int, channel: str) -> None:
        no = self.pick(which, OrderStatus.PENDING_PAYMENT, OrderStatus.COMPLETED)
        self.slips += 1
        parts = slip(f"{self.slips:012}") if channel == POS else {}
        self.attempt(lambda: self.desk.take(no, channel, at=self.now, **parts))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, fen=FEN, is_less=st.booleans())
    def adjust(self, which: int, fen: int, is_less: bool) -> None:
        no = self.pick(which, *SETTLED)
        amount_fen, who = -fen if is_less else fen, {"actor": self.desk.cashier, "now": self.now}
        self.attempt(lambda: adjustments.add_adjustment(no, amount_fen, "调整", **who))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, length=st.integers(1, 4), is_later=st.booleans())
    def change(self, which: int, length: int, is_later: bool) -> None:
        no = self.pick(which, OrderStatus.AWAITING_USE, OrderStatus.PAID)
        start_at = self.shop.booking(no).start_at + is_later * HALF_HOUR
        request = ChangeRequest(None, start_at, start_at + length * HALF_HOUR)
        self.attempt(lambda: changes.change_order(no, request, actor=self.guest, now=self.now))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, length=st.integers(1, 3))
    def extend(self, which: int, length: int) -> None:
        no = self.pick(which, OrderStatus.IN_USE, OrderStatus.AWAITING_USE)
        end_at = self.shop.booking(no).end_at + length * HALF_HOUR
        self.attempt(lambda: extensions.extend_order(no, end_at, actor=self.guest, now=self.now))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK)
    def ask(self, which: int) -> None:
        no = self.pick(which, *SETTLED)
        self.attempt(
            lambda: refund_requests.create_request(no, reason="请退", actor=self.guest, now=self.now)
        )

    def waiting(self) -> list[int]:
        db.session.rollback()
        query = select(RefundRequest.id).where(RefundRequest.status == RefundRequestStatus.REQUESTED)
        return list(db.session.scalars(query.order_by(RefundRequest.id)))

    @precondition(lambda self: self.waiting())
    @rule(which=PICK, how=st.sampled_from(["by the rules", "all", "other", "refuse"]), fen=FEN)
    def review(self, which: int, how: str, fen: int) -> None:
        waiting, who = self.waiting(), {"actor": self.desk.cashier, "now": self.now, "reason": "审核"}
        request_id = waiting[which % len(waiting)]
        if how == "refuse":
            refund_requests.reject_request(request_id, **who)
            return
        found = refund_requests.get_review(request_id, actor=self.desk.cashier, now=self.now)
        all_fen = found["offer"]["refundable_fen"]
        amount_fen = {"by the rules": None, "all": all_fen, "other": fen}[how]
        done = self.attempt(lambda: refund_requests.approve_request(request_id, amount_fen=amount_fen, **who))
        if not isinstance(done, str) and how == "by the rules":
            assert done["approved_fen"] >= found["by_rules_fen"]

    @precondition(lambda self: self.numbers)
    @rule(which=PICK)
    def cancel(self, which: int) -> None:
        no = self.pick(which, OrderStatus.AWAITING_USE, OrderStatus.PENDING_PAYMENT)
        self.attempt(lambda: cancellations.cancel_order(no, actor=self.guest, now=self.now))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, is_confirmed=st.booleans())
    def confirm(self, which: int, is_confirmed: bool) -> None:
        no, who = self.pick(which, OrderStatus.PAID), {"actor": self.desk.cashier, "now": self.now}
        if is_confirmed:
            self.attempt(lambda: cancellations.confirm_order(no, **who))
        else:
            self.attempt(lambda: cancellations.refuse_order(no, reason="满员", **who))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK)
    def check_in(self, which: int) -> None:
        """Somebody comes at their time, also while money of theirs is on its way back."""
        no = self.pick(which, OrderStatus.AWAITING_USE, OrderStatus.REFUNDING)
        booking = self.shop.booking(no)
        if booking.state is BookingState.RESERVED:
            self.shop.now = max(self.now, booking.start_at)
        self.attempt(lambda: stays.check_in(no, actor=self.guest, now=self.now))

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, minutes=st.sampled_from([-40, 0, 25]))
    def check_out(self, which: int, minutes: int) -> None:
        no = self.pick(which, OrderStatus.IN_USE, OrderStatus.REFUNDING)
        booking = self.shop.booking(no)
        if booking.state is BookingState.IN_USE:
            self.shop.now = max(self.now, booking.end_at + timedelta(minutes=minutes))
        self.attempt(lambda: stays.check_out(no, actor=self.guest, now=self.now))

    @rule(minutes=st.sampled_from([3, 16, 30]), has_jobs=st.booleans())
    def pass_time(self, minutes: int, has_jobs: bool) -> None:
        self.shop.now += timedelta(minutes=minutes)
        if has_jobs:
            payments.query_silent_payments(now=self.now)
            clockwork.expire_holds(now=self.now)
            clockwork.expire_changes(now=self.now)
            clockwork.advance_bookings(now=self.now)

    @rule()
    def finish_refunds(self) -> None:
        """Services and cashiers hand out what waits."""
        for refund in self.shop.rows(Refund):
            if refund.route == refunds.COUNTER_ROUTE:
                self.slips += 1
                parts = slip(f"{self.slips:012}")
                with suppress(DomainError):
                    self.desk.hand_out(refund.refund_no, at=self.now, **parts)
            elif refund.status in OPEN:
                refunds.send_refund(refund.id, now=self.now)
                self.service.settle_refund(refund.refund_no)
                told = callback_of(refund.refund_no, f"refund-{refund.refund_no}")
                refunds.receive_callback("wechat", **told, now=self.now)

    @invariant()
    def every_fen_is_accounted_for(self) -> None:
        db.session.rollback()
        db.session.expire_all()
        for order in db.session.scalars(select(Order)):
            paid = [each for each in order.payments if each.status is PaymentStatus.SUCCEEDED]
            gone = [each for each in order.refunds if each.status is RefundStatus.SUCCEEDED]
            assert order.total_fen == sum(line.amount_fen for line in order.lines)
            assert order.paid_fen == sum(each.amount_fen for each in paid)
            assert order.refunded_fen == sum(each.amount_fen for each in gone) <= order.paid_fen
            for payment in order.payments:
                mine = sum(each.amount_fen for each in order.refunds if each.payment_id == payment.id)
                assert mine == payment.refund_reserved_fen <= payment.amount_fen
            kept_fen = order.paid_fen - sum(each.amount_fen for each in order.refunds)
            assert kept_fen == refunds.refundable_fen(order) >= 0
            # What is more than the price is on its way back at once.
            assert kept_fen <= order.total_fen, order.status
            if order.status in (OrderStatus.CANCELLED, OrderStatus.REFUNDED):
                assert kept_fen == order.cancel_fee_fen or "no_show" in {e.event for e in order.events}

    @invariant()
    def statuses_are_legal(self) -> None:
        db.session.rollback()
        db.session.expire_all()
        for order in db.session.scalars(select(Order)):
            assert order.bookings[-1].state in ROOM_OF.get(order.status, OVER), order.status
            if order.status is OrderStatus.REFUNDING:
                assert any(each.status in OPEN for each in order.refunds)
            reached: str | None = None
            for event in order.events:
                if event.to_status is None:
                    continue
                assert event.from_status == reached
                if reached is not None:
                    targets = BOOKING_ORDER[event.event, OrderStatus.of(reached)]
                    assert event.to_status in {each.value for each in targets}
                reached = event.to_status
            assert reached == order.status.value
        for request in db.session.scalars(
            select(RefundRequest).where(RefundRequest.status == RefundRequestStatus.REQUESTED)
        ):
            assert request.order.status in REFUNDABLE[request.order.kind]

    @invariant()
    def drawers_agree(self) -> None:
        entries = self.shop.rows(CounterEntry)
        orders = db.session.scalars(select(Order)).all()
        cash = [each for order in orders for each in order.payments if each.channel in COUNTER_CHANNELS]
        paid = sum(each.amount_fen for each in cash if each.status is PaymentStatus.SUCCEEDED)
        back = sum(
            each.amount_fen
            for order in orders
            for each in order.refunds
            if each.route == refunds.COUNTER_ROUTE and each.status is RefundStatus.SUCCEEDED
        )
        assert sum(entry.amount_fen for entry in entries) == paid - back

    def teardown(self) -> None:
        """Two days later nobody is in, nothing is on its way and nothing waits."""
        if not hasattr(self, "shop"):
            return
        for _ in range(3):
            self.pass_time(16 * 60, True)
            self.finish_refunds()
        self.every_fen_is_accounted_for()
        self.statuses_are_legal()
        left = {order.status for order in self.shop.rows(Order)}
        assert left <= {OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.REFUNDED}


def live(service: PayService, now: datetime, *, examples: int, steps: int, is_random: bool) -> None:
    """Run the model."""
    run_machine(
        lambda: MoneyLife(service, now),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not is_random,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def services(pay_service: PayService, monkeypatch: pytest.MonkeyPatch) -> PayService:
    """One stand-in behind all three services."""
    monkeypatch.setattr(channels, "alipay", lambda: pay_service)
    monkeypatch.setattr(channels, "unionpay", lambda: pay_service)
    return pay_service


def test_life_of_money(services: PayService, jobs: list[Any], now: datetime) -> None:
    live(services, now, examples=25, steps=30, is_random=False)


@pytest.mark.prove
def test_long_life_of_money(services: PayService, jobs: list[Any], now: datetime) -> None:
    live(services, now, examples=250, steps=60, is_random=True)
