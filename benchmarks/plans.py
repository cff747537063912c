"""What the database is asked, from its own log: statements, round trips, plans, buffers; nothing is timed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import bare
from benchmarks.cases import Result
from benchmarks.feeds import Once, Repeat, Shopper, availability_path
from benchmarks.load import Feed, drive, request
from benchmarks.report import Goal, at_least, at_most, markdown
from benchmarks.rounds import Options
from benchmarks.sites import Site, World, progress, serve
from scripts.processes import wait_until

# The first requests of a worker prepare statements and fill caches.
WARM_UP, REQUESTS = 40, 20
MOST_BUFFERS = 300
SHOWN = 3
TABLE = "bookings"
SETTINGS = {
    "log_statement": "all",
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
}
# Takes away every way to read a table but the one that goals forbid.
WITHOUT_INDEXES = {
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
}
ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] (\w+):  ", re.MULTILINE)
ASKED = re.compile(r"(?:statement|execute [^:]+): (.*)", re.DOTALL)
PLANNED = re.compile(r"duration: [\d.]+ ms  plan:\s*(\{.*\})", re.DOTALL)
FRAMES = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass
class Seen:
    """What some equal requests asked of the database."""

    requests: int
    asked: list[str] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)

    @property
    def round_trips(self) -> float:
        """Messages to the database for each request, those that frame transactions included."""
        return len(self.asked) / self.requests

    @property
    def statements(self) -> float:
        """Statements for each request without what frames transactions."""
        return sum(not text.startswith(FRAMES) for text in self.asked) / self.requests

    @property
    def scans(self) -> int:
        """How often the whole table of bookings was read."""
        found = (node["Node Type"] for plan in self.plans for node in _nodes_on_table(plan))
        return sum(kind == "Seq Scan" for kind in found)

    @property
    def buffers(self) -> int:
        """The buffers of the most expensive plan that reads bookings."""
        found = [plan["Plan"] for plan in self.plans if any(_nodes_on_table(plan))]
        return max((plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in found), default=0)

    def dearest(self, number: int) -> list[tuple[int, str]]:
        """Return the buffers and the text of the statements that touched most."""
        found: dict[str, int] = {}
        for plan in self.plans:
            text, top = " ".join(plan["Query Text"].split()), plan["Plan"]
            found[text] = max(found.get(text, 0), top["Shared Hit Blocks"] + top["Shared Read Blocks"])
        return sorted(((buffers, text) for text, buffers in found.items()), reverse=True)[:number]


def plans(world: World, engine: str, sizes: list[int], options: Options) -> Result:
    """Look at a read and a booking of every size on PostgreSQL."""
    goals, rows, dearest = [], [], []
    for size in sizes:
        progress(f"plans: {size:,} bookings")
        site = world.site("postgresql", size)
        log = world.postgres.process.log
        with _watched(site, SETTINGS) as (port, switch):
            read = _watch(port, _week(site, switch), log)
            booked = _watch(port, Once(Shopper(site).free_places(), expected=frozenset({201})), log)
        with _watched(site, SETTINGS | WITHOUT_INDEXES) as (port, switch):
            blind = _watch(port, _week(site, switch), log, warm_up=0, requests=1)
        rows += [_cells(size, "a week", read), _cells(size, "a booking", booked)]
        rows.append(_cells(size, "control: a week without indexes", blind))
        goals += _goals(f"{size:,} bookings", read, booked, blind)
        dearest += [(f"{size:,}", str(number), _short(text)) for number, text in booked.dearest(SHOWN)]
    head = ("bookings", "request", "round trips", "statements", "scans of the whole table", "buffers")
    asked = f"### What the database is asked\n\n{markdown(head, rows)}"
    parts = markdown(("bookings", "buffers", "statement"), dearest)
    return Result(goals=goals, notes=[asked, f"### The dearest statements of a booking\n\n{parts}"])


def _short(text: str) -> str:
    """Return the beginning and the end of a statement, fit for a table."""
    short = text if len(text) <= 110 else f"{text[:50]} … {text[-60:]}"
    return f"`{short.replace('|', '¦')}`"


@contextmanager
def _watched(site: Site, settings: dict[str, str]) -> Iterator[tuple[int, bare.Switch]]:
    """Run the product while the database logs what it does; yield its port and a way to change bookings."""
    with ExitStack() as stack:
        # Connected before the settings hold, so that its changes are not in the log.
        switch = bare.Switch(stack, site)
        stack.enter_context(_settings(site, settings))
        yield stack.enter_context(serve(site.env, site.folder)), switch


def _week(site: Site, switch: bare.Switch) -> Feed:
    return Repeat(request("GET", availability_path(site.facts)), before=switch)


@contextmanager
def _settings(site: Site, settings: dict[str, str]) -> Iterator[None]:
    """Change settings for new connections to the site's database."""
    name = site.database.rpartition("/")[2]
    with psycopg.connect(site.database, autocommit=True) as connection:
        for setting, value in settings.items():
            connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'".encode())
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" RESET ALL'.encode())


class _Some:
    """The next operations of a feed, so many of them."""

    def __init__(self, feed: Feed, number: int) -> None:
        self.expected = feed.expected
        self.note = feed.note
        self._feed = feed
        self._left = number

    def take(self) -> Any:
        """Return the next operation, or None after the last."""
        self._left -= 1
        return self._feed.take() if self._left >= 0 else None


def _watch(port: int, feed: Feed, log: Path, *, warm_up: int = WARM_UP, requests: int = REQUESTS) -> Seen:
    """Return what some requests ask, one after the other, once the workers are warm."""
    drive(port, _Some(feed, warm_up), clients=4, seconds=math.inf)
    _settle(log)
    start = log.stat().st_size
    sample = drive(port, _Some(feed, requests), clients=1, seconds=math.inf)
    assert len(sample.latencies) == requests, sample.statuses
    _settle(log)
    with log.open(encoding="utf-8") as lines:
        lines.seek(start)
        return read_log(lines.read(), requests)


def _settle(log: Path) -> None:
    """Wait until the log has stopped growing."""
    sizes = [-1]

    def is_still() -> bool:
        sizes.append(log.stat().st_size)
        return sizes[-1] == sizes[-2]

    wait_until(is_still, 5)


def read_log(text: str, requests: int) -> Seen:
    """Return what a stretch of PostgreSQL's log tells of so many requests."""
    seen = Seen(requests)
    parts = ENTRY.split(text)
    for kind, entry in zip(parts[1::2], parts[2::2], strict=True):
        if kind != "LOG":
            continue
        if asked := ASKED.match(entry):
            seen.asked.append(" ".join(asked[1].split()))
        elif planned := PLANNED.match(entry):
            seen.plans.append(json.loads(planned[1]))
    return seen


def _nodes_on_table(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [plan["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node.get("Relation Name") == TABLE:
            yield node


def _cells(size: int, name: str, seen: Seen) -> tuple[str, ...]:
    figures = (f"{seen.round_trips:.1f}", f"{seen.statements:.1f}", str(seen.scans), str(seen.buffers))
    return (f"{size:,}", name, *figures)


def _goals(at: str, read: Seen, booked: Seen, blind: Seen) -> list[Goal]:
    scans = read.scans + booked.scans
    return [
        at_most("P10", f"scans of all bookings by reads and bookings, {at}", 0, scans, ""),
        at_least("control", f"scans of all bookings without indexes, {at}", 1, blind.scans, ""),
        at_most("P10", f"buffers of the availability query, {at}", MOST_BUFFERS, read.buffers, ""),
        at_most("P10", f"statements of a read, {at}", 2, read.statements, ""),
        at_most("P10", f"round trips of a booking, {at}", 8, booked.round_trips, ""),
    ]
