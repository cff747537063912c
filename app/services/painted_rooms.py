"""Painted rooms as the JSON that clients get, kept in this process for as long as they are right.

What a room shows depends on its bookings and blocks (`rooms.state_version` and the store's `config_version`,
which every writer moves in the transaction of the change), on the configuration (`config_version`) and on the
time. A painting therefore names its versions, and the moments from which and until which it holds: until the
past or the lead time reaches the next start of the grid, the day ends, a hold runs out, or the present state
changes. So one booking repaints one room, and nothing outlives a moment at which it would be wrong.

Paintings cover whole local days; a window of whatever minutes is cut out of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import Generic, Protocol, TypeVar

from app.domain.availability import STATES
from app.domain.timelines import REASONS, LocalClock, Run

# What all paintings of one process may take up together.
MOST_BYTES = 64 * 1024 * 1024
# A span without its text: where it begins, in time and in the text, and its reason.
_SPAN_BYTES = 24

# What the JSON of a span says of its reason.
_TOLD = {reason: f'"state":"{STATES.get(reason, reason)}","reason":"{reason}"' for reason in REASONS}
_TOLD["free"] = '"state":"free","reason":null'
# (room, first local day, days)
Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PaintedRoom:
    """A room over some days: right for its versions while `since` <= now < `until` (microseconds).

    Span i lasts from `edges[i]` to `edges[i + 1]`; `text[marks[i]:marks[i + 1]]` is its JSON and a comma.
    """

    versions: tuple[int, int]
    since: int
    until: int
    state: str
    clock: LocalClock
    edges: array[int]
    marks: array[int]
    reasons: tuple[str, ...]
    text: bytes

    def holds(self, versions: tuple[int, int], now: int) -> bool:
        """Tell whether this is what would be painted now."""
        return self.versions == versions and self.since <= now < self.until

    def spans(self, start: int, end: int) -> tuple[bytes, memoryview, bytes]:
        """Return the JSON of the spans from *start* to *end*, clipped and divided by commas, in three pieces.

        Pieces, because the middle one is large and an answer is best written in one go.
        """
        first = bisect_right(self.edges, start) - 1
        last = bisect_left(self.edges, end) - 1
        if first == last:
            only = _span(self.clock.text(start), self.clock.text(end), self.reasons[first])
            return only.encode(), memoryview(b""), b""
        opening = _span(self.clock.text(start), self.clock.text(self.edges[first + 1]), self.reasons[first])
        closing = _span(self.clock.text(self.edges[last]), self.clock.text(end), self.reasons[last])
        between = memoryview(self.text)[self.marks[first + 1] : self.marks[last]]
        return opening.encode() + b",", between, closing.encode()

    @property
    def size(self) -> int:
        """About how many bytes it takes up."""
        return len(self.text) + len(self.reasons) * _SPAN_BYTES


def write_room(
    runs: Sequence[Run],
    clock: LocalClock,
    *,
    versions: tuple[int, int],
    since: int,
    until: int,
    state: str,
) -> PaintedRoom:
    """Return what is kept of a painting."""
    edges = array("q", [run[0] for run in runs])
    edges.append(runs[-1][1])
    times = list(map(clock.text, edges))
    reasons = tuple([run[2] for run in runs])
    spans = [_span(*span) + "," for span in zip(times, times[1:], reasons, strict=False)]
    marks = array("q", accumulate(map(len, spans), initial=0))
    text = "".join(spans).encode()
    return PaintedRoom(versions, since, until, state, clock, edges, marks, reasons, text)


def _span(start: str, end: str, reason: str) -> str:
    # Neither times nor reasons have anything that JSON would want escaped.
    return f'{{"start_at":"{start}","end_at":"{end}",{_TOLD[reason]}}}'


class Holding(Protocol):
    """What is right for its versions and for some time."""

    def holds(self, versions: tuple[int, int], now: int) -> bool:
        """Tell whether this is what would be made now."""

    @property
    def size(self) -> int:
        """About how many bytes it takes up."""


KeyT = TypeVar("KeyT", bound=Hashable)
HoldingT = TypeVar("HoldingT", bound=Holding)


class Kept(Generic[KeyT, HoldingT]):
    """Keeps up to a number of bytes; what was not asked for the longest goes first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[KeyT, HoldingT] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def find(self, key: KeyT, versions: tuple[int, int], now: int) -> HoldingT | None:
        """Return what is right now, if it is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or not found.holds(versions, now):
                return None
            self._kept.move_to_end(key)
            return found

    def keep(self, key: KeyT, made: HoldingT) -> None:
        """Keep it in the place of an older one under the same key."""
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept[key] = made
            self._bytes += made.size - (old.size if old else 0)
            while self._bytes > self.most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0
