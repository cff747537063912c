"""What decides about a new booking, read in one statement once its customer and its room are locked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)

from app.domain.booking_rules import BlockSpan, BusySpan
from app.domain.discounts import Buyer, segments_of
from app.domain.errors import NotFound
from app.domain.slots import Span, local_date, local_day
from app.domain.states import OCCUPYING_STATES, BookingState
from app.models import Booking, Customer, IdempotencyKey, Order, Room, RoomBlock, Store
from app.models.types import UtcDateTime
from app.services.idempotency import SCOPE, KeyedRequest
from app.services.inserts import next_id
from app.services.notice_drafts import NoticeFacts, parse_templates, reaches_wechat, templates_of
from app.services.price_books import earlier_orders
from app.services.quotes import Draft, Offer
from app.services.unit_of_work import dialect_name, session

CREATED = "order_created"
_BOOKINGS, _BLOCKS, _ORDERS, _KEYS = (
    model.__table__ for model in (Booking, RoomBlock, Order, IdempotencyKey)
)
_CUSTOMERS, _ROOMS, _STORES = Customer.__table__, Room.__table__, Store.__table__


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true under the locks; the fields are the columns of the statement, in their order.

    `next_*` are the first booking of the room that ends after the wanted one begins, buffers counted:
    bookings of a room are disjoint, so no other can be in the way when this one is not. `block_*` are a
    blocked period that overlaps the guests' time. `kept_*` are what the key of the request holds already.
    """

    order_id: int
    config_version: int
    is_blacklisted: bool
    segment: str | None
    language: str
    has_wechat: bool
    templates: str | None
    has_ordered: bool
    open_holds: int
    bookings_that_day: int
    next_state: BookingState | None
    next_from_at: datetime
    next_until_at: datetime
    next_expires_at: datetime | None
    block_from_at: datetime | None
    block_until_at: datetime
    kept_at: datetime | None
    body_hash: str
    response_status: int | None
    response_body: bytes

    @property
    def buyer(self) -> Buyer:
        """The customer as discounts know them."""
        return Buyer(is_first_order=not self.has_ordered, segments=segments_of(self.segment))

    def busy(self) -> list[BusySpan]:
        """Return the booking that may be in the way."""
        if self.next_state is None:
            return []
        span = Span(self.next_from_at, self.next_until_at)
        return [BusySpan(span, span, self.next_state.value)]

    def blocks(self) -> list[BlockSpan]:
        """Return the blocked period that is in the way."""
        return (
            [] if self.block_from_at is None else [BlockSpan(Span(self.block_from_at, self.block_until_at))]
        )

    def for_notices(self, offer: Offer) -> NoticeFacts:
        """Return what the notices about a new order need."""
        room, span = offer.room, offer.span
        return NoticeFacts(
            language=self.language,
            has_wechat=self.has_wechat,
            store=room.store_name,
            time_zone=room.tz.key,
            campaign=None,
            room=room.room_name,
            start_at=span.start_at,
            end_at=span.end_at,
            templates=parse_templates(self.templates),
        )

    def is_stale_hold_in_way(self, busy: Span, *, now: datetime) -> bool:
        """Tell whether a hold that has run out keeps the place; once it is let go all is read anew."""
        expires_at = self.next_expires_at
        has_run_out = self.next_state is BookingState.HELD and expires_at is not None and expires_at <= now
        return has_run_out and self.next_from_at < busy.end_at


def read_facts(draft: Draft, customer_id: int | None, key: KeyedRequest | None, *, now: datetime) -> Facts:
    """Read what decides about a draft for a customer, and what its key holds; raises NotFound."""
    day = local_day(local_date(draft.span.start_at, draft.room.tz), draft.room.tz)
    values = {
        "customer": customer_id,
        "room": draft.room.room_id,
        "start": draft.span.start_at,
        "end": draft.span.end_at,
        "busy_from": draft.busy.start_at,
        "day_start": day.start_at,
        "day_end": day.end_at,
        "now": now,
        "asks_orders": draft.config.book.has_first_order_discount,
        **{name: getattr(key, name, None) for name in SCOPE},
    }
    row = session().connection().execute(_statement(dialect_name()), values).one_or_none()
    if row is None:
        raise NotFound()
    return Facts(*row)


def _text(name: str) -> Any:
    return bindparam(name, type_=String)


def _number(name: str) -> Any:
    return bindparam(name, type_=Integer)


def _at(name: str) -> Any:
    return bindparam(name, type_=UtcDateTime)


def _word(value: str) -> Any:
    """A word of ours, written into the statement: planners match partial indexes by what they can read."""
    return literal_column(f"'{value}'")


_IS_OCCUPYING = _BOOKINGS.c.state.in_([_word(state.value) for state in OCCUPYING_STATES])
_IS_HELD = _BOOKINGS.c.state == _word(BookingState.HELD.value)


@cache
def _statement(dialect: str) -> Select[Any]:
    """Made once for each engine: building it costs more than the database takes to answer."""
    upcoming, block, mine = _next_booking(), _block(), _counts()
    has_ordered = earlier_orders(_number("customer"), _at("now")).exists()
    version = (
        select(_STORES.c.config_version)
        .join(_ROOMS, _ROOMS.c.store_id == _STORES.c.id)
        .where(_ROOMS.c.id == _number("room"))
    )
    columns = (
        next_id(_ORDERS, dialect).scalar_subquery(),
        version.scalar_subquery(),
        _CUSTOMERS.c.is_blacklisted,
        _CUSTOMERS.c.segment,
        _CUSTOMERS.c.language,
        reaches_wechat(_CUSTOMERS.c.id),
        templates_of(_word(CREATED), _CUSTOMERS.c.language, dialect),
        case((bindparam("asks_orders"), has_ordered), else_=false()),
        *mine.c,
        *upcoming.c,
        *block.c,
        _KEYS.c.created_at,
        _KEYS.c.body_hash,
        _KEYS.c.response_status,
        _KEYS.c.response_body,
    )
    is_key = and_(*(_KEYS.c[name] == _text(name) for name in SCOPE))
    source = _CUSTOMERS.join(mine, true()).outerjoin(upcoming, true()).outerjoin(block, true())
    return (
        select(*columns)
        .select_from(source.outerjoin(_KEYS, is_key))
        .where(_CUSTOMERS.c.id == _number("customer"))
    )


def _next_booking() -> Any:
    """One step in the index of what occupies the room."""
    return (
        select(
            _BOOKINGS.c.state,
            _BOOKINGS.c.busy_from_at,
            _BOOKINGS.c.busy_until_at,
            _BOOKINGS.c.hold_expires_at,
        )
        .where(
            _BOOKINGS.c.room_id == _number("room"),
            _IS_OCCUPYING,
            _BOOKINGS.c.busy_until_at > _at("busy_from"),
        )
        .order_by(_BOOKINGS.c.busy_until_at)
        .limit(literal_column("1"))
        .subquery("upcoming")
    )


def _block() -> Any:
    return (
        select(_BLOCKS.c.start_at, _BLOCKS.c.end_at)
        .where(
            _BLOCKS.c.room_id == _number("room"),
            _BLOCKS.c.end_at > _at("start"),
            _BLOCKS.c.start_at < _at("end"),
        )
        .order_by(_BLOCKS.c.start_at)
        .limit(literal_column("1"))
        .subquery("block")
    )


def _counts() -> Any:
    """The customer's open holds, and the bookings of the day; a hold that has run out is neither."""
    is_on_day = and_(_BOOKINGS.c.start_at >= _at("day_start"), _BOOKINGS.c.start_at < _at("day_end"))
    return (
        select(func.count().filter(_IS_HELD), func.count().filter(is_on_day))
        .select_from(_BOOKINGS.join(_ORDERS, _ORDERS.c.id == _BOOKINGS.c.order_id))
        .where(
            _ORDERS.c.customer_id == _number("customer"),
            _BOOKINGS.c.change_id.is_(None),
            _IS_OCCUPYING,
            or_(~_IS_HELD, _BOOKINGS.c.hold_expires_at > _at("now")),
        )
        .subquery("mine")
    )
