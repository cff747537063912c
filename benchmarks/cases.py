"""The comparisons: reading a week, booking, growth; each returns its tables and goals."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from benchmarks import contenders as who
from benchmarks import stock
from benchmarks.report import Goal, at_least, at_most, p50_of, rate_of, ratio
from benchmarks.rounds import Contender, Options, Table, compare
from benchmarks.sites import Site, World, serve

# Measured elsewhere, on 2 cores with PostgreSQL 15 and 8 clients: requests a second, and ms at 1 client.
INDICO_WEEK_MS, INDICO_CREATE, PRETIX_CREATE = 412.0, 45.0, 7.5
# What of bare SQL a booking has to reach, by clients.
SHARE_OF_SQL = {1: 0.25, 8: 0.15, 32: 0.18}
ELSEWHERE = "(measured elsewhere)"


@dataclass
class Result:
    """What a case found: tables, goals, and sentences."""

    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Take over what another case found."""
        self.tables += other.tables
        self.goals += other.goals
        self.notes += other.notes


def availability(world: World, engine: str, size: int, options: Options) -> Result:
    """Read a week of 20 rooms with 2,000 bookings."""
    site = world.site(engine, size)
    with ExitStack() as stack:
        port = stack.enter_context(serve(site.env, site.folder))
        found = [who.hello(stack, site), *who.weeks_of_ours(stack, site, port), *who.weeks_of_sql(site)]
        if not options.only or any("stock" in word for word in options.only):
            found.append(stock.week(site, stock.start(stack, site)))
        table = compare(f"A week of a store, {_about(site)}", found, options)
    return Result([table], _availability_goals(table, options))


def _availability_goals(table: Table, options: Options) -> list[Goal]:
    at = 8 if 8 in options.clients else options.clients[-1]
    ours, hello = rate_of(table, who.OURS_WEEK, at), rate_of(table, who.HELLO, at)
    polled, framework = rate_of(table, who.OURS_POLL, at), rate_of(table, stock.FAB_WEEK, at)
    p50 = p50_of(table, who.OURS_WEEK, 1)
    compared = f"Indico's calendar {ELSEWHERE} ÷ our p50, 1 client"
    return [
        at_least("P1", compared, 40, ratio(INDICO_WEEK_MS, p50)),
        at_least("P1", f"ours ÷ stock FAB's week, {at} clients", 8, ratio(ours, framework)),
        at_least("P1", f"ours ÷ hello, {at} clients", 0.25, ratio(ours, hello), "%"),
        at_least("P1", f"unchanged state ÷ hello, {at} clients", 0.40, ratio(polled, hello), "%"),
    ]


def create(world: World, engine: str, size: int, options: Options) -> Result:
    """Book with login, rules, price, idempotency and outbox; and be refused."""
    site = world.site(engine, size)
    with ExitStack() as stack:
        table = compare(f"Booking, {_about(site)}", _create_contenders(stack, site, options), options)
    return Result([table], _create_goals(table, options))


def _create_contenders(stack: ExitStack, site: Site, options: Options) -> list[Contender]:
    port = stack.enter_context(serve(site.env, site.folder))
    found = [*who.creates_of_ours(site, port), *who.creates_of_sql(site)]
    if not options.only or any("stock" in word for word in options.only):
        found.append(stock.create(site, stock.start(stack, site)))
    return found


def fastest_sql(table: Table, clients: int) -> float | None:
    """Return the rate of bare SQL, by whichever driver is faster."""
    rates = [rate_of(table, name, clients) for name in (who.SQL_CREATE, who.PGBENCH_CREATE)]
    return max((rate for rate in rates if rate is not None), default=None)


def _create_goals(table: Table, options: Options) -> list[Goal]:
    at = 8 if 8 in options.clients else options.clients[-1]
    ours, framework = rate_of(table, who.OURS_CREATE, at), rate_of(table, stock.FAB_CREATE, at)
    goals = [
        at_least(
            "P2",
            f"ours ÷ the faster bare SQL, {clients} clients",
            share,
            ratio(rate_of(table, who.OURS_CREATE, clients), fastest_sql(table, clients)),
            "%",
        )
        for clients, share in SHARE_OF_SQL.items()
    ]
    goals += [
        at_least("P2", f"ours ÷ stock FAB's POST, {at} clients", 3, ratio(ours, framework)),
        at_least("P2", f"ours ÷ Indico {ELSEWHERE}, {at} clients", 10, ratio(ours, INDICO_CREATE)),
        at_least("P2", f"ours ÷ pretix {ELSEWHERE}, {at} clients", 40, ratio(ours, PRETIX_CREATE)),
    ]
    for name in (who.OURS_TAKEN, who.OURS_OFF_STEP):
        slower = ratio(rate_of(table, name, at), ours)
        goals.append(at_least("P2", f"{name} ÷ booked, {at} clients", 1, slower))
    return goals


def growth(world: World, engine: str, sizes: list[int], options: Options) -> Result:
    """The same work at every size, taking turns."""
    with ExitStack() as stack:
        weeks, creates = [], []
        for size in sizes:
            site = world.site(engine, size)
            port = stack.enter_context(serve(site.env, site.folder))
            weeks.append(Contender(_name(size), who.weeks_of_ours(stack, site, port)[0].measure))
            creates.append(Contender(_name(size), who.creates_of_ours(site, port)[0].measure))
        week = compare(f"Growth: a week of a store, {engine}", weeks, replace(options, clients=(1,), only=()))
        book = compare(f"Growth: booking, {engine}", creates, replace(options, clients=(8,), only=()))
    return Result([week, book], _growth_goals(week, book, sizes))


def _growth_goals(week: Table, book: Table, sizes: list[int]) -> list[Goal]:
    small, large = min(sizes), max(sizes)
    # The first size of the goal is 10 k; below it the week is not full.
    full = [size for size in sizes if size >= 10_000] or sizes
    p50s = [row.p50 for row in week.rows if row.name in {_name(size) for size in full}]
    first = p50_of(week, _name(min(full)), 1)
    last = p50_of(week, _name(large), 1)
    slower = ratio(rate_of(book, _name(large), 8), rate_of(book, _name(small), 8))
    return [
        at_most("P4", f"p50 of a week at {_name(large)} ÷ at {_name(min(full))}", 1.3, ratio(last, first)),
        at_most("P4", "p50 of a week, worst size ÷ best size", 1.6, ratio(max(p50s), min(p50s))),
        at_least("P4", f"bookings a second at {_name(large)} ÷ at {_name(small)}", 0.75, slower),
    ]


def _about(site: Site) -> str:
    return f"{site.engine}, {_name(site.size)} bookings"


def _name(size: int) -> str:
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)
