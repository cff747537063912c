"""The way to the workers: jobs by dotted name and ids, only after commit, and never in anybody's way."""

from __future__ import annotations

import logging
from typing import Any

from redis.exceptions import RedisError
from rq import Queue

from app.extensions import redis_holder
from app.services.unit_of_work import after_commit, in_unit_of_work

log = logging.getLogger(__name__)

DEFAULT_QUEUE = "quefang"


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
    try:
        Queue(DEFAULT_QUEUE, connection=redis_holder.client).enqueue(
            job, *args, job_timeout=120, result_ttl=0
        )
    except (RedisError, OSError) as error:
        log.warning("job %s waits for its sweep, redis says %s", job, type(error).__name__)
