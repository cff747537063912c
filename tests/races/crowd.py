"""A crowd of threads that all begin at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
WAIT_SECONDS = 60


def together(things: Sequence[Any], work: Callable[[Any], T]) -> list[T]:
    """Do *work* with every thing in a thread of its own, all at once; the results in the order of things."""
    barrier = threading.Barrier(len(things))

    def run(thing: Any) -> T:
        barrier.wait(WAIT_SECONDS)
        return work(thing)

    with ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(run, things))
