"""The database crashes, or Redis is gone or hangs, while customers book: nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts.processes import wait_until
from tests.races.clients import Answer, Buyer, Slot
from tests.races.web import OVERLAPS, Site, serve
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("races")]
BACK_SECONDS = 5


class Customer(threading.Thread):
    """Books one place after the other until told to stop, each again and again until it is booked."""

    def __init__(self, buyer: Buyer, slots: list[Slot]) -> None:
        super().__init__()
        self.buyer, self.slots = buyer, slots
        self.answers: list[Answer] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        for slot in self.slots:
            while not self.is_over.is_set():
                self.answers.append(self.buyer.book(slot))
                # What was committed as its answer got lost is taken when it is tried again.
                if self.answers[-1].status in (201, 409):
                    break
                self.is_over.wait(0.05)

    def booked(self) -> set[str]:
        """The numbers of the acknowledged orders."""
        return {str(answer.body["no"]) for answer in list(self.answers) if answer.status == 201}


@contextmanager
def at_work(customers: list[Customer]) -> Iterator[None]:
    """Customers book during the block."""
    for customer in customers:
        customer.start()
    try:
        yield
    finally:
        for customer in customers:
            customer.is_over.set()
        for customer in customers:
            customer.join()


def new_database(server: PostgresServer) -> str:
    """Make a database that goes away with its server."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE faults")
    return server.url.replace("postgresql://", "postgresql+psycopg://").replace("/postgres", "/faults")


def test_acknowledged_bookings_survive_crashes_of_postgresql(redis_url: str, tmp_path: Path) -> None:
    with postgres_server() as server, serve(new_database(server), redis_url, tmp_path) as site:
        places = site.slots(1200)
        customers = [Customer(buyer, places[number::4]) for number, buyer in enumerate(site.buyers(4))]
        probe = site.buyers(1)[0]
        with at_work(customers):
            for _ in range(3):
                goal = max(len(customer.booked()) for customer in customers) + 3
                assert wait_until(lambda goal=goal: all(len(each.booked()) >= goal for each in customers), 60)
                server.crash()
                assert wait_until(lambda: probe.get("/orders").status == 503, 10)
                server.start()
                assert wait_until(lambda: probe.get("/orders").status == 200, BACK_SECONDS)

        site.reconnect()
        told = {(answer.status, answer.code) for customer in customers for answer in customer.answers}
        assert (
            {(201, ""), (503, "unavailable")}
            <= told
            <= {(201, ""), (503, "unavailable"), (409, "room_taken")}
        )
        acknowledged = set().union(*(customer.booked() for customer in customers))
        assert acknowledged <= site.numbers("SELECT no FROM orders")
        assert site.scalar(OVERLAPS) == 0
        assert site.scalar("SELECT count(*) FROM orders") == site.scalar("SELECT count(*) FROM bookings")


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def site(own_redis: RedisServer, tmp_path: Path) -> Iterator[Site]:
    """The product on SQLite, with a Redis that may be stopped."""
    with serve(f"sqlite:///{tmp_path / 'fault.db'}", own_redis.url, tmp_path) as running:
        yield running


FAULTS: list[tuple[str, Callable[[RedisServer], object]]] = [
    ("gone", RedisServer.crash),
    ("hung", RedisServer.pause),
]


@pytest.mark.parametrize(("label", "fault"), FAULTS, ids=[row[0] for row in FAULTS])
def test_booking_does_not_need_redis(
    site: Site, own_redis: RedisServer, label: str, fault: Callable[[RedisServer], object]
) -> None:
    buyer, places = site.buyers(1)[0], itertools.cycle(site.slots(20))
    assert buyer.book(next(places)).status == 201
    notices = site.scalar("SELECT count(*) FROM notifications")

    fault(own_redis)
    try:
        started = time.monotonic()
        answers = [buyer.book(next(places)) for _ in range(5)]
        answers += [buyer.post(f"/orders/{answer.body['no']}/cancel", {}) for answer in answers[:2]]
        seconds = time.monotonic() - started
    finally:
        own_redis.resume() if label == "hung" else own_redis.start()

    assert [answer.status for answer in answers] == [201] * 5 + [200] * 2
    # Whatever waits for Redis gives up long before a customer would.
    assert seconds < 30
    assert site.scalar("SELECT count(*) FROM notifications") > notices
    assert site.scalar("SELECT count(*) FROM orders") == 6
