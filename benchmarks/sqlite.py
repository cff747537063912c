"""Booking on SQLite beside its bare driver, with a control that shows what a locked database looks like."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace

from benchmarks import bare
from benchmarks import contenders as who
from benchmarks.cases import Result
from benchmarks.report import Goal, at_least, at_most, rate_of, ratio
from benchmarks.rounds import Contender, Options, Table, compare
from benchmarks.sites import Site, World, serve

CROWD = 32
SQL_UNSAFE = "bare SQL, driver, not waiting for the disk"
LOCKED = "ours, control: a writer never waits for its turn"


def sqlite(world: World, engine: str, sizes: list[int], options: Options) -> Result:
    """Book on SQLite, whatever engine the other cases use."""
    result = Result()
    for size in sizes:
        site = world.site("sqlite", size)
        with ExitStack() as stack:
            port = stack.enter_context(serve(site.env, site.folder))
            unsafe = Contender(SQL_UNSAFE, bare.Bare(bare.create_unsafe, site).measure)
            found = [who.creates_of_ours(site, port)[0], *who.creates_of_sql(site), unsafe]
            table = compare(f"Booking on SQLite, {size:,} bookings", found, options)
        control = _control(site, options)
        result.add(Result([table, control], _goals(table, control, size)))
    return result


def _control(site: Site, options: Options) -> Table:
    """The same crowd when a writer gives up at once instead of waiting for its turn."""
    with ExitStack() as stack:
        port = stack.enter_context(serve(site.env | {"DATABASE_LOCK_SECONDS": "0"}, site.folder))
        found = replace(who.creates_of_ours(site, port)[0], name=LOCKED)
        return compare("Control on SQLite", [found], replace(options, clients=(CROWD,), only=()))


def _goals(table: Table, control: Table, size: int) -> list[Goal]:
    ours, at = table.find(who.OURS_CREATE, CROWD), f"{size:,} bookings"
    fastest = max((row.rate for row in table.rows if row.name == who.SQL_CREATE), default=None)
    share = ratio(rate_of(table, who.OURS_CREATE, 8), fastest)
    failures = _failures(ours.statuses) if ours else None
    blamed = _failures(control.rows[0].statuses)
    return [
        at_least("P11", f"ours, 8 clients ÷ bare SQL at its best, {at}", 0.07, share, "%"),
        at_most("P11", f"p99, {CROWD} clients, {at}", 60, ours.p99 if ours else None, "ms"),
        at_most("P11", f"answers other than 201, {CROWD} clients, {at}", 0, failures, ""),
        at_least("control", f"answers other than 201 when a writer never waits, {at}", 1, blamed, ""),
    ]


def _failures(statuses: Counter[int]) -> int:
    return sum(number for status, number in statuses.items() if status != 201)
