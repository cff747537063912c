"""Quotes: the same checks and the same price as a booking, without saving anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain import booking_rules as rules
from app.domain.actor import Actor
from app.domain.discounts import Buyer
from app.domain.errors import REFUSALS, DomainError, InvalidField, NotFound, OffStep, RuleRefused
from app.domain.pricing import Quote, QuoteLine
from app.domain.slots import Span, local_date, local_instant, span_of_minutes
from app.domain.states import VoucherStatus
from app.models import Voucher
from app.services import vouchers
from app.services.alternatives import Wish, explain
from app.services.price_books import buyer_of
from app.services.room_rules import RoomRules, load_occupancy
from app.services.store_config import StoreConfig, load_known_store, load_room_config


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """What somebody wants: a room from a start to an end, or for a session of the start's local day."""

    room_id: int
    start_at: datetime
    end_at: datetime | None = None
    session_id: int | None = None
    voucher_code: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A request that every rule accepts, with its price."""

    room: RoomRules
    span: Span
    quote: Quote
    session_id: int | None
    voucher: Voucher | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that the rules of its room accept, before anybody has looked who else is there."""

    config: StoreConfig
    room: RoomRules
    span: Span
    session_id: int | None
    voucher: Voucher | None

    @property
    def busy(self) -> Span:
        """What the booking would occupy, buffers included."""
        return rules.busy_span(self.room.policy, self.span)

    def check_place(self, *, actor: Actor | None, now: datetime) -> Offer:
        """Look whether the place is free and return the offer; raises Blocked, RoomTaken, NoPrice."""
        busy, blocks = load_occupancy([self.room.room_id], self.busy, now=now)[self.room.room_id]
        rules.check_place(self.room.policy, self.span, busy=busy, blocks=blocks)
        return self.priced(buyer_of(self.config.book, actor, now=now))

    def priced(self, buyer: Buyer) -> Offer:
        """Return the offer with its price for a customer; raises NoPrice."""
        quote = self.config.book.quote(
            self.room.priced_room,
            self.span,
            session_id=self.session_id,
            voucher=None if self.voucher is None else str(self.voucher.campaign),
            buyer=buyer,
        )
        return Offer(self.room, self.span, quote, self.session_id, self.voucher)


def quote_booking(request: BookingRequest, *, actor: Actor | None, now: datetime) -> dict[str, Any]:
    """Return the quote of a request; raises what `make_offer` raises, with alternatives."""
    config = load_room_config(request.room_id)
    try:
        offer = draft_offer(request, config, actor=actor, now=now).check_place(actor=actor, now=now)
    except REFUSALS as refusal:
        raise refuse(refusal, request, config, actor=actor, now=now) from None
    return describe_quote(offer)


def describe_quote(offer: Offer) -> dict[str, Any]:
    """Return a quote as the JSON interface shows it."""
    quote, policy = offer.quote, offer.room.policy
    return {
        "lines": [describe_line(line, offer.room) for line in quote.lines],
        "base_fen": quote.base_fen,
        "extra_fen": quote.extra_fen,
        "discount_fen": quote.discount_fen,
        "total_fen": quote.total_fen,
        "policy": describe_policy(policy),
        "warnings": [warning.code for warning in quote.warnings],
    }


def describe_line(line: QuoteLine, room: RoomRules) -> dict[str, Any]:
    """Return one line with its times in the store's zone."""
    values = asdict(line) | {"kind": line.kind.value}
    for name in ("start_at", "end_at"):
        values[name] = values[name] and values[name].astimezone(room.tz)
    return values


def describe_policy(policy: rules.BookingPolicy) -> dict[str, Any]:
    """Return the part of a policy that customers are shown and orders freeze."""
    return dict(_described(policy))


@lru_cache(maxsize=256)
def _described(policy: rules.BookingPolicy) -> dict[str, Any]:
    """Taken apart once: every order of a room freezes the same policy until somebody changes it."""
    values = asdict(policy)
    for name in ("cancel_steps", "change_steps"):
        values[name] = list(values[name])
    return values


def make_offer(
    request: BookingRequest,
    room: RoomRules,
    *,
    actor: Actor | None,
    now: datetime,
    is_walk_in: bool = False,
) -> Offer:
    """Check a request against every rule but the customer's limits, and price it.

    Raises what `draft_offer` raises, Blocked, RoomTaken and NoPrice.
    """
    config = load_room_config(room.room_id)
    draft = draft_offer(request, config, actor=actor, now=now, is_walk_in=is_walk_in)
    return draft.check_place(actor=actor, now=now)


def draft_offer(
    request: BookingRequest,
    config: StoreConfig,
    *,
    actor: Actor | None,
    now: datetime,
    is_walk_in: bool = False,
) -> Draft:
    """Check a request against the rules of its room, before anybody looks who else is there.

    Raises the refusals of `booking_rules.check_span`, those of vouchers, NotFound for a session or voucher
    that is not there, InvalidField for an end that contradicts the session.
    """
    room = config.room(request.room_id)
    span = requested_span(request, config)
    voucher = _voucher_of(request, room, span, actor=actor, now=now)
    rules.check_span(
        room.policy,
        span,
        opening=room.opening,
        now=now,
        tz=room.tz,
        is_walk_in=is_walk_in,
        is_session=request.session_id is not None,
        is_voucher=voucher is not None,
    )
    return Draft(config, room, span, request.session_id, voucher)


def _voucher_of(
    request: BookingRequest, room: RoomRules, span: Span, *, actor: Actor | None, now: datetime
) -> Voucher | None:
    if request.voucher_code is None:
        return None
    if actor is None or actor.id is None:
        # Without a login nobody owns the voucher, and guessing codes must not tell anything.
        raise NotFound()
    return vouchers.check_for_booking(
        request.voucher_code, customer_id=actor.id, room=room, span=span, now=now
    )


def requested_span(request: BookingRequest, config: StoreConfig) -> Span:
    """Return the span asked for; a session is found by the local day of the start."""
    if request.session_id is None:
        if request.end_at is None:
            raise InvalidField.of("end_at", _l("Choose an end or a session."))
        return Span(request.start_at, request.end_at)
    span = _session_span(request, config)
    if request.end_at is not None and request.end_at != span.end_at:
        raise InvalidField.of("end_at", _l("The end does not fit the session."))
    return span


def _session_span(request: BookingRequest, config: StoreConfig) -> Span:
    offered = config.session(request.session_id or 0)
    if offered is None:
        raise InvalidField.of("session_id", _l("This session does not exist here."))
    start_at = local_instant(local_date(request.start_at, config.tz), offered.start_minute, config.tz)
    if start_at != request.start_at:
        raise OffStep(data={"rule": "session", "limit": start_at.astimezone(config.tz).isoformat()})
    return span_of_minutes(start_at, offered.length_minutes)


def with_alternatives(
    refusal: DomainError,
    request: BookingRequest,
    room: RoomRules,
    *,
    actor: Actor | None = None,
    now: datetime,
) -> DomainError:
    """Add the nearest places that are free instead: up to three, each with the price for the actor."""
    return refuse(refusal, request, load_known_store(room.store_id), actor=actor, now=now)


def refuse(
    refusal: DomainError,
    request: BookingRequest,
    config: StoreConfig,
    *,
    actor: Actor | None,
    now: datetime,
) -> DomainError:
    """As `with_alternatives`, for who has the store's configuration. Never to be called under a lock."""
    room = config.known_by_id[request.room_id]
    wish = Wish(
        room,
        _wanted_span(request, room, config),
        actor,
        session_id=request.session_id,
        voucher=_usable_voucher(request, actor),
        config=config,
    )
    return explain(refusal, wish, now=now)


def _wanted_span(request: BookingRequest, room: RoomRules, config: StoreConfig) -> Span:
    try:
        return requested_span(request, config)
    except (InvalidField, RuleRefused):
        # A session at another time: its day is what matters.
        return span_of_minutes(request.start_at, room.policy.min_minutes)


def _usable_voucher(request: BookingRequest, actor: Actor | None) -> Voucher | None:
    """Return the voucher of a request while it can still be used by the one who asks."""
    voucher = vouchers.find_by_code(request.voucher_code) if request.voucher_code else None
    if voucher is None or actor is None or voucher.customer_id != actor.id:
        return None
    return voucher if voucher.status is VoucherStatus.ISSUED else None
