"""What clients of the product ask for: availability, bookings, and requests that are refused."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from urllib.parse import urlencode

from benchmarks.load import header, request
from benchmarks.sites import Facts, Site

# An hour and its cleaning.
SALE_PITCH = timedelta(minutes=75)
HOUR = timedelta(hours=1)


class Repeat:
    """The same requests again and again, each time after *before* was called."""

    def __init__(
        self, *requests: bytes, expected: int = 200, before: Callable[[], object] | None = None
    ) -> None:
        self.expected = frozenset({expected})
        self._requests = requests
        self._before = before

    def take(self) -> Sequence[bytes]:
        """Return the same requests as always."""
        if self._before is not None:
            self._before()
        return self._requests

    def note(self, status: int, head: bytes) -> None:
        """Nothing is learnt."""


class Poll:
    """A client that polls: it names the state that it knows, and learns when there is a newer one."""

    # The version holds for a minute at most; the one full answer after it is part of polling.
    expected = frozenset({200, 304})

    def __init__(self, path: str) -> None:
        self._path = path
        self._request = request("GET", path)

    def take(self) -> Sequence[bytes]:
        """Return the request with the newest tag."""
        return (self._request,)

    def note(self, status: int, head: bytes) -> None:
        """Remember the tag of a full answer."""
        tag = header(head, b"etag")
        if status == 200 and tag is not None:
            self._request = request("GET", self._path, headers=[("If-None-Match", tag.decode("ascii"))])


class Once:
    """Each operation once, until there are no more of them."""

    def __init__(self, operations: Iterator[bytes], *, expected: frozenset[int]) -> None:
        self.expected = expected
        self._operations = operations

    def take(self) -> Sequence[bytes] | None:
        """Return the next request."""
        following = next(self._operations, None)
        return None if following is None else (following,)

    def note(self, status: int, head: bytes) -> None:
        """Nothing is learnt."""


class Shopper:
    """Makes requests for bookings by many customers, each under a key of its own, never twice the same."""

    def __init__(self, site: Site) -> None:
        self._facts = site.facts
        self._places = site.places
        self._first_at = datetime.fromisoformat(site.facts.first_free_at)
        self._keys = (f"{prefix}-{number}" for prefix in [secrets.token_hex(6)] for number in count())

    def free_places(self) -> Iterator[bytes]:
        """Yield bookings of places that nobody has taken yet."""
        for number in self._places:
            yield self._book(number, *self._place(number))

    def taken_places(self) -> Iterator[bytes]:
        """Yield bookings of places that are long taken: the first ones of the window."""
        start_at = datetime.fromisoformat(self._facts.window[0])
        for number in count():
            yield self._book(number, self._facts.room_ids[number % len(self._facts.room_ids)], start_at)

    def off_the_grid(self) -> Iterator[bytes]:
        """Yield bookings that the rules refuse: their start lies between two steps."""
        rooms, start_at = self._facts.sale_room_ids, self._first_at + timedelta(minutes=7)
        for number in count():
            yield self._book(number, rooms[number % len(rooms)], start_at)

    def rivals(self, buyers: int) -> Iterator[bytes]:
        """Yield bookings of one and the same free place, each by another customer."""
        place = self._place(next(self._places))
        return (self._book(number, *place) for number in range(buyers))

    def _place(self, number: int) -> tuple[int, datetime]:
        rooms = self._facts.sale_room_ids
        return rooms[number % len(rooms)], self._first_at + number // len(rooms) * SALE_PITCH

    def _book(self, customer: int, room_id: int, start_at: datetime) -> bytes:
        body = {
            "room_id": str(room_id),
            "start_at": start_at.isoformat(),
            "end_at": (start_at + HOUR).isoformat(),
        }
        return request(
            "POST",
            "/api/v1/bookings",
            token=self._facts.tokens[customer % len(self._facts.tokens)],
            body=json.dumps(body).encode(),
            headers=[("Idempotency-Key", next(self._keys))],
        )


def availability_path(facts: Facts) -> str:
    """Return the address of a week of the store under test."""
    window = urlencode({"from": facts.window[0], "to": facts.window[1]})
    return f"/api/v1/stores/{facts.store_id}/availability?{window}"
