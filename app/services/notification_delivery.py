"""Delivery of the outbox: leased, sent outside any transaction, and recorded with what is to happen next."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, case, or_, select, update

from app.domain import notices
from app.domain.actor import Actor
from app.domain.errors import InvalidTransition, NotFound, Unavailable
from app.domain.states import NotificationChannel, NotificationStatus
from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.models import Customer, CustomerIdentity, MessageConsent, Notification, NotificationTemplate
from app.services import channels, queue
from app.services.audit import record_change
from app.services.inserts import insert_into
from app.services.notifications import DELIVER_JOB
from app.services.sweeps import within_budget
from app.services.unit_of_work import session, transactional

log = logging.getLogger(__name__)

S = NotificationStatus
# Longer than the slowest call with its token; a worker that died meanwhile costs at most this delay.
LEASE_SECONDS = 60
MAX_ATTEMPTS = 8
FIRST_RETRY_SECONDS = 20
LONGEST_RETRY_SECONDS = 3600
# A sweep gives the worker back to other jobs after this time; the next one goes on.
SWEEP_SECONDS = 10.0
NO_CONSENT = "43101"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Everything that sending one message needs, so that no transaction is open meanwhile."""

    id: int
    attempt: int
    customer_id: int
    openid: str
    template: str
    page: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try: the new status, why, and whether a message was used up or refused for good."""

    status: NotificationStatus
    error: str = ""
    uses_credit: bool = False
    ends_credit: bool = False


def deliver(notification_id: int, *, now: datetime) -> bool:
    """Send one message if it is due and nobody else is at it; tell whether it was this call's to handle."""
    taken = _lease(notification_id, now=now)
    if not isinstance(taken, Parcel):
        return taken
    outcome = _send(taken)
    _record(taken, outcome, now=now)
    return True


def deliver_due(*, now: datetime, limit: int = 1000) -> int:
    """Send what is due, oldest first, whatever the workers' queue lost; returns how many were handled."""
    ids = (
        session()
        .scalars(
            select(Notification.id)
            .where(
                Notification.status.in_((S.PENDING, S.SENDING, S.FAILED)), Notification.next_attempt_at <= now
            )
            .order_by(Notification.next_attempt_at)
            .limit(limit)
        )
        .all()
    )
    return sum(deliver(notification_id, now=now) for notification_id in within_budget(ids, SWEEP_SECONDS))


@transactional
def _lease(notification_id: int, *, now: datetime) -> Parcel | bool:
    """Claim a message and return what to send; True when it ended without sending, False when not ours."""
    until = now + timedelta(seconds=LEASE_SECONDS)
    is_waiting = and_(Notification.status.in_((S.PENDING, S.FAILED)), Notification.next_attempt_at <= now)
    has_lapsed = and_(Notification.status == S.SENDING, Notification.leased_until_at <= now)
    claimed = session().execute(
        update(Notification)
        .where(Notification.id == notification_id, or_(is_waiting, has_lapsed))
        .values(
            status=S.SENDING,
            leased_until_at=until,
            next_attempt_at=until,
            attempt_count=Notification.attempt_count + 1,
        )
        .execution_options(synchronize_session=False)
    )
    if claimed.rowcount != 1:  # type: ignore[attr-defined]
        return False
    row = session().get(Notification, notification_id, populate_existing=True)
    assert row is not None
    packed = _pack(row, now=now)
    if isinstance(packed, Parcel):
        return packed
    _finish(row.id, packed, attempt=row.attempt_count, now=now)
    return True


def _pack(row: Notification, *, now: datetime) -> Parcel | Outcome:
    """Return what to send, or why nothing is to be sent any more."""
    if row.expires_at is not None and row.expires_at <= now:
        return Outcome(S.EXPIRED, "too late")
    template = _template_of(row)
    if template is None:
        return Outcome(S.DEAD, "no template")
    openid = _openid_of(row)
    if openid is None or row.customer_id is None:
        return Outcome(S.DEAD, "no WeChat account")
    # Nobody having been asked yet is left to the service to judge: it counts consents too.
    if _credit_of(row.customer_id, template.provider_template) == 0:
        return Outcome(S.EXPIRED, "no consent")
    fields = {key: notices.render_field(key, text, row.variables) for key, text in template.fields.items()}
    page = f"pages/orders/show?no={row.variables['order_no']}" if row.order_id else "pages/index/index"
    return Parcel(
        row.id, row.attempt_count, row.customer_id, openid, template.provider_template, page, fields
    )


def _template_of(row: Notification) -> NotificationTemplate | None:
    """Return the template in the customer's language, else in the default one."""
    language = select(Customer.language).where(Customer.id == row.customer_id).scalar_subquery()
    return (
        session()
        .scalars(
            select(NotificationTemplate)
            .where(
                NotificationTemplate.event == row.event,
                NotificationTemplate.recipient == row.recipient,
                NotificationTemplate.channel == NotificationChannel.WECHAT,
                NotificationTemplate.is_active,
                NotificationTemplate.provider_template != "",
                or_(
                    NotificationTemplate.language == language,
                    NotificationTemplate.language == notices.DEFAULT_LANGUAGE,
                ),
            )
            .order_by(case((NotificationTemplate.language == language, 0), else_=1))
            .limit(1)
        )
        .first()
    )


def _openid_of(row: Notification) -> str | None:
    return session().scalar(
        select(CustomerIdentity.subject)
        .where(
            CustomerIdentity.customer_id == row.customer_id,
            CustomerIdentity.channel == NotificationChannel.WECHAT.value,
        )
        .order_by(CustomerIdentity.id.desc())
        .limit(1)
    )


def _credit_of(customer_id: int, template: str) -> int | None:
    return session().scalar(
        select(MessageConsent.credit_count).where(
            MessageConsent.customer_id == customer_id, MessageConsent.template == template
        )
    )


def _send(parcel: Parcel) -> Outcome:
    """Send and judge the answer; what may have arrived is never sent again (WeChat: subscribe messages)."""
    try:
        gateway = channels.mini_program()
        session().rollback()
        gateway.send_subscribe_message(parcel.openid, parcel.template, parcel.page, parcel.fields)
    except GatewayRefused as refusal:
        return _judge_refusal(refusal)
    except GatewayUnavailable as error:
        if error.outcome_unknown:
            return Outcome(S.SENT, "no answer: it may not have arrived", uses_credit=True)
        return Outcome(S.FAILED, str(error))
    except Unavailable:
        return Outcome(S.FAILED, "the mini-program is not set up")
    return Outcome(S.SENT, uses_credit=True)


def _judge_refusal(refusal: GatewayRefused) -> Outcome:
    if refusal.code == NO_CONSENT:
        return Outcome(S.EXPIRED, "no consent", ends_credit=True)
    return Outcome(S.FAILED if refusal.is_retryable else S.DEAD, str(refusal))


@transactional
def _record(parcel: Parcel, outcome: Outcome, *, now: datetime) -> None:
    _finish(parcel.id, outcome, attempt=parcel.attempt, now=now)
    if outcome.uses_credit:
        _use_credit(parcel, now=now)
    if outcome.ends_credit:
        _end_credit(parcel, now=now)


def _finish(notification_id: int, outcome: Outcome, *, attempt: int, now: datetime) -> None:
    """Write what became of the try, unless the lease lapsed and somebody else is at it by now."""
    status, error = outcome.status, outcome.error
    if status is S.FAILED and attempt >= MAX_ATTEMPTS:
        status, error = S.DEAD, f"given up after {attempt} tries: {error}"
    if status in (S.DEAD, S.FAILED):
        log.warning("message %s: %s, %s", notification_id, status.value, error)
    session().execute(
        update(Notification)
        .where(
            Notification.id == notification_id,
            Notification.status == S.SENDING,
            Notification.attempt_count == attempt,
        )
        .values(
            status=status,
            last_error=error[:200],
            leased_until_at=None,
            next_attempt_at=now + timedelta(seconds=retry_seconds(attempt)),
            sent_at=now if status is S.SENT else None,
        )
        .execution_options(synchronize_session=False)
    )


def retry_seconds(attempt: int) -> float:
    """Return how long to wait after try number *attempt*: doubling, with jitter, at most an hour."""
    seconds = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS << (attempt - 1))
    return seconds * random.uniform(0.8, 1.0)


def _use_credit(parcel: Parcel, *, now: datetime) -> None:
    session().execute(
        update(MessageConsent)
        .where(
            MessageConsent.customer_id == parcel.customer_id,
            MessageConsent.template == parcel.template,
            MessageConsent.credit_count > 0,
        )
        .values(credit_count=MessageConsent.credit_count - 1, updated_at=now)
        .execution_options(synchronize_session=False)
    )


def _end_credit(parcel: Parcel, *, now: datetime) -> None:
    """The service says that there is no consent left, which it knows better than we do."""
    session().execute(
        insert_into(MessageConsent)
        .values(customer_id=parcel.customer_id, template=parcel.template, credit_count=0, updated_at=now)
        .on_conflict_do_update(
            index_elements=["customer_id", "template"], set_={"credit_count": 0, "updated_at": now}
        )
    )


@transactional
def resend_notification(notification_id: int, *, actor: Actor, now: datetime) -> None:
    """Put a dead or expired message back into the outbox, without its expiry.

    Raises NotFound outside the actor's stores, InvalidTransition for a message in any other state.
    """
    row = session().get(Notification, notification_id, populate_existing=True)
    if row is None or not actor.scope.allows(row.store_id):
        raise NotFound()
    moved = session().execute(
        update(Notification)
        .where(Notification.id == notification_id, Notification.status.in_((S.DEAD, S.EXPIRED)))
        .values(status=S.PENDING, next_attempt_at=now, attempt_count=0, expires_at=None, last_error="")
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise InvalidTransition(data={"event": "resend", "status": row.status.value})
    record_change(
        actor=actor,
        action="resend",
        entity="notification",
        entity_id=notification_id,
        store_id=row.store_id,
        before={"status": row.status.value, "last_error": row.last_error},
        after={"status": S.PENDING.value},
        now=now,
    )
    queue.enqueue(DELIVER_JOB, notification_id)
