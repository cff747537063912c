"""Price rules as data, and the order in which they win.

How a rule is chosen for one piece of time, first difference decides: the narrower scope (room, room type,
store), the higher priority, the narrower day kind (dates, holiday, weekday or weekend, any), the lower id.
A time band belongs to the day on which it starts: Friday 22:00–06:00 is Friday's price until Saturday 06:00,
whatever Saturday is. Bands of equal start and end last 24 hours from their start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.calendar import DayCalendar
from app.domain.slots import DAY_MINUTES, local_date, local_minute

SCOPE_RANK = {"room": 0, "room_type": 1, "store": 2}
DAY_KIND_RANK = {"dates": 0, "holiday": 1, "weekend": 2, "weekday": 2, "any": 3}
CALENDAR_KINDS = frozenset({"weekday", "weekend", "holiday"})
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PricedRoom:
    """What the price system knows about a room."""

    id: int
    room_type_id: int | None
    tz: ZoneInfo


class RuleTimes:
    """What every rule with a scope, days and a band of the day can tell; bases of the rules' dataclasses."""

    __slots__ = ()

    scope: str
    room_type_id: int | None
    room_id: int | None
    day_kind: str
    weekdays: tuple[int, ...]
    band_start_minute: int
    band_end_minute: int
    valid_from_on: date | None
    valid_until_on: date | None

    @property
    def band_minutes(self) -> int:
        """The length of the band: 1 to 1440 minutes."""
        return (self.band_end_minute - self.band_start_minute) % DAY_MINUTES or DAY_MINUTES

    def applies_to(self, room: PricedRoom) -> bool:
        """Tell whether the scope covers the room; rules are expected to be those of the room's store."""
        if self.scope == "room":
            return self.room_id == room.id
        return self.scope == "store" or self.room_type_id == room.room_type_id

    def covers(self, on: date, minute: int, calendar: DayCalendar) -> bool:
        """Tell whether the rule counts at a minute of a local date."""
        passed = (minute - self.band_start_minute) % DAY_MINUTES
        if passed >= self.band_minutes:
            return False
        return self.counts_on(self.band_day(on, minute), calendar)

    def band_day(self, on: date, minute: int) -> date:
        """Return the local date on which the band began that a covered minute of *on* lies in."""
        passed = (minute - self.band_start_minute) % DAY_MINUTES
        # Less time has passed since midnight than since the band began: it began the day before.
        return on - ONE_DAY if passed > minute else on

    def counts_on(self, on: date, calendar: DayCalendar) -> bool:
        """Tell whether a band of this rule begins on this local date."""
        if not is_within(on, self.valid_from_on, self.valid_until_on):
            return False
        if self.weekdays and on.weekday() not in self.weekdays:
            return False
        return self._is_kind(on, calendar)

    def _is_kind(self, on: date, calendar: DayCalendar) -> bool:
        return self.day_kind == "any" or calendar.day_kind(on) == self.day_kind


def is_within(on: date, first_on: date | None, last_on: date | None) -> bool:
    """Tell whether a date lies between two others, both included; None is open."""
    return (first_on is None or first_on <= on) and (last_on is None or on <= last_on)


@dataclass(frozen=True, slots=True)
class PriceRule(RuleTimes):
    """One row of the price system; `amount_fen` is per hour, or flat for sessions and packages.

    `kind` hourly | session | package, `scope` store | room_type | room, `day_kind` any | weekday | weekend |
    holiday | dates. All dates are included ones and are compared with the day on which the band starts.
    `weekdays` (0 Monday … 6 Sunday) narrows further, empty means every day. Band minutes run from local
    midnight; for a package the band is the window in which it may start, for a session that of its start.
    `minimum_fen` and `day_cap_fen` count for hourly rules only.
    """

    id: int
    name: str
    amount_fen: int
    version: int = 1
    kind: str = "hourly"
    scope: str = "store"
    room_type_id: int | None = None
    room_id: int | None = None
    session_id: int | None = None
    day_kind: str = "any"
    dates_from_on: date | None = None
    dates_until_on: date | None = None
    weekdays: tuple[int, ...] = ()
    band_start_minute: int = 0
    band_end_minute: int = 0
    package_minutes: int | None = None
    priority: int = 0
    minimum_fen: int | None = None
    day_cap_fen: int | None = None
    valid_from_on: date | None = None
    valid_until_on: date | None = None

    def _is_kind(self, on: date, calendar: DayCalendar) -> bool:
        if self.day_kind == "dates":
            return is_within(on, self.dates_from_on, self.dates_until_on)
        # Classes with slots are made anew, which breaks the short form of super().
        return RuleTimes._is_kind(self, on, calendar)

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """The smaller wins, as the module says; of two packages the longer one wins before the day kind."""
        length = self.package_minutes or 0
        return (SCOPE_RANK[self.scope], -self.priority, -length, DAY_KIND_RANK[self.day_kind], self.id)


def edge_minutes(rules: Iterable[PriceRule]) -> set[int]:
    """Return the minutes of the day at which another rule may begin to win; midnight is always one."""
    bounds = {
        bound % DAY_MINUTES for rule in rules for bound in (rule.band_start_minute, rule.band_end_minute)
    }
    return bounds | {0}


def ranked_rules(
    rules: Iterable[PriceRule], on: date, minute: int, calendar: DayCalendar
) -> tuple[PriceRule, ...]:
    """Return the rules that count at a minute of a local date, the winner first."""
    return tuple(
        sorted((rule for rule in rules if rule.covers(on, minute, calendar)), key=lambda rule: rule.rank)
    )


def ranked_at(
    rules: Iterable[PriceRule], at: datetime, tz: ZoneInfo, calendar: DayCalendar
) -> tuple[PriceRule, ...]:
    """Return the rules that count at an instant, the winner first."""
    return ranked_rules(rules, local_date(at, tz), local_minute(at, tz), calendar)
