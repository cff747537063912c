"""Customers: logging in with a platform's code, their profile and their phone number."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.domain.actor import Actor, customer_actor
from app.domain.errors import DomainError, Forbidden, InvalidField, NotFound, Unavailable
from app.extensions import keyring
from app.gateways.ports import GatewayRefused, GatewayUnavailable
from app.models import Customer, CustomerIdentity
from app.services import channels, tokens
from app.services.audit import record_change
from app.services.inserts import insert_into
from app.services.unit_of_work import change_rows, savepoint_scope, session, transactional

log = logging.getLogger(__name__)

# What the platform says of a code that is wrong, used or too old, and of a person it distrusts.
_CODE_REFUSED = {"40029", "40163", "isv.code-invalid"}
_PERSON_REFUSED = {"40226"}
_PROFILE_FIELDS = ("nickname", "avatar_url", "language")
# As long as the column is wide.
LONGEST_SEGMENT = 32


@dataclass(frozen=True, slots=True)
class _Identity:
    """The name under which a login service knows somebody."""

    channel: str
    app_id: str
    subject: str


class _LostRace(Exception):
    """Another request has just registered the same person."""


def log_in(channel: str, code: str, *, now: datetime) -> dict[str, Any]:
    """Exchange the one-use code of a login and return `{access_token, refresh_token, expires_in, customer}`.

    Somebody who was never here before becomes a customer. Raises InvalidField for a bad code or a login
    service that is not set up, Forbidden for a disabled customer, Unavailable when the service is silent.
    """
    service, app_id = channels.login_service(channel)
    try:
        openid = service.exchange_login_code(code).openid
    except (GatewayRefused, GatewayUnavailable) as error:
        raise _refusal_of(error) from error
    identity = _Identity(channel, app_id, openid)
    customer, pair = _open_session(identity, now=now)
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_in": pair.expires_in,
        "customer": customer,
    }


def _refusal_of(error: GatewayRefused | GatewayUnavailable) -> DomainError:
    if isinstance(error, GatewayRefused) and error.code in _CODE_REFUSED:
        return InvalidField.of("code", _l("This code is not valid any more. Please try again."))
    if isinstance(error, GatewayRefused) and error.code in _PERSON_REFUSED:
        return Forbidden()
    # Anything else, such as wrong credentials of ours, is nothing that the customer can mend.
    log.warning("login service: %s", error)
    return Unavailable()


@transactional
def _open_session(identity: _Identity, *, now: datetime) -> tuple[dict[str, Any], tokens.TokenPair]:
    customer = _find(identity) or _register(identity, now=now)
    if not customer.is_active:
        raise Forbidden()
    customer.last_login_at = now
    return _describe(customer), tokens.open_session(customer.id, now=now)


def _find(identity: _Identity) -> Customer | None:
    return session().scalar(
        select(Customer)
        .join(CustomerIdentity, CustomerIdentity.customer_id == Customer.id)
        .where(
            CustomerIdentity.channel == identity.channel,
            CustomerIdentity.app_id == identity.app_id,
            CustomerIdentity.subject == identity.subject,
        )
    )


def _register(identity: _Identity, *, now: datetime) -> Customer:
    """Make a customer; of two first logins at once, one waits for the other and takes its customer."""
    try:
        with savepoint_scope():
            return _insert(identity, now=now)
    except _LostRace:
        customer = _find(identity)
        assert customer is not None, "whoever won the race has committed"
        return customer


def _insert(identity: _Identity, *, now: datetime) -> Customer:
    customer = Customer(created_at=now)
    session().add(customer)
    session().flush()
    inserted = change_rows(
        insert_into(CustomerIdentity)
        .values(
            customer_id=customer.id,
            channel=identity.channel,
            app_id=identity.app_id,
            subject=identity.subject,
        )
        .on_conflict_do_nothing()
    )
    if inserted != 1:
        raise _LostRace
    _record(customer, "customer.register", customer_actor(customer.id), now=now)
    return customer


def get_customer(customer_id: int) -> dict[str, Any]:
    """Return a customer's own profile; raises NotFound."""
    return _describe(_load(customer_id))


@transactional
def update_profile(changes: dict[str, Any], *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Change nickname, avatar_url or language and return the profile."""
    assert set(changes) <= set(_PROFILE_FIELDS)
    customer = _load(actor.id)
    before = {name: getattr(customer, name) for name in changes}
    for name, value in changes.items():
        setattr(customer, name, value)
    if before != changes:
        _record(customer, "customer.update", actor, now=now, before=before, after=changes)
    return _describe(customer)


def bind_phone(code: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """Exchange the code of the phone button, keep the number encrypted, and return the profile.

    Raises InvalidField for a bad code, Unavailable when the service is silent: the code is spent then.
    """
    try:
        number = channels.mini_program().exchange_phone_code(code)
    except (GatewayRefused, GatewayUnavailable) as error:
        raise _refusal_of(error) from error
    return _save_phone(number, actor=actor, now=now)


@transactional
def _save_phone(number: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    customer = _load(actor.id)
    customer.phone = number
    customer.phone_hash = keyring.keyed_hash("phone", number)
    customer.phone_tail_hash = keyring.keyed_hash("phone_tail", number[-4:])
    _record(customer, "customer.bind_phone", actor, now=now)
    return _describe(customer)


@transactional
def set_blacklist(
    customer_id: int, *, is_blacklisted: bool, reason: str, actor: Actor, now: datetime
) -> None:
    """Bar a customer from booking in every store, or end that; what is booked already stays.

    Raises Forbidden for customers, NotFound, InvalidField without a reason.
    """
    if not actor.is_staff:
        raise Forbidden()
    customer = _load(customer_id)
    if not reason.strip():
        raise InvalidField.of("reason", _l("Please give a reason."))
    before = _barred(customer)
    customer.is_blacklisted = is_blacklisted
    customer.blacklist_reason = reason.strip()[:200] if is_blacklisted else ""
    if before != _barred(customer):
        record_change(
            actor=actor,
            action="customer.blacklist" if is_blacklisted else "customer.unblacklist",
            entity="customer",
            entity_id=customer.id,
            before=before,
            after=_barred(customer),
            reason=reason.strip(),
            now=now,
        )


@transactional
def set_segment(customer_id: int, *, segment: str, actor: Actor, now: datetime) -> None:
    """Put a customer into a segment, with an empty one into none.

    Raises Forbidden for customers, NotFound, InvalidField.
    """
    if not actor.is_staff:
        raise Forbidden()
    customer = _load(customer_id)
    wanted = segment.strip()
    if len(wanted) > LONGEST_SEGMENT:
        raise InvalidField.of("segment", _l("At most 32 characters, please."))
    before = customer.segment
    customer.segment = wanted or None
    if before != customer.segment:
        record_change(
            actor=actor,
            action="customer.segment",
            entity="customer",
            entity_id=customer.id,
            before={"segment": before},
            after={"segment": customer.segment},
            now=now,
        )


def _barred(customer: Customer) -> dict[str, Any]:
    return {"is_blacklisted": customer.is_blacklisted, "blacklist_reason": customer.blacklist_reason}


def mask_phone(number: str | None) -> str | None:
    """Return a phone number with its middle hidden: 138****8000."""
    return None if number is None else f"{number[:-8]}****{number[-4:]}"


def _load(customer_id: int | None) -> Customer:
    customer = session().get(Customer, customer_id, populate_existing=True) if customer_id else None
    if customer is None:
        raise NotFound()
    return customer


def _describe(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "nickname": customer.nickname,
        "avatar_url": customer.avatar_url,
        "language": customer.language,
        "phone": mask_phone(customer.phone),
        "created_at": customer.created_at,
    }


def _record(
    customer: Customer,
    action: str,
    actor: Actor,
    *,
    now: datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    record_change(
        actor=actor,
        action=action,
        entity="customer",
        entity_id=customer.id,
        now=now,
        before=before,
        after=after,
    )
