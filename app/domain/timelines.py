"""Painting a room's time: layers of use and rules laid over each other, thousands of them for one answer.

Instants are whole microseconds since 1970 here and spans plain tuples, because objects cost more than the
painting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.booking_rules import BookingPolicy
from app.domain.slots import (
    DAY_MINUTES,
    MINUTE,
    Span,
    floor_minute,
    grid_ceil,
    grid_floor,
    local_date,
    local_day,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US, MINUTE_US = 1_000_000, 60_000_000
DAY_US = DAY_MINUTES * MINUTE_US

# Why a span is as it is: who uses the room, what keeps it from being used, what makes free time useless.
REASONS = (
    "in_use", "reserved", "held", "ended", "blocked", "cleaning", "closed", "in_past", "too_soon", "too_far",
    "buffer", "too_short", "off_step", "free",
)  # fmt: skip
# What shows even where a block lies: the guests.
_ABOVE_BLOCKS = frozenset({"in_use", "reserved", "held", "ended", "blocked"})

_MOST_TEXTS = 10_000

# Of a booking or block, for staff; handed through.
Ref = str | int | None
# (start, end, reason, reference)
Run = tuple[int, int, str, Ref]
# A booking that occupies its room: (busy from, used from, used until, busy until, state, reference).
Taken = tuple[int, int, int, int, str, Ref]
# A time in which a room is out of use: (start, end, reference).
Barred = tuple[int, int, Ref]


def us_of(at: datetime) -> int:
    """Return the microseconds from 1970 to an aware instant."""
    return (at - EPOCH) // MICROSECOND


def instant_of(us: int) -> datetime:
    """Return the UTC instant that lies *us* microseconds after 1970 began."""
    return EPOCH + timedelta(microseconds=us)


class LocalClock:
    """A store's clock over a stretch of time: its grid of starts, and its time in RFC 3339.

    Where the clock does not change in all that time, and it hardly ever does, the grid is arithmetic. Texts
    are remembered, because rooms share most of their edges.
    """

    def __init__(self, tz: ZoneInfo, over: Span) -> None:
        self.tz = tz
        self._offset_us = _steady_offset(tz, over)
        self._texts: dict[int, str] = {}

    def ceil(self, us: int, step_minutes: int) -> int:
        """Return the first grid instant at or after *us*; every local midnight starts the grid anew."""
        if self._offset_us is None:
            return us_of(grid_ceil(instant_of(us), step_minutes, self.tz))
        into_day = (us + self._offset_us) % DAY_US
        step = step_minutes * MINUTE_US
        return us - into_day + min(-(-into_day // step) * step, DAY_US)

    def text(self, us: int) -> str:
        """Return local time with its offset, to the full second."""
        found = self._texts.get(us)
        if found is None:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            found = self._texts[us] = instant_of(us).astimezone(self.tz).isoformat(timespec="seconds")
        return found


def _steady_offset(tz: ZoneInfo, over: Span) -> int | None:
    """Return the offset that holds from a day before to a day after *over*, None where it changes."""
    at, last_at = over.start_at - timedelta(days=1), over.end_at + timedelta(days=1)
    offset = at.astimezone(tz).utcoffset()
    while at < last_at:
        at = min(at + timedelta(hours=12), last_at)
        if at.astimezone(tz).utcoffset() != offset:
            return None
    # Two hundred years ago clocks differed by seconds, which texts of today cannot show.
    return None if offset is None or offset % MINUTE else offset // MICROSECOND


@dataclass(frozen=True, slots=True)
class Rules:
    """What the time alone says about rooms of one policy at one moment.

    Before `past_until` is in_past, from there to `soon_until` too_soon, from `far_from` on too_far. The
    answer of this moment holds until `until`, the next at which one of them moves.
    """

    past_until: int
    soon_until: int
    far_from: int
    until: int


def rules_at(policy: BookingPolicy, now: datetime, tz: ZoneInfo) -> Rules:
    """Return what lead and horizon of a policy say now.

    Past and lead end on the start grid, so that the answer stays the same between two grid lines.
    """
    step = policy.start_step_minutes
    past_until = grid_floor(now, step, tz)
    soon_until = grid_ceil(policy.earliest_start_at(now), step, tz)
    moves = [
        grid_ceil(past_until + MINUTE, step, tz),
        # The lead steps on to the next line in the minute after the one that still reaches this line.
        soon_until - timedelta(minutes=policy.min_lead_minutes) + MINUTE,
        local_day(local_date(now, tz), tz).end_at,
    ]
    # Where clocks jump, grid lines do not follow each other evenly: ask again every minute.
    reach = soon_until + timedelta(minutes=2 * step)
    if past_until.astimezone(tz).utcoffset() != reach.astimezone(tz).utcoffset():
        moves = [floor_minute(now) + MINUTE]
    return Rules(
        us_of(past_until), us_of(soon_until), us_of(policy.horizon_at(now, tz)), min(map(us_of, moves))
    )


def ground(
    start: int, end: int, open_spans: Iterable[tuple[int, int]], rules: Rules | None
) -> list[tuple[int, int, str]]:
    """Return the time from *start* to *end* as (start, end, reason) before anybody uses it, without gaps.

    *open_spans* are sorted and disjoint. Reasons are closed, in_past, too_soon, too_far and free; without
    rules only closed and free.
    """
    shown: list[tuple[int, int, str]] = []
    cursor = start
    for opens, closes in open_spans:
        if closes <= cursor or opens >= end:
            continue
        if opens > cursor:
            shown.append((cursor, opens, "closed"))
        cursor = min(closes, end)
        shown += _ruled(max(opens, start), cursor, rules)
    if cursor < end:
        shown.append((cursor, end, "closed"))
    return shown


def _ruled(start: int, end: int, rules: Rules | None) -> Iterator[tuple[int, int, str]]:
    if rules is None:
        yield (start, end, "free")
        return
    soon_until = max(rules.past_until, rules.soon_until)
    edges = (
        (rules.past_until, "in_past"),
        (soon_until, "too_soon"),
        (max(soon_until, rules.far_from), "free"),
        (end, "too_far"),
    )
    for edge, reason in edges:
        if start < min(edge, end):
            yield (start, min(edge, end), reason)
            start = min(edge, end)


def paint(
    base: Sequence[tuple[int, int, str]],
    taken: Iterable[Taken],
    barred: Iterable[Barred] = (),
    *,
    before: int = 0,
    after: int = 0,
) -> list[Run]:
    """Return what shows of a room over the whole of *base*, without gaps; neighbours always differ.

    Where several things hold at once the first of these shows: guests, blocks, cleaning, what *base* says.
    *taken* do not overlap each other. *before* and *after* are the buffers that a new booking would need:
    free time next to a booking is kept clear for them (buffer).
    """
    start, end = base[0][0], base[-1][1]
    shown: list[Run] = []
    cursor = clear_from = start
    place = 0
    for busy_from, used_from, used_until, busy_until, state, ref in sorted(taken):
        if busy_until <= cursor:
            continue
        if busy_from >= end:
            break
        if busy_from > cursor:
            place = _show_gap(shown, base, place, cursor, busy_from, clear_from, busy_from - after)
        if busy_from < used_from:
            _show(shown, busy_from, used_from, "cleaning", ref)
        _show(shown, used_from, used_until, state, ref)
        if used_until < busy_until:
            _show(shown, used_until, busy_until, "cleaning", ref)
        cursor, clear_from = busy_until, busy_until + before
    if cursor < end:
        _show_gap(shown, base, place, cursor, end, clear_from, end)
    for block in sorted(barred):
        shown = _lay_over(shown, block)
    return _cut(shown, start, end)


def _show(shown: list[Run], start: int, end: int, reason: str, ref: Ref) -> None:
    if shown and shown[-1][2] == reason and shown[-1][3] == ref:
        shown[-1] = (shown[-1][0], end, reason, ref)
    else:
        shown.append((start, end, reason, ref))


def _show_gap(
    shown: list[Run],
    base: Sequence[tuple[int, int, str]],
    place: int,
    start: int,
    end: int,
    clear_from: int,
    clear_until: int,
) -> int:
    """Show what *base* says from *start* to *end*, free only from *clear_from* to *clear_until*.

    *place* is where in *base* to look first; returns where the next gap has to.
    """
    while base[place][1] <= start:
        place += 1
    while True:
        _, base_end, reason = base[place]
        part_end = min(base_end, end)
        left = clear_from if clear_from > start else start
        right = clear_until if clear_until < part_end else part_end
        if reason != "free":
            _show(shown, start, part_end, reason, None)
        elif left >= right:
            _show(shown, start, part_end, "buffer", None)
        else:
            if start < left:
                _show(shown, start, left, "buffer", None)
            _show(shown, left, right, "free", None)
            if right < part_end:
                _show(shown, right, part_end, "buffer", None)
        if part_end >= end:
            return place
        start = part_end
        place += 1


def _lay_over(shown: list[Run], block: Barred) -> list[Run]:
    """Show a block wherever no guests and no earlier block are."""
    found: list[Run] = []
    for run in shown:
        start, end, reason, ref = run
        left, right = max(start, block[0]), min(end, block[1])
        if left >= right or reason in _ABOVE_BLOCKS:
            found.append(run)
            continue
        if start < left:
            found.append((start, left, reason, ref))
        _show(found, left, right, "blocked", block[2])
        if right < end:
            found.append((right, end, reason, ref))
    return found


def _cut(shown: list[Run], start: int, end: int) -> list[Run]:
    """Cut off what bookings and their cleaning reach beyond the painted time."""
    while shown[0][1] <= start:
        del shown[0]
    while shown[-1][0] >= end:
        del shown[-1]
    if shown[0][0] < start:
        shown[0] = (start, *shown[0][1:])
    if shown[-1][1] > end:
        shown[-1] = (shown[-1][0], end, *shown[-1][2:])
    return shown


def timeline(
    base: Sequence[tuple[int, int, str]],
    taken: Iterable[Taken],
    barred: Iterable[Barred],
    policy: BookingPolicy,
    clock: LocalClock,
) -> list[Run]:
    """Return what shows of a room to who would book it under a policy, over the whole of *base*."""
    shown = paint(
        base,
        taken,
        barred,
        before=policy.buffer_before_minutes * MINUTE_US,
        after=policy.buffer_after_minutes * MINUTE_US,
    )
    return grey_useless(shown, policy, clock)


def present_state(
    taken: Sequence[Taken],
    barred: Sequence[Barred],
    open_spans: Sequence[tuple[int, int]],
    now: int,
    known_until: int,
) -> tuple[str, int]:
    """Return why a room is as it is now (lead times aside), and until when that is sure.

    *taken* are sorted; what is given reaches to *known_until*. Guests who were let in before their time use
    the room already.
    """
    early = next((each for each in taken if each[4] == "in_use" and now < each[1]), None)
    if early is not None:
        return "in_use", min(early[2], known_until)
    first = next((each for each in taken if each[3] > now), None)
    using = [] if first is None else [first]
    moment = ground(now, now + 1, open_spans, None)
    edges = [known_until]
    for span in (*(each[:4] for each in using), *(each[:2] for each in barred), *open_spans):
        edges += [edge for edge in span if edge > now]
    return paint(moment, using, barred)[0][2], min(edges)


def grey_useless(shown: Iterable[Run], policy: BookingPolicy, clock: LocalClock) -> list[Run]:
    """Grey what is free but of no use: gaps too short for a booking, what precedes a gap's first start."""
    shortest, step = policy.min_minutes * MINUTE_US, policy.start_step_minutes
    found: list[Run] = []
    for run in shown:
        if run[2] != "free":
            found.append(run)
            continue
        start, end = run[0], run[1]
        first = clock.ceil(start, step)
        if first + shortest > end:
            found.append((start, end, "too_short", None))
            continue
        if first > start:
            found.append((start, first, "off_step", None))
        found.append((first, end, "free", None))
    return found
