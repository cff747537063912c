"""Trying a date: the price of any time in any room with the reasons, before anybody is charged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.domain.actor import Actor
from app.domain.booking_rules import BookingPolicy as PolicyRules
from app.domain.calendar import is_year_known
from app.domain.errors import InvalidField, NotFound
from app.domain.price_books import PriceBook
from app.domain.price_rules import PriceRule
from app.domain.price_trials import (
    Contender,
    DiscountOffer,
    GridHour,
    PriceTrial,
    TrialDay,
    TrialPiece,
    explain_day,
    explain_span,
    grid_of_prices,
)
from app.domain.slots import Span, dates_between, local_date, local_instant, span_of_minutes
from app.models import BookingPolicy, BookingSession, Room, Store
from app.models import DiscountRule as DiscountRow
from app.models import PriceRule as PriceRuleRow
from app.services.orders import DEFAULT_ZONE
from app.services.price_books import load_own_days, read_price_book
from app.services.quotes import describe_line
from app.services.room_rules import RoomRules
from app.services.store_config import load_room
from app.services.unit_of_work import session

MAX_DAYS = 7
GRID_DAYS = 7
FIRST_YEAR, LAST_YEAR = 2000, 2999


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: a room from a start to an end, or for a session on the start's local day.

    With drafts the inactive price and discount rules of the store count as well, as if they were switched on.
    """

    room_id: int
    start_at: datetime
    end_at: datetime | None = None
    session_id: int | None = None
    with_drafts: bool = False


@dataclass(frozen=True, slots=True)
class _Drafts:
    """The rules that only count because drafts were asked for."""

    price_ids: frozenset[int] = frozenset()
    discount_ids: frozenset[int] = frozenset()


def explain(trial: Trial, *, actor: Actor) -> dict[str, Any]:
    """Return pieces with contenders and reasons, days, gaps, ties, discounts and the resulting quote.

    `quote` is None where a piece has no rule. Whether the room is free, open or bookable plays no part.
    Raises NotFound outside the actor's stores, InvalidField for a time that cannot be priced.
    """
    room = find_room(trial.room_id, actor=actor)
    span = tried_span(trial, room)
    book = read_price_book(room.store_id, with_drafts=trial.with_drafts)
    own_days = load_own_days(room.store_id)
    found = explain_span(room.priced_room, span, book, session_id=trial.session_id, own_days=own_days)
    return _describe(found, room, span, _drafts(room.store_id) if trial.with_drafts else _Drafts())


def price_grid(room_id: int, first_on: date, *, with_drafts: bool = False, actor: Actor) -> dict[str, Any]:
    """Return `{first_on, days, hours, rules}`: the hourly rules that win in each hour of seven days.

    `days` tell what each date counts as, `rules` are those that win somewhere and the week's flat prices.

    Raises NotFound outside the actor's stores, InvalidField for a week that is too far away.
    """
    room = find_room(room_id, actor=actor)
    if not FIRST_YEAR <= first_on.year <= LAST_YEAR:
        raise InvalidField.of("week_on", _l("This time is out of range."))
    book = read_price_book(room.store_id, with_drafts=with_drafts)
    drafts = _drafts(room.store_id) if with_drafts else _Drafts()
    hours = grid_of_prices(room.priced_room, book, first_on=first_on, days=GRID_DAYS)
    own_days = load_own_days(room.store_id)
    shown = {rule for hour in hours for rule in hour.winners if rule is not None}
    shown |= {rule for rule in _flat_rules(book, room) if _is_sold_within(rule, book, first_on)}
    return {
        "first_on": first_on,
        "days": [_day(explain_day(on, book.calendar, own_days)) for on in _week(first_on)],
        "hours": [_hour(hour) for hour in hours],
        "rules": [_rule(rule, drafts) for rule in sorted(shown, key=lambda rule: (rule.kind, rule.rank))],
    }


def find_room(room_id: int, *, actor: Actor) -> RoomRules:
    """Return a room in the actor's stores; raises NotFound."""
    room = load_room(room_id)
    if not actor.scope.allows(room.store_id):
        raise NotFound()
    return room


def list_choices(*, actor: Actor) -> list[dict[str, Any]]:
    """Return `{id, name, rooms, sessions}` of every store that the actor works in."""
    stores = select(Store.id, Store.name).where(Store.is_active).order_by(Store.id)
    if not actor.scope.is_all:
        stores = stores.where(Store.id.in_(actor.scope.store_ids))
    found = {row.id: {"id": row.id, "name": row.name} for row in session().execute(stores)}
    for store in found.values():
        store |= {"rooms": [], "sessions": []}
    rooms = select(Room.store_id, Room.id, Room.name).where(Room.is_active).order_by(Room.position, Room.id)
    sessions = (
        select(BookingSession.store_id, BookingSession.id, BookingSession.name)
        .where(BookingSession.is_active)
        .order_by(BookingSession.start_minute, BookingSession.id)
    )
    for name, query in (("rooms", rooms), ("sessions", sessions)):
        for row in session().execute(query):
            if row.store_id in found:
                found[row.store_id][name].append({"id": row.id, "name": row.name})
    return list(found.values())


def list_unknown_years(*, now: datetime) -> list[int]:
    """Return the years without published holidays that customers can already book in."""
    furthest = session().scalar(select(func.max(BookingPolicy.max_ahead_days)))
    ahead = furthest or PolicyRules().max_ahead_days
    first_on = local_date(now, DEFAULT_ZONE)
    dates = dates_between(first_on, first_on + timedelta(days=ahead))
    return sorted({on.year for on in dates if not is_year_known(on.year)})


def tried_span(trial: Trial, room: RoomRules) -> Span:
    """Return the time that is tried; a session begins at its own time of the start's local day."""
    if trial.session_id is not None:
        return _session_span(trial, room)
    if trial.end_at is None:
        raise InvalidField.of("end_at", _l("Choose an end or a session."))
    span = Span(trial.start_at, trial.end_at)
    if span.end_at - span.start_at > timedelta(days=MAX_DAYS):
        raise InvalidField.of("end_at", _l("At most seven days can be tried at once."))
    if not span.is_whole_minutes:
        raise InvalidField.of("start_at", _l("Times must be full minutes."))
    return span


def _session_span(trial: Trial, room: RoomRules) -> Span:
    row = (
        session()
        .execute(
            select(BookingSession.start_minute, BookingSession.length_minutes).where(
                BookingSession.id == trial.session_id, BookingSession.store_id == room.store_id
            )
        )
        .one_or_none()
    )
    if row is None:
        raise InvalidField.of("session_id", _l("This session does not exist here."))
    start_at = local_instant(local_date(trial.start_at, room.tz), row.start_minute, room.tz)
    return span_of_minutes(start_at, row.length_minutes)


def _drafts(store_id: int) -> _Drafts:
    prices = select(PriceRuleRow.id).where(PriceRuleRow.store_id == store_id, ~PriceRuleRow.is_active)
    discounts = select(DiscountRow.id).where(~DiscountRow.is_active)
    return _Drafts(frozenset(session().scalars(prices)), frozenset(session().scalars(discounts)))


def _flat_rules(book: PriceBook, room: RoomRules) -> list[PriceRule]:
    return [rule for rule in book.rules if rule.kind != "hourly" and rule.applies_to(room.priced_room)]


def _is_sold_within(rule: PriceRule, book: PriceBook, first_on: date) -> bool:
    return any(rule.counts_on(on, book.calendar) for on in _week(first_on))


def _week(first_on: date) -> list[date]:
    return list(dates_between(first_on, first_on + timedelta(days=GRID_DAYS - 1)))


def _describe(found: PriceTrial, room: RoomRules, span: Span, drafts: _Drafts) -> dict[str, Any]:
    return {
        "store": {"id": room.store_id, "name": room.store_name},
        "room": {"id": room.room_id, "name": room.room_name, "room_type": room.room_type},
        "start_at": span.start_at.astimezone(room.tz),
        "end_at": span.end_at.astimezone(room.tz),
        "minutes": span.minutes,
        "pieces": [_piece(piece, room, drafts) for piece in found.pieces],
        "days": [_day(day) for day in found.days],
        "discounts": [_discount(offer, drafts) for offer in found.discounts],
        "warnings": _warnings(found, room),
        "quote": _quote(found, room),
    }


def _piece(piece: TrialPiece, room: RoomRules, drafts: _Drafts) -> dict[str, Any]:
    return {
        "start_at": piece.span.start_at.astimezone(room.tz),
        "end_at": piece.span.end_at.astimezone(room.tz),
        "minutes": piece.span.minutes,
        "on": piece.on,
        "because": piece.because and piece.because.value,
        "is_gap": piece.winner is None,
        "is_tie": piece.is_tie,
        "contenders": [_contender(contender, drafts) for contender in piece.contenders],
    }


def _contender(contender: Contender, drafts: _Drafts) -> dict[str, Any]:
    lost_by = contender.lost_by and contender.lost_by.value
    return _rule(contender.rule, drafts) | {"band_on": contender.band_on, "lost_by": lost_by}


def _rule(rule: PriceRule, drafts: _Drafts) -> dict[str, Any]:
    return {
        "rule_id": rule.id,
        "name": rule.name,
        "kind": rule.kind,
        "scope": rule.scope,
        "day_kind": rule.day_kind,
        "band": [rule.band_start_minute, rule.band_end_minute],
        "priority": rule.priority,
        "amount_fen": rule.amount_fen,
        "package_minutes": rule.package_minutes,
        "version": rule.version,
        "is_draft": rule.id in drafts.price_ids,
    }


def _day(day: TrialDay) -> dict[str, Any]:
    return {"on": day.on, "kind": day.kind.value, "source": day.source.value, "label": day.label}


def _discount(offer: DiscountOffer, drafts: _Drafts) -> dict[str, Any]:
    rule = offer.rule
    return {
        "rule_id": rule.id,
        "name": rule.name,
        "off_percent": rule.off_percent,
        "off_fen": offer.off_fen,
        "first_order_only": rule.first_order_only,
        "segment": rule.segment,
        "is_used": offer.is_used,
        "is_draft": rule.id in drafts.discount_ids,
    }


def _warnings(found: PriceTrial, room: RoomRules) -> list[dict[str, Any]]:
    return [
        *({"code": "gap"} | _times(piece, room) for piece in found.gaps),
        *(
            {"code": "tie", "names": [each.rule.name for each in _tied(piece)]} | _times(piece, room)
            for piece in found.ties
        ),
        *({"code": "holidays_unknown", "year": year} for year in found.unknown_years),
    ]


def _tied(piece: TrialPiece) -> list[Contender]:
    return [each for each in piece.contenders if each.lost_by in (None, "age")]


def _times(piece: TrialPiece, room: RoomRules) -> dict[str, Any]:
    times = {"start_at": piece.span.start_at, "end_at": piece.span.end_at}
    return {name: at.astimezone(room.tz) for name, at in times.items()}


def _quote(found: PriceTrial, room: RoomRules) -> dict[str, Any] | None:
    quote = found.quote
    if quote is None:
        return None
    return {
        "lines": [describe_line(line, room) for line in quote.lines],
        "base_fen": quote.base_fen,
        "extra_fen": quote.extra_fen,
        "discount_fen": quote.discount_fen,
        "total_fen": quote.total_fen,
        "warnings": [warning.code for warning in quote.warnings],
    }


def _hour(hour: GridHour) -> dict[str, Any]:
    winners = [
        rule and {"rule_id": rule.id, "name": rule.name, "amount_fen": rule.amount_fen}
        for rule in hour.winners
    ]
    return {"on": hour.on, "hour": hour.hour, "winners": winners}
