"""The life of bookings as a model: whatever is tried in whatever order, rooms and money stay right."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import select

from app.domain.actor import Actor
from app.domain.errors import DomainError
from app.domain.slots import Span, merge
from app.domain.states import (
    OCCUPYING_STATES,
    BookingState,
    ChangeStatus,
    OrderStatus,
    PaymentStatus,
    RefundStatus,
)
from app.extensions import db
from app.models import Booking, DiscountRule, Order, OrderChange, Refund, Room
from app.services import (
    bookings,
    cancellations,
    changes,
    clockwork,
    extensions,
    orders,
    payments,
    refunds,
    staff_orders,
    stays,
)
from app.services.changes import ChangeRequest
from app.services.quotes import BookingRequest
from tests import factories
from tests.conftest import empty_tables
from tests.services.counter import PayService, callback_of, register_service

POLICY: dict[str, Any] = {
    "buffer_after_minutes": 15,
    "min_minutes": 30,
    "max_bookings_per_day": 50,
    "max_open_holds": 50,
    "change_steps": [
        {"minutes_before": 120, "fee_percent": 0},
        {"minutes_before": 0, "fee_percent": 20},
    ],
    "has_overtime": True,
    "overtime_grace_minutes": 5,
    "overtime_percent": 150,
    "overtime_cap_fen": 20000,
    "no_show_release_minutes": 40,
    "no_show_refund_percent": 50,
    "early_refund_percent": 50,
}
STEPS = st.lists(
    st.builds(
        lambda minutes, percent: {"minutes_before": minutes, "fee_percent": percent},
        st.sampled_from([0, 30, 120, None]),
        st.integers(0, 100),
    ),
    max_size=3,
)
PERCENT = st.integers(0, 100)
# What a shop may have ruled otherwise; lengths and steps stay, because the rules below draw half hours.
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "buffer_before_minutes": st.sampled_from([0, 10]),
        "buffer_after_minutes": st.sampled_from([0, 5, 30]),
        "hold_minutes": st.sampled_from([5, 15, 45]),
        "cancel_steps": STEPS,
        "change_steps": STEPS,
        "change_max_count": st.integers(0, 3),
        "change_deadline_minutes": st.sampled_from([0, 60]),
        "has_overtime": st.booleans(),
        "overtime_grace_minutes": st.sampled_from([0, 10]),
        "overtime_unit_minutes": st.sampled_from([1, 20, 60]),
        "overtime_percent": st.sampled_from([0, 100, 333]),
        "overtime_cap_fen": st.sampled_from([None, 1]),
        "no_show_release_minutes": st.sampled_from([None, 0, 15]),
        "no_show_refund_percent": PERCENT,
        "early_refund_percent": PERCENT,
    },
)
HOURLY = st.fixed_dictionaries(
    {
        "amount_fen": st.integers(1, 9999),
        "band_start_minute": st.sampled_from([0, 450, 1020]),
        "band_end_minute": st.sampled_from([0, 700, 1200]),
        "priority": st.integers(1, 6),
    },
    optional={"minimum_fen": st.integers(0, 15000), "day_cap_fen": st.integers(1, 20000)},
)
PACKAGES = st.fixed_dictionaries(
    {
        "kind": st.just("package"),
        "amount_fen": st.integers(1, 15000),
        "package_minutes": st.sampled_from([60, 90, 120]),
        "priority": st.integers(0, 6),
    }
)
LIVING = (OrderStatus.PAID, OrderStatus.AWAITING_USE, OrderStatus.IN_USE, OrderStatus.COMPLETED)
HALF_HOURS = st.integers(0, 12)
LENGTHS = st.integers(1, 5)
ROOMS = st.integers(0, 2)
PICK = st.integers(0, 99)
HALF_HOUR = timedelta(minutes=30)


class Life(RuleBasedStateMachine):
    """Three rooms, three guests, a cashier, the payment service and the clock."""

    def __init__(self, service: PayService, now: datetime) -> None:
        super().__init__()
        self.service, self.first, self.now = service, now, now
        self.numbers: list[str] = []
        self.attempts: list[str] = []

    @initialize(
        policy=POLICIES,
        prices=st.lists(HOURLY | PACKAGES, max_size=3),
        percent_off=st.sampled_from([None, 10, 33]),
    )
    def open_shop(
        self, policy: dict[str, Any], prices: list[dict[str, Any]], percent_off: int | None
    ) -> None:
        db.session.remove()
        empty_tables()
        for book in (self.service.payments, self.service.refunds):
            book.clear()
        register_service(self.now)
        self.store = factories.make_store()
        factories.make_policy(self.store, **POLICY | policy)
        for price in prices:
            factories.make_price(
                self.store,
                price["amount_fen"],
                **{name: value for name, value in price.items() if name != "amount_fen"},
            )
        if percent_off is not None:
            discount = {"off_percent": percent_off, "first_order_only": percent_off == 33}
            db.session.add(DiscountRule(name="Off", store=self.store, **discount))
            db.session.commit()
        factories.make_price(self.store)
        factories.make_price(self.store, 9000, priority=5, band_start_minute=17 * 60, band_end_minute=20 * 60)
        self.rooms = [factories.make_room(self.store).id for _ in range(3)]
        factories.make_price(
            self.store, 7700, scope="room", room=db.session.get(Room, self.rooms[1]), minimum_fen=9000
        )
        self.guests = [factories.customer(factories.make_customer()) for _ in range(3)]
        self.cashier = factories.staff(self.store)

    def attempt(self, work: Callable[[], Any]) -> Any:
        """Return what the work gives, or the code of its refusal; anything else fails the test."""
        try:
            return work()
        except DomainError as refusal:
            return refusal.code

    def guest_of(self, no: str) -> Actor:
        order = self.order(no)
        return next(guest for guest in self.guests if guest.id == order.customer_id)

    def order(self, no: str) -> Order:
        db.session.rollback()
        db.session.expire_all()
        return db.session.scalars(select(Order).where(Order.no == no)).one()

    def pick(self, number: int, *statuses: OrderStatus) -> str:
        """Return an order, one in these statuses where there is one."""
        db.session.rollback()
        query = select(Order.no).where(Order.status.in_(statuses)).order_by(Order.id)
        found = list(db.session.scalars(query)) or self.numbers
        return str(found[number % len(found)])

    def has(self, status: OrderStatus) -> bool:
        db.session.rollback()
        return db.session.scalar(select(Order.id).where(Order.status == status).limit(1)) is not None

    def slot(self, half_hours: int) -> datetime:
        """A start on the grid, from the present half hour on."""
        passed = (self.now - self.first) // HALF_HOUR
        return self.first + (passed + half_hours) * HALF_HOUR

    @rule(room=ROOMS, start=HALF_HOURS, length=LENGTHS, guest=st.integers(0, 2), is_paid=st.booleans())
    def book(self, room: int, start: int, length: int, guest: int, is_paid: bool) -> None:
        start_at = self.slot(start)
        request = BookingRequest(self.rooms[room], start_at, start_at + length * HALF_HOUR)
        no = self.attempt(lambda: bookings.create_booking(request, actor=self.guests[guest], now=self.now))
        if no in ("room_taken", "in_past"):
            return
        assert no.startswith("B"), no
        self.numbers.append(no)
        if is_paid:
            self.pay_order(no, is_told=True)

    @precondition(lambda self: self.numbers)
    @rule(which=PICK, is_told=st.booleans())
    def pay(self, which: int, is_told: bool) -> None:
        """The guest pays what is due; sometimes nobody tells for now."""
        db.session.rollback()
        waiting = select(Order.no).join(OrderChange).where(OrderChange.status == ChangeStatus.PENDING)
        found = list(db.session.scalars(waiting.order_by(Order.id)))
        no = found[which % len(found)] if found else self.pick(which, OrderStatus.PENDING_PAYMENT)
        self.pay_order(no, is_told=is_told)

    @precondition(lambda self: self.has(OrderStatus.COMPLETED))
    @rule(which=PICK)
    def pay_afterwards(self, which: int) -> None:
        self.pay_order(self.pick(which, OrderStatus.COMPLETED), is_told=True)

    def pay_order(self, no: str, *, is_told: bool) -> None:
        due = orders.get_order(no, customer_id=self.guest_of(no).id, now=self.now)["due_fen"]
        started = self.attempt(
            lambda: payments.start_payment(no, channel="wechat_jsapi", actor=self.guest_of(no), now=self.now)
        )
        if started == "invalid_transition":
            return
        payment_no = started["payment_no"]
        assert self.service.payments[payment_no].amount_fen == due
        self.service.pay(payment_no)
        self.attempts.append(payment_no)
        if is_told:
            self.tell(payment_no)

    def tell(self, payment_no: str) -> None:
        told = callback_of(payment_no, f"paid-{payment_no}")
        payments.receive_callback("wechat", **told, now=self.now)

    @precondition(lambda self: self.attempts)
    @rule(which=PICK)
    def tell_again(self, which: int) -> None:
        self.tell(self.attempts[which % len(self.attempts)])

    @precondition(lambda self: self.has(OrderStatus.AWAITING_USE))
    @rule(
        which=PICK,
        room=ROOMS,
        start=HALF_HOURS,
        length=LENGTHS,
        is_staff=st.booleans(),
        is_paid=st.booleans(),
    )
    def change(self, which: int, room: int, start: int, length: int, is_staff: bool, is_paid: bool) -> None:
        no, start_at = self.pick(which, OrderStatus.AWAITING_USE), self.slot(start)
        room_id = self.rooms[room]
        request = ChangeRequest(room_id, start_at, start_at + length * HALF_HOUR)
        actor = self.cashier if is_staff else self.guest_of(no)
        self.preview_and_do(
            no,
            lambda: changes.preview_change(no, request, actor=actor, now=self.now),
            lambda: changes.change_order(no, request, actor=actor, now=self.now),
            is_extension=False,
            is_paid=is_paid,
        )

    @precondition(lambda self: self.has(OrderStatus.IN_USE))
    @rule(which=PICK, length=LENGTHS, is_paid=st.booleans())
    def extend(self, which: int, length: int, is_paid: bool) -> None:
        no = self.pick(which, OrderStatus.IN_USE)
        booking = self.order(no).bookings[-1]
        end_at = max(booking.overtime_from_at or booking.end_at, self.slot(0)) + length * HALF_HOUR
        actor = self.guest_of(no)
        self.preview_and_do(
            no,
            lambda: extensions.preview_extension(no, end_at, actor=actor, now=self.now),
            lambda: extensions.extend_order(no, end_at, actor=actor, now=self.now),
            is_extension=True,
            is_paid=is_paid,
        )

    def preview_and_do(
        self,
        no: str,
        preview: Callable[[], Any],
        work: Callable[[], Any],
        *,
        is_extension: bool,
        is_paid: bool,
    ) -> None:
        """A preview refuses what is refused, and costs what is charged."""
        # A payment that nobody told of yet would make an older change real in between.
        change = self.order(no).pending_change
        if change is not None:
            payments.close_open_payments(change.order_id, now=self.now)
        before = self.order(no).total_fen
        told, done = self.attempt(preview), self.attempt(work)
        if isinstance(told, str) or isinstance(done, str):
            assert told == done
            return
        assert done["due_fen"] == max(0, told["difference_fen"])
        after = before + told["total_fen"] if is_extension else told["total_fen"]
        assert after - before == told["difference_fen"]
        order = self.order(no)
        pending = order.pending_change
        assert (pending.total_fen if pending else order.total_fen) == after
        if pending and is_paid:
            self.pay_order(no, is_told=True)
            order = self.order(no)
            assert (order.total_fen, order.pending_change) == (after, None)

    @precondition(lambda self: self.has(OrderStatus.AWAITING_USE))
    @rule(which=PICK)
    def cancel(self, which: int) -> None:
        no = self.pick(which, OrderStatus.AWAITING_USE)
        actor = self.guest_of(no)
        payments.close_open_payments(self.order(no).id, now=self.now)
        told = self.attempt(lambda: cancellations.preview_cancel(no, actor=actor, now=self.now))
        reserved = self.reserved(no)
        done = self.attempt(lambda: cancellations.cancel_order(no, actor=actor, now=self.now))
        if isinstance(told, str):
            assert told == done
            return
        assert self.reserved(no) - reserved == told["refund_fen"]

    def reserved(self, no: str) -> int:
        return sum(payment.refund_reserved_fen for payment in self.order(no).payments)

    @precondition(lambda self: self.has(OrderStatus.AWAITING_USE))
    @rule(which=PICK, is_late=st.booleans())
    def check_in(self, which: int, is_late: bool) -> None:
        """The guest comes when it is time, and finds the door or not."""
        no = self.pick(which, OrderStatus.AWAITING_USE)
        booking = self.order(no).bookings[-1]
        if booking.state is BookingState.RESERVED:
            self.now = max(self.now, booking.start_at + timedelta(minutes=20 if is_late else -10))
        self.attempt(lambda: stays.check_in(no, actor=self.guest_of(no), now=self.now))

    @precondition(lambda self: self.has(OrderStatus.IN_USE))
    @rule(which=PICK, minutes=st.sampled_from([-45, -10, 0, 3, 20, 70]), has_jobs=st.booleans())
    def check_out(self, which: int, minutes: int, has_jobs: bool) -> None:
        """The guest leaves some minutes before or after the end."""
        no = self.pick(which, OrderStatus.IN_USE)
        self.now = max(self.now, self.order(no).bookings[-1].end_at + timedelta(minutes=minutes))
        if has_jobs:
            self.run_jobs()
        live = orders.get_order(no, customer_id=self.guest_of(no).id, now=self.now)
        done = self.attempt(lambda: stays.check_out(no, actor=self.guest_of(no), now=self.now))
        if done is None and live["overtime"]:
            # What was shown live is what is charged.
            assert self.order(no).total_fen == live["total_fen"] + live["overtime"]["amount_fen"]

    @precondition(lambda self: self.has(OrderStatus.IN_USE))
    @rule(which=PICK, room=ROOMS)
    def move_guests(self, which: int, room: int) -> None:
        no, values = self.pick(which, OrderStatus.IN_USE), {"room_id": str(self.rooms[room])}
        if self.order(no).status is OrderStatus.IN_USE:
            self.attempt(
                lambda: staff_orders.perform_action(no, "move", values, actor=self.cashier, now=self.now)
            )

    @rule(minutes=st.sampled_from([1, 4, 11, 16, 30, 45]), has_jobs=st.booleans())
    def pass_time(self, minutes: int, has_jobs: bool) -> None:
        self.now += timedelta(minutes=minutes)
        if has_jobs:
            self.run_jobs()

    @rule()
    def run_jobs(self) -> None:
        payments.query_silent_payments(now=self.now)
        clockwork.expire_holds(now=self.now)
        clockwork.expire_changes(now=self.now)
        clockwork.advance_bookings(now=self.now)
        clockwork.queue_warnings(now=self.now)

    @rule()
    def finish_refunds(self) -> None:
        db.session.rollback()
        for refund_id in db.session.scalars(select(Refund.id)).all():
            refunds.send_refund(refund_id, now=self.now)
        for refund_no, facts in list(self.service.refunds.items()):
            if facts.status != "succeeded":
                self.service.settle_refund(refund_no)
                told = callback_of(refund_no, f"refund-{refund_no}")
                refunds.receive_callback("wechat", **told, now=self.now)

    @invariant()
    def rooms_are_disjoint(self) -> None:
        db.session.rollback()
        db.session.expire_all()
        rows = db.session.scalars(select(Booking).where(Booking.state.in_(OCCUPYING_STATES))).all()
        for one, other in combinations(rows, 2):
            if one.room_id == other.room_id:
                busy = Span(one.busy_from_at, one.busy_until_at)
                assert not busy.overlaps(Span(other.busy_from_at, other.busy_until_at)), (one.id, other.id)

    @invariant()
    def changes_hold_what_they_need(self) -> None:
        held = {
            row.change_id
            for row in db.session.scalars(select(Booking).where(Booking.state == BookingState.HELD))
            if row.change_id is not None
        }
        waiting = db.session.scalars(
            select(OrderChange).where(OrderChange.status == ChangeStatus.PENDING)
        ).all()
        assert held <= {change.id for change in waiting}
        for change in waiting:
            rows = db.session.scalars(
                select(Booking).where(
                    Booking.order_id == change.order_id,
                    Booking.room_id == change.room_id,
                    Booking.state.in_(OCCUPYING_STATES),
                )
            )
            covered = merge(Span(row.busy_from_at, row.busy_until_at) for row in rows)
            wanted = Span(change.busy_from_at, change.busy_until_at)
            assert any(span.contains(wanted) for span in covered), change.id

    @invariant()
    def money_adds_up(self) -> None:
        for order in db.session.scalars(select(Order)).all():
            paid = [each for each in order.payments if each.status is PaymentStatus.SUCCEEDED]
            gone = [each for each in order.refunds if each.status is RefundStatus.SUCCEEDED]
            assert order.total_fen == sum(line.amount_fen for line in order.lines)
            assert order.paid_fen == sum(payment.amount_fen for payment in paid)
            assert order.refunded_fen == sum(refund.amount_fen for refund in gone)
            kept = sum(payment.amount_fen - payment.refund_reserved_fen for payment in paid)
            if order.status in LIVING:
                # What is more than the price is on its way back at once.
                assert 0 <= kept <= order.total_fen
            if order.status in (OrderStatus.PAID, OrderStatus.AWAITING_USE, OrderStatus.IN_USE):
                assert kept == order.total_fen
                assert order.bookings[-1].state in OCCUPYING_STATES

    @invariant()
    def ledgers_agree(self) -> None:
        """The payment service has what we think: what was paid and told, less what went back."""
        for order in db.session.scalars(select(Order)).all():
            numbers = {payment.payment_no: payment for payment in order.payments}
            told = [no for no, each in numbers.items() if each.status is PaymentStatus.SUCCEEDED]
            assert all(self.service.payments[no].status == "succeeded" for no in told)
            back = sum(
                self.service.refunds[refund.refund_no].amount_fen or 0
                for refund in order.refunds
                if refund.status is RefundStatus.SUCCEEDED
            )
            assert order.refunded_fen == back <= order.paid_fen

    def teardown(self) -> None:
        """Two days later nothing is held, nothing waits and every guest has left."""
        if not hasattr(self, "rooms"):
            return
        for _ in range(3):
            self.now += timedelta(hours=16)
            for payment_no in self.attempts:
                with suppress(DomainError):
                    self.tell(payment_no)
            self.run_jobs()
            self.finish_refunds()
        for each in (self.rooms_are_disjoint, self.changes_hold_what_they_need, self.money_adds_up):
            each()
        open_states = (BookingState.HELD, BookingState.RESERVED, BookingState.IN_USE)
        assert db.session.scalars(select(Booking.id).where(Booking.state.in_(open_states))).all() == []
        left = {order.status for order in db.session.scalars(select(Order))}
        assert left <= {OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.REFUNDED}


def live(service: PayService, now: datetime, *, examples: int, steps: int, is_random: bool) -> None:
    """Run the model."""
    run_machine(
        lambda: Life(service, now),
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


def test_life_of_bookings(pay_service: PayService, jobs: list[Any], now: datetime) -> None:
    live(pay_service, now, examples=12, steps=30, is_random=False)


@pytest.mark.prove
def test_long_life_of_bookings(pay_service: PayService, jobs: list[Any], now: datetime) -> None:
    live(pay_service, now, examples=250, steps=60, is_random=True)
