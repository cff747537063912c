"""Thirty-two buyers after one place, on both engines and by both kinds of workers; and the control."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg

from benchmarks.bare import OCCUPYING
from benchmarks.cases import Result
from benchmarks.feeds import Once, Shopper
from benchmarks.load import Sample, drive
from benchmarks.report import Goal, at_least, at_most, markdown
from benchmarks.rounds import Options
from benchmarks.sites import ENGINES, PRODUCT, Site, World, progress, serve

BUYERS = 32
# Of the goal, at the usual five rounds of the other cases.
PLACES_PER_ROUND = 6
WORKERS = {"sync": (), "gthread": ("--worker-class", "gthread", "--threads", "8")}
UNPROTECTED = "benchmarks.unprotected:create_app()"
GUARD = "ex_bookings_room_overlap"
OVERLAPS = f"""
SELECT count(*) FROM bookings AS one JOIN bookings AS other
ON one.room_id = other.room_id AND one.id < other.id
WHERE one.state IN {OCCUPYING} AND other.state IN {OCCUPYING}
AND one.busy_from_at < other.busy_until_at AND other.busy_from_at < one.busy_until_at
"""


@dataclass
class Outcome:
    """What came of the places of one setting."""

    name: str
    places: int = 0
    won_once: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    overlaps: int = 0

    def add(self, sample: Sample) -> None:
        """Count the answers of one place."""
        self.places += 1
        self.won_once += sample.statuses == Counter({201: 1, 409: BUYERS - 1})
        self.statuses += sample.statuses
        self.slowest = max(self.slowest, *sample.latencies)

    @property
    def failures(self) -> int:
        """How many answers were neither a booking nor a refusal."""
        return sum(number for status, number in self.statuses.items() if status not in (201, 409))


def rivals(world: World, engine: str, sizes: list[int], options: Options) -> Result:
    """Let 32 buyers want one place, again and again, on both engines; then without protection."""
    places = options.rounds * PLACES_PER_ROUND
    outcomes, controls = [], []
    for name in ENGINES:
        site = world.site(name, min(sizes))
        for kind, arguments in WORKERS.items():
            outcomes.append(_race(site, f"{name}, {kind}", places, arguments))
    for name in ENGINES:
        controls.append(_race_unprotected(world, name, min(sizes), places))
    head = ("setting", "places", "won once", "answers", "slowest ms", "overlaps")
    table = markdown(head, [_cells(outcome) for outcome in (*outcomes, *controls)])
    goals = _goals(outcomes, controls)
    return Result(goals=goals, notes=[f"### {BUYERS} buyers, one place\n\n{table}"])


def _race(site: Site, name: str, places: int, options: Sequence[str] = (), app: str = PRODUCT) -> Outcome:
    outcome, shopper = Outcome(name), Shopper(site)
    progress(f"rivals: {name}")
    with ExitStack() as stack:
        port = stack.enter_context(serve(site.env, site.folder, app, options=options))
        for _ in range(places):
            feed = Once(shopper.rivals(BUYERS), expected=frozenset({201, 409}))
            outcome.add(drive(port, feed, clients=BUYERS, seconds=math.inf))
    outcome.overlaps = _count_overlaps(site)
    return outcome


def _race_unprotected(world: World, engine: str, size: int, places: int) -> Outcome:
    """The same on a product without locks and without the guard of the database."""
    site = world.site(engine, size, "unprotected")
    is_sqlite = engine == "sqlite"
    names = (f"{GUARD}_insert", f"{GUARD}_update")
    drops = [f"DROP TRIGGER IF EXISTS {name}" for name in names]
    _run(site, drops if is_sqlite else [f"ALTER TABLE bookings DROP CONSTRAINT IF EXISTS {GUARD}"])
    # SQLite's writers come one after the other anyway, so that there the look before the write goes, too.
    site.env["UNPROTECTED"] = "no_check" if is_sqlite else "no_lock"
    return _race(site, f"{engine} without protection", places, app=UNPROTECTED)


def _run(site: Site, statements: Sequence[str]) -> int:
    """Run statements beside the product and return the number that the last one finds, or 0."""
    if site.engine == "sqlite":
        with closing(sqlite3.connect(site.database)) as embedded, embedded:
            rows = [embedded.execute(statement).fetchone() for statement in statements]
        return int(rows[-1][0]) if rows[-1] else 0
    with psycopg.connect(site.database) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return int((cursor.fetchone() or (0,))[0]) if cursor.description else 0


def _count_overlaps(site: Site) -> int:
    return _run(site, [OVERLAPS])


def _cells(outcome: Outcome) -> Sequence[str]:
    answers = ", ".join(f"{status}: {number}" for status, number in sorted(outcome.statuses.items()))
    slowest = f"{outcome.slowest * 1000:,.0f}"
    return (
        outcome.name,
        str(outcome.places),
        str(outcome.won_once),
        answers,
        slowest,
        str(outcome.overlaps),
    )


def _goals(outcomes: Sequence[Outcome], controls: Sequence[Outcome]) -> list[Goal]:
    goals = []
    for each in outcomes:
        name, slowest = each.name, each.slowest * 1000
        goals += [
            at_least("P9", f"{name}: places won once, of {each.places}", each.places, each.won_once, ""),
            at_most("P9", f"{name}: answers neither 201 nor 409", 0, each.failures, ""),
            at_most("P9", f"{name}: overlapping bookings", 0, each.overlaps, ""),
            at_most("P9", f"{name}: slowest answer", 1000, slowest, "ms"),
        ]
    for each in controls:
        goals.append(at_least("control", f"{each.name}: overlapping bookings", 1, each.overlaps, ""))
    return goals
