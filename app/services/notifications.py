"""Notices written into the outbox by the transaction that causes them, the customer's inbox and consents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import Row, exists, func, literal, or_, select, update

from app.domain import notices
from app.domain.errors import InvalidField, NotFound
from app.domain.money import format_fen
from app.domain.states import NotificationChannel, NotificationStatus
from app.models import (
    Booking,
    Campaign,
    Customer,
    CustomerIdentity,
    MessageConsent,
    Notification,
    NotificationTemplate,
    Order,
    Recipient,
    Room,
    Store,
)
from app.services import queue
from app.services.inserts import insert_into
from app.services.unit_of_work import session, transactional

MAX_CONSENTS = 20
MAX_TEMPLATE_LENGTH = 64
MAX_PAGE = 100
DELIVER_JOB = "app.jobs.deliver_notification"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what a notice is about; without an order it belongs to a customer or a store alone."""

    order: Order | None
    customer_id: int | None
    store_id: int | None

    @property
    def order_id(self) -> int | None:
        return self.order.id if self.order is not None else None


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
    if order is not None and order.id is None:
        session().flush()
    subject = Subject(
        order,
        customer_id if customer_id is not None else (order.customer_id if order else None),
        store_id if store_id is not None else (order.store_id if order else None),
    )
    recipients = [recipient for recipient in notices.recipients_of(event) if _is_told(event, recipient, subject)]
    if recipients:
        drafts = _Drafts(event, subject, dict(variables or {}), occurrence, expires_at, now)
        _save([row for recipient in recipients for row in drafts.rows(recipient)])


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


class _Drafts:
    """The rows of one event, made from one read of everything that their words need."""

    def __init__(
        self,
        event: str,
        subject: Subject,
        variables: dict[str, Any],
        occurrence: str,
        expires_at: datetime | None,
        now: datetime,
    ) -> None:
        self._event, self._subject, self._occurrence = event, subject, occurrence
        self._expires_at, self._now = expires_at, now
        found = _read_facts(event, subject)
        facts = found[0]
        self._language = facts.customer_language or notices.DEFAULT_LANGUAGE
        self._has_wechat = bool(facts.has_wechat)
        self._templates = {(row.recipient, row.channel, row.language): row for row in found if row.event}
        tz = ZoneInfo(facts.time_zone or "Asia/Shanghai")
        given = _order_variables(subject.order, facts, tz) | variables
        self._variables = {name: _as_text(name, value, tz) for name, value in given.items() if value is not None}

    def rows(self, recipient: notices.Recipient) -> Iterator[dict[str, Any]]:
        """Yield a row for each channel that reaches *recipient* and is switched on."""
        yield from filter(None, (self._row(recipient, channel) for channel in notices.CHANNELS[recipient]))

    def _row(self, recipient: notices.Recipient, channel: NotificationChannel) -> dict[str, Any] | None:
        template = self._template(recipient, channel)
        if template is not None and not template.is_active:
            return None
        if channel is NotificationChannel.WECHAT:
            # A template that the message service has not approved yet has no id there and cannot be sent.
            if not self._has_wechat or template is None or not template.provider_template:
                return None
        return self._values(recipient, channel, self._words(recipient, template))

    def _template(self, recipient: notices.Recipient, channel: NotificationChannel) -> Row[Any] | None:
        language = self._language if recipient == "customer" else notices.DEFAULT_LANGUAGE
        key = (Recipient(recipient), channel)
        return self._templates.get((*key, language)) or self._templates.get((*key, notices.DEFAULT_LANGUAGE))

    def _words(self, recipient: notices.Recipient, template: Row[Any] | None) -> tuple[str, str]:
        if template is None:
            title, body = notices.default_words(self._event, recipient, self._language)
        else:
            title, body = template.title, template.body
        return notices.render(title, self._variables)[:64], notices.render(body, self._variables).strip()

    def _values(
        self, recipient: notices.Recipient, channel: NotificationChannel, words: tuple[str, str]
    ) -> dict[str, Any]:
        subject, is_sent = self._subject, channel is NotificationChannel.IN_APP
        to_customer = recipient == "customer"
        person = f"{recipient}-{subject.customer_id if to_customer else subject.store_id}"
        key = (self._event, subject.order_id or "", person, channel.value, self._occurrence)
        return {
            "event": self._event,
            "recipient": Recipient(recipient),
            "channel": channel,
            # The inbox is the table itself: such a message has arrived as soon as it is committed.
            "status": NotificationStatus.SENT if is_sent else NotificationStatus.PENDING,
            "customer_id": subject.customer_id if to_customer else None,
            "store_id": subject.store_id,
            "order_id": subject.order_id,
            "dedupe_key": ":".join(map(str, key)),
            "variables": self._variables,
            "title": words[0],
            "body": words[1],
            "created_at": self._now,
            "next_attempt_at": self._now,
            "attempt_count": 0,
            "sent_at": self._now if is_sent else None,
            "expires_at": self._expires_at,
            "last_error": "",
        }


def _read_facts(event: str, subject: Subject) -> list[Row[Any]]:
    """Read names, language and templates in one statement; there is always at least one row.

    It goes to the tables below the ORM on purpose: a notice is complete whoever causes it, whatever stores
    that person may see.
    """
    anchor = select(literal(1).label("one")).subquery()
    customer, store, campaign = Customer.__table__, Store.__table__, Campaign.__table__
    booking, room, template = Booking.__table__, Room.__table__, NotificationTemplate.__table__
    identity = CustomerIdentity.__table__
    order = subject.order
    latest = select(func.max(booking.c.id)).where(booking.c.order_id == subject.order_id).scalar_subquery()
    source = (
        anchor.outerjoin(customer, customer.c.id == subject.customer_id)
        .outerjoin(store, store.c.id == subject.store_id)
        .outerjoin(campaign, campaign.c.id == (order.campaign_id if order is not None else None))
        .outerjoin(booking, booking.c.id == latest)
        .outerjoin(room, room.c.id == booking.c.room_id)
        .outerjoin(
            template,
            (template.c.event == event)
            & or_(
                template.c.language == notices.DEFAULT_LANGUAGE, template.c.language == customer.c.language
            ),
        )
    )
    reaches_wechat = exists().where(
        identity.c.customer_id == customer.c.id, identity.c.channel == NotificationChannel.WECHAT.value
    )
    names = ("event", "recipient", "channel", "language", "title", "body", "provider_template", "is_active")
    columns = (
        customer.c.language.label("customer_language"),
        reaches_wechat.label("has_wechat"),
        store.c.name.label("store"),
        store.c.time_zone,
        campaign.c.title.label("campaign"),
        room.c.name.label("room"),
        booking.c.start_at,
        booking.c.end_at,
        *(template.c[name] for name in names),
    )
    return list(session().execute(select(*columns).select_from(source)).all())


def _order_variables(order: Order | None, facts: Row[Any], tz: ZoneInfo) -> dict[str, Any]:
    place = " ".join(filter(None, (facts.store, facts.room)))
    values = {
        "store": facts.store or "",
        "room": facts.room or "",
        "campaign": facts.campaign or "",
        "subject": facts.campaign or place,
        "start": facts.start_at,
        "end": _end_text(facts, tz),
    }
    if order is not None:
        values |= {"order_no": order.no, "amount": order.total_fen, "expires": order.expires_at}
    return values


def _end_text(facts: Row[Any], tz: ZoneInfo) -> str | None:
    """Write the end with its date only where it is another day than the start."""
    if facts.end_at is None:
        return None
    start, end = facts.start_at.astimezone(tz), facts.end_at.astimezone(tz)
    return f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"


def _as_text(name: str, value: Any, tz: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(tz):%Y-%m-%d %H:%M}"
    if name == "amount" and isinstance(value, int):
        return format_fen(value)
    return str(value)


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
    ids = _provider_templates(answers)
    credits = {name: _count_answer(customer_id, ids.get(name, name), answers[name], now) for name in answers}
    return credits


def _check_answers(answers: Mapping[str, str]) -> None:
    if len(answers) > MAX_CONSENTS:
        raise InvalidField.of("template", _l("At most %(count)s templates at once.", count=MAX_CONSENTS))
    for name, answer in answers.items():
        if not 0 < len(name) <= MAX_TEMPLATE_LENGTH or not name.isprintable():
            raise InvalidField.of(name[:MAX_TEMPLATE_LENGTH], _l("This is not the name of a template."))
        if answer not in ("accepted", "rejected"):
            raise InvalidField.of(name, _l("Must be accepted or rejected."))


def _provider_templates(events: Mapping[str, str]) -> dict[str, str]:
    found = session().execute(
        select(NotificationTemplate.event, func.max(NotificationTemplate.provider_template))
        .where(
            NotificationTemplate.event.in_(events),
            NotificationTemplate.channel == NotificationChannel.WECHAT,
            NotificationTemplate.provider_template != "",
        )
        .group_by(NotificationTemplate.event)
    )
    return {event: template for event, template in found.all()}


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
        | {"fields": dict(template.fields), "recipient": Recipient(template.recipient)}
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
        select(NotificationTemplate.event, func.max(NotificationTemplate.provider_template))
        .where(
            NotificationTemplate.channel == NotificationChannel.WECHAT,
            NotificationTemplate.provider_template != "",
            NotificationTemplate.is_active,
        )
        .group_by(NotificationTemplate.event)
    )
    return {event: template for event, template in found.all()}
