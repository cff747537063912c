"""The nearest places that a refused request could have instead, each one that would really be accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from app.domain import booking_rules as rules
from app.domain.actor import Actor
from app.domain.alternatives import MOST, NEARBY, Alternative, FreeRoom, alternatives, nearby_window
from app.domain.discounts import Buyer
from app.domain.errors import DomainError
from app.domain.price_rules import PriceRule
from app.domain.slots import Span, local_date, local_dates, local_instant, span_of_minutes
from app.domain.voucher_rules import check_use
from app.models import Voucher
from app.services import vouchers
from app.services.painting import FreeTime
from app.services.price_books import buyer_of
from app.services.room_rules import RoomRules
from app.services.store_config import SessionTime, StoreConfig, load_known_store

Price = Callable[[RoomRules, Span, Voucher | None], int]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was refused, and what a place instead of it has to fit.

    A voucher asks for its rooms, days and length, a session for its own times. `order_id` is an order that
    would move: what it occupies counts as free. `price` replaces the price of a booking, in fen; a place for
    which it raises a refusal is none. `avoided_at` is an instant on whose local day nothing more is allowed.
    """

    room: RoomRules
    span: Span
    actor: Actor | None = None
    session_id: int | None = None
    voucher: Voucher | None = None
    order_id: int | None = None
    price: Price | None = None
    avoided_at: datetime | None = None
    config: StoreConfig | None = None


def explain(refusal: DomainError, wish: Wish, *, now: datetime) -> DomainError:
    """Complete what a refusal says: the rule, its limit and the places that are free instead."""
    data = {"rule": refusal.code, "limit": None} | (refusal.data or {})
    if data["rule"] == "max_bookings_per_day":
        wish = replace(wish, avoided_at=wish.span.start_at)
    refusal.data = data | {"alternatives": find_alternatives(wish, now=now)}
    return refusal


def find_alternatives(wish: Wish, *, now: datetime) -> list[dict[str, Any]]:
    """Return up to three `{room_id, start_at, end_at, total_fen, session_id}`, the most fitting first.

    Places for the voucher or the session of the wish come alone; where they have none, ordinary places that
    are paid by the hour are offered.
    """
    config = wish.config or load_known_store(wish.room.store_id)
    if not config.rooms:
        return []
    market = _open_market(wish, config, now=now)
    found = market.search()
    if not found and wish.avoided_at is not None:
        market.wish = replace(wish, avoided_at=None)
        found = market.search()
    return [market.describe(offer) for offer in found]


def _open_market(wish: Wish, config: StoreConfig, *, now: datetime) -> _Market:
    """Load what every place near the wish is checked against, once."""
    rooms, book = config.rooms, config.book
    window = nearby_window(wish.room.policy, wish.span, now=now, tz=wish.room.tz)
    return _Market(
        wish=wish,
        config=config,
        rooms={room.room_id: room for room in rooms},
        window=window,
        free=FreeTime(rooms, window, now=now, except_order_id=wish.order_id),
        buyer=buyer_of(book, wish.actor, now=now, except_order_id=wish.order_id),
        now=now,
    )


@dataclass
class _Market:
    """The store around a refused wish; `totals` keeps what accepted places cost."""

    wish: Wish
    config: StoreConfig
    rooms: dict[int, RoomRules]
    window: Span
    free: FreeTime
    buyer: Buyer
    now: datetime
    totals: dict[Alternative, int] = field(default_factory=dict)
    session_id: int | None = None
    voucher: Voucher | None = None

    def search(self) -> list[Alternative]:
        """Return the places to offer."""
        return self.for_voucher() or self.for_session() or self.by_the_hour()

    def for_voucher(self) -> list[Alternative]:
        """Return places where the voucher of the wish is good."""
        self.voucher = self.wish.voucher
        if self.voucher is None:
            return []
        lengths = (vouchers.voucher_terms(self.voucher).minutes,)
        found = self._nearest([self._free_room(room, lengths) for room in self.rooms.values()])
        if not found:
            self.voucher = None
        return found

    def for_session(self) -> list[Alternative]:
        """Return other days and rooms of the session of the wish."""
        offered = self.config.session(self.wish.session_id or 0)
        if offered is None:
            return []
        self.session_id = offered.id
        places = sorted(self._session_places(offered), key=self._nearness)
        found = [place for place in places if place != self._refused and self._accepts(place)][:MOST]
        if not found:
            self.session_id = None
        return found

    def by_the_hour(self) -> list[Alternative]:
        """Return ordinary places, also of the length of a package where that alone has a price."""
        free = [self._free_room(room, self._lengths(room)) for room in self.rooms.values()]
        return self._nearest([room for room in free if self._is_priced(room)])

    def describe(self, offer: Alternative) -> dict[str, Any]:
        """Return an accepted place as refusals carry it."""
        tz = self.rooms[offer.room_id].tz
        return {
            "room_id": str(offer.room_id),
            "start_at": offer.span.start_at.astimezone(tz).isoformat(),
            "end_at": offer.span.end_at.astimezone(tz).isoformat(),
            "total_fen": self.totals[offer],
            "session_id": None if self.session_id is None else str(self.session_id),
        }

    @property
    def _refused(self) -> Alternative:
        return Alternative(self.wish.room.room_id, self.wish.span)

    def _nearest(self, rooms: Sequence[FreeRoom]) -> list[Alternative]:
        wish = self.wish
        return alternatives(wish.span, wish.room.room_id, rooms, wish.room.tz, accepts=self._accepts)

    def _free_room(self, room: RoomRules, lengths: Sequence[int]) -> FreeRoom:
        return FreeRoom(room.room_id, room.policy, partial(self.free.of, room), tuple(lengths))

    def _lengths(self, room: RoomRules) -> list[int]:
        """The wished length, those of packages that the policy allows, and the shortest."""
        policy, wanted = room.policy, self.wish.span.minutes
        packages = {rule.package_minutes or 0 for rule in self._rules(room) if rule.kind == "package"}
        allowed = {minutes for minutes in packages if policy.fit_length(minutes) == minutes}
        nearest = sorted(allowed, key=lambda minutes: (abs(minutes - wanted), minutes))
        return [policy.fit_length(wanted), *nearest, policy.min_minutes]

    def _rules(self, room: RoomRules) -> Iterator[PriceRule]:
        return (rule for rule in self.config.book.rules if rule.applies_to(room.priced_room))

    def _is_priced(self, free: FreeRoom) -> bool:
        """Nothing is tried in a room that is sold by sessions alone."""
        return any(rule.kind != "session" for rule in self._rules(self.rooms[free.room_id]))

    def _session_places(self, offered: SessionTime) -> Iterator[Alternative]:
        for room in self.rooms.values():
            for on in local_dates(self.window, room.tz):
                start_at = local_instant(on, offered.start_minute, room.tz)
                if start_at - self.window.start_at <= 2 * NEARBY:
                    yield Alternative(room.room_id, span_of_minutes(start_at, offered.length_minutes))

    def _nearness(self, place: Alternative) -> tuple[Any, bool]:
        is_elsewhere = place.room_id != self.wish.room.room_id
        return abs(place.span.start_at - self.wish.span.start_at), is_elsewhere

    def _accepts(self, place: Alternative) -> bool:
        room, span = self.rooms[place.room_id], place.span
        avoided = self.wish.avoided_at
        if avoided and local_date(avoided, room.tz) == local_date(span.start_at, room.tz):
            return False
        try:
            self._check(room, span)
            self.totals[place] = self._price(room, span)
        except DomainError:
            return False
        return True

    def _check(self, room: RoomRules, span: Span) -> None:
        if self.voucher is not None:
            terms, place = vouchers.voucher_terms(self.voucher), vouchers.voucher_room(room)
            check_use(terms, place, span, now=self.now, tz=room.tz)
        rules.check_span(
            room.policy,
            span,
            opening=room.opening,
            now=self.now,
            tz=room.tz,
            is_session=self.session_id is not None,
            is_voucher=self.voucher is not None,
        )
        busy, blocks = self.free.occupied(room)
        rules.check_place(room.policy, span, busy=busy, blocks=blocks)

    def _price(self, room: RoomRules, span: Span) -> int:
        if self.wish.price is not None:
            return self.wish.price(room, span, self.voucher)
        return self.config.book.quote(
            room.priced_room,
            span,
            session_id=self.session_id,
            voucher=None if self.voucher is None else str(self.voucher.campaign),
            buyer=self.buyer,
        ).total_fen
