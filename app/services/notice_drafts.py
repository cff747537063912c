"""The rows that one event writes into the outbox, with their words, from one read of the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, exists, func, literal, or_, select

from app.domain import notices
from app.domain.money import format_fen
from app.domain.states import NotificationChannel, NotificationStatus
from app.models import (
    Booking,
    Campaign,
    Customer,
    CustomerIdentity,
    NotificationTemplate,
    Order,
    Recipient,
    Room,
    Store,
)
from app.services.unit_of_work import session

RECIPIENTS: dict[notices.Recipient, Recipient] = {"customer": Recipient.CUSTOMER, "shop": Recipient.SHOP}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what a notice is about; without an order it belongs to a customer or a store alone."""

    order: Order | None
    customer_id: int | None
    store_id: int | None

    @property
    def order_id(self) -> int | None:
        return self.order.id if self.order is not None else None


class Drafts:
    """The rows of one event, made from one read of everything that their words need."""

    def __init__(
        self,
        event: str,
        subject: Subject,
        variables: Mapping[str, Any],
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
        given = _order_variables(subject.order, facts, tz) | dict(variables)
        self._variables = {
            name: _as_text(name, value, tz) for name, value in given.items() if value is not None
        }

    def rows(self, recipient: notices.Recipient) -> Iterator[dict[str, Any]]:
        """Yield a row for each channel that reaches *recipient* and is switched on."""
        yield from filter(None, (self._row(recipient, channel) for channel in notices.CHANNELS[recipient]))

    def _row(self, recipient: notices.Recipient, channel: NotificationChannel) -> dict[str, Any] | None:
        template = self._template(recipient, channel)
        if template is not None and not template.is_active:
            return None
        if channel is NotificationChannel.WECHAT and not self._can_use_wechat(template):
            return None
        return self._values(recipient, channel, self._words(recipient, template))

    def _can_use_wechat(self, template: Row[Any] | None) -> bool:
        """A template that the message service has not approved yet has no id there."""
        return self._has_wechat and template is not None and bool(template.provider_template)

    def _template(self, recipient: notices.Recipient, channel: NotificationChannel) -> Row[Any] | None:
        key = (RECIPIENTS[recipient], channel)
        wanted = self._templates.get((*key, self._language_of(recipient)))
        return wanted or self._templates.get((*key, notices.DEFAULT_LANGUAGE))

    def _language_of(self, recipient: notices.Recipient) -> str:
        return self._language if recipient == "customer" else notices.DEFAULT_LANGUAGE

    def _words(self, recipient: notices.Recipient, template: Row[Any] | None) -> tuple[str, str]:
        if template is None:
            title, body = notices.default_words(self._event, recipient, self._language_of(recipient))
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
            "recipient": RECIPIENTS[recipient],
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
