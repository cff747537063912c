"""Whatever happens in whatever order, what is kept of rooms is what would be painted anew."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import select, text

from app.domain.availability import STATES, load_window
from app.domain.booking_rules import BlockSpan, BookingPolicy, BusySpan
from app.domain.errors import DomainError
from app.domain.opening import OpeningRule, opening_spans
from app.domain.slots import MINUTE, Span
from app.domain.states import OCCUPYING_STATES, BookingState, OrderStatus
from app.extensions import db, writing
from app.models import Booking, ChannelCredential, Order, Room, RoomBlock, Store
from app.models import BookingPolicy as PolicyRow
from app.services import availability, bookings, cancellations, clockwork, payments, stays
from app.services.availability import Answer
from app.services.painted_rooms import PaintedRoom
from app.services.quotes import BookingRequest
from app.services.room_rules import policy_of_row
from tests import factories
from tests.conftest import empty_tables
from tests.domain.painted_spans import availability_spans
from tests.services.counter import APP, MERCHANT, PayService, callback_of

HALF_HOUR = timedelta(minutes=30)
ROOMS, PICK = st.integers(0, 2), st.integers(0, 99)
EDITS = [
    "UPDATE booking_policies SET min_lead_minutes = 45 - min_lead_minutes",
    "UPDATE booking_policies SET buffer_before_minutes = 10 - buffer_before_minutes",
    "UPDATE booking_policies SET start_step_minutes = 80 - start_step_minutes",
    "UPDATE booking_policies SET max_ahead_days = 3 - max_ahead_days",
    "UPDATE rooms SET cleaning_minutes = 40 - cleaning_minutes WHERE id = (SELECT min(id) FROM rooms)",
    "UPDATE rooms SET is_active = NOT is_active WHERE id = (SELECT max(id) FROM rooms)",
    "UPDATE rooms SET position = 1 - position WHERE id = (SELECT min(id) FROM rooms)",
    "UPDATE opening_hours SET opens_minute = 600 - opens_minute",
    "DELETE FROM opening_hours WHERE weekday = 3",
    "UPDATE stores SET time_zone = CASE time_zone WHEN 'UTC' THEN 'Asia/Shanghai' ELSE 'UTC' END",
    "DELETE FROM room_blocks",
    "UPDATE room_blocks SET room_id = (SELECT min(id) FROM rooms)",
    # Of no consequence here.
    "UPDATE stores SET phone = '1'",
]


def window_of(now: datetime, start: int, minutes: int) -> Span:
    return Span(now + timedelta(minutes=start), now + timedelta(minutes=start + minutes))


def expected_rooms(store_id: int, window: Span, now: datetime) -> list[dict[str, Any]]:
    """What has to be answered, from whole tables and without any of what makes reading them fast."""
    db.session.rollback()
    db.session.expire_all()
    store = db.session.get_one(Store, store_id)
    rooms = db.session.scalars(
        select(Room).where(Room.store_id == store_id, Room.is_active).order_by(Room.position, Room.id)
    )
    return [_expected_room(room, store, window, now) for room in rooms]


def _expected_room(room: Room, store: Store, window: Span, now: datetime) -> dict[str, Any]:
    tz = ZoneInfo(store.time_zone)
    policy = _policy_of(room)
    hours = [
        OpeningRule(row.weekday, row.on_date, row.opens_minute, row.closes_minute, row.is_closed)
        for row in store.opening_hours
    ]
    busy, blocks = _busy_of(room, now), _blocks_of(room)
    wide = load_window(window, [policy])
    spans = availability_spans(
        window,
        open_spans=opening_spans(hours, tz, wide),
        busy=[taken for taken in busy if taken.busy.overlaps(wide)],
        blocks=blocks,
        policy=policy,
        now=now,
        tz=tz,
    )
    present = opening_spans(hours, tz, Span(now, now + MINUTE))
    return {
        "room_id": str(room.id),
        "state": _state_at(now, present, busy, blocks),
        "spans": [
            {
                "start_at": part.start_at.astimezone(tz).isoformat(timespec="seconds"),
                "end_at": part.end_at.astimezone(tz).isoformat(timespec="seconds"),
                "state": part.state,
                "reason": part.reason,
            }
            for part in spans
        ],
    }


def _state_at(now: datetime, hours: list[Span], busy: list[BusySpan], blocks: list[BlockSpan]) -> str:
    """What shows first holds: guests, early ones too, blocks, cleaning, opening hours."""
    words = [
        *("in_use" for taken in busy if taken.state == "in_use" and now < taken.core.start_at),
        *(taken.state for taken in busy if taken.core.has(now)),
        *("blocked" for block in blocks if block.span.has(now)),
        *("cleaning" for taken in busy if taken.busy.has(now)),
        "free" if hours else "closed",
    ]
    return STATES.get(words[0], words[0])


def _policy_of(room: Room) -> BookingPolicy:
    row = db.session.scalars(select(PolicyRow).where(PolicyRow.store_id == room.store_id)).one()
    values = {column.key: getattr(row, column.key) for column in PolicyRow.__table__.columns}
    values["buffer_after_minutes"] = max(row.buffer_after_minutes, room.cleaning_minutes)
    return policy_of_row(values)


def _busy_of(room: Room, now: datetime) -> list[BusySpan]:
    rows = db.session.scalars(
        select(Booking).where(Booking.room_id == room.id).order_by(Booking.busy_from_at)
    )
    return [
        BusySpan(
            Span(row.start_at, row.end_at),
            Span(row.busy_from_at, row.busy_until_at),
            row.state.value,
            str(row.order_id),
        )
        for row in rows
        if row.state in OCCUPYING_STATES
        and not (
            row.state is BookingState.HELD and row.hold_expires_at is not None and row.hold_expires_at <= now
        )
    ]


def _blocks_of(room: Room) -> list[BlockSpan]:
    rows = db.session.scalars(
        select(RoomBlock).where(RoomBlock.room_id == room.id).order_by(RoomBlock.start_at)
    )
    return [BlockSpan(Span(row.start_at, row.end_at), str(row.id)) for row in rows]


class Watch(RuleBasedStateMachine):
    """Three rooms whose guests, owner and clock do as they like, and clients that poll."""

    def __init__(self, service: PayService, now: datetime) -> None:
        super().__init__()
        self.service, self.first, self.now = service, now, now
        self.windows: list[Span] = []
        # What clients still have: tag, body without its version.
        self.copies: dict[tuple[int, str], Any] = {}

    @initialize()
    def open_shop(self) -> None:
        db.session.remove()
        empty_tables()
        availability.forget_kept()
        self.service.payments.clear()
        identity = {"mchid": MERCHANT, "app_id": APP}
        for channel, values in (("wechat", {"app_id": APP}), ("wechat_pay", identity)):
            db.session.add(
                ChannelCredential(channel=channel, settings=values, secrets={}, created_at=self.now)
            )
        store = factories.make_store()
        self.store_id = store.id
        policy = {"max_bookings_per_day": 99, "max_open_holds": 99, "buffer_after_minutes": 15}
        factories.make_policy(store, start_step_minutes=30, max_ahead_days=2, **policy)
        factories.make_price(store)
        self.rooms = [factories.make_room(store).id for _ in range(3)]
        self.guest = factories.customer(factories.make_customer())
        self.look(-120, 3 * 1440)

    @rule(start=st.integers(-3000, 3000), minutes=st.sampled_from([1, 45, 600, 1440, 5000]))
    def look(self, start: int, minutes: int) -> None:
        """Another client comes, with a window of its own."""
        self.windows = [window_of(self.now, start, minutes), *self.windows[:3]]

    @rule(room=ROOMS, start=st.integers(-1, 20), length=st.integers(2, 5), is_paid=st.booleans())
    def book(self, room: int, start: int, length: int, is_paid: bool) -> None:
        passed = (self.now - self.first) // HALF_HOUR
        start_at = self.first + (passed + start) * HALF_HOUR
        request = BookingRequest(self.rooms[room], start_at, start_at + length * HALF_HOUR)
        with suppress(DomainError):
            no = bookings.create_booking(request, actor=self.guest, now=self.now)
            if is_paid:
                self.pay(no)

    def pay(self, no: str) -> None:
        started = payments.start_payment(no, channel="wechat_jsapi", actor=self.guest, now=self.now)
        self.service.pay(started["payment_no"])
        told = callback_of(started["payment_no"], f"paid-{started['payment_no']}")
        payments.receive_callback("wechat", **told, now=self.now)

    def pick(self, number: int, *statuses: OrderStatus) -> str | None:
        db.session.rollback()
        found = list(
            db.session.scalars(select(Order.no).where(Order.status.in_(statuses)).order_by(Order.id))
        )
        return found[number % len(found)] if found else None

    @rule(which=PICK)
    def cancel(self, which: int) -> None:
        no = self.pick(which, OrderStatus.PENDING_PAYMENT, OrderStatus.AWAITING_USE)
        with suppress(DomainError):
            if no is not None:
                cancellations.cancel_order(no, actor=self.guest, now=self.now)

    @rule(which=PICK)
    def come_or_go(self, which: int) -> None:
        no = self.pick(which, OrderStatus.IN_USE, OrderStatus.AWAITING_USE)
        if no is None:
            return
        with suppress(DomainError):
            stays.check_in(no, actor=self.guest, now=self.now)
            return
        with suppress(DomainError):
            stays.check_out(no, actor=self.guest, now=self.now)

    @rule(room=ROOMS, start=st.integers(-60, 600), minutes=st.sampled_from([5, 90, 700]))
    def block(self, room: int, start: int, minutes: int) -> None:
        span = window_of(self.now, start, minutes)
        db.session.rollback()
        db.session.add(
            RoomBlock(
                store_id=self.store_id, room_id=self.rooms[room], start_at=span.start_at, end_at=span.end_at
            )
        )
        db.session.commit()

    @rule(statement=st.sampled_from(EDITS))
    def edit(self, statement: str) -> None:
        """The owner changes something, in another process."""
        db.session.rollback()
        with writing(), db.engine.begin() as connection:
            connection.execute(text(statement))

    @rule(seconds=st.sampled_from([1, 59, 60, 61, 600, 899, 1800, 7200, 40000]))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.now > self.first)
    @rule()
    def run_jobs(self) -> None:
        clockwork.expire_holds(now=self.now)
        clockwork.advance_bookings(now=self.now)

    @rule()
    def turn_the_clock_back(self) -> None:
        """Clocks of machines are put right now and then."""
        self.now -= timedelta(seconds=90)

    @invariant()
    def every_client_sees_what_is(self) -> None:
        for index, window in enumerate(self.windows):
            expected = expected_rooms(self.store_id, window, self.now)
            self.compare(index, expected, window, self.read(window))
            with writing():
                # Who writes looks past what is kept.
                self.compare(index, expected, window, self.read(window))

    def read(self, window: Span, *known: str) -> Answer:
        db.session.rollback()
        return availability.read_store_availability(
            self.store_id, from_at=window.start_at, to_at=window.end_at, now=self.now, known=known
        )

    def compare(self, index: int, expected: list[dict[str, Any]], window: Span, answer: Answer) -> None:
        body = orjson.loads(answer.body or b"")
        assert body.pop("rooms") == expected
        again = self.read(window, answer.tag)
        assert (again.tag, again.body) == (answer.tag, None)
        for (_, tag), copy in self.copies.items():
            if self.read(window, tag).body is None:
                assert copy == expected
        self.copies = dict(list({**self.copies, (index, answer.tag): expected}.items())[-8:])


def watch(
    service: PayService,
    now: datetime,
    *,
    examples: int,
    steps: int,
    is_random: bool = False,
    phases: Collection[Phase] = tuple(Phase),
) -> None:
    """Run the model."""
    run_machine(
        lambda: Watch(service, now),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not is_random,
            database=None,
            phases=phases,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_what_is_kept_is_what_is(pay_service: PayService, jobs: list[Any], now: datetime) -> None:
    watch(pay_service, now, examples=8, steps=20)


def holds_for_ever(self: PaintedRoom, versions: tuple[int, int], now: int) -> bool:
    return self.versions == versions


def holds_whatever_is_booked(self: PaintedRoom, versions: tuple[int, int], now: int) -> bool:
    return self.versions[0] == versions[0] and self.since <= now < self.until


def holds_whatever_is_edited(self: PaintedRoom, versions: tuple[int, int], now: int) -> bool:
    return self.versions[1] == versions[1] and self.since <= now < self.until


@pytest.mark.parametrize("holds", [holds_for_ever, holds_whatever_is_booked, holds_whatever_is_edited])
def test_keeping_too_long_is_noticed(
    pay_service: PayService, jobs: list[Any], now: datetime, monkeypatch: pytest.MonkeyPatch, holds: Any
) -> None:
    """The control: without one of its three conditions the same run fails."""
    monkeypatch.setattr(PaintedRoom, "holds", holds)
    with pytest.raises(AssertionError):
        watch(pay_service, now, examples=8, steps=20, phases=[Phase.generate])


@pytest.mark.prove
def test_what_is_kept_is_what_is_for_long(pay_service: PayService, jobs: list[Any], now: datetime) -> None:
    watch(pay_service, now, examples=250, steps=50, is_random=True)
