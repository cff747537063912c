"""Handing jobs over: after the commit, and without holding anybody up when Redis is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from flask import Flask
from rq import Queue

from app.extensions import redis_holder
from app.services import queue
from app.services.unit_of_work import run_in_transaction
from tests.servers import redis_server


@pytest.fixture
def jobs(app: Flask) -> Iterator[Queue]:
    """The workers' queue, empty before and after."""
    jobs = Queue(queue.DEFAULT_QUEUE, connection=redis_holder.client)
    jobs.empty()
    yield jobs
    jobs.empty()


def test_enqueue_waits_for_the_commit(jobs: Queue) -> None:
    def work() -> None:
        queue.enqueue("app.jobs.send_refund", 7)
        assert jobs.count == 0

    run_in_transaction(work)
    assert [(job.func_name, job.args) for job in jobs.get_jobs()] == [("app.jobs.send_refund", (7,))]


def test_enqueue_is_forgotten_with_its_transaction(jobs: Queue) -> None:
    def work() -> None:
        queue.enqueue("app.jobs.send_refund", 7)
        raise RuntimeError("undo")

    with pytest.raises(RuntimeError, match="undo"):
        run_in_transaction(work)
    assert jobs.count == 0


@pytest.mark.faults
def test_hung_redis_is_waited_for_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue, "_pause", queue._Pause())
    with redis_server() as server:
        redis_holder.configure(server.url, 0.5)
        server.pause()
        began = time.monotonic()
        try:
            for _ in range(20):
                queue.enqueue("app.jobs.send_refund", 7)
        finally:
            server.resume()
            redis_holder.configure(app.config["REDIS_URL"], app.config["REDIS_TIMEOUT_SECONDS"])
        # Twenty tries of half a second each would take ten.
        assert time.monotonic() - began < queue.REDIS_PAUSE_SECONDS
        assert len([record for record in caplog.records if "wait for their sweeps" in record.message]) == 1
