"""The last run of every periodic job, which is also what keeps a job from running twice at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from app.models import JobRun
from app.services.inserts import insert_into
from app.services.unit_of_work import session, transactional


@transactional
def claim_run(name: str, *, lease_seconds: int, now: datetime) -> bool:
    """Note that *name* starts; False while another run of it is under way.

    A run that never ended, because its process died, holds the job for `lease_seconds` only.
    """
    is_free = or_(
        JobRun.finished_at.is_not(None), JobRun.started_at <= now - timedelta(seconds=lease_seconds)
    )
    claimed = session().execute(
        insert_into(JobRun)
        .values(name=name, started_at=now, run_count=1, failure_count=0, last_error="")
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"started_at": now, "finished_at": None, "run_count": JobRun.run_count + 1},
            where=is_free,
        )
        .returning(JobRun.id)
    )
    return claimed.scalar() is not None


@transactional
def finish_run(
    name: str,
    *,
    started_at: datetime,
    duration_ms: int,
    handled_count: int | None,
    error: str,
    now: datetime,
) -> None:
    """Record the end of the run that was claimed at *started_at*; `error` is empty after a success."""
    session().execute(
        update(JobRun)
        .where(JobRun.name == name, JobRun.started_at == started_at, JobRun.finished_at.is_(None))
        .values(
            finished_at=now,
            duration_ms=duration_ms,
            handled_count=handled_count,
            failure_count=JobRun.failure_count + (1 if error else 0),
            last_error=error[:200],
        )
        .execution_options(synchronize_session=False)
    )


def list_runs() -> dict[str, JobRun]:
    """Return the last run of every job that ever ran, by name."""
    return {run.name: run for run in session().scalars(select(JobRun).order_by(JobRun.name))}
