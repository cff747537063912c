"""The rows that one event writes into the outbox, with their words, and the one read that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Integer, Select, String, Text, bindparam, cast, func, literal, or_, select

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
from app.services.unit_of_work import dialect_name, session

RECIPIENTS: dict[notices.Recipient, Recipient] = {"customer": Recipient.CUSTOMER, "shop": Recipient.SHOP}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what a notice is about; without an order it belongs to a customer or a store alone."""

    order: Order | None
    customer_id: int | None
    store_id: int | None

    @classmethod
    def of(cls, order: Order) -> Subject:
        """Return an order as the subject, with its customer and store."""
        return cls(order, order.customer_id, order.store_id)

    @property
    def order_id(self) -> int | None:
        return self.order.id if self.order is not None else None


class Template(NamedTuple):
    """One way of telling an event: its words, and its name at the message service."""

    title: str
    body: str
    provider_template: str
    is_active: bool


Templates = dict[tuple[str, str, str], Template]


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """What words and ways of a notice depend on; templates by recipient, channel and language."""

    language: str | None
    has_wechat: bool
    store: str | None
    time_zone: str | None
    campaign: str | None
    room: str | None
    start_at: datetime | None
    end_at: datetime | None
    templates: Templates


class Drafts:
    """The rows of one event, made from everything that their words need."""

    def __init__(
        self,
        event: str,
        subject: Subject,
        facts: NoticeFacts,
        *,
        variables: Mapping[str, Any] = MappingProxyType({}),
        occurrence: str = "",
        expires_at: datetime | None = None,
        now: datetime,
    ) -> None:
        self._event, self._subject, self._facts = event, subject, facts
        self._occurrence, self._expires_at, self._now = occurrence, expires_at, now
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

    def _can_use_wechat(self, template: Template | None) -> bool:
        """A template that the message service has not approved yet has no id there."""
        return self._facts.has_wechat and template is not None and bool(template.provider_template)

    def _template(self, recipient: notices.Recipient, channel: NotificationChannel) -> Template | None:
        templates, key = self._facts.templates, (RECIPIENTS[recipient].value, channel.value)
        wanted = templates.get((*key, self._language_of(recipient)))
        return wanted or templates.get((*key, notices.DEFAULT_LANGUAGE))

    def _language_of(self, recipient: notices.Recipient) -> str:
        known = self._facts.language if recipient == "customer" else None
        return known or notices.DEFAULT_LANGUAGE

    def _words(self, recipient: notices.Recipient, template: Template | None) -> tuple[str, str]:
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


def read_facts(event: str, subject: Subject) -> NoticeFacts:
    """Read names, language and templates in one statement.

    It goes to the tables below the ORM on purpose: a notice is complete whoever causes it, whatever stores
    that person may see.
    """
    values = {
        "event": event,
        "customer": subject.customer_id,
        "store": subject.store_id,
        "order": subject.order_id,
        "campaign": subject.order.campaign_id if subject.order is not None else None,
    }
    row = session().connection().execute(_facts_query(dialect_name()), values).one()
    return NoticeFacts(**dict(row._mapping) | {"templates": parse_templates(row.templates)})


@cache
def _facts_query(dialect: str) -> Select[Any]:
    """Made once for each engine: building it costs more than the database takes to answer."""
    customer, store, campaign = Customer.__table__, Store.__table__, Campaign.__table__
    booking, room = Booking.__table__, Room.__table__
    latest = select(func.max(booking.c.id)).where(booking.c.order_id == _int("order")).scalar_subquery()
    anchor = select(literal(1).label("one")).subquery()
    source = (
        anchor.outerjoin(customer, customer.c.id == _int("customer"))
        .outerjoin(store, store.c.id == _int("store"))
        .outerjoin(campaign, campaign.c.id == _int("campaign"))
        .outerjoin(booking, booking.c.id == latest)
        .outerjoin(room, room.c.id == booking.c.room_id)
    )
    columns = (
        customer.c.language.label("language"),
        reaches_wechat(customer.c.id).label("has_wechat"),
        store.c.name.label("store"),
        store.c.time_zone,
        campaign.c.title.label("campaign"),
        room.c.name.label("room"),
        booking.c.start_at,
        booking.c.end_at,
        templates_of(bindparam("event", type_=String), customer.c.language, dialect).label("templates"),
    )
    return select(*columns).select_from(source)


def _int(name: str) -> Any:
    return bindparam(name, type_=Integer)


def reaches_wechat(customer_id: Any) -> Any:
    """Return the expression whether a customer can be told through WeChat."""
    identity = CustomerIdentity.__table__
    return (
        select(literal(1))
        .where(identity.c.customer_id == customer_id, identity.c.channel == NotificationChannel.WECHAT.value)
        .exists()
    )


def templates_of(event: Any, language: Any, dialect: str) -> Any:
    """Return the expression for the templates of an event in a language and the default, as one text."""
    template = NotificationTemplate.__table__
    columns = [cast(template.c[name], String) for name in ("recipient", "channel", "language")]
    columns += [template.c[name] for name in Template._fields]
    is_postgresql = dialect == "postgresql"
    one = func.json_build_array(*columns) if is_postgresql else func.json_array(*columns)
    every = func.json_agg(one) if is_postgresql else func.json_group_array(one)
    wanted = or_(template.c.language == notices.DEFAULT_LANGUAGE, template.c.language == language)
    return select(cast(every, Text)).where(template.c.event == event, wanted).scalar_subquery()


def parse_templates(text: str | None) -> Templates:
    """Return what `templates_of` found."""
    return {tuple(entry[:3]): Template(*entry[3:]) for entry in orjson.loads(text or "[]")}


def _order_variables(order: Order | None, facts: NoticeFacts, tz: ZoneInfo) -> dict[str, Any]:
    place = " ".join(filter(None, (facts.store, facts.room)))
    values: dict[str, Any] = {
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


def _end_text(facts: NoticeFacts, tz: ZoneInfo) -> str | None:
    """Write the end with its date only where it is another day than the start."""
    if facts.start_at is None or facts.end_at is None:
        return None
    start, end = facts.start_at.astimezone(tz), facts.end_at.astimezone(tz)
    return f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"


def _as_text(name: str, value: Any, tz: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(tz):%Y-%m-%d %H:%M}"
    if name == "amount" and isinstance(value, int):
        return format_fen(value)
    return str(value)
