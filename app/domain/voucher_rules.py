"""Where, when and for how long a voucher may be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from app.domain.errors import (
    InvalidField,
    RuleRefused,
    VoucherExpired,
    VoucherLength,
    VoucherNotHere,
    VoucherNotNow,
)
from app.domain.slots import DAY_MINUTES, Span, dates_between, local_date, local_instant, merge

CLOCK_PATTERN = re.compile(r"[0-9]{1,2}:[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class UsableBand:
    """A stretch of the local day, minutes from midnight; an end up to the start lies on the next day."""

    start_minute: int
    end_minute: int

    @property
    def length_minutes(self) -> int:
        """The length: 1 to 1440 minutes, equal ends are a whole day."""
        return (self.end_minute - self.start_minute) % DAY_MINUTES or DAY_MINUTES

    @classmethod
    def of(cls, start: str, end: str) -> UsableBand:
        """Return the band between two clock times such as ``10:00`` and ``24:00``; raises InvalidField."""
        return cls(_minute_of(start), _minute_of(end))

    def as_data(self) -> dict[str, str]:
        """Return the band as it is stored and shown: clock times under `start` and `end`."""
        return {"start": _clock_of(self.start_minute), "end": _clock_of(self.end_minute)}


def _minute_of(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    if CLOCK_PATTERN.fullmatch(clock) is None or int(hour) * 60 + int(minute) > DAY_MINUTES:
        raise InvalidField.of("bands", _l("Write times as 10:00."))
    return int(hour) * 60 + int(minute)


def _clock_of(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class VoucherRoom:
    """What the terms of a voucher look at in a room."""

    id: int
    store_id: int
    room_type_id: int | None


@dataclass(frozen=True, slots=True)
class VoucherTerms:
    """The terms under which a voucher was sold, frozen at the sale; an empty tuple does not restrict.

    `weekdays` count 0 Monday … 6 Sunday. A room fits when its id is listed or its type is. Days and bands are
    those of the local day on which the use starts, or on which the band starts that covers it.
    """

    minutes: int
    valid_from_at: datetime
    valid_until_at: datetime
    people: int | None = None
    room_type_ids: tuple[int, ...] = ()
    room_ids: tuple[int, ...] = ()
    store_ids: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    bands: tuple[UsableBand, ...] = ()
    excluded_on: tuple[date, ...] = ()


RoomT = TypeVar("RoomT", bound=VoucherRoom)


def terms_of(data: Mapping[str, Any], *, valid_from_at: datetime, valid_until_at: datetime) -> VoucherTerms:
    """Return the terms that a voucher row keeps as JSON; everything but `minutes` may be missing.

    Keys are the fields of VoucherTerms; bands are ``[{"start": "10:00", "end": "18:00"}]``, excluded dates
    ISO dates.
    """
    return VoucherTerms(
        minutes=data["minutes"],
        valid_from_at=valid_from_at,
        valid_until_at=valid_until_at,
        people=data.get("people"),
        room_type_ids=tuple(data.get("room_type_ids") or ()),
        room_ids=tuple(data.get("room_ids") or ()),
        store_ids=tuple(data.get("store_ids") or ()),
        weekdays=tuple(data.get("weekdays") or ()),
        bands=tuple(UsableBand.of(band["start"], band["end"]) for band in data.get("bands") or ()),
        excluded_on=tuple(date.fromisoformat(day) for day in data.get("excluded_on") or ()),
    )


def check_use(terms: VoucherTerms, room: VoucherRoom, span: Span, *, now: datetime, tz: ZoneInfo) -> None:
    """Refuse a use that the terms do not allow; the first refusal in this order wins.

    VoucherExpired (the validity is over now, or will be when the use starts), VoucherNotHere (store or room),
    VoucherLength (the span is not the package's minutes), VoucherNotNow (not valid yet, weekday, excluded
    day, or not wholly inside the usable bands). `data` names the `rule` (a field of the terms) and `limit`.
    """
    if max(now, span.start_at) >= terms.valid_until_at:
        raise _refusal(VoucherExpired, "valid_until_at", terms.valid_until_at.isoformat())
    check_room(terms, room)
    if span.end_at - span.start_at != timedelta(minutes=terms.minutes):
        raise _refusal(VoucherLength, "minutes", terms.minutes)
    if span.start_at < terms.valid_from_at:
        raise _refusal(VoucherNotNow, "valid_from_at", terms.valid_from_at.isoformat())
    _check_days(terms, span, tz)


def check_room(terms: VoucherTerms, room: VoucherRoom) -> None:
    """Raise VoucherNotHere when the terms leave out the room's store or the room."""
    if terms.store_ids and room.store_id not in terms.store_ids:
        raise _refusal(VoucherNotHere, "store_ids", list(terms.store_ids))
    is_listed = room.id in terms.room_ids or room.room_type_id in terms.room_type_ids
    if (terms.room_ids or terms.room_type_ids) and not is_listed:
        rule = "room_ids" if terms.room_ids else "room_type_ids"
        raise _refusal(VoucherNotHere, rule, list(terms.room_ids or terms.room_type_ids))


def usable_rooms(terms: VoucherTerms, rooms: Iterable[RoomT]) -> list[RoomT]:
    """Return the rooms that the terms allow, in the order given; time plays no part."""
    return [room for room in rooms if _is_usable(terms, room)]


def usable_span(terms: VoucherTerms, start_at: datetime) -> Span:
    """Return the span that a voucher fills from *start_at*."""
    return Span(start_at, start_at + timedelta(minutes=terms.minutes))


def _is_usable(terms: VoucherTerms, room: VoucherRoom) -> bool:
    try:
        check_room(terms, room)
    except VoucherNotHere:
        return False
    return True


def _check_days(terms: VoucherTerms, span: Span, tz: ZoneInfo) -> None:
    start_on = local_date(span.start_at, tz)
    if not terms.bands:
        _check_day(terms, start_on)
        return
    # A band may cross midnight and bands may touch, so the allowed time around the span is joined first.
    days = dates_between(start_on - timedelta(days=1), local_date(span.end_at, tz))
    allowed = merge(
        _band_span(band, on, tz) for on in days if _is_allowed_day(terms, on) for band in terms.bands
    )
    if not any(part.contains(span) for part in allowed):
        _check_day(terms, start_on)
        raise _refusal(VoucherNotNow, "bands", [band.as_data() for band in terms.bands])


def _band_span(band: UsableBand, on: date, tz: ZoneInfo) -> Span:
    end_minute = band.start_minute + band.length_minutes
    return Span(local_instant(on, band.start_minute, tz), local_instant(on, end_minute, tz))


def _is_allowed_day(terms: VoucherTerms, on: date) -> bool:
    return on not in terms.excluded_on and (not terms.weekdays or on.weekday() in terms.weekdays)


def _check_day(terms: VoucherTerms, on: date) -> None:
    if on in terms.excluded_on:
        raise _refusal(VoucherNotNow, "excluded_on", [day.isoformat() for day in terms.excluded_on])
    if not _is_allowed_day(terms, on):
        raise _refusal(VoucherNotNow, "weekdays", list(terms.weekdays))


def _refusal(kind: type[RuleRefused], rule: str, limit: Any) -> RuleRefused:
    return kind(data={"rule": rule, "limit": limit})
