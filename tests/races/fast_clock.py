"""A clock that runs faster than the wall's, so that holds, stays and deadlines end within a race."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

VARIABLE = "RACE_CLOCK"
# A minute of the shop is a second of the race.
FACTOR = 60


@dataclass(frozen=True, slots=True)
class FastClock:
    """Began with the wall's clock at `since` (epoch seconds) and runs `factor` times as fast."""

    since: float
    factor: int = FACTOR

    def seconds(self) -> float:
        """Return the present instant in epoch seconds."""
        return self.since + (time.time() - self.since) * self.factor

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def in_words(self) -> str:
        """Return what `from_environment` of another process reads."""
        return f"{self.since!r}:{self.factor}"


WALL_CLOCK = FastClock(0, 1)


def start_clock() -> FastClock:
    """Return a clock that begins now."""
    return FastClock(time.time())


def from_environment() -> FastClock:
    """Return the clock that the process which started this one goes by."""
    since, _, factor = os.environ[VARIABLE].partition(":")
    return FastClock(float(since), int(factor))


def install(*modules: Any) -> FastClock:
    """Let the given modules, which read the wall's clock by `datetime.now`, go by the environment's clock."""
    clock = from_environment()

    class Fast(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now().astimezone(tz)

    for module in modules:
        module.datetime = Fast
    return clock


def stamp_requests(clock: FastClock) -> None:
    """Let the payment library stamp its requests by the clock, as the service that reads them does."""
    from wechatpayv3 import utils

    utils.time = SimpleNamespace(time=clock.seconds)


def rounded_up(at: datetime, minutes: int) -> datetime:
    """Return the first full multiple of *minutes* of the hour at or after *at*."""
    step = timedelta(minutes=minutes)
    start = at.replace(minute=0, second=0, microsecond=0)
    return start + -(-(at - start) // step) * step
