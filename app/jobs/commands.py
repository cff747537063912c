"""Commands that start the worker and the scheduler, and look after the periodic jobs."""

from __future__ import annotations

import logging
import signal

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from app.domain.actor import ALL_STORES
from app.extensions import redis_holder, use_scope
from app.jobs.runner import run_job
from app.jobs.schedule import JOBS
from app.services import job_runs

jobs_group = AppGroup("jobs", help="Look at the periodic jobs and run one by hand.")


def register_commands(app: Flask) -> None:
    """Add `flask worker`, `flask scheduler` and `flask jobs …`."""
    app.cli.add_command(start_worker)
    app.cli.add_command(start_scheduler)
    app.cli.add_command(jobs_group)


def _log_to_console() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@click.command("worker")
@with_appcontext
def start_worker() -> None:
    """Do jobs until stopped; start as many as there is work for."""
    from app.jobs.worker import run_worker

    _log_to_console()
    run_worker(current_app.config["REDIS_URL"], redis_holder.client)


@click.command("scheduler")
@with_appcontext
def start_scheduler() -> None:
    """Hand out the periodic jobs until stopped."""
    from app.jobs.scheduler import Scheduler

    _log_to_console()
    scheduler = Scheduler(redis_holder.client)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stop())
    scheduler.run_forever()


@jobs_group.command("list")
def list_jobs() -> None:
    """Show every periodic job with its last run."""
    with use_scope(ALL_STORES):
        runs = job_runs.list_runs()
    for job in JOBS:
        run = runs.get(job.name)
        last = "never"
        if run is not None:
            last = f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC, {run.handled_count} handled {run.last_error}"
        click.echo(f"{job.name:28} every {job.every_seconds:>5} s   last: {last.rstrip()}")


@jobs_group.command("run")
@click.argument("name", type=click.Choice([job.name for job in JOBS]))
def run_one(name: str) -> None:
    """Run the job NAME once, now."""
    handled = run_job(name)
    click.echo("It is running elsewhere." if handled is None else f"{name}: {handled} handled")
    with use_scope(ALL_STORES):
        run = job_runs.list_runs().get(name)
    if handled is not None and run is not None and run.last_error:
        raise click.ClickException(run.last_error)
