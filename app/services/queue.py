"""The way to the workers: jobs by dotted name and ids, only after commit, and never in anybody's way."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from rq import Queue

from app.extensions import redis_holder
from app.services.unit_of_work import after_commit, in_unit_of_work

log = logging.getLogger(__name__)

DEFAULT_QUEUE = "quefang"
JOB_TIMEOUT_SECONDS = 120
FAILURE_TTL_SECONDS = 24 * 3600
# A hung Redis costs its whole time-out at every try, which nobody who books or pays shall wait for twice.
REDIS_PAUSE_SECONDS = 5.0


@dataclass
class _Pause:
    until: float = 0.0


_pause = _Pause()


def enqueue(job: str, *args: Any) -> None:
    """Hand *job* (dotted name) to a worker once the transaction is committed.

    A Redis that is gone costs nothing but time: what must happen is also in the database, and the
    periodic jobs pick it up.
    """
    if in_unit_of_work():
        after_commit(lambda: _enqueue_now(job, args))
    else:
        _enqueue_now(job, args)


def _enqueue_now(job: str, args: tuple[Any, ...]) -> None:
    if time.monotonic() < _pause.until:
        return
    try:
        Queue(DEFAULT_QUEUE, connection=redis_holder.client).enqueue(
            job,
            *args,
            job_timeout=JOB_TIMEOUT_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_SECONDS,
        )
    except (RedisError, OSError) as error:
        _pause.until = time.monotonic() + REDIS_PAUSE_SECONDS
        log.warning("jobs such as %s wait for their sweeps, redis says %s", job, type(error).__name__)
