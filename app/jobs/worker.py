"""The worker: does jobs one after the other in this process, outlives its Redis, and stops when asked."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import StopRequested
from rq.worker import SimpleWorker, WorkerStatus

from app.domain.clock import utc_now
from app.jobs.schedule import PERIODIC_QUEUE
from app.services.health import HEARTBEAT_SECONDS, LONGEST_SILENCE_SECONDS, WORKER_HEARTBEAT_KEY
from app.services.queue import DEFAULT_QUEUE

log = logging.getLogger(__name__)

# RQ waits 15 s less than this for a job and gives a connection 10 s more than it waits before it looks again.
WORKER_TTL_SECONDS = 20
RECONNECT_SECONDS = 1.0
# A job that is still at it then is cut off; its lease or its sweep brings it back.
STOP_SECONDS = 8.0
# Without a job there is only the leave-taking, for which a hung Redis would let us wait.
GOODBYE_SECONDS = 2.0


def end_within(seconds: float) -> None:
    """End this process after *seconds*, whatever it is still waiting for."""
    guard = threading.Timer(seconds, os._exit, (1,))
    guard.daemon = True
    guard.start()


class InProcessWorker(SimpleWorker):
    """RQ's worker without a fork for each job: one connection pool, ten times as many short jobs a second."""

    is_stopping = False

    def subscribe(self) -> None:
        """Listen to no remote commands: nobody sends any, and it would cost a thread and a connection."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Finish the job at hand, at most for STOP_SECONDS, then end; works without Redis too."""
        self.is_stopping = True
        if self.get_state() == WorkerStatus.BUSY:
            end_within(STOP_SECONDS)
            self._stop_requested = True
        else:
            end_within(GOODBYE_SECONDS)
            raise StopRequested()


class Heartbeat(threading.Thread):
    """Tells through Redis every few seconds that this process lives, also during a long job."""

    def __init__(self, connection: Redis) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._connection = connection
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Beat until stopped."""
        self.beat()
        while not self._stop_event.wait(HEARTBEAT_SECONDS):
            self.beat()

    def beat(self) -> None:
        """Write the instant; a Redis that is gone misses it and nothing else happens."""
        try:
            self._connection.set(WORKER_HEARTBEAT_KEY, utc_now().isoformat(), ex=2 * LONGEST_SILENCE_SECONDS)
        except (RedisError, OSError) as error:
            log.warning("no heartbeat, redis says %s", type(error).__name__)

    def stop(self) -> None:
        """End the thread at its next beat."""
        self._stop_event.set()


def make_worker(redis_url: str) -> InProcessWorker:
    """Return a worker of both queues, the clockwork's first, on a connection that may block.

    Raises RedisError when Redis does not answer.
    """
    # Its own connection: RQ stretches the time-outs of the one that it is given.
    connection = Redis.from_url(redis_url, socket_connect_timeout=2, retry=None)
    queues = [Queue(name, connection=connection) for name in (PERIODIC_QUEUE, DEFAULT_QUEUE)]
    return InProcessWorker(
        queues, connection=connection, worker_ttl=WORKER_TTL_SECONDS, log_job_description=False
    )


def run_worker(redis_url: str, heartbeat_connection: Redis) -> None:
    """Work until SIGTERM or SIGINT; a Redis that goes away is waited for."""
    stop = threading.Event()
    heartbeat = Heartbeat(heartbeat_connection)
    heartbeat.start()
    while not stop.is_set():
        _stop_on_signals(stop)
        if _work(redis_url):
            break
        stop.wait(RECONNECT_SECONDS)
    heartbeat.stop()


def _stop_on_signals(stop: threading.Event) -> None:
    """While no worker is there to hear the signals, they end the waiting for Redis."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        end_within(GOODBYE_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _work(redis_url: str) -> bool:
    """Work until asked to stop (True) or until Redis is gone (False)."""
    worker = None
    try:
        worker = make_worker(redis_url)
        worker.work(logging_level="WARNING")
    except (RedisError, OSError) as error:
        log.warning("the worker waits for Redis, which says %s", type(error).__name__)
    return worker is not None and worker.is_stopping
