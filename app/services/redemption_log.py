"""Every attempt at the desk is kept, and too many wrong codes are stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select

from app.domain.actor import Actor
from app.domain.errors import RateLimited
from app.domain.states import RedemptionMethod
from app.domain.voucher_codes import normalise_code
from app.models import RedemptionAttempt
from app.services.unit_of_work import session, transactional

# Wrong codes that a member of staff, or an address, may try within the window.
MAX_MISSES = 10
MISS_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tried what where; of a typed code only the tail is kept."""

    step: str
    store_id: int
    actor: Actor
    address: str
    method: RedemptionMethod
    typed: str


def check_misses(actor: Actor, address: str, *, now: datetime) -> None:
    """Raise RateLimited when this member of staff or this address has typed too many wrong codes."""
    misses = session().scalar(
        select(func.count(RedemptionAttempt.id)).where(
            RedemptionAttempt.at > now - MISS_WINDOW,
            RedemptionAttempt.outcome == "not_found",
            or_(RedemptionAttempt.staff_id == actor.id, RedemptionAttempt.address == (address or None)),
        )
    )
    if (misses or 0) >= MAX_MISSES:
        seconds = int(MISS_WINDOW.total_seconds())
        raise RateLimited(
            _l("Too many wrong codes. Please wait a minute."), data={"retry_after_seconds": seconds}
        )


@transactional
def log_attempt(attempt: Attempt, outcome: str, *, voucher_id: int | None = None, now: datetime) -> None:
    """Keep one attempt with its outcome: `ok` or the code of the refusal."""
    session().add(
        RedemptionAttempt(
            at=now,
            store_id=attempt.store_id,
            staff_id=attempt.actor.id,
            staff_name=attempt.actor.name,
            voucher_id=voucher_id,
            method=attempt.method.value,
            step=attempt.step,
            outcome=outcome,
            address=attempt.address[:64],
            code_tail=normalise_code(attempt.typed)[-4:],
        )
    )
