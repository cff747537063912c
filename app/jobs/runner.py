"""Running jobs: each in an application context of its own, and periodic ones with a record of their run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app

from app.domain.actor import ALL_STORES
from app.domain.clock import utc_now
from app.domain.errors import DomainError
from app.extensions import use_scope
from app.jobs.schedule import PeriodicJob, find_job
from app.services import job_runs
from app.services.unit_of_work import session

log = logging.getLogger(__name__)

# As long as a worker lets a job run; after this a run that never ended has died.
JOB_TIMEOUT_SECONDS = 120


@contextmanager
def job_context() -> Iterator[None]:
    """Give a job its own database session, and sight of every store."""
    with current_app.app_context(), use_scope(ALL_STORES):
        yield


def run_job(name: str) -> int | None:
    """Run a periodic job once and record the run, failures too; None while another run is under way.

    Returns how many things were handled, 0 after a failure. Raises KeyError for an unknown name.
    """
    job = find_job(name)
    with job_context():
        started_at = utc_now()
        if not job_runs.claim_run(name, lease_seconds=JOB_TIMEOUT_SECONDS, now=started_at):
            log.info("job %s is already running", name)
            return None
        clock = time.monotonic()
        handled, error = _attempt(job)
        job_runs.finish_run(
            name,
            started_at=started_at,
            duration_ms=round((time.monotonic() - clock) * 1000),
            handled_count=handled,
            error=error,
            now=utc_now(),
        )
        return handled or 0


def _attempt(job: PeriodicJob) -> tuple[int | None, str]:
    """Run a job that must not take the process with it, whatever it raises."""
    try:
        return job.work(utc_now()), ""
    except DomainError as refusal:
        log.warning("job %s: %s", job.name, refusal.code)
        error = refusal.code
    except Exception as failure:
        log.exception("job %s failed", job.name)
        # The type alone: texts of the database hold values.
        error = type(failure).__name__
    session().rollback()
    return None, error
