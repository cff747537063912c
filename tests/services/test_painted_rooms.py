"""What is kept of painted rooms: cut out for any window, right for its versions and time, never too much."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.slots import span_of_minutes
from app.domain.timelines import MINUTE_US, LocalClock, Run, us_of
from app.services.painted_rooms import Kept, Key, PaintedRoom, write_room
from tests.domain.moments import TZ, at

START = at("2026-03-11 00:00")
DAY = span_of_minutes(START, 1440)
FIRST = us_of(START)
VERSIONS = (5, 7)


def painted(*lengths: int, versions: tuple[int, int] = VERSIONS) -> PaintedRoom:
    """A room with spans of so many minutes each."""
    runs: list[Run] = []
    cursor = FIRST
    for number, length in enumerate(lengths):
        reason = ("free", "held", "too_soon")[number % 3]
        runs.append((cursor, cursor + length * MINUTE_US, reason, None))
        cursor = runs[-1][1]
    clock = LocalClock(TZ, DAY)
    return write_room(runs, clock, versions=versions, since=10, until=20, state="free")


def cut(room: PaintedRoom, start: int, end: int) -> list[dict[str, str]]:
    """The spans between two minutes as a client reads them."""
    pieces = room.spans(FIRST + start * MINUTE_US, FIRST + end * MINUTE_US)
    found: list[dict[str, str]] = orjson.loads(b"[" + b"".join(pieces) + b"]")
    return found


CUTS = [
    ("everything", 0, 90, [("00:00", "00:30"), ("00:30", "01:00"), ("01:00", "01:30")]),
    ("inside one span", 35, 40, [("00:35", "00:40")]),
    ("one span exactly", 30, 60, [("00:30", "01:00")]),
    ("over one edge", 20, 40, [("00:20", "00:30"), ("00:30", "00:40")]),
    ("from an edge", 30, 70, [("00:30", "01:00"), ("01:00", "01:10")]),
    ("up to an edge", 10, 60, [("00:10", "00:30"), ("00:30", "01:00")]),
    ("over a whole span", 10, 80, [("00:10", "00:30"), ("00:30", "01:00"), ("01:00", "01:20")]),
]


@pytest.mark.parametrize(("label", "start", "end", "expected"), CUTS, ids=[row[0] for row in CUTS])
def test_windows_are_cut_out(label: str, start: int, end: int, expected: list[tuple[str, str]]) -> None:
    found = cut(painted(30, 30, 30), start, end)
    assert [(span["start_at"][11:16], span["end_at"][11:16]) for span in found] == expected


def test_each_reason_is_told_with_its_state() -> None:
    told = [(span["state"], span["reason"]) for span in cut(painted(30, 30, 30), 0, 90)]
    assert told == [("free", None), ("held", "held"), ("closed", "too_soon")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.data())
def test_every_cut_is_whole(lengths: list[int], data: st.DataObject) -> None:
    total = sum(lengths)
    start = data.draw(st.integers(0, total - 1))
    end = data.draw(st.integers(start + 1, total))
    found = cut(painted(*lengths), start, end)
    edges = [found[0]["start_at"], *(span["end_at"] for span in found)]
    assert [span["start_at"] for span in found] == edges[:-1]
    inner = [edge for number in range(1, len(lengths)) if start < (edge := sum(lengths[:number])) < end]
    expected = [START + timedelta(minutes=minute) for minute in (start, *inner, end)]
    assert edges == [moment.isoformat(timespec="seconds") for moment in expected]


@pytest.mark.parametrize(
    ("label", "versions", "now", "holds"),
    [
        ("before it was painted", VERSIONS, 9, False),
        ("at that moment", VERSIONS, 10, True),
        ("the last moment", VERSIONS, 19, True),
        ("too late", VERSIONS, 20, False),
        ("after an edit", (6, 7), 15, False),
        ("after a booking", (5, 8), 15, False),
    ],
)
def test_a_painting_holds_for_its_versions_and_time(
    label: str, versions: tuple[int, int], now: int, holds: bool
) -> None:
    kept, room = Kept[Key, PaintedRoom](), painted(30)
    kept.keep((1, 2, 3), room)
    assert kept.find((1, 2, 3), versions, now) is (room if holds else None)
    assert kept.find((1, 2, 4), versions, now) is None


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    room = painted(30, 30)
    kept = Kept[Key, PaintedRoom](most_bytes=3 * room.size)
    for number in range(3):
        kept.keep((number, 0, 0), room)
    assert kept.find((0, 0, 0), VERSIONS, 15)
    kept.keep((3, 0, 0), room)
    assert [number for number in range(4) if kept.find((number, 0, 0), VERSIONS, 15)] == [0, 2, 3]


def test_a_newer_painting_takes_the_place_of_the_older() -> None:
    room = painted(30, 30)
    kept = Kept[Key, PaintedRoom](most_bytes=2 * room.size)
    kept.keep((0, 0, 0), room)
    for version in range(20):
        kept.keep((1, 0, 0), painted(30, 30, versions=(5, version)))
    assert kept.find((0, 0, 0), VERSIONS, 15) is room
    assert kept.find((1, 0, 0), (5, 19), 15)
    kept.clear()
    assert kept.find((0, 0, 0), VERSIONS, 15) is None
