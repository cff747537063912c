"""The scheduler: hands due jobs to a worker, and does them itself when Redis or the workers are gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from app.jobs.runner import JOB_TIMEOUT_SECONDS, run_job
from app.jobs.schedule import JOBS, PERIODIC_QUEUE, PeriodicJob

log = logging.getLogger(__name__)

RUN_JOB = "app.jobs.runner.run_job"
# After this long in the queue no worker is likely to come.
PATIENCE_SECONDS = 45.0
# A hung Redis costs its time-out at every try, so it is left alone for a while after each failure.
REDIS_PAUSE_SECONDS = 5.0
FAILURE_TTL_SECONDS = 24 * 3600
LONGEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that was handed over: the worker's job and when that was."""

    job_id: str
    since: float


class Scheduler:
    """Decides from its own clock what is due; the jobs' locks make a second scheduler harmless."""

    def __init__(
        self,
        connection: Redis,
        *,
        jobs: Sequence[PeriodicJob] = JOBS,
        run: Callable[[str], object] = run_job,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = Queue(PERIODIC_QUEUE, connection=connection)
        self._jobs, self._run, self._clock = jobs, run, clock
        self._due = {job.name: clock() for job in jobs}
        self._waiting: dict[str, Waiting] = {}
        self._redis_pause_until = clock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the loop to end after the job that it is at."""
        self._stop.set()

    def run_forever(self) -> None:
        """Do what is due until `stop` is called."""
        while not self._stop.is_set():
            self.tick()
            self._stop.wait(min(LONGEST_WAIT_SECONDS, self.seconds_to_next()))

    def seconds_to_next(self) -> float:
        """Return how long nothing is due."""
        return max(0.0, min(self._due.values()) - self._clock())

    def tick(self) -> None:
        """Start every job that is due, once."""
        for job in self._jobs:
            if self._stop.is_set():
                return
            if self._clock() >= self._due[job.name]:
                self._due[job.name] = self._clock() + job.every_seconds
                self._start(job)

    def _start(self, job: PeriodicJob) -> None:
        if self._hand_over(job):
            return
        try:
            self._run(job.name)
        except Exception:
            # Most likely the database is gone; the clock has to go on for when it is back.
            log.exception("job %s could not be run", job.name)

    def _hand_over(self, job: PeriodicJob) -> bool:
        """Put the job into the workers' queue, at most once; False when it has to be done here."""
        if self._clock() < self._redis_pause_until:
            return False
        try:
            waiting = self._waiting.get(job.name)
            if waiting is not None and self._is_queued(waiting):
                return self._clock() - waiting.since <= PATIENCE_SECONDS
            self._waiting[job.name] = Waiting(self._enqueue(job), self._clock())
        except (RedisError, OSError) as error:
            self._redis_pause_until = self._clock() + REDIS_PAUSE_SECONDS
            log.warning("job %s runs here, redis says %s", job.name, type(error).__name__)
            return False
        return True

    def _is_queued(self, waiting: Waiting) -> bool:
        return self._queue.connection.lpos(self._queue.key, waiting.job_id) is not None

    def _enqueue(self, job: PeriodicJob) -> str:
        queued = self._queue.enqueue(
            RUN_JOB,
            job.name,
            job_timeout=JOB_TIMEOUT_SECONDS,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_SECONDS,
        )
        return str(queued.id)
