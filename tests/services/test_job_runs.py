"""The record of a job's last run, which is its lock as well."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.extensions import db
from app.services import job_runs

pytestmark = pytest.mark.usefixtures("app")
LEASE = 120


def claim(now: datetime) -> bool:
    db.session.expire_all()
    return job_runs.claim_run("sweep_outbox", lease_seconds=LEASE, now=now)


def finish(started_at: datetime, now: datetime, error: str = "") -> None:
    job_runs.finish_run(
        "sweep_outbox",
        started_at=started_at,
        duration_ms=12,
        handled_count=None if error else 3,
        error=error,
        now=now,
    )


@pytest.mark.parametrize(
    ("seconds", "is_free"),
    [
        pytest.param(1, False, id="just started"),
        pytest.param(LEASE - 1, False, id="right before the lease ends"),
        pytest.param(LEASE, True, id="lease over: the process died"),
    ],
)
def test_claim_while_another_run_never_ended(now: datetime, seconds: int, is_free: bool) -> None:
    assert claim(now)
    assert claim(now + timedelta(seconds=seconds)) is is_free


def test_claim_after_the_end(now: datetime) -> None:
    assert claim(now)
    finish(now, now + timedelta(seconds=1))
    assert claim(now + timedelta(seconds=1))
    run = job_runs.list_runs()["sweep_outbox"]
    assert (run.run_count, run.finished_at, run.handled_count) == (2, None, 3)


def test_failure_is_counted_and_forgiven(now: datetime) -> None:
    outcomes = []
    for minutes, error in enumerate(["OperationalError", ""]):
        at = now + timedelta(minutes=minutes)
        assert claim(at)
        finish(at, at, error)
        db.session.expire_all()
        run = job_runs.list_runs()["sweep_outbox"]
        outcomes.append((run.failure_count, run.last_error, run.handled_count))
    assert outcomes == [(1, "OperationalError", None), (1, "", 3)]


def test_run_that_was_taken_over_records_nothing(now: datetime) -> None:
    later = now + timedelta(seconds=LEASE)
    assert claim(now)
    assert claim(later)
    finish(now, later)
    run = job_runs.list_runs()["sweep_outbox"]
    assert (run.started_at, run.finished_at) == (later, None)
