"""What becomes of each visit: booked, paid, used, or cancelled, refused, missed; told only up to now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

from app.domain.actor import PAYMENT_SERVICE, SYSTEM, Actor, customer_actor
from app.domain.booking_rules import busy_span, cancel_fee
from app.domain.price_rules import PriceRule
from app.domain.pricing import Quote, Totals, quote_span
from app.domain.slots import floor_minute
from app.domain.states import BookingState, OrderKind, OrderStatus, PaymentChannel
from app.models import OrderSource
from app.services.demo.calendar import Visit, Way
from app.services.demo.ledger import Draft, number
from app.services.demo.vouchers import VoucherDraft
from app.services.quotes import describe_policy
from app.services.store_config import load_price_book

Step = tuple[datetime, Callable[[datetime], None]]

MINUTE = timedelta(minutes=1)
LEAD_MINUTES = ((32, 120), (120, 480), (480, 1800), (1800, 8640), (8640, 17000))
LEAD_WEIGHTS = (32, 29, 20, 14, 5)
CANCEL_REASONS = ("临时有事", "人没约齐", "时间冲突，改天再约", "天气不好", "")
ONLINE = (PaymentChannel.WECHAT_JSAPI, PaymentChannel.ALIPAY, PaymentChannel.UNIONPAY)
ONLINE_WEIGHTS = (80, 14, 6)
REFUSALS = ("包间临时检修，非常抱歉", "该时段已线下预留")


class Fate(StrEnum):
    """How a booking ends."""

    USED = "used"
    NO_SHOW = "no_show"
    CANCELLED_EARLY = "cancelled_early"
    CANCELLED_LATE = "cancelled_late"
    CANCELLED_AFTER_START = "cancelled_after_start"
    CANCELLED_UNPAID = "cancelled_unpaid"
    EXPIRED = "expired"
    REFUSED = "refused"


FATES = dict(zip(Fate, (795, 35, 55, 28, 6, 20, 55, 6), strict=True))


@dataclass(frozen=True)
class Desk:
    """What every story needs: the clock, the people at the desk, and the prices."""

    now: datetime
    staff: list[Actor]
    prices: dict[int, list[PriceRule]]
    policies: dict[int, dict[str, Any]]

    def clerk(self, store_id: int, rng: Random) -> Actor:
        """Return somebody who works in the store."""
        return rng.choice([each for each in self.staff if each.scope.allows(store_id)])

    def quote(self, visit: Visit, voucher: VoucherDraft | None) -> Quote:
        """Return the price of a visit, by the function that charges customers."""
        room = visit.room
        return quote_span(
            room.priced_room,
            visit.span,
            self.prices[room.store_id],
            session_id=visit.session_id,
            voucher=None if voucher is None else voucher.campaign.title,
        )


def open_desk(now: datetime, staff: list[Actor], visits: list[Visit]) -> Desk:
    """Return the desk with the prices of every store and the frozen policy of every room."""
    rooms = {visit.room.room_id: visit.room for visit in visits}
    stores = {room.store_id for room in rooms.values()}
    prices = {store_id: list(load_price_book(store_id).rules) for store_id in stores}
    policies = {room_id: describe_policy(room.policy) for room_id, room in rooms.items()}
    return Desk(now, staff, prices, policies)


def booked_at(visit: Visit) -> datetime:
    """Return when a visit comes into the books: ahead of time, or when the guests stand at the desk."""
    if visit.way in (Way.WALK_IN, Way.DESK):
        return visit.span.start_at + timedelta(seconds=visit.rng.randrange(5, 55))
    first, last = visit.rng.choices(LEAD_MINUTES, LEAD_WEIGHTS)[0]
    lead = visit.rng.randrange(max(first, visit.room.policy.min_lead_minutes + 2), last)
    return visit.span.start_at - timedelta(minutes=lead, seconds=visit.rng.randrange(60))


class Story:
    """One visit from its booking on; steps that lie ahead of now are not told."""

    def __init__(self, desk: Desk, visit: Visit, created_at: datetime, voucher: VoucherDraft | None) -> None:
        self._desk, self._visit, self._rng, self._voucher = desk, visit, visit.rng, voucher
        self._created_at = created_at
        self._must_confirm = visit.room.policy.requires_confirmation
        self._clerk = desk.clerk(visit.room.store_id, visit.rng)
        guest = visit.guest
        self._guest = customer_actor(guest.id, guest.nickname) if guest else self._clerk
        self._draft = self._make_draft()

    def tell(self) -> Draft:
        """Apply every step that has happened and return the order."""
        for at, step in self._steps():
            if at > self._desk.now:
                break
            step(at)
        return self._draft

    def _make_draft(self) -> Draft:
        visit, desk = self._visit, self._desk
        quote = desk.quote(visit, self._voucher)
        is_desk = self._is_desk
        draft = Draft(
            no=number("B", self._created_at, self._rng),
            kind=OrderKind.BOOKING,
            status=OrderStatus.IN_USE if is_desk else OrderStatus.PENDING_PAYMENT,
            source=self._source,
            guest=visit.guest,
            store_id=visit.room.store_id,
            totals=Totals(quote.base_fen, quote.extra_fen, quote.discount_fen, quote.total_fen),
            created_at=self._created_at,
            rng=self._rng,
        )
        hold_until = self._created_at + timedelta(minutes=visit.room.policy.hold_minutes)
        draft.values = {
            "policy": desk.policies[visit.room.room_id],
            "expires_at": None if is_desk else hold_until,
            "paid_at": self._created_at if is_desk else None,
        }
        draft.add_lines(quote.lines, dict(quote.rule_versions))
        draft.booking = self._make_booking(None if is_desk else hold_until)
        creator = self._clerk if is_desk else self._guest
        draft.record("create", creator, self._created_at, target=draft.status)
        return draft

    @property
    def _is_desk(self) -> bool:
        return self._visit.way is Way.DESK

    @property
    def _source(self) -> OrderSource:
        sources = {Way.DESK: OrderSource.REDEMPTION, Way.WALK_IN: OrderSource.COUNTER}
        return sources.get(self._visit.way, OrderSource.MINI_PROGRAM)

    def _make_booking(self, hold_until: datetime | None) -> dict[str, Any]:
        visit, busy = self._visit, busy_span(self._visit.room.policy, self._visit.span)
        return {
            "store_id": visit.room.store_id,
            "room_id": visit.room.room_id,
            "state": BookingState.IN_USE if self._is_desk else BookingState.HELD,
            "start_at": visit.span.start_at,
            "end_at": visit.span.end_at,
            "busy_from_at": busy.start_at,
            "busy_until_at": busy.end_at,
            "hold_expires_at": hold_until,
            "checked_in_at": self._created_at if self._is_desk else None,
            "created_at": self._created_at,
        }

    def _steps(self) -> list[Step]:
        if self._is_desk:
            return self._desk_steps()
        if self._visit.way is Way.WALK_IN:
            return self._walk_in_steps()
        return self._booked_steps()

    def _desk_steps(self) -> list[Step]:
        assert self._voucher is not None
        self._voucher.redeem(self._draft, self._clerk, self._created_at, self._rng)
        if self._rng.random() < 0.015:
            return [(self._created_at + self._rng.randrange(3, 20) * MINUTE, self._reverse)]
        return [self._ending(self._created_at)]

    def _reverse(self, at: datetime) -> None:
        assert self._voucher is not None
        reason = "顾客临时改期"
        self._voucher.reverse(self._draft, self._clerk, at, reason)
        self._draft.move("reverse", OrderStatus.CANCELLED, self._clerk, at, reason=reason, finished_at=at)
        self._draft.free_room()
        assert self._draft.booking is not None
        self._draft.booking["ended_at"] = at

    def _walk_in_steps(self) -> list[Step]:
        paid_at = self._created_at + timedelta(seconds=self._rng.randrange(25, 140))
        check_in_at = paid_at + timedelta(seconds=self._rng.randrange(10, 60))

        def pay(at: datetime) -> None:
            self._pay(at, PaymentChannel.WECHAT_NATIVE)
            if self._must_confirm:
                self._confirm(at)

        return [(paid_at, pay), (check_in_at, self._check_in_by_staff), self._ending(check_in_at)]

    def _booked_steps(self) -> list[Step]:
        fate = self._rng.choices(list(FATES), list(FATES.values()))[0]
        expires_at = self._draft.values["expires_at"]
        delay = timedelta(seconds=self._rng.randrange(25, 420))
        if self._draft.totals.total_fen and fate is Fate.EXPIRED:
            return [(expires_at + timedelta(seconds=self._rng.randrange(5, 55)), self._expire)]
        if self._draft.totals.total_fen and fate is Fate.CANCELLED_UNPAID:
            return [(self._created_at + delay, self._cancel)]
        # With nothing due the order is paid as it is made.
        paid_at = self._created_at + (delay if self._draft.totals.total_fen else timedelta(0))
        steps: list[Step] = []
        if delay > timedelta(seconds=300) and self._draft.totals.total_fen:
            steps.append((paid_at - MINUTE, self._draft.fail_payment))
        channel = self._rng.choices(ONLINE, ONLINE_WEIGHTS)[0]
        steps.append((paid_at, lambda at: self._pay(at, channel)))
        answered_at = paid_at
        if self._must_confirm:
            answered_at += timedelta(seconds=self._rng.randrange(60, 900))
            if fate is Fate.REFUSED:
                return [*steps, (answered_at, self._refuse)]
            steps.append((answered_at, self._confirm))
        return steps + self._later_steps(fate, answered_at)

    def _later_steps(self, fate: Fate, ready_at: datetime) -> list[Step]:
        start_at, rng = self._visit.span.start_at, self._rng
        share = rng.random()
        if fate is Fate.CANCELLED_EARLY and start_at - ready_at > timedelta(minutes=140):
            window = start_at - timedelta(minutes=125) - ready_at
            return [(ready_at + window * share, self._cancel)]
        if fate is Fate.CANCELLED_LATE:
            first = max(ready_at + MINUTE, start_at - timedelta(minutes=110))
            return [(first + (start_at - first) * share * 0.9, self._cancel)]
        if fate is Fate.CANCELLED_AFTER_START:
            return [(start_at + timedelta(minutes=5 + 30 * share), self._cancel)]
        if fate is Fate.NO_SHOW and self._voucher is None:
            return [(self._visit.span.end_at + timedelta(seconds=5 + 50 * share), self._miss)]
        check_in_at = max(ready_at + MINUTE, start_at + timedelta(minutes=-12 + 28 * share))
        return [(check_in_at, self._check_in), self._ending(check_in_at)]

    def _ending(self, check_in_at: datetime) -> Step:
        end_at, rng = self._visit.span.end_at, self._rng
        early_at = end_at - timedelta(minutes=rng.randrange(3, 35), seconds=rng.randrange(60))
        if rng.random() < 0.35 and early_at > check_in_at + 20 * MINUTE:
            return early_at, lambda at: self._finish("check_out", self._guest, at)
        return end_at + timedelta(seconds=rng.randrange(5, 55)), lambda at: self._finish("end", SYSTEM, at)

    def _pay(self, at: datetime, channel: PaymentChannel) -> None:
        draft = self._draft
        if draft.totals.total_fen:
            draft.pay(at, channel)
        elif self._voucher is not None:
            self._voucher.lock(draft)
        assert draft.booking is not None
        draft.booking |= {"state": BookingState.RESERVED, "hold_expires_at": None}
        deadline = timedelta(minutes=self._visit.room.policy.confirm_deadline_minutes)
        confirm_by_at = at + deadline if self._must_confirm else None
        values: dict[str, Any] = {"paid_at": at, "expires_at": None, "confirm_by_at": confirm_by_at}
        payer = PAYMENT_SERVICE if draft.totals.total_fen else self._guest
        draft.move("pay", OrderStatus.PAID, payer, at, **values)
        if not self._must_confirm:
            draft.move("confirm", OrderStatus.AWAITING_USE, SYSTEM, at)

    def _confirm(self, at: datetime) -> None:
        self._draft.move("confirm", OrderStatus.AWAITING_USE, self._clerk, at, confirm_by_at=None)

    def _check_in(self, at: datetime) -> None:
        self._let_in(self._guest, at)
        if self._voucher is not None:
            self._voucher.redeem_locked(self._draft, self._guest, at)

    def _check_in_by_staff(self, at: datetime) -> None:
        self._let_in(self._clerk, at)

    def _let_in(self, actor: Actor, at: datetime) -> None:
        assert self._draft.booking is not None
        self._draft.booking |= {"state": BookingState.IN_USE, "checked_in_at": at}
        self._draft.move("check_in", OrderStatus.IN_USE, actor, at)

    def _finish(self, event: str, actor: Actor, at: datetime) -> None:
        self._draft.move(event, OrderStatus.COMPLETED, actor, at, finished_at=at)
        self._end_booking(at)

    def _miss(self, at: datetime) -> None:
        self._draft.move("no_show", OrderStatus.COMPLETED, SYSTEM, at, finished_at=at)
        self._end_booking(at)

    def _end_booking(self, at: datetime) -> None:
        booking = self._draft.booking
        assert booking is not None
        booking |= {"state": BookingState.ENDED, "ended_at": at}
        left_at = floor_minute(at) + MINUTE
        if booking["start_at"] < left_at < booking["end_at"]:
            cleaning = timedelta(minutes=self._visit.room.policy.buffer_after_minutes)
            booking |= {"end_at": left_at, "busy_until_at": left_at + cleaning}

    def _expire(self, at: datetime) -> None:
        self._draft.free_room(BookingState.EXPIRED)
        self._draft.move("expire", OrderStatus.CANCELLED, SYSTEM, at, finished_at=at)

    def _cancel(self, at: datetime) -> None:
        draft, policy = self._draft, self._visit.room.policy
        preview = cancel_fee(policy.cancel_steps, draft.paid_fen, self._visit.span.start_at, at)
        reason = self._rng.choice(CANCEL_REASONS)
        if self._voucher is not None:
            self._voucher.unlock()
        self._leave("cancel", self._guest, at, preview.fee_fen, preview.refund_fen, reason)

    def _refuse(self, at: datetime) -> None:
        if self._voucher is not None:
            self._voucher.unlock()
        reason = self._rng.choice(REFUSALS)
        self._leave("refuse", self._clerk, at, 0, self._draft.paid_fen, reason)

    def _leave(
        self, event: str, actor: Actor, at: datetime, fee_fen: int, refund_fen: int, reason: str
    ) -> None:
        draft = self._draft
        draft.free_room()
        draft.move(
            event,
            OrderStatus.REFUNDING if refund_fen else OrderStatus.CANCELLED,
            actor,
            at,
            reason=reason,
            data={"fee_fen": fee_fen, "refund_fen": refund_fen},
            cancel_fee_fen=fee_fen,
            finished_at=at,
            expires_at=None,
            confirm_by_at=None,
        )
        if refund_fen:
            draft.refund(refund_fen, actor, at, self._desk.now, reason=reason or event)
