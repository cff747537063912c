"""Running jobs: the record of a run, one run at a time, and failures that stay where they happened."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import select

import app.jobs as jobs
from app.domain.clock import utc_now
from app.domain.errors import Unavailable
from app.extensions import current_scope, db
from app.jobs import runner
from app.jobs.schedule import JOBS, PeriodicJob
from app.models import JobRun, Store
from app.services import job_runs, notification_delivery
from tests.factories import make_store

pytestmark = pytest.mark.usefixtures("app")
NAME = "for_tests"


def count_stores(*, now: datetime) -> int:
    """A service that leaves its session as it was after a read."""
    assert current_scope().is_all
    return len(db.session.scalars(select(Store)).all())


def fail_half_way(*, now: datetime) -> int:
    db.session.add(Store(name="never saved"))
    db.session.flush()
    raise ValueError("a secret value")


def refuse(*, now: datetime) -> int:
    raise Unavailable()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make the list consist of one job that calls a function of this file."""
    job = PeriodicJob(NAME, f"{__name__}:{request.param}", 15)
    monkeypatch.setattr(runner, "find_job", {NAME: job}.__getitem__)


def last_run() -> JobRun:
    db.session.rollback()
    db.session.expire_all()
    return job_runs.list_runs()[NAME]


@pytest.mark.parametrize("service", ["count_stores"], indirect=True)
def test_run_job_records_its_run(service: None) -> None:
    make_store()
    assert runner.run_job(NAME) == 1
    run = last_run()
    assert (run.handled_count, run.run_count, run.last_error) == (1, 1, "")
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at


@pytest.mark.parametrize(
    ("service", "error"),
    [
        pytest.param("fail_half_way", "ValueError", id="crash: its type, never its text"),
        pytest.param("refuse", "unavailable", id="refusal: its code"),
    ],
    indirect=["service"],
)
def test_run_job_records_failures(service: None, error: str) -> None:
    assert runner.run_job(NAME) == 0
    run = last_run()
    assert (run.handled_count, run.failure_count, run.last_error) == (None, 1, error)
    assert run.finished_at is not None
    assert db.session.scalars(select(Store)).all() == []


@pytest.mark.parametrize("service", ["count_stores"], indirect=True)
def test_run_job_while_it_is_running(service: None) -> None:
    started_at = utc_now()
    job_runs.claim_run(NAME, lease_seconds=runner.JOB_TIMEOUT_SECONDS, now=started_at)
    assert runner.run_job(NAME) is None
    assert last_run().started_at == started_at


def test_run_job_of_an_unknown_name() -> None:
    with pytest.raises(KeyError):
        runner.run_job("no_such_job")
    assert job_runs.list_runs() == {}


@pytest.mark.parametrize("job", JOBS, ids=[job.name for job in JOBS])
def test_every_job_of_the_list_runs_on_an_empty_database(job: PeriodicJob) -> None:
    assert runner.run_job(job.name) == 0
    run = job_runs.list_runs()[job.name]
    assert run.last_error == ""


def test_names_of_the_list_are_unique() -> None:
    names = [job.name for job in JOBS]
    assert len(names) == len(set(names))


def test_job_that_fails_is_logged_and_no_more(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(notification_id: int, *, now: datetime) -> bool:
        raise RuntimeError

    monkeypatch.setattr(notification_delivery, "deliver", fail)
    jobs.deliver_notification(7)
    assert "deliver_notification 7 is left to its sweep" in caplog.text
