"""Kills workers and sweepers at random while a race goes on, and looks at the rooms meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress

from scripts.processes import Process
from tests.races.clients import Racers
from tests.races.web import OVERLAPS, Site, children_of

# More often than one in a hundred, because the last attempts of a race come when nobody is killed any more.
ATTEMPTS_FOR_A_KILL = 80
LOOK_SECONDS = 0.05
LOOKS_BETWEEN = 20


class Trouble(threading.Thread):
    """While the block lasts, kills one process for every 80 attempts: a sweeper in one of five cases."""

    def __init__(self, site: Site, racers: Racers, sweeper: Process | None = None) -> None:
        super().__init__()
        self._site, self._racers, self._sweeper = site, racers, sweeper
        self._dice, self._is_over = random.Random(7), threading.Event()
        self._before = racers.attempts
        self.kills = self.overlaps = 0

    def __enter__(self) -> Trouble:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        looks = 0
        while not self._is_over.wait(LOOK_SECONDS):
            if self._racers.attempts - self._before > self.kills * ATTEMPTS_FOR_A_KILL:
                self._kill()
            looks += 1
            if looks % LOOKS_BETWEEN == 0:
                self.overlaps += self._site.scalar(OVERLAPS)

    def _kill(self) -> None:
        is_sweeper = self._sweeper is not None and self._dice.random() < 0.2
        found = children_of(self._sweeper) if self._sweeper and is_sweeper else self._site.worker_ids()
        # A moment without any is one in which they are started anew.
        with suppress(ProcessLookupError, IndexError):
            os.kill(self._dice.choice(found), signal.SIGKILL)
            self.kills += 1
