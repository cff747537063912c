"""Booking, cancelling and expiring while workers are killed: nothing is lost and nothing is torn."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from datetime import timedelta

from app.domain.clock import utc_now
from app.services import clockwork
from tests.races.clients import PROCESSES, Racers, shop_around
from tests.races.conftest import Report, sized
from tests.races.web import OVERLAPS, Site

# Every booking must be what its order says, and every order of a customer has exactly one booking.
TORN = """
SELECT count(*) FROM orders JOIN bookings ON bookings.order_id = orders.id WHERE NOT (
    (orders.status = 'pending_payment' AND bookings.state = 'held')
    OR (orders.status = 'cancelled' AND bookings.state IN ('released', 'expired'))
)
"""
WITHOUT_BOOKING = """
SELECT count(*) FROM orders WHERE (SELECT count(*) FROM bookings WHERE order_id = orders.id) <> 1
OR (SELECT count(*) FROM order_events WHERE order_id = orders.id AND event = 'create') <> 1
"""


class Trouble(threading.Thread):
    """Kills a random worker again and again, and lets all open holds run out now and then."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site, self.dice = site, random.Random(7)
        self.kills = self.expired = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(1.5):
            with suppress(ProcessLookupError, IndexError):
                os.kill(self.dice.choice(self.site.worker_ids()), signal.SIGKILL)
                self.kills += 1
            if self.kills % 2 == 0:
                with self.site.look():
                    self.expired += clockwork.expire_holds(now=utc_now() + timedelta(days=2), limit=5)


@sized(count=(20, 1000))
def test_acknowledged_bookings_outlive_their_workers(
    site: Site, racers: Racers, count: int, report: Report
) -> None:
    slots, buyers = site.slots(20), site.buyers(PROCESSES)
    orders_before = site.numbers("SELECT no FROM orders")
    trouble = Trouble(site)
    trouble.start()
    try:
        runs = racers.race(shop_around, [(buyer, slots, seed, count) for seed, buyer in enumerate(buyers)])
    finally:
        trouble.is_over.set()
        trouble.join()

    answers = [answer for run in runs for answer in run]
    booked = [answer for kind, answer in answers if kind == "book" and answer.status == 201]
    happened = f"{trouble.kills} workers killed, {trouble.expired} holds expired"
    report(f"{len(answers)} attempts, {len(booked)} booked, {happened}")
    assert {answer.status for _, answer in answers} <= {200, 201, 409}
    assert {answer.code for _, answer in answers} <= {"", "room_taken", "invalid_transition"}
    assert trouble.kills >= len(answers) // 100 and trouble.expired > 0
    # One order for every acknowledged request, and none that nobody was told of.
    assert len({answer.body["no"] for answer in booked}) == len(booked)
    told = {answer.body["no"] for answer in booked}
    assert site.numbers("SELECT no FROM orders") - orders_before == told
    assert (site.scalar(OVERLAPS), site.scalar(TORN), site.scalar(WITHOUT_BOOKING)) == (0, 0, 0)
