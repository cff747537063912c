"""Half-open spans of time, the minutes inside them and the grid of a store's local clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from app.domain.errors import InvalidField

MINUTE = timedelta(minutes=1)
DAY_MINUTES = 1440
FIRST_YEAR, LAST_YEAR = 2, 9998


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The instants from `start_at` up to, but without, `end_at`; both aware, kept in UTC, never empty.

    Raises InvalidField when the end is not after the start or a year is 1 or 9999, ValueError when an instant
    is naive.
    """

    start_at: datetime
    end_at: datetime

    def __post_init__(self) -> None:
        # Python subtracts two instants of one zone by their wall clocks, which is wrong on the days when
        # clocks change; only UTC is safe to calculate with.
        for name in ("start_at", "end_at"):
            instant: datetime = getattr(self, name)
            # At the edges of what datetime can hold, adding a buffer or finding a local date would overflow.
            if not FIRST_YEAR <= instant.year <= LAST_YEAR:
                raise InvalidField.of(name, _l("This time is out of range."))
            if instant.tzinfo is not UTC:
                object.__setattr__(self, name, _as_utc(instant))
        if self.end_at <= self.start_at:
            raise InvalidField.of("end_at", _l("The end must be after the start."))

    @property
    def minutes(self) -> int:
        """The length in full minutes."""
        return (self.end_at - self.start_at) // MINUTE

    @property
    def is_whole_minutes(self) -> bool:
        """Tell whether both ends lie on a full minute."""
        return is_whole_minute(self.start_at) and is_whole_minute(self.end_at)

    def overlaps(self, other: Span) -> bool:
        """Tell whether the two share an instant; touching spans do not."""
        return self.start_at < other.end_at and other.start_at < self.end_at

    def contains(self, other: Span) -> bool:
        """Tell whether *other* lies wholly inside this span."""
        return self.start_at <= other.start_at and other.end_at <= self.end_at

    def has(self, at: datetime) -> bool:
        """Tell whether the instant lies inside: the start does, the end does not."""
        return self.start_at <= at < self.end_at

    def intersect(self, other: Span) -> Span | None:
        """Return what the two share, or None."""
        return span_or_none(max(self.start_at, other.start_at), min(self.end_at, other.end_at))

    def widened(self, before_minutes: int, after_minutes: int) -> Span:
        """Return the span with minutes added on both sides."""
        return Span(
            self.start_at - timedelta(minutes=before_minutes), self.end_at + timedelta(minutes=after_minutes)
        )


def _as_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("a span needs aware instants")
    return instant.astimezone(UTC)


def span_or_none(start_at: datetime, end_at: datetime) -> Span | None:
    """Return the span, or None when nothing lies between the two instants."""
    return Span(start_at, end_at) if start_at < end_at else None


def span_of_minutes(start_at: datetime, minutes: int) -> Span:
    """Return the span of *minutes* elapsed minutes from *start_at*; raises InvalidField below one minute."""
    return Span(start_at, start_at.astimezone(UTC) + timedelta(minutes=minutes))


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the same instants as sorted, disjoint spans; overlapping and touching ones become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_at <= merged[-1].end_at:
            if span.end_at > merged[-1].end_at:
                merged[-1] = Span(merged[-1].start_at, span.end_at)
        else:
            merged.append(span)
    return merged


def clip(spans: Iterable[Span], window: Span) -> list[Span]:
    """Return the parts of *spans* inside *window*, in the order given."""
    return [part for span in spans if (part := span.intersect(window))]


def subtract(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Return the instants of *spans* that lie in none of *taken*, as sorted, disjoint spans."""
    holes = merge(taken)
    return [piece for span in merge(spans) for piece in _without(span, holes)]


def _without(span: Span, holes: list[Span]) -> Iterator[Span]:
    cursor = span.start_at
    for hole in holes:
        if hole.end_at <= cursor:
            continue
        if hole.start_at >= span.end_at:
            break
        if hole.start_at > cursor:
            yield Span(cursor, hole.start_at)
        cursor = hole.end_at
    if cursor < span.end_at:
        yield Span(cursor, span.end_at)


def is_whole_minute(at: datetime) -> bool:
    """Tell whether the instant has no seconds."""
    return at.second == 0 and at.microsecond == 0


def floor_minute(at: datetime) -> datetime:
    """Return the full minute that *at* lies in, in UTC."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def local_date(at: datetime, tz: ZoneInfo) -> date:
    """Return the store-local date of an instant."""
    return at.astimezone(tz).date()


def local_minute(at: datetime, tz: ZoneInfo) -> int:
    """Return the minute of the store's local day (0–1439) that an instant lies in."""
    local = at.astimezone(tz)
    return local.hour * 60 + local.minute


def local_instant(on: date, minute: int, tz: ZoneInfo, *, fold: int = 0) -> datetime:
    """Return the UTC instant at which the local clock shows *minute* of *on*; 1440 and more are later days.

    Where clocks change, an hour that does not exist counts as the instant after the jump and an hour that
    comes twice as its first pass, or as its second one with *fold* 1.
    """
    days, minute_of_day = divmod(minute, DAY_MINUTES)
    clock = time(minute_of_day // 60, minute_of_day % 60, tzinfo=tz, fold=fold)
    return datetime.combine(on + timedelta(days=days), clock).astimezone(UTC)


def edge_instants(span: Span, minutes: Collection[int], tz: ZoneInfo) -> set[datetime]:
    """Return the instants of a span's local days at which the clock shows one of *minutes* (0–1439) or jumps.

    Where the clock goes back a minute counts each time that it is shown.
    """
    found: set[datetime] = set()
    for on in local_dates(span, tz):
        found.update(local_instant(on, minute, tz) for minute in minutes)
        if (jump := _jump_on(on, tz)) is not None:
            found.add(jump)
            found.update(local_instant(on, minute, tz, fold=1) for minute in minutes)
    return found


@lru_cache(maxsize=4096)
def _jump_on(on: date, tz: ZoneInfo) -> datetime | None:
    """Return the first full minute of a local day after its clock was put forward or back, if it is."""
    before, after = local_instant(on, 0, tz), local_instant(on, DAY_MINUTES, tz)
    offset = before.astimezone(tz).utcoffset()
    if after.astimezone(tz).utcoffset() == offset:
        return None
    while after - before > MINUTE:
        middle = floor_minute(before + (after - before) / 2)
        if middle.astimezone(tz).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def local_day(on: date, tz: ZoneInfo) -> Span:
    """Return the span of one local day, midnight to midnight."""
    return Span(local_instant(on, 0, tz), local_instant(on, DAY_MINUTES, tz))


def dates_between(first_on: date, last_on: date) -> Iterator[date]:
    """Yield every date from *first_on* to *last_on*, both included."""
    for offset in range((last_on - first_on).days + 1):
        yield first_on + timedelta(days=offset)


def local_dates(span: Span, tz: ZoneInfo) -> Iterator[date]:
    """Yield the local dates that a span touches."""
    return dates_between(local_date(span.start_at, tz), local_date(span.end_at - timedelta.resolution, tz))


def is_on_grid(at: datetime, step_minutes: int, tz: ZoneInfo) -> bool:
    """Tell whether a full number of steps has passed on the local clock since local midnight."""
    return is_whole_minute(at) and local_minute(at, tz) % step_minutes == 0


def grid_ceil(at: datetime, step_minutes: int, tz: ZoneInfo) -> datetime:
    """Return the first grid instant at or after *at*; every local midnight starts the grid anew."""
    instant = floor_minute(at)
    if instant < at:
        instant += MINUTE
    # Several rounds are needed only where the clock jumps between the instant and the next grid line.
    while over := (minute := local_minute(instant, tz)) % step_minutes:
        instant += timedelta(minutes=min(step_minutes - over, DAY_MINUTES - minute))
    return instant


def grid_floor(at: datetime, step_minutes: int, tz: ZoneInfo) -> datetime:
    """Return the last grid instant at or before *at*."""
    instant = floor_minute(at)
    while over := local_minute(instant, tz) % step_minutes:
        instant -= timedelta(minutes=over)
    return instant
