"""The one list of everything that happens because time passes."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from datetime import datetime
from typing import cast

# Kept apart from other work, so that a long queue of messages never delays the clockwork.
PERIODIC_QUEUE = "quefang-periodic"


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """One entry: a name for people, the service function by dotted name, and how often it runs.

    The function takes `now`, returns how many things it handled, and may run twice or late without harm.
    """

    name: str
    service: str
    every_seconds: int

    def work(self, now: datetime) -> int:
        """Call the service and return how many things it handled."""
        return cast(int, pkgutil.resolve_name(self.service)(now=now))


JOBS = (
    PeriodicJob("expire_unpaid_holds", "app.services.clockwork.expire_holds", 15),
    PeriodicJob("expire_unpaid_changes", "app.services.clockwork.expire_changes", 15),
    PeriodicJob("query_silent_payments", "app.services.payments.query_silent_payments", 20),
    PeriodicJob("settle_open_refunds", "app.services.refunds.settle_refunds", 30),
    PeriodicJob("report_shipments", "app.services.shipping.report_due", 30),
    PeriodicJob("sweep_outbox", "app.services.notification_delivery.deliver_due", 15),
    PeriodicJob("advance_bookings", "app.services.clockwork.advance_bookings", 60),
    PeriodicJob("keep_doors_in_step", "app.services.doors.keep_doors_in_step", 20),
    PeriodicJob("warn_of_starts_and_ends", "app.services.clockwork.queue_warnings", 60),
    PeriodicJob("expire_unpaid_group_orders", "app.services.teams.expire_unpaid", 60),
    PeriodicJob("fail_overdue_teams", "app.services.teams.fail_overdue_teams", 60),
    PeriodicJob("expire_vouchers", "app.services.teams.expire_vouchers", 60),
    PeriodicJob("reconcile_bills", "app.services.reconciliation.reconcile_due_days", 600),
    PeriodicJob("forget_idempotency_keys", "app.services.idempotency.forget_old_keys", 3600),
)


def find_job(name: str) -> PeriodicJob:
    """Return the job of this name; raises KeyError when the list has none."""
    for job in JOBS:
        if job.name == name:
            return job
    raise KeyError(name)
