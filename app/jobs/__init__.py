"""Thin jobs that services hand over by dotted name; whatever fails here is found again by a periodic job."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from app.domain.clock import utc_now
from app.jobs.runner import job_context
from app.services import notification_delivery, refunds

log = logging.getLogger(__name__)


def _job(function: Callable[[int], object]) -> Callable[[int], None]:
    """Run *function* in a context of its own; a failure is logged and left to the sweeps."""

    @functools.wraps(function)
    def run(subject_id: int) -> None:
        with job_context():
            try:
                function(subject_id)
            except Exception:
                log.exception("%s %s is left to its sweep", function.__name__, subject_id)

    return run


@_job
def deliver_notification(notification_id: int) -> None:
    """Send one message of the outbox."""
    notification_delivery.deliver(notification_id, now=utc_now())


@_job
def send_refund(refund_id: int) -> None:
    """Send one refund to its payment service, or ask after it."""
    refunds.send_refund(refund_id, now=utc_now())
