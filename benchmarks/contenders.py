"""Everybody who takes part: the product, bare Flask, bare SQL and stock Flask-AppBuilder, on equal data."""

from __future__ import annotations

import json
from contextlib import ExitStack

from benchmarks import bare, pgbench
from benchmarks.feeds import Once, Poll, Repeat, Shopper, availability_path
from benchmarks.load import request
from benchmarks.rounds import Contender
from benchmarks.sites import Site, SiteError, fetch, serve

HELLO = "bare Flask hello"
OURS_WEEK = "ours, a booking changed before each read"
OURS_SAME = "ours, nothing changed"
OURS_POLL = "ours, polled with the known version (304)"
SQL_WEEK = "bare SQL to JSON, driver"
PGBENCH_WEEK = "bare SQL to JSON, pgbench"
OURS_CREATE = "ours, booked (201)"
OURS_TAKEN = "ours, refused as taken (409)"
OURS_OFF_STEP = "ours, refused by a rule (422)"
SQL_CREATE = "bare SQL, driver"
PGBENCH_CREATE = "bare SQL, pgbench"


def hello(stack: ExitStack, site: Site) -> Contender:
    """Return bare Flask."""
    port = stack.enter_context(serve(site.env, site.folder, "benchmarks.hello:application", path="/"))
    return Contender.over_http(HELLO, port, Repeat(request("GET", "/")))


def weeks_of_ours(stack: ExitStack, site: Site, port: int) -> list[Contender]:
    """Return our ways to read a week: changed, unchanged, and known to the client."""
    path = availability_path(site.facts)
    switch = bare.Switch(stack, site)
    _check_that_changes_show(port, path, switch)
    ask = request("GET", path)
    return [
        Contender.over_http(OURS_WEEK, port, Repeat(ask, before=switch)),
        Contender.over_http(OURS_SAME, port, Repeat(ask)),
        Contender.over_http(OURS_POLL, port, Poll(path)),
    ]


def _check_that_changes_show(port: int, path: str, switch: bare.Switch) -> None:
    """Raise unless each change is in the next answer, and taken back gives the first answer again."""
    seen = []
    for _ in range(3):
        status, body = fetch(port, "GET", path)
        if status != 200:
            raise SiteError(f"availability answers {status}: {body[:300]!r}")
        seen.append(json.loads(body)["rooms"][0]["spans"])
        switch.room(0)
    if seen[0] == seen[1] or seen[0] != seen[2]:
        raise SiteError("a changed booking does not show in the next answer")


def weeks_of_sql(site: Site) -> list[Contender]:
    """Return one query that builds the JSON of a week."""
    found = [Contender(SQL_WEEK, bare.Bare(bare.week_of, site).measure)]
    if site.engine == "postgresql" and pgbench.executable():
        found.append(Contender(PGBENCH_WEEK, pgbench.Pgbench(site, pgbench.week_script(site)).measure))
    return found


def creates_of_ours(site: Site, port: int) -> list[Contender]:
    """Return booking as it succeeds, and both kinds of refusals."""
    shopper = Shopper(site)
    feeds = (
        (OURS_CREATE, Once(shopper.free_places(), expected=frozenset({201}))),
        (OURS_TAKEN, Once(shopper.taken_places(), expected=frozenset({409}))),
        (OURS_OFF_STEP, Once(shopper.off_the_grid(), expected=frozenset({422}))),
    )
    return [Contender.over_http(name, port, feed) for name, feed in feeds]


def creates_of_sql(site: Site) -> list[Contender]:
    """Return the guarded inserts of a booking."""
    found = [Contender(SQL_CREATE, bare.Bare(bare.create_of, site).measure)]
    if site.engine == "postgresql" and pgbench.executable():
        found.append(Contender(PGBENCH_CREATE, pgbench.Pgbench(site, pgbench.create_script(site)).measure))
    return found
