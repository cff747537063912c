"""Notices written into the outbox by the transaction that causes them, the customer's inbox and consents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, literal, select, update

from app.domain import notices
from app.domain.errors import InvalidField, NotFound
from app.domain.states import NotificationChannel
from app.models import MessageConsent, Notification, NotificationTemplate, Order
from app.services import queue
from app.services.inserts import insert_into
from app.services.notice_drafts import RECIPIENTS, Drafts, NoticeFacts, Subject, read_facts
from app.services.unit_of_work import session, transactional

MAX_CONSENTS = 20
MAX_TEMPLATE_LENGTH = 64
MAX_PAGE = 100
DELIVER_JOB = "app.jobs.deliver_notification"


@transactional
def queue_notice(
    event: str,
    *,
    now: datetime,
    order: Order | None = None,
    customer_id: int | None = None,
    store_id: int | None = None,
    variables: Mapping[str, Any] | None = None,
    occurrence: str = "",
    expires_at: datetime | None = None,
) -> None:
    """Write the notices of *event* to customer and shop as rows of the current transaction.

    Customer, store and the usual variables are taken from *order*. `variables` adds to them or replaces them
    (names: `notices.VARIABLES`; integers named `amount` are fen, datetimes are written in the store's time).
    One event of one order is told once, unless it can repeat and `occurrence` says which time it is. What
    goes through a message service is dropped instead of sent after `expires_at`.
    Raises KeyError for an event that is not in the catalogue.
    """
    # What the notice tells of has to be readable by the statement below the ORM that collects its facts.
    session().flush()
    subject = Subject(
        order,
        customer_id if customer_id is not None else (order.customer_id if order else None),
        store_id if store_id is not None else (order.store_id if order else None),
    )
    if any(_is_told(event, recipient, subject) for recipient in notices.recipients_of(event)):
        _save(
            draft_notices(
                event,
                subject,
                read_facts(event, subject),
                variables=variables or {},
                occurrence=occurrence,
                expires_at=expires_at,
                now=now,
            )
        )


def draft_notices(
    event: str, subject: Subject, facts: NoticeFacts, *, now: datetime, **details: Any
) -> list[dict[str, Any]]:
    """Return the rows that tell an event, for who writes them together with what they tell of.

    *details* are those of `queue_notice`. What has been written is handed to `deliver_later`.
    """
    drafts = Drafts(event, subject, facts, now=now, **details)
    told = (name for name in notices.recipients_of(event) if _is_told(event, name, subject))
    return [row for recipient in told for row in drafts.rows(recipient)]


def deliver_later(rows: Sequence[Mapping[str, Any]], ids: Sequence[int]) -> None:
    """Tell a worker what has to be sent of notices that were written under these ids."""
    for row, notice_id in zip(rows, ids, strict=True):
        if row["channel"] is not NotificationChannel.IN_APP:
            queue.enqueue(DELIVER_JOB, notice_id)


def _is_told(event: str, recipient: notices.Recipient, subject: Subject) -> bool:
    if recipient == "customer":
        return subject.customer_id is not None
    order = subject.order
    is_unpaid = order is not None and order.paid_at is None and order.total_fen > 0
    return notices.NOTICES[event].tells_shop_of_unpaid or not is_unpaid


def _save(rows: list[dict[str, Any]]) -> None:
    """Insert what is not there yet and tell a worker what has to be sent."""
    if not rows:
        return
    inserted = session().execute(
        insert_into(Notification)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["dedupe_key"])
        .returning(Notification.id, Notification.channel)
    )
    for row in inserted.all():
        if row.channel is not NotificationChannel.IN_APP:
            queue.enqueue(DELIVER_JOB, row.id)


def list_messages(
    customer_id: int, *, cursor: str | None = None, limit: int = 20
) -> tuple[list[Notification], str | None]:
    """Return a page of the customer's inbox, newest first, and the cursor of the next page or None.

    Raises InvalidField for a cursor that no page gave out.
    """
    limit = max(1, min(limit, MAX_PAGE))
    query = (
        select(Notification)
        .where(Notification.customer_id == customer_id, Notification.channel == NotificationChannel.IN_APP)
        .order_by(Notification.id.desc())
        .limit(limit + 1)
    )
    if cursor:
        query = query.where(Notification.id < _cursor_id(cursor))
    found = list(session().scalars(query))
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else None


def _cursor_id(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise InvalidField.of("cursor", _l("This page does not exist."))
    return int(cursor)


@transactional
def mark_read(customer_id: int, message_id: int, *, now: datetime) -> None:
    """Note that the customer has read a message, once; raises NotFound for anybody else's."""
    done = session().execute(
        update(Notification)
        .where(
            Notification.id == message_id,
            Notification.customer_id == customer_id,
            Notification.channel == NotificationChannel.IN_APP,
        )
        .values(read_at=func.coalesce(Notification.read_at, now))
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound()


@transactional
def record_consents(customer_id: int, answers: Mapping[str, str], *, now: datetime) -> dict[str, int]:
    """Count what the customer answered when asked for messages: `{template: accepted | rejected}`.

    A template is named by the message service's id or by the event. One accept is one message, accepts add
    up, a rejection ends what was left. Returns how many messages of each template may be sent now.
    Raises InvalidField naming the template for another answer, a name that is too long, or too many of them.
    """
    _check_answers(answers)
    ids = list_consent_templates()
    return {name: _count_answer(customer_id, ids.get(name, name), answers[name], now) for name in answers}


def _check_answers(answers: Mapping[str, str]) -> None:
    if len(answers) > MAX_CONSENTS:
        raise InvalidField.of("template", _l("At most %(count)s templates at once.", count=MAX_CONSENTS))
    for name, answer in answers.items():
        if not 0 < len(name) <= MAX_TEMPLATE_LENGTH or not name.isprintable():
            raise InvalidField.of(name[:MAX_TEMPLATE_LENGTH], _l("This is not the name of a template."))
        if answer not in ("accepted", "rejected"):
            raise InvalidField.of(name, _l("Must be accepted or rejected."))


def _count_answer(customer_id: int, template: str, answer: str, now: datetime) -> int:
    is_accepted = answer == "accepted"
    count = MessageConsent.credit_count + 1 if is_accepted else 0
    statement = (
        insert_into(MessageConsent)
        .values(customer_id=customer_id, template=template, credit_count=int(is_accepted), updated_at=now)
        .on_conflict_do_update(
            index_elements=["customer_id", "template"], set_={"credit_count": count, "updated_at": now}
        )
        .returning(MessageConsent.credit_count)
    )
    return cast(int, session().execute(statement).scalar_one())


@transactional
def seed_templates(*, now: datetime) -> int:
    """Add the shipped templates that are missing, leaving edited ones alone; returns how many were added."""
    rows = [
        template._asdict()
        | {"fields": dict(template.fields), "recipient": RECIPIENTS[template.recipient]}
        | {"provider_template": "", "is_active": True, "version": 1, "updated_at": now}
        for template in notices.default_templates()
    ]
    added = session().execute(
        insert_into(NotificationTemplate)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["event", "recipient", "channel", "language"])
        .returning(NotificationTemplate.id)
    )
    return len(added.all())


@transactional
def name_sandbox_templates(*, now: datetime) -> None:
    """Give every template that has no id at the message service one that the sandbox accepts."""
    session().execute(
        update(NotificationTemplate)
        .where(
            NotificationTemplate.channel == NotificationChannel.WECHAT,
            NotificationTemplate.provider_template == "",
        )
        .values(
            provider_template=literal("sandbox-") + NotificationTemplate.event,
            version=NotificationTemplate.version + 1,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )


def list_consent_templates() -> dict[str, str]:
    """Return the templates that the mini-program may ask consent for: event -> id at the message service."""
    found = session().execute(
        select(NotificationTemplate.event, func.max(NotificationTemplate.provider_template).label("template"))
        .where(
            NotificationTemplate.channel == NotificationChannel.WECHAT,
            NotificationTemplate.provider_template != "",
            NotificationTemplate.is_active,
        )
        .group_by(NotificationTemplate.event)
    )
    return {row.event: row.template for row in found}
