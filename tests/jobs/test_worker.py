"""Worker and scheduler as processes: they outlive their Redis, tell that they live, and stop when asked."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from app import create_app
from app.jobs.schedule import PERIODIC_QUEUE
from app.jobs.worker import STOP_SECONDS
from app.services.health import WORKER_HEARTBEAT_KEY
from config import TestingSettings
from scripts.processes import Process, tail, wait_until
from tests.servers import RedisServer, redis_server

pytestmark = pytest.mark.faults
SECONDS = 30
STOP_LIMIT_SECONDS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance folder with a migrated SQLite database."""
    from flask_migrate import upgrade

    folder = tmp_path_factory.mktemp("worker")
    settings = TestingSettings()
    settings.INSTANCE_DIR = str(folder)
    settings.SQLALCHEMY_DATABASE_URI = f"sqlite:///{folder / 'quefang.db'}"
    with create_app(settings).app_context():
        upgrade()
    return folder


@pytest.fixture
def redis(folder: Path) -> Iterator[RedisServer]:
    """A Redis that this test may kill."""
    with redis_server() as server:
        yield server


def start(command: str, folder: Path, redis: RedisServer) -> Process:
    """Start `flask <command>` as `make run` does."""
    names = ("PATH", "HOME", "PYTHONDONTWRITEBYTECODE")
    env = {name: os.environ[name] for name in names if name in os.environ}
    env |= {
        "FLASK_APP": "app:create_app",
        "QUEFANG_MODE": "testing",
        "INSTANCE_DIR": str(folder),
        "REDIS_URL": redis.url,
        "PYTHONUNBUFFERED": "1",
    }
    arguments = [sys.executable, "-m", "flask", command]
    process = Process(command, arguments, env=env, log=redis.folder / f"{command}.log")
    process.start()
    return process


@pytest.fixture
def worker(folder: Path, redis: RedisServer) -> Iterator[Process]:
    """A worker that is up."""
    process = start("worker", folder, redis)
    try:
        wait_for(lambda: lives(redis), process)
        yield process
    finally:
        process.stop(STOP_LIMIT_SECONDS)


def wait_for(condition, process: Process) -> None:  # type: ignore[no-untyped-def]
    assert wait_until(condition, SECONDS), tail(process.log)


def lives(redis: RedisServer) -> bool:
    """Tell whether a worker has beaten in this Redis."""
    connection = Redis.from_url(redis.url)
    try:
        return connection.get(WORKER_HEARTBEAT_KEY) is not None
    except RedisError:
        return False
    finally:
        connection.close()


def runs_of(folder: Path, name: str) -> int:
    """How often the periodic job has been started."""
    connection = sqlite3.connect(folder / "quefang.db", timeout=10)
    try:
        found = connection.execute("SELECT run_count FROM job_runs WHERE name = ?", (name,)).fetchone()
    finally:
        connection.close()
    return found[0] if found else 0


def hand_over(redis: RedisServer, name: str) -> None:
    connection = Redis.from_url(redis.url)
    Queue(PERIODIC_QUEUE, connection=connection).enqueue("app.jobs.runner.run_job", name, result_ttl=0)
    connection.close()


def assert_stops(process: Process, number: int) -> None:
    """Signal the process and see it end by itself within the limit."""
    began = time.monotonic()
    assert process.stop(STOP_LIMIT_SECONDS, with_signal=number), tail(process.log)
    assert time.monotonic() - began < STOP_LIMIT_SECONDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_worker_does_jobs_and_stops(
    worker: Process, folder: Path, redis: RedisServer, number: signal.Signals
) -> None:
    before = runs_of(folder, "advance_bookings")
    hand_over(redis, "advance_bookings")
    wait_for(lambda: runs_of(folder, "advance_bookings") == before + 1, worker)
    assert_stops(worker, number)


def test_worker_comes_back_after_a_crash_of_redis(worker: Process, folder: Path, redis: RedisServer) -> None:
    redis.crash()
    redis.start()
    assert not lives(redis)
    before = runs_of(folder, "expire_vouchers")
    hand_over(redis, "expire_vouchers")
    wait_for(lambda: runs_of(folder, "expire_vouchers") == before + 1, worker)
    wait_for(lambda: lives(redis), worker)


def test_worker_outlives_a_redis_that_hangs(worker: Process, folder: Path, redis: RedisServer) -> None:
    before = runs_of(folder, "fail_overdue_teams")
    redis.pause()
    try:
        wait_for(lambda: "no heartbeat" in tail(worker.log), worker)
    finally:
        redis.resume()
    hand_over(redis, "fail_overdue_teams")
    wait_for(lambda: runs_of(folder, "fail_overdue_teams") == before + 1, worker)


@pytest.mark.parametrize("trouble", ["crash", "pause"], ids=["Redis gone", "Redis hangs"])
def test_worker_stops_without_redis(worker: Process, redis: RedisServer, trouble: str) -> None:
    getattr(redis, trouble)()
    try:
        assert_stops(worker, signal.SIGTERM)
    finally:
        redis.resume()
    assert STOP_SECONDS < STOP_LIMIT_SECONDS


def test_worker_started_before_its_redis(folder: Path, redis: RedisServer) -> None:
    redis.stop()
    process = start("worker", folder, redis)
    try:
        wait_for(lambda: "waits for Redis" in tail(process.log), process)
        redis.start()
        wait_for(lambda: lives(redis), process)
    finally:
        process.stop(STOP_LIMIT_SECONDS)


def test_scheduler_does_everything_itself_without_redis(folder: Path, redis: RedisServer) -> None:
    redis.stop()
    before = runs_of(folder, "forget_idempotency_keys")
    process = start("scheduler", folder, redis)
    try:
        # The last of the list: all others ran before it.
        wait_for(lambda: runs_of(folder, "forget_idempotency_keys") == before + 1, process)
    finally:
        assert_stops(process, signal.SIGTERM)


def test_scheduler_and_worker_together(worker: Process, folder: Path, redis: RedisServer) -> None:
    before = runs_of(folder, "forget_idempotency_keys")
    scheduler = start("scheduler", folder, redis)
    try:
        wait_for(lambda: runs_of(folder, "forget_idempotency_keys") == before + 1, worker)
        assert "runs here" not in tail(scheduler.log)
    finally:
        assert_stops(scheduler, signal.SIGINT)
