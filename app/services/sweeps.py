"""Periodic jobs over many rows: each row on its own, and never longer than the time that a run may take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from app.domain.errors import DomainError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Services outside may hang; a run that waits for them must end before the next one is due to be given up.
BUDGET_SECONDS = 45.0


def within_budget(things: Iterable[T], seconds: float = BUDGET_SECONDS) -> Iterator[T]:
    """Yield *things* until the time is up; what is left comes with the next run."""
    until = time.monotonic() + seconds
    for thing in things:
        if time.monotonic() > until:
            return
        yield thing


def sweep(keys: Iterable[T], work: Callable[[T], Any]) -> int:
    """Do *work* for every key, so that a refused one holds up nobody, and return how many worked."""
    count = 0
    for key in within_budget(keys):
        try:
            count += bool(work(key))
        except DomainError as refusal:
            log.warning("row %s is tried again: %s", key, refusal.code)
    return count
