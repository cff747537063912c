"""Stock Flask-AppBuilder as a contender: started on a copy of the bookings, read and written over HTTP."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

import psycopg

from benchmarks import bare
from benchmarks.feeds import HOUR, SALE_PITCH, Once, Repeat
from benchmarks.load import request
from benchmarks.rounds import Contender
from benchmarks.sites import Site, SiteError, fetch, run_module, serve

FAB_WEEK = "stock FAB, the week's list page by page"
FAB_CREATE = "stock FAB POST, no rules"
USER, PASSWORD = "bench", "bench-password-1"
# The most that the framework gives at once.
PAGE = 100


@dataclass(frozen=True)
class Stock:
    """A running stock Flask-AppBuilder."""

    port: int
    token: str


def start(stack: ExitStack, site: Site) -> Stock:
    """Start stock Flask-AppBuilder on a copy of the bookings and log in."""
    folder = site.folder / "stock"
    folder.mkdir(exist_ok=True)
    env = site.env | {"STOCK_DATABASE_URL": _stock_database(site)}
    run_module(env, "benchmarks.stock_fab")
    _copy_to_stock(site)
    port = stack.enter_context(serve(env, folder, "benchmarks.stock_fab:create_app()", path="/login/"))
    login = {"username": USER, "password": PASSWORD, "provider": "db"}
    status, body = fetch(
        port, "POST", "/api/v1/security/login", json.dumps(login), {"Content-Type": "application/json"}
    )
    if status != 200:
        raise SiteError(f"stock FAB answers {status} to the login")
    return Stock(port, json.loads(body)["access_token"])


def _stock_file(site: Site) -> str:
    return str(site.folder / "stock" / "stock.db")


def _stock_database(site: Site) -> str:
    """Make the place of stock tables: a schema of the site's database, or a file beside it."""
    if site.engine == "sqlite":
        return f"sqlite:///{_stock_file(site)}"
    with psycopg.connect(site.database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS stock")
    address = site.database.replace("postgresql://", "postgresql+psycopg://")
    return f"{address}?options=-csearch_path%3Dstock"


STOCK_COPY = """
INSERT INTO stock.bookings (id, store_id, room_id, customer_id, state, start_at, end_at, note)
SELECT b.id, b.store_id, b.room_id, o.customer_id, b.state, b.start_at, b.end_at, ''
FROM {main}.bookings AS b JOIN {main}.orders AS o ON o.id = b.order_id
WHERE NOT EXISTS (SELECT 1 FROM stock.bookings AS s WHERE s.id = b.id)
"""


def _copy_to_stock(site: Site) -> None:
    if site.engine == "sqlite":
        embedded = sqlite3.connect(site.database)
        embedded.execute("ATTACH ? AS stock", [_stock_file(site)])
        embedded.execute(STOCK_COPY.format(main="main"))
        embedded.commit()
        embedded.close()
        return
    with psycopg.connect(site.database, autocommit=True) as connection:
        connection.execute(STOCK_COPY.format(main="public").encode())
        connection.execute("SELECT setval('stock.bookings_id_seq', (SELECT max(id) FROM stock.bookings))")
        connection.execute("ANALYZE stock.bookings")


def week(site: Site, running: Stock) -> Contender:
    """Return the framework's list of a store's week, read to its end."""
    start, end = (datetime.fromisoformat(text) for text in site.facts.window)
    filters = f"(col:store_id,opr:eq,value:{site.facts.store_id})"
    filters += f",(col:start_at,opr:gt,value:'{start - timedelta(seconds=1):%Y-%m-%d %H:%M:%S}')"
    filters += f",(col:start_at,opr:lt,value:'{end:%Y-%m-%d %H:%M:%S}')"
    paths = (_page(filters, number) for number in count())
    pages: list[bytes] = []
    for path in paths:
        status, body = fetch(running.port, "GET", path, headers={"Authorization": f"Bearer {running.token}"})
        found = json.loads(body)
        if status != 200:
            raise SiteError(f"stock FAB answers {status}: {body[:300]!r}")
        pages.append(request("GET", path, token=running.token))
        if len(pages) * PAGE >= found["count"]:
            break
    return Contender.over_http(FAB_WEEK, running.port, Repeat(*pages))


def _page(filters: str, number: int) -> str:
    # Only what is needed, as a client would ask that cares for speed.
    wanted = "columns:!(room_id,start_at,end_at,state),keys:!(none)"
    query = f"(filters:!({filters}),{wanted},page:{number},page_size:{PAGE})"
    return "/api/v1/booking/?q=" + query.replace(" ", "%20")


def create(site: Site, running: Stock) -> Contender:
    """Return the framework's insert of a row."""
    return Contender.over_http(
        FAB_CREATE, running.port, Once(_stock_bookings(site, running), expected=frozenset({201}))
    )


def _stock_bookings(site: Site, running: Stock) -> Iterator[bytes]:
    rooms, first_at = site.facts.sale_room_ids, datetime.fromisoformat(site.facts.first_free_at)
    for number in count():
        start_at = first_at + number // len(rooms) * SALE_PITCH
        row = {
            "store_id": site.facts.store_id,
            "room_id": rooms[number % len(rooms)],
            "customer_id": 1 + number % bare.CUSTOMERS,
            "state": "held",
            "start_at": f"{start_at:%Y-%m-%dT%H:%M:%S}",
            "end_at": f"{start_at + HOUR:%Y-%m-%dT%H:%M:%S}",
            "note": "",
        }
        yield request("POST", "/api/v1/booking/", token=running.token, body=json.dumps(row).encode())
