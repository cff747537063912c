"""The clockwork as processes of their own: `python -m tests.races.sweeper`; whoever dies is replaced.

Two of them sweep at the same time, as when a run outlives its lease: every job may run twice.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback

from flask import Flask

from app.domain.clock import utc_now
from app.extensions import db
from app.jobs.runner import job_context
from app.jobs.schedule import find_job
from scripts.processes import die_with_parent
from tests.races.builds import create_app

SWEEPERS = 2
PAUSE_SECONDS = 0.1
JOBS = (
    "expire_unpaid_holds",
    "expire_unpaid_changes",
    "query_silent_payments",
    "settle_open_refunds",
    "advance_bookings",
    "warn_of_starts_and_ends",
)


def sweep_once() -> None:
    """Run every job of bookings and their money once, with a fresh present for each."""
    for name in JOBS:
        with job_context():
            find_job(name).work(utc_now())
            db.session.remove()


def sweep_forever(app: Flask) -> None:
    """Sweep until killed; what a job raises is written to the log, where the race looks for it."""
    with app.app_context():
        while True:
            try:
                sweep_once()
            except Exception:
                traceback.print_exc(file=sys.stderr)
            time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Start the sweepers and start another one whenever one ends."""
    logging.basicConfig(level=logging.ERROR)
    app = create_app(with_back_office=False)
    with app.app_context():
        db.engine.dispose()
    for _ in range(SWEEPERS):
        _fork(app)
    while True:
        os.wait()
        _fork(app)


def _fork(app: Flask) -> None:
    prepare = die_with_parent()
    if os.fork() == 0:
        prepare()
        sweep_forever(app)


if __name__ == "__main__":
    main()
